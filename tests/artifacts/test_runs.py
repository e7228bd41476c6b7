from __future__ import annotations

from pathlib import Path

from musket.artifacts.layout import Layout
from musket.artifacts.runs import judged_seeds, seeds, trials


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_seeds_in_their_order(tmp_path: Path) -> None:
    for name in ("0", "2", "10", "x", "07"):
        touch(tmp_path / name / "config_concrete.yaml")
    touch(tmp_path / "3" / "config.yaml", tmp_path / "7")
    layout = Layout(tmp_path / "config.yaml")
    assert seeds(layout) == {number: layout.seed(number) for number in (0, 2, 10)}
    assert list(seeds(layout)) == [0, 2, 10]
    assert seeds(Layout(tmp_path / "absent" / "config.yaml")) == {}


def test_seeds_that_a_summary_is_about(tmp_path: Path) -> None:
    for name in ("0", "2", "10"):
        touch(tmp_path / name / "config_concrete.yaml")
    layout = Layout(tmp_path / "config.yaml")
    assert list(judged_seeds(layout, None)) == [0, 2, 10]
    assert list(judged_seeds(layout, {"seeds": {"0": 0.5, "10": None}})) == [0, 10]  # there were more once
    assert list(judged_seeds(layout, {"seeds": {2: 0.5, 5: 0.5}})) == [2]
    touch(tmp_path / "metrics" / "metrics-0.0.csv")  # trained without seeds since
    assert list(judged_seeds(layout, {})) == []
    assert list(judged_seeds(layout, {"seeds": {"0": 0.5}})) == [0]


def test_trials_in_their_order(tmp_path: Path) -> None:
    touch(tmp_path / "trial10" / "config.yaml", tmp_path / "trial2" / "weights" / "x", tmp_path / "trial3")
    touch(tmp_path / "trials" / "x", tmp_path / "trial" / "x", tmp_path / "trial1b" / "x")
    layout = Layout(tmp_path / "config.yaml")
    assert trials(layout) == [layout.trial(2), layout.trial(10)]
