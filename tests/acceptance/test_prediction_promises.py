"""Promises about prediction, kept with networks whose weights are written by hand.

The network of fold f and stage s is one 3 x 3 convolution without symmetry, times (f + 1) and (s + 1). What it gives is
computed a second time with OpenCV's filter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import musket
from musket.artifacts.checkpoint import save_weights
from musket.core.errors import ArtifactError, DataError, MusketError
from musket.experiment import inference
from musket.models.catalogue import ARCHITECTURES
from segmentation_pipeline import segmentation

CONFIG = """\
#%Musket Segmentation 1.0
architecture: one_filter
classes: 1
activation: none
shape: [24, 24, 3]
optimizer: Adam
lr: 0.01
batch: 2
inference_batch: 4
loss: mse
metrics: [binary_accuracy]
primary_metric: val_binary_accuracy
folds_count: 5
verbose: 0
stages:
  - epochs: 1
  - epochs: 1
"""

KERNEL = np.array([[0.05, 0.1, 0.0], [0.0, 0.3, 0.05], [0.02, 0.0, 0.08]], np.float32) / 6
FOLDS = 5


def one_filter(shape: tuple[int, int, int], classes: int) -> torch.nn.Module:
    return torch.nn.Conv2d(3, classes, 3, padding=1, bias=False)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, size in enumerate([(24, 24), (30, 41), (50, 20)]):
        picture = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"picture-{number}.png"), picture)
    return folder


def experiment(folder: Path, folds: int = FOLDS, **changes: Any) -> musket.Experiment:
    if "one_filter" not in ARCHITECTURES:
        ARCHITECTURES.add("one_filter", one_filter, "one convolution")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG)
    cfg = musket.parse(folder / "config.yaml", **changes)
    for fold in range(folds):
        for stage in range(2):
            kernel = torch.from_numpy(KERNEL * (fold + 1) * (stage + 1)).expand(1, 3, 3, 3)
            metadata = {"mean": [0.0] * 3, "std": [1.0] * 3}
            save_weights(cfg.layout.weights(fold, stage), {"network.weight": kernel}, metadata)
    return cfg


def filtered(image: np.ndarray) -> np.ndarray:
    """What the network of fold 0, stage 0 makes of H x W x 3 of 8 bits: H x W."""
    grey = image.astype(np.float32).sum(axis=2) / 255
    return cv2.filter2D(grey, -1, KERNEL, borderType=cv2.BORDER_CONSTANT)


def read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture[..., ::-1]


def collect(name: str, found: Any, data: dict[str, np.ndarray]) -> None:
    assert name not in data
    data[name] = np.array(found)


def test_s36_one_call_per_file_with_a_map_of_the_original_size(tmp_path: Path, images: Path) -> None:
    cfg, marker, calls = experiment(tmp_path / "exp"), object(), {}

    def on_predict(name: str, found: Any, data: object) -> None:
        assert data is marker
        assert found.arr.dtype == np.float32
        calls[name] = found.arr.shape

    cfg.predict_in_directory(str(images), 0, 0, on_predict, marker)
    assert calls == {"picture-0.png": (24, 24, 1), "picture-1.png": (30, 41, 1), "picture-2.png": (50, 20, 1)}


def test_s38_folds_are_averaged_and_the_stage_may_be_left_out(tmp_path: Path, images: Path) -> None:
    cfg, found = experiment(tmp_path / "exp"), {}
    cfg.predict_in_directory(images, [0, 1, 2, 3, 4], collect, found)
    # Folds 1 to 5 times the last stage's 2.
    expected = filtered(read(images / "picture-0.png")) * 2 * np.mean([1, 2, 3, 4, 5])
    np.testing.assert_allclose(found["picture-0.png"][..., 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["in_order", "by_name"])
def test_s38_the_call_without_a_stage_takes_data_in_order_and_by_name(tmp_path: Path, images: Path, form: str) -> None:
    cfg, found = experiment(tmp_path / "exp", folds=1), {}
    if form == "in_order":
        cfg.predict_in_dataset(musket_directory(images), 0, collect, found)
    else:
        cfg.predict_in_dataset(musket_directory(images), 0, collect, data=found)
    assert len(found) == 3
    with pytest.raises(MusketError, match="a function to call"):
        cfg.predict_in_directory(images, 0, 0)


def musket_directory(path: Path) -> Any:
    from segmentation_pipeline.impl.datasets import DirectoryDataSet

    return DirectoryDataSet(path)


VIEWS = {
    False: [(0, False, False)],
    "Horizontal": [(0, False, False), (0, True, False)],
    "Horizontal_and_vertical": [(0, False, False), (0, True, False), (0, False, True), (0, True, True)],
    True: [(turns, mirror, False) for turns in range(4) for mirror in (False, True)],
}


def mean_over(image: np.ndarray, views: list[tuple[int, bool, bool]]) -> np.ndarray:
    """Mean of the filter's answers to the views, each brought back with numpy."""
    found = []
    for turns, mirrored, upside_down in views:
        seen = image[:, ::-1] if mirrored else image
        seen = np.rot90(seen[::-1] if upside_down else seen, turns)
        scores = np.rot90(filtered(np.ascontiguousarray(seen)), -turns)
        scores = scores[::-1] if upside_down else scores
        found.append(scores[:, ::-1] if mirrored else scores)
    return np.mean(found, axis=0)


@pytest.mark.parametrize("ttflips", VIEWS)
@pytest.mark.parametrize("by_config", [False, True])
def test_s39_ttflips_is_the_mean_over_views_mapped_back(
    tmp_path: Path, images: Path, ttflips: str | bool, by_config: bool
) -> None:
    changes = {"testTimeAugmentation": ttflips} if by_config else {}
    cfg, found = experiment(tmp_path / "exp", folds=1, **changes), {}
    argument = "Horizontal" if by_config and ttflips else ttflips  # what the config asks for wins
    cfg.predict_in_directory(images, 0, 0, collect, found, ttflips=argument)
    expected = mean_over(read(images / "picture-0.png"), VIEWS[ttflips])
    np.testing.assert_allclose(found["picture-0.png"][..., 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ttflips", ["Horizontal", "Horizontal_and_vertical", True])
def test_s39_symmetric_input_gives_symmetric_output(tmp_path: Path, ttflips: str | bool) -> None:
    cfg = experiment(tmp_path, folds=1)
    half = np.random.default_rng(3).integers(0, 256, (24, 12, 3), dtype=np.uint8)
    image = np.concatenate([half, half[:, ::-1]], axis=1)
    plain = cfg.load_model(0, 0).predict(image[None])[0]
    found = cfg.load_model(0, 0).predict(image[None], ttflips=ttflips)[0]
    assert np.abs(plain - plain[:, ::-1]).max() > 0.01
    np.testing.assert_allclose(found, found[:, ::-1], atol=1e-6)


def test_x7_s35_cells_are_put_together_to_one_mask_of_the_original_size(tmp_path: Path, images: Path) -> None:
    """24 pixels in 3 x 3 cells: the network sees cells of 8 x 8, each with its own zero border."""
    cfg, found = experiment(tmp_path / "exp", folds=1, crops=3), {}
    cfg.predict_in_directory(images, 0, 0, collect, found)
    whole = experiment(tmp_path / "whole", folds=1)
    for name, scores in found.items():
        height, width = read(images / name).shape[:2]
        assert scores.shape == (height, width, 1)
    image = read(images / "picture-0.png")
    rows = [[filtered(image[y : y + 8, x : x + 8].copy()) for x in (0, 8, 16)] for y in (0, 8, 16)]
    np.testing.assert_allclose(found["picture-0.png"][..., 0], np.block(rows), rtol=1e-5, atol=1e-6)
    assert whole.predict_all_to_array(musket_directory(images), 0, 0, limit=1).shape == (1, 24, 24, 1)


def test_s35_the_network_of_768_and_3_sees_256(tmp_path: Path) -> None:
    sizes: list[tuple[int, ...]] = []
    cfg = experiment(tmp_path, folds=1, shape=[768, 768, 3], crops={"cells": 3, "overlap": 0.25})
    model = cfg.load_model(0, 0)
    plain = model.forwards[0]

    def spy(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(batch.shape[1:]))
        return plain(batch)

    model.forwards[0] = spy
    assert model.predict(np.zeros((1, 300, 500, 3), np.uint8)).shape == (1, 300, 500, 1)
    assert set(sizes) == {(3, 256, 256)}


def test_s60_large_ensembles_to_folders_and_their_mean(tmp_path: Path, images: Path) -> None:
    cfg = experiment(tmp_path / "exp")
    runs = [f"{tmp_path}/a/", f"{tmp_path}/b/"]
    square = tmp_path / "square"
    square.mkdir()
    (square / "picture-0.png").write_bytes((images / "picture-0.png").read_bytes())
    cfg.predict_to_directory(str(square), runs[0], [0, 1, 4, 2], 1, ttflips=True, binaryArray=True)
    cfg.predict_to_directory(str(square), runs[1], [0, 1, 4, 2], 0, ttflips=True, binaryArray=True)
    assert [path.name for path in Path(runs[0]).iterdir()] == ["picture-0.npy"]
    found: dict[str, np.ndarray] = {}
    segmentation.ansemblePredictions(str(square), runs, collect, found)
    base = mean_over(read(square / "picture-0.png"), VIEWS[True]) * np.mean([1, 2, 5, 3])
    np.testing.assert_allclose(found["picture-0.png"][..., 0], base * (2 + 1) / 2, rtol=1e-5, atol=1e-6)
    found.clear()
    segmentation.ansemblePredictions(str(square), runs, collect, found, weights=[1, 3])
    np.testing.assert_allclose(found["picture-0.png"][..., 0], base * (2 + 3) / 4, rtol=1e-5, atol=1e-6)


def test_weights_of_members_folds_outermost(tmp_path: Path, images: Path) -> None:
    cfg = experiment(tmp_path / "exp")
    [scores] = cfg.predict_all_to_array(musket_directory(images), [0, 2], None, limit=1, weights=[4, 2, 1, 1])
    expected = filtered(read(images / "picture-0.png")) * (4 * 1 + 2 * 2 + 1 * 3 + 1 * 6) / 8
    np.testing.assert_allclose(scores[..., 0], expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(MusketError, match="one per member is needed, that is 4; found 2"):
        cfg.load_model([0, 2], None, weights=[1, 2])


def test_weights_stay_with_their_members_when_one_is_missing(tmp_path: Path, images: Path) -> None:
    cfg = experiment(tmp_path / "exp", folds=3)
    with pytest.warns(UserWarning, match="no weights of fold 3 stage 0"):
        model = cfg.load_model([3, 0, 2], 0, weights=[5, 1, 3])
    [scores] = model.predict(read(images / "picture-0.png")[None])
    expected = filtered(read(images / "picture-0.png")) * (1 * 1 + 3 * 3) / 4
    np.testing.assert_allclose(scores[..., 0], expected, rtol=1e-5, atol=1e-6)


def test_an_ensemble_larger_than_the_device_takes_turns_and_gives_the_same(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = experiment(tmp_path / "exp")
    kept = cfg.load_model(None, None)
    monkeypatch.setattr(inference, "memory_for_networks", lambda device: 3 * KERNEL.nbytes)
    turning = cfg.load_model(None, None)
    assert (len(kept.modules), len(turning.modules), len(turning.forwards)) == (10, 1, 10)
    pictures = [read(path) for path in sorted(images.iterdir())] * 5
    for one, other in zip(kept.predict(pictures), turning.predict(pictures), strict=True):
        np.testing.assert_array_equal(one, other)


def test_separate_predictions_or_one_model_are_the_same_numbers(tmp_path: Path, images: Path) -> None:
    separate, joint = (
        experiment(tmp_path / str(key), separatePredictions=key).predict_all_to_array(
            musket_directory(images), None, None, limit=1
        )
        for key in (True, False)
    )
    np.testing.assert_array_equal(separate, joint)


def test_manual_resize_resizes_nothing(tmp_path: Path, images: Path) -> None:
    cfg, found = experiment(tmp_path / "exp", folds=1, manualResize=True), {}
    cfg.predict_in_directory(images, 0, 0, collect, found)
    for name, scores in found.items():
        np.testing.assert_allclose(scores[..., 0], filtered(read(images / name)), rtol=1e-5, atol=1e-6)


def test_manual_resize_names_images_the_network_cannot_take(tmp_path: Path, images: Path) -> None:
    cfg = experiment(tmp_path / "exp", folds=1, manualResize=True)
    model = cfg.load_model(0, 0)

    def picky(batch: torch.Tensor) -> torch.Tensor:
        if batch.shape[3] % 4:
            raise RuntimeError("width must be divisible by 4")
        return batch[:, :1].float()

    model.forwards[0] = picky
    with pytest.raises(DataError, match=r"sample '1'.*30 x 41 pixels: width must be divisible by 4"):
        model.predict([read(path) for path in sorted(images.iterdir())])


def test_transforms_are_applied_to_images_and_undone_on_maps(tmp_path: Path, images: Path) -> None:
    """Mirrored and turned upside down in, filtered, and back again: the filter itself seems to be turned by 180."""
    cfg = experiment(tmp_path / "exp", folds=1, transforms={"Fliplr": 1.0, "Flipud": 1.0})
    found: dict[str, np.ndarray] = {}
    cfg.predict_in_directory(images, 0, 0, collect, found)
    image = read(images / "picture-0.png")
    expected = filtered(np.ascontiguousarray(image[::-1, ::-1]))[::-1, ::-1]
    np.testing.assert_allclose(found["picture-0.png"][..., 0], expected, rtol=1e-5, atol=1e-6)
    assert found["picture-1.png"].shape == (30, 41, 1)


def test_arrays_come_with_ids_and_in_dataset_order(tmp_path: Path, images: Path) -> None:
    cfg = experiment(tmp_path / "exp", folds=1)
    for number in (1, 2):
        (images / f"picture-{number}.png").write_bytes((images / "picture-0.png").read_bytes())
    array, ids = cfg.predict_all_to_array_with_ids(musket_directory(images), 0, 0)
    assert ids == [f"picture-{number}.png" for number in range(3)]
    assert array.shape == (3, 24, 24, 1)
    assert cfg.predict_all_to_array(musket_directory(images), 0, 0, limit=0).shape[0] == 0


def test_an_array_of_maps_of_different_sizes_is_refused(tmp_path: Path, images: Path) -> None:
    with pytest.raises(MusketError, match=r"picture-0\.png is 24 x 24, that of picture-1\.png 30 x 41"):
        experiment(tmp_path / "exp", folds=1).predict_all_to_array(musket_directory(images), 0, 0)


def test_failed_samples_are_reported_by_every_method(tmp_path: Path, images: Path) -> None:
    cfg, found = experiment(tmp_path / "exp", folds=1, manualResize=True), {}
    (images / "picture-1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 of 3 images.*\n.*picture-1\.png"):
        cfg.predict_in_dataset(musket_directory(images), 0, 0, collect, found)
    assert sorted(found) == ["picture-0.png", "picture-2.png"]
    with pytest.raises(DataError, match=r"1 of 3 images"):
        cfg.predict_to_directory(images, tmp_path / "out", 0, 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["picture-0.png", "picture-2.png"]
    with pytest.raises(DataError, match=r"picture-1\.png"):
        list(cfg.predict_on_dataset(musket_directory(images), 0, 0))


def test_unknown_views_and_folds_are_refused(tmp_path: Path, images: Path) -> None:
    cfg = experiment(tmp_path / "exp", folds=1)
    with pytest.raises(MusketError, match="known are Horizontal"):
        cfg.predict_to_directory(images, tmp_path / "out", 0, 0, ttflips="Sideways")
    with pytest.raises(ArtifactError, match="no fold 7"):
        cfg.predict_to_directory(images, tmp_path / "out", 7, 0)


def test_every_name_of_views_is_known_to_the_config(tmp_path: Path) -> None:
    from musket.predict.views import NAMED

    for name in NAMED:
        experiment(tmp_path, folds=0, testTimeAugmentation=name)
