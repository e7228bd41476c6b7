"""The course of a run: what is done and what fails is told to whoever decides, whoever waits and whoever watches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from musket.core.jobs import Failure, Job, Jobs, Watcher
from musket.launch.queue import Dropped, Queue
from musket.launch.stopping import finishing


class Course:
    """A queue that is filled by ``jobs`` and shown to a ``watcher``. Engines tell it what happens."""

    def __init__(self, jobs: Jobs, watcher: Watcher):
        self.queue = Queue()
        self._jobs = jobs
        self._watcher = watcher
        self._interrupted = False
        self._told_to_stop = False
        watcher.planned(jobs.planned())
        first = jobs.first()
        self._tell(first, self.queue.add(first))

    @property
    def cut_short(self) -> bool:
        """Whether there is more to do: jobs wait, or were interrupted."""
        return self._interrupted or bool(self.queue.waiting)

    def next(self, room: float, opened: str | None = None, width: int = 1) -> Job | None:
        """The job to start now, still wanted; see :meth:`Queue.next`."""
        while (job := self.queue.next(room, opened, width)) is not None and not self._jobs.wanted(job):
            self._tell((), self.queue.done(job))
            self._watcher.done(job, None)
        return job

    def stopping(self, reason: str, *, again: bool) -> None:
        """It was told to stop: no job starts any more, and people read what those under way go on with.

        Args:
            again: it was Ctrl-C, and the next one stops at once.
        """
        self.queue.stop()
        self._told_to_stop = True
        if running := self.queue.running:
            self._watcher.line(None, finishing(reason, [job.kind for job in running], again=again))

    def started(self, job: Job, place: str) -> None:
        """A job is under way at a place, told in words."""
        self.queue.start(job)
        self._watcher.started(job, place)

    def done(self, job: Job, value: Any) -> None:
        """A job is done; its function returned ``value``."""
        follows = self._jobs.done(job, value)
        dropped = self.queue.done(job, follows)
        self._watcher.done(job, value)
        if self._told_to_stop and job.kind == "evaluate":
            self._watcher.line(None, f"{job.key}: evaluation finished")
        self._tell(follows, dropped)

    def failed(self, job: Job, failure: Failure) -> None:
        """A job was not done."""
        self._interrupted |= failure.interrupted
        follows = self._jobs.failed(job, failure)
        dropped = self.queue.failed(job, follows)
        self._watcher.failed(job, failure)
        self._tell(follows, dropped)

    def _tell(self, added: Sequence[Job], dropped: Dropped) -> None:
        if added:
            self._watcher.added(added)
        for job, because in dropped:
            self._watcher.dropped(job, because)
