"""``musket ls experiments``: where the experiments of a project stand."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from musket.core.errors import MusketError
from musket.core.registry import nearest

if TYPE_CHECKING:
    from musket.experiment.state.state import State

_HEAD = ("experiment", "state", "folds", "result", "age", "")
_STYLES = {"running": "cyan", "finished": "green", "stale": "yellow", "failed": "red", "refused": "red"}
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def configure(parser: argparse.ArgumentParser) -> None:
    """What is listed, beside the project and the form."""
    from musket.cli.values import names, spellings

    group = parser.add_argument_group("musket ls experiments")
    group.add_argument(
        "--state",
        type=names,
        metavar="STATE[,STATE]",
        help="only these: new, running, interrupted, failed, finished, stale, refused",
    )
    group.add_argument(
        *spellings("--no_data"), action="store_true", help="do not open the data to see whether it changed"
    )


def run(root: Path, arguments: argparse.Namespace) -> int:
    """Print the experiments of a project, sorted by name.

    Args:
        root: folder of the project.

    Raises:
        MusketError: there is no such state.
    """
    from musket.experiment.state.state import STANDINGS, states

    wanted = arguments.state or STANDINGS
    for word in wanted:
        if word not in STANDINGS:
            near = nearest(word, list(STANDINGS), count=1)
            hint = f"nearest: {near[0]}" if near else f"there are: {', '.join(STANDINGS)}"
            raise MusketError(f"no such state {word!r}; {hint}")
    found = [one for one in states(root, check_data=not arguments.no_data) if one.state in wanted]
    if arguments.json:
        print(json.dumps([_as_data(one) for one in found], indent=2, ensure_ascii=False))
    elif not found:
        what = f" {' or '.join(wanted)}" if arguments.state else ""
        print(f"no experiments{what} in {root / 'experiments'}")
    elif sys.stdout.isatty():
        _print_table(found)
    else:
        _print_lines(found)
    return 0


def _as_data(state: State) -> dict[str, object]:
    return {
        "name": state.name,
        "state": state.state,
        "reasons": list(state.reasons),
        "notes": list(state.notes),
        "folds_done": state.folds_done,
        "folds": state.folds,
        "missing_folds": list(state.missing),
        "overrides": list(state.overrides),
        "runs": state.runs,
        "result": state.result,
        "changed": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(state.changed)),
        "affected": state.affected.what,
    }


def _cells(state: State, now: float) -> tuple[str, ...]:
    result = "" if state.result is None else f"{state.result['name']} {_figure(state.result['value'])}"
    total = "?" if state.folds is None else state.folds
    folds = f"{state.folds_done}/{total}" if state.folds or state.folds_done else ""
    return (
        state.name,
        state.state,
        folds,
        result,
        _age(now - state.changed),
        "; ".join((*state.reasons, *state.notes, *_remarks(state))),
    )


def _remarks(state: State) -> Iterator[str]:
    """What one must know to compare the result with others."""
    if state.missing:
        folds = "fold" if len(state.missing) == 1 else "folds"
        yield f"{folds} {', '.join(map(str, state.missing))} not trained"
    if state.overrides:
        yield f"with {' '.join(state.overrides)}"


def _figure(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _age(seconds: float) -> str:
    """A time in its largest unit: ``5 min``, ``3 h``, ``12 d``."""
    return next((f"{seconds // size:.0f} {unit}" for size, unit in _UNITS if seconds >= size), "now")


def _print_lines(found: Sequence[State]) -> None:
    now = time.time()
    rows = [_HEAD, *(_cells(one, now) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, [*widths, 0], strict=True)]
        print("  ".join(cells).rstrip())


def _print_table(found: Sequence[State]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    now = time.time()
    table = Table(box=None, pad_edge=False)
    for head, right in zip(_HEAD, (False, False, True, False, True, False), strict=True):
        table.add_column(head, justify="right" if right else "left", overflow="fold", no_wrap=head in ("state", "age"))
    for one in found:
        name, state, *rest = (Text(cell) for cell in _cells(one, now))
        state.stylize(_STYLES.get(one.state, ""))
        table.add_row(name, state, *rest)
    Console().print(table)
