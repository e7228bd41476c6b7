"""Jobs in processes on this machine: a free place takes the next job at once, and a crash costs one job."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from musket.core.errors import MusketError
from musket.core.jobs import Failure, Job, Jobs, Progress, Watcher
from musket.core.runtime import cores
from musket.launch import devices
from musket.launch.course import Course
from musket.launch.devices import Slot
from musket.launch.processes import Told, WorkerProcess, death, end_all
from musket.launch.stopping import TIME_IS_UP, TOLD, stop_signals

_PATIENCE = 5.0  # seconds that processes have to end by themselves


def slots(
    num_gpus: int | None = None, gpus_per_net: int = 1, num_workers: int | None = None
) -> tuple[list[Slot], list[str]]:
    """Places for processes on this machine, and notices about them; see :func:`musket.launch.devices.divide`.

    Raises:
        MusketError: there are not so many GPUs.
    """
    return devices.divide(num_gpus, gpus_per_net, num_workers, visible=devices.visible_gpus(), cores=cores())


def run(jobs: Jobs, worker: str, watcher: Watcher, *, slots: Sequence[Slot], deadline: float | None = None) -> bool:
    """Do all jobs.

    Ctrl-C and SIGTERM let every job finish the epoch under way and start no other; a second Ctrl-C ends all at once.

    Args:
        jobs: decides which there are.
        worker: ``module:attribute`` of the class that does them. It is kept for jobs of one experiment.
        watcher: told what happens.
        slots: places for processes; one job each at a time, or several slots for one job that needs more devices.
        deadline: ``time.time()`` at which training is stopped after the epoch under way.

    Returns:
        whether it was stopped early.

    Raises:
        MusketError: processes that do jobs cannot be started.
    """
    events: SimpleQueue[Told | int] = SimpleQueue()
    course = Course(jobs, watcher)
    with stop_signals(events.put):
        pool = _Pool(course, worker, watcher, slots, events)
        finished = False
        try:
            finished = pool.run(deadline)
        finally:
            pool.end(at_once=not finished)
    return course.cut_short


@dataclass
class _Place:
    """A slot, and what is there now.

    Attributes:
        lent: its job sees these devices of other places as well, which wait meanwhile.
    """

    slot: Slot
    process: WorkerProcess | None = None
    opened: str | None = None
    sees: tuple[str, ...] = ()
    job: Job | None = None
    lent: list[_Place] = field(default_factory=list)
    is_lent: bool = False

    @property
    def free(self) -> bool:
        return self.job is None and not self.is_lent


class _Pool:
    """Places and their processes."""

    def __init__(
        self, course: Course, worker: str, watcher: Watcher, slots: Sequence[Slot], events: SimpleQueue[Told | int]
    ):
        self.stopping = False
        self._course = course
        self._worker = worker
        self._watcher = watcher
        self._events = events
        self._places = [_Place(slot) for slot in slots]
        self._alive: list[WorkerProcess] = []
        self._any_ready = False

    def run(self, deadline: float | None) -> bool:
        """Returns whether all jobs under way came to their end; False: told to end at once."""
        self._assign()
        while not self._course.queue.is_over():
            try:
                event = self._events.get(timeout=None if deadline is None else max(0.0, deadline - time.time()))
            except Empty:
                deadline = None
                self._stop(TIME_IS_UP)
                continue
            if isinstance(event, Told):
                self._hear(event)
                if event.event in ("line", "progress"):
                    continue  # nothing to assign, and there are many of these
            elif self.stopping and event == signal.SIGINT:
                self._give_up()
                return False
            else:
                self._stop(TOLD, again=event == signal.SIGINT)
            self._assign()
        return True

    def end(self, *, at_once: bool) -> None:
        """End all processes, and come back when they are gone."""
        end_all(self._alive, patience=0 if at_once else _PATIENCE)

    def _stop(self, reason: str, *, again: bool = False) -> None:
        if self.stopping:
            return
        self.stopping = True
        for place in self._places:
            if place.job is not None and place.process is not None:
                place.process.stop(reason)
        self._course.stopping(reason, again=again)

    def _give_up(self) -> None:
        for place in self._places:
            if place.job is not None:
                self._course.failed(
                    self._vacate(place), Failure("Stopped", "stopped at once", interrupted=True, words=True)
                )

    def _assign(self) -> None:
        """Start what can be started."""
        self._refuse_too_large()
        while chosen := self._choose():
            self._start(*chosen)
        for place in self._places:
            if place.free and place.opened is not None and not self._course.queue.has(place.opened):
                self._retire(place)  # what it holds is of no more use

    def _refuse_too_large(self) -> None:
        total = len({name for place in self._places for name in place.slot.devices})
        while total and (job := self._course.next(math.inf)) is not None and job.devices > total:
            said = f"needs {job.devices} GPUs, and {total} are to be used: say --num_gpus {job.devices}"
            self._course.failed(job, Failure("MusketError", f"{job.key}: {said}", usage=True, words=True))

    def _choose(self) -> tuple[Job, _Place] | None:
        """The next job, and the place for it: on devices with the least to do, best where its experiment is open."""
        free = [place for place in self._places if place.free]
        if not free:
            return None
        least = min(self._load(place) for place in free)
        idle = [place for place in free if self._load(place) == least]
        room = len({name for place in free for name in place.slot.devices}) or math.inf
        for place in idle:
            if place.opened is not None:
                job = self._course.next(room, place.opened, max(1, len(place.slot.devices)))
                if job is not None and job.experiment == place.opened:
                    return job, place
        job = self._course.next(room)
        return None if job is None else (job, min(idle, key=lambda place: place.process is not None))

    def _load(self, place: _Place) -> int:
        """Jobs on the devices of a place."""
        return sum(not (other.free or set(other.slot.devices).isdisjoint(place.slot.devices)) for other in self._places)

    def _start(self, job: Job, place: _Place) -> None:
        sees = place.slot.devices
        for other in self._places:
            if sees and len(sees) < job.devices and other.free and not set(other.slot.devices) <= set(sees):
                self._retire(other)
                other.is_lent = True
                place.lent.append(other)
                sees += tuple(name for name in other.slot.devices if name not in sees)
        if place.process is None or (place.opened, place.sees) != (job.experiment, sees):
            self._retire(place)
            environment = devices.variables(sees, place.slot.threads)
            place.process = WorkerProcess(self._worker, environment, self._events.put)
            place.opened, place.sees = job.experiment, sees
            self._alive.append(place.process)
        place.job = job
        place.process.do(job)
        self._course.started(job, devices.place(sees))

    def _hear(self, told: Told) -> None:
        if told.event == "gone":
            self._alive.remove(told.process)
        place = next((place for place in self._places if place.process is told.process), None)
        job = None if place is None else place.job
        if told.event == "ready":
            self._any_ready = True
        elif told.event == "line":
            self._watcher.line(job, told.data)
        elif place is None:
            return  # a process that was sent away
        elif told.event == "gone":
            self._bury(place, told.process, told.data)
        elif job is None:
            return
        elif told.event == "progress":
            self._watcher.progress(job, Progress(**told.data))
        elif told.event == "done":
            self._course.done(self._vacate(place), told.data)
        else:
            self._fail(place, Failure(**told.data), started=told.event == "failed")

    def _bury(self, place: _Place, process: WorkerProcess, status: int) -> None:
        place.process = place.opened = None
        if place.job is not None:
            failure = Failure("WorkerDied", death(status), "\n".join(process.tail), died=True, words=True)
            self._fail(place, failure, started=status < 0)

    def _fail(self, place: _Place, failure: Failure, *, started: bool) -> None:
        """A job was not done. What it left in its process may be broken, so that is not used again.

        Args:
            started: False when the process never came to its first job.
        """
        job = self._vacate(place)
        if not started and not self._any_ready:
            raise MusketError(f"processes that do jobs do not start: {failure.type}: {failure.value}")
        if not failure.interrupted:
            self._retire(place)
        self._course.failed(job, failure)

    def _vacate(self, place: _Place) -> Job:
        job, place.job = place.job, None
        assert job is not None
        for other in place.lent:
            other.is_lent = False
        place.lent = []
        return job

    def _retire(self, place: _Place) -> None:
        if place.process is not None:
            place.process.end()
        place.process = place.opened = None
