"""Processes that do jobs, seen from the one that starts them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

from musket.core.jobs import Job
from musket.launch.worker_process import MARK

_START = """
import sys
worker, *sys.path = sys.argv[1:]
del sys.argv[1:]
from musket.launch.worker_process import main
main(worker)
"""
_ENDS = re.compile(rb"(\n|" + MARK + rb")")
_CHUNK = 1 << 16
_LONGEST = 1 << 16  # of a line, in bytes
_TAIL = 60  # lines printed last, kept for the report of a crash
_PATIENCE = 1.0  # seconds for pipes that something still holds whose process is gone
_LAST = 10.0  # seconds for what was killed; only a process that hangs in a driver takes longer


@dataclass(frozen=True)
class Told:
    """What a process says, or what is noticed of it.

    ``ready``: it can do jobs. ``unable``: it never will (a failure). ``progress``, ``done`` (a value), ``failed``
    (a failure): of its job. ``line``: printed in it. ``gone``: it ended (its exit status, negative for a signal).
    """

    process: WorkerProcess
    event: Literal["ready", "unable", "progress", "done", "failed", "line", "gone"]
    data: Any


class WorkerProcess:
    """A process of its own group, so that Ctrl-C does not reach it and all that it starts can be ended with it.

    Args:
        worker: ``module:attribute`` of the class that does jobs.
        environment: variables that differ from ours.
        tell: called from other threads.
    """

    def __init__(self, worker: str, environment: Mapping[str, str], tell: Callable[[Told], None]):
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._tell = tell
        self._printed = threading.Event()
        self._ending = threading.Lock()
        self._reaped = False
        group: Any = {"process_group": 0} if os.name == "posix" else {}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, worker, *map(os.path.abspath, sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
            **group,
        )
        self._readers = [
            threading.Thread(target=read, args=(stream,), daemon=True)
            for read, stream in ((self._read_events, self._process.stdout), (self._read_lines, self._process.stderr))
        ]
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        for thread in (*self._readers, self._waiter):
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def do(self, job: Job) -> None:
        """Give it a job; it must have none."""
        self._order("do", job.as_data())

    def stop(self, reason: str) -> None:
        """Ask it to stop its job after the epoch under way."""
        self._order("stop", reason)

    def end(self) -> None:
        """It is not needed any more. It goes by itself, within seconds."""
        self._order("end")

    def kill(self) -> None:
        """End it and all that it started, now. Files are written in one go, so none is left in pieces."""
        with self._ending:
            if not self._reaped:
                self._kill_group()

    def join(self, seconds: float) -> bool:
        """Wait for its end. Returns whether it came."""
        self._waiter.join(max(0.0, seconds))
        return not self._waiter.is_alive()

    def _order(self, order: str, data: Any = None) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it is gone, which will be told
            stdin.write(json.dumps({"order": order, "data": data}).encode() + b"\n")
            stdin.flush()

    def _kill_group(self) -> None:
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: no permission for a zombie's group
                os.killpg(self.pid, signal.SIGKILL)
        else:
            self._process.kill()

    def _read_events(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                try:
                    told = json.loads(line)
                    event, data = told["event"], told["data"]
                except (ValueError, TypeError, KeyError):  # printed before the process was ours
                    self._line(line.rstrip(b"\n"))
                    continue
                if event in ("done", "failed", "unable"):
                    self._printed.wait(_PATIENCE)
                    self._printed.clear()
                self._tell(Told(self, event, data))

    def _read_lines(self, stream: IO[bytes]) -> None:
        rest = b""
        with stream:
            while chunk := stream.read1(_CHUNK):  # type: ignore[attr-defined]
                *whole, rest = _ENDS.split(rest + chunk)
                for text, end in zip(whole[::2], whole[1::2], strict=True):
                    self._line(text)
                    if end == MARK:
                        self._printed.set()
                rest = _after_return(rest)[-_LONGEST:]
        self._line(rest)

    def _line(self, printed: bytes) -> None:
        text = _after_return(printed).decode("utf-8", "replace").rstrip()
        if text:
            self.tail.append(text)
            self._tell(Told(self, "line", text))

    def _wait(self) -> None:
        if hasattr(os, "waitid"):  # its number is not given to others before it is reaped
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._process.wait()
        self._kill_group()
        with self._ending:
            status = self._process.wait()
            self._reaped = True
        for reader in self._readers:
            reader.join(_PATIENCE)
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._tell(Told(self, "gone", status))


def end_all(processes: Sequence[WorkerProcess], *, patience: float) -> None:
    """End processes, and come back when all are gone.

    Args:
        patience: seconds that they have to end by themselves.
    """
    if patience > 0:
        for process in processes:
            process.end()
    latest = time.monotonic() + patience
    for process in processes:
        if not process.join(latest - time.monotonic()):
            process.kill()
    for process in processes:
        process.join(_LAST)


def death(status: int) -> str:
    """Why a process is gone, in words, from its exit status."""
    if status >= 0:
        return f"the process ended by itself, with exit status {status} (os._exit, or a library that gave up)"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if name == "SIGKILL":
        return f"the process was killed ({name}): out of memory, or somebody killed it"
    if name in ("SIGTERM", "SIGHUP", "SIGINT"):
        return f"the process was told to end ({name}) by somebody else"
    return f"the process crashed ({name}) in compiled code; what it printed last is in the trace"


def _after_return(printed: bytes) -> bytes:
    """What a terminal shows of a line that returns to its beginning, as progress bars do."""
    return printed[printed.rstrip(b"\r").rfind(b"\r") + 1 :]
