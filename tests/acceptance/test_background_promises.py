"""BackgroundReplacer from the config to what the network is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import toy

import musket
from musket.core.errors import ConfigError, DataError
from musket.experiment import reading

GREEN = (10, 250, 10)  # no pixel of a disc is like it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "backgrounds").mkdir()
    picture = np.empty((30, 20, 3), np.uint8)
    picture[:] = GREEN[::-1]
    cv2.imwrite(str(tmp_path / "backgrounds" / "green.png"), picture)
    return tmp_path


def experiment(folder: Path, options: Any, **changes: Any) -> musket.Experiment:
    """The toy experiment at the size of its images, so that nothing is resized."""
    steps = {"BackgroundReplacer": options}
    return toy.experiment(folder, **{"augmentation": steps, "shape": [40, 48, 3], "folds_count": 1, **changes})


def samples(cfg: musket.Experiment, count: int, epoch: int = 0) -> list[tuple[Any, musket.PredictionItem]]:
    """Training samples beside the items they are made of."""
    dataset = toy.Drawn(count)
    maker = reading.training_maker(cfg.spec, dataset, dataset.sample_ids(), 1, [cfg.layout.folder])
    return [(maker(index, epoch), dataset[index]) for index in range(count)]


def is_green(image: np.ndarray) -> np.ndarray:
    return (image == GREEN).all(axis=2)


def test_s21_rate_is_the_share_of_training_images_that_keep_their_background(folder: Path) -> None:
    replaced = 0
    for sample, item in samples(experiment(folder, {"path": "backgrounds", "rate": 0.7}), 200):
        objects = item.y[..., 0]
        np.testing.assert_array_equal(sample.image[objects], item.x[objects])
        np.testing.assert_array_equal(sample.target[..., 0], objects)
        if is_green(sample.image).any():
            replaced += 1
            np.testing.assert_array_equal(is_green(sample.image), ~objects)
        else:
            np.testing.assert_array_equal(sample.image, item.x)
    assert abs(replaced - 60) < 5 * (200 * 0.3 * 0.7) ** 0.5


def test_s21_backgrounds_change_from_epoch_to_epoch_and_are_the_same_again(folder: Path) -> None:
    cfg = experiment(folder, {"path": "backgrounds"})

    def replaced(epoch: int) -> list[bool]:
        return [bool(is_green(sample.image).any()) for sample, _ in samples(cfg, 40, epoch)]

    assert replaced(3) == replaced(3)
    assert replaced(3) != replaced(4)
    assert 8 < sum(replaced(3)) < 32  # half of them by default


def test_s21_validation_and_prediction_never_see_other_backgrounds(folder: Path) -> None:
    seen: list[np.ndarray] = []
    trained: list[np.ndarray] = []

    @musket.callback
    class Look(musket.Hook):
        def on_epoch_end(self, run: Any, row: dict[str, float]) -> None:
            assert run.samples is not None
            seen.append(run.samples[0])

    plain = reading.ReplaceBackground.__call__

    def spied(self: Any, *arrays: Any) -> Any:
        result = plain(self, *arrays)
        trained.append(result[0])
        return result

    cfg = experiment(folder, {"path": "backgrounds", "rate": 0}, callbacks={"Look": {}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading.ReplaceBackground, "__call__", spied)
        cfg.fit(toy.Drawn())
    assert all(is_green(image).any() for image in trained)
    assert len(trained) >= 2 * 6
    assert not any(is_green(image).any() for images in seen for image in images)
    scores = cfg.load_model(0, 0).predict(np.stack([toy.draw_disc(1)[0]]))
    assert scores.shape == (1, 40, 48, 1)


def test_s21_the_step_may_stand_anywhere_in_the_chain_and_comes_first(folder: Path) -> None:
    steps = {"Fliplr": 1.0, "BackgroundReplacer": {"path": "backgrounds", "rate": 0}, "Invert": 1.0}
    cfg = experiment(folder, None, augmentation=steps)
    [(sample, item)] = samples(cfg, 1)
    objects = item.y[:, ::-1, 0]
    np.testing.assert_array_equal(sample.image[objects], 255 - item.x[:, ::-1][objects])
    assert (sample.image[~objects] == 255 - np.array(GREEN)).all()


def test_s54_augmenters_run_before_pasting_and_erosion_is_drawn(folder: Path) -> None:
    options = {"path": "backgrounds", "rate": 0, "erosion": [0, 5], "augmenters": {"Fliplr": 1.0, "Invert": 1.0}}
    rims = set()
    for sample, item in samples(experiment(folder, options), 60):
        objects = item.y[:, ::-1, 0].astype(np.uint8)
        np.testing.assert_array_equal(sample.target[..., 0], objects)  # moved with the image, not eroded
        pasted = ~is_green(sample.image)
        np.testing.assert_array_equal(sample.image[pasted], 255 - item.x[:, ::-1][pasted])
        sides = [
            side
            for side in range(1, 6)
            if np.array_equal(cv2.erode(objects, np.ones((side, side), np.uint8)).astype(bool), pasted)
        ]
        assert len(sides) == 1
        rims.add(sides[0])
    assert rims == {1, 2, 3, 4, 5}  # 0 and 1 erode nothing


def test_s54_augmenters_that_change_the_size_are_brought_back(folder: Path) -> None:
    options = {"path": "backgrounds", "rate": 0, "augmenters": {"Pad": {"px": [10, 10, 10, 10]}}}
    [(sample, item)] = samples(experiment(folder, options), 1)
    assert sample.image.shape == (40, 48, 3)
    assert 0.3 < sample.target.sum() / item.y.sum() < 0.6  # 40 x 48 of 60 x 68


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ({"BackgroundReplacer": {"rate": 0.5}}, "BackgroundReplacer needs path"),
        ({"BackgroundReplacer": {"path": ""}}, "path names a folder"),
        ({"BackgroundReplacer": {"path": "b", "rate": 1.5}}, "rate must lie from 0 to 1; found 1.5"),
        ({"BackgroundReplacer": {"path": "b", "rate": "often"}}, "rate.*must be a number"),
        ({"BackgroundReplacer": {"path": "b", "erosion": -1}}, "erosion must lie"),
        ({"BackgroundReplacer": {"path": "b", "erosion": [1, 2, 3]}}, "erosion.*whole number"),
        ({"BackgroundReplacer": {"path": "b", "augmenters": {"Flplr": 1}}}, "no such augmenter; nearest: Fliplr"),
        ({"Sequential": {"BackgroundReplacer": {"path": "b"}}}, "stands directly under augmentation"),
    ],
)
def test_s21_s54_options_are_checked(steps: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        experiment(tmp_path, None, augmentation=steps)


def test_s21_in_transforms_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stands directly under augmentation, nowhere else"):
        experiment(tmp_path, None, augmentation={}, transforms={"BackgroundReplacer": {"path": "b"}})


def test_s21_a_missing_folder_is_told_before_training(folder: Path) -> None:
    cfg = experiment(folder, {"path": "nowhere"})
    with pytest.raises(DataError, match="nowhere: no such folder of background pictures"):
        cfg.fit(toy.Drawn())
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no picture in this folder"):
        experiment(folder, {"path": "empty"}).fit(toy.Drawn())
    assert not list(folder.glob("weights/*"))
