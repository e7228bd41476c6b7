"""Datasets described by their files: channels picked from folders of images, or columns of tables.

The description is that of :mod:`musket.config.declared`; relative paths start at the folder of the config.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from musket.config.declared import Array, Binding, Files, Treat
from musket.core.errors import DataError
from musket.core.geometry import with_channels
from musket.core.identity import examples
from musket.core.types import PredictionItem
from musket.data.dataset import FileDataSet
from musket.data.folders import list_files, mask_rows
from musket.data.images import IMAGE_EXTENSIONS, read_image, read_rgba, read_stored
from musket.data.names import Names
from musket.data.table_reading import read_table

Decode = Callable[[Callable[[Any], np.ndarray], Path], np.ndarray]


class FilesDataSet(FileDataSet):
    """Samples whose files are named alike in several folders; ids are file names without their extension, sorted.

    Item: x = the first input, y = the first output (None without outputs); images H x W x channels, rows of tables
    vectors. Items are positive unless their output is declared empty (``negative``).

    Args:
        files: what the samples are made of.
        folder: where relative paths start.
        key: where the description stands in the config, for messages (``datasets.ds_1``).

    Raises:
        DataError: a folder or table is missing, or no sample is in all of them.
    """

    def __init__(self, files: Files, folder: str | Path = ".", key: str = "dataset"):
        self.files = files
        self.name = key.rpartition(".")[2]
        self._inputs = [_Source.of(array, folder, f"{key}.inputs[{i}]") for i, array in enumerate(files.all_inputs())]
        self._outputs = [
            _Source.of(array, folder, f"{key}.outputs[{i}]") for i, array in enumerate(files.all_outputs())
        ]
        readers = [reader for source in (*self._inputs, *self._outputs) for reader in source.readers]
        ids = _common(readers)
        if files.scores_path is not None:
            ids = _scored(ids, Path(folder, files.scores_path), files.scores_range, f"{key}.scores_path")
        self.ids = Names(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def get_id(self, index: int) -> str:
        return self.ids[index]

    def source_files(self) -> list[str]:
        readers = [reader for source in (*self._inputs, *self._outputs) for reader in source.readers]
        return [str(file) for reader in readers for file in reader.files(self.ids)]

    def isPositive(self, index: int) -> bool:
        return not self._outputs or bool(self._outputs[0].readers)

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> Any:
        return mask_rows(item, encode_y, treshold)

    def get_target(self, index: int) -> np.ndarray | None:
        """The first output; the image is read only where an empty one needs its size."""
        if not self._outputs:
            return None
        own = self.ids[index]
        return self._output(own, None if self._outputs[0].readers else self._inputs[0].read(own, self.decode))

    def _output(self, own: str, image: np.ndarray | None) -> np.ndarray | None:
        if not self._outputs:
            return None
        output = self._outputs[0]
        if output.readers:
            return output.read(own, self.decode)
        assert image is not None
        return np.zeros((*image.shape[:2], output.array.negative), dtype=bool)

    def _read(self, index: int) -> PredictionItem:
        own = self.ids[index]
        image = self._inputs[0].read(own, self.decode)
        return PredictionItem(own, image, self._output(own, image))


@dataclass(frozen=True)
class _Source:
    """One input or output and the readers of its bindings, in order."""

    array: Array
    readers: tuple[_Reader, ...]
    key: str
    default: str | None

    @classmethod
    def of(cls, array: Array, folder: str | Path, key: str) -> _Source:
        readers = tuple(
            _Reader(binding, Path(folder, binding.path), f"{key}.bindings[{position}]")
            for position, binding in enumerate(array.bindings)
        )
        return cls(array, readers, key, "bool" if ".outputs[" in key else None)

    def read(self, own: str, decode: Decode) -> np.ndarray:
        """Channels of all bindings side by side, in the declared type.

        Raises:
            DataError: the pictures differ in size, or their values do not fit the type; names the sample.
        """
        parts = [reader.read(own, decode) for reader in self.readers]
        if len({part.shape[:-1] for part in parts}) > 1:
            sizes = ", ".join(f"{part.shape[1]} x {part.shape[0]}" for part in parts)
            raise DataError(f"{self.key}: the pictures differ in size: {sizes} (width x height)", sample=own)
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        kind = self.array.data_type or self.default
        return joined if kind is None else _cast(joined, np.dtype(kind), f"{self.key}.data_type", own)


def _cast(values: np.ndarray, kind: np.dtype[Any], key: str, own: str) -> np.ndarray:
    """Values as another type; fractions are rounded, nothing is wrapped around."""
    if kind.kind == "b" or values.dtype == kind or kind.kind == "f":
        return values.astype(kind, copy=False)
    bounds = np.iinfo(kind)
    if values.size and (values.min() < bounds.min or values.max() > bounds.max):
        raise DataError(
            f"{key}: {kind} holds {bounds.min} to {bounds.max}, the values ({values.dtype}) go from {values.min()} to "
            f"{values.max()}; declare a wider type, or treat: {{normalize: {bounds.max}}}",
            sample=own,
        )
    return (np.rint(values) if values.dtype.kind == "f" else values).astype(kind)


class _Reader:
    """What a binding gives for an id.

    Raises:
        DataError: the folder or the table is missing; names the key of the config.
    """

    def __init__(self, binding: Binding, path: Path, key: str):
        self.binding, self.path, self.key = binding, path, key
        if binding.reader == "CSV":
            self._rows = _rows(path, binding.headers, f"{key}.path", f"{key}.headers")
            self.names: dict[str, str] = {}
        else:
            self._rows = {}
            self.names = _pictures(path, key)

    def ids(self) -> set[str]:
        return set(self._rows or self.names)

    def files(self, ids: Iterable[str]) -> list[Path]:
        """The table, or the pictures of some ids."""
        return [self.path] if self._rows else [self.path / self.names[own] for own in ids]

    def read(self, own: str, decode: Decode) -> np.ndarray:
        """H x W x channels, or the numbers of a row."""
        values = self._rows[own] if self._rows else self._picture(self.path / self.names[own], decode)
        values = _treated(values, self.binding.treat)
        chosen = self.binding.bind
        if chosen is None or chosen == tuple(range(values.shape[-1])):
            return values
        if max(chosen) >= values.shape[-1]:
            raise DataError(
                f"{self.key}.bind takes channel {max(chosen)}, but there are {values.shape[-1]} (0 is the first)",
                sample=own,
                path=self.path,
            )
        return values[..., list(chosen)]

    def _picture(self, file: Path, decode: Decode) -> np.ndarray:
        binding = self.binding
        if binding.reader == "monochrome":
            stored = with_channels(decode(read_stored, file))
            return stored if stored.shape[2] == 1 else stored.mean(axis=2, keepdims=True, dtype=np.float32)
        colours_only = binding.treat.colors is None and binding.bind is not None and max(binding.bind) < 3
        return decode(read_image if colours_only else read_rgba, file)


def _treated(values: np.ndarray, treat: Treat) -> np.ndarray:
    if treat.colors is not None:
        values = _by_colour(values, treat.colors)
    elif treat.type == "binary_mask":
        values = values > treat.threshold
    if treat.normalize is not None:
        peak = values.max()
        values = values * (treat.normalize / peak) if peak > 0 else values.astype(np.float64)
        return values.astype(np.float32)
    return values


def _by_colour(values: np.ndarray, colours: Sequence[tuple[int, ...]]) -> np.ndarray:
    """H x W x colours, bool: where a pixel has exactly that colour; alpha is 255 where a colour has none."""
    wanted = [(*colour, 255)[: max(4, len(colour))] for colour in colours]
    return np.stack([(values[..., :4] == np.array(colour)).all(axis=-1) for colour in wanted], axis=-1)


def _pictures(folder: Path, key: str) -> dict[str, str]:
    """File names by id."""
    try:
        files = [name for name in list_files(folder) if Path(name).suffix.lower() in IMAGE_EXTENSIONS]
    except DataError as error:
        raise DataError(f"{key}.path: {error}") from None
    names: dict[str, str] = {}
    for name in files:
        own = unicodedata.normalize("NFC", Path(name).stem)
        if own in names:
            raise DataError(
                f"{key}.path: two images have one name: {names[own]}, {name}; rename or remove one", path=folder
            )
        names[own] = name
    if not names:
        raise DataError(f"{key}.path: none of the files here is an image", path=folder)
    return names


def _rows(path: Path, headers: Sequence[str] | None, path_key: str, headers_key: str) -> dict[str, np.ndarray]:
    """Numbers of a table by id: float32, in the order of ``headers``."""
    try:
        table = read_table(path)
    except DataError as error:
        raise DataError(f"{path_key}: {error}") from None
    id_column = "id" if "id" in table.columns else table.columns[0]
    columns = [name for name in table.columns if name != id_column] if headers is None else list(headers)
    missing = [name for name in columns if name not in table.columns]
    if missing or not columns:
        there = ", ".join(table.columns)
        raise DataError(f"{headers_key}: no column {', '.join(missing)}; the table has: {there}", path=path)
    try:
        numbers = table[columns].astype(np.float32).to_numpy()
    except ValueError as error:
        raise DataError(f"{headers_key}: not a column of numbers: {error}", path=path) from None
    ids = [_bare(name) for name in table[id_column]]
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise DataError(
            f"{path_key}: {len(repeated)} of the ids in column {id_column!r} stand in more than one row "
            f"({examples(repeated)}); leave one row for each, since which one counts cannot be told",
            path=path,
        )
    return dict(zip(ids, numbers, strict=True))


def _bare(name: str) -> str:
    """An id of a table as files have it: without the extension of an image."""
    stem, dot, extension = name.rpartition(".")
    return stem if dot and f".{extension.lower()}" in IMAGE_EXTENSIONS else name


def _common(readers: Sequence[_Reader]) -> list[str]:
    """Ids every binding has, sorted; one warning says how many were left out.

    Raises:
        DataError: there is none.
    """
    each = [reader.ids() for reader in readers]
    common = set.intersection(*each)
    if not common:
        found = "; ".join(f"{reader.path}: {examples(sorted(ids))}" for reader, ids in zip(readers, each, strict=True))
        raise DataError(f"{readers[0].key}: no sample is named alike in all folders and tables. {found}")
    left = set.union(*each) - common
    if left:
        warnings.warn(
            f"{readers[0].key}: {len(left)} of {len(common | left)} samples are left out: they are not in all folders "
            f"and tables of this dataset ({examples(sorted(left))})",
            stacklevel=4,
        )
    return sorted(common)


def _scored(ids: Sequence[str], path: Path, bounds: tuple[float, float] | None, key: str) -> list[str]:
    """Ids the table of scores names, with a score within the bounds."""
    scores = {own: float(row[0]) for own, row in _rows(path, ["score"], key, key).items()}
    least, most = bounds or (float("-inf"), float("inf"))
    kept = [own for own in ids if own in scores and least <= scores[own] <= most]
    if not kept:
        raise DataError(
            f"{key}: none of the {len(ids)} samples has a score from {least:g} to {most:g}; widen scores_range",
            path=path,
        )
    return kept
