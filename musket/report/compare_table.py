"""A comparison on the terminal: the columns that matter most, as many as there is room for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from musket.config.read import resolve
from musket.core.identity import examples
from musket.report.compare import Column, Comparison, Value
from musket.report.words import columns as in_columns
from musket.report.words import count, shortened, told_apart

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MAX_ROWS = 40
_PATH, _CELL, _HEAD, _NAMED = 36, 24, 12, 8
_STATES = ("unfinished", "failed", "never trained", "search", "without metrics")
_WAYS = {"max": "highest first", "min": "lowest first"}


def show(report: Comparison, console: Console) -> None:
    """Print the table: on a terminal what fits in its width, elsewhere every row and column as plain text.

    The best value of every metric ends in ``*``; arrows say which way a metric gets better.
    """
    ways = {"max": " ↑", "min": " ↓"} if console.encoding.startswith("utf") else {"max": " max", "min": " min"}
    names = _short_keys(report.columns)
    heads = [name + ways.get(column.mode or "", "") for name, column in zip(names, report.columns, strict=True)]
    heads, *cells = [[_printable(cell, console.encoding) for cell in row] for row in (heads, *_cells(report))]
    if not console.is_terminal:
        for line in in_columns([heads, *cells], left=1):
            print(line.rstrip(), file=console.file)
        return
    shown = _fitting(report, heads, cells, console)
    console.print(_table(report, heads, cells, shown))
    hidden = [column for position, column in enumerate(report.columns) if position not in shown]
    if hidden:
        names = [column.name for column in sorted(hidden, key=lambda column: column.kind != "config")]
        words = f"no room for {count(len(hidden), 'column')}: {examples(names, most=_NAMED)} (the file has all)"
        console.print(words, highlight=False, markup=False)
    if len(report.rows) > MAX_ROWS:
        console.print(f"and {len(report.rows) - MAX_ROWS} more rows", highlight=False)


def _printable(text: str, encoding: str) -> str:
    return text.encode(encoding, "replace").decode(encoding)


def in_words(report: Comparison) -> list[str]:
    """What the table does not say: the order of its rows, what has no row, what to know of the figures."""
    lines = []
    if report.rows:
        by = report.sorted_by or report.columns[0]
        way = "" if by.kind == "name" else f", {_WAYS[by.mode or 'min']}"
        lines.append(f"{count(len(report.rows), 'experiment')}, sorted by {by.name}{way}")
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
    """The cells as text. Where a column has a best value, that one gets a star and the others a blank."""
    best = [_best(report, position) for position in range(len(report.columns))]
    paths = _short_paths([str(row[0]) for row in report.rows])
    rows = []
    for path, row in zip(paths, report.rows, strict=True):
        cells = [_cell(column, value) for column, value in zip(report.columns, row, strict=True)]
        stars = ["" if top is None else "*" if value == top else " " for value, top in zip(row, best, strict=True)]
        rows.append([path, *(cell + star for cell, star in zip(cells[1:], stars[1:], strict=True))])
    return rows


def _cell(column: Column, value: Value) -> str:
    if value is None:
        return "-" if column.kind == "metric" else ""
    if isinstance(value, str):
        number = resolve(value) if len(value) > 8 else None
        return f"{number:.4g}" if isinstance(number, float) else shortened(value, _CELL)
    if column.kind != "metric":
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{value:#.4g}".removesuffix(".")


def _best(report: Comparison, position: int) -> Value:
    """The best value of a metric; None when there is nothing to choose between."""
    column = report.columns[position]
    values = [row[position] for row in report.rows]
    numbers = [value for value in values if isinstance(value, float)]
    if column.mode is None or len(set(numbers)) < 2:
        return None
    return max(numbers) if column.mode == "max" else min(numbers)


def _short_paths(paths: Sequence[str]) -> list[str]:
    """Paths less the folders that all of them begin with."""
    parts = [path.split("/") for path in paths]
    common = 0
    while parts and all(len(one) > common + 1 and one[common] == parts[0][common] for one in parts):
        common += 1
    return told_apart(["/".join(one[common:]) for one in parts], _PATH)


def _short_keys(columns: Sequence[Column]) -> list[str]:
    """Names of columns; of the key of a config its end, as long as that tells it from all others."""
    names = [column.name for column in columns]
    short = []
    for name, column in zip(names, columns, strict=True):
        steps = name.split(".")
        length = min(2, len(steps)) if column.kind == "config" else len(steps)
        while length < len(steps) and (
            steps[-length].isdecimal()
            or sum(f".{other}".endswith("." + ".".join(steps[-length:])) for other in names) > 1
        ):
            length += 1
        short.append(".".join(steps[-length:]))
    return short


def _in_lines(head: str) -> str:
    """The head of a column in lines of at most 12 characters, as far as it has points or underscores to break at."""
    lines = [""]
    for part in re.findall(r".+?(?:[._]+|$)", head):
        if lines[-1] and len(lines[-1] + part) > _HEAD:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _fitting(report: Comparison, heads: list[str], cells: list[list[str]], console: Console) -> list[int]:
    """Positions of the columns to show: by weight, of those of configs the narrow ones first, as long as they fit."""

    def order(position: int) -> tuple[int, int, int]:
        texts = [*_in_lines(heads[position]).split("\n"), *(row[position] for row in cells)]
        narrow = max(map(len, texts)) if report.columns[position].kind == "config" else 0
        return _weight(report, position), narrow, position

    unlimited = console.options.update(width=10_000)
    shown: list[int] = []
    for position in sorted(range(len(heads)), key=order):
        tried = sorted([*shown, position])
        table = _table(report, heads, cells, tried)
        if not shown or console.measure(table, options=unlimited).maximum <= console.width:
            shown = tried
    return shown


def _weight(report: Comparison, position: int) -> int:
    """What is shown first: path, what is sorted by, what is judged by, what differs, validation, the rest, spreads."""
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
    if column.kind == "metric" and column.mode is None and column.name.endswith("_std"):
        return 7
    if column.name.startswith("val_") or column.name.endswith("_holdout"):
        return 4
    return 5 if column.kind == "count" else 6


def _table(report: Comparison, heads: list[str], cells: list[list[str]], shown: Sequence[int]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    texts: list[list[str]] = []
    for position in shown:
        column = [*_in_lines(heads[position]).split("\n"), *(row[position] for row in cells[:MAX_ROWS])]
        if report.columns[position].kind in ("metric", "count"):  # the blank that stands for a star counts
            width = max(map(len, column))
            column = [text.rjust(width) for text in column]
        lines = len(column) - len(cells[:MAX_ROWS])
        table.add_column(Text("\n".join(column[:lines])), no_wrap=True, vertical="bottom")
        texts.append(column[lines:])
    stars = [report.columns[position].kind == "metric" for position in shown]
    for row in zip(*texts, strict=True):
        best = [star and text.endswith("*") for star, text in zip(stars, row, strict=True)]
        table.add_row(*(Text(text, style="bold green" * top) for text, top in zip(row, best, strict=True)))
    return table
