"""Datasets whose inputs and targets are columns of a table, or arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from musket.core.errors import DataError
from musket.core.registry import nearest
from musket.core.rle import rle_decode, rle_encode
from musket.core.types import PredictionItem
from musket.data.columns import COLUMN_TYPES, Cells, Column, is_number, split_scores
from musket.data.dataset import FileDataSet, IndexedDataSet
from musket.data.images import read_image
from musket.data.labelled import scales_of
from musket.data.names import Names
from musket.data.table_reading import FilePath, ImageFolders, packed_row, path_of_table, read_table, unpack

_FILES = ("image", "rle")


class CSVDataSet(IndexedDataSet):
    """A column as input and a column as target; numbers as float64, everything else as text.

    Args:
        path: CSV file.
        targetColumn: column, or list of columns, of the targets ``y``.
        featureColumn: column, or list of columns, of the inputs ``x``.
        idColumn: column of ids; default: the number of the row, from 0.
        sep: separator of the cells.

    Raises:
        DataError: the file cannot be read, or a column is missing.
    """

    def __init__(
        self,
        path: FilePath | pd.DataFrame,
        targetColumn: str | Sequence[str],
        featureColumn: str | Sequence[str],
        idColumn: str | None = None,
        sep: str = ",",
    ):
        self.source = path_of_table(path)
        frame = read_table(path, sep)
        targets, features = ([each] if isinstance(each, str) else list(each) for each in (targetColumn, featureColumn))
        self._packed = unpack(frame, [*targets, *features, *([idColumn] if idColumn else [])], self.source)
        self.targetColumn, self.featureColumn, self.idColumn = targetColumn, featureColumn, idColumn
        self.ids = Names(frame[idColumn] if idColumn else map(str, range(len(frame))))
        self._x, self._y = _values(frame, features), _values(frame, targets)

    def __len__(self) -> int:
        return len(self.ids)

    def get_id(self, index: int) -> str:
        return self.ids[index]

    def get_target(self, index: int) -> Any:
        """``y`` of an item."""
        return _row(self._y, range(len(self))[index], isinstance(self.targetColumn, str))

    def _read(self, index: int) -> PredictionItem:
        x = _row(self._x, index, isinstance(self.featureColumn, str))
        return PredictionItem(self.ids[index], x, self.get_target(index))

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> dict[str, Any]:
        """One row: the id and the target columns, values as they are."""
        values = item.y if encode_y else item.prediction
        names = [self.targetColumn] if isinstance(self.targetColumn, str) else list(self.targetColumn)
        found = [values] if isinstance(values, str) else np.ravel(np.asarray(values)).tolist()
        if values is None or len(found) != len(names):
            what = "truth" if encode_y else "prediction"
            raise DataError(f"the {what} has not one value for each of {', '.join(names)}", sample=str(item.id))
        row = {self.idColumn or "id": item.id, **dict(zip(names, found, strict=True))}
        return packed_row(row, self._packed)


def from_csv(
    path: FilePath,
    targetColumn: str | Sequence[str],
    featureColumn: str | Sequence[str],
    idColumn: str | None = None,
    sep: str = ",",
    absPath: bool = False,
) -> CSVDataSet:
    """A :class:`CSVDataSet`.

    Args:
        path: CSV file. Datasets of a config run in the project's ``data`` folder, so that is where it begins.
        targetColumn: column, or list of columns, of the targets.
        featureColumn: column, or list of columns, of the inputs.
        idColumn: column of ids.
        sep: separator of the cells.
        absPath: the path is meant to be absolute; a relative one is refused.

    Raises:
        DataError: as for :class:`CSVDataSet`.
    """
    if absPath and not Path(path).is_absolute():
        raise DataError("absPath: the path is not absolute; write it out, or leave absPath out", path=path)
    return CSVDataSet(path, targetColumn, featureColumn, idColumn, sep)


class FromArrays(IndexedDataSet):
    """Inputs ``x[i]`` with targets ``y[i]``; ids are their numbers, from 0.

    Args:
        x: array or list, one entry per item.
        y: targets, as many; None: unlabelled.

    Raises:
        DataError: they are not as many.
    """

    def __init__(self, x: Any, y: Any = None):
        if y is not None and len(x) != len(y):
            raise DataError(f"there are {len(x)} inputs and {len(y)} targets; each input needs one")
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def get_id(self, index: int) -> str:
        return str(range(len(self))[index])

    def get_target(self, index: int) -> Any:
        """``y[i]``."""
        return None if self.y is None else self.y[range(len(self))[index]]

    def _read(self, index: int) -> PredictionItem:
        return PredictionItem(str(index), self.x[index], self.get_target(index))


def from_array(x: Any, y: Any = None) -> FromArrays:
    """A :class:`FromArrays`."""
    return FromArrays(x, y)


class GenericCSVDataSet(FileDataSet):
    """Columns of a table as inputs and outputs, each by its type; groups join columns into one vector.

    x and y are one array where there is one input (output), else lists of arrays: columns in the order given, then
    groups. Types:

    - ``number``: float64[1]; ``normalized_number``: (number - least) / (largest - least) of the column;
    - ``binary``: bool[1], the larger of two values is true; ``categorical_one_hot``: bool[classes];
      ``multi_class``: bool[classes], any number of classes in a cell;
    - ``image``: the picture of that name in ``image_path``, H x W x channels;
    - ``rle``: runs down the columns, bool H x W x 1 in the size of the row's first image;
    - ``as_is``: a number as float64[1], everything else as text.

    Default: ``number`` where all cells are numbers, ``image`` for inputs whose first cell is the name of an image in
    ``image_path``, else ``categorical_one_hot``.

    Args:
        path: CSV file, or DataFrame.
        input_columns: columns of ``x``. Ids are the cells of the first image column, else numbers from 0.
        output_columns: columns of ``y``.
        image_path: folder of the images, or list of folders.
        ctypes: type by column.
        input_groups: name of a group -> input columns that become one vector.
        output_groups: name of a group -> output columns that become one vector.

    Raises:
        DataError: the table or a folder cannot be read, a column is missing, a cell cannot be what its type says, a
            group has a column that is no vector, an image is not on disk.
    """

    def __init__(
        self,
        path: FilePath | pd.DataFrame,
        input_columns: Sequence[str],
        output_columns: Sequence[str],
        image_path: FilePath | Sequence[FilePath] = (),
        ctypes: Mapping[str, str] | None = None,
        input_groups: Mapping[str, Sequence[str]] | None = None,
        output_groups: Mapping[str, Sequence[str]] | None = None,
    ):
        self.source = path_of_table(path)
        frame = read_table(path)
        if frame.empty:
            raise DataError("the table has a header and no rows", path=self.source)
        folders = [image_path] if isinstance(image_path, (str, Path)) else list(image_path)
        self._folders = ImageFolders(folders) if folders else None
        self._inputs = _grouped(input_columns, input_groups)
        self._outputs = _grouped(output_columns, output_groups)
        names = [name for group in (*self._inputs, *self._outputs) for name in group]
        if not self._inputs or not self._outputs:
            raise DataError("name at least one input column and one output column", path=self.source)
        self._packed = unpack(frame, names, self.source)
        self._texts = {name: Names("" if text.lower() == "nan" else text for text in frame[name]) for name in names}
        inputs = {name for group in self._inputs for name in group}
        self.types = {name: self._type(name, name in inputs, ctypes or {}) for name in names}
        self._check_types(ctypes or {})
        images = [name for name, kind in self.types.items() if kind == "image"]
        self._files = {name: self._found(name) for name in images}
        self._first_image = images[0] if images else None
        self.ids = self._texts[images[0]] if images else Names(map(str, range(len(frame))))
        self._columns: dict[str, Column] = {
            name: COLUMN_TYPES[kind](self._cells(name)) for name, kind in self.types.items() if kind in COLUMN_TYPES
        }
        classes = [self._classes(group) for group in self._outputs]
        self.classes = classes[0] if len(classes) == 1 else classes

    def __len__(self) -> int:
        return len(self.ids)

    def get_id(self, index: int) -> str:
        return self.ids[index]

    def source_files(self) -> list[str]:
        """The images; of the table, what was read counts."""
        return [file for files in self._files.values() for file in files]

    @property
    def number_scales(self) -> dict[str, list[float]]:
        """Output column of numbers -> ``[least, span]``: the table's number is least + target * span."""
        return scales_of(self._columns[name] for group in self._outputs for name in group if name in self._columns)

    def isPositive(self, index: int) -> bool:
        """Whether an output shows any class, or a mask."""
        index = range(len(self))[index]
        return any(self._is_positive(name, index) for group in self._outputs for name in group)

    def get_target(self, index: int) -> Any:
        """``y`` of an item; an image is read for masks only."""
        return self._arrays(self._outputs, range(len(self))[index])

    def _read(self, index: int) -> PredictionItem:
        return PredictionItem(self.ids[index], self._arrays(self._inputs, index), self.get_target(index))

    def _arrays(self, groups: Sequence[Sequence[str]], index: int) -> Any:
        arrays = [
            self._value(group[0], index)
            if len(group) == 1
            else np.concatenate([self._columns[name].vector(index) for name in group])
            for group in groups
        ]
        return arrays[0] if len(arrays) == 1 else arrays

    def _value(self, name: str, index: int) -> Any:
        kind = self.types[name]
        if kind == "image":
            return self.decode(read_image, self._files[name][index])
        text = self._texts[name][index]
        if kind == "as_is":
            return np.array([float(text)]) if is_number(text) else text
        if kind == "rle":
            height, width = self._value(self._first_image or "", index).shape[:2]
            try:
                return rle_decode(text, (height, width)).astype(bool)[..., None]
            except DataError as error:
                raise self._cells(name).refusal(index, str(error)) from error
        return self._columns[name].vector(index)

    def _is_positive(self, name: str, index: int) -> bool:
        if name in self._columns:
            return self._columns[name].is_positive(index)
        return bool(self._texts[name][index] not in ("", "-1"))

    def _cells(self, name: str) -> Cells:
        texts = list(self._texts[name])
        return Cells(name, texts, range(2, len(texts) + 2), texts, self.source, self.ids)

    def _type(self, name: str, is_input: bool, given: Mapping[str, str]) -> str:
        if name in given:
            return given[name]
        if all(map(is_number, self._texts[name])):
            return "number"
        shown = is_input and self._folders is not None and self._texts[name][0] in self._folders
        return "image" if shown else "categorical_one_hot"

    def _check_types(self, given: Mapping[str, str]) -> None:
        allowed = (*COLUMN_TYPES, "as_is", *_FILES)
        for name, kind in given.items():
            if name not in self.types:
                near = nearest(name, list(self.types), 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise DataError(f"ctypes.{name}: no input or output of that name{hint}", path=self.source)
            if kind not in allowed:
                raise DataError(f"ctypes.{name}: no column type {kind!r} (there are {', '.join(allowed)})")
        for name in (name for group in (*self._inputs, *self._outputs) if len(group) > 1 for name in group):
            if self.types[name] not in COLUMN_TYPES:
                raise DataError(f"column {name!r} is of type {self.types[name]}; groups join vectors only")
        if "rle" in self.types.values() and "image" not in self.types.values():
            raise DataError("a column of type rle has the size of an image; name a column of type image, too")

    def _found(self, name: str) -> list[str]:
        if self._folders is None:
            raise DataError(f"column {name!r} holds images; say where they are: image_path", path=self.source)
        return [f"{self._folders.paths[number]}/{file}" for number, file in self._folders.find(self._texts[name])]

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> dict[str, Any]:
        """One row: the id and a cell per output column."""
        scores = item.y if encode_y else item.prediction
        if scores is None:
            raise DataError(f"there is no {'truth' if encode_y else 'prediction'} to encode", sample=str(item.id))
        row: dict[str, Any] = {self._first_image or "id": item.id}
        parts = [scores] if len(self._outputs) == 1 else scores
        if len(parts) != len(self._outputs):
            raise DataError(f"{len(parts)} arrays for {len(self._outputs)} outputs", sample=str(item.id))
        for group, part in zip(self._outputs, parts, strict=True):
            row |= self._written(group, part, treshold, str(item.id))
        return packed_row(row, self._packed)

    def _classes(self, group: Sequence[str]) -> list[str]:
        """What the numbers of an output are called; of a column of two values on its own, both."""
        if len(group) == 1:
            return self._columns[group[0]].classes if group[0] in self._columns else list(group)
        columns = [self._columns[name] for name in group]
        return [each for column in columns for each in ([column.name] if column.width == 1 else column.classes)]

    def _written(self, group: Sequence[str], scores: Any, treshold: float, sample: str) -> dict[str, Any]:
        """Cells of one output."""
        name = group[0]
        if self.types[name] == "rle":
            return {name: rle_encode(np.asarray(scores) > treshold)}
        if self.types[name] == "as_is":
            return {name: scores if isinstance(scores, str) else np.asarray(scores).item()}
        columns = [self._columns[name] for name in group]
        vectors = split_scores(np.ravel(scores), columns, sample)
        return {column.name: column.cell(vector, treshold) for column, vector in zip(columns, vectors, strict=True)}


def _grouped(columns: Sequence[str], groups: Mapping[str, Sequence[str]] | None) -> list[list[str]]:
    """Columns on their own, each once, in order; then those of every group."""
    joined = [list(group) for group in (groups or {}).values()]
    members = {name for group in joined for name in group}
    return [[name] for name in dict.fromkeys(columns) if name not in members] + [group for group in joined if group]


def _values(frame: pd.DataFrame, names: Sequence[str]) -> list[np.ndarray | Names]:
    """Columns as numbers, where every cell is one, else as texts."""
    cells = [frame[name].tolist() for name in names]
    return [np.array(each, dtype=np.float64) if all(map(is_number, each)) else Names(each) for each in cells]


def _row(columns: Sequence[np.ndarray | Names], index: int, single: bool) -> Any:
    """One value; or all of a row, as an array where all are numbers."""
    values = [column[index] for column in columns]
    if single:
        return values[0]
    return values if any(isinstance(value, str) for value in values) else np.array(values)
