"""What runs on the machines of a Ray cluster: a job, and the desk where the run was started, which it reports to."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from musket.core.errors import MusketError
from musket.core.jobs import Failure, Job, Progress
from musket.core.lines import Lines
from musket.core.runtime import silence_telemetry
from musket.core.version import VERSION
from musket.launch import devices
from musket.launch.bundle import Copy, Depot
from musket.launch.worker import load_worker
from musket.launch.worker_process import Reports

_COPIES, _LOCK = "musket-copy-", ".lock"


@dataclass(frozen=True)
class Order:
    """A job, and how it is to be done. Goes to another machine.

    Attributes:
        attempt: counts from 0; what an earlier one still says is not heard any more.
        threads: that its process may use.
        version: of Musket on the machine that started it.
        root, home, linked, beside: of a :class:`musket.launch.bundle.Copy` to work on; None: all files are there.
    """

    job: Job
    attempt: int
    worker: str
    threads: int
    version: str
    root: str | None = None
    home: str = ""
    linked: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """What a job says: ``began`` (a place), ``line`` (a text), ``progress`` (its values)."""

    key: str
    attempt: int
    event: str
    data: Any


class Desk(Depot):
    """Stands on the machine that started the run: takes messages and files, and says when to stop."""

    def __init__(self, root: str | Path, travels: tuple[str, ...]):
        super().__init__(root, travels)
        self._messages: list[Message] = []
        self._reason: str | None = None

    def tell(self, message: Message) -> None:
        self._messages.append(message)

    def take(self) -> list[Message]:
        """The messages since the last time."""
        taken, self._messages = self._messages, []
        return taken

    def stop(self, reason: str) -> None:
        self._reason = reason

    def stopping(self) -> str | None:
        return self._reason


def do(order: Order, desk: Any) -> tuple[str, Any]:
    """Do a job.

    Args:
        order: the job.
        desk: a handle on the actor :class:`Desk`.

    Returns:
        ``done`` and a value, or ``failed`` and the fields of a Failure.
    """
    silence_telemetry()
    os.environ.update(devices.variables((), order.threads))  # read when the libraries are loaded, which is later
    gpus = _gpus()
    if not gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray hides those of others only from jobs that have some
    there = _There(order, desk)
    there.tell("began", f"{socket.gethostname()} {devices.place(gpus)}")
    try:
        if order.version != VERSION:
            raise MusketError(
                f"{socket.gethostname()} has Musket {VERSION}, the run was started with {order.version}; "
                "install the same on every machine"
            )
        with there.files() as job, _printed(there.line):
            value = load_worker(order.worker).perform(job, there)
        return "done", there.restored(value)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 (it fails the job, not the process)
        return "failed", there.restored(asdict(Failure.of(error)))
    finally:
        there.wait_until_told()


class _There:
    """This machine as the workplace of a job."""

    def __init__(self, order: Order, desk: Any):
        self._reports = Reports(lambda progress: self.tell("progress", asdict(progress)))
        self._order = order
        self._desk = desk
        self._copy: Copy | None = None
        self._told: Any = None

    def line(self, text: str) -> None:
        self.tell("line", self.restored(text))

    def progress(self, progress: Progress) -> None:
        self._reports(progress)

    def stopping(self) -> str | None:
        if self._copy is not None:
            self._copy.send()
        return _asked(self._desk.stopping)

    def tell(self, event: str, data: Any) -> None:
        self._told = self._desk.tell.remote(Message(self._order.job.key, self._order.attempt, event, data))

    def wait_until_told(self) -> None:
        import ray

        ray.get(self._told)

    def restored(self, value: Any) -> Any:
        """Plain data as it is to be read where the run was started."""
        return value if self._copy is None else self._copy.restored(value)

    @contextlib.contextmanager
    def files(self) -> Iterator[Job]:
        """The job as it is to be done here; on a copy what it changes is sent back, whether it succeeds or not."""
        order = self._order
        if order.root is None:
            yield order.job
            return
        with folder_of_its_own() as folder:
            self._copy = Copy(_Remote(self._desk), order.root, order.home, folder, order.linked, order.beside)
            self._copy.fetch()
            try:
                yield replace(order.job, arguments=self._copy.moved(dict(order.job.arguments)))
            finally:
                self._copy.send()


@contextlib.contextmanager
def folder_of_its_own() -> Iterator[Path]:
    """An empty folder for temporary files, removed afterwards; so are those of processes that were killed."""
    from filelock import FileLock, Timeout

    for left in Path(tempfile.gettempdir()).glob(f"{_COPIES}*/{_LOCK}"):
        with contextlib.suppress(Timeout, OSError), FileLock(left, blocking=False):  # its owner held that to the end
            shutil.rmtree(left.parent, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix="musket-")).resolve()
    folder = made.with_name(made.name.replace("musket-", _COPIES, 1))
    with FileLock(made / _LOCK):
        made.rename(folder)  # others look at it only now that it is locked
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _Remote:
    """A depot on another machine, asked as if it were here."""

    def __init__(self, desk: Any):
        self._desk = desk

    def names(self, home: str) -> list[str]:
        return _asked(self._desk.names, home)

    def read(self, name: str) -> tuple[bytes, int] | None:
        return _asked(self._desk.read, name)

    def write(self, name: str, content: bytes) -> None:
        _asked(self._desk.write, name, content)

    def remove(self, name: str) -> None:
        _asked(self._desk.remove, name)


def _asked(method: Any, *arguments: Any) -> Any:
    import ray

    return ray.get(method.remote(*arguments))


def _gpus() -> list[str]:
    """GPUs that Ray gave to this process."""
    import ray

    return [str(one) for one in ray.get_runtime_context().get_accelerator_ids().get("GPU", [])]


@contextlib.contextmanager
def _printed(line: Callable[[str], None]) -> Iterator[None]:
    """What is printed becomes lines."""

    def tell(printed: str) -> None:
        if shown := printed.rstrip("\r").rpartition("\r")[2].rstrip():
            line(shown)

    with contextlib.redirect_stdout(Lines(tell)), contextlib.redirect_stderr(Lines(tell)):
        yield
