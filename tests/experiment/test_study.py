from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from musket.config.search_space import Choice, Range, SearchSpace
from musket.experiment.jobs.study import Study, Trial

RATE: SearchSpace = {"rate": Range(1e-5, 1.0, log=True), "how": Choice(("Adam", "SGD"))}
FEW: SearchSpace = {"n": Range(1, 2, is_whole=True), "how": Choice(("Adam", "SGD", "AdamW"))}


def study(folder: Path, space: SearchSpace, most: int = 8) -> Study:
    return Study(folder / "trials.db", space, "max", seed=33, most=most)


def tried(study: Study) -> list[Trial]:
    """Everything there is to try, each with the same score."""
    while (trial := study.propose()) is not None:
        if trial.state == "running":
            study.close(trial.number, "complete", 0.5)
    return study.trials


@pytest.mark.parametrize(
    ("space", "owner", "last"),
    [
        (FEW, optuna.Study, "ask"),  # values are in the file, and no trial has taken them
        (FEW, optuna.Trial, "suggest_int"),
        (FEW, optuna.Trial, "set_user_attr"),
        (RATE, optuna.Trial, "suggest_float"),
        (RATE, optuna.Trial, "set_user_attr"),
    ],
)
def test_a_proposal_cut_short_by_a_kill_is_completed(
    space: SearchSpace, owner: type, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    begun = study(tmp_path / "cut", space)
    first = begun.propose()
    assert first is not None
    begun.close(first.number, "complete", 0.5)
    with monkeypatch.context() as patch:
        patch.setattr(owner, last, killed)
        with pytest.raises(KeyboardInterrupt):
            begun.propose()
    again = study(tmp_path / "cut", space)
    assert again.trials == [Trial(0, first.parameters, "complete", 0.5)]
    assert tried(again) == tried(study(tmp_path / "whole", space))


def test_whole_numbers_that_a_moved_range_adds_are_all_tried(tmp_path: Path) -> None:
    def up_to(low: int, high: int) -> list[int]:
        return [trial.parameters["n"] for trial in tried(study(tmp_path, {"n": Range(low, high, is_whole=True)}))]

    assert sorted(up_to(1, 3)) == [1, 2, 3]
    assert sorted(up_to(3, 6)) == [1, 2, 3, 4, 5, 6]
    assert len(up_to(1, 40)) == 8  # most of them
