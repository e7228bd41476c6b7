from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from musket.core.errors import DataError
from musket.data.sampling import PartSampler, Positivity, epoch_order, part_order, shard


class Flags:
    """Tells isPositive and counts how often each sample is asked."""

    def __init__(self, *flags: object):
        self.flags = flags
        self.asked: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self.flags)

    def isPositive(self, index: int) -> object:
        self.asked[index] += 1
        if self.flags[index] is None:
            raise OSError("mask gone")
        return self.flags[index]


EVERY_FOURTH = Flags(*(i % 4 == 0 for i in range(40)))


@pytest.mark.parametrize(
    ("negatives", "count"), [("none", 10), ("NONE", 10), (1, 20), (2, 30), (0, 10), (0.5, 15), ("1.5", 25), (100, 40)]
)
def test_counts(negatives: str | float, count: int) -> None:
    part = part_order(range(40), negatives, Positivity(EVERY_FOURTH))
    assert len(part) == len(set(part)) == count
    assert set(range(0, 40, 4)) <= set(part)


@pytest.mark.parametrize("negatives", ["real", "all", "Real", None])
def test_every_sample_without_asking(negatives: str | None) -> None:
    assert sorted(part_order(range(8), negatives, None)) == list(range(8))


def test_positive_is_asked_once_and_only_when_needed() -> None:
    dataset = Flags(True, False, np.True_, False)
    positive = Positivity(dataset)
    PartSampler([0, 1, 2], "real", positive)
    assert not dataset.asked
    for negatives in ("none", 1, 0.5):
        PartSampler([0, 1, 2], negatives, positive)
    assert dataset.asked == {0: 1, 1: 1, 2: 1}


def test_order_of_later_epochs() -> None:
    sampler = PartSampler(range(50), "real")
    assert len(sampler) == 50
    assert sampler.order(0, seed=1) == sampler.order(0, seed=2) == part_order(range(50))
    later = [sampler.order(epoch, seed=1) for epoch in range(4)]
    assert all(sorted(order) == list(range(50)) for order in later)
    assert len({tuple(order) for order in later}) == 4
    assert epoch_order(sampler.part, 1, 3) == later[3]  # whichever epochs were asked before
    assert sampler.order(1, seed=2) != later[1]
    assert {type(i) for i in later[1]} == {int}


def test_empty_part() -> None:
    assert part_order([], "none", lambda _: True) == []
    assert PartSampler([], "real").order(1, 0) == []


def test_no_positives() -> None:
    for negatives in ("none", 2):
        with pytest.raises(DataError, match="isPositive is false for all 2 of this part; check the masks"):
            part_order([0, 1], negatives, lambda _: False)


def test_dataset_that_does_not_tell() -> None:
    with pytest.raises(DataError, match=r"list has no method isPositive\(index\)"):
        part_order([0], "none", Positivity([1]))
    with pytest.raises(DataError, match="needs a dataset with a method isPositive"):
        part_order([0], "none")


def test_dataset_that_fails() -> None:
    with pytest.raises(DataError, match=r"isPositive\(1\) of Flags failed: OSError: mask gone"):
        part_order([0, 1], 1, Positivity(Flags(True, None)))


@pytest.mark.parametrize("negatives", ["some", -1, float("inf"), float("nan")])
def test_unknown_values(negatives: str | float) -> None:
    with pytest.raises(DataError, match="negatives"):
        part_order([0], negatives, lambda _: True)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(6, [[0, 3], [1, 4], [2, 5]]), (5, [[0, 3], [1, 4], [2]]), (2, [[0], [1], []]), (0, [[], [], []])],
)
def test_processes_take_turns_at_the_samples_of_a_batch(count: int, expected: list[list[int]]) -> None:
    assert [shard(list(range(count)), rank, 3) for rank in range(3)] == expected


@pytest.mark.parametrize("rank", [-1, 2])
def test_a_process_that_is_not_there(rank: int) -> None:
    with pytest.raises(ValueError, match="with 2 processes it goes from 0 to 1"):
        shard([1, 2, 3], rank, 2)
