"""Work that can be done anywhere, in any order that its dependencies allow."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from musket.core.errors import AlreadyFinished, ConfigChanged, ConfigError, MusketError, Stopped

Kind = Literal["prepare", "train", "evaluate", "task"]


@dataclass(frozen=True)
class Job:
    """One piece of work. All of it is plain data, so that it can go to another process or machine as JSON.

    Attributes:
        key: names the job, once in a run: ``unet/prepare``, ``unet/fold 0``, ``unet/evaluate``.
        kind: prepare (splits, checks), train (all stages of a fold), evaluate (summary), task (a user's function).
        experiment: jobs of one experiment may share a process, which then keeps its data; others get a fresh one.
        arguments: for the function that does it.
        after: keys of jobs that must be done before.
        devices: GPUs it needs, or processes where there are none.
    """

    key: str
    kind: Kind
    experiment: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    devices: int = 1

    def as_data(self) -> dict[str, Any]:
        """Plain data; :meth:`from_data` reads it back."""
        return {**vars(self), "arguments": dict(self.arguments), "after": list(self.after)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Job:
        given: dict[str, Any] = {**data}
        given["after"] = tuple(given["after"])
        return cls(**given)

    def resumed(self) -> Job:
        """The same job, going on from what its last try left."""
        options = {**(self.arguments.get("options") or {}), "resume": True}
        return replace(self, arguments={**self.arguments, "options": options})


@dataclass(frozen=True)
class Failure:
    """Why a job did not get done.

    Attributes:
        type, value, trace: of the error, as error.yaml holds them.
        interrupted: it was asked to stop, and did after a whole epoch.
        died: its process went away without a word: killed, or out of memory.
        usage: the config or the way it was called is wrong, not the run.
        words: ``value`` says it all, of an error raised on purpose; no trace is needed.
    """

    type: str
    value: str
    trace: str = ""
    interrupted: bool = False
    died: bool = False
    usage: bool = False
    words: bool = False

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Why a job was not done, from what it raised."""
        interrupted = isinstance(error, (Stopped, KeyboardInterrupt))
        return cls(
            type=type(error).__name__,
            value=str(error) or ("stopped at once" if interrupted else ""),
            trace="" if interrupted else "".join(traceback.format_exception(error)),
            interrupted=interrupted,
            usage=isinstance(error, (ConfigError, ConfigChanged, AlreadyFinished)),
            words=isinstance(error, MusketError),
        )


@dataclass(frozen=True)
class Progress:
    """How far the training of a fold is. Epochs, folds and stages count from 0.

    Attributes:
        batch, batches: of this epoch, validation included.
        loss: running loss of the epoch; nan before its first batch.
        metric: name of the figure that decides the best epoch, ``value`` of the last whole epoch, ``best`` so far.
        rate: images per second of this epoch.
        left: seconds to the end of this stage, as far as one can tell; nan before.
    """

    fold: int
    stage: int
    stages: int
    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float
    metric: str
    value: float
    best: float
    rate: float
    left: float


class Jobs(Protocol):
    """Decides which jobs there are, as they get done. Lives in the process that was started; only that one calls it."""

    def planned(self) -> Sequence[Job]:
        """Every job as far as it can be told beforehand; asked once, before ``first``."""
        ...

    def first(self) -> Sequence[Job]:
        """The jobs known from the beginning, in order of preference."""
        ...

    def done(self, job: Job, value: Any) -> Sequence[Job]:
        """What follows from a job done, whose function returned ``value`` (plain data): jobs that are new."""
        ...

    def failed(self, job: Job, failure: Failure) -> Sequence[Job]:
        """What follows from a job not done. The same key again repeats it; else what needs it is dropped."""
        ...

    def wanted(self, job: Job) -> bool:
        """Asked right before a job starts. One that is not wanted any more counts as done, untold."""
        ...


class Watcher(Protocol):
    """Shows people what happens. Calls come from one thread."""

    def planned(self, jobs: Sequence[Job]) -> None:
        """What there will be, as far as it can be told beforehand; jobs that are known are told by ``added``."""
        ...

    def added(self, jobs: Sequence[Job]) -> None: ...

    def started(self, job: Job, place: str) -> None:
        """``place`` is the device, the worker or the node, in words."""
        ...

    def progress(self, job: Job, progress: Progress) -> None: ...

    def line(self, job: Job | None, text: str) -> None:
        """Something a job printed, or None: the run itself."""
        ...

    def done(self, job: Job, value: Any) -> None: ...

    def failed(self, job: Job, failure: Failure) -> None: ...

    def dropped(self, job: Job, because: Job) -> None:
        """A job that will not be done, because one it needs was not."""
        ...


class Workplace(Protocol):
    """What the function that does a job may use."""

    def line(self, text: str) -> None:
        """Show a line of text to people."""
        ...

    def progress(self, progress: Progress) -> None: ...

    def stopping(self) -> str | None:
        """A reason to stop after the epoch under way, None to go on. Asked after every epoch."""
        ...
