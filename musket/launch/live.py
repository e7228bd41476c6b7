"""One view of all jobs on a terminal, drawn anew while they go on."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from musket.core.jobs import Failure, Job, Progress, Watcher
from musket.launch.plain import PlainLines
from musket.launch.silent import Silent
from musket.launch.tally import ENDED, STYLES, State, Tally, Unit, counts, reason, state_of
from musket.report.words import count, shortened
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
        self._console.print(said, highlight=False)

    def done(self, job: Job, value: Any) -> None:
        with self._lock:
            self._tally.end(job, "done")

    def failed(self, job: Job, failure: Failure) -> None:
        from rich.text import Text

        state = state_of(failure)
        with self._lock:
            self._tally.end(job, state)
        self._console.print(Text.assemble((f"{job.key}  {state}: ", STYLES[state]), reason(failure)))

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
        parts.append(_running_table(shown, width))
    if len(shown) < len(running):
        parts.append(_remark(f"  and {len(running) - len(shown)} more running"))
    parts += _experiment_lines(experiments, width, room - len(shown) - (len(shown) < len(running)))
    parts.append(_summary(tally, width))
    return Group(*parts)


def _running_table(units: Sequence[Unit], width: int) -> RenderableType:
    from rich.table import Table

    wide = width >= 100
    names = {unit.progress.metric for unit in units if unit.progress is not None}
    figure = shortened(next(iter(names)), 16 if wide else 8) if len(names) == 1 else "metric"
    table = Table(box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0), header_style="bold")
    cells = [_cells(unit) for unit in units]
    headings = ("running", "on", "epoch", "", "loss", figure, "best", "img/s", "left")
    taken = sum(
        max(len(heading), *(len(row[column]) for row in cells)) + (2 if wide else 1)
        for column, heading in enumerate(headings)
        if column not in (0, 1)
    )
    free = max(20, width - taken - 4)
    place = min(max(2, *(len(row[1]) for row in cells)), max(6, free // 3))
    for column, heading in enumerate(headings):
        table.add_column(heading, justify="left" if column < 2 else "right", no_wrap=True)
    for row in cells:
        table.add_row(shortened(row[0], free - place), shortened(row[1], place), *row[2:])
    return table


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
        _figure(progress.loss),
        _figure(progress.value),
        _figure(progress.best),
        f"{progress.rate:.0f}" if progress.rate >= 10 else f"{progress.rate:.1f}" if progress.rate > 0 else "",
        clock(progress.left) if math.isfinite(progress.left) else "",
    )


def _figure(value: float) -> str:
    """Four decimals, fewer of large numbers; nothing where there is no number yet."""
    if not math.isfinite(value):
        return ""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.4g}"


def _experiment_lines(experiments: dict[str, list[Unit]], width: int, room: int) -> list[RenderableType]:
    """One line for each that has begun; what does not fit, or has not begun, is counted."""
    begun = {name: units for name, units in experiments.items() if any(unit.state != "waiting" for unit in units)}
    over = {name for name, units in begun.items() if all(unit.state in ENDED for unit in units)}
    failed = {name for name in over if any(unit.state != "done" for unit in begun[name])}
    order = {name: (name not in over, name in failed, max(map(_last, units))) for name, units in begun.items()}
    latest = sorted(begun, key=order.__getitem__)
    fits = len(begun) if len(begun) <= room and len(begun) == len(experiments) else max(0, room - 1)
    shown = set(latest[-fits:] if fits else [])
    longest = max(map(len, shown), default=0)
    lines: list[RenderableType] = [
        _experiment_line(name, begun[name], longest, width) for name in begun if name in shown
    ]
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


def _experiment_line(name: str, units: Sequence[Unit], longest: int, width: int) -> Text:
    from rich.text import Text

    amounts = counts(units)
    ended = sum(amounts[state] for state in ENDED)
    troubles: list[State] = [state for state in ("failed", "stopped", "dropped") if amounts[state]]
    state: State = "running" if ended < len(units) else troubles[0] if troubles else "done"
    said = [(f"{ended}/{len(units)}", ""), *((f"{amounts[one]} {one}", STYLES[one]) for one in troubles)]
    figures = [unit.progress for unit in units if unit.progress is not None and math.isfinite(unit.progress.best)]
    if figures and not troubles:
        mean = sum(figure.best for figure in figures) / len(figures)
        many = f", mean of {len(figures)}" if len(figures) > 1 else ""
        said.append((f"best {figures[0].metric} {_figure(mean)}{many}", ""))
    rest = "  ".join(text for text, _ in said)
    line = Text.assemble((f"{'under way' if state == 'running' else state:<9}", STYLES[state]), "  ")
    most = max(10, width - len(rest) - 14)
    line.append(f"{shortened(name, most):<{min(most, longest)}}  ", "bold")
    for text, style in said:
        line.append(f"{text}  ", style)
    line.rstrip()
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _summary(tally: Tally, width: int) -> Text:
    from rich.text import Text

    amounts = tally.counts()
    total, ended = len(tally.units), sum(amounts[state] for state in ENDED)
    left = tally.left()
    said = [f"{ended}/{total}"]
    said += [
        f"{amounts[state]} {state}"
        for state in ("running", "waiting", "failed", "stopped", "dropped")
        if amounts[state]
    ]
    said.append(f"{clock(tally.clock() - tally.began)} elapsed")
    if math.isfinite(left) and amounts["running"]:
        said.append(f"{clock(left)} left")
    line = Text("  ".join(said), style="bold", no_wrap=True, overflow="ellipsis")
    bar = width - line.cell_len - 3
    if bar < 8:
        return line
    full = round(min(bar, 30) * (ended / total if total else 0))
    return Text.assemble(("━" * full, "green"), ("━" * (min(bar, 30) - full), "dim"), "  ", line)


def _remark(text: str) -> Text:
    from rich.text import Text

    return Text(text, style="dim", no_wrap=True, overflow="ellipsis")
