"""The same batches whatever the workers, in order, within the queue's limit, and errors that name the sample."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from toy import read_numbered as read

from musket.core.errors import DataError
from musket.data.loader import BatchLoader, Sample, collate
from musket.data.queue_settings import QUEUE


def shuffled(epoch: int) -> list[int]:
    return list(np.random.default_rng(epoch).permutation(11))


@pytest.fixture(autouse=True)
def _restore_queue() -> Iterator[None]:
    limit, processes = QUEUE.AUGMENTER_QUEUE_LIMIT, QUEUE.USE_MULTIPROCESSING
    yield
    QUEUE.AUGMENTER_QUEUE_LIMIT, QUEUE.USE_MULTIPROCESSING = limit, processes


def epochs(workers: int, count: int = 3) -> list[list[tuple[tuple[str, ...], torch.Tensor]]]:
    loader = BatchLoader(read, shuffled, 4, drop_last=True, augmented=True, epochs=count, workers=workers)
    try:
        return [[(batch.ids, batch.images) for batch in loader.epoch(epoch)] for epoch in range(count)]
    finally:
        loader.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_give_what_one_reader_gives(workers: int) -> None:
    for ours, plain in zip(epochs(workers), epochs(0), strict=True):
        assert [ids for ids, _ in ours] == [ids for ids, _ in plain]
        assert all(torch.equal(a, b) for (_, a), (_, b) in zip(ours, plain, strict=True))
        assert len(ours) == 2  # 11 samples, batches of 4, the last dropped


def test_processes_give_what_one_reader_gives() -> None:
    plain = epochs(0, count=1)[0]
    QUEUE.USE_MULTIPROCESSING = True
    ours = epochs(2, count=1)[0]
    assert [ids for ids, _ in ours] == [ids for ids, _ in plain]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(ours, plain, strict=True))


def test_an_epoch_can_be_asked_for_out_of_turn() -> None:
    loader = BatchLoader(read, shuffled, 4, epochs=9, workers=2)
    try:
        first = [batch.ids for batch in loader.epoch(0)]
        later = [batch.ids for batch in loader.epoch(5)]
    finally:
        loader.close()
    assert [name for ids in first for name in ids] == [f"s{p}" for p in shuffled(0)]
    assert [name for ids in later for name in ids] == [f"s{p}" for p in shuffled(5)]


def test_the_last_short_batch_is_kept_when_asked() -> None:
    loader = BatchLoader(read, shuffled, 4, workers=0)
    assert [len(batch) for batch in loader.epoch(0)] == [4, 4, 3]


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_read_their_shares_of_the_same_batches(workers: int) -> None:
    """Of batches of 5, rank r has samples r and r + 3; of the last one, a single sample, ranks 1 and 2 have none."""
    order = shuffled(1)
    for rank in range(3):
        loader = BatchLoader(read, shuffled, 5, augmented=True, workers=workers, rank=rank, world=3)
        try:
            batches = list(loader.epoch(1))
        finally:
            loader.close()
        assert [batch.whole for batch in batches] == [5, 5, 1]
        expected = [order[:5][rank::3], order[5:10][rank::3], order[10:]]
        assert [batch.ids for batch in batches] == [tuple(f"s{position}" for position in part) for part in expected]
        alone = torch.stack([torch.from_numpy(read(position, 1).image) for position in expected[1]])
        assert torch.equal(batches[1].images.permute(0, 2, 3, 1), alone)


def test_s53_queue_limit_bounds_what_is_read_ahead() -> None:
    QUEUE.AUGMENTER_QUEUE_LIMIT = 3
    started: set[int] = set()
    lock = threading.Lock()

    def counted(position: int, epoch: int | None) -> Sample:
        with lock:
            started.add(position)
        return read(position, epoch)

    loader = BatchLoader(counted, lambda epoch: list(range(40)), 2, workers=8)
    batches = loader.epoch(0)
    next(batches)
    loader.close()
    assert len(started) <= 3 * 2


def test_a_failing_sample_fails_the_epoch_by_name() -> None:
    def broken(position: int, epoch: int | None) -> Sample:
        if position == 5:
            raise DataError("no mask", sample="s5")
        return read(position, epoch)

    loader = BatchLoader(broken, lambda epoch: list(range(8)), 2, workers=2)
    with pytest.raises(DataError, match="s5"):
        list(loader.epoch(0))
    loader.close()


def test_collate_shares_memory_layout_and_keeps_depth() -> None:
    deep = Sample("a", np.full((2, 2, 5), 60000, np.uint16), None)
    batch = collate([deep, deep])
    assert batch.images.shape == (2, 5, 2, 2)
    assert batch.images.dtype == torch.uint16
    assert batch.targets is None
