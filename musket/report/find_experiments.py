"""Which experiments lie below a folder, and how far each of them has come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from musket.artifacts.layout import CONFIG, Layout
from musket.core.errors import ArtifactError
from musket.report.plain_yaml import read_plain

State = Literal["finished", "unfinished", "failed", "never trained", "search", "without metrics"]
"""Of a ``search`` the trials have been trained, not the experiment itself."""


@dataclass(frozen=True)
class Found:
    """A config.

    Attributes:
        name: the folder below the one that was searched, with ``/``; of a config that is not called ``config.yaml``
            (``ship_config.yaml``) the path of the file.
    """

    name: str
    config: Path

    @property
    def layout(self) -> Layout:
        return Layout(self.config)


def find_experiments(folder: Path, troubles: list[str]) -> list[Found]:
    """Every file ``*config.yaml`` below a folder, sorted by name.

    Nothing below a ``config.yaml`` is searched (trials of a search lie there), unless it is in ``folder`` itself; nor
    are hidden folders, and ``data`` beside ``experiments``.

    Args:
        troubles: gets a line for every folder that cannot be read.
    """
    found = [Found(_name(folder, config), config) for config in _configs(folder, troubles, set())]
    return sorted(found, key=lambda one: one.name.split("/"))


def _name(folder: Path, config: Path) -> str:
    if config.name != CONFIG:
        return config.relative_to(folder).as_posix()
    below = config.parent.relative_to(folder).as_posix()
    return folder.absolute().name if below == "." else below


def _configs(folder: Path, troubles: list[str], seen: set[tuple[int, int]], *, top: bool = True) -> Iterator[Path]:
    try:
        state = folder.stat()
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError as error:
        troubles.append(f"{folder}: cannot be read: {error.strerror}")
        return
    if (state.st_dev, state.st_ino) in seen:  # a link back to a folder above
        return
    seen.add((state.st_dev, state.st_ino))
    names = {entry.name for entry in entries}
    yield from (
        folder / entry.name
        for entry in entries
        if entry.name.endswith(CONFIG) and not entry.name.startswith(".")
        if entry.is_file()
    )
    if CONFIG in names and not top:
        return
    for entry in entries:
        skipped = entry.name.startswith(".") or (entry.name == "data" and "experiments" in names)
        if not skipped and entry.is_dir():
            yield from _configs(folder / entry.name, troubles, seen, top=False)


def state_of(found: Found, troubles: list[str]) -> tuple[State, dict[str, object]]:
    """How far an experiment has come, and its summary.yaml (empty if there is none, or none that says anything).

    Of several configs in one folder only the one that the summary names has been trained.
    """
    layout = found.layout
    try:
        summary = read_plain(layout.summary) if layout.summary.exists() else None
    except ArtifactError as error:
        troubles.append(str(error))
        return "finished", {}
    if isinstance(summary, dict):
        named = summary.get("cfgName", layout.config.name)
        other = named != layout.config.name and layout.config.with_name(str(named)).is_file()
        return ("never trained", {}) if other else ("finished", summary)
    if summary is not None:  # Error, Cancelled
        return ("failed" if summary == "Error" else "unfinished"), {}
    if layout.error.exists():
        return "failed", {}
    traces = (layout.in_progress, layout.run_record, layout.folder / "metrics")
    return ("unfinished" if any(trace.exists() for trace in traces) else "never trained"), {}
