"""Vectors of several heads: side by side inside, one array per head at the faces."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

Vectors = np.ndarray | list[np.ndarray]
"""Scores of one head, or a list of them with an entry per head."""


def split_heads(vectors: np.ndarray, head_sizes: Sequence[int]) -> Vectors:
    """Scores of all heads side by side -> one array per head, or the array itself where there is one head.

    Args:
        vectors: ... x sum(head_sizes).
        head_sizes: classes of each head.

    Raises:
        ValueError: the last axis has another length.
    """
    if vectors.shape[-1] != sum(head_sizes):
        raise ValueError(f"heads of {list(head_sizes)} classes make no {vectors.shape[-1]}")
    if len(head_sizes) == 1:
        return vectors
    ends = itertools.accumulate(head_sizes)
    return [vectors[..., end - size : end] for end, size in zip(ends, head_sizes, strict=True)]


def at_face(scores: np.ndarray, head_sizes: Sequence[int] | None) -> Vectors:
    """Scores as users are handed them: vectors by head, see :func:`split_heads`; maps (None) as they are."""
    return scores if head_sizes is None else split_heads(scores, head_sizes)


def score_columns(
    head_sizes: Sequence[int], class_names: Sequence[Sequence[str] | None], head_names: Sequence[str]
) -> list[str]:
    """A name for every score of a vector, for the columns of a table, all different.

    Those of one head are called as its classes are, those of several ``HEAD_CLASS``. Where classes have no names, or
    names that make no columns of their own beside ``image``: ``score_0``, ``score_1``, ..., in several heads
    ``HEAD_0``, ``HEAD_1``, ....

    Args:
        class_names: of each head, or None. A head of one class may have two names, for its absence and its presence.
    """
    return _columns(head_sizes, class_names, head_names) or _columns(head_sizes, [None] * len(head_sizes), head_names)


def _columns(
    head_sizes: Sequence[int], class_names: Sequence[Sequence[str] | None], head_names: Sequence[str]
) -> list[str]:
    """The columns; empty where two would be the same."""
    columns = ["image"]
    for size, names, head in zip(head_sizes, class_names, head_names, strict=True):
        before = f"{head}_" if len(head_sizes) > 1 else "" if names else "score_"
        columns += [f"{before}{name}" for name in (names or range(size))[-size:]]
    return columns[1:] if len(set(columns)) == len(columns) else []
