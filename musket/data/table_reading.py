"""What datasets over tables share: reading a CSV file, finding the images it names, columns packed into others.

Columns may be packed: where a column ``A`` or ``B`` is asked for and the table has ``A_B`` instead, its values are
split at their last ``_`` (at as many as its name has). Encoding packs them again where all parts were asked for.
"""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count, takewhile
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from musket.core.errors import DataError
from musket.core.identity import examples
from musket.core.registry import nearest
from musket.data.folders import list_files
from musket.data.images import IMAGE_EXTENSIONS

FilePath = str | Path


def read_table(source: FilePath | pd.DataFrame, separator: str = ",") -> pd.DataFrame:
    """A table of texts, stripped; missing cells are empty text, and whole numbers stay whole (``1``, not ``1.0``).

    Lists in the cells of a DataFrame become texts with ``|`` between their entries.

    Args:
        source: CSV file with a header (UTF-8, else Windows-1251), or a table, which is copied.
        separator: what stands between the cells of a row.

    Raises:
        DataError: the file is missing, empty, or no CSV; a row has more cells than the header; two columns have the
            same name.
    """
    frame = source if isinstance(source, pd.DataFrame) else _read_csv(source, separator)
    names = [str(name).strip() or f"Unnamed: {place}" for place, name in enumerate(frame.columns)]
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        message = f"{names.count(twice)} columns are called {twice!r}; rename or remove all but one"
        raise DataError(message, path=path_of_table(source))
    columns = (frame.iloc[:, place].tolist() for place in range(len(names)))
    return pd.DataFrame(
        {name: list(map(_text, column)) for name, column in zip(names, columns, strict=True)}, dtype=object
    )


def path_of_table(source: FilePath | pd.DataFrame) -> str | None:
    """Where messages say a table is; None for a DataFrame."""
    return None if isinstance(source, pd.DataFrame) else str(Path(source).absolute())


class ImageFolders:
    """Images of one or several folders, found by file name or by file name without extension.

    Names may lead into sub-folders (``train/cat/1.jpg``). Of files of one name the one in the first folder is taken.

    Raises:
        DataError: a folder cannot be listed.
    """

    def __init__(self, paths: FilePath | Sequence[FilePath]):
        given = [paths] if isinstance(paths, (str, Path)) else list(paths)
        self.paths = [str(Path(path).absolute()) for path in given]
        self._listings: dict[tuple[int, str], _Listing] = {}
        for path in self.paths:
            if not Path(path).is_dir():
                list_files(path)  # says why not

    def find(self, ids: Sequence[str]) -> list[tuple[int, str]]:
        """Number of the folder, and file name within it, of every id.

        Raises:
            DataError: an id has no image, one folder has several for it, or a folder is empty.
        """
        found = []
        missing = []
        for own in ids:
            place = self._place(own)
            if place is None:
                missing.append(own)
            else:
                found.append(place)
        if missing:
            raise DataError(
                f"{len(missing)} of the {len(ids)} images of the table are not here ({examples(missing)}), neither "
                "under that name nor with an extension added; copy them here, correct the folder, or drop their rows",
                sample=missing[0],
                path=" and ".join(self.paths),
            )
        return found

    def __contains__(self, own: str) -> bool:
        return self._place(own) is not None

    def others(self, found: Iterable[tuple[int, str]]) -> list[str]:
        """Images of the folders that :meth:`find` looked into, besides those it found."""
        known = {name for _, name in found}  # of files of one name only the first was looked for
        names = {name for listing in self._listings.values() for name in listing.images}
        return sorted(names - known)

    def _place(self, own: str) -> tuple[int, str] | None:
        below, _, name = unicodedata.normalize("NFC", own).replace("\\", "/").rpartition("/")
        listings = [self._listing(number, below) for number in range(len(self.paths))]
        for number, listing in enumerate(listings):
            if name in listing.exact:
                return number, listing.exact[name]
        for number, listing in enumerate(listings):
            fitting = listing.bare.get(name, [])
            if len(fitting) > 1:
                raise DataError(
                    f"several files fit: {examples(fitting)}; write the extension into the table, or remove one",
                    sample=own,
                    path=self.paths[number],
                )
            if fitting:
                return number, fitting[0]
        return None

    def _listing(self, number: int, below: str) -> _Listing:
        if (number, below) not in self._listings:
            self._listings[number, below] = _Listing(self.paths[number], below)
        return self._listings[number, below]


class _Listing:
    """File names of one folder by what a table may call them; of a sub-folder that is not there, none."""

    def __init__(self, root: str, below: str):
        self.exact: dict[str, str] = {}
        self.bare: dict[str, list[str]] = {}
        self.images: list[str] = []
        folder = os.path.join(root, below)  # noqa: PTH118 - ``below`` may be absolute
        for name in list_files(folder) if not below or Path(folder).is_dir() else ():
            key, full = unicodedata.normalize("NFC", name), f"{below}/{name}" if below else name
            self.exact[key] = full
            stem, _, extension = key.rpartition(".")
            if f".{extension.lower()}" in IMAGE_EXTENSIONS:
                self.bare.setdefault(stem, []).append(full)
                self.images.append(full)


def has_column(frame: pd.DataFrame, name: str) -> bool:
    """Whether a table has a column, as it is, packed in another one, or as ``Other:0``."""
    base, colon, place = name.rpartition(":")
    return (
        name in frame.columns
        or bool(colon and place.isdecimal() and base in frame.columns)
        or _packed_in(frame, name) is not None
    )


def unpack(frame: pd.DataFrame, wanted: Sequence[str], source: str | None) -> dict[str, list[str]]:
    """Add wanted columns that are packed in others; returns packed column -> its parts, for those to be packed again.

    Warns of a packed column of which not all parts are wanted: the name asked for may be a misspelt one.

    Raises:
        DataError: a column is missing (names the nearest), or a value of a packed one does not split.
    """
    used: dict[str, list[str]] = {}
    for name in wanted:
        base, colon, place = name.rpartition(":")
        if name in frame.columns:
            continue
        if colon and place.isdecimal() and base in frame.columns:
            frame[name] = _parts(frame[base], int(place), base, source)
            used[base] = list(takewhile(wanted.__contains__, (f"{base}:{number}" for number in count())))
            continue
        column = _packed_in(frame, name)
        if column is None:
            raise missing_column(name, list(frame.columns), source)
        parts = column.split("_")
        pieces = [value.rsplit("_", len(parts) - 1) for value in frame[column]]
        short = next((row for row, piece in enumerate(pieces) if len(piece) < len(parts)), None)
        if short is not None:
            raise DataError(
                f"row {short + 2}: {frame[column][short]!r} in column {column!r} does not split into {parts}",
                path=source,
            )
        for part, values in zip(parts, zip(*pieces, strict=True), strict=True):
            if part not in frame.columns:
                frame[part] = list(values)
        if set(parts) <= set(wanted):
            used[column] = parts
        else:
            warnings.warn(
                f"{source or 'the table'}: column {name!r} is taken from {column!r}, split at '_'; if all of it is "
                f"meant, ask for {column!r}",
                stacklevel=2,
            )
    return used


def _parts(column: pd.Series, place: int, name: str, source: str | None) -> list[str]:
    """What stands at a place between the ``_`` of every text, empty where there is no such place."""
    pieces = [text.split("_") for text in column]
    if pieces and max(map(len, pieces)) <= place:
        raise DataError(
            f"column {name!r} has no part {place} in any row; parts are counted from 0, and {column.iloc[0]!r} has "
            f"{len(pieces[0])}",
            path=source,
        )
    return [piece[place] if place < len(piece) else "" for piece in pieces]


def packed_row(row: dict[str, Any], packed: dict[str, list[str]]) -> dict[str, Any]:
    """A row with columns joined as :func:`unpack` found them, in the place of their first part."""
    for column, parts in packed.items():
        if parts and column not in row and all(part in row for part in parts):
            joined = "_".join(str(row[part]) for part in parts)
            row = {
                column if name == parts[0] else name: joined if name == parts[0] else value
                for name, value in row.items()
                if name not in parts[1:]
            }
    return row


def missing_column(name: str, columns: Sequence[str], source: str | None) -> DataError:
    """The error for a column that is not in the table."""
    separator = next((mark for mark in ";\t|" if len(columns) == 1 and mark in columns[0]), None)
    if separator is not None:
        return DataError(
            f"no column {name!r}, for the header is a single cell, {columns[0]!r}; its separator seems to be "
            f"{separator!r}, where ',' is expected: save the table with commas",
            path=source,
        )
    near = nearest(name, list(columns), 1)
    hint = f"did you mean {near[0]!r}? The" if near else "the"
    return DataError(f"no column {name!r}; {hint} table has: {', '.join(columns)}", path=source)


def sorted_names(names: Iterable[str]) -> list[str]:
    """Class names in order: as numbers if all are."""
    numbers = {name: number_in(name) for name in names}
    if None in numbers.values():
        return sorted(numbers)
    return sorted(numbers, key=lambda name: (numbers[name], name))


def number_in(text: str) -> float | None:
    """The finite number a text says; None if it is none. ``1_0``, which Python reads as 10, is none."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if isfinite(found) and "_" not in text else None


def _packed_in(frame: pd.DataFrame, name: str) -> str | None:
    return next((each for each in frame.columns if "_" in each and name in each.split("_")), None)


def _read_csv(path: FilePath, separator: str) -> pd.DataFrame:
    for encoding in ("utf-8-sig", "cp1251"):
        try:  # the header is read as a row: pandas takes the first cells of longer rows for an index without a word
            rows = pd.read_csv(path, sep=separator, header=None, dtype=str, keep_default_na=False, encoding=encoding)
        except UnicodeDecodeError:
            continue
        except FileNotFoundError:
            raise DataError("no such table; correct the path in the dataset", path=Path(path).absolute()) from None
        except pd.errors.EmptyDataError:
            raise DataError("the table is empty", path=path) from None
        except (pd.errors.ParserError, OSError) as error:
            raise DataError(_unreadable(str(error), separator), path=path) from error
        return rows[1:].set_axis([_text(name) for name in rows.iloc[0]], axis=1)
    raise DataError("the table is neither UTF-8 nor Windows-1251 text; save it as UTF-8", path=path)


def _unreadable(message: str, separator: str) -> str:
    """What a parser's message says of the table."""
    longer = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message)
    if longer is None:
        return f"not a readable CSV table: {message}"
    header, line, cells = longer.groups()
    return (
        f"not a readable CSV table: line {line} has {cells} cells, the header {header}; name every column, put texts "
        f"with {separator!r} in quotes, and remove a {separator!r} at the end of rows"
    )


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, list | tuple | np.ndarray):
        return "|".join(map(_text, cell))
    if cell is None or (pd.api.types.is_scalar(cell) and pd.isna(cell)):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
