"""How far each job of a run is, counted for those who show it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from musket.core.jobs import Failure, Job, Progress

State = Literal["waiting", "running", "done", "failed", "stopped", "dropped"]
ENDED: tuple[State, ...] = ("done", "failed", "stopped", "dropped")
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
    """

    job: Job
    state: State = "waiting"
    place: str = ""
    progress: Progress | None = None
    first: Progress | None = None
    began: float = math.nan
    ended: float = math.nan

    @property
    def share(self) -> tuple[float, float]:
        """Of its work: what was done before this run, whole epochs, and what is done now (0 to 1)."""
        before = None if self.first is None else replace(self.first, batch=0)
        return _share(before), 1.0 if self.state in ENDED else _share(self.progress)


@dataclass
class Tally:
    """All jobs of a run, in the order they became known."""

    clock: Callable[[], float] = time.monotonic
    units: dict[str, Unit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = self.clock()

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

    def end(self, job: Job, state: State) -> Unit:
        """A job is over, one way or another."""
        unit = self.units[job.key]
        unit.state, unit.ended = state, self.clock()
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

    def left(self) -> float:
        """Seconds to the end of all that is known, if it goes on as until now; nan when nobody can tell.

        Only training counts: what comes before and after it is short, and folds are known once the data is split.
        """
        shares = [unit.share for unit in self.units.values() if unit.job.kind in ("train", "task")]
        total = sum(1 - before for before, _ in shares)
        done = sum(now - before for before, now in shares)
        if done < 1e-3 or not total:
            return math.nan
        return (self.clock() - self.began) * (total - done) / done


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
