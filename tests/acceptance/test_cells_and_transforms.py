"""Cells of large images, transforms, images at their own size: from the config through fit to prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import toy

import musket
from musket.core.errors import DataError
from musket.data.crops import CropAndSplit
from musket.experiment import reading, unit
from musket.models.catalogue import ARCHITECTURES


class Big(toy.Drawn):
    """Discs on images of 96 x 96 pixels."""

    def __getitem__(self, index: int) -> musket.PredictionItem:
        image, mask = toy.draw_disc(index, 96, 96)
        return musket.PredictionItem(f"disc-{index:02}", image, mask[..., None].astype(bool))


class Probe(torch.nn.Module):
    """Logits that give back the red channel, and the sizes of what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.mean, self.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(images.shape[-2:]))
        return self.scale * images[:, :1]


PROBES: list[Probe] = []


def probe(classes: int, shape: tuple[int, int, int]) -> torch.nn.Module:
    PROBES.append(Probe())
    return PROBES[-1]


@pytest.fixture(autouse=True)
def probes() -> None:
    PROBES.clear()
    if "probe" not in ARCHITECTURES:
        ARCHITECTURES.add("probe", probe, "red channel")


def probed(folder: Path, **changes: object) -> musket.Experiment:
    plain = {"architecture": "probe", "activation": "linear", "loss": "mse", "lr": 1e-9, "augmentation": None}
    return toy.experiment(folder, **{**plain, "folds_count": 2, "stages": [{"epochs": 1}], **changes})


def test_s35_cells_multiply_the_data_and_shrink_the_input(tmp_path: Path) -> None:
    cfg = probed(tmp_path, crops=3, shape=[96, 96, 3], testSplit=0)
    cfg.fit(Big(8))
    assert {size for each in PROBES for size in each.seen} == {(32, 32)}
    assert len(CropAndSplit(Big(8), 3)) == 72


def test_s35_the_cells_of_an_image_never_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = toy.experiment(tmp_path, crops=3, shape=[96, 96, 3], testSplit=0.25, folds_count=3)
    data = cfg._prepare(Big(12))
    from musket.experiment.prepare_data import samples_of

    cells = samples_of(cfg.spec, data)
    held = {cells.ids[position].partition("#")[0] for position in cells.holdout}
    for fold, whole in zip(cells.folds, data.folds, strict=True):
        train, validation = ({cells.ids[at].partition("#")[0] for at in part} for part in (fold.train, fold.validation))
        assert not train & validation
        assert not held & (train | validation)
        assert len(fold.train) == 9 * len(whole.train)


@pytest.mark.parametrize("crops", [3, {"cells": 3, "overlap": 0.3}, {"cells": 2, "overlap": 0.5, "blend": "cosine"}])
def test_x7_cells_are_invisible_to_who_asks_for_predictions(tmp_path: Path, crops: object) -> None:
    cfg = probed(tmp_path, crops=crops, shape=[96, 96, 3])
    cfg.fit(Big(8))
    ramp = np.tile(np.linspace(0, 255, 90).astype(np.uint8)[None, :, None], (60, 1, 3))
    for image in (ramp, toy.draw_disc(1, 96, 96)[0]):
        [scores] = cfg.load_model(0).predict([image])
        assert scores.shape == (*image.shape[:2], 1)
    [scores] = cfg.load_model(0).predict([ramp])
    assert scores[..., 0] == pytest.approx(ramp[..., 0] / 255, abs=0.03)


def test_transforms_reach_training_validation_and_prediction(tmp_path: Path) -> None:
    cfg = probed(tmp_path, transforms={"Invert": 1.0}, testSplit=0)
    cfg.fit(toy.Drawn(8))
    dark = np.full((40, 48, 3), 255, np.uint8)
    [scores] = cfg.load_model(0).predict([dark])
    assert scores == pytest.approx(0, abs=1e-6)


def test_a_transform_that_moves_pixels_is_undone_in_predictions(tmp_path: Path) -> None:
    cfg = probed(tmp_path, transforms={"Fliplr": 1.0}, testSplit=0)
    cfg.fit(toy.Drawn(8))
    ramp = np.tile(np.linspace(0, 255, 48).astype(np.uint8)[None, :, None], (40, 1, 3))
    [scores] = cfg.load_model(0).predict([ramp])
    assert scores[..., 0] == pytest.approx(ramp[..., 0] / 255, abs=0.03)


def test_manual_resize_leaves_sizes_alone(tmp_path: Path) -> None:
    cfg = probed(tmp_path, manualResize=True, shape=[32, 32, 3])
    cfg.fit(toy.Drawn(8))
    assert {size for each in PROBES for size in each.seen} == {(40, 48)}


def test_manual_resize_needs_images_of_one_size_in_a_batch(tmp_path: Path) -> None:
    class Mixed(toy.Drawn):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            image, mask = toy.draw_disc(index, 40 + index, 48)
            return musket.PredictionItem(f"disc-{index:02}", image, mask[..., None].astype(bool))

    cfg = probed(tmp_path, manualResize=True)
    with pytest.raises(DataError, match=r"disc-\d\d \(4\d x 48.*differ in size"):
        cfg.fit(Mixed(12))


def test_s21_backgrounds_are_replaced_in_training_alone(tmp_path: Path) -> None:
    import cv2

    (tmp_path / "backs").mkdir()
    cv2.imwrite(str(tmp_path / "backs" / "green.png"), np.full((20, 20, 3), (0, 200, 0), np.uint8))
    cfg = toy.experiment(tmp_path, augmentation={"BackgroundReplacer": {"path": "backs", "rate": 0.0}})
    data = cfg._prepare(toy.Drawn(8))
    training = reading.training_maker(cfg.spec, data.dataset, data.ids, 1, [tmp_path])
    judged = reading.evaluation_maker(cfg.spec, data.dataset, data.ids)
    seen, plain = training(0, 0), judged(0, 0)
    assert (seen.target == plain.target).all()
    assert (seen.image[seen.target[..., 0] == 0][:, 1] == 200).mean() > 0.95
    assert (plain.image[..., 1] == 200).mean() < 0.05
    assert cfg.fit(toy.Drawn(8))["completed"]


def test_augmentation_is_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    from musket.data.loader import BatchLoader

    chain = {
        "Fliplr": 0.5,
        "Affine": {"scale": [0.8, 1.2], "rotate": [-30, 30]},
        "OneOf": {"GaussianBlur": [0.5, 1.5], "AdditiveGaussianNoise": [1, 9]},
        "Multiply": [0.8, 1.2],
    }
    cfg = toy.experiment(tmp_path, augmentation=chain)
    data = cfg._prepare(toy.Drawn(12))
    maker = reading.training_maker(cfg.spec, data.dataset, data.ids, 7, [tmp_path])
    found = []
    for workers in (0, 1, 4):
        loader = BatchLoader(maker, lambda epoch: list(range(12)), 4, augmented=True, epochs=3, workers=workers)
        found.append(torch.cat([batch.images for epoch in (0, 2) for batch in loader.epoch(epoch)]))
        loader.close()
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0][:12], found[0][12:])


def test_s20_a_resumed_run_sees_the_augmentation_it_would_have_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = {"Fliplr": 0.5, "Affine": {"rotate": [-45, 45]}, "AdditiveGaussianNoise": [2, 20]}
    seen: dict[str, list[torch.Tensor]] = {}

    def run(folder: Path, epochs: list[int], name: str) -> None:
        original = unit.BatchLoader.epoch

        def epoch(self: unit.BatchLoader, number: int):
            for batch in original(self, number):
                if self.drop_last and number == 1:
                    seen.setdefault(name, []).append(batch.images.clone())
                yield batch

        with monkeypatch.context() as patch:
            patch.setattr(unit.BatchLoader, "epoch", epoch)
            for count in epochs:
                cfg = toy.experiment(folder, augmentation=chain, folds_count=1, stages=[{"epochs": count}])
                cfg.setAllowResume(True)
                cfg.fit(toy.Drawn(14))

    run(tmp_path / "whole", [2], "whole")
    run(tmp_path / "parted", [1, 2], "parted")
    assert all(torch.equal(*pair) for pair in zip(seen["whole"], seen["parted"], strict=True))
