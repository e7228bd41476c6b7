"""Values that no callback can work with are refused when it is made, hence by the config check, with their line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toy

import musket
from musket.core.errors import ConfigError, TrainingError
from musket.training.catalogue import CALLBACKS

REFUSED = [
    ("EarlyStopping", {"patience": -1}, "patience is -1; it must be 0 or more"),
    ("ReduceLROnPlateau", {"patience": -3}, "patience is -3; it must be 0 or more"),
    ("ReduceLROnPlateau", {"cooldown": -1}, "cooldown is -1; it must be 0 or more"),
    ("ReduceLROnPlateau", {"min_lr": -0.1}, "min_lr is -0.1; it must be 0 or more"),
    ("ReduceLROnPlateau", {"factor": 1.5}, "factor is 1.5; it must lie between 0 and 1"),
    ("TorchReduceLROnPlateau", {"patience": -1}, "patience is -1; it must be 0 or more"),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.01}, "base_lr is 0.1 and max_lr 0.01; base_lr is the lower bound"),
    ("CyclicLR", {"base_lr": -0.1}, "base_lr is -0.1; it must be 0 or more"),
    ("CyclicLR", {"gamma": 0.0}, "gamma is 0.0; it must be above 0"),
    ("CyclicLR", {"step_size": 0}, "step_size is 0; it must be at least 1 batch"),
    ("TensorBoard", {"histogram_freq": -1}, "histogram_freq is -1; it must be 0 or more"),
    ("ModelCheckpoint", {"filepath": "{epoch:02d"}, "filepath is '{epoch:02d'; it cannot be filled in"),
    ("ModelCheckpoint", {"filepath": "{}"}, "filepath is '{}'; it cannot be filled in"),
    ("ModelCheckpoint", {"filepath": "{epoch.x}"}, "filepath is '{epoch.x}'; it cannot be filled in"),
    ("ModelCheckpoint", {"filepath": "{val_loss:02d}"}, "filepath is '{val_loss:02d}'; it cannot be filled in"),
]


@pytest.mark.parametrize(("name", "options", "said"), REFUSED)
def test_made_in_python(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingError) as caught:
        CALLBACKS.load(name)(**options)
    assert str(caught.value).startswith(f"{name}: {said}")


@pytest.mark.parametrize(("name", "options", "said"), REFUSED)
def test_named_in_a_config(name: str, options: dict[str, Any], said: str, tmp_path: Path) -> None:
    toy.register_small_net()
    config = tmp_path / "config.yaml"
    lines = [f"    {option}: {value!r}\n" for option, value in options.items()]
    config.write_text(f"{toy.CONFIG}callbacks:\n  {name}:\n{''.join(lines)}")
    with pytest.raises(ConfigError) as caught:
        musket.parse(config)
    (problem,) = caught.value.problems
    assert problem.line == toy.CONFIG.count("\n") + 2
    assert problem.message.startswith(said)


def test_bounds_themselves_are_allowed() -> None:
    for name, options in (
        ("EarlyStopping", {"patience": 0}),
        ("ReduceLROnPlateau", {"patience": 0, "min_lr": 0.0}),
        ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.01, "step_size": 1}),
    ):
        CALLBACKS.load(name)(**options)


def test_a_checkpoint_named_after_what_is_not_logged_is_found_before_training(tmp_path: Path) -> None:
    def parsed(filepath: str) -> musket.Experiment:
        return toy.experiment(tmp_path, callbacks={"ModelCheckpoint": {"filepath": filepath}})

    with pytest.raises(ConfigError, match=r"filepath  \{val_dise\} cannot be filled in: .*nearest: val_dice"):
        parsed("{epoch}-{val_dise:.2f}.weights")
    parsed("{fold}.{stage}-{epoch:02d}-{val_dice:.2f}-{loss}-{lr:.0e}.weights")
    parsed("{{epoch}}.weights")
