"""One view of all jobs on a terminal, drawn anew while they go on."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from musket.core.jobs import Failure, Job, Progress, Watcher
from musket.launch.cells import fitted, padded, width_of
from musket.launch.figures import figure, standing
from musket.launch.plain import PlainLines
from musket.launch.silent import Silent
from musket.launch.tally import DOING, ENDED, STYLES, State, Tally, Unit, amount, counts, reason, state_of
from musket.report.words import count
from musket.training.display import clock

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_PER_SECOND = 4  # drawings


class Shown(Watcher, AbstractContextManager["Shown"], Protocol):
    """A watcher that shows something inside a ``with`` block."""


def watcher(*, quiet: bool = False, console: Console | None = None) -> Shown:
    """What shows a run where it is started: a live view on a terminal, else plain lines.

    Args:
        quiet: show nothing but what the run itself has to say.
        console: where; default: standard output.
    """
    if quiet:
        return Silent()
    if console is None:
        from musket.launch.console import RunConsole

        console = RunConsole()
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainLines(console)


class LiveView:
    """What runs in a line each, experiments in a line each, and how much is left; above it, what jobs print.

    It never grows higher than the terminal: what does not fit is counted.
    """

    def __init__(self, console: Console, tally: Tally | None = None):
        from rich.live import Live

        self._console = console
        self._tally = tally or Tally()
        self._lock = threading.RLock()  # another thread draws
        self._live = Live(
            get_renderable=self.drawn, console=console, refresh_per_second=_PER_SECOND, redirect_stderr=True
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def planned(self, jobs: Sequence[Job]) -> None:
        with self._lock:
            self._tally.plan(jobs)

    def added(self, jobs: Sequence[Job]) -> None:
        with self._lock:
            self._tally.add(jobs)

    def started(self, job: Job, place: str) -> None:
        with self._lock:
            self._tally.start(job, place)

    def progress(self, job: Job, progress: Progress) -> None:
        with self._lock:
            self._tally.move(job, progress)

    def line(self, job: Job | None, text: str) -> None:
        from rich.text import Text

        said = Text.from_ansi(text)
        if job is not None:
            said = Text.assemble((f"{job.key} | ", "dim"), said)
        self._console.print(said, highlight=False, soft_wrap=True)

    def done(self, job: Job, value: Any) -> None:
        with self._lock:
            self._tally.end(job, "done", value)

    def failed(self, job: Job, failure: Failure) -> None:
        from rich.text import Text

        state = state_of(failure)
        with self._lock:
            self._tally.end(job, state)
        self._console.print(Text.assemble((f"{job.key}  {state}: ", STYLES[state]), reason(failure)), soft_wrap=True)

    def dropped(self, job: Job, because: Job) -> None:
        with self._lock:
            self._tally.end(job, "dropped")

    def drawn(self) -> RenderableType:
        """The view as it is now."""
        with self._lock:
            return view(self._tally, self._console.width, self._console.height)


def view(tally: Tally, width: int, height: int) -> RenderableType:
    """All jobs, in not more lines and columns than there are."""
    from rich.console import Group

    running = tally.of("running")
    experiments = tally.experiments()
    room = max(2, height - 5)  # heading of each table, the last line, one free, the cursor's
    shown = running[: max(1, room - min(len(experiments), room // 3))]
    parts: list[RenderableType] = []
    if shown:
        parts += _running_lines(shown, width, tally.clock())
    if len(shown) < len(running):
        parts.append(_remark(f"  and {len(running) - len(shown)} more running"))
    expected = tally.expected()
    parts += _experiment_lines(experiments, expected, width, room - len(shown) - (len(shown) < len(running)))
    parts.append(_summary(tally, width))
    return Group(*parts)


_COLUMNS = ("running", "on", "epoch", "", "loss", "metric", "best", "img/s", "left")
_DROPPED = ("img/s", "loss", "", "metric", "on", "left")
"""Columns that go, in this order, where a terminal is too narrow for the names."""
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_NAME = 28  # columns that names of jobs have before another column goes


def _running_lines(units: Sequence[Unit], width: int, now: float) -> list[RenderableType]:
    """A line for each job under way, below their headings."""
    wide = width >= 100
    gap = "  " if wide else " "
    metrics = {unit.progress.metric for unit in units if unit.progress is not None}
    names = {"metric": fitted(next(iter(metrics)), 16 if wide else 8)} if len(metrics) == 1 else {}
    rows = [dict(zip(_COLUMNS, _COLUMNS, strict=True)) | names]
    rows += [dict(zip(_COLUMNS, _cells(unit), strict=True)) for unit in units]
    told = [any(row[column] for row in rows[1:]) for column in _COLUMNS]
    columns = [column for column, is_told in zip(_COLUMNS, told, strict=True) if is_told]
    widths = {column: width_of(row[column] for row in rows) for column in columns}
    widths |= {"on": min(widths.get("on", 0), max(6, width // 5))}
    doing = [_doing(unit, now) for unit in units]
    wanted = min(widths["running"], _NAME)
    for column in ("", *_DROPPED):
        columns = [one for one in columns if one != column] if column else columns
        others = sum(widths[one] + len(gap) for one in columns if one != "running")
        silent = (widths["on"] + len(gap) if "on" in columns else 0) + width_of(doing) + len(gap)
        free = width - 1 - max(others, silent)
        if free >= wanted:
            break
    widths["running"] = min(widths["running"], max(6, free))
    lines: list[RenderableType] = []
    for row, said in zip(rows, ["", *doing], strict=True):
        shown = [one for one in columns if not said or one in ("running", "on")]
        cells = [
            padded(fitted(row[one], widths[one]), widths[one], right=one not in ("running", "on")) for one in shown
        ]
        lines.append(_line(gap.join([*cells, said] if said else cells), "" if lines else "bold"))
    return lines


def _doing(unit: Unit, now: float) -> str:
    """What a job does that has not told how far it is, and for how long; nothing of others."""
    if unit.progress is not None:
        return ""
    seconds = now - unit.began
    return f"{_SPINNER[int(seconds * _PER_SECOND) % len(_SPINNER)]} {DOING[unit.job.kind]} {clock(seconds)}"


def _cells(unit: Unit) -> tuple[str, ...]:
    progress = unit.progress
    if progress is None:
        return (unit.job.key, unit.place, "", "", "", "", "", "", "")
    stage = f"{progress.stage + 1}/{progress.stages}:" if progress.stages > 1 else ""
    return (
        unit.job.key,
        unit.place,
        f"{stage}{progress.epoch + 1}/{progress.epochs}",
        f"{100 * progress.batch // max(1, progress.batches)}%",
        figure(progress.loss),
        figure(progress.value),
        figure(progress.best),
        f"{progress.rate:.0f}" if progress.rate >= 10 else f"{progress.rate:.1f}" if progress.rate > 0 else "",
        clock(progress.left) if math.isfinite(progress.left) else "",
    )


def _experiment_lines(
    experiments: dict[str, list[Unit]], expected: Mapping[str, int], width: int, room: int
) -> list[RenderableType]:
    """One line for each that has begun; what does not fit, or has not begun, is counted."""
    begun = {name: units for name, units in experiments.items() if any(unit.state != "waiting" for unit in units)}
    over = {name for name, units in begun.items() if _is_over(units, expected.get(name, 0))}
    failed = {name for name in over if any(unit.state != "done" for unit in begun[name])}
    order = {name: (name not in over, name in failed, max(map(_last, units))) for name, units in begun.items()}
    latest = sorted(begun, key=order.__getitem__)
    fits = len(begun) if len(begun) <= room and len(begun) == len(experiments) else max(0, room - 1)
    shown = set(latest[-fits:] if fits else [])
    told = {name: _told(begun[name], expected.get(name, 0)) for name in begun if name in shown}
    rest = width_of("  ".join(text for text, _ in parts[1:]) for parts in told.values())
    longest = min(width_of(shown), max(16, width - 14 - rest))
    lines: list[RenderableType] = [_experiment_line(name, parts, longest, width) for name, parts in told.items()]
    rest = {
        "ended": len(over - shown),
        "under way": len(begun.keys() - shown - over),
        "waiting": len(experiments) - len(begun),
    }
    if any(rest.values()):
        states = ", ".join(f"{amount} {what}" for what, amount in rest.items() if amount)
        lines.append(_remark(f"{count(sum(rest.values()), 'more experiment' if shown else 'experiment')}: {states}"))
    return lines


def _last(unit: Unit) -> float:
    """When something was last heard of a unit, as far as it matters for the order."""
    return max((seconds for seconds in (unit.began, unit.ended) if not math.isnan(seconds)), default=-math.inf)


def _is_over(units: Sequence[Unit], expected: int) -> bool:
    return not expected and all(unit.state in ENDED for unit in units)


def _told(units: Sequence[Unit], expected: int) -> list[tuple[str, str]]:
    """What is told of an experiment, with styles: its state, folds, what went wrong, else how good it is."""
    amounts = counts(units)
    troubles: list[State] = [state for state in ("failed", "stopped", "dropped") if amounts[state]]
    state = troubles[0] if troubles else "done"
    told = [(state, STYLES[state]) if _is_over(units, expected) else ("under way", STYLES["running"])]
    done, total, called = amount(units, expected)
    if total:
        told.append((f"{done}/{total} {called}", ""))
    told += [(f"{amounts[one]} {one}", STYLES[one]) for one in troubles]
    if (known := standing(units)) and not troubles:
        told.append((known, ""))
    return told


def _experiment_line(name: str, told: Sequence[tuple[str, str]], longest: int, width: int) -> Text:
    from rich.text import Text

    (state, style), *rest = told
    line = Text.assemble((f"{state:<9}", style), "  ", (padded(fitted(name, longest), longest), "bold"))
    for text, style in rest:
        line.append("  ").append(fitted(text, max(10, width - line.cell_len - 3)), style)
    line.rstrip()
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _summary(tally: Tally, width: int) -> Text:
    from rich.text import Text

    amounts = tally.counts()
    done, total, called = tally.amount()
    left = tally.left()
    said = [f"{done}/{total} {called}"] if total else []
    said += [f"{amounts[state]} {state}" for state in ("running", "failed", "stopped", "dropped") if amounts[state]]
    said.append(f"{clock(tally.clock() - tally.began)} elapsed")
    if math.isfinite(left) and amounts["running"]:
        said.append(f"{clock(left)} left")
    line = Text("  ".join(said), style="bold", no_wrap=True, overflow="ellipsis")
    bar = min(30, width - line.cell_len - 3)
    if bar < 8 or not total:
        return line
    full = round(bar * done / total)
    return Text.assemble(("━" * full, "green"), ("━" * (bar - full), "dim"), "  ", line)


def _line(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(text.rstrip(), style=style, no_wrap=True, overflow="ellipsis")


def _remark(text: str) -> Text:
    return _line(text, "dim")
