"""Images -> scores at their own size, streaming: memory holds a few batches, whatever the number of images."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch

from musket.core.errors import DataError, MusketError, SampleFailure
from musket.core.geometry import resize_image, resize_scores, with_channels

Forward = Callable[[torch.Tensor], torch.Tensor]
"""Images N x C x H x W of any depth, on the device -> scores N x classes x H x W."""


@dataclass(frozen=True)
class Source:
    """One image to predict, read when its turn comes. ``read`` gives (image H x W x C, truth or None)."""

    id: str
    read: Callable[[], tuple[np.ndarray, np.ndarray | None]]


@dataclass(frozen=True)
class Scored:
    """One predicted image. ``scores`` holds one H x W x classes float map (0..1 after sigmoid/softmax) per group."""

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


@dataclass(frozen=True)
class InputShape:
    """Network input: height, width, channels; None keeps each image's own height and width."""

    height: int | None
    width: int | None
    channels: int

    def fit(self, image: np.ndarray) -> np.ndarray:
        """An image as the network wants it. Raises DataError when the channels differ."""
        image = with_channels(image)
        if image.shape[2] != self.channels:
            raise DataError(
                f"the image has {image.shape[2]} channels, the network takes {self.channels}; "
                "convert the image or set shape in the config"
            )
        if self.height is None or self.width is None:
            return image
        return resize_image(image, self.height, self.width)


@dataclass(frozen=True)
class _Ready:
    id: str
    image: np.ndarray
    truth: np.ndarray | None
    fitted: np.ndarray


def predict(
    sources: Iterable[Source],
    forwards: Sequence[Forward],
    shape: InputShape,
    device: torch.device,
    *,
    batch_size: int,
    groups: Sequence[Sequence[int]] | None = None,
    workers: int = 2,
    failures: Failures | None = None,
) -> Iterator[Scored]:
    """Predict every image with every member; each image is read once.

    Args:
        sources: the images, in the order results are wanted.
        forwards: the members of the ensemble.
        groups: members whose scores are averaged into one result; default one group of all.
        failures: where images that cannot be read are recorded; None raises at the first one.

    Yields:
        results in the order of ``sources``, at each image's own height and width.
    """
    groups = [range(len(forwards))] if groups is None else groups
    for ready in _batches(_read_ahead(sources, shape, batch_size, workers, failures), batch_size):
        stacked = torch.from_numpy(np.stack([one.fitted for one in ready])).permute(0, 3, 1, 2).to(device)
        with torch.inference_mode():
            members = [forward(stacked).permute(0, 2, 3, 1).cpu().numpy() for forward in forwards]
        means = [np.stack([members[index] for index in group]).mean(axis=0) for group in groups]
        for row, one in enumerate(ready):
            height, width = one.image.shape[:2]
            yield Scored(one.id, one.image, one.truth, [resize_scores(mean[row], height, width) for mean in means])


def _read_ahead(
    sources: Iterable[Source], shape: InputShape, batch_size: int, workers: int, failures: Failures | None
) -> Iterator[_Ready]:
    def read(source: Source) -> _Ready:
        image, truth = source.read()
        return _Ready(source.id, image, truth, shape.fit(image))

    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="musket-predict") as pool:
        waiting: deque[tuple[Source, Future[_Ready]]] = deque()
        remaining = iter(sources)
        try:
            while True:
                while len(waiting) < 2 * batch_size and (source := next(remaining, None)) is not None:
                    waiting.append((source, pool.submit(read, source)))
                if not waiting:
                    return
                source, future = waiting.popleft()
                if failures is not None:
                    failures.total += 1
                try:
                    yield future.result()
                except MusketError as error:
                    if failures is None:
                        raise
                    failures.found.append(SampleFailure(source.id, str(error)))
        finally:
            for _, future in waiting:
                future.cancel()


def _batches(ready: Iterable[_Ready], batch_size: int) -> Iterator[list[_Ready]]:
    """Runs of equal size and depth, ``batch_size`` at most."""
    batch: list[_Ready] = []
    for one in ready:
        alike = not batch or (batch[0].fitted.shape == one.fitted.shape and batch[0].fitted.dtype == one.fitted.dtype)
        if batch and (len(batch) == batch_size or not alike):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch
