"""What ``musket fit`` tells of an experiment of several seeds, and of a search."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import toy
from pretended import Pretender, nowhere

from musket.cli import engines
from musket.cli.main import main
from musket.experiment.jobs.in_turn import do_in_turn
from musket.experiment.jobs.schedule import Schedule

SEARCH = "lr: rate\nhyperparameters:\n  rate: {enum: [0.1, 0.3, 0.2]}\n"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("", "unet done: dice_holdout 0.5000, 3 folds 0.5000 ± 0.0000; results in "),
        ("num_seeds: 2\n", "unet done: mean of 2 seeds, dice_holdout 0.5000; results in "),
        pytest.param(
            SEARCH,
            "unet done: best of 3 trials: trial {best}, dice_holdout 0.3000; results in ",
            marks=pytest.mark.skipif(find_spec("optuna") is None, reason="needs the extra search"),
        ),
    ],
)
def test_the_result_is_told_at_the_end(
    keys: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(schedule: Schedule, arguments: argparse.Namespace, **_: Any) -> bool:
        figure = (lambda config: config["lr"]) if "rate" in keys else (lambda config: 0.5)
        assert do_in_turn(schedule, Pretender(figure), nowhere()) == []
        return False

    monkeypatch.setattr(engines, "run", run)
    toy.register_small_net()
    folder = tmp_path / "experiments" / "unet"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(toy.CONFIG.replace("lr: 0.01\n", "" if "rate" in keys else "lr: 0.01\n") + keys)
    assert main(["fit", "--project", str(tmp_path)]) == 0
    best = [path.parent.name for path in folder.glob("trial*/config.yaml") if "lr: 0.3" in path.read_text()]
    expected = told.format(best=best[0].removeprefix("trial") if best else "")
    assert capsys.readouterr().out.splitlines()[-1] == f"{expected}{folder}"
