"""A process that does jobs, one after the other. :mod:`musket.launch.processes` is the other end.

Orders come in through its standard input, what happens goes out through its standard output, both as lines of JSON.
Whatever is printed in it, by C code and by crashes as well, leaves through its standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from queue import SimpleQueue
from typing import IO, Any

from musket.core.errors import Stopped
from musket.core.jobs import Failure, Job, Progress
from musket.launch.stopping import TOLD
from musket.launch.worker import load_worker

MARK = b"\x1e"
"""Printed behind the last line of a job: what comes later belongs to another (ASCII: record separator)."""
EVERY = 0.2
"""Seconds between two reports of progress in one epoch."""
_GRACE = 3.0  # seconds that atexit functions and threads of a worker have when it is not needed any more


class Reports:
    """Progress handed on, but not more often than people can read: ends of epochs always, else every 0.2 s."""

    def __init__(self, send: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic):
        self._send = send
        self._clock = clock
        self._epoch: tuple[int, int, int] | None = None
        self._sent = 0.0

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        epoch = (progress.fold, progress.stage, progress.epoch)
        if epoch == self._epoch and progress.batch < progress.batches and now - self._sent < EVERY:
            return
        self._epoch, self._sent = epoch, now
        self._send(progress)


class Here:
    """This process as the workplace of its jobs, and its line to the one that started it."""

    def __init__(self, orders: IO[str], events: IO[str]):
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._report = Reports(lambda progress: self.tell("progress", asdict(progress)))
        self._orders = orders
        self._events = events
        self._writing = threading.Lock()
        self._reason: str | None = None

    def line(self, text: str) -> None:
        print(text, file=sys.__stdout__, flush=True)

    def progress(self, progress: Progress) -> None:
        self._report(progress)

    def stopping(self) -> str | None:
        return self._reason

    def stop(self, reason: str) -> None:
        """Have the job stop after the epoch under way."""
        self._reason = self._reason or reason

    def tell(self, event: str, data: Any = None) -> None:
        """Say what happens.

        Raises:
            TypeError: ``data`` is not plain.
        """
        text = json.dumps({"event": event, "data": data}) + "\n"
        with self._writing:
            self._events.write(text)
            self._events.flush()

    def listen(self) -> None:
        """Take orders until there are no more, which means that whoever gave them is gone."""
        for line in self._orders:
            order = json.loads(line)
            if order["order"] == "do":
                self.jobs.put(Job.from_data(order["data"]))
            elif order["order"] == "stop":
                self.stop(order["data"])
            else:
                threading.Thread(target=_end_after_grace, daemon=True).start()
                self.jobs.put(None)
        end_group()


def main(worker_name: str) -> None:
    """Do jobs until told to end.

    Args:
        worker_name: ``module:attribute`` of the class that does them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that gives orders
    here = Here(*_own_pipes())
    _hear_sigterm(here)
    faulthandler.enable()
    threading.Thread(target=here.listen, daemon=True).start()
    try:
        worker = load_worker(worker_name)
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is told where people can see it)
        traceback.print_exc()
        _flush()
        here.tell("unable", asdict(Failure.of(error)))
        return
    here.tell("ready")
    while (job := here.jobs.get()) is not None:
        try:
            if reason := here.stopping():
                raise Stopped(reason)
            event, data = "done", worker.perform(job, here)
            json.dumps(data)
        except BaseException as error:  # noqa: BLE001 (sys.exit in a user's code fails a job, not the worker)
            event, data = "failed", asdict(Failure.of(error))
        _flush()
        here.tell(event, data)


def end_group() -> None:
    """End this process and all that it started, now."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _hear_sigterm(here: Here) -> None:
    """Stop after the epoch on SIGTERM, which some send to all processes of a run. Forked ones are ended by it as usual.

    It is held back while a process forks: one that arrived before the child's handler is gone would be lost.
    """
    signal.signal(signal.SIGTERM, lambda *_: here.stop(TOLD))
    if not hasattr(os, "register_at_fork"):
        return

    def hold(how: int) -> None:
        signal.pthread_sigmask(how, [signal.SIGTERM])

    def in_child() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        hold(signal.SIG_UNBLOCK)

    os.register_at_fork(
        before=partial(hold, signal.SIG_BLOCK),
        after_in_parent=partial(hold, signal.SIG_UNBLOCK),
        after_in_child=in_child,
    )


def _end_after_grace() -> None:
    time.sleep(_GRACE)
    end_group()


def _own_pipes() -> tuple[IO[str], IO[str]]:
    """Take the standard streams for orders and events, out of reach of whatever else reads or prints here."""
    orders = os.fdopen(os.dup(0), encoding="utf-8")
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    events.write("\n")  # ends what may have been printed before
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    return orders, events


def _flush() -> None:
    """Let everything printed so far leave, and mark its end."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # a job may have closed or replaced it
            stream.flush()  # type: ignore[union-attr]
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)  # printf of C code, which is buffered by the block in a pipe
    with contextlib.suppress(OSError):
        os.write(2, MARK)
