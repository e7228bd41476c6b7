"""Runs as plain lines, for logs and wherever nobody sees a view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from musket.core.jobs import Failure, Job, Progress
from musket.launch.tally import COUNTED, DOING, Tally, Unit, reason, state_of
from musket.training.display import clock

if TYPE_CHECKING:
    from rich.console import Console

EVERY = 30.0
"""Seconds between two lines of one job within an epoch."""


class PlainLines:
    """A line when a job begins, after each of its epochs, and when it ends."""

    def __init__(self, console: Console, tally: Tally | None = None):
        self._console = console
        self._tally = tally or Tally()
        self._said: dict[str, float] = {}

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to do."""

    def planned(self, jobs: Sequence[Job]) -> None:
        self._tally.plan(jobs)

    def added(self, jobs: Sequence[Job]) -> None:
        self._tally.add(jobs)

    def started(self, job: Job, place: str) -> None:
        unit = self._tally.start(job, place)
        self._said[job.key] = unit.began
        if job.kind in ("prepare", "evaluate"):
            self._print(f"{job.key.rpartition('/')[0]}: {DOING[job.kind]}")
        else:
            self._print(f"{job.key}  on {place}")

    def progress(self, job: Job, progress: Progress) -> None:
        self._tally.move(job, progress)
        now, whole = self._tally.clock(), progress.batch >= progress.batches
        if whole or now - self._said[job.key] >= EVERY:
            self._said[job.key] = now
            self._print(f"{job.key}  {epoch_line(progress)}")

    def line(self, job: Job | None, text: str) -> None:
        self._print(text if job is None else f"{job.key} | {text}")

    def done(self, job: Job, value: Any) -> None:
        unit = self._tally.end(job, "done", value)
        if not math.isnan(unit.began):  # else it was not wanted any more
            self._print(f"{job.key}  done in {clock(unit.ended - unit.began)}{self._standing(unit)}")

    def failed(self, job: Job, failure: Failure) -> None:
        unit = self._tally.end(job, state_of(failure))
        self._print(f"{job.key}  {unit.state}: {reason(failure)}{self._standing(unit)}")

    def dropped(self, job: Job, because: Job) -> None:
        unit = self._tally.end(job, "dropped")
        self._print(f"{job.key}  dropped: {because.key} {self._tally.units[because.key].state}{self._standing(unit)}")

    def _standing(self, unit: Unit) -> str:
        done, total, called = self._tally.amount()
        if unit.job.kind not in COUNTED or total < 2:
            return ""
        left = self._tally.left()
        when = "" if math.isnan(left) or round(left) <= 0 else f", {clock(left)} left"
        return f"  ({done}/{total} {called}{when})"

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def epoch_line(progress: Progress) -> str:
    """How far a fold is, in words; the best epoch so far gets a star."""
    stage = f"stage {progress.stage + 1}/{progress.stages}  " if progress.stages > 1 else ""
    width = len(str(progress.epochs))
    said = [f"{stage}epoch {progress.epoch + 1:>{width}}/{progress.epochs}"]
    if progress.batch < progress.batches:
        said.append(f"batch {progress.batch}/{progress.batches}")
    if not math.isnan(progress.loss):
        said.append(f"loss {progress.loss:.4f}")
    if progress.batch >= progress.batches and not math.isnan(progress.value):
        star = " *" if progress.value == progress.best else ""
        said.append(f"{progress.metric} {progress.value:.4f}{star}")
    if progress.rate > 0:
        said.append(f"{progress.rate:.1f} images/s")
    if progress.left > 0:
        said.append(f"{clock(progress.left)} left")
    return "  ".join(said)
