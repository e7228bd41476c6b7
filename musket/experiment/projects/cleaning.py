"""What runs left in the folders of experiments, told by the names of files; all else in these folders stays."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from musket.artifacts.files import in_words
from musket.artifacts.layout import CONFIG, Layout
from musket.artifacts.predictions import INDEX
from musket.artifacts.runs import is_finished, seeds, trials
from musket.core.errors import ArtifactError, TrainingError
from musket.data.cache import default_cache_folder
from musket.experiment.leftovers import BY_CLASS, STORED, TABLE
from musket.experiment.state.lock import holder, locked
from musket.experiment.tasks import results as task_results

# Folders of an experiment in which files of ours lie. Names with "classify" and "reports" are those of former versions.
_FOLDERS = (
    "weights",
    "metrics",
    "logs",
    "examples",
    "predictions",
    "evaluation",
    "reports",
    "classify_weights",
    "classify_metrics",
    ".history",
)
_SIDE_FILES = ("holdout_split", "folds_split", "shapes", "contribution", "ncx", "mdl-nchannel")
_STUDY = r"trials\.db(-journal|-wal|-shm)?|hyperopt\.(trials|scores)"
_PREDICTIONS = (
    rf"[^/]+\.npy/({re.escape(INDEX)}|{STORED})",
    r"[^/]+\[[\d, ]*\](\d+|\[[\d, ]*\])\.npy",
    TABLE,
    r"tmp-validation(\d+\.\d+)?\.npy(/.+)?",
)
# Paths below the folder of an experiment, with slashes.
_OURS = re.compile(
    "|".join(
        (
            r"(summary|inProgress|error|run)\.yaml",
            r"\.fit\.(lock|holder.*)",
            _STUDY,
            r"best\.params\.yaml",
            r"(classify_)?weights/(best|last)-\d+\.\d+\.(weights|state)",
            r"(classify_)?metrics/metrics-\d+\.\d+\.csv(all\.csv)?",
            r"logs/\d+\.\d+/events\.out\.tfevents\..+",
            r"examples/\d+/\d+/t_epoch_(train)?\d+\.\d+\.jpg",
            rf"predictions/({'|'.join(_PREDICTIONS)})",
            rf"evaluation/{BY_CLASS}",
            r"reports/report-\d+\.\d+\.html",
            r"\.history/.+",
        )
    )
)
_BEGUN = re.compile(r"\.(.+)\.\d+\.part")  # what a kill left of a file that was being written
# All digits of the numbers count, lest somebody else's cache is taken for ours.
_CACHE = re.compile(r"decoded-[0-9a-f]{16}\.(arrays|index)|[^/]+-[0-9a-f]{16}/(manifest\.json|[0-9a-f]{32}\.npz)")


@dataclass(frozen=True)
class Leftovers:
    """Files that may go.

    Attributes:
        name: of the experiment; of the project's cache, its folder.
        folder: all of the files lie in it.
        files: the summary first, so that an experiment half cleaned does not pass for a finished one; a study late, for
            it tells that trials are ours; locks last.
        bytes: what they take.
        layouts: of the experiment and of its seeds and trials; empty for a cache.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    bytes: int
    layouts: tuple[Layout, ...] = ()

    @property
    def kinds(self) -> list[str]:
        """Files and folders right below :attr:`folder` in which something goes, sorted; folders end with a slash."""
        inside = (path.relative_to(self.folder).parts for path in self.files)
        return sorted({parts[0] if len(parts) == 1 else f"{parts[0]}/" for parts in inside})


def leftovers(name: str, folder: Path) -> Leftovers:
    """What runs of an experiment left, those of its seeds and trials included. Links are not followed.

    Args:
        name: of the experiment.
        folder: which holds its ``config.yaml``.

    Raises:
        TrainingError: it is being trained, or is a link to a folder elsewhere.
        ArtifactError: the folder cannot be read.
    """
    if (link := link_to(name, folder)) is not None:
        raise TrainingError(f"{link} is a link to {link.readlink()}; clean the experiment where it lies")
    layouts = (Layout(folder / CONFIG), *_runs_below(folder))
    for layout in layouts:
        if (who := holder(layout)) is not None:
            raise TrainingError(f"{layout.folder} is being trained, by {who}; wait for it, or stop it first")
    files = [path for layout in layouts for path in _ours_of(layout)]
    files += [layout.config for layout in layouts[1:] if layout.config.is_file()]
    locks = {layout.lock for layout in layouts}

    def turn(path: Path) -> int:
        if path == layouts[0].summary:
            return 0
        return 3 if path in locks else 2 if re.fullmatch(_STUDY, path.name) else 1

    files.sort(key=turn)
    return Leftovers(name, folder, tuple(files), _bytes(files), layouts)


def states_only(found: Leftovers) -> Leftovers:
    """Of these files those that only resuming needs; none of an experiment that is not finished."""
    if not found.layouts or not is_finished(found.layouts[0]):
        return replace(found, files=(), bytes=0)
    weights = {layout.weights(0, 0).parent for layout in found.layouts}
    files = tuple(path for path in found.files if path.parent in weights and path.suffix == ".state")
    return replace(found, files=files, bytes=_bytes(files))


def link_to(name: str, folder: Path) -> Path | None:
    """The link through which one gets from the folder of all experiments to that of one; None where there is none."""
    return next((place for place in (folder, *folder.parents)[: len(Path(name).parts)] if place.is_symlink()), None)


def cache_leftovers(root: Path) -> Leftovers:
    """The decoded images and preprocessed items kept in ``.cache`` of a project; none where that is a link.

    Raises:
        ArtifactError: the folder cannot be read.
    """
    folder = default_cache_folder(root)
    inside = _files_below(folder) if folder.is_dir() and not folder.is_symlink() else ()
    files = [path for path in inside if _CACHE.fullmatch(path.relative_to(folder).as_posix())]
    return Leftovers(f"{folder.name}/", folder, tuple(files), _bytes(files))


def remove(found: Leftovers) -> None:
    """Remove files, then the folders of ours and of theirs that are empty. What has gone already is no error.

    Raises:
        TrainingError: somebody began to train the experiment.
        ArtifactError: a file cannot be removed.
    """
    with contextlib.ExitStack() as stack:
        for layout in found.layouts:
            if layout.lock.exists():  # without it no run of today's framework has been here
                stack.enter_context(locked(layout))
        for path in found.files:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise ArtifactError(f"cannot be removed: {in_words(error)}", path) from error
    _remove_empty(found)


def _remove_empty(found: Leftovers) -> None:
    """Remove the folders that are empty, from the innermost one outwards; the outermost one stays."""
    folders = {parent for path in found.files for parent in path.parents if found.folder in parent.parents}
    made = [layout.folder / name for layout in found.layouts for name in _FOLDERS]
    folders |= {Path(place) for folder in made if not folder.is_symlink() for place, _, _ in os.walk(folder)}
    for folder in sorted(folders, key=lambda path: -len(path.parts)):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _runs_below(folder: Path) -> Iterator[Layout]:
    """Seeds of an experiment, and trials where there was a search: our own experiments in its folder."""
    layout = Layout(folder / CONFIG)
    searched = any(re.fullmatch(_STUDY, path.name) for path in _listed(folder))
    tried = [trial for trial in trials(layout) if trial.config.is_file()] if searched else []
    aside = [Layout(place / CONFIG) for place in (layout.earlier_search, layout.moving_search) if place.is_dir()]
    for run in (*seeds(layout).values(), *tried, *aside):
        if not run.folder.is_symlink():
            yield run
            yield from _runs_below(run.folder)


def _ours_of(layout: Layout) -> Iterator[Path]:
    """Files of ours in the folder of one run, those of tasks included."""
    side_files = {layout.beside(f".{suffix}").name for suffix in _SIDE_FILES}
    for path in _listed(layout.folder):
        if path.is_dir() and not path.is_symlink() and task_results.is_ours(path):
            yield from task_results.written(path)
            continue
        inside = path.name in _FOLDERS and path.is_dir() and not path.is_symlink()
        for file in _files_below(path) if inside else [path]:
            relative = file.relative_to(layout.folder)
            begun = _BEGUN.fullmatch(relative.name)
            name = relative if begun is None else relative.with_name(begun[1])
            ours = name.as_posix() in side_files or _OURS.fullmatch(name.as_posix())
            if ours and (file.is_symlink() or file.is_file()):
                yield file


def _files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, links to files included; links to folders are neither followed nor told."""
    for place, _, names in os.walk(folder, onerror=_refuse):
        yield from (Path(place, name) for name in sorted(names))


def _listed(folder: Path) -> Sequence[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    raise ArtifactError(f"cannot be read: {in_words(error)}", error.filename) from error


def _bytes(files: Iterable[Path]) -> int:
    total = 0
    for path in files:
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total
