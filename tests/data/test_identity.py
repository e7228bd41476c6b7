from __future__ import annotations

from typing import Any

import pytest

from musket.core.errors import DataError
from musket.core.identity import describe_difference, fingerprint
from musket.core.types import PredictionItem
from musket.data.identity import sample_ids


class Items:
    def __init__(self, *ids: Any):
        self.ids = ids
        self.read = 0

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> PredictionItem:
        self.read += 1
        if self.ids[index] == "bad":
            raise ValueError("the file is broken")
        return PredictionItem(self.ids[index], None, None)


def test_items_are_read_once_for_their_ids() -> None:
    dataset = Items("x", 7, ("a", 1))
    assert sample_ids(dataset) == ["x", "7", "('a', 1)"]
    assert dataset.read == 3


def test_get_id_spares_reading() -> None:
    class Telling(Items):
        def get_id(self, index: int) -> str:
            return self.ids[index] + "!"

    dataset = Telling("x", "bad")
    assert sample_ids(dataset) == ["x!", "bad!"]
    assert dataset.read == 0


def test_repeated_ids_are_told_apart_with_one_warning() -> None:
    with pytest.warns(UserWarning, match=r"1 of the 3 sample ids occur more than once \(a\)") as caught:
        found = sample_ids(Items("a", "b", "a", "a#2", "a"))
    assert found == ["a", "b", "a#3", "a#2", "a#4"]
    assert len(caught) == 1


def test_item_that_raises_is_named() -> None:
    with pytest.raises(DataError, match="item 1 of Items cannot be read: ValueError: the file is broken") as caught:
        sample_ids(Items("a", "bad"))
    assert isinstance(caught.value.__cause__, ValueError)


def test_item_without_id_is_named() -> None:
    class Odd(Items):
        def __getitem__(self, index: int) -> Any:
            return 5

    with pytest.raises(DataError, match="item 0 of Odd cannot be read: AttributeError"):
        sample_ids(Odd("a"))


def test_fingerprint_depends_on_the_set_of_ids() -> None:
    assert fingerprint(["a", "b"]) == fingerprint(["b", "a"])
    assert fingerprint(["a", "b"]) != fingerprint(["ab"])
    assert fingerprint(["a", "b"]) != fingerprint(["a", "c"])
    assert len(fingerprint([])) == 32
    fingerprint(["\udcff"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("abc", "abc", ""),
        ("abc", "acb", "the same samples in another order"),
        ("abc", "ab", "1 sample removed (c)"),
        ("a", "zaybx", "4 samples added (b, x, y, ...)"),
        ("abc", "abd", "1 sample removed (c) and 1 sample added (d)"),
    ],
)
def test_difference_in_words(old: str, new: str, said: str) -> None:
    assert describe_difference(list(old), list(new)) == said
