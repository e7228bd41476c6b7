"""Jobs in this process, one after the other."""

from __future__ import annotations

import math
import signal
import threading
import time
from typing import TYPE_CHECKING

from musket.core.jobs import Failure, Job, Jobs, Progress, Watcher
from musket.launch.course import Course
from musket.launch.silent import Silent
from musket.launch.stopping import TIME_IS_UP, TOLD, end_at_once, stop_signals
from musket.launch.tally import DOING
from musket.launch.worker import Worker, load_worker

if TYPE_CHECKING:
    from rich.console import Console

PLACE = "this process"
_PATIENCE = 3.0  # seconds that this process has to end by itself


def run(
    jobs: Jobs, worker: str, watcher: Watcher | None = None, *, quiet: bool = False, deadline: float | None = None
) -> bool:
    """Do all jobs.

    Ctrl-C and SIGTERM let the job finish the epoch under way and start no other; a second Ctrl-C interrupts it, and
    ends this process with code 130 when it does not come to its end by itself: a reader of samples may hang. What is
    stored is whole at any time.

    Args:
        jobs: decides which there are.
        worker: ``module:attribute`` of the class that does them; a new one for every experiment.
        watcher: told what happens. None: jobs draw on the console themselves, if they can.
        quiet: without a watcher, nothing is drawn.
        deadline: ``time.time()`` at which training is stopped after the epoch under way.

    Returns:
        whether it was stopped early.
    """
    here = Here(watcher, quiet=quiet, deadline=deadline)
    course = here.course = Course(jobs, here.watcher)
    does: Worker | None = None
    opened: str | None = None
    with stop_signals(here.hear):
        while here.stopping() is None and (job := course.next(math.inf, opened)) is not None:
            here.job = job
            course.started(job, PLACE)
            here.announce(job)
            try:
                if does is None or job.experiment != opened:
                    does, opened = load_worker(worker), job.experiment
                value = does.perform(job, here)
            except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 (it fails the job, not the run)
                does, opened = None, None  # what it left may be broken
                course.failed(job, Failure.of(error))
            else:
                course.done(job, value)
            here.job = None
    if here.stopping() is None:
        course.queue.is_over()  # raises if jobs wait for ever
    return course.cut_short


class Here:
    """This process as the workplace of its jobs.

    Attributes:
        console: where jobs may draw; None: the watcher does.
        job: the one under way.
        course: of the run; None until it begins.
    """

    def __init__(self, watcher: Watcher | None, *, quiet: bool, deadline: float | None):
        self.console = None if watcher is not None else _console(quiet=quiet)
        self.watcher = watcher or Silent()
        self.job: Job | None = None
        self.course: Course | None = None
        self._deadline = math.inf if deadline is None else deadline
        self._reason: str | None = None
        self._ending: threading.Timer | None = None

    def line(self, text: str) -> None:
        if self.console is not None:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self.watcher.line(self.job, text)

    def announce(self, job: Job) -> None:
        """Say what begins and is silent for a while: training draws for itself."""
        if self.console is not None and job.kind in ("prepare", "evaluate"):
            self.line(f"{DOING[job.kind]} {job.key.rpartition('/')[0]} ...")

    def progress(self, progress: Progress) -> None:
        if self.job is not None:
            self.watcher.progress(self.job, progress)

    def stopping(self) -> str | None:
        if self._reason is None and time.time() >= self._deadline:
            self._reason = TIME_IS_UP
        return self._reason

    def hear(self, number: int) -> None:
        """A signal came. The third Ctrl-C ends the process.

        Raises:
            KeyboardInterrupt: the second Ctrl-C.
        """
        if self._reason is None:
            self._reason = TOLD
            if self.course is not None:
                self.course.stopping(TOLD, again=number == signal.SIGINT)
        elif number == signal.SIGINT:
            if self._ending is not None:
                end_at_once()
            self._ending = threading.Timer(_PATIENCE, end_at_once)
            self._ending.daemon = True
            self._ending.start()
            raise KeyboardInterrupt


def _console(*, quiet: bool) -> Console:
    from musket.launch.console import RunConsole

    return RunConsole(soft_wrap=True, quiet=quiet)
