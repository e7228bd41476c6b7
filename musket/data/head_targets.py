"""Targets of many samples in little memory: of each head only what its values mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from musket.core.heads import HeadKind, kind_of

_BLOCK = 2**20
"""Most bits unpacked at a time."""


@dataclass(frozen=True)
class HeadTargets:
    """Targets of N samples for one head.

    Attributes:
        size: columns of the head.
        activation: canonical name.
        kept: of exclusive classes their numbers, int32 N (of a soft target the class it is mostly of); of labels a bit
            each, whether it is above 0.5, uint8 N x ceil(size / 8); of values these, float32 N x size.
    """

    size: int
    activation: str
    kept: np.ndarray

    @classmethod
    def of(cls, targets: np.ndarray, activation: str) -> HeadTargets:
        """Keep what columns N x size of a head mean."""
        kind = kind_of(activation)
        if kind == "exclusive":
            kept = targets.argmax(axis=1).astype(np.int32)
        else:
            kept = np.packbits(targets > 0.5, axis=1) if kind == "labels" else targets.astype(np.float32)
        return cls(targets.shape[1], activation, kept)

    @property
    def kind(self) -> HeadKind:
        """What the values of the head are."""
        return kind_of(self.activation)

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> HeadTargets:
        """Those of some samples."""
        return replace(self, kept=self.kept[np.asarray(rows, int)])

    def labels(self) -> np.ndarray:
        """Labels, bool N x size; for a head of these alone."""
        return np.unpackbits(self.kept, axis=1, count=self.size).view(bool)

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Which sample shows which class, some samples at a time: sample numbers in order, and as many class numbers.

        Every sample shows at least one. Of labels the class ``size`` is shown by those without any label, as the
        negatives of a yes-or-no head are. A head of values has none.
        """
        if self.kind == "exclusive":
            yield np.arange(len(self)), self.kept
        elif self.kind == "labels":
            step = max(1, _BLOCK // self.size)
            for start in range(0, len(self), step):
                shown = replace(self, kept=self.kept[start : start + step]).labels()
                samples, classes = true_cells(np.column_stack([shown, ~shown.any(axis=1)]))
                yield start + samples, classes


def by_head(targets: np.ndarray, head_sizes: Sequence[int], head_activations: Sequence[str]) -> tuple[HeadTargets, ...]:
    """Targets of each head.

    Args:
        targets: N x sum(head_sizes), the heads side by side.
        head_activations: canonical names.

    Raises:
        ValueError: there are not as many columns as all heads have.
    """
    if targets.ndim != 2 or targets.shape[1] != sum(head_sizes):
        raise ValueError(f"targets of shape {targets.shape} do not have the {sum(head_sizes)} columns of {head_sizes}")
    columns = np.split(targets, np.cumsum(head_sizes)[:-1], axis=1)
    return tuple(map(HeadTargets.of, columns, head_activations))


def joined(parts: Sequence[Sequence[HeadTargets]]) -> tuple[HeadTargets, ...]:
    """Targets of several sets of samples, one set after the other; at least one."""
    return tuple(replace(own[0], kept=np.concatenate([part.kept for part in own])) for own in zip(*parts, strict=True))


def true_cells(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every true cell, row by row; far faster than ``rows.nonzero()`` where these are few."""
    return np.divmod(np.flatnonzero(rows), rows.shape[1])
