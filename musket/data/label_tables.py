"""Datasets over a table of labels: a CSV file or a DataFrame names images and says what they show.

Every row is a sample, in the order of the table. Texts are stripped. In ``where``, true and false fit in any case
(``True``, ``TRUE``), null fits empty cells. Classes are sorted and come from all rows of the
table, also from those that ``where`` or ``len`` leave out, so that parts of one table agree about them.

A class column the table does not have counts as 0 in every row, with classes 0 and 1 and a warning (test data have
none); where the table has a column of nearly that name it is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from musket.core.errors import DataError
from musket.core.identity import examples
from musket.core.registry import nearest
from musket.core.types import PredictionItem
from musket.data.columns import (
    COLUMN_TYPES,
    BinaryColumn,
    Cells,
    Column,
    binary,
    category,
    number,
    several_classes,
    single_or_several,
)
from musket.data.labelled import LabelledImages
from musket.data.table_reading import (
    FilePath,
    ImageFolders,
    has_column,
    missing_column,
    packed_row,
    path_of_table,
    read_table,
    unpack,
)

Where = Mapping[str, Any]


@dataclass(frozen=True)
class _Wanted:
    """How a column is read, and the classes it has where the table lacks it (it says the first one); none: an error."""

    read: Callable[[Cells], Column]
    if_absent: tuple[str, ...] = ("0", "1")


class _LabelTable(LabelledImages):
    """Images and the columns of their rows."""

    def __init__(
        self,
        images: FilePath | Sequence[FilePath],
        table: FilePath | pd.DataFrame,
        image_column: str,
        columns: Mapping[str, _Wanted],
        limit: int,
        where: Where | None,
    ):
        self.source = path_of_table(table)
        frame = read_table(table)
        image_column, columns = str(image_column), {str(name): want for name, want in columns.items()}
        if not has_column(frame, image_column):
            raise missing_column(image_column, list(frame.columns), self.source)
        absent = {name: want.if_absent for name, want in columns.items() if not has_column(frame, name)}
        for name, classes in absent.items():
            _check_absent(name, classes, frame.columns.drop(image_column, errors="ignore").tolist(), self.source)
            frame[name] = classes[0]
        self.absent = tuple(absent)
        self._packed = unpack(frame, [image_column, *columns], self.source)
        rows = _rows(frame, where, self.source)
        rows = rows[:limit] if limit >= 0 else rows
        names = frame[image_column].to_numpy()[rows].tolist()
        if "" in names:
            raise DataError(
                f"row {rows[names.index('')] + 2} has no image in column {image_column!r}", path=self.source
            )
        texts = {name: ["" if text.lower() == "nan" else text for text in frame[name].tolist()] for name in columns}
        taken = {name: [cells[row] for row in rows] for name, cells in texts.items()}
        lines = (rows + 2).tolist()
        found = [
            want.read(Cells(name, taken[name], lines, [*texts[name], *absent.get(name, ())], self.source, names))
            for name, want in columns.items()
        ]
        _warn_contradictions(names, zip(*taken.values(), strict=True), self.source)
        folders = ImageFolders(images)
        places = folders.find(names)
        if where is None and limit < 0 and self.source is not None:
            _warn_others(folders.others(places), self.source)
        super().__init__(names, folders.paths, places, found, image_column)

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> dict[str, Any]:
        """One row of a submission, with the columns of the table."""
        return packed_row(super()._encode_item(item, encode_y, treshold), self._packed)


class BinaryClassificationDataSet(_LabelTable):
    """Two classes; y is bool[1]. ``classes`` are sorted (as numbers, if both are), the second one is positive.

    Empty cells are a class of their own, ``""``, the first one, where there is but one other.

    Args:
        imagePath: folder, or list of folders.
        csvPath: CSV file, or DataFrame.
        imColumn: column of image names, with or without extension; they may lead into sub-folders.
        clazzColumn: column of the class; ``Name:0`` = what stands before the first ``_`` in column ``Name``.
        len: most rows to take, from the first; -1 = all.
        classes: the two values, negative first, instead of those found.
        where: only rows with these values: ``{split: train}``, or ``{split: [train, extra]}``.

    Raises:
        DataError: the table or a folder cannot be read, a column is missing, an image is not on disk, there are not
            two classes.
    """

    def __init__(
        self,
        imagePath: FilePath | Sequence[FilePath],
        csvPath: FilePath | pd.DataFrame,
        imColumn: str,
        clazzColumn: str,
        len: int = -1,  # noqa: A002 - the documented name
        classes: Sequence[str] | None = None,
        where: Where | None = None,
    ):
        self.clazzColumn = clazzColumn
        wanted = _Wanted(lambda cells: binary(cells, classes), _absent_as(classes))
        super().__init__(imagePath, csvPath, imColumn, {clazzColumn: wanted}, len, where)


class CategoryClassificationDataSet(_LabelTable):
    """One class of several; y is one-hot, bool[classes]. ``classes`` are sorted (as numbers, if all are).

    Args:
        imagePath: folder, or list of folders.
        csvPath: CSV file, or DataFrame.
        imColumn: column of image names, with or without extension; they may lead into sub-folders.
        clazzColumn: column of the class; ``Name:0`` = what stands before the first ``_`` in column ``Name``.
        len: most rows to take, from the first; -1 = all.
        classes: names of the classes in order, instead of those found.
        where: only rows with these values: ``{split: train}``, or ``{split: [train, extra]}``.

    Raises:
        DataError: the table or a folder cannot be read, a column is missing, an image is not on disk, a row has no
            class or one that is not in ``classes``.
    """

    def __init__(
        self,
        imagePath: FilePath | Sequence[FilePath],
        csvPath: FilePath | pd.DataFrame,
        imColumn: str,
        clazzColumn: str,
        len: int = -1,  # noqa: A002 - the documented name
        classes: Sequence[str] | None = None,
        where: Where | None = None,
    ):
        self.clazzColumn = clazzColumn
        wanted = _Wanted(lambda cells: category(cells, classes), _absent_as(classes))
        super().__init__(imagePath, csvPath, imColumn, {clazzColumn: wanted}, len, where)


class MultiClassClassificationDataSet(_LabelTable):
    """Any number of classes at a time; y is multi-hot, bool[classes].

    Either one column names the classes of an image, with a separator between them (an empty cell: none of them), and
    ``classes`` are sorted; or ``clazzColumn`` is ``"A|B|C"``: every one of these columns is a class and has two values,
    the larger of which is true (an empty cell: false). ``encode`` writes names, or the original values.

    Args:
        imagePath: folder, or list of folders.
        csvPath: CSV file, or DataFrame.
        imColumn: column of image names, with or without extension; they may lead into sub-folders.
        clazzColumn: column of the classes, or columns joined by ``|``.
        len: most rows to take, from the first; -1 = all.
        classes: names of the classes in order, instead of those found (not with ``"A|B|C"``).
        where: only rows with these values: ``{split: train}``, or ``{split: [train, extra]}``.
        separator: between the names of a cell; default: ``|`` if any cell has it, else a blank, else ``_``.

    Raises:
        DataError: the table or a folder cannot be read, a column is missing, an image is not on disk, there is no class
            or one that is not in ``classes``, one of several columns has not two values.
    """

    def __init__(
        self,
        imagePath: FilePath | Sequence[FilePath],
        csvPath: FilePath | pd.DataFrame,
        imColumn: str,
        clazzColumn: str,
        len: int = -1,  # noqa: A002 - the documented name
        classes: Sequence[str] | None = None,
        where: Where | None = None,
        separator: str | None = None,
    ):
        self.clazzColumn = clazzColumn
        names = [name.strip() for name in str(clazzColumn).split("|")]
        several = "|" in str(clazzColumn)
        if several and (classes is not None or separator is not None):
            raise DataError(f"the columns {clazzColumn} are the classes; leave classes and separator out")
        wanted = (
            _Wanted(_flag)
            if several
            else _Wanted(lambda cells: several_classes(cells, classes, separator), _absent_as(classes))
        )
        super().__init__(imagePath, csvPath, imColumn, dict.fromkeys(names, wanted), len, where)
        if several:
            self.classes = names


class MultiOutputClassClassificationDataSet(_LabelTable):
    """Several answers about an image; y is a list of vectors, one per column. ``classes`` is a list of lists.

    A column is one-hot, or multi-hot where a cell has a blank or ``|``. To say it yourself, and for flags and numbers,
    give a map of column -> type::

        clazzColumns: {class: categorical_one_hot, has_defect: binary, defect_fraction: number}

    ``encode`` writes class names, original values and numbers.

    Args:
        imagePath: folder, or list of folders.
        csvPath: CSV file, or DataFrame.
        imColumn: column of image names, with or without extension; they may lead into sub-folders.
        clazzColumns: list of columns, or map column -> ``binary`` (bool[1]), ``categorical_one_hot``, ``multi_class``
            (bool[classes]), ``number``, ``normalized_number`` (float[1]), or null for what a list gives.
        len: most rows to take, from the first; -1 = all.
        where: only rows with these values: ``{split: train}``, or ``{split: [train, extra]}``.

    Raises:
        DataError: the table or a folder cannot be read, a column is missing, an image is not on disk, a cell cannot be
            what its type says.
    """

    def __init__(
        self,
        imagePath: FilePath | Sequence[FilePath],
        csvPath: FilePath | pd.DataFrame,
        imColumn: str,
        clazzColumns: Sequence[str] | Mapping[str, str | None],
        len: int = -1,  # noqa: A002 - the documented name
        where: Where | None = None,
    ):
        self.clazzColumns = list(clazzColumns)
        types = clazzColumns if isinstance(clazzColumns, Mapping) else dict.fromkeys(clazzColumns)
        columns = {name: _wanted(name, kind) for name, kind in types.items()}
        if not columns:
            raise DataError("clazzColumns is empty; name the columns of the outputs")
        super().__init__(imagePath, csvPath, imColumn, columns, len, where)
        self.classes = [column.classes for column in self.columns]

    def get_target(self, index: int) -> list[np.ndarray]:
        """``y`` of an item, one vector per column; no image is read."""
        index = range(len(self))[index]
        return [column.vector(index) for column in self.columns]


class RegressionDataSet(_LabelTable):
    """Numbers as targets; y is float64[columns]. ``classes`` are the names of the columns.

    Args:
        imagePath: folder, or list of folders.
        csvPath: CSV file, or DataFrame.
        imColumn: column of image names, with or without extension; they may lead into sub-folders.
        valueColumns: column of numbers, or list of such columns.
        len: most rows to take, from the first; -1 = all.
        where: only rows with these values: ``{split: train}``, or ``{split: [train, extra]}``.

    Raises:
        DataError: the table or a folder cannot be read, a column is missing, an image is not on disk, a cell is no
            finite number (names its row).
    """

    def __init__(
        self,
        imagePath: FilePath | Sequence[FilePath],
        csvPath: FilePath | pd.DataFrame,
        imColumn: str,
        valueColumns: str | Sequence[str],
        len: int = -1,  # noqa: A002 - the documented name
        where: Where | None = None,
    ):
        names = [str(valueColumns)] if isinstance(valueColumns, str | int) else list(map(str, valueColumns))
        self.valueColumns = names
        wanted = dict.fromkeys(names, _Wanted(number, ()))
        super().__init__(imagePath, csvPath, imColumn, wanted, len, where)


def _flag(cells: Cells) -> BinaryColumn:
    return binary(cells, empty_is_false=True)


def _wanted(name: str, kind: str | None) -> _Wanted:
    if kind is None:
        return _Wanted(single_or_several)
    if kind not in COLUMN_TYPES:
        near = nearest(kind, list(COLUMN_TYPES), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"clazzColumns.{name}: no column type {kind!r} (there are {', '.join(COLUMN_TYPES)}){hint}")
    return _Wanted(COLUMN_TYPES[kind], () if kind in ("number", "normalized_number") else ("0", "1"))


def _absent_as(classes: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(map(str, classes)) if classes else ("0", "1")


def _check_absent(name: str, classes: Sequence[str], columns: Sequence[str], source: str | None) -> None:
    """Warn of a column the table does not have; an error where it is needed, or seems to be misspelt."""
    if not classes or nearest(name, list(columns), 1):
        raise missing_column(name, columns, source)
    warnings.warn(
        f"{source or 'the table'}: no column {name!r}, so every row counts as class {classes[0]!r} of "
        f"{', '.join(classes)}; besides the images the table has: {', '.join(columns) or 'nothing'}",
        stacklevel=5,
    )


def _rows(frame: pd.DataFrame, where: Where | None, source: str | None) -> np.ndarray:
    """Positions of the rows with the values asked for."""
    if frame.empty:
        raise DataError("the table has a header and no rows", path=source)
    kept = np.ones(len(frame), dtype=bool)
    for name, value in (where or {}).items():
        if not has_column(frame, name):
            raise missing_column(name, list(frame.columns), source)
        unpack(frame, [name], source)
        wanted = list(value) if isinstance(value, list | tuple) else [value]
        kept &= np.logical_or.reduce([_says(frame[name], each) for each in wanted], axis=0)
        if not kept.any():
            shown = " or ".join(sorted(_shown(each) for each in wanted))
            raise DataError(
                f"where: no row has {name} {shown}; that column has: {examples(sorted(set(frame[name])), 5)}",
                path=source,
            )
    return np.flatnonzero(kept)


def _says(column: pd.Series, value: Any) -> np.ndarray:
    """Which texts say a value of ``where``: truth values in any case, None by an empty cell."""
    if value is None:
        return column.str.lower().isin(("", "nan")).to_numpy()
    if isinstance(value, bool):
        return (column.str.lower() == _shown(value)).to_numpy()
    return (column == str(value)).to_numpy()


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "''" if value is None else str(value)


def _warn_contradictions(names: Sequence[str], labels: Iterable[tuple[str, ...]], source: str | None) -> None:
    first: dict[str, tuple[str, ...]] = {}
    bad = {name: None for name, own in zip(names, labels, strict=True) if first.setdefault(name, own) != own}
    if bad:
        count = len(bad)
        warnings.warn(
            f"{source or 'the table'}: {count} image{'s have' if count != 1 else ' has'} rows with different labels "
            f"({examples(list(bad))}); every row is a sample of its own: correct or join them",
            stacklevel=4,
        )


def _warn_others(names: Sequence[str], source: str) -> None:
    if names:
        count = len(names)
        warnings.warn(
            f"{count} image{'s' if count != 1 else ''} of the folder {'are' if count != 1 else 'is'} not in {source} "
            f"and left out ({examples(names)})",
            stacklevel=4,
        )
