"""How far ahead batches are prepared. The names are those of the former framework's module variables."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any


@dataclass
class QueueSettings:
    """Knobs of the batch loader.

    Attributes:
        AUGMENTER_QUEUE_LIMIT: most batches that wait, ready, at a time; bounds the memory they take.
        USE_MULTIPROCESSING: prepare samples in processes instead of threads.
        NB_WORKERS: readers; "auto" = one per core.
        NB_WORKERS_IN_LOADER: kept for old code, has no effect.
        LOADER_SIZE: kept for old code, has no effect.
        LOADER_THREADED: kept for old code, has no effect.
    """

    AUGMENTER_QUEUE_LIMIT: int = 50
    USE_MULTIPROCESSING: bool = False
    NB_WORKERS: int | str = "auto"
    NB_WORKERS_IN_LOADER: int = 1
    LOADER_SIZE: int = 50
    LOADER_THREADED: bool = True


QUEUE = QueueSettings()
"""The one object the loader reads. Set its attributes, or those of ``segmentation_pipeline.impl.datasets``."""

KNOBS = frozenset(field.name for field in fields(QueueSettings))


class _Forwarding(ModuleType):
    """A module whose knobs are the attributes of :data:`QUEUE`."""

    def __getattr__(self, name: str) -> Any:
        if name in KNOBS:
            return getattr(QUEUE, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in KNOBS:
            setattr(QUEUE, name, value)
        else:
            super().__setattr__(name, value)


def forward_knobs(module: str) -> None:
    """Make an imported module read and set the knobs of :data:`QUEUE` as if they were its own variables."""
    sys.modules[module].__class__ = _Forwarding
