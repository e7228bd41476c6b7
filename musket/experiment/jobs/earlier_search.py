"""What an earlier search left: set aside while a new one begins, so that a new one that cannot begin costs nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from musket.artifacts.files import in_words
from musket.artifacts.layout import Layout
from musket.artifacts.runs import trials
from musket.core.errors import ArtifactError, MusketError

_REMARK = re.compile(r"# trial \d+ of ", re.MULTILINE)


def set_aside(layout: Layout) -> None:
    """Move study, scores and trials out of the way.

    Raises:
        MusketError: a folder is named as one of a trial, but holds something else.
        ArtifactError: something cannot be moved.
    """
    for trial in trials(layout):
        if not trial.config.is_file() or not _REMARK.search(_beginning(trial.config)):
            raise MusketError(
                f"{trial.folder} is there already, and no trial of a search made it; move it away: trials take such "
                "names"
            )
    try:
        if found := list(_results(layout)):
            _move(found, layout.moving_search)
            layout.moving_search.rename(layout.earlier_search)  # from here on, what is in its place is new
    except OSError as error:
        raise ArtifactError(f"cannot be moved: {in_words(error)}", error.filename) from error


def restore(layout: Layout) -> None:
    """Put back what is set aside, in place of what the new search left; nothing is done where nothing is.

    Raises:
        ArtifactError: something cannot be moved or removed.
    """
    try:
        if layout.earlier_search.is_dir():
            _remove(_results(layout))
            layout.earlier_search.rename(layout.moving_search)
        if layout.moving_search.is_dir():  # one that was killed while it moved, too
            _move(list(layout.moving_search.iterdir()), layout.folder)
            layout.moving_search.rmdir()
    except OSError as error:
        raise ArtifactError(f"cannot be moved: {in_words(error)}", error.filename) from error


def forget(layout: Layout) -> None:
    """Remove what is set aside."""
    shutil.rmtree(layout.earlier_search, ignore_errors=True)


def _results(layout: Layout) -> Iterator[Path]:
    yield from (trial.folder for trial in trials(layout))
    yield from layout.folder.glob(f"{layout.study.name}*")  # SQLite keeps a journal beside it
    yield from (file for file in (layout.scores, layout.best_parameters) if file.exists())


def _move(paths: list[Path], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for path in paths:
        path.rename(folder / path.name)


def _remove(paths: Iterator[Path]) -> None:
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _beginning(config: Path) -> str:
    return config.read_text("utf-8", errors="replace")[:10_000]
