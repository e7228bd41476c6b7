"""New projects and experiments, made from what is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from musket.artifacts.files import in_words, write_atomic
from musket.config.edit_text import with_values
from musket.core.errors import ArtifactError, MusketError
from musket.experiment.projects.project import CONFIG, Project, load_spec

_TEMPLATES = Path(__file__).parents[2] / "templates"
KINDS = ("segmentation", "classification")
FIRST = "first"


def new_project(folder: Path, kind: str = KINDS[0]) -> list[Path]:
    """Make a project that works: one experiment, its dataset function and a few images.

    Args:
        folder: to be made, or an empty one.
        kind: of the experiment; one of ``KINDS``.

    Returns:
        the files at its root, and the config of its experiment, relative to the folder.

    Raises:
        MusketError: there is something in the folder already.
        ArtifactError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MusketError(f"{folder} is there already, and not empty; name a folder to be made")
    ignored = shutil.ignore_patterns("__pycache__")
    try:
        shutil.copytree(_TEMPLATES / kind, folder, ignore=ignored, copy_function=shutil.copyfile, dirs_exist_ok=True)
        os.replace(folder / "gitignore", folder / ".gitignore")
    except shutil.Error as error:  # of several files
        raise ArtifactError(f"cannot be written: {error.args[0][0][2]}", folder) from error
    except OSError as error:
        raise ArtifactError(f"cannot be written: {in_words(error)}", folder) from error
    files = (path for path in folder.rglob("*") if path.is_file() and (path.parent == folder or path.name == CONFIG))
    return sorted(path.relative_to(folder) for path in files)


def new_experiment(
    project: Project, name: str, source: str | None = None, values: Sequence[str] = (), kind: str = KINDS[0]
) -> Path:
    """Make an experiment with the config of another one; its results, splits and everything else stay behind.

    Args:
        name: of the experiment; folders in it with ``/``.
        source: experiment whose config is copied; None for the one a new project of this kind begins with.
        values: ``key=value`` texts put in place of what it says.

    Returns:
        the config.

    Raises:
        ConfigError: the config would be refused; nothing is written.
        MusketError: there is no such experiment to copy, or the name is taken or none.
    """
    folder = project.experiments / _checked(project, name)
    config = _TEMPLATES / kind / "experiments" / FIRST / CONFIG if source is None else project.config(source)
    if source is not None or values:
        load_spec(config, project=project, overrides=values)
    text = with_values(config.read_text("utf-8-sig"), values, config)
    write_atomic(folder / CONFIG, text)
    return folder / CONFIG


def _checked(project: Project, name: str) -> str:
    """A name as a path below ``experiments``. Raises MusketError when it cannot be one."""
    path = PurePosixPath(name.replace("\\", "/"))
    bad = [part for part in path.parts if part.startswith(".") or part != part.strip() or "," in part]
    if path.is_absolute() or bad or not path.parts:
        raise MusketError(
            f"{name!r} cannot be the name of an experiment; write a folder below {project.experiments}, without commas "
            "and dots in front, such as unet or lr/high"
        )
    for above in path.parents:
        if (project.experiments / above / CONFIG).is_file():
            raise MusketError(f"{name}: {above} is an experiment, and experiments do not contain others")
    folder = project.experiments / path
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "an experiment" if (folder / CONFIG).is_file() else "a folder that is not empty"
        raise MusketError(f"{name}: {folder} is {what} already; take another name")
    return path.as_posix()
