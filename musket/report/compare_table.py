"""A comparison on the terminal: the columns that matter most, as many as there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from musket.report.compare import Column, Comparison, Value
from musket.report.words import columns as in_columns
from musket.report.words import count, shortened, told_apart

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MAX_ROWS = 40
_PATH, _CELL, _HEAD = 36, 24, 28
_STATES = ("unfinished", "failed", "never trained", "search", "without metrics")
_WAYS = {"max": "highest first", "min": "lowest first"}


def show(report: Comparison, console: Console) -> None:
    """Print the table: on a terminal what fits in its width, elsewhere every row and column as plain text.

    The best value of every metric ends in ``*``; arrows say which way a metric gets better.
    """
    arrows = {"max": " ↑", "min": " ↓"} if console.encoding.startswith("utf") else {"max": " max", "min": " min"}
    heads = [column.name + arrows.get(column.mode or "", "") for column in report.columns]
    cells = _cells(report)
    if not console.is_terminal:
        rows = [heads, *cells]
        for line in in_columns(rows, left=sum(column.kind in ("name", "config") for column in report.columns[:1])):
            print(line, file=console.file)
        return
    shown = _fitting(report, heads, cells, console)
    console.print(_table(report, heads, cells, shown))
    hidden = [column.name for position, column in enumerate(report.columns) if position not in shown]
    if hidden:
        console.print(f"no room for: {', '.join(hidden)}", highlight=False, soft_wrap=False)
    if len(report.rows) > MAX_ROWS:
        console.print(f"and {len(report.rows) - MAX_ROWS} more rows", highlight=False)


def in_words(report: Comparison) -> list[str]:
    """What the table does not say: the order of its rows, what has no row, what to know of the figures."""
    lines = []
    if report.sorted_by is not None and report.rows:
        way = _WAYS[report.sorted_by.mode or "min"]
        lines.append(f"{count(len(report.rows), 'experiment')}, sorted by {report.sorted_by.name}, {way}")
    elif report.rows:
        lines.append(f"{count(len(report.rows), 'experiment')}, sorted by path")
    left_out = [_left_out(report.left_out[state], state) for state in _STATES if report.left_out[state]]
    if left_out:
        lines.append(f"left out: {', '.join(left_out)}")
    return [*lines, *(f"note: {note}" for note in report.notes)]


def _left_out(amount: int, state: str) -> str:
    if state == "search":
        several = f"{amount} searches" if amount > 1 else "1 search"
        return f"{several} (--inputFolder with its folder compares the trials)"
    return f"{amount} {state}"


def _cells(report: Comparison) -> list[list[str]]:
    """The cells as text."""
    best = [_best(report, position) for position in range(len(report.columns))]
    starred = [
        any(isinstance(row[position], float) and row[position] == value for row in report.rows)
        for position, value in enumerate(best)
    ]
    paths = _short_paths([str(row[0]) for row in report.rows])
    rows = []
    for path, row in zip(paths, report.rows, strict=True):
        texts = [_cell(column, value) for column, value in zip(report.columns, row, strict=True)]
        marked = [
            text + ("*" if value is not None and value == top else " " * has)
            for text, value, top, has in zip(texts, row, best, starred, strict=True)
        ]
        rows.append([path, *marked[1:]])
    return rows


def _cell(column: Column, value: Value) -> str:
    if value is None:
        return "-" if column.kind == "metric" else ""
    if isinstance(value, str):
        return shortened(value, _CELL)
    if column.kind != "metric":
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{value:#.4g}".removesuffix(".")


def _best(report: Comparison, position: int) -> Value:
    """The best value of a metric; None when there is nothing to choose between."""
    column = report.columns[position]
    values = [row[position] for row in report.rows]
    numbers = [value for value in values if isinstance(value, float)]
    if column.kind != "metric" or len(set(numbers)) < 2:
        return None
    return max(numbers) if column.mode == "max" else min(numbers)


def _short_paths(paths: Sequence[str]) -> list[str]:
    """Paths less the folders that all of them begin with."""
    parts = [path.split("/") for path in paths]
    common = 0
    while parts and all(len(one) > common + 1 and one[common] == parts[0][common] for one in parts):
        common += 1
    return told_apart(["/".join(one[common:]) for one in parts], _PATH)


def _fitting(report: Comparison, heads: list[str], cells: list[list[str]], console: Console) -> list[int]:
    """Positions of the columns to show: by weight, as long as they fit."""
    shown: list[int] = []
    for position in sorted(range(len(heads)), key=lambda position: (_weight(report, position), position)):
        tried = sorted([*shown, position])
        table = _table(report, heads, cells, tried)
        if not shown or console.measure(table, options=console.options.update(width=10_000)).maximum <= console.width:
            shown = tried
    return shown


def _weight(report: Comparison, position: int) -> int:
    """What is shown first: path, what is sorted by, what is judged by, what differs, validation, the rest."""
    column = report.columns[position]
    primary = report.primary or ""
    if column.kind == "name":
        return 0
    if column == report.sorted_by:
        return 1
    if column.name in (primary, f"{primary.removeprefix('val_')}_holdout"):
        return 2
    if column.kind == "config" or column.name == "seeds":
        return 3
    if column.name.startswith("val_") or column.name.endswith("_holdout"):
        return 4
    return 5 if column.kind == "count" else 6


def _table(report: Comparison, heads: list[str], cells: list[list[str]], shown: Sequence[int]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for position in shown:
        kind = report.columns[position].kind
        head = shortened(heads[position], _HEAD)
        table.add_column(Text(head), justify="right" if kind in ("metric", "count") else "left", no_wrap=True)
    for row in cells[:MAX_ROWS]:
        table.add_row(
            *(
                Text(
                    row[position],
                    style="bold green"
                    if row[position].endswith("*") and report.columns[position].kind == "metric"
                    else "",
                )
                for position in shown
            )
        )
    return table
