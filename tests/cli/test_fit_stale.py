"""``musket fit --stale``: only what is affected is done again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import toy
import yaml

import musket
from musket.cli.main import main
from musket.core.errors import TrainingError

MODULE = """\
import musket
import toy

def getTrain(count):
    return toy.Drawn(count)

@musket.final_metric
def constant(model, dataset):
    return 0.5
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one experiment of two stages, finished; the tests go on one from another."""
    toy.register_small_net()
    root = tmp_path_factory.mktemp("stale")
    (root / "modules").mkdir()
    (root / "modules" / "toy_of_stale.py").write_text(MODULE)
    (root / "common.yaml").write_text("dataset:\n  getTrain: [12]\n")
    folder = root / "experiments" / "only"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(toy.CONFIG.replace("  - epochs: 2", "  - epochs: 1\n  - epochs: 1"))
    assert main(["fit", "--project", str(root), "lr=0.02"]) == 0
    return root


def fit_again(root: Path, old: str, new: str) -> set[str]:
    """Edit the config, train what is stale, and tell which weights changed."""
    config = root / "experiments" / "only" / "config.yaml"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    weights = sorted((config.parent / "weights").glob("*.weights"))
    before = {path: path.stat().st_mtime_ns for path in weights}
    assert main(["fit", "--project", str(root), "--stale"]) == 0
    after = {path: path.stat().st_mtime_ns for path in (config.parent / "weights").glob("*.weights")}
    return {
        path.name.removeprefix("best-").removesuffix(".weights") for path in after if before.get(path) != after[path]
    }


def state(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    capsys.readouterr()
    assert main(["ls", "experiments", "--project", str(root), "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert found["notes"] == []
    return found["state"], found["reasons"]


def test_nothing_is_done_while_nothing_changes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit_again(root, "verbose: 0", "verbose: 0  # said") == set()
    assert "nothing to do" in capsys.readouterr().out
    assert state(root, capsys) == ("finished", [])


def test_what_is_refused_leaves_a_finished_experiment_finished(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root / "experiments" / "only"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["fit", "--project", str(root), "--name", "only", "batch=5000", "lr=0.02"]) != 0
    assert "fewer than one batch of 5000" in capsys.readouterr().err
    with pytest.raises(TrainingError, match="fewer than one batch of 5000"):
        musket.parse(folder, lr=0.02, batch=5000).fit(rerun=True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert state(root, capsys) == ("finished", [])


def test_a_metric_of_the_summary_trains_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit_again(root, "verbose: 0", "verbose: 0\nfinal_metrics: [constant]") == set()
    summary = yaml.safe_load((root / "experiments" / "only" / "summary.yaml").read_text())
    assert summary["allStages"]["constant"]["mean"] == 0.5
    assert state(root, capsys) == ("finished", [])


def test_named_ones_are_trained_only_as_much_as_is_stale(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fit", "--project", str(root), "--stale", "--name", "only"]
    before = (root / "experiments" / "only" / "summary.yaml").stat().st_mtime_ns
    assert main(arguments) == 0
    assert capsys.readouterr().err == "only is finished and up to date: left alone\n"
    assert (root / "experiments" / "only" / "summary.yaml").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("old", "new", "why", "does", "kinds"),
    [
        (
            "- epochs: 1\n",
            "- epochs: 3\n",
            "stages.1.epochs: was 1, now 3",
            "goes on with stage 1, epochs 2 to 3 of 3",
            4,
        ),
        (
            "- epochs: 1\n",
            "- {epochs: 1, lr: 0.5}\n",
            "stages.1.lr: was not set, now 0.5",
            "trained from stage 1 on",
            4,
        ),
        ("batch: 3", "batch: 2", "batch: was 3, now 2", "everything is trained again", 4),
        ("[constant]", "[]", "final_metrics: was ['constant'], now not set", "evaluated again, nothing is trained", 1),
    ],
)
def test_the_plan_says_what_is_done_and_why(
    old: str, new: str, why: str, does: str, kinds: int, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = root / "experiments" / "only" / "config.yaml"
    text = config.read_text()
    config.write_text(new.join(text.rsplit(old, 1)))
    try:
        assert main(["fit", "--project", str(root), "--stale", "--name", "only", "--plan"]) == 0
        about, *jobs = capsys.readouterr().out.splitlines()
        assert about == f"only is stale ({why}): {does}, with lr=0.02"
        assert len(jobs) == kinds
        assert main(["fit", "--project", str(root), "--stale", "--plan", "--json"]) == 0
        [told] = json.loads(capsys.readouterr().out)["experiments"]
        assert told == {"name": "only", "state": "stale", "reasons": [why], "does": f"{does}, with lr=0.02"}
        assert main(["fit", "--project", str(root)]) == 0
        assert "1 stale in" in (out := capsys.readouterr().out)
        assert "--stale does what is affected of only" in out
    finally:
        config.write_text(text)


def test_more_epochs_of_the_last_stage_go_on_with_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = root / "experiments" / "only" / "metrics" / "metrics-0.1.csv"
    first = rows.read_text().splitlines()[:2]
    assert not fit_again(root, "  - epochs: 1\n  - epochs: 1", "  - epochs: 1\n  - epochs: 2") & {"0.0", "1.0"}
    assert len(rows.read_text().splitlines()) == 3
    assert rows.read_text().splitlines()[:2] == first
    assert state(root, capsys) == ("finished", [])


def test_another_second_stage_leaves_the_first(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit_again(root, "  - epochs: 2", "  - epochs: 2\n    loss: dice_loss") == {"0.1", "1.1"}
    assert state(root, capsys) == ("finished", [])


def test_other_data_trains_everything_on_new_splits(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits = root / "experiments" / "only" / "config.yaml.folds_split"
    before = json.loads(splits.read_text())["samples"]
    (root / "common.yaml").write_text("dataset:\n  getTrain: [13]\n")
    assert state(root, capsys) == ("stale", ["dataset.getTrain: was [12], now [13]", "data: 1 sample added (disc-12)"])
    assert fit_again(root, "verbose: 0", "verbose: 0  #") == {"0.0", "0.1", "1.0", "1.1"}
    assert json.loads(splits.read_text())["samples"] == [*before, "disc-12"]
    assert state(root, capsys) == ("finished", [])
    record = yaml.safe_load((root / "experiments" / "only" / "run.yaml").read_text())
    assert (record["overrides"], record["config"]["lr"]) == (["lr=0.02"], 0.02)
