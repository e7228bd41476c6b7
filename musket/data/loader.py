"""Batches of fixed-size arrays, read ahead of the network.

The same batches come out whatever the number of workers: which samples an epoch sees, and every random draw, depend
on counters (seed, epoch, sample) and not on who does the work.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from musket.core.errors import DataError, MusketError
from musket.core.process_group import portable
from musket.core.runtime import cores
from musket.core.types import Batch, Sample
from musket.data.queue_settings import QUEUE
from musket.data.sampling import shard


class SampleReader(Protocol):
    """Reads one sample: position in the dataset, and the epoch for random draws (None = no augmentation)."""

    def __call__(self, position: int, epoch: int | None) -> Sample: ...


def auto_workers() -> int:
    """Reader threads when nothing is said: one per core, eight at most."""
    return min(8, cores())


class BatchLoader:
    """Feeds epochs of one unit: ``order`` says which samples an epoch sees.

    Args:
        read: makes one sample.
        order: positions of an epoch's samples, by epoch number.
        batch_size: samples of a batch.
        drop_last: leave out the last batch when it is not full (training).
        augmented: pass the epoch to ``read`` for its draws.
        epochs: how many epochs there will be; the first batches of the next epoch are read while the caller is busy
            between two epochs.
        workers: reader threads, or processes when the queue settings ask for multiprocessing; 0 reads in the caller.
        read_ahead: most batches being read or ready at a time; default two more than there are workers. 1 where the
            network computes on the cores that read: they read between two steps, then compute. A reader beside a step
            costs more than it saves there, since the step's threads wait for the slowest of them.
        pin_memory: put batches into page-locked memory (CUDA).
        rank, world: read only the share of every batch that this process has, of several that train together (see
            :func:`musket.data.sampling.shard`).
    """

    def __init__(
        self,
        read: SampleReader,
        order: Callable[[int], Sequence[int]],
        batch_size: int,
        *,
        drop_last: bool = False,
        augmented: bool = False,
        epochs: int = 1,
        workers: int | None = None,
        read_ahead: int | None = None,
        pin_memory: bool = False,
        rank: int = 0,
        world: int = 1,
    ):
        self.read = read
        self.order = order
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.augmented = augmented
        self.epochs = epochs
        self.workers = _configured_workers() if workers is None else workers
        self.read_ahead = self.workers + 2 if read_ahead is None else read_ahead
        self.pin_memory = pin_memory
        self.rank = rank
        self.world = world
        self._pool: ThreadPoolExecutor | None = None
        self._ahead: deque[tuple[int, int, _Pending]] = deque()

    def chunks(self, epoch: int) -> list[Sequence[int]]:
        """Positions this process reads for each batch of an epoch: one at least."""
        return [shard(chunk, self.rank, self.world) or chunk[:1] for chunk in self._whole_chunks(epoch)]

    def _whole_chunks(self, epoch: int) -> list[Sequence[int]]:
        order = self.order(epoch)
        size = self.batch_size
        chunks = [order[start : start + size] for start in range(0, len(order), size)]
        if self.drop_last and chunks and len(chunks[-1]) < size:
            chunks.pop()
        return chunks

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Batches of one epoch, in order."""
        batches = self._read(epoch)
        if self.world == 1:
            yield from batches
            return
        with contextlib.closing(batches):
            for batch, chunk in zip(batches, self._whole_chunks(epoch), strict=True):
                yield replace(batch, shared=len(chunk))

    def _read(self, epoch: int) -> Generator[Batch, None, None]:
        if self.workers and QUEUE.USE_MULTIPROCESSING:
            yield from self._from_processes(epoch)
        elif self.workers and self.read_ahead > 1:
            yield from self._from_threads(epoch)
        else:
            yield from self._between_steps(epoch)

    def prefetch(self, epoch: int) -> None:
        """Begin to read an epoch while the caller computes nothing (writes files, draws pictures).

        Only for ``read_ahead=1``: otherwise that has long begun.
        """
        if not self.workers or self.read_ahead > 1 or QUEUE.USE_MULTIPROCESSING or epoch >= self.epochs:
            return
        self._keep_ahead(epoch)
        for number, chunk in enumerate(self.chunks(epoch)[: QUEUE.AUGMENTER_QUEUE_LIMIT]):
            if number >= len(self._ahead):
                self._ahead.append((epoch, number, self._submit(chunk, epoch)))

    def _between_steps(self, epoch: int) -> Iterator[Batch]:
        """Each batch read when it is asked for: by all readers, or in the caller where they only wait for each other.

        Samples that decode take threads, samples from the decode cache go faster without: both ways are tried twice.
        """
        self._keep_ahead(epoch)
        ready = []
        while self._ahead and self._ahead[0][2].is_begun:
            ready.append(self._ahead.popleft()[2])
        self._forget_ahead()
        draw = epoch if self.augmented else None
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for number, chunk in enumerate(self.chunks(epoch)):
            if number < len(ready):
                yield ready[number].result(self._finish)
                continue
            tried = len(seconds[False]) + len(seconds[True])
            pooled = self.workers > 0 and (tried % 2 == 1 if tried < 4 else min(seconds[True]) < min(seconds[False]))
            began = time.perf_counter()
            if pooled:
                batch = self._submit(chunk, epoch).result(self._finish)
            else:
                batch = self._finish([self.read(position, draw) for position in chunk])
            if tried < 4:
                seconds[pooled].append(time.perf_counter() - began)
            yield batch

    def _keep_ahead(self, epoch: int) -> None:
        """Drop what was read ahead for another epoch: a resumed or repeated one."""
        while self._ahead and self._ahead[0][0] != epoch:
            self._ahead.popleft()[2].cancel()

    def _forget_ahead(self) -> None:
        while self._ahead:
            self._ahead.popleft()[2].cancel()

    # Threads: decoding and resizing release the interpreter lock, and nothing is copied between processes.
    def _from_threads(self, epoch: int) -> Iterator[Batch]:
        limit = max(1, min(QUEUE.AUGMENTER_QUEUE_LIMIT, self.read_ahead))
        upcoming = self._upcoming(epoch)
        self._keep_ahead(epoch)
        skip = len(self._ahead)
        for _ in range(skip):
            next(upcoming, None)
        while True:
            while len(self._ahead) < limit:
                work = next(upcoming, None)
                if work is None:
                    break
                self._ahead.append((work[0], work[1], self._submit(work[2], work[0])))
            if not self._ahead or self._ahead[0][0] != epoch:
                return
            yield self._ahead.popleft()[2].result(self._finish)

    def _upcoming(self, epoch: int) -> Iterator[tuple[int, int, Sequence[int]]]:
        for following in range(epoch, min(epoch + 2, max(self.epochs, epoch + 1))):
            for number, chunk in enumerate(self.chunks(following)):
                yield following, number, chunk

    def _submit(self, chunk: Sequence[int], epoch: int) -> _Pending:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="musket-reader")
        draw = epoch if self.augmented else None
        return _Pending([self._pool.submit(self.read, position, draw) for position in chunk])

    def _from_processes(self, epoch: int) -> Iterator[Batch]:
        from torch.utils.data import DataLoader

        limit = max(1, QUEUE.AUGMENTER_QUEUE_LIMIT // max(1, self.workers))
        loader: DataLoader[Sample | MusketError] = DataLoader(
            _Positions(self.read, epoch if self.augmented else None),
            batch_sampler=self.chunks(epoch),  # type: ignore[arg-type]
            num_workers=self.workers,
            collate_fn=_collated,
            prefetch_factor=min(2, limit),
            generator=torch.Generator(),  # it draws a seed; the global generator belongs to the network
        )
        iterator: Any = iter(loader)
        try:
            for batch in iterator:
                if isinstance(batch, MusketError):
                    raise batch
                yield self._pinned(batch)
        finally:
            iterator._shutdown_workers()  # left to the garbage collector they outlive an error that is looked at

    def _finish(self, samples: list[Sample]) -> Batch:
        return self._pinned(collate(samples))

    def _pinned(self, batch: Batch) -> Batch:
        if not self.pin_memory:
            return batch
        targets = None if batch.targets is None else batch.targets.pin_memory()
        return Batch(batch.images.pin_memory(), targets, batch.ids)

    def close(self) -> None:
        """Stop the readers; what was read ahead is dropped."""
        self._forget_ahead()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


class _Pending:
    """A batch that is being read."""

    def __init__(self, futures: list[Future[Sample]]):
        self.futures = futures

    @property
    def is_begun(self) -> bool:
        """Whether all its samples are read, or being read."""
        return all(future.done() or future.running() for future in self.futures)

    def result(self, finish: Callable[[list[Sample]], Batch]) -> Batch:
        return finish([future.result() for future in self.futures])

    def cancel(self) -> None:
        for future in self.futures:
            future.cancel()


class _Positions(torch.utils.data.Dataset[Sample | MusketError]):
    """A reader under the face torch's DataLoader wants.

    Errors are handed over: raised here they would lose what they know of the sample, and show a worker's traceback.
    """

    def __init__(self, read: SampleReader, draw: int | None):
        self.read = read
        self.draw = draw

    def __getitem__(self, index: int) -> Sample | MusketError:
        try:
            return self.read(index, self.draw)
        except MusketError as error:
            return portable(error)


def _collated(samples: list[Sample | MusketError]) -> Batch | MusketError:
    """A batch, or the first error there is."""
    read: list[Sample] = []
    for sample in samples:
        if isinstance(sample, MusketError):
            return sample
        read.append(sample)
    try:
        return collate(read)
    except MusketError as error:
        return portable(error)


def _configured_workers() -> int:
    """Readers as the queue settings have them.

    Raises:
        MusketError: that is no number of readers.
    """
    configured: Any = QUEUE.NB_WORKERS
    if configured == "auto":
        return auto_workers()
    text = str(configured).strip()
    if isinstance(configured, bool) or not (text.isascii() and text.isdigit()):
        raise MusketError(f"NB_WORKERS must be a whole number from 0, or auto (one per core); found {configured!r}")
    return int(text)


def collate(samples: list[Sample]) -> Batch:
    """Stack samples of one size: N x H x W x C arrays seen as N x C x H x W tensors without another copy.

    Raises:
        DataError: the images differ in depth or size.
    """
    first = samples[0]
    for other in samples[1:]:
        if other.image.dtype != first.image.dtype:  # stacking would scale one of them wrongly, without a word
            raise DataError(
                f"samples {first.id} ({first.image.dtype}) and {other.id} ({other.image.dtype}) differ in depth; "
                "bring the images of a dataset to one depth"
            )
        if other.image.shape != first.image.shape:
            sizes = " and ".join(f"{one.id} ({one.image.shape[0]} x {one.image.shape[1]})" for one in (first, other))
            raise DataError(
                f"samples {sizes} differ in size and share a batch; leave manualResize out, or set batch: 1"
            )
    images = torch.from_numpy(np.stack([sample.image for sample in samples])).permute(0, 3, 1, 2)
    targets = None
    if all(sample.target is not None for sample in samples):
        stacked = np.stack([sample.target for sample in samples])  # type: ignore[arg-type]
        targets = torch.from_numpy(stacked)
        targets = targets.permute(0, 3, 1, 2) if targets.ndim == 4 else targets
    return Batch(images, targets, tuple(sample.id for sample in samples))
