from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from musket.core.errors import DataError
from musket.core.types import Dataset, PredictionItem
from musket.data.dataset import CompositeDataSet, DataSet, SubDataSet, read_item, teller
from musket.data.identity import sample_ids
from musket.data.names import Names


class Numbers(DataSet):
    """Items 0..n-1 with x = number; counts what is read."""

    def __init__(self, count: int, name: str = "n"):
        self.count, self.label, self.read = count, name, []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> PredictionItem:
        if not 0 <= index < self.count:
            raise IndexError(index)
        self.read.append(index)
        return PredictionItem(f"{self.label}{index}", np.full((2, 2, 3), index, np.uint8), np.zeros((2, 2, 1)))

    def get_train_item(self, index: int) -> PredictionItem:
        item = self[index]
        item.id += "-train"
        return item

    def isPositive(self, index: int) -> bool:
        return index % 2 == 0

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> dict[str, Any]:
        return {"label": self.label, "id": item.id}


class Bare:
    """The least a dataset can be."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> PredictionItem:
        return PredictionItem(index, index * 10, None)


def test_base_class_fills_in_the_protocol() -> None:
    dataset = Numbers(3)
    assert isinstance(dataset, Dataset)
    assert dataset.item(1, True).id == "n1-train"
    assert dataset.item(1, False).id == "n1"
    assert dataset.get_target(0).shape == (2, 2, 1)
    assert dataset.get_name() == dataset.id() == "Numbers"
    dataset.name = "mine"
    assert dataset.get_name() == "mine"
    assert dataset.root() is dataset
    assert (dataset.get_inputs_count(), dataset.get_outputs_count()) == (1, 1)
    assert not hasattr(dataset, "get_stratify_class")
    assert not hasattr(dataset, "folds")


def test_most_specific_reader_wins() -> None:
    assert read_item(Numbers(2), 1, True).id == "n1-train"
    assert read_item(Bare(), 1, True).x == 10


def test_encoding_needs_to_be_defined() -> None:
    class Plain(Numbers):
        _encode_item = DataSet._encode_item

    with pytest.raises(DataError, match="Plain does not know how to write an item"):
        Plain(2).dump("unused.csv")
    assert Numbers(2).encode(Numbers(2)).to_dict("list") == {"label": ["n", "n"], "id": ["n0", "n1"]}


def test_selection() -> None:
    dataset = Numbers(6)
    view = SubDataSet(dataset, np.array([4, 0, -1]))
    assert [item.id for item in view] == ["n4", "n0", "n5"]
    assert view[-1].id == "n5"
    assert [item.id for item in view[1:]] == ["n0", "n5"]
    assert view.item(0, True).id == "n4-train"
    assert [view.isPositive(i) for i in range(3)] == [True, True, False]
    assert view.parent is dataset
    assert view[:1].root() is dataset
    assert len(SubDataSet(dataset, [])) == 0
    with pytest.raises(IndexError):
        view[3]


def test_selection_reads_only_its_own_items_for_ids() -> None:
    dataset = Numbers(6)
    assert sample_ids(SubDataSet(dataset, [4, 0])) == ["n4", "n0"]
    assert dataset.read == [4, 0]


def test_selection_outside() -> None:
    for position in (3, -4):
        with pytest.raises(DataError, match=f"position {position} is outside the dataset of 3 items"):
            SubDataSet(Bare(), [0, position])


def test_selection_keeps_folds_and_holdout_of_its_items() -> None:
    dataset = Numbers(6)
    dataset.folds = [([0, 1, 2], [3, 4]), ([3, 4], np.array([0, 1]))]
    dataset.holdoutArr = [5, 2]
    view = SubDataSet(dataset, [5, 3, 1])
    assert view.folds == [([2], [1]), ([1], [2])]
    assert view.holdoutArr == [0]


def test_selection_of_a_bare_dataset() -> None:
    view = SubDataSet(Bare(), [2, 1])
    assert view[0].x == 20
    assert view.get_target(0) is None
    assert sample_ids(view) == ["2", "1"]
    with pytest.raises(DataError, match=r"Bare has no method isPositive\(index\).*negatives: real"):
        view.isPositive(0)
    with pytest.raises(DataError, match="does not know how to write it"):
        view.encode(view[0], encode_y=True)


def test_composite() -> None:
    first, second = Numbers(2, "a"), Numbers(3, "b")
    both = CompositeDataSet([first, second])
    assert len(both) == 5
    assert [item.id for item in both] == ["a0", "a1", "b0", "b1", "b2"]
    assert both[1].originalDataSet is first
    assert both[-1].originalDataSet is second
    assert both.get_train_item(3).id == "b1-train"
    assert [both.isPositive(i) for i in range(5)] == [True, False, True, False, True]
    assert both[1:3].sample_ids() == ["a1", "b0"]
    assert both.encode(both)["label"].tolist() == ["a", "a", "b", "b", "b"]
    with pytest.raises(IndexError):
        both[5]
    with pytest.raises(DataError, match="at least one dataset"):
        CompositeDataSet([])


def test_composite_with_an_empty_part() -> None:
    both = CompositeDataSet([Numbers(0), Numbers(2, "b"), Numbers(0), Numbers(1, "c")])
    assert [item.id for item in both] == ["b0", "b1", "c0"]


def test_composite_joins_folds_and_holdouts() -> None:
    first, second = Numbers(2), Numbers(3)
    first.folds = [([0], [1]), ([1], [0])]
    first.holdoutArr = [1]
    assert not hasattr(CompositeDataSet([first, second]), "folds")
    assert CompositeDataSet([second, first]).holdoutArr == [4]
    second.folds = [([0, 1], [2]), ([2], [0, 1])]
    assert CompositeDataSet([first, second]).folds == [([0, 2, 3], [1, 4]), ([1, 4], [0, 2, 3])]


def test_methods_of_viewed_datasets_are_found() -> None:
    class Grouped(Numbers):
        def get_group(self, index: int) -> str:
            return f"{self.label}{index // 2}"

    view = SubDataSet(CompositeDataSet([Grouped(4, "a"), Grouped(2, "b")]), [5, 1])
    tell = teller(view, "get_group")
    assert tell is not None
    assert [tell(i) for i in range(2)] == ["b0", "a0"]
    assert teller(CompositeDataSet([Grouped(4), Bare()]), "get_group") is None


def test_views_pickle() -> None:
    view = pickle.loads(pickle.dumps(CompositeDataSet([SubDataSet(Numbers(5), [3, 1]), Numbers(2)])))
    assert [item.id for item in view] == ["n3", "n1", "n0", "n1"]


def test_names() -> None:
    texts = ["b", "", "длинное имя", "\udcff broken", "b"]
    names = Names(texts)
    assert list(names) == texts
    assert names[-1] == "b"
    assert names[1:3] == texts[1:3]
    assert list(names.take([2, 0])) == ["длинное имя", "b"]
    assert list(pickle.loads(pickle.dumps(names))) == texts
    assert list(Names()) == []
    assert "b" in names
    with pytest.raises(IndexError):
        names[5]
