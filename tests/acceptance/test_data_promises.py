"""Promises about data, splits and sampling, named by their ids in the acceptance list; g1 to g10 are golden values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from musket.artifacts.layout import Layout
from musket.artifacts.splits import load_or_create
from musket.core.types import PredictionItem
from musket.data.identity import sample_ids
from musket.data.queue_settings import QUEUE
from musket.data.sampling import PartSampler, Positivity, part_order
from musket.data.split import SplitSettings, cut_folds, cut_holdout, split_record, splits_of
from segmentation_pipeline.impl import datasets, rle


def draw_pairs(folder: Path, count: int = 12) -> tuple[Path, Path]:
    """JPEG images and PNG masks of one stem; every third mask is empty."""
    images, masks = folder / "images", folder / "masks"
    images.mkdir()
    masks.mkdir()
    for number in range(count):
        Image.fromarray(np.full((12, 16, 3), 8 * number, np.uint8)).save(images / f"photo{number:02d}.jpg")
        mask = np.zeros((12, 16), np.uint8)
        mask[2:6, 3:9] = 255 * (number % 3 > 0)
        Image.fromarray(mask).save(masks / f"photo{number:02d}.png")
    return images, masks


def test_s6_jpg_and_png_are_matched_by_stem(tmp_path: Path) -> None:
    ds = datasets.SimplePNGMaskDataSet(*map(str, draw_pairs(tmp_path)))
    assert len(ds) == 12
    for number, item in enumerate(ds):
        assert item.id == f"photo{number:02d}"
        assert item.x.shape == (12, 16, 3)
        assert abs(int(item.x[0, 0, 0]) - 8 * number) <= 1
        assert item.y.sum() == (24 if number % 3 else 0)


def test_s10_two_experiments_on_the_same_data_have_equal_splits(tmp_path: Path) -> None:
    ds = datasets.SimplePNGMaskDataSet(*draw_pairs(tmp_path))
    settings = SplitSettings(testSplit=0.25, folds_count=3)
    layouts = [Layout(tmp_path / name / "config.yaml") for name in ("one", "two")]
    first, second = (
        load_or_create(layout, sample_ids(ds), split_record(ds, settings), lambda: splits_of(ds, settings))
        for layout in layouts
    )
    assert first == second
    assert layouts[0].folds_split.read_bytes() == layouts[1].folds_split.read_bytes()
    assert layouts[0].holdout_split.read_bytes() == layouts[1].holdout_split.read_bytes()


def test_s13_holdout_is_in_no_fold() -> None:
    splits = splits_of([None] * 25, SplitSettings(testSplit=0.4))
    assert splits.holdout is not None
    held = set(splits.holdout.validation)
    assert len(held) == round(0.4 * 25)
    assert not any(held & {*fold.train, *fold.validation} for fold in splits.folds)


def test_s25_dataset_of_run_length_rows(tmp_path: Path) -> None:
    class SegmentationRLE(datasets.DataSet):
        def __init__(self, rows: pd.DataFrame):
            self.groups = list(rows.groupby("ImageId"))

        def __len__(self) -> int:
            return len(self.groups)

        def __getitem__(self, index: int) -> PredictionItem:
            name, rows = self.groups[index]
            return PredictionItem(name, None, rle.masks_as_image(rows["EncodedPixels"]) > 0.5)

    frame = pd.DataFrame({"ImageId": ["b", "a", "b"], "EncodedPixels": ["1 3", float("nan"), "769 2"]})
    ds = SegmentationRLE(frame)
    assert sample_ids(ds) == ["a", "b"]
    assert not ds[0].y.any()
    assert ds[1].y.shape == (768, 768, 1)
    assert np.argwhere(ds[1].y[..., 0]).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]]


@pytest.mark.parametrize(("negatives", "count"), [("none", 8), ("real", 12), (1, 12), (0, 8)])
def test_s30_s31_counts_follow_is_positive(tmp_path: Path, negatives: str | int, count: int) -> None:
    asked = []

    class Positives(datasets.SimplePNGMaskDataSet):
        def isPositive(self, index: int) -> bool:
            asked.append(index)
            return bool(self.get_target(index).any())

    ds = Positives(*draw_pairs(tmp_path))
    sampler = PartSampler(range(12), negatives, Positivity(ds))
    assert len(sampler.order(0, 0)) == len(sampler.order(5, 0)) == count
    assert asked == ([] if negatives == "real" else list(range(12)))


def test_s37_masks_survive_a_submission_table(tmp_path: Path) -> None:
    mask = np.zeros((12, 16, 1), bool)
    mask[3:7, 4:11] = mask[0, 15] = True
    path = tmp_path / "submission.csv"
    pd.DataFrame.from_dict({"image": ["a"], "rle_mask": [rle.rle_encode(mask)]}).to_csv(path, index=False)
    read = pd.read_csv(path)
    assert list(read.columns) == ["image", "rle_mask"]
    np.testing.assert_array_equal(rle.rle_decode(read["rle_mask"][0], (12, 16)), mask[..., 0])


def test_s41_one_mask_per_component() -> None:
    mask = np.zeros((768, 768, 1), np.uint8)
    for top, left in ((10, 10), (10, 400), (500, 30)):
        mask[top : top + 20, left : left + 30] = 1
    parts = rle.masks_as_images(rle.multi_rle_encode(mask))
    assert len(parts) == 3
    assert [part.sum() for part in parts] == [600, 600, 600]
    np.testing.assert_array_equal(sum(parts), mask[..., 0])


def test_s53_queue_limit_is_set_by_the_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QUEUE, "AUGMENTER_QUEUE_LIMIT", 50)
    datasets.AUGMENTER_QUEUE_LIMIT = 3
    assert QUEUE.AUGMENTER_QUEUE_LIMIT == 3


def test_c5_two_methods_make_a_dataset() -> None:
    class ProteinDataGenerator:
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> PredictionItem:
            return PredictionItem(f"/data/{index}.png", np.zeros((4, 4, 3), np.uint8), np.zeros(28))

    ds = ProteinDataGenerator()
    assert sample_ids(ds)[3] == "/data/3.png"
    assert len(splits_of(ds, SplitSettings()).folds) == 5


# ------------------------------------------------------------------------------------------------ golden values


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(10, [[3, 8], [5, 9], [1, 6], [0, 2], [4, 7]], id="g1"),
        pytest.param(12, [[0, 5, 11], [3, 6, 10], [1, 9], [2, 8], [4, 7]], id="g2"),
    ],
)
def test_g1_g2_folds(count: int, expected: list[list[int]]) -> None:
    folds = cut_folds(count, SplitSettings(folds_count=5, random_state=33))
    assert [list(fold.validation) for fold in folds] == expected
    for fold in folds:
        assert list(fold.train) == [index for index in range(count) if index not in fold.validation]


@pytest.mark.parametrize(
    ("count", "share", "train", "held"),
    [
        pytest.param(10, 0.4, [8, 7, 5, 9, 2, 3], [6, 1, 4, 0], id="g3"),
        pytest.param(10, 0.25, [8, 7, 5, 9, 2, 3, 6, 1], [4, 0], id="g4"),
        pytest.param(5, 0.5, [3, 1], [4, 2, 0], id="g5"),
    ],
)
def test_g3_g4_g5_holdout(count: int, share: float, train: list[int], held: list[int]) -> None:
    split = cut_holdout(count, SplitSettings(testSplit=share, testSplitSeed=123))
    assert split is not None
    assert (list(split.train), list(split.validation)) == (train, held)


def test_g6_single_fold() -> None:
    [fold] = cut_folds(10, SplitSettings(folds_count=1, validationSplit=0.2, random_state=33))
    assert (list(fold.train), list(fold.validation)) == ([5, 9, 1, 6, 2, 0, 7, 4], [8, 3])


def test_g7_order_inside_a_part() -> None:
    assert part_order(range(8), "real") == [4, 5, 2, 3, 0, 6, 1, 7]
    assert PartSampler(range(8), "real").order(0, seed=99) == [4, 5, 2, 3, 0, 6, 1, 7]


def test_g8_chosen_negatives() -> None:
    assert part_order(range(8), 1, lambda index: index < 2) == [0, 1, 7, 2]


def test_g9_runs_of_a_small_mask() -> None:
    assert rle.rle_encode(np.array([[0, 1, 0], [1, 1, 0]])) == "2 3"


def test_g10_runs_of_more_masks() -> None:
    assert rle.rle_encode(np.array([[1, 0, 0, 1], [1, 0, 1, 1], [0, 0, 1, 0]])) == "1 2 8 4"
    assert rle.rle_encode(np.ones((2, 3))) == "1 6"
    assert rle.rle_encode(np.zeros((2, 3))) == ""
