"""Several processes that do one thing together: started at once, heard, and ended together."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar, cast

from musket.core.errors import MusketError, TrainingError

# Seconds in which processes may end by themselves: after the first trouble, so that its cause can be told from what
# followed from it; and when all is done.
_AFTERMATH = 1.0
_FAREWELL = 20.0

E = TypeVar("E", bound=Exception)
Function = Callable[[int, "Link", bytes], Any]
"""``f(rank, link, payload)``, of a module; what rank 0 returns counts."""


class Link:
    """The line from one of the processes to the one that started them."""

    def __init__(self, connection: Connection):
        self._connection = connection
        self._lock = threading.Lock()

    def tell(self, message: Any) -> None:
        """Say something; any thread may."""
        self.send("told", message)

    def ask(self, question: Any) -> Any:
        """Ask, and wait for the answer; one thread only."""
        self.send("asked", question)
        return self._connection.recv()

    def send(self, kind: str, content: Any) -> None:
        with self._lock:
            self._connection.send((kind, content))


def refuse_in_main_import() -> None:
    """Refuse to train in a process that was started to help, and is about to read the script of the one that did.

    Raises:
        TrainingError: the script trains when it is imported.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise TrainingError(_UNGUARDED)


_UNGUARDED = (
    "several devices for one network are driven by a process each, and each of them reads your script first. What "
    'trains must stand below `if __name__ == "__main__":` there'
)


def run_together(
    function: Function,
    payload: bytes,
    count: int,
    *,
    told: Callable[[Any], None] = lambda message: None,
    answer: Callable[[Any], Any] = lambda question: None,
) -> Any:
    """Call a function in ``count`` new processes at once, and wait until all have ended.

    When one of them fails or is killed, or this one is interrupted, all end; they also end when this process goes away.
    Ctrl-C reaches this process alone.

    Args:
        told: takes what they tell.
        answer: answers what they ask.

    Returns:
        what the function returned in rank 0.

    Raises:
        TrainingError: one of them was killed, or ended without a word.
        Exception: the first error of any of them, with its traceback there as a note.
    """
    refuse_in_main_import()
    context = multiprocessing.get_context("spawn")
    processes: list[SpawnProcess] = []
    lines: list[Connection] = []
    try:
        with _uninterrupted():
            for rank in range(count):
                line, theirs = context.Pipe()
                lines.append(line)
                process = context.Process(target=_do, args=(function, rank, count, theirs, payload))
                processes.append(process)
                process.start()
                theirs.close()  # the end of the process must be the end of the line
        return _Listening(processes, lines, told, answer).to_the_end()
    finally:
        _end(processes)
        for line in lines:
            line.close()


class _Listening:
    """Hears processes until they have ended, or one of them is in trouble."""

    def __init__(
        self,
        processes: Sequence[SpawnProcess],
        lines: Sequence[Connection],
        told: Callable[[Any], None],
        answer: Callable[[Any], Any],
    ):
        self.processes, self.told, self.answer = processes, told, answer
        self.waiting: dict[Any, int] = {line: rank for rank, line in enumerate(lines)}
        self.waiting |= {process.sentinel: rank for rank, process in enumerate(processes)}
        self.begun: set[int] = set()
        self.done: dict[int, Any] = {}
        self.failed: list[tuple[float, Exception]] = []
        self.died: list[int] = []
        self.until: float | None = None

    def to_the_end(self) -> Any:
        while self.waiting:
            left = None if self.until is None else max(0.0, self.until - time.monotonic())
            ready = wait(list(self.waiting), left)
            if not ready:
                break
            for one in ready:
                if isinstance(one, int):  # a sentinel
                    self._see_off(self.waiting.pop(one))
                else:
                    self._hear(cast("Connection", one))
            if self.until is None and (self.failed or self.died):
                self.until = time.monotonic() + _AFTERMATH
            elif self.until is None and len(self.done) == len(self.processes):
                self.until = time.monotonic() + _FAREWELL
        if self.failed or self.died:
            raise self._cause()
        return self.done[0]

    def _hear(self, line: Connection) -> None:
        try:
            kind, content = line.recv()
        except (EOFError, OSError):
            del self.waiting[line]
            return
        rank = self.waiting[line]
        if kind == "told":
            self.told(content)
        elif kind == "asked":
            line.send(self.answer(content))
        elif kind == "begun":
            self.begun.add(rank)
        elif kind == "done":
            self.done[rank] = content
        else:
            self.failed.append(content)

    def _see_off(self, rank: int) -> None:
        self.processes[rank].join()
        if self.processes[rank].exitcode:
            self.died.append(rank)

    def _cause(self) -> Exception:
        """The first error; but others lose their partner, and say so, when one is killed."""
        errors = [error for _, error in sorted(self.failed, key=lambda failure: failure[0])]
        meant = [error for error in errors if isinstance(error, MusketError)]
        if meant or not self.died:
            return (meant or errors)[0]
        rank = self.died[0]
        code, which = self.processes[rank].exitcode or 0, f"process {rank + 1} of {len(self.processes)}"
        if rank not in self.begun and code >= 0:
            return TrainingError(f"{which} ended before it began. {_UNGUARDED}")
        how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended without a word (exit code {code})"
        return TrainingError(
            f"{which} that trained one network together {how}. That happens when memory runs out: lower batch. Weights "
            "and state of the last whole epoch are kept; resume to go on"
        )


def _do(function: Function, rank: int, count: int, connection: Connection, payload: bytes) -> None:
    """What each of the processes does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    link = Link(connection)
    link.send("begun", None)
    try:
        value = function(rank, link, payload)
    except Exception as error:  # noqa: BLE001 (it is raised where they were started)
        error.add_note(f"in process {rank + 1} of {count}:\n{traceback.format_exc()}")
        link.send("failed", (time.monotonic(), portable(error)))
    else:
        link.send("done", value)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def portable(error: E) -> E | MusketError:
    """An error that another process can receive: itself, or one with its words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 (whatever a class of the user's own does)
        ours = isinstance(error, MusketError)
        words = MusketError(str(error) if ours else f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            words.add_note(note)
        return words
    return error


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes started inside do not hear Ctrl-C, from their first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _end(processes: Sequence[SpawnProcess]) -> None:
    """End those that have not ended by themselves."""
    started = [process for process in processes if process.pid is not None]
    for process in started:
        if process.is_alive():
            process.terminate()
    for process in started:
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()
