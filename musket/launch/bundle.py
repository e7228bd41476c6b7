"""Files that travel to a machine that does not see the folder they are in, and those that come back.

A :class:`Depot` stands where the files are. A :class:`Copy` stands where they are needed, and asks it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from musket.artifacts.files import write_atomic
from musket.core.errors import ArtifactError
from musket.core.jobs import Job


@dataclass(frozen=True)
class Bundle:
    """What jobs need of a folder, and what they change in it.

    Attributes:
        root: the folder. Strings in the arguments of jobs that begin with it are moved.
        travels: patterns of files below it that every job needs: ``modules/**/*.py``.
        home: the folder below it that a job begins from: all of its files travel, and what changes comes back.
        linked: names below it that are not sent. Where the machine has them under the same path, it uses those.
        beside: further files below it that a job needs, and leaves as they are.
    """

    root: Path
    travels: Sequence[str]
    home: Callable[[Job], Path]
    linked: Sequence[str] = ()
    beside: Callable[[Job], Sequence[Path]] = lambda job: ()


class Depot:
    """The folder that files come from and go back to. Names are relative to it, with ``/``.

    Args:
        root: the folder.
        travels: patterns of files below it that are for every job.
    """

    def __init__(self, root: str | Path, travels: Sequence[str]):
        self._root = Path(root).resolve()
        self._travels = tuple(travels)

    def names(self, home: str) -> list[str]:
        """Files that a job needs whose folder is ``home``. Hidden ones stay: locks, and files half written."""
        found = [path for pattern in self._travels for path in self._root.glob(pattern)]
        found += self._path(home).rglob("*")
        names = {path.relative_to(self._root) for path in found if path.is_file()}
        return sorted(name.as_posix() for name in names if _travels(name))

    def read(self, name: str) -> tuple[bytes, int] | None:
        """Content of a file, and when it was changed (ns); None when it is gone."""
        path = self._path(name)
        try:
            return path.read_bytes(), path.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Let a file appear, whole."""
        write_atomic(self._path(name), content)

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        path = Path(os.path.normpath(self._root / name))
        if not path.is_relative_to(self._root):
            raise ArtifactError(f"is outside of {self._root}; nothing there is read or written", name)
        return path


class Asked(Protocol):
    """What a copy asks of a depot, wherever that is."""

    def names(self, home: str) -> list[str]: ...

    def read(self, name: str) -> tuple[bytes, int] | None: ...

    def write(self, name: str, content: bytes) -> None: ...

    def remove(self, name: str) -> None: ...


@dataclass
class Copy:
    """A copy of what a job needs.

    Attributes:
        depot: where the files are.
        root: the folder of the depot, as the job's arguments name it.
        home: the job's folder, relative to it.
        folder: an empty one, for the copy.
        linked: names below ``root`` that are used where they are.
        beside: names of further files it needs.
    """

    depot: Asked
    root: str
    home: str
    folder: Path
    linked: Sequence[str] = ()
    beside: Sequence[str] = ()
    _known: dict[str, tuple[int, int]] = field(default_factory=dict, init=False)

    def fetch(self) -> None:
        """Fill the copy."""
        for name in dict.fromkeys((*self.beside, *self.depot.names(self.home))):
            stored = self.depot.read(name)
            if stored is not None:
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(stored[0])
                os.utime(path, ns=(stored[1], stored[1]))
        for name in self.linked:
            there = Path(self.root, name)
            if there.exists() and not (self.folder / name).exists():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / name).symlink_to(there)
        (self.folder / self.home).mkdir(parents=True, exist_ok=True)
        self._known = self._now()

    def send(self) -> None:
        """Send back what changed in the job's folder.

        In the order in which it was written, so that an end in between leaves what it would have left there.
        """
        now = self._now()
        for name in sorted(now, key=lambda name: now[name]):
            if now[name] != self._known.get(name):
                self.depot.write(name, (self.folder / name).read_bytes())
        for name in self._known.keys() - now.keys():
            self.depot.remove(name)
        self._known = now

    def moved(self, value: Any) -> Any:
        """Plain data with the paths of the copy in place of those of the depot's folder."""
        return _replaced(value, lambda text: self._at(text, self.root, str(self.folder)))

    def restored(self, value: Any) -> Any:
        """Plain data with the paths of the depot's folder, wherever those of the copy stand in it."""
        return _replaced(value, lambda text: text.replace(str(self.folder), self.root))

    @staticmethod
    def _at(text: str, before: str, after: str) -> str:
        inside = text == before or text.startswith(before + os.sep)
        return after + text[len(before) :] if inside else text

    def _now(self) -> dict[str, tuple[int, int]]:
        """When each file of the job's folder was changed (ns), and its size."""
        found: dict[str, tuple[int, int]] = {}
        for path in (self.folder / self.home).rglob("*"):
            name = path.relative_to(self.folder)
            if _travels(name) and path.is_file():
                stat = path.stat()
                found[name.as_posix()] = stat.st_mtime_ns, stat.st_size
        return found


def _travels(name: Path) -> bool:
    return not any(part.startswith(".") or part == "__pycache__" for part in name.parts)


def _replaced(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _replaced(one, change) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replaced(one, change) for one in value]
    return value
