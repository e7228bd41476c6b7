"""The one tree of errors. Every message says what was found, where, what is allowed and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


class MusketError(Exception):
    """Base of every error raised on purpose. Our commands print it without a traceback."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a config. ``line`` and ``column`` count from 1; 0 means the file as a whole.

    ``origin`` is empty for the config file itself; else it names the other file (``common.yaml``) or ``command line``.
    """

    line: int
    column: int
    key: str
    message: str
    origin: str = ""

    @property
    def where(self) -> str:
        line = f"line {self.line}" if self.line else ("" if self.origin else "file")
        return f"{self.origin} {line}".strip()

    def __str__(self) -> str:
        return table([self])


def table(problems: Sequence[Problem]) -> str:
    """One line per problem: where, key, message, in columns as wide as needed (keys up to 40 characters)."""
    place = max((len(problem.where) for problem in problems), default=0)
    key = min(40, max((len(problem.key) for problem in problems), default=0))
    lines = (f"{p.where:<{place}}  " + (f"{p.key:<{key}}  " if key else "") + p.message for p in problems)
    return "\n".join(lines)


class ConfigWarning(UserWarning):
    """A config is accepted, but something in it was read otherwise than it is written."""


class ConfigError(MusketError):
    """A config was refused. Holds every problem found: those of the file in its order, then those from elsewhere."""

    def __init__(self, source: str | Path, problems: Sequence[Problem]):
        self.source = str(source)
        self.problems = sorted(set(problems), key=lambda p: (p.origin, p.line, p.column, p.key, p.message))
        count = len(self.problems)
        head = f"{self.source}: {count} problem{'s' if count != 1 else ''}"
        super().__init__(f"{head}\n{textwrap.indent(table(self.problems), '  ')}")


class DataError(MusketError):
    """A sample, an image or a table cannot be used. Names the sample and the file where known."""

    def __init__(self, message: str, *, sample: str | None = None, path: str | Path | None = None):
        self.message = message
        self.sample = sample
        self.path = None if path is None else str(path)
        where = [f"sample {sample!r}"] if sample is not None else []
        where += [f"file {self.path}"] if path is not None else []
        super().__init__(f"{', '.join(where)}: {message}" if where else message)


class ArtifactError(MusketError):
    """A file of the experiment folder is missing, damaged, foreign or cannot be written."""

    def __init__(self, message: str, path: str | Path | None = None):
        self.path = None if path is None else str(path)
        super().__init__(f"{self.path}: {message}" if path is not None else message)


class ModelError(MusketError):
    """A network cannot be built, or its weights cannot be had."""


class TrainingError(MusketError):
    """Training cannot start or cannot go on (NaN loss, too few items, finished experiment)."""


class AlreadyFinished(TrainingError):
    """``fit`` was called on an experiment that has its summary.yaml already."""


class Stopped(TrainingError):
    """Training was asked to stop, and did after a whole epoch, whose state is saved."""


@dataclass(frozen=True)
class Change:
    """One key that differs between the config of a stored run and the config of today."""

    key: str
    stored: object
    current: object

    def __str__(self) -> str:
        return f"{self.key}: was {self.stored!r}, now {self.current!r}"


class ConfigChanged(TrainingError):
    """A run was to be resumed, but its config was edited in a way that makes it another run."""

    def __init__(self, changes: list[Change]):
        self.changes = changes
        lines = "\n".join(f"  {change}" for change in changes)
        super().__init__(
            f"the config changed since this run began:\n{lines}\n"
            "Undo the edits to go on, start afresh in another folder, or say that the new values are meant: "
            "--allow_resume --accept_changes, in Python setAllowResume(True, accept_changes=True)"
        )


@dataclass(frozen=True)
class SampleFailure:
    """A sample that could not be predicted: recorded, never a gap."""

    id: str
    message: str
    path: str | None = field(default=None)
