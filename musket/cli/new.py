"""``musket new``."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from musket.core.errors import MusketError

_KINDS = ("segmentation", "classification")


def configure(parser: argparse.ArgumentParser) -> None:
    """What is made, and from what."""
    parser.description = (
        "Make a project that works, with one experiment and a few images: musket new PROJECT. Or make another "
        "experiment of the project you are in: musket new --experiment NAME --from OTHER lr=0.1."
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="PROJECT | key=value",
        help="folder of the new project; with --experiment, values in place of those of the config that is copied",
    )
    parser.add_argument(
        "--kind", choices=_KINDS, default=_KINDS[0], help=f"of the first experiment; default: {_KINDS[0]}"
    )
    parser.add_argument("--experiment", metavar="NAME", help="make an experiment; folders in its name with /")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="OTHER",
        help="experiment whose config is copied; default: that of new projects",
    )
    parser.add_argument(
        "--project", metavar="DIR", type=Path, help="project of the experiment; default: the one you are in"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make a project or an experiment, and say what to do with it.

    Raises:
        MusketError: it is there already, or its name or config is refused.
    """
    if arguments.experiment is not None:
        return _experiment(arguments)
    if arguments.source is not None or arguments.project is not None:
        raise MusketError("--from and --project go with --experiment NAME")
    if len(arguments.overrides) != 1:
        raise MusketError("name one folder for the project: musket new PROJECT")
    from musket.experiment.projects.new import FIRST, new_project
    from musket.experiment.projects.project import project_root

    folder = Path(arguments.overrides[0])
    if (around := project_root(folder.absolute())) is not None:
        what = "musket new --experiment NAME makes an experiment of that one"
        print(f"note: {folder} lies inside the project {around}; {what}", file=sys.stderr)
    for path in new_project(folder, arguments.kind):
        print(folder / path)
    _tell_next(f"cd {shlex.quote(str(folder))}", f"musket check {FIRST}", "musket fit")
    return 0


def _experiment(arguments: argparse.Namespace) -> int:
    from musket.experiment.projects.new import new_experiment
    from musket.experiment.projects.project import Project, open_project, root_here

    name = arguments.experiment
    root = root_here(arguments.project)
    if not (root / "experiments").is_dir():
        raise MusketError(f"{root} is no project: it has no folder experiments; musket new PROJECT makes one")
    checked = arguments.source is not None or arguments.overrides
    project = open_project(root) if checked else Project(root)
    made = new_experiment(project, name, arguments.source, arguments.overrides, arguments.kind).absolute()
    print(made.relative_to(Path.cwd()) if made.is_relative_to(Path.cwd()) else made)
    there = [] if arguments.project is None else [f"cd {shlex.quote(str(root))}"]
    _tell_next(*there, f"musket check {shlex.quote(name)}", f"musket fit --name {shlex.quote(name)}")
    return 0


def _tell_next(*commands: str) -> None:
    print("\nThen, step by step:")
    for command in commands:
        print(f"  {command}")
