"""One fit of an experiment at a time.

The lock is the operating system's own, on a hidden file in the experiment's folder: it goes with the process that holds
it, however that ends, so that nothing stale ever blocks. Who holds it is told by a second file beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from filelock import FileLock, Timeout

from musket.artifacts.files import in_words, write_atomic
from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError, TrainingError

# Seconds to wait for whoever only looks whether the lock is held, as a listing does.
_PATIENCE = 0.5


@dataclass(frozen=True)
class Holder:
    """The process that trains an experiment.

    Attributes:
        pid, host: where it runs.
        since: Unix time.
    """

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} since {began}"


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Keep every other fit, of this process or another one, away from an experiment.

    It is not reentrant: who drives a queue holds it, and the processes that work for it do not ask.

    Raises:
        TrainingError: somebody has it; says who, and since when.
        ArtifactError: the folder cannot be written.
    """
    lock = FileLock(layout.lock, thread_local=False)
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        raise TrainingError(
            f"{layout.folder} is being trained already, by {_told(layout) or 'another process'}; "
            "wait for it, or stop it first"
        ) from None
    except OSError as error:
        raise ArtifactError(f"cannot be written: {in_words(error)}", layout.lock) from error
    try:
        write_atomic(layout.lock_holder, json.dumps(asdict(Holder(os.getpid(), socket.gethostname(), time.time()))))
        yield
    finally:
        with contextlib.suppress(OSError):
            layout.lock_holder.unlink(missing_ok=True)
        lock.release()


def holder(layout: Layout) -> Holder | None:
    """Who trains an experiment now; None when nobody does. Leaves nothing behind, and waits for nothing.

    In a folder that cannot be written the lock cannot be tried: there, who left word counts, unless it was a process of
    this machine that is gone.
    """
    if not layout.lock.exists():
        return None
    lock = FileLock(layout.lock, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return _told(layout) or Holder(0, "another host", layout.lock.stat().st_mtime)
    except OSError:
        told = _told(layout)
        return told if told is not None and _may_live(told) else None
    lock.release()
    return None


def _told(layout: Layout) -> Holder | None:
    try:
        return Holder(**json.loads(layout.lock_holder.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _may_live(told: Holder) -> bool:
    if told.host != socket.gethostname():
        return True
    try:
        os.kill(told.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, and somebody else's
        return True
    return True
