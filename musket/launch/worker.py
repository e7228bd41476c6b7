"""What every engine needs of a worker, and where it comes from."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from musket.core.jobs import Job, Workplace


class Worker(Protocol):
    """Does jobs. It is made without arguments, in the process that does them."""

    def perform(self, job: Job, workplace: Workplace) -> Any:
        """Do a job. Returns plain data."""
        ...


def load_worker(name: str) -> Worker:
    """A new worker of the class that ``module:attribute`` names."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)()
