"""Jobs as tasks of a Ray cluster. A machine that is lost costs its jobs one epoch: they go on elsewhere."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from types import ModuleType
from typing import Any

from musket.core.errors import MusketError
from musket.core.jobs import Failure, Job, Jobs, Progress, Watcher
from musket.core.runtime import cores, silence_telemetry
from musket.core.version import VERSION
from musket.launch import devices
from musket.launch.bundle import Bundle
from musket.launch.course import Course
from musket.launch.ray_node import Desk, Message, Order, do
from musket.launch.stopping import stop_signals

RETRIES = 3
_EVERY = 0.2  # seconds between two looks at messages


def run(
    jobs: Jobs,
    worker: str,
    watcher: Watcher,
    *,
    address: str | None = None,
    cpus: int | None = None,
    at_once: int | None = None,
    bundle: Bundle | None = None,
    retries: int = RETRIES,
    deadline: float | None = None,
) -> bool:
    """Do all jobs on a Ray cluster, each in a process of its own.

    Ctrl-C and SIGTERM let every job finish the epoch under way and start no other; a second Ctrl-C ends all at once.

    Args:
        jobs: decides which there are.
        worker: ``module:attribute`` of the class that does them, as every machine can import it.
        watcher: told what happens.
        address: ``host:port`` of a cluster that this machine is part of, ``auto``: the one that runs here. None starts
            Ray on this machine alone, and ends it.
        cpus: cores of a job, for each of its devices, and so many threads. None: as many as there are for each GPU on
            the poorest machine; without GPUs all cores of the smallest machine.
        at_once: most devices in use at a time; None: all.
        bundle: files that travel to machines that do not see them. None: all see them under the same paths.
        retries: how often a job is repeated whose machine or process is lost. A training goes on where it was.
        deadline: ``time.time()`` at which training is stopped after the epoch under way.

    Returns:
        whether it was stopped early.

    Raises:
        MusketError: Ray is not installed, or the cluster cannot be joined or has nothing to work with.
    """
    ray = _ray(alone=address is None)
    heard: SimpleQueue[int] = SimpleQueue()
    with _connected(ray, address), stop_signals(heard.put):
        cluster = _Cluster(ray, Course(jobs, watcher), worker, watcher, cpus, at_once, bundle, retries)
        cluster.run(heard, deadline)
    return cluster.stopping


@dataclass(frozen=True)
class Share:
    """What a job gets for each of its devices.

    Attributes:
        cpus: cores.
        gpu: a GPU as well.
    """

    cpus: int
    gpu: bool

    def slots(self, resources: Mapping[str, float]) -> int:
        """How many such shares a machine has."""
        by_cores = int(resources.get("CPU", 0)) // self.cpus
        return min(by_cores, int(resources.get("GPU", 0))) if self.gpu else by_cores

    def of(self, job: Job) -> dict[str, float]:
        """Resources of a job, as Ray names them. Without GPUs devices are processes."""
        gpus = {"num_gpus": job.devices} if self.gpu and job.devices else {}
        return {"num_cpus": self.cpus * max(1, job.devices), **gpus}


def share(machines: Sequence[Mapping[str, float]], cpus: int | None = None) -> Share:
    """What jobs get for each device on these machines.

    Args:
        machines: resources of each, as Ray names them.
        cpus: cores; None: see :func:`run`.

    Raises:
        MusketError: there is nothing to work with.
    """
    gpu = any(one.get("GPU", 0) >= 1 for one in machines)
    cores = [one.get("CPU", 0) // (one.get("GPU", 0) if gpu else 1) for one in machines if one.get("GPU", 0) or not gpu]
    usable = [int(count) for count in cores if count >= 1]
    if not usable or max(usable) < (cpus or 1):
        told = "; ".join(f"{one.get('CPU', 0):g} cores, {one.get('GPU', 0):g} GPUs" for one in machines) or "none"
        wanted = f"{cpus or 1} cores" + (" for each GPU" if gpu else "")
        raise MusketError(f"no machine of the Ray cluster has {wanted}; its machines: {told}")
    return Share(cpus or min(usable), gpu)


@dataclass
class _Task:
    job: Job
    attempt: int
    began: bool = False


class _Cluster:
    """Tasks under way, and what is heard of them."""

    def __init__(
        self,
        ray: ModuleType,
        course: Course,
        worker: str,
        watcher: Watcher,
        cpus: int | None,
        at_once: int | None,
        bundle: Bundle | None,
        retries: int,
    ):
        self.stopping = False
        self._ray = ray
        self._course = course
        self._worker = worker
        self._watcher = watcher
        self._share = share(self._machines(), cpus)
        self._at_once = math.inf if at_once is None else at_once
        self._bundle = bundle
        self._retries = retries
        self._tasks: dict[Any, _Task] = {}  # by what Ray will return
        self._largest = 0
        # a process for each job: what it leaves behind must not change the next one
        self._do = ray.remote(max_calls=1, max_retries=0)(do)
        root, travels = (Path(), ()) if bundle is None else (bundle.root, tuple(bundle.travels))
        here = ray.get_runtime_context().get_node_id()
        on_this_machine = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        self._desk = (
            ray.remote(Desk).options(num_cpus=0, scheduling_strategy=on_this_machine).remote(str(root), travels)
        )

    def run(self, heard: SimpleQueue[int], deadline: float | None) -> None:
        """Come back when nothing runs any more, and nothing will."""
        self._assign()
        while not self._course.queue.is_over():
            if deadline is not None and time.time() >= deadline:
                deadline = None
                self._stop("time is up")
            with contextlib.suppress(Empty):
                number = heard.get_nowait()
                if self.stopping and number == signal.SIGINT:
                    self._give_up()
                    return
                self._stop("told to stop", again=number == signal.SIGINT)
            ended, _ = self._ray.wait(list(self._tasks), timeout=_EVERY) if self._tasks else ([], time.sleep(_EVERY))
            self._hear()
            for reference in ended:
                self._end(reference)
            self._assign()

    def _stop(self, reason: str, *, again: bool = False) -> None:
        if self.stopping:
            return
        self.stopping = True
        self._desk.stop.remote(reason)
        for reference, task in self._tasks.items():
            if not task.began:  # it waits for a machine, perhaps for ever
                self._ray.cancel(reference)
        self._course.stopping(reason, again=again)

    def _give_up(self) -> None:
        for reference, task in self._tasks.items():
            self._ray.cancel(reference, force=True)
            self._course.failed(task.job, Failure("Stopped", "stopped at once", interrupted=True, words=True))
        self._tasks.clear()

    def _assign(self) -> None:
        """Start what can be started."""
        if not self._course.queue.waiting:
            return
        slots = [self._share.slots(one) for one in self._machines()]
        self._largest = max([self._largest, *slots])
        most = min(self._largest, self._at_once)
        while (job := self._course.next(math.inf)) is not None and job.devices > most:
            what = "GPUs" if self._share.gpu else f"times {self._share.cpus} cores"
            there_are = f"the largest has {most}" if most == self._largest else f"{most} are to be used at a time"
            said = f"{job.key}: needs {job.devices} {what} on one machine, and {there_are}"
            self._course.failed(job, Failure("MusketError", said, usage=True, words=True))
        while (job := self._course.next(self._room(slots))) is not None and max(job.devices, 1) <= self._room(slots):
            self._course.queue.start(job)
            self._start(job, 0)

    def _room(self, slots: Sequence[int]) -> float:
        busy = sum(max(1, task.job.devices) for task in self._tasks.values())
        return min(sum(slots), self._at_once) - busy

    def _start(self, job: Job, attempt: int) -> None:
        order = Order(job, attempt, self._worker, self._share.cpus, VERSION)
        if self._bundle is not None:
            root = self._bundle.root
            home, *beside = (
                path.relative_to(root).as_posix() for path in (self._bundle.home(job), *self._bundle.beside(job))
            )
            linked = tuple(self._bundle.linked)
            order = replace(order, root=str(root), home=home, linked=linked, beside=tuple(beside))
        reference = self._do.options(name=job.key, **self._share.of(job)).remote(order, self._desk)
        self._tasks[reference] = _Task(job, attempt)

    def _hear(self) -> None:
        under_way = {(task.job.key, task.attempt): task for task in self._tasks.values()}
        messages: list[Message] = self._ray.get(self._desk.take.remote())
        for message in messages:
            task = under_way.get((message.key, message.attempt))
            if task is None:
                continue
            if message.event == "began":
                task.began = True
                self._course.started(task.job, message.data)
            elif message.event == "progress":
                self._watcher.progress(task.job, Progress(**message.data))
            else:
                self._watcher.line(task.job, message.data)

    def _end(self, reference: Any) -> None:
        task = self._tasks.pop(reference)
        try:
            event, data = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            self._course.failed(task.job, Failure(type(error.cause).__name__, str(error.cause), str(error)))
        except self._ray.exceptions.RayError as error:
            self._lost(task, error)
        else:
            if event == "done":
                self._course.done(task.job, data)
            else:
                self._course.failed(task.job, Failure(**data))

    def _lost(self, task: _Task, error: Exception) -> None:
        """A machine or a process went away with a job."""
        job, why = task.job, _in_words(self._ray, error)
        if self.stopping:
            self._course.failed(job, Failure("Stopped", f"stopped; {why}", interrupted=True))
        elif task.attempt < self._retries:
            again = "goes on" if job.kind == "train" else "is done again"
            self._watcher.line(job, f"{why}; {again} elsewhere (attempt {task.attempt + 2} of {self._retries + 1})")
            self._start(job.resumed() if job.kind == "train" else job, task.attempt + 1)
        else:
            told = why if not self._retries else f"{why}, {self._retries + 1} times in all"
            self._course.failed(job, Failure("WorkerDied", told, str(error), died=True, words=True))

    def _machines(self) -> list[Mapping[str, float]]:
        """Resources of the machines that are there."""
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]


def _in_words(ray: ModuleType, error: Exception) -> str:
    if isinstance(error, ray.exceptions.NodeDiedError):
        return "its machine is lost"
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "its process was killed: the machine was out of memory"
    return "its process is gone: killed, out of memory, or with its machine"


def _ray(*, alone: bool) -> ModuleType:
    """Ray, imported only now and with its reports to the makers off.

    Args:
        alone: it will be started here. Only who knows a password of this run may use it then; Ray would write one into
            the user's home.

    Raises:
        MusketError: it is not installed.
    """
    silence_telemetry()
    if alone and "ray" not in sys.modules and not any(name.startswith("RAY_AUTH_") for name in os.environ):
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise MusketError(f'Ray is not installed ({error}); install it: pip install "musket[ray]"') from None
    return ray


@contextlib.contextmanager
def _connected(ray: ModuleType, address: str | None) -> Iterator[None]:
    """Ray, started or joined unless that was done before, and left again."""
    if ray.is_initialized():
        yield
        return
    told: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    if address is None:
        told |= {"num_cpus": cores(), "num_gpus": len(devices.visible_gpus()), "include_dashboard": False}
    try:
        ray.init(address or "local", **told)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        if address is None:
            raise MusketError(f"Ray does not start on this machine: {error}") from None
        raise MusketError(
            f"the Ray cluster at {address} cannot be joined: {error}. This machine must be part of it: "
            "ray start --address=HOST:PORT, with the same versions of Ray and Python, and the same token if one is used"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()
