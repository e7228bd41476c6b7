"""Labels behind views, cells, blended and cropped images, preprocessors and caches: they stay what they are."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from musket.core.errors import DataError
from musket.core.types import PredictionItem
from musket.data.aspect import AspectRatioDataSet
from musket.data.backgrounds import Backgrounds, WithBackgrounds
from musket.data.blending import BlendedDataSet, DropItemsDataset
from musket.data.crops import CropAndSplit
from musket.data.dataset import CompositeDataSet, SubDataSet, read_item, target_of, teller
from musket.data.derived import DerivedDataSet, TrainingView, in_maps, is_map
from musket.data.draws import draws, reading_epoch
from musket.data.item_caches import disk_cache, memory_cache
from musket.data.sources import source_of

KINDS: dict[str, Callable[[int], Any]] = {
    "one-hot": lambda index: np.eye(3, dtype=np.float32)[index % 3],
    "index": lambda index: index % 3,
    "flag": lambda index: index % 2 == 0,
    "number": lambda index: index / 7,
    "list": lambda index: [0.0, 1.0, float(index)],
    "several": lambda index: [np.eye(3, dtype=bool)[index % 3], np.array([index % 2]), index / 7],
    "index-tuple": lambda index: (index % 3, index % 2),
}


class Labelled:
    """Images 12 x 16 with a label each; counts how often an image is made."""

    def __init__(self, kind: str, told: bool = True):
        self.kind, self.read = kind, 0
        if told:
            self.get_target = self.target

    def __len__(self) -> int:
        return 6

    def sample_ids(self) -> list[str]:
        return [f"i{index}" for index in range(6)]

    def target(self, index: int) -> Any:
        return KINDS[self.kind](index)

    def sample_weight(self, index: int) -> float:
        return 1.0 + index

    def isPositive(self, index: int) -> bool:
        return index % 3 == 1

    def __getitem__(self, index: int) -> PredictionItem:
        self.read += 1
        image = np.random.default_rng(index).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        return PredictionItem(f"i{index}", image, self.target(index))


PICTURES = [np.full((9, 4, 3), 100, np.uint8)]
OBJECT = [PredictionItem("o", np.full((6, 4, 3), 255, np.uint8), np.ones((6, 4, 1), bool))]

WRAPPERS: dict[str, Callable[[Any, Path], Any]] = {
    "derived": lambda child, folder: DerivedDataSet(child),
    "training view": lambda child, folder: TrainingView(child, BlendedDataSet(child, PICTURES, (8, 8))),
    "blended": lambda child, folder: BlendedDataSet(child, PICTURES, (8, 8)),
    "pasted": lambda child, folder: DropItemsDataset(child, OBJECT),
    "ratio": lambda child, folder: AspectRatioDataSet(child, (1, 1), "random"),
    "memory": lambda child, folder: memory_cache(child),
    "disk": lambda child, folder: disk_cache(child, folder),
    "view": lambda child, folder: SubDataSet(child, range(6)),
    "composite": lambda child, folder: CompositeDataSet([SubDataSet(child, range(4)), SubDataSet(child, [4, 5])]),
}


def same(found: Any, expected: Any) -> bool:
    """Whether two targets hold the same, as lists of heads or as one value."""
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(same(*pair) for pair in zip(found, expected, strict=True))
    return np.shape(found) == np.shape(expected) and bool(np.all(np.asarray(found) == expected))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_labels_come_through(kind: str, wrapper: str, tmp_path: Path) -> None:
    child = Labelled(kind)
    dataset = WRAPPERS[wrapper](child, tmp_path)
    for _ in range(2):  # caches: made, then kept
        for index in range(6):
            for is_train in (False, True):
                assert same(read_item(dataset, index, is_train).y, child.target(index))
            assert same(target_of(dataset, index), child.target(index))
    weigh = teller(dataset, "sample_weight")
    assert weigh is not None
    assert [weigh(index) for index in range(6)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_targets_are_told_without_reading_images(wrapper: str, tmp_path: Path) -> None:
    child = Labelled("several")
    dataset = WRAPPERS[wrapper](child, tmp_path)
    child.read = 0
    for index in range(6):
        target_of(dataset, index)
    assert child.read == 0


# -------------------------------------------------------------------------------------------------------- cells


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_cells_have_the_label_of_their_image(kind: str, told: bool) -> None:
    child = Labelled(kind, told)
    cells = CropAndSplit(child, 3)
    assert len(cells) == 54
    for index in (0, 8, 9, 53):
        item = cells.item(index, True)
        assert item.x.shape == (4, 5, 3)
        assert same(item.y, child.target(index // 9))
        assert same(cells.get_target(index), child.target(index // 9))
        assert cells.isPositive(index) == (index // 9 % 3 == 1)
    assert teller(cells, "sample_weight")(53) == 6  # type: ignore[misc]


def test_cells_of_vectors_read_no_image_for_their_target() -> None:
    child = Labelled("one-hot")
    cells = CropAndSplit(child, 2)
    assert [int(cells.get_target(index).argmax()) for index in range(0, 24, 4)] == [0, 1, 2, 0, 1, 2]
    assert [cells.isPositive(index) for index in range(0, 24, 4)] == [False, True, False] * 2
    assert child.read == 0


@pytest.mark.parametrize("kind", ["index", "flag", "number"])
def test_cells_of_single_values_read_no_image_where_they_are_labels(kind: str) -> None:
    child = Labelled(kind)
    cells = CropAndSplit(child, 2, labels=True)
    assert [cells.get_target(index) for index in range(0, 24, 4)] == [child.target(index) for index in range(6)]
    assert [cells.isPositive(index) for index in range(0, 24, 4)] == [False, True, False] * 2
    assert child.read == 0


def test_cells_of_several_masks_are_cut_each() -> None:
    class Masked(Labelled):
        def target(self, index: int) -> Any:
            return [np.arange(12 * 16).reshape(12, 16, 1) % 2, np.zeros((12, 16, 2), bool)]

    cells = CropAndSplit(Masked("one-hot"), 2)
    assert [part.shape for part in cells[0].y] == [(6, 8, 1), (6, 8, 2)]
    assert cells.isPositive(3)


# ------------------------------------------------------------------------------------------------- what is done


def test_a_label_is_no_map() -> None:
    assert not any(is_map(make(2)) for make in KINDS.values())
    assert is_map(np.zeros((2, 2)))
    assert is_map([np.zeros(2), np.zeros((2, 2, 1))])
    assert in_maps((np.zeros((2, 2)), 3, None), lambda mask: mask + 1)[0].tolist() == [[1, 1], [1, 1]]
    assert in_maps((np.zeros((2, 2)), 3, None), lambda mask: mask + 1)[1:] == (3, None)


def test_images_are_blended_and_pasted_on_all_the_same() -> None:
    child = Labelled("one-hot")
    blended, pasted = BlendedDataSet(child, PICTURES, None), DropItemsDataset(child, OBJECT)
    changed = [bool((blended.item(index, True).x != child[index].x).any()) for index in range(6)]
    assert any(changed)
    assert all((pasted.item(index, True).x != child[index].x).any() for index in range(6))
    assert blended.item(0, True).x.shape == (12, 16, 3)


def test_backgrounds_need_masks(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "back.png"), np.zeros((4, 4, 3), np.uint8))
    dataset = WithBackgrounds(Labelled("one-hot"), Backgrounds(tmp_path))
    with pytest.raises(DataError, match=r"sample 'i1'.*WithBackgrounds .* a label in its place"):
        dataset.item(1, True)
    assert same(dataset[1].y, KINDS["one-hot"](1))


def test_a_sample_drawn_again_is_drawn_anew() -> None:
    child = Labelled("one-hot")
    cells = CropAndSplit(DropItemsDataset(child, OBJECT), 2)

    def read(epoch: int | None, again: int) -> list[int]:
        with reading_epoch(epoch, again):
            return np.concatenate([cells.item(cell, True).x.reshape(-1) for cell in range(4)]).tolist()

    first, second = read(3, 0), read(3, 1)
    assert first != second
    assert (read(3, 0), read(3, 1)) == (first, second)
    with reading_epoch(3):
        plain = draws("a", 1).random()
    with reading_epoch(3, 0):
        assert draws("a", 1).random() == plain


def test_sources_tell_labels_apart() -> None:
    made = {kind: source_of(Labelled(kind)).content for kind in KINDS}
    assert len(set(made.values())) == len(made)


@pytest.mark.parametrize("kind", KINDS)
def test_views_of_labels_travel_to_workers(kind: str) -> None:
    dataset = pickle.loads(pickle.dumps(CropAndSplit(BlendedDataSet(Labelled(kind, False), PICTURES), 2)))
    assert same(dataset.item(5, True).y, KINDS[kind](1))


def test_classes_come_through() -> None:
    class Named(list[Any]):
        def __init__(self, classes: Any):
            super().__init__([None] * 4)
            if classes is not None:
                self.classes = classes

    pets, cars = Named(["cat", "dog"]), Named(["car", "van"])
    assert SubDataSet(pets, [3, 1]).classes == ["cat", "dog"]
    assert CompositeDataSet([pets, Named(None), Named(np.array(["cat", "dog"]))])[:3].classes == ["cat", "dog"]
    assert not hasattr(CompositeDataSet([pets, cars]), "classes")
    assert not hasattr(SubDataSet(Named(None), [0]), "classes")
