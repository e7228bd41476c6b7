"""Experiments side by side: one row each, with what they differ in and how well they did."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from musket.artifacts.files import write_atomic
from musket.config.read import resolve
from musket.core.errors import MusketError
from musket.core.identity import examples
from musket.core.registry import nearest
from musket.metrics.catalogue import Mode, direction, find_column
from musket.report.collect import Collection, Entry
from musket.report.differences import Differences, differences

Value = str | int | float | None
"""A cell: text of a config, a number, or nothing."""

SORT_BY = "val_loss"
_COUNTERS = ("epoch", "stage")
_LOSSES = ("loss", "val_loss", "loss_holdout")


@dataclass(frozen=True)
class Column:
    """A column of the report.

    Attributes:
        kind: what it holds; a ``count`` has no better or worse.
        mode: of a metric, which way it gets better; None of a spread, and of losses where they are different ones.
    """

    name: str
    kind: Literal["name", "count", "config", "metric"]
    mode: Mode | None = None


Pair = tuple[Column, Sequence[Value]]
"""A column and its cells."""


@dataclass(frozen=True)
class Comparison:
    """The report.

    Attributes:
        columns: in their order.
        rows: a cell for each column.
        sorted_by: the column the rows are sorted by; None when they are sorted by name.
        primary: the figure all experiments are judged by; None when they are judged by several.
        left_out: experiments without a row, by why.
        troubles: files that could not be read, a line each.
        notes: what one has to know to read the figures, a line each.
    """

    columns: list[Column]
    rows: list[list[Value]]
    sorted_by: Column | None
    primary: str | None
    left_out: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def position(self, name: str) -> int:
        """Where a column stands."""
        return [column.name for column in self.columns].index(name)


def compare(collection: Collection, *, only_metric: str | None = None, sort_by: str | None = None) -> Comparison:
    """Lay experiments side by side.

    Columns: path, fold_count, the keys in which the configs differ (``loss`` as ``loss_function``, for the metric has
    that name), the training metrics, those of validation, those of the holdout, spreads; each group sorted.

    Args:
        collection: what was found.
        only_metric: leave out all other metrics: a name with ``val_`` or ``_holdout`` is that column, a bare one the
            metric on every part. Also the column to sort by (of several that of validation), unless ``sort_by`` says
            another.
        sort_by: a column: the best first for metrics, else the lowest; rows without a value come last. Default:
            ``val_loss``, or if nobody logged it or losses differ the figure all experiments are judged by.

    Raises:
        MusketError: there is no such column; names the nearest and all there are.
    """
    entries = collection.entries
    found = differences([entry.config for entry in entries])
    metrics = _metrics(entries, different_losses=any(key.partition(".")[0] == "loss" for key in found.keys))
    pairs = _about(entries)
    taken = {column.name for column in (*metrics, *(column for column, _ in pairs))}
    pairs += _of_configs(found, taken)
    figures = [{**one.spread, **one.figures, **one.holdout} for one in entries]
    pairs += [(column, [row.get(column.name) for row in figures]) for column in metrics]
    columns = [column for column, _ in pairs]
    judged = {entry.primary for entry in entries}
    report = Comparison(
        columns,
        [list(row) for row in zip(*(values for _, values in pairs), strict=True)],
        None,
        judged.pop() if len(judged) == 1 else None,
        collection.left_out,
        collection.troubles,
        [*_remarks(collection), *_doubts(entries, found.alike)],
    )
    if not entries:
        return report
    chosen = metrics if only_metric is None else _of_one_metric(only_metric, metrics)
    by = _usual(report) if only_metric is None else chosen[0]
    report = _sorted(report, by if sort_by is None else _column(sort_by, "--sortBy", columns))
    report.notes.extend(_of_losses(report, asked=sort_by is not None or only_metric is not None))
    return _without(report, [column for column in metrics if column not in chosen])


def _of_one_metric(asked: str, metrics: Sequence[Column]) -> list[Column]:
    """The columns that ``--onlyMetric`` leaves, that to sort by first: one by its whole name, by a bare one several."""
    whole = asked.startswith("val_") or asked.endswith("_holdout")
    names = {column.name: column for column in metrics}
    found = [find_column(name, names) for name in (() if whole else (f"val_{asked}", asked, f"{asked}_holdout"))]
    chosen = [name for name in found if name is not None] or [_column(asked, "--onlyMetric", metrics).name]
    spreads = [] if whole else [f"{name}_std" for name in chosen if f"{name}_std" in names]
    return [names[name] for name in dict.fromkeys((*chosen, *spreads))]


def _of_losses(report: Comparison, *, asked: bool) -> list[str]:
    """Sorted by values of different losses, experiments are in no order that means anything.

    Args:
        asked: whether the user said what to sort by.
    """
    by = report.sorted_by
    if by is None or all(column.name not in _LOSSES or column.mode is not None for column in report.columns):
        return []
    if by.name in _LOSSES:
        other = report.primary if report.primary not in (None, *_LOSSES) else "a metric"
        return [
            f"{by.name} is of different losses, so its order says nothing of which is better: --sortBy {other} does"
        ]
    return (
        [] if asked else [f"{SORT_BY} is of different losses and says nothing of which is better; sorted by {by.name}"]
    )


def _about(entries: Sequence[Entry]) -> list[Pair]:
    """Which experiments: seeds and state only where they tell something."""
    pairs: list[Pair] = [
        (Column("path", "name"), [entry.name for entry in entries]),
        (Column("fold_count", "count"), [entry.folds for entry in entries]),
    ]
    if any(entry.seeds for entry in entries):
        pairs.append((Column("seeds", "count"), [entry.seeds or 1 for entry in entries]))
    if any(entry.state != "finished" for entry in entries):
        pairs.append((Column("state", "config"), [entry.state for entry in entries]))
    return pairs


def _of_configs(found: Differences, taken: Container[str]) -> list[Pair]:
    """What configs differ in, ``loss`` first. A key whose name another column has gets a longer one."""
    pairs: list[Pair] = []
    for position in sorted(range(len(found.keys)), key=lambda position: found.keys[position] != "loss"):
        key = found.keys[position]
        name = key if key not in taken else "loss_function" if key == "loss" else f"config.{key}"
        pairs.append((Column(name, "config"), [row[position] for row in found.rows]))
    return pairs


def _metrics(entries: Sequence[Entry], *, different_losses: bool) -> list[Column]:
    """Training metrics with epoch and stage, those of validation, those of the holdout, spreads."""
    modes = {entry.primary: entry.mode for entry in entries}
    logged = {name for entry in entries for name in entry.figures}
    holdout = {name for entry in entries for name in entry.holdout} - logged
    spreads = {name for entry in entries for name in entry.spread} - logged - holdout

    def column(name: str) -> Column:
        if name in _COUNTERS:
            return Column(name, "count")
        if name in spreads or (different_losses and name in _LOSSES):
            return Column(name, "metric")
        own = modes.get(name) or modes.get(f"val_{name.removesuffix('_holdout')}")
        return Column(name, "metric", own or direction(name) or ("min" if "loss" in name else "max"))

    ordered = [*sorted(logged, key=lambda name: (name.startswith("val_"), name)), *sorted(holdout), *sorted(spreads)]
    return [column(name) for name in ordered]


def _remarks(collection: Collection) -> list[str]:
    return [f"{examples(names, most=3)}: {words}" for words, names in collection.remarks.items()]


def _doubts(entries: Sequence[Entry], alike: Sequence[str]) -> list[str]:
    """What makes figures less comparable than they look."""
    doubts = []
    judged = Counter(entry.primary or "their last epoch" for entry in entries)
    if len(judged) > 1:
        several = ", ".join(f"{name} ({count})" for name, count in judged.most_common())
        doubts.append(f"epochs are chosen by different figures: {several}")
    if len({entry.data for entry in entries if entry.data}) > 1:
        doubts.append("not all were trained on the same samples")
    if alike:
        doubts.append(f"written differently, but trained with one value: {examples(alike, most=9)}")
    return doubts


def _column(asked: str, argument: str, among: Sequence[Column]) -> Column:
    """A column by its name, or by another name of the same metric."""
    names = {column.name: column for column in among}
    name = find_column(asked, names)
    if name is None:
        near = nearest(asked, list(names))
        closest = f"nearest: {', '.join(near)}; " if near else ""
        raise MusketError(f"{argument}: no column {asked!r}; {closest}there are: {', '.join(names)}")
    return names[name]


def _usual(report: Comparison) -> Column | None:
    """The column to sort by when nobody says."""
    names = {column.name: column for column in report.columns}
    usual, judged = names.get(SORT_BY), names.get(report.primary or "")
    return judged if judged is not None and (usual is None or usual.mode is None) else usual


def _sorted(report: Comparison, by: Column | None) -> Comparison:
    """The rows by one column; those without a value last, equal ones by name."""
    rows = sorted(report.rows, key=lambda row: str(row[0]).split("/"))
    if by is not None:
        position = report.position(by.name)
        rows.sort(key=lambda row: _rank(row[position], by.mode))
    return replace(report, rows=rows, sorted_by=by)


def _rank(value: Value, mode: Mode | None) -> tuple[int, float, str]:
    if isinstance(value, str):
        told = resolve(value)
        value = told if isinstance(told, int | float) and not isinstance(told, bool) else value
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return 2, 0.0, ""
    if isinstance(value, str):
        return 1, 0.0, value
    return 0, -value if mode == "max" else value, ""


def _without(report: Comparison, dropped: Iterable[Column]) -> Comparison:
    left_out = {column.name for column in dropped}
    kept = [position for position, column in enumerate(report.columns) if column.name not in left_out]
    columns = [report.columns[position] for position in kept]
    return replace(report, columns=columns, rows=[[row[position] for position in kept] for row in report.rows])


def write_csv(report: Comparison, path: Path) -> None:
    """Write the report as CSV, whatever the file is called; numbers with all their digits, nothing for nothing.

    Raises:
        ArtifactError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in report.columns)
    writer.writerows(report.rows)
    write_atomic(path, text.getvalue())
