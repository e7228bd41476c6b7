"""Images -> maps of scores at their own size, or vectors of scores, streaming: memory holds a few batches.

An image is read, cut into cells (one by default), and each cell is fitted to the network, all of it ahead of time and
in threads. Cells of several images share a batch. Maps go the way back, undone and joined; vectors of the cells of an
image are averaged. Results are handed out in order.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch

from musket.core.cells import Window
from musket.core.errors import DataError, MusketError, SampleFailure
from musket.predict.crops import Canvas, Crops, MeanOfCells
from musket.predict.frame import Fit, Undo
from musket.predict.members import Groups, mean_scores
from musket.predict.views import Forward

READ_AHEAD = 256 * 2**20
"""Bytes of decoded images that may wait; one image always may."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Source:
    """One image to predict, read when its turn comes. ``read`` gives (image H x W x C, truth or None).

    Truth is a mask H x W x classes, or a vector.
    """

    id: str
    read: Callable[[], tuple[np.ndarray, np.ndarray | None]]


@dataclass(frozen=True)
class Scored:
    """One predicted image.

    Attributes:
        scores: per group a map H x W x classes, or a vector of the classes of all heads; float32, 0..1 after sigmoid or
            softmax.
    """

    id: str
    image: np.ndarray
    truth: np.ndarray | None
    scores: list[np.ndarray]


@dataclass
class Failures:
    """Images that could not be predicted; everything else was."""

    found: list[SampleFailure] = field(default_factory=list)
    total: int = 0

    def raise_if_any(self) -> None:
        """Raises DataError that lists them, once the work on all others is done."""
        if not self.found:
            return
        listed = "\n".join(f"  {failure.id}: {failure.message}" for failure in self.found[:20])
        more = f"\n  ... and {len(self.found) - 20} more" if len(self.found) > 20 else ""
        raise DataError(
            f"{len(self.found)} of {self.total} images could not be predicted (all others were):\n{listed}{more}"
        )


@dataclass
class _Work:
    """An image under way: its scores so far, and how many cells are still to come."""

    id: str
    image: np.ndarray
    truth: np.ndarray | None
    left: int
    crops: Crops
    joined: list[Canvas | MeanOfCells] = field(default_factory=list)
    failed: bool = False

    def add(self, window: Window, scores: list[np.ndarray]) -> list[np.ndarray] | None:
        """Join the scores of one cell, one array per group, to those of the image; which are given once complete."""
        if self.crops.cells == 1:
            return scores
        self.joined = self.joined or [self._empty(one) for one in scores]
        for joined, one in zip(self.joined, scores, strict=True):
            joined.add(window, one)
        self.left -= 1
        return None if self.left else [joined.scores for joined in self.joined]

    def _empty(self, scores: np.ndarray) -> Canvas | MeanOfCells:
        """Where scores like those of the first cell are joined; all cells are still to come."""
        if scores.ndim == 1:
            return MeanOfCells(self.left, len(scores))
        height, width = self.image.shape[:2]
        return Canvas(height, width, scores.shape[2], self.crops)


@dataclass(frozen=True)
class _Cell:
    work: _Work
    window: Window
    fitted: np.ndarray
    undo: Undo


_Asked = tuple[list[_Cell], list[torch.Tensor]]


def predict(
    sources: Iterable[Source],
    forwards: Sequence[Forward],
    fit: Fit,
    device: torch.device,
    *,
    batch_size: int,
    groups: Groups | None = None,
    weights: Sequence[float] | None = None,
    crops: Crops | None = None,
    turns: int = 1,
    workers: int = 2,
    failures: Failures | None = None,
) -> Generator[Scored, None, None]:
    """Predict every image with every member; each image is read once.

    Args:
        sources: the images, in the order results are wanted.
        forwards: the members of the ensemble.
        fit: an image, or a cell of it -> network input and the way back; as a rule a
            :class:`musket.predict.frame.InputShape`.
        batch_size: images, or cells of them, that are predicted at once.
        groups: members whose scores are averaged into one result; default one group of all.
        weights: of the members, one each; within a group they are divided by their sum. Default all alike.
        crops: cut images into cells and join the maps, or average the vectors; results are those of whole images.
            Default: no cutting.
        turns: batches every member is asked about before the next member is; more than 1 where members take turns on
            the device.
        workers: threads that read and fit.
        failures: where images that cannot be predicted are recorded; None raises at the first one.

    Yields:
        results in the order of ``sources``; maps at each image's own height and width.

    Raises:
        DataError: an image cannot be read, fitted, cut or predicted, and ``failures`` is None.
        MusketError: the device has too little memory.
    """
    groups = [range(len(forwards))] if groups is None else groups
    pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="musket-predict")
    try:
        batches = _batches(_cells(pool, sources, fit, crops or Crops(), batch_size, workers, failures), batch_size)
        waiting: list[_Asked] = []
        while chunk := list(itertools.islice(batches, turns)):
            # A GPU works on this chunk while the scores of the one before are brought back and handed out.
            asked = _ask(chunk, forwards, groups, weights, device, failures)
            yield from _finish(waiting, failures)
            waiting = asked
        yield from _finish(waiting, failures)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _fail(failures: Failures | None, sample: str, error: MusketError, work: _Work | None = None) -> None:
    """Note an image that cannot be predicted, once; without a place to note it raise."""
    if failures is None:
        if isinstance(error, DataError) and error.sample is None:
            raise DataError(str(error), sample=sample) from error
        raise error
    if work is None or not work.failed:
        failures.found.append(SampleFailure(sample, str(error)))
    if work is not None:
        work.failed = True
        work.joined.clear()


def _cells(
    pool: ThreadPoolExecutor,
    sources: Iterable[Source],
    fit: Fit,
    crops: Crops,
    batch_size: int,
    workers: int,
    failures: Failures | None,
) -> Iterator[_Cell]:
    """Cells of all images, fitted to the network, prepared ahead of time."""
    largest, pieces = 0, 1

    def images_ahead() -> int:
        return max(1, min(batch_size, READ_AHEAD // largest)) if largest else workers

    def windows() -> Iterator[tuple[_Work, Window]]:
        nonlocal largest, pieces
        for source, future in _ahead(pool, lambda source: source.read(), sources, images_ahead):
            if failures is not None:
                failures.total += 1
            try:
                image, truth = future.result()
                height, width = image.shape[:2]
                found = crops.windows(height, width)
            except MusketError as error:
                _fail(failures, source.id, error)
                continue
            largest, pieces = max(largest, image.nbytes), len(found)
            work = _Work(source.id, image, truth, len(found), crops)
            for window in found:
                yield work, window

    def fitted(task: tuple[_Work, Window]) -> _Cell:
        work, window = task
        return _Cell(work, window, *fit(work.image[window.slices], work.id))

    for (work, _), future in _ahead(pool, fitted, windows(), lambda: min(batch_size, images_ahead() * pieces)):
        try:
            cell = future.result()
        except MusketError as error:
            _fail(failures, work.id, error, work)
            continue
        if not work.failed:
            yield cell


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], limit: Callable[[], int]
) -> Iterator[tuple[Item, Future[Result]]]:
    """Items with the function's results, in order; up to ``limit()`` are worked on before they are asked for."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    for item in items:
        waiting.append((item, pool.submit(function, item)))
        while len(waiting) > limit():
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def _batches(cells: Iterable[_Cell], batch_size: int) -> Iterator[list[_Cell]]:
    """Runs of equal size and depth, ``batch_size`` at most."""
    batch: list[_Cell] = []
    for one in cells:
        alike = not batch or (batch[0].fitted.shape == one.fitted.shape and batch[0].fitted.dtype == one.fitted.dtype)
        if batch and (len(batch) == batch_size or not alike):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _ask(
    chunk: Sequence[list[_Cell]],
    forwards: Sequence[Forward],
    groups: Groups,
    weights: Sequence[float] | None,
    device: torch.device,
    failures: Failures | None,
) -> list[_Asked]:
    """Scores of some batches, still on the device."""
    images = [
        torch.from_numpy(np.stack([cell.fitted for cell in batch])).permute(0, 3, 1, 2).to(device) for batch in chunk
    ]
    try:
        with torch.inference_mode():
            results = mean_scores(forwards, images, groups, weights)
    except torch.OutOfMemoryError as error:
        raise MusketError(
            f"the device has too little memory for batches of {len(chunk[0])} images; set a smaller inference_batch"
        ) from error
    asked: list[_Asked] = []
    for batch, result in zip(chunk, results, strict=True):
        if not isinstance(result, RuntimeError):
            asked.append((batch, result))
            continue
        height, width = batch[0].fitted.shape[:2]
        error = DataError(f"the network failed on an input of {height} x {width} pixels: {result}")
        for cell in batch:
            _fail(failures, cell.work.id, error, cell.work)
    return asked


def _finish(asked: Iterable[_Asked], failures: Failures | None) -> Iterator[Scored]:
    """Bring maps back to the frames of their images, and hand out the images that are complete."""
    for batch, results in asked:
        groups = [_on_host(result) for result in results]
        for row, cell in enumerate(batch):
            work = cell.work
            if work.failed:
                continue
            try:
                scores = work.add(cell.window, [_undone(scores[row], cell) for scores in groups])
            except MusketError as error:
                _fail(failures, work.id, error, work)
                continue
            if scores is not None:
                yield Scored(work.id, work.image, work.truth, scores)


def _on_host(scores: torch.Tensor) -> np.ndarray:
    """Maps N x classes x H x W as N x H x W x classes; vectors N x classes as they are."""
    scores = scores.permute(0, 2, 3, 1).contiguous() if scores.ndim == 4 else scores
    return scores.cpu().numpy()


def _undone(scores: np.ndarray, cell: _Cell) -> np.ndarray:
    """A map in the frame of its cell; a vector, a copy of its row, so that no result keeps a batch alive."""
    return scores.copy() if scores.ndim == 1 else cell.undo(scores)
