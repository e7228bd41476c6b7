"""Columns of a table as vectors, and vectors as cells again.

Every kind of column is one class: made of :class:`Cells` it knows the numbers of each row, how many there are, and what
to write into a table for a vector of scores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musket.core.errors import DataError
from musket.core.identity import examples
from musket.core.registry import nearest
from musket.data.table_reading import number_in, sorted_names

_PAIRS = (("0", "1"), ("false", "true"), ("no", "yes"))


@dataclass(frozen=True)
class Cells:
    """Texts of one column; an empty one, or ``nan``, says nothing.

    Attributes:
        name: of the column.
        taken: one text per sample.
        lines: line of the file each of them stands in; the header is line 1.
        known: texts of the whole column, also of rows that are not taken: classes and ranges come from all.
        source: path of the table, None for a DataFrame.
        images: name of each sample.
    """

    name: str
    taken: Sequence[str]
    lines: Sequence[int]
    known: Sequence[str]
    source: str | None
    images: Sequence[str]

    def names(self) -> list[str]:
        """The different texts, sorted (as numbers, if all are)."""
        return sorted_names(set(self.known) - {""})

    def refusal(self, index: int, message: str) -> DataError:
        """The error for a sample."""
        message = f"row {self.lines[index]}, column {self.name!r}: {message}"
        return DataError(message, sample=self.images[index], path=self.source)

    def fault(self, message: str) -> DataError:
        """The error for the column."""
        return DataError(f"column {self.name!r} {message}", path=self.source)


@dataclass(frozen=True, eq=False)
class Column(ABC):
    """A column of a table as vectors.

    Attributes:
        name: of the column.
        classes: names of the classes; of a column of numbers its own name.
    """

    name: str
    classes: list[str]

    @property
    def width(self) -> int:
        """Length of the vectors."""
        return len(self.classes)

    @abstractmethod
    def vector(self, index: int) -> np.ndarray:
        """Numbers of a sample, of length :attr:`width`: bool, or float64."""

    @abstractmethod
    def cell(self, scores: np.ndarray, treshold: float) -> str | float:
        """What a table says for a vector of scores (0..1, or numbers); the inverse of :meth:`vector`."""

    def is_positive(self, index: int) -> bool:
        """Whether a sample has any class."""
        return True


@dataclass(frozen=True, eq=False)
class BinaryColumn(Column):
    """``classes``: what stands for false, what stands for true."""

    values: np.ndarray

    @property
    def width(self) -> int:
        return 1

    def vector(self, index: int) -> np.ndarray:
        return self.values[index : index + 1].copy()

    def cell(self, scores: np.ndarray, treshold: float) -> str:
        return self.classes[int(scores[0] > treshold)]

    def is_positive(self, index: int) -> bool:
        return bool(self.values[index])


@dataclass(frozen=True, eq=False)
class CategoryColumn(Column):
    """One class per sample: ``values`` are their numbers."""

    values: np.ndarray

    def vector(self, index: int) -> np.ndarray:
        return np.arange(len(self.classes)) == self.values[index]

    def cell(self, scores: np.ndarray, treshold: float) -> str:
        return self.classes[int(np.argmax(scores))]


@dataclass(frozen=True, eq=False)
class SeveralClassesColumn(Column):
    """Any number of classes per sample: those of sample i are ``members[bounds[i]:bounds[i + 1]]``."""

    members: np.ndarray
    bounds: np.ndarray
    separator: str

    def vector(self, index: int) -> np.ndarray:
        vector = np.zeros(len(self.classes), dtype=bool)
        vector[self.members[self.bounds[index] : self.bounds[index + 1]]] = True
        return vector

    def cell(self, scores: np.ndarray, treshold: float) -> str:
        return self.separator.join(self.classes[number] for number in np.flatnonzero(scores > treshold))

    def is_positive(self, index: int) -> bool:
        return bool(self.bounds[index] < self.bounds[index + 1])


@dataclass(frozen=True, eq=False)
class NumberColumn(Column):
    """One number per sample: the table's is ``least + vector * span``."""

    values: np.ndarray
    least: float = 0.0
    span: float = 1.0

    def vector(self, index: int) -> np.ndarray:
        return self.values[index : index + 1].copy()

    def cell(self, scores: np.ndarray, treshold: float) -> float:
        number = self.least + scores[0] * self.span
        return float(str(number))  # a float32 0.3 is to be written as 0.3, not as its sixteen digits


def binary(cells: Cells, classes: Sequence[str] | None = None, *, empty_is_false: bool = False) -> BinaryColumn:
    """A column of two values, the larger of which is true.

    Cells without a text are the value ``""`` where there is but one other; with two others they are an error, or false.

    Raises:
        DataError: there are more values than two, or only one whose opposite is not known (0/1, false/true, no/yes).
    """
    names = cells.names() if classes is None else _given(classes)
    empty = "" in cells.known
    if classes is None and len(names) == 1 and empty:
        names = ["", *names]
    elif len(names) == 1:
        names = _pair(names[0])
        if not names:
            raise cells.fault(
                f"has one value only, {cells.known[0]!r}, so nothing can be told apart; add rows of the other class, "
                "or name both: classes=[negative, positive]"
            )
    if len(names) != 2:
        raise cells.fault(
            f"has {len(names)} values ({examples(names)}), where two classes are needed; with more of them take "
            "CategoryClassificationDataSet (type categorical_one_hot), for numbers RegressionDataSet (type number)"
        )
    numbers = _numbers(names)
    if empty_is_false:
        numbers.setdefault("", 0)
    return BinaryColumn(cells.name, names, _codes(cells, numbers).astype(bool))


def category(cells: Cells, classes: Sequence[str] | None = None) -> CategoryColumn:
    """A column of one class per row.

    Raises:
        DataError: a row has no class, or one that is not in ``classes``.
    """
    names = cells.names() if classes is None else _given(classes)
    if not names:
        raise cells.fault("names no class in any row")
    return CategoryColumn(cells.name, names, _codes(cells, _numbers(names)))


def several_classes(
    cells: Cells, classes: Sequence[str] | None = None, separator: str | None = None
) -> SeveralClassesColumn:
    """A column of any number of classes per row, with a separator between them.

    Args:
        cells: the column.
        classes: their names in order; default: those of the table, sorted.
        separator: between the names of a cell; default: see :func:`find_separator`.

    Raises:
        DataError: there is no class at all, or one that is not in ``classes``.
    """
    between = separator or find_separator(cells.known) or " "
    split = [_split(text, between) for text in cells.taken]
    known = {name for text in set(cells.known) for name in _split(text, between)}
    names = sorted_names(known) if classes is None else _given(classes)
    if not names:
        raise cells.fault("names no class in any row")
    numbers = _numbers(names)
    for index, found in enumerate(split):
        for name in found:
            if name not in numbers:
                raise cells.refusal(index, _unknown(name, names))
    members = np.array([numbers[name] for found in split for name in found], dtype=np.int32)
    bounds = np.cumsum([0, *map(len, split)], dtype=np.int64)
    return SeveralClassesColumn(cells.name, names, members, bounds, between)


def number(cells: Cells) -> NumberColumn:
    """A column of finite numbers.

    Raises:
        DataError: a cell is empty, or no finite number; names its row.
    """
    return NumberColumn(cells.name, [cells.name], _read_numbers(cells))


def normalized_number(cells: Cells) -> NumberColumn:
    """A column of finite numbers as (number - least) / (largest - least), of all rows of the table: 0..1.

    Raises:
        DataError: a cell is empty, or no finite number; all numbers are equal.
    """
    values = _read_numbers(cells)
    known = [found for text in set(cells.known) if (found := number_in(text)) is not None]
    least, largest = min(known), max(known)
    if least == largest:
        raise cells.fault(f"holds the same number everywhere ({least:g}), which has no range to scale; leave it out")
    return NumberColumn(cells.name, [cells.name], (values - least) / (largest - least), least, largest - least)


def single_or_several(cells: Cells) -> Column:
    """One class per row, or several where a cell has a blank or ``|``."""
    return several_classes(cells) if find_separator(cells.known, "| ") else category(cells)


COLUMN_TYPES: dict[str, Callable[[Cells], Column]] = {
    "binary": binary,
    "categorical_one_hot": category,
    "multi_class": several_classes,
    "number": number,
    "normalized_number": normalized_number,
}
"""Types of columns. ``binary``: bool[1], the larger of two values is true. ``categorical_one_hot``: bool[classes], one
class. ``multi_class``: bool[classes], any number of classes. ``number``: float64[1]. ``normalized_number``: float64[1],
0 to 1 from the least to the largest number of the column."""


def find_separator(texts: Sequence[str], among: str = "| _") -> str | None:
    """What stands between the names of a cell: ``|`` if any cell has it, else a blank, else ``_``, else nothing."""
    return next((mark for mark in among if any(mark in text for text in texts)), None)


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    return number_in(text) is not None


def split_scores(scores: Any, columns: Sequence[Column], sample: str) -> list[np.ndarray]:
    """Scores of an item, one flat vector per column.

    Args:
        scores: one vector per column, or all of them in one.
        columns: what they are scores of.
        sample: id for messages.

    Raises:
        DataError: they are not as many as the columns need.
    """
    widths = [column.width for column in columns]
    per_column = isinstance(scores, list | tuple) and len(scores) == len(columns) and any(map(np.ndim, scores))
    flat = [np.ravel(part) for part in scores] if per_column else [np.ravel(scores)]
    if not per_column and flat[0].size == sum(widths):
        flat = np.split(flat[0], np.cumsum(widths)[:-1])
    if [part.size for part in flat] != widths:
        found = " + ".join(str(part.size) for part in flat)
        wanted = " + ".join(f"{column.width} ({column.name})" for column in columns)
        raise DataError(f"{found} scores, where the table needs {wanted}", sample=sample)
    return flat


def _codes(cells: Cells, numbers: dict[str, int]) -> np.ndarray:
    """Number of every sample's class."""
    for index, text in enumerate(cells.taken):
        if text in numbers:
            continue
        if text:
            raise cells.refusal(index, _unknown(text, [name for name in numbers if name]))
        count = sum(not each for each in cells.taken)
        raise cells.refusal(index, f"no class ({count} of {len(cells.taken)} rows); fill it in, or drop the rows")
    return np.array([numbers[text] for text in cells.taken], dtype=np.int32)


def _numbers(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _given(classes: Sequence[str]) -> list[str]:
    names = [str(name).strip() for name in classes]
    if len(set(names)) < len(names):
        raise DataError(f"classes: a name occurs twice in {', '.join(names)}")
    return names


def _unknown(name: str, names: Sequence[str]) -> str:
    near = nearest(name, list(names), 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{name!r} is none of the {len(names)} classes ({examples(names, 5)}){hint}"


def _pair(name: str) -> list[str]:
    """A value and its opposite, false before true; empty where there is no usual one."""
    for pair in _PAIRS:
        if name.lower() in pair:
            style = str.upper if name.isupper() else str.title if name.istitle() else str.lower
            return [style(each) for each in pair]
    return []


def _split(text: str, separator: str) -> list[str]:
    """Different names in a cell."""
    return list(dict.fromkeys(name.strip() for name in text.split(separator) if name.strip()))


def _read_numbers(cells: Cells) -> np.ndarray:
    values = np.empty(len(cells.taken))
    for index, text in enumerate(cells.taken):
        found = number_in(text)
        if found is None:
            what = f"{text!r} is not a finite number" if text else "the cell is empty, where a number is needed"
            raise cells.refusal(index, f"{what}; correct it, or drop the row")
        values[index] = found
    return values
