"""What every engine needs around a worker: where it comes from, and what became of a job it did not get done."""

from __future__ import annotations

import importlib
import traceback
from typing import Any, Protocol

from musket.core.errors import AlreadyFinished, ConfigChanged, ConfigError, MusketError, Stopped
from musket.core.jobs import Failure, Job, Workplace


class Worker(Protocol):
    """Does jobs. It is made without arguments, in the process that does them."""

    def perform(self, job: Job, workplace: Workplace) -> Any:
        """Do a job. Returns plain data."""
        ...


def load_worker(name: str) -> Worker:
    """A new worker of the class that ``module:attribute`` names."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)()


def failure_of(error: BaseException) -> Failure:
    """Why a job was not done, from what it raised."""
    interrupted = isinstance(error, (Stopped, KeyboardInterrupt))
    return Failure(
        type=type(error).__name__,
        value=str(error) or ("stopped at once" if interrupted else ""),
        trace="" if interrupted else "".join(traceback.format_exception(error)),
        interrupted=interrupted,
        usage=isinstance(error, (ConfigError, ConfigChanged, AlreadyFinished)),
        words=isinstance(error, MusketError),
    )
