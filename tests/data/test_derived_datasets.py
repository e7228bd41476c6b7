"""Cells, blended, pasted, texted and cropped datasets: what they show, and what they keep of their child."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from musket.core.errors import DataError, MusketError
from musket.core.types import PredictionItem, Sample
from musket.data.aspect import AspectRatioDataSet
from musket.data.blending import BlendedDataSet, DropItemsDataset
from musket.data.crops import CropAndSplit, cells_of
from musket.data.dataset import CompositeDataSet, DataSet, SubDataSet, teller
from musket.data.derived import DerivedDataSet, TrainingView
from musket.data.draws import draws, reading_epoch
from musket.data.identity import sample_ids
from musket.data.loader import BatchLoader
from musket.data.split import SplitSettings, splits_of
from musket.data.text_masks import TextMaskGenerator


class Numbered(DataSet):
    """Images whose pixels tell their place: red the row, green the column, blue the item. Mask: rows above the item."""

    def __init__(self, count: int = 4, height: int = 7, width: int = 10):
        self.count, self.size = count, (height, width)
        self.read = 0
        self.holdoutArr = [count - 1]
        self.folds = [(list(range(1, count - 1)), [0])]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> PredictionItem:
        self.read += 1
        rows, columns = np.mgrid[: self.size[0], : self.size[1]]
        image = np.dstack([rows, columns, np.full(self.size, index)]).astype(np.uint8)
        return PredictionItem(f"n{index}", image, (rows < index)[..., None])

    def isPositive(self, index: int) -> bool:
        return index > 0

    def get_stratify_class(self, index: int) -> str:
        return "odd" if index % 2 else "even"

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> dict[str, Any]:
        return {"id": item.id}


PICTURES = [np.full((5, 5, 3), 200, np.uint8), np.full((9, 4, 3), 100, np.uint8)]
OBJECTS = [
    PredictionItem("o", np.full((6, 4, 3), 255, np.uint8), np.pad(np.ones((4, 2, 1), bool), ((1, 1), (1, 1), (0, 0))))
]

DERIVED: dict[str, Callable[[Any], Any]] = {
    "plain": DerivedDataSet,
    "blended": lambda child: BlendedDataSet(child, PICTURES, None),
    "pasted": lambda child: DropItemsDataset(child, OBJECTS),
    "ratio": lambda child: AspectRatioDataSet(child, (1, 1), "random"),
    "training": lambda child: TrainingView(child, BlendedDataSet(child, PICTURES, None)),
}


@pytest.mark.parametrize("kind", DERIVED)
def test_what_the_child_tells_is_kept(kind: str) -> None:
    child = Numbered()
    dataset = DERIVED[kind](child)
    assert len(dataset) == 4
    assert sample_ids(dataset) == ["n0", "n1", "n2", "n3"]
    assert dataset.child is dataset.parent is child
    assert dataset.root() is child
    assert dataset.folds == child.folds
    assert dataset.holdoutArr == [3]
    assert [dataset.isPositive(index) for index in range(4)] == [False, True, True, True]
    assert dataset.get_target(2).shape == dataset[2].y.shape
    assert dataset.encode(dataset[1]) == {"id": "n1"}
    for view in (dataset, SubDataSet(dataset, [0, 1, 2, 3]), CompositeDataSet([dataset])):
        tell = teller(view, "get_stratify_class")
        assert tell is not None
        assert tell(3) == "odd"
    assert [item.id for item in dataset[1:3]] == ["n1", "n2"]
    assert teller(dataset, "get_group") is None


@pytest.mark.parametrize("kind", [kind for kind in DERIVED if kind != "ratio"])
def test_items_for_validation_are_the_childs(kind: str) -> None:
    child = Numbered()
    dataset = DERIVED[kind](child)
    for index in range(4):
        np.testing.assert_array_equal(dataset[index].x, child[index].x)
        np.testing.assert_array_equal(dataset.item(index, False).y, child[index].y)


@pytest.mark.parametrize("kind", ["blended", "pasted", "ratio", "training"])
def test_draws_follow_seed_epoch_and_position_whoever_reads(kind: str) -> None:
    dataset = DERIVED[kind](Numbered(12))

    def read(position: int, epoch: int | None) -> Sample:
        with reading_epoch(epoch):
            image = dataset.item(position, True).x
        return Sample(str(position), np.resize(image, (4, 4, 3)), None)

    def epochs(workers: int) -> list[np.ndarray]:
        loader = BatchLoader(read, lambda epoch: range(12), 4, augmented=True, epochs=2, workers=workers)
        batches = [batch.images.numpy() for epoch in (0, 1) for batch in loader.epoch(epoch)]
        loader.close()
        return batches

    alone = epochs(0)
    for workers in (1, 4):
        for one, other in zip(alone, epochs(workers), strict=True):
            np.testing.assert_array_equal(one, other)
    assert any((one != other).any() for one, other in zip(alone[:3], alone[3:], strict=True))  # epochs differ


def test_outside_of_an_epoch_items_stay_the_same() -> None:
    assert draws(1, "a").random() == draws(1, "a").random()
    with reading_epoch(3):
        third = draws(1, "a").random()
        with reading_epoch(None):
            assert (
                draws(1, "a").random()
                == draws(
                    1,
                    "a",
                ).random()
            )
    assert third != draws(1, "a").random()


# ----------------------------------------------------------------------------------------------------------- cells


def test_cells_are_rows_of_columns_of_whole_size() -> None:
    child = Numbered(2, 7, 10)
    cells = CropAndSplit(child, 3)  # cells of 2 x 3 pixels; the last row and column of pixels are dropped
    assert len(cells) == 18
    cell: Any = cells[9 + 1 * 3 + 2]
    assert (cell.imageId, cell.row, cell.col) == ("n1", 1, 2)
    assert cell.id == "n1#r1c2"
    assert cell.x.shape == (2, 3, 3)
    assert tuple(cell.x[0, 0]) == (2, 6, 1)
    np.testing.assert_array_equal(cells.get_target(9)[..., 0], [[True] * 3, [False] * 3])
    assert sample_ids(cells)[:4] == ["n0#r0c0", "n0#r0c1", "n0#r0c2", "n0#r1c0"]
    assert sample_ids(cells) == [cells[index].id for index in range(18)]


def test_cells_of_one_image_decode_it_once() -> None:
    child = Numbered(3)
    cells = CropAndSplit(child, 3)
    for index in range(len(cells)):
        cells[index]
    assert child.read == 3


def test_cells_know_whether_they_show_something() -> None:
    cells = CropAndSplit(Numbered(3, 6, 6), 3)
    assert [cells.isPositive(18 + 3 * row) for row in range(3)] == [True, False, False]


def test_no_cell_leaves_its_image_behind() -> None:
    child: Any = Numbered(8)
    del child.folds, child.holdoutArr
    cells = CropAndSplit(child, 2)
    found = splits_of(cells, SplitSettings(folds_count=3, testSplit=0.25))
    assert found.holdout is not None
    for parts in [(found.holdout.train, found.holdout.validation), *((f.train, f.validation) for f in found.folds)]:
        images = [{position // 4 for position in part} for part in parts]
        assert not images[0] & images[1]


def test_folds_and_holdout_count_cells() -> None:
    cells = CropAndSplit(Numbered(3), 2)
    assert cells.folds == [([4, 5, 6, 7], [0, 1, 2, 3])]
    assert cells.holdoutArr == [8, 9, 10, 11]


def test_cells_of_some_images() -> None:
    dataset, positions = cells_of(Numbered(3), [2, 0], 2)
    assert [dataset[position].id for position in positions][:5] == [
        "n2#r0c0", "n2#r0c1", "n2#r1c0", "n2#r1c1", "n0#r0c0",
    ]  # fmt: skip


def test_overlapping_cells() -> None:
    """Two cells of 5 pixels over 10, sharing half of a side: ceil(1 / 0.5) + 1 = 3 cells, at 0, 2.5 and 5."""
    cells = CropAndSplit(Numbered(1, 10, 10), 2, overlap=0.5)
    assert (cells.side, len(cells)) == (3, 9)
    assert [int(cells[index].x[0, 0, 1]) for index in range(3)] == [0, 3, 5]
    assert cells[8].id == "n0#r2c2"


def test_an_image_smaller_than_its_cells_is_named() -> None:
    with pytest.raises(DataError, match=r"sample 'n0': 10 x 2 pixels cannot be cut into 3 x 3 cells"):
        CropAndSplit(Numbered(1, 2, 10), 3)[0]


def test_cells_of_training_items_are_those_of_the_epoch() -> None:
    """The last image is kept, but not from one epoch to the next."""
    cells = CropAndSplit(BlendedDataSet(Numbered(1, 8, 8), PICTURES, None), 2)

    def first(epoch: int) -> np.ndarray:
        with reading_epoch(epoch):
            return cells.item(0, True).x.copy()

    fresh = [first(epoch) for epoch in range(6)]
    assert len({each.tobytes() for each in fresh}) > 1
    np.testing.assert_array_equal(first(0), fresh[0])
    np.testing.assert_array_equal(cells[0].x, cells.child[0].x[:4, :4])


def test_cells_go_to_worker_processes() -> None:
    cells = CropAndSplit(Numbered(2), 2)
    first = cells[1].x
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cells))[1].x, first)


# -------------------------------------------------------------------------------------------------------- blending


def test_half_of_the_items_are_blended_six_to_four() -> None:
    child = Numbered(200)
    dataset = BlendedDataSet(child, [np.full((5, 5, 3), 200, np.uint8)], None)
    blended = 0
    for index in range(200):
        item, own = dataset.item(index, True), child[index]
        np.testing.assert_array_equal(item.y, own.y)
        if (item.x != own.x).any():
            blended += 1
            assert abs(item.x - (0.6 * own.x + 0.4 * 200)).max() <= 0.5001
    assert 70 < blended < 130


def test_training_items_have_the_size_asked_for() -> None:
    item = BlendedDataSet(Numbered(), PICTURES, (16, 8)).item(1, True)
    assert item.x.shape == (8, 16, 3)
    assert item.y.shape == (8, 16, 1)


@pytest.mark.parametrize("picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16)])
def test_pictures_of_another_kind_are_refused(picture: np.ndarray) -> None:
    dataset = BlendedDataSet(Numbered(9), [picture], None)
    with pytest.raises(DataError, match=r"sample 'n\d': a picture to blend with"):
        [dataset.item(index, True) for index in range(9)]


def test_dropped_objects_hide_what_they_lie_on_or_lie_behind_it() -> None:
    class Split(Numbered):
        """The upper half is object."""

        def __getitem__(self, index: int) -> PredictionItem:
            mask = np.zeros((40, 40, 1), bool)
            mask[:20] = True
            return PredictionItem(f"n{index}", np.full((40, 40, 3), 50, np.uint8), mask)

    before = Split(30)[0].y[..., 0]
    hidden = outside = 0
    for index in range(30):
        item = DropItemsDataset(Split(30), OBJECTS, times=1).item(index, True)
        pasted, kept = (item.x == 255).all(axis=2), item.y[..., 0]
        rows, columns = pasted.nonzero()
        np.testing.assert_array_equal(kept, before & ~pasted)  # above erases the mask, behind leaves it alone
        if len(rows) and rows.max() - rows.min() > 2:
            assert rows.max() - rows.min() <= 20
            assert columns.max() - columns.min() <= 10
        hidden += bool((pasted & before).any())
        outside += bool((pasted & ~before).any())
    assert hidden
    assert outside
    assert item.y.dtype == bool


def test_no_object_in_an_item_to_drop() -> None:
    empty = [PredictionItem("e", np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 1), bool))]
    with pytest.raises(DataError, match="item 0 of drop_items shows no object"):
        DropItemsDataset(Numbered(), empty).item(0, True)
    with pytest.raises(MusketError, match="option times must be 0 or more; found -1"):
        DropItemsDataset(Numbered(), empty, times=-1)
    with pytest.raises(DataError, match="drop_items: there are no pictures"):
        DropItemsDataset(Numbered(), [])


# ------------------------------------------------------------------------------------------------------------ text


@pytest.mark.parametrize("band", [False, True])
def test_ten_texts_with_a_texture(band: bool) -> None:
    texts = TextMaskGenerator([np.full((3, 3, 3), 80, np.uint8)], band)
    assert len(texts) == 10
    for item in (texts[index] for index in range(10)):
        assert item.y.dtype == bool
        assert item.x.shape[:2] == item.y.shape[:2]
        assert 0 < item.y.mean() <= 1
        inside = item.x[item.y[..., 0]]
        assert np.median(inside) == 80
        assert (inside.min() < 40) == band  # letters darken the band
    share = np.mean([texts[index].y.mean() for index in range(10)])
    assert (share > 0.5) == band


def test_texts_can_be_dropped() -> None:
    child = Numbered(2, 200, 200)
    dataset = DropItemsDataset(child, TextMaskGenerator(PICTURES))
    assert (dataset.item(0, True).x != child[0].x).any()


# ----------------------------------------------------------------------------------------------------------- ratio


@pytest.mark.parametrize(
    ("size", "ratio", "shape", "corner"),
    [
        ((7, 10), (1, 1), (7, 7), (0, 2)),
        ((10, 7), (1, 1), (7, 7), (2, 0)),
        ((8, 8), (2, 1), (4, 8), (2, 0)),
        ((6, 8), (4, 3), (6, 8), (0, 0)),
        ((100, 10), (1, 2), (20, 10), (40, 0)),
    ],
)
def test_the_middle_of_a_ratio(
    size: tuple[int, int], ratio: tuple[int, int], shape: tuple[int, int], corner: tuple[int, int]
) -> None:
    dataset = AspectRatioDataSet(Numbered(4, *size), ratio)
    for is_train in (True, False):
        item = dataset.item(2, is_train)
        assert item.x.shape[:2] == item.y.shape[:2] == shape
        assert tuple(item.x[0, 0, :2]) == corner
    assert dataset.get_target(2).shape[:2] == shape


def test_random_places_are_for_training() -> None:
    child = Numbered(40, 10, 40)
    dataset = AspectRatioDataSet(child, (1, 1), "random")
    lefts = [int(dataset.item(index, True).x[0, 0, 1]) for index in range(40)]
    assert min(lefts) < 8
    assert max(lefts) > 22
    assert {int(dataset[index].x[0, 0, 1]) for index in range(40)} == {15}


def test_bad_options_are_refused() -> None:
    with pytest.raises(MusketError, match=r"option target_ratio is \(width, height\), both above 0; found \(0, 1\)"):
        AspectRatioDataSet(Numbered(), (0, 1))
    with pytest.raises(MusketError, match="option strategy is center or random; found 'middle'"):
        AspectRatioDataSet(Numbered(), strategy="middle")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="CropAndSplit shows another dataset; found 'ds_1' in its place"):
        CropAndSplit("ds_1", 3)
    with pytest.raises(DataError, match="the training view has 3 items, the dataset 4"):
        TrainingView(Numbered(4), Numbered(3))
