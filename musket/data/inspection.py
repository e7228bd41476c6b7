"""One pass over all samples of a dataset: which cannot be used and why, and what the others are like."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np

from musket.core.errors import DataError, SampleFailure
from musket.data.likeness import Likeness, digest, likeness, perceptual_hash

Reader = Callable[[int], "tuple[np.ndarray, np.ndarray | None]"]
"""Position -> image H x W x C and target: mask H x W x classes (0/1 or bool), vector, or None. Raises DataError."""

_ROW = np.dtype(
    [
        ("usable", bool),
        ("height", np.uint32),
        ("width", np.uint32),
        ("depth", "S8"),
        ("image", np.uint64),
        ("target", np.uint64),
        ("hash", np.uint64),
        ("structured", bool),
    ]
)
_CHUNK = 16


@dataclass
class Moments:
    """Running minimum, maximum, mean and deviation of every channel, over pixels.

    Attributes:
        count: pixels seen.
        low, high, mean: per channel, float64.
        squares: per channel, sum of squared distances from the mean.
        odd: values that are nan or infinite; they count as 0 elsewhere.
    """

    channels: int
    count: int = 0
    odd: int = 0
    low: np.ndarray = field(init=False)
    high: np.ndarray = field(init=False)
    mean: np.ndarray = field(init=False)
    squares: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.low, self.high = np.full(self.channels, np.inf), np.full(self.channels, -np.inf)
        self.mean, self.squares = np.zeros((2, self.channels))

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(self.squares / max(1, self.count))

    def add(self, image: np.ndarray) -> None:
        """Count the pixels of an image H x W x C."""
        other = Moments(self.channels, count=image.shape[0] * image.shape[1])
        for number in range(self.channels):
            plane = np.ascontiguousarray(image[..., number])
            mean, deviation = cv2.meanStdDev(plane)
            other.low[number], other.high[number] = cv2.minMaxLoc(plane)[:2]
            other.mean[number], other.squares[number] = mean.item(), deviation.item() ** 2 * other.count
        self.merge(other)

    def merge(self, other: Moments) -> None:
        """Count what another one counted (Chan, Golub and LeVeque, 1983)."""
        self.odd += other.odd
        if not other.count:
            return
        count = self.count + other.count
        distance = other.mean - self.mean
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        self.squares += other.squares + distance**2 * (self.count * other.count / count)
        self.mean += distance * (other.count / count)
        self.count = count


@dataclass
class MaskTally:
    """Pixels of masks.

    Attributes:
        pixels: seen in all.
        covered: of these, in at least one class.
        of_class: in each class.
    """

    pixels: int
    covered: int
    of_class: np.ndarray

    def merge(self, other: MaskTally) -> None:
        self.pixels += other.pixels
        self.covered += other.covered
        self.of_class += other.of_class

    @property
    def doubled(self) -> int:
        """How often a pixel is in one class more than in one."""
        return int(self.of_class.sum()) - self.covered


@dataclass(frozen=True)
class Inspection:
    """What a pass over all samples found.

    Attributes:
        ids: of all samples, in dataset order.
        rows: one record per sample: usable, height, width, depth (name of the type), digests of image and target,
            perceptual hash and whether it means something. Zeros for samples that are not usable.
        present: N x classes, bool: the class has a pixel in the mask, or a value above 0.5 in the vector.
        vectors: N x classes, float32: the targets where these are vectors; zeros for samples that are not usable.
        failures: samples that cannot be used, in dataset order.
        values: statistics of the images' values by depth.
        masks: pixels of the masks by class.
        seconds: wall time of the pass.
    """

    ids: Sequence[str]
    rows: np.ndarray
    present: np.ndarray
    vectors: np.ndarray | None
    failures: tuple[SampleFailure, ...]
    values: dict[str, Moments]
    masks: MaskTally
    seconds: float

    @property
    def usable(self) -> np.ndarray:
        """Positions of the samples that can be used."""
        return np.flatnonzero(self.rows["usable"])

    @property
    def empty(self) -> np.ndarray:
        """Positions of usable samples whose mask is empty."""
        return np.flatnonzero(self.rows["usable"] & ~self.present.any(axis=1))

    def sizes(self) -> list[tuple[int, int, int]]:
        """(width, height, samples) of the usable images, most frequent first."""
        rows = self.rows[self.usable]
        found, counts = np.unique(np.stack([rows["width"], rows["height"]], axis=1), axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return [(int(found[place][0]), int(found[place][1]), int(counts[place])) for place in order]

    def depths(self) -> dict[str, list[int]]:
        """Positions of the usable samples by type of their values, most frequent first."""
        kinds = self.rows["depth"]
        found = {name.decode(): np.flatnonzero(kinds == name).tolist() for name in np.unique(kinds[self.usable])}
        return dict(sorted(found.items(), key=lambda entry: -len(entry[1])))

    def likeness(self) -> Likeness:
        """Which samples show the same."""
        rows = self.rows
        return likeness(rows["image"], rows["hash"], rows["usable"], rows["structured"])

    def contradictions(self) -> list[tuple[int, int]]:
        """Pairs of samples with the same image but different targets."""
        usable = self.usable
        images, targets = self.rows["image"][usable], self.rows["target"][usable]
        _, first, inverse = np.unique(images, return_index=True, return_inverse=True)
        other = np.flatnonzero(targets != targets[first[inverse]])
        return [(int(usable[first[inverse[place]]]), int(usable[place])) for place in other]


@dataclass
class _Part:
    """What one worker found in a few samples."""

    values: dict[str, Moments]
    masks: MaskTally
    failures: list[tuple[int, SampleFailure]]


def inspect(
    read: Reader,
    ids: Sequence[str],
    classes: int,
    *,
    of_vectors: bool = False,
    threads: int = 1,
    on_progress: Callable[[int, int], object] | None = None,
) -> Inspection:
    """Read every sample once and never stop at a bad one.

    Memory does not grow with the images: about fifty bytes a sample and one per class (five of a vector) are kept.

    Args:
        read: reads and checks one sample; called from several threads.
        ids: one per sample.
        classes: channels of the masks, length of the vectors.
        of_vectors: the targets are vectors.
        threads: readers; decoding lets go of the interpreter lock.
        on_progress: called with the number of samples done, and how many of them failed.
    """
    began = time.monotonic()
    rows = np.zeros(len(ids), dtype=_ROW)
    present = np.zeros((len(ids), classes), dtype=bool)
    vectors = np.zeros((len(ids), classes), dtype=np.float32) if of_vectors else None
    masks = MaskTally(0, 0, np.zeros(classes, dtype=np.int64))
    values: dict[str, Moments] = {}
    failures: list[tuple[int, SampleFailure]] = []

    def look(positions: range) -> _Part:
        part = _Part({}, MaskTally(0, 0, np.zeros(classes, dtype=np.int64)), [])
        for position in positions:
            try:
                image, target = read(position)
            except DataError as error:
                part.failures.append((position, SampleFailure(ids[position], error.message, error.path)))
            else:
                _describe(image, target, rows[position : position + 1], part)
                if target is not None and vectors is not None:
                    vectors[position] = target
                    present[position] = target > 0.5
                elif target is not None:
                    tally = count_pixels(target)
                    present[position] = tally.of_class > 0
                    part.masks.merge(tally)
        return part

    chunks = [range(start, min(start + _CHUNK, len(ids))) for start in range(0, len(ids), _CHUNK)]
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="musket-inspector")
    try:
        for chunk, part in zip(chunks, pool.map(look, chunks), strict=True):
            masks.merge(part.masks)
            for depth, moments in part.values.items():
                values.setdefault(depth, Moments(moments.channels)).merge(moments)
            failures += part.failures
            if on_progress is not None:
                on_progress(chunk.stop, len(failures))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    failed = tuple(failure for _, failure in failures)
    return Inspection(ids, rows, present, vectors, failed, values, masks, time.monotonic() - began)


def _describe(image: np.ndarray, target: np.ndarray | None, row: np.ndarray, part: _Part) -> None:
    """Note what an image is like in its row and in the sums of its part, and a digest of its target."""
    depth = image.dtype.name
    likely = perceptual_hash(image)
    height, width = image.shape[:2]
    row[0] = (
        True,
        height,
        width,
        depth.encode(),
        digest(image),
        0 if target is None else digest(target if target.ndim == 1 else target != 0),
        likely or 0,
        likely is not None,
    )
    moments = part.values.setdefault(depth, Moments(image.shape[2]))
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        moments.merge(Moments(image.shape[2], odd=int(np.sum(~np.isfinite(image)))))
        image = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0)
    moments.add(image)


def count_pixels(mask: np.ndarray) -> MaskTally:
    """Pixels of a mask H x W x classes of 0/1 or bool."""
    bits = (mask if mask.dtype == bool else mask != 0).view(np.uint8)
    counts, covered = np.zeros(bits.shape[2], dtype=np.int64), np.zeros(bits.shape[:2], dtype=np.uint8)
    for number in range(bits.shape[2]):
        plane = np.ascontiguousarray(bits[..., number])
        counts[number] = cv2.countNonZero(plane)
        covered |= plane
    return MaskTally(covered.size, cv2.countNonZero(covered), counts)
