"""``musket analyze``, also ``musket analize``: experiments side by side."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.cli.values import add_boolean
from musket.core.errors import MusketError

if TYPE_CHECKING:
    from musket.report.compare import Column, Comparison, Value


def configure(parser: argparse.ArgumentParser) -> None:
    """Where to look, where to write, and what to sort by."""
    parser.add_argument(
        "--inputFolder",
        "--input_folder",
        "--input-folder",
        metavar="DIR",
        type=Path,
        help="folder searched for experiments; default: the project you are in",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="CSV file to write; default: report.csv in the project you are in, else in the working directory",
    )
    parser.add_argument(
        "--onlyMetric",
        "--only_metric",
        "--only-metric",
        metavar="NAME",
        help="leave out all other metrics, and sort by this one: val_dice and dice_holdout are those columns, dice is "
        "the metric on every part, sorted by that of validation",
    )
    parser.add_argument(
        "--sortBy",
        "--sort_by",
        "--sort-by",
        metavar="NAME",
        help="column to sort by, for metrics the best first; default: val_loss, or where losses differ the "
        "primary_metric, if all have the same",
    )
    add_boolean(parser, "--all", help="also experiments that are not finished, as far as they have come")
    parser.add_argument("--json", action="store_true", help="print the report as JSON, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Write the report, and show it.

    Returns:
        0, also when there is nothing to compare: then nothing is written.
    """
    from musket.experiment.projects.project import COMMON, project_root
    from musket.report.collect import collect
    from musket.report.compare import compare, write_csv

    root = project_root(Path.cwd() / "config.yaml")
    folder = arguments.inputFolder or root or Path.cwd()
    output = arguments.output or (root or Path.cwd()) / "report.csv"
    if not folder.is_dir():
        raise MusketError(f"--inputFolder: {folder} is no folder")
    if output.is_dir():
        raise MusketError(f"--output: {output} is a folder; name a file")

    def common_of(config: Path) -> Path | None:
        of = project_root(config)
        return of / COMMON if of is not None and (of / COMMON).is_file() else None

    collection = collect(folder, common_of, unfinished=arguments.all)
    report = compare(collection, only_metric=arguments.onlyMetric or None, sort_by=arguments.sortBy or None)
    for trouble in report.troubles:
        print(f"warning: {trouble}", file=sys.stderr)
    if report.rows:
        write_csv(report, output)
    if arguments.json:
        print(json.dumps(_plain(report, output), indent=2, ensure_ascii=False))
        return 0
    from rich.console import Console

    from musket.report.compare_table import in_words, show

    console = Console()
    if report.rows:
        show(report, console)
    else:
        print(f"no finished experiment in {folder}; nothing written")
    for line in in_words(report):
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)
    if report.rows:
        print(f"written: {output}")
    return 0


def _plain(report: Comparison, output: Path) -> dict[str, Any]:
    """The report as JSON holds it: values of configs as what they are, nothing for an infinity."""
    from musket.config.read import resolve

    def plain(column: Column, value: Value) -> Value:
        told = resolve(value) if isinstance(value, str) and column.kind == "config" else value
        return None if isinstance(told, float) and not math.isfinite(told) else told

    return {
        "rows": [
            {column.name: plain(column, value) for column, value in zip(report.columns, row, strict=True)}
            for row in report.rows
        ],
        "sorted_by": report.sorted_by.name if report.sorted_by is not None else None,
        "left_out": dict(report.left_out),
        "notes": report.notes,
        "warnings": report.troubles,
        "report": str(output) if report.rows else None,
    }
