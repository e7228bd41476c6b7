"""Networks with several outputs, and inputs normalised as the config says."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import toy

import musket
from musket.artifacts import records
from musket.artifacts.checkpoint import load_weights, read_metadata
from musket.core.errors import DataError
from musket.models.catalogue import ARCHITECTURES


class TwoOutputs(toy.Drawn):
    """The disc as the first output, disc and background as the second."""

    def __getitem__(self, index: int) -> musket.PredictionItem:
        item = super().__getitem__(index)
        return musket.PredictionItem(item.id, item.x, [item.y, np.concatenate([item.y, ~item.y], axis=2)])


class TwoHeads(torch.nn.Module):
    """Two convolutions side by side: a list of outputs, as own networks may return."""

    def __init__(self, shape: tuple[int, int, int]):
        super().__init__()
        self.first = torch.nn.Conv2d(shape[2], 1, 3, padding=1)
        self.second = torch.nn.Conv2d(shape[2], 2, 3, padding=1)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [self.first(images), self.second(images)]


def two_heads(shape: tuple[int, int, int], classes: int) -> torch.nn.Module:
    return TwoHeads(shape)


OUTPUTS = {
    "classes": [1, 2],
    "activation": ["sigmoid", "softmax"],
    "loss": ["binary_crossentropy", "categorical_crossentropy+0.1*dice_loss"],
    "folds_count": 1,
    "stages": [{"epochs": 1}, {"epochs": 1, "loss": ["dice_loss", "categorical_crossentropy"]}],
}


@pytest.mark.parametrize("architecture", ["small_net", "two_heads"])
def test_s15_a_loss_for_every_output(tmp_path: Path, architecture: str) -> None:
    if "two_heads" not in ARCHITECTURES:
        ARCHITECTURES.add("two_heads", two_heads, "two outputs")
    cfg = toy.experiment(tmp_path, architecture=architecture, **OUTPUTS)
    cfg.fit(TwoOutputs())
    for stage in (0, 1):
        with open(cfg.layout.metrics(0, stage), newline="") as file:
            [row] = csv.DictReader(file)
        for prefix in ("", "val_"):
            total = float(row[f"{prefix}loss_0"]) + float(row[f"{prefix}loss_1"])
            assert float(row[f"{prefix}loss"]) == pytest.approx(total, rel=1e-5)
    scores = cfg.load_model(0).predict([toy.draw_disc(3)[0]])[0]
    assert scores.shape == (40, 48, 3)
    assert scores[..., 1:].sum(axis=2) == pytest.approx(1, abs=1e-4)


def test_s15_outputs_that_the_masks_do_not_fit(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, **{**OUTPUTS, "classes": [1, 3]})
    with pytest.raises(DataError, match="the mask has 3 channels, the config says classes: 4"):
        cfg.fit(TwoOutputs())


def test_normalize_is_used_and_stored_with_the_weights(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, folds_count=1, normalize={"mean": [0.5, 0.25, 0.125], "std": [2, 2, 2]})
    cfg.fit(toy.Drawn())
    stored = read_metadata(cfg.layout.weights(0, 0))
    assert (stored["mean"], stored["std"]) == ([0.5, 0.25, 0.125], [2.0, 2.0, 2.0])


def test_no_train_judges_the_weights_training_starts_from(tmp_path: Path) -> None:
    trained = toy.experiment(tmp_path / "trained", folds_count=1)
    trained.fit(toy.Drawn())
    weights = str(trained.layout.weights(0, 0))
    judged = toy.experiment(
        tmp_path / "judged", folds_count=1, noTrain=True, stages=[{"epochs": 1, "initial_weights": weights}]
    )
    summary = judged.fit(toy.Drawn())
    assert summary["allStages"]["dice"] == records.read_yaml(trained.layout.summary)["allStages"]["dice"]
    assert load_weights(judged.layout.weights(0, 0))[0].keys() == load_weights(trained.layout.weights(0, 0))[0].keys()
