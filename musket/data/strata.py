"""Classes of samples as splits keep their shares: of values of any kind, of label vectors, of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musket.core.errors import DataError, MusketError
from musket.data.dataset import target_of, teller
from musket.data.head_targets import HeadTargets, true_cells

MOST_BINS = 10
"""Bins of a number: deciles, as long as there are samples enough."""


@dataclass(frozen=True)
class Strata:
    """Classes of N samples.

    Attributes:
        codes: whole numbers N from 0, or bool N x K for several labels at a time.
        names: of the numbers, or of the columns.
    """

    codes: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Any, count: int) -> Strata:
        """Classes by values of any kind, one per sample; rows of 0/1 stay rows.

        Raises:
            DataError: not one value per sample.
        """
        if isinstance(values, Strata):
            return values
        array = np.asarray(values)
        if array.ndim == 0 or len(array) != count:
            raise DataError(
                f"{array.size if array.ndim == 0 else len(array)} classes or groups were given for {count} samples"
            )
        if array.ndim == 2 and array.shape[1] > 1:
            return cls(array > 0, tuple(map(str, range(array.shape[1]))))
        if array.dtype == object:
            array = np.array([str(value) for value in array.reshape(-1)])
        known, codes = np.unique(array.reshape(-1), return_inverse=True)
        return cls(codes, tuple(map(str, known.tolist())))

    def __getitem__(self, positions: Sequence[int] | np.ndarray) -> Strata:
        """Those of some samples."""
        return Strata(self.codes[np.asarray(positions, int)], self.names)

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each class that occurs."""
        _, classes = self.pairs()
        counts = np.bincount(classes, minlength=len(self.names)).tolist()
        return {name: count for name, count in zip(self.names, counts, strict=True) if count}

    def rows(self) -> np.ndarray:
        """The classes as rows, bool N x K."""
        return self.codes if self.codes.ndim == 2 else self.codes[:, None] == np.arange(len(self.names))

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Which sample is of which class: sample numbers in order, and as many class numbers."""
        return true_cells(self.codes) if self.codes.ndim == 2 else (np.arange(len(self.codes)), self.codes)


def stratify_classes(
    dataset: Any,
    group_function: Callable[[Any], Any] | None = None,
    of_targets: Callable[[Any], Any] | None = None,
) -> Any:
    """Class of every sample: from ``get_stratify_class(i)``, else the function, else from the targets.

    A target counts as class 1 if the mean of its values is above 0 (it shows an object). Vectors of several classes are
    taken as they are: the class number if each names exactly one, else rows of 0/1 (several labels at a time).

    Args:
        of_targets: tells classes by targets otherwise, for those who know what vectors stand for; dataset -> what
            :meth:`Strata.of` takes.

    Raises:
        DataError: a sample has no target, or user code fails on it.
    """
    tell = teller(dataset, "get_stratify_class")
    if tell is None and group_function is not None:
        return np.asarray(group_function(dataset))
    if tell is None and of_targets is not None:
        return of_targets(dataset)
    told = [_told(dataset, index, tell) for index in range(len(dataset))]
    if tell is not None:
        return np.asarray(told)
    if any(np.size(each) > 1 for each in told):
        rows = np.stack(told) > 0
        return rows.argmax(axis=1) if (rows.sum(axis=1) == 1).all() else rows.astype(int)
    return np.asarray(told)


def _told(dataset: Any, index: int, tell: Callable[[int], Any] | None) -> Any:
    """Class of one sample; without ``tell`` 0 or 1 by its target, or its target vector of several classes."""
    try:
        if tell is not None:
            return tell(index)
        target = target_of(dataset, index)
        several = isinstance(target, list | tuple) and len(target) > 0  # outputs: all of their classes in one row
        target = np.concatenate([np.ravel(part) for part in target]) if several else np.asarray(target)
    except MusketError:
        raise
    except Exception as error:
        raise DataError(
            f"the class of item {index} of {type(dataset).__name__} cannot be told: {type(error).__name__}: {error}"
        ) from error
    if target.dtype == object:
        raise DataError(f"item {index} has no usable target to stratify by; give get_stratify_class(i) or groupFunc")
    return target if target.ndim == 1 and target.size > 1 else int(target.mean() > 0)


def target_strata(
    targets: Sequence[HeadTargets], least: int, class_names: Sequence[Sequence[str]] | None = None
) -> Strata:
    """Classes of samples by their target vectors.

    - One class per sample (softmax): that class. Yes or no (sigmoid, one value): those two.
    - Several labels (sigmoid): the class where every sample has exactly one, else rows of 0/1, to be split by iterative
      stratification (Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10), which keeps the share of every label.
    - Numbers: bins of about equally many samples, ten at most and each of ``least`` samples or more; equal numbers are
      in the same bin. Every value of a head of numbers has bins of its own.
    - Several heads (or numbers): their combinations, if each has ``least`` samples; else the classes of all heads as
      rows of 0/1, so that every head keeps its own shares at least.

    Args:
        targets: of each head.
        least: samples every class should have: the number of parts it is spread over.
        class_names: of each head; an empty list where they are not known.
    """
    known = class_names or [[]] * len(targets)
    parts = [part for head, names in zip(targets, known, strict=True) for part in _of_head(head, names, least)]
    if len(parts) == 1:
        return parts[0]
    combined = _combined(parts)
    if combined is not None and min(combined.counts.values(), default=0) >= least:
        return combined
    rows = np.hstack([part.rows() for part in parts])
    return Strata(rows, tuple(name for part in parts for name in part.names))


def _of_head(head: HeadTargets, names: Sequence[str], least: int) -> list[Strata]:
    if head.kind == "values":
        return [number_bins(column, least) for column in head.kept.T]
    told = tuple(names) or tuple(f"class {number}" for number in range(head.size))
    if head.kind == "exclusive":
        return [Strata(head.kept, told)]
    rows = head.labels()
    if head.size == 1:
        told = tuple(names) if len(names) == 2 else tuple(f"{name}{(names or ['label'])[0]}" for name in ("no ", ""))
        return [Strata(rows[:, 0].astype(int), told)]
    return [Strata(rows.argmax(axis=1) if (rows.sum(axis=1) == 1).all() else rows, told)]


def _combined(parts: Sequence[Strata]) -> Strata | None:
    """Every combination of classes as one class; None where a sample can have several labels in a part."""
    if not parts or any(part.codes.ndim == 2 for part in parts):
        return None
    known, codes = np.unique(np.stack([part.codes for part in parts], axis=1), axis=0, return_inverse=True)
    names = (" + ".join(part.names[code] for part, code in zip(parts, row, strict=True)) for row in known)
    return Strata(codes.reshape(-1), tuple(names))


def number_bins(values: np.ndarray, least: int) -> Strata:
    """Numbers as classes: neighbours join until a bin has its share of the samples.

    Args:
        values: N numbers.
        least: samples of every bin, as far as there are so many.
    """
    distinct, order, counts = np.unique(values, return_inverse=True, return_counts=True)
    share = max(len(values) / MOST_BINS, least)
    starts, filled = [0], 0
    for position, count in enumerate(counts):
        if filled >= share:
            starts.append(position)
            filled = 0
        filled += int(count)
    if filled < share and len(starts) > 1:
        starts.pop()
    ends = [*starts[1:], len(distinct)]
    names = [_span(distinct[start], distinct[end - 1]) for start, end in zip(starts, ends, strict=True)]
    return Strata(np.searchsorted(starts, order.reshape(-1), side="right") - 1, tuple(names))


def _span(first: float, last: float) -> str:
    return f"{first:g}" if first == last else f"{first:g} to {last:g}"
