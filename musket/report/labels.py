"""Labels and numbers in words, for pictures and tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musket.core.errors import DataError
from musket.core.heads import Heads
from musket.report.tiles import drawable

ClassNames = Sequence[Sequence[str]] | None
"""Names of the classes of every head; None, or an empty list for a head, where there are none."""


def parts_of(vector: np.ndarray, heads: Heads) -> list[np.ndarray]:
    """Values of every head, of a flat vector (or of rows of them: N x sum of the heads' sizes).

    Raises:
        DataError: it has another length.
    """
    vector = np.asarray(vector)
    if vector.ndim == 0 or vector.shape[-1] != sum(heads.sizes):
        raise DataError(f"values of shape {vector.shape} are none of heads of {', '.join(map(str, heads.sizes))}")
    return np.split(vector, np.cumsum(heads.sizes)[:-1], axis=-1)


def names_of(heads: Heads, class_names: ClassNames, head: int) -> list[str]:
    """A name for every class of a head, its number where there is none.

    A head with one class may have a name for it, or two: for its absence and its presence, of which the latter counts.
    Without any it is called as the head, where there are several heads.
    """
    given = class_names[head] if class_names is not None and head < len(class_names) else ()
    size = heads.sizes[head]
    if len(given) == 2 and size == 1:
        given = given[1:]
    if len(given) == size:
        return [str(name) or "(empty)" for name in given]
    return [heads.names[head]] if size == 1 and len(heads.sizes) > 1 else [str(number) for number in range(size)]


def shown_names(heads: Heads, class_names: ClassNames, head: int) -> list[str]:
    """:func:`names_of` for pictures: ``class 3`` where there is no name, or none that the font can write."""
    names = names_of(heads, class_names, head)
    return [name if drawable(name) and name != str(number) else f"class {number}" for number, name in enumerate(names)]


def flag_names(heads: Heads, class_names: ClassNames, head: int) -> tuple[str, str]:
    """What the absence and the presence of the only class of a head are called; without names no and yes."""
    given = class_names[head] if class_names is not None and head < len(class_names) else ()
    if len(given) == 2 and all(map(drawable, given)):
        return str(given[0]), str(given[1])
    return (f"not {given[0]}", str(given[0])) if len(given) == 1 and drawable(given[0]) else ("no", "yes")


def truth_in_words(target: np.ndarray, heads: Heads, class_names: ClassNames = None) -> str:
    """A target on one line: ``dress``; of several heads ``kind: dress, kids: yes, share: 0.25``."""
    said = []
    for head, part in enumerate(parts_of(target, heads)):
        text = head_in_words(part, heads, class_names, head)
        said.append(f"{heads.names[head]}: {text}" if len(heads.sizes) > 1 else text)
    return ", ".join(said)


def head_in_words(part: np.ndarray, heads: Heads, class_names: ClassNames, head: int) -> str:
    """Truth of one head."""
    kind = heads.kinds[head]
    if kind == "values":
        return ", ".join(f"{value:.4g}" for value in part)
    if heads.sizes[head] == 1:
        return flag_names(heads, class_names, head)[int(part[0] > 0.5)]
    names = shown_names(heads, class_names, head)
    if kind == "exclusive":
        return names[int(part.argmax())]
    return ", ".join(names[number] for number in np.flatnonzero(part > 0.5)) or "none"
