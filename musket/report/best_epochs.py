"""One epoch stands for each fold: the best by one figure, with everything else that was logged in that epoch."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from musket.core.errors import ArtifactError
from musket.metrics.catalogue import Mode, direction, find_column

_FILE = re.compile(r"metrics-([0-9]+)\.([0-9]+)\.csv")
_IGNORED = frozenset({"lr", "fold", ""})
_SUBSTITUTES = ("val_loss", "loss")


@dataclass(frozen=True)
class Epochs:
    """The table of a fold and stage. Cells are text until they are needed: most never are."""

    path: Path
    stage: int
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def values(self, column: str) -> list[float]:
        """A column as numbers; nan where a row has none."""
        position = self.columns.index(column)
        return [self._number(row[position]) if position < len(row) else math.nan for row in self.rows]

    def row(self, number: int) -> dict[str, float]:
        """An epoch: its columns less the rate, and its stage."""
        cells = zip(self.columns, self.rows[number], strict=False)  # the last row may have been cut
        figures = {column: self._number(cell) for column, cell in cells if column not in _IGNORED}
        return {**figures, "stage": float(self.stage)}

    def _number(self, cell: str) -> float:
        if cell in ("NA", ""):
            return math.nan
        try:
            return float(cell)
        except ValueError:
            raise ArtifactError(f"{cell[:40]!r} is no number", self.path) from None


def metrics_files(folder: Path) -> list[tuple[int, int, Path]]:
    """Fold, stage and path of every ``metrics-F.S.csv``, sorted. Empty when there is no such folder."""
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror}", folder) from error
    matches = (_FILE.fullmatch(name) for name in names)
    return sorted((int(found[1]), int(found[2]), folder / found[0]) for found in matches if found)


def read_epochs(path: Path, stage: int) -> Epochs:
    """Read the table of a fold and stage.

    Raises:
        ArtifactError: the file cannot be read, or is no table.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            text = file.read()
        lines = text.splitlines()
        # quotes are rare (names of classes with a comma), and plain cutting is twice as fast
        cut: Iterable[list[str]] = csv.reader(lines) if '"' in text else (line.split(",") for line in lines)
        columns, *rows = (row for row in cut if row != [""] and row)
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror}", path) from error
    except (ValueError, csv.Error) as error:  # empty, or no UTF-8
        raise ArtifactError("not a table of epoch metrics", path) from error
    if "epoch" not in columns:
        raise ArtifactError("not a table of epoch metrics: no column epoch", path)
    return Epochs(path, stage, columns, rows)


def best_epoch(tables: Sequence[Epochs], figure: str, mode: Mode) -> tuple[dict[str, float], str] | None:
    """The row of the best epoch of all stages; of equal ones the first.

    Args:
        tables: of one fold, by stage.
        figure: the column that decides; ``val_loss``, then ``loss`` stand in where it is missing or holds no number.
        mode: which way it gets better.

    Returns:
        the row with ``epoch`` and ``stage`` and without ``lr``, and the column it was chosen by; with no such column
        the last row, and ``""``; None when there is no row.

    Raises:
        ArtifactError: a cell that is needed is no number.
    """
    for name in dict.fromkeys((figure, *_SUBSTITUTES)):
        way = mode if name == figure else direction(name)
        best: tuple[float, Epochs, int] | None = None
        for table in tables:
            column = find_column(name, table.columns)
            for number, value in enumerate(() if column is None else table.values(column)):
                if math.isfinite(value) and (best is None or (value > best[0] if way == "max" else value < best[0])):
                    best = value, table, number
        if best is not None:
            return best[1].row(best[2]), name
    last = next((table for table in reversed(tables) if table.rows), None)
    return None if last is None else (last.row(-1), "")


def mean_row(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    """The mean of every column, over the rows that have a number there; columns without any are left out."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for column, value in row.items():
            if not math.isnan(value):
                values.setdefault(column, []).append(value)
    means = {column: sum(numbers) / len(numbers) for column, numbers in values.items()}
    return {column: mean for column, mean in means.items() if not math.isnan(mean)}  # inf - inf
