"""Jobs and watchers for tests of engines: a fixed list of jobs, and a record of all that happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from musket.core.jobs import Failure, Job, Kind, Progress

KINDS: Mapping[str, Kind] = {"prepare": "prepare", "evaluate": "evaluate"}


def job(key: str, do: str = "nothing", *after: str, devices: int = 1, **arguments: Any) -> Job:
    experiment, _, caption = key.rpartition("/")
    kind = KINDS.get(caption, "train")
    return Job(key, kind, experiment, {"do": do, **arguments}, after, devices)


class Listed:
    """Jobs known from the beginning, those that follow on others, and those to try again."""

    def __init__(self, *jobs: Job, follows: Mapping[str, Sequence[Job]] | None = None, repeats: int = 0):
        self.jobs = jobs
        self.follows = follows or {}
        self.repeats = repeats
        self.unwanted: set[str] = set()
        self.values: dict[str, Any] = {}
        self.failures: dict[str, Failure] = {}

    def planned(self) -> Sequence[Job]:
        return self.jobs

    def first(self) -> Sequence[Job]:
        return self.jobs

    def done(self, job: Job, value: Any) -> Sequence[Job]:
        self.values[job.key] = value
        return self.follows.get(job.key, ())

    def failed(self, job: Job, failure: Failure) -> Sequence[Job]:
        self.failures[job.key] = failure
        if self.repeats and not failure.interrupted:
            self.repeats -= 1
            return [job]
        return []

    def wanted(self, job: Job) -> bool:
        return job.key not in self.unwanted


class Record:
    """What a watcher is told, as (what, key, ...), and a function called with each."""

    def __init__(self, then: Callable[..., None] = lambda *said: None):
        self.said: list[tuple[Any, ...]] = []
        self._then = then

    def _note(self, *said: Any) -> None:
        self.said.append(said)
        self._then(*said)

    def planned(self, jobs: Sequence[Job]) -> None: ...

    def added(self, jobs: Sequence[Job]) -> None:
        self._note("added", *(job.key for job in jobs))

    def started(self, job: Job, place: str) -> None:
        self._note("started", job.key, place)

    def progress(self, job: Job, progress: Progress) -> None:
        self._note("progress", job.key, progress)

    def line(self, job: Job | None, text: str) -> None:
        self._note("line", job and job.key, text)

    def done(self, job: Job, value: Any) -> None:
        self._note("done", job.key)

    def failed(self, job: Job, failure: Failure) -> None:
        self._note("failed", job.key, failure.type)

    def dropped(self, job: Job, because: Job) -> None:
        self._note("dropped", job.key, because.key)

    def of(self, what: str) -> list[Any]:
        """What was said of one kind, in order; the rest of it where it is only one."""
        return [said[1] if len(said) == 2 else said[1:] for said in self.said if said[0] == what]

    def order(self, *whats: str) -> list[tuple[str, str]]:
        return [(said[0], said[1]) for said in self.said if said[0] in (whats or ("started", "done", "failed"))]
