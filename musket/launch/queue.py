"""Which job comes next: bookkeeping, without processes, clocks or files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from musket.core.jobs import Job

Dropped = list[tuple[Job, Job]]
"""Jobs that will not be done, each with the failed job that is to blame."""


class Queue:
    """Jobs in their order of preference, and how far each is.

    What follows from a job takes the place of that job in the order, so that experiments are finished one after the
    other where places are few.
    """

    def __init__(self) -> None:
        self._order: list[Job] = []  # waiting and running, in order of preference
        self._running: dict[str, Job] = {}
        self._done: set[str] = set()
        self._lost: dict[str, Job] = {}  # failed and dropped: the failed job that is to blame
        self._stopped = False

    @property
    def running(self) -> list[Job]:
        """Jobs under way, in the order they were started."""
        return list(self._running.values())

    @property
    def waiting(self) -> list[Job]:
        """Jobs not started yet, ready or not, in order of preference."""
        return [job for job in self._order if job.key not in self._running]

    def add(self, jobs: Sequence[Job]) -> Dropped:
        """Append jobs.

        Returns:
            those of them that are dropped at once, because what they need has failed already.

        Raises:
            ValueError: a key is that of another job.
        """
        return self._insert(len(self._order), jobs)

    def next(self, room: float, opened: str | None = None, width: int = 1) -> Job | None:
        """The job to start now, or None. It still counts as waiting.

        A job that is ready, but needs more than one place, is overtaken by none behind it: else small jobs would keep
        it waiting for ever.

        Args:
            room: how many devices are free.
            opened: the experiment that is open where the job will be done; its jobs are preferred.
            width: devices of one place.
        """
        first = None
        for job in self._ready():
            if job.devices > room:
                break
            if opened is None or job.experiment == opened:
                return job
            first = first or job
            if job.devices > width:
                break
        return first

    def start(self, job: Job) -> None:
        """A job is under way."""
        self._running[job.key] = job

    def done(self, job: Job, follows: Sequence[Job] = ()) -> Dropped:
        """A job is done; what follows takes its place. Returns what is dropped of it."""
        place = self._leave(job)
        self._done.add(job.key)
        return self._insert(place, follows)

    def failed(self, job: Job, follows: Sequence[Job] = ()) -> Dropped:
        """A job was not done; what follows takes its place, the job itself among it to repeat it.

        Returns:
            every job that needed it, directly or not, if it is not repeated.
        """
        place = self._leave(job)
        if all(one.key != job.key for one in follows):
            self._lost[job.key] = job
        return self._insert(place, follows)

    def stop(self) -> None:
        """No job starts any more."""
        self._stopped = True

    def has(self, experiment: str) -> bool:
        """Whether jobs of an experiment are waiting or running."""
        return any(job.experiment == experiment for job in self._order)

    def is_over(self) -> bool:
        """Whether nothing runs and nothing will.

        Raises:
            ValueError: nothing runs, and all that wait need jobs that nobody added, or each other.
        """
        if self._running or (not self._stopped and next(self._ready(), None) is not None):
            return False
        if self._order and not self._stopped:
            missing = {key for job in self._order for key in job.after if key not in self._done}
            raise ValueError(
                f"{', '.join(job.key for job in self._order)}: wait for ever for {', '.join(sorted(missing))}"
            )
        return True

    def _ready(self) -> Iterator[Job]:
        if not self._stopped:
            waiting = (job for job in self._order if job.key not in self._running)
            yield from (job for job in waiting if self._done.issuperset(job.after))

    def _leave(self, job: Job) -> int:
        place = next(place for place, one in enumerate(self._order) if one.key == job.key)
        del self._order[place]
        self._running.pop(job.key, None)
        return place

    def _insert(self, place: int, jobs: Sequence[Job]) -> Dropped:
        known = self._done.union(job.key for job in self._order)
        for job in jobs:
            if job.key in known:
                raise ValueError(f"two jobs of one name: {job.key}")
            known.add(job.key)
            self._lost.pop(job.key, None)
        self._order[place:place] = jobs
        return self._drop()

    def _drop(self) -> Dropped:
        """Take out what needs a lost job, until there is none."""
        dropped: Dropped = []
        while found := [job for job in self.waiting if not self._lost.keys().isdisjoint(job.after)]:
            for job in found:
                self._leave(job)
                self._lost[job.key] = next(self._lost[key] for key in job.after if key in self._lost)
                dropped.append((job, self._lost[job.key]))
        return dropped
