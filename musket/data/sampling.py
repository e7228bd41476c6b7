"""Which samples of a fold's part an epoch sees, and in which order."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musket.core.errors import DataError, MusketError
from musket.core.runtime import generator
from musket.data.dataset import is_positive

PART_SEED = 23232
"""Seed of the order inside a part, that of the former framework."""

_TURN = (math.sqrt(5) - 1) / 2
"""The golden ratio: multiples of it, less whole numbers, come close to no place twice before they were near all."""

Negatives = str | float | None


@dataclass(frozen=True)
class Shares:
    """How often each of some samples is drawn.

    Attributes:
        weights: 0 or more, in proportion to the draws of an epoch.
        groups: number of the group of each sample. Within a group draws are evened out, too.
    """

    weights: np.ndarray
    groups: np.ndarray


class Positivity:
    """``isPositive`` of a dataset, asked at most once per sample: it may have to read a mask.

    Raises:
        DataError: (when called) the dataset does not say, or its code fails; names the position and the cause.
    """

    def __init__(self, dataset: Any):
        self._dataset = dataset
        self._known = np.full(len(dataset), -1, dtype=np.int8)

    def __call__(self, index: int) -> bool:
        if self._known[index] < 0:
            try:
                self._known[index] = is_positive(self._dataset, index)
            except MusketError:
                raise
            except Exception as error:
                raise DataError(
                    f"isPositive({index}) of {type(self._dataset).__name__} failed: {type(error).__name__}: {error}"
                ) from error
        return bool(self._known[index])


def part_order(
    positions: Iterable[int], negatives: Negatives = "real", positive: Callable[[int], bool] | None = None
) -> list[int]:
    """Samples of a part in the order of its first epoch.

    Args:
        positions: samples of the part.
        negatives: ``real``, ``all`` or None = every sample; ``none`` = positive ones only; a number n = at most
            ``round(n * positives)`` negatives beside all positives.
        positive: tells whether a sample shows an object; called only for ``none`` and numbers.

    Raises:
        DataError: an unknown word, a negative number, or no positive sample where they are asked for.
    """
    shuffled = random.Random(PART_SEED).shuffle
    part = [int(position) for position in positions]
    if negatives is not None and not (isinstance(negatives, str) and negatives.lower() in ("real", "all")):
        share = _share(negatives)
        if positive is None:
            raise DataError(f"negatives: {negatives} needs a dataset with a method isPositive(index)")
        flags = [positive(position) for position in part]
        positives = [position for position, flag in zip(part, flags, strict=True) if flag]
        others = [position for position, flag in zip(part, flags, strict=True) if not flag]
        if part and not positives:
            raise DataError(
                f"negatives: {negatives} keeps positive samples, but isPositive is false for all {len(part)} of this "
                "part; check the masks, or use negatives: real"
            )
        if share is None:
            part = positives
        else:
            shuffled(others)
            part = positives + others[: round(len(positives) * share)]
    shuffled(part)
    return part


def epoch_order(part: Sequence[int], seed: int, epoch: int) -> list[int]:
    """The samples of a part in the order of an epoch: as they are in epoch 0, drawn anew from (seed, epoch) later."""
    if epoch == 0:
        return list(part)
    order = np.array(part, dtype=np.int64)
    generator(seed, "order", epoch).shuffle(order)
    return order.tolist()


def drawn_order(part: Sequence[int], shares: Shares, seed: int, epoch: int, count: int) -> list[int]:
    """The draws of an epoch, as many as the part has samples, by the samples' shares; shuffled.

    Systematic sampling (Madow 1949, Annals of Mathematical Statistics 20): the samples lie on a line, each as long as
    its share of the draws, those of a group side by side, and marks at a distance of one draw them. So in every epoch a
    sample, and a group, gets its share rounded up or down, and no sample is drawn again before all of the same share
    were drawn. From epoch to epoch the marks move on by the golden ratio, so that samples with less than one draw an
    epoch take turns.

    Everything depends on (seed, epoch) alone.

    Args:
        part: positions.
        shares: of these samples.
        count: samples of the whole dataset; see :func:`sample_of`.

    Returns:
        draws: positions, plus ``count`` for every time that a sample was drawn before in this epoch.
    """
    size = len(part)
    line = generator(seed, "line").permutation(size)
    line = line[np.argsort(shares.groups[line], kind="stable")]
    ends = np.cumsum(shares.weights[line])
    marks = np.floor(np.append(0.0, ends[:-1] / ends[-1] * size) + (epoch + 0.5) * _TURN % 1).astype(np.int64)
    times = np.diff(marks, append=size)
    again = np.arange(size) - np.repeat(np.cumsum(times) - times, times)
    draws = np.asarray(part, dtype=np.int64)[np.repeat(line, times)] + again * count
    generator(seed, "order", epoch).shuffle(draws)
    return draws.tolist()


def sample_of(draw: int, count: int) -> tuple[int, int]:
    """The position a draw of an epoch means, and how often it was drawn before in this epoch.

    Args:
        draw: of :meth:`PartSampler.order`. A sample drawn twice is two draws, so that it is augmented in two ways.
        count: samples of the whole dataset.
    """
    return draw % count, draw // count


def shard(batch: Sequence[int], rank: int, world: int) -> Sequence[int]:
    """The share of a batch that one of several processes has: sample i is with rank ``i % world``.

    Args:
        batch: samples of the whole batch, the same in every process.
        rank: number of the process, 0..world-1.
        world: how many processes there are. They get equally many samples of a batch that has a multiple of it.

    Raises:
        ValueError: ``rank`` is none of them.
    """
    if not 0 <= rank < world:
        raise ValueError(f"rank is {rank}; with {world} processes it goes from 0 to {world - 1}")
    return batch[rank::world]


class PartSampler:
    """A fold's part of one stage: chosen once (see :func:`part_order`), reordered every epoch (:func:`epoch_order`).

    Args:
        shares: tells how often the samples of the chosen part are drawn (see :func:`drawn_order`); None = once each.
        count: samples of the whole dataset; needed with ``shares``.

    Raises:
        DataError: as :func:`part_order`, and what ``shares`` raises.
    """

    def __init__(
        self,
        positions: Iterable[int],
        negatives: Negatives = "real",
        positive: Callable[[int], bool] | None = None,
        *,
        shares: Callable[[Sequence[int]], Shares] | None = None,
        count: int = 0,
    ):
        self.part = part_order(positions, negatives, positive)
        self._count = count
        self._shares = None if shares is None or not self.part else shares(self.part)

    def __len__(self) -> int:
        return len(self.part)

    def order(self, epoch: int, seed: int) -> list[int]:
        """The draws of an epoch, as many as the part has samples; :func:`sample_of` tells their positions."""
        if self._shares is None:
            return epoch_order(self.part, seed, epoch)
        return drawn_order(self.part, self._shares, seed, epoch, self._count)


def _share(negatives: str | float) -> float | None:
    """Negatives per positive; None for the word ``none``."""
    if isinstance(negatives, str) and negatives.lower() == "none":
        return None
    try:
        share = float(negatives)
    except (TypeError, ValueError):
        raise DataError(
            f"negatives: {negatives!r} is not known; use none, real, all, or a number per positive"
        ) from None
    if not 0 <= share < float("inf"):
        raise DataError(f"negatives: {negatives!r}; the number of negatives per positive cannot be that")
    return share
