"""How far each job of a run is, counted for those who show it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from musket.core.jobs import Failure, Job, Progress

State = Literal["waiting", "running", "done", "failed", "stopped", "dropped"]
ENDED: tuple[State, ...] = ("done", "failed", "stopped", "dropped")
COUNTED = {"train": "folds", "task": "tasks"}
"""Kinds of jobs that take time, and what people call them."""
DOING = {"prepare": "preparing", "train": "starting", "evaluate": "evaluating", "task": "running"}
"""What a job does that has not told how far it is."""
STYLES: dict[str, str] = {
    "waiting": "dim",
    "running": "cyan",
    "done": "green",
    "failed": "bold red",
    "stopped": "yellow",
    "dropped": "yellow",
}


@dataclass
class Unit:
    """A job and how far it is.

    Attributes:
        place: where it runs or ran, in words.
        progress: the last that was heard, and the first of this run, from which a resumed job went on.
        began, ended: seconds of the tally's clock.
        value: what it gave.
    """

    job: Job
    state: State = "waiting"
    place: str = ""
    progress: Progress | None = None
    first: Progress | None = None
    began: float = math.nan
    ended: float = math.nan
    value: Any = None

    @property
    def share(self) -> tuple[float, float]:
        """Of its work: what was done before this run, whole epochs, and what is done now (0 to 1)."""
        if self.state == "done" and self.job.kind == "train" and self.first is None:
            return 1.0, 1.0  # it was trained already
        before = None if self.first is None else replace(self.first, batch=0)
        return _share(before), 1.0 if self.state == "done" else _share(self.progress)


@dataclass
class Tally:
    """All jobs of a run, in the order they became known."""

    clock: Callable[[], float] = time.monotonic
    units: dict[str, Unit] = field(default_factory=dict)
    _planned: dict[str, Job] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def plan(self, jobs: Sequence[Job]) -> None:
        """What there will be, as far as it can be told beforehand."""
        self._planned = {job.key: job for job in jobs}

    def add(self, jobs: Sequence[Job]) -> None:
        """New jobs, or the same ones again."""
        self.units |= {job.key: Unit(job) for job in jobs}

    def start(self, job: Job, place: str) -> Unit:
        """A job is under way."""
        unit = self.units[job.key] = Unit(job, "running", place, began=self.clock())
        return unit

    def move(self, job: Job, progress: Progress) -> Unit:
        """A job went on."""
        unit = self.units[job.key]
        unit.first = unit.first or progress
        unit.progress = progress
        return unit

    def end(self, job: Job, state: State, value: Any = None) -> Unit:
        """A job is over, one way or another. One that is done and never began was not wanted, and is not counted."""
        unit = self.units[job.key]
        unit.state, unit.ended, unit.value = state, self.clock(), value
        if state == "done" and math.isnan(unit.began):
            del self.units[job.key]
        return unit

    def of(self, state: State) -> list[Unit]:
        return [unit for unit in self.units.values() if unit.state == state]

    def counts(self) -> Counter[State]:
        return counts(list(self.units.values()))

    def experiments(self) -> dict[str, list[Unit]]:
        """Units by experiment."""
        found: dict[str, list[Unit]] = {}
        for unit in self.units.values():
            found.setdefault(unit.job.experiment, []).append(unit)
        return found

    def expected(self) -> Counter[str]:
        """Folds by experiment that are planned, and not known as jobs yet.

        They become known when their preparation is done. Of a search that is gone on with, the trials before those
        that are known are over.
        """
        places = {key: place for place, key in enumerate(self._planned)}
        latest: dict[str, int] = {}
        for key, job in self._planned.items():
            if job.kind == "prepare" and key in self.units:
                latest[job.experiment] = places[key]
        found: Counter[str] = Counter()
        for key, job in self._planned.items():
            if job.kind != "train" or key in self.units or not job.after:
                continue
            before = self.units.get(job.after[0])
            if before is None:
                to_come = places.get(job.after[0], -1) > latest.get(job.experiment, -1)
            else:
                to_come = before.state not in ENDED
            found[job.experiment] += to_come
        return found

    def amount(self) -> tuple[int, int, str]:
        """How many folds and tasks are done, of how many, in all, and what they are called."""
        return amount(list(self.units.values()), self.expected().total())

    def left(self) -> float:
        """Seconds to the end of all that is known, if it goes on as until now; nan when nobody can tell.

        Only folds and tasks count, and two must be done: what comes before and after is short, and the first epochs
        of a run say little.
        """
        units = [unit for unit in self.units.values() if unit.job.kind in COUNTED]
        begun = [unit.began for unit in units if not math.isnan(unit.began)]
        shares = [unit.share for unit in units if unit.state in ("waiting", "running", "done")]
        ended = sum(unit.state == "done" and unit.share != (1.0, 1.0) for unit in units)
        total = sum(1 - before for before, _ in shares) + self.expected().total()
        done = sum(now - before for before, now in shares)
        if ended < 2 or done < 1e-3:
            return math.nan
        return (self.clock() - min(begun)) * (total - done) / done


def amount(units: Sequence[Unit], expected: int = 0) -> tuple[int, int, str]:
    """How many folds and tasks of some jobs are done, of how many, and what they are called.

    Args:
        expected: folds that are not known as jobs yet.
    """
    own = [unit for unit in units if unit.job.kind in COUNTED]
    kinds = {unit.job.kind for unit in own} | ({"train"} if expected else set())
    called = COUNTED[kinds.pop()] if len(kinds) == 1 else "jobs"
    return sum(unit.state == "done" for unit in own), len(own) + expected, called


def counts(units: Sequence[Unit]) -> Counter[State]:
    """How many are in each state."""
    return Counter(unit.state for unit in units)


def state_of(failure: Failure) -> State:
    """What became of a job that was not done."""
    return "stopped" if failure.interrupted else "failed"


def reason(failure: Failure) -> str:
    """Why a job was not done, in one line."""
    first = next(iter(failure.value.splitlines()), "")
    return first if failure.words and first else f"{failure.type}: {first}" if first else failure.type


def _share(progress: Progress | None) -> float:
    if progress is None:
        return 0.0
    epochs = progress.epoch + progress.batch / max(1, progress.batches)
    return min(1.0, (progress.stage + epochs / max(1, progress.epochs)) / max(1, progress.stages))
