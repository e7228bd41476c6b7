"""``musket lr-find``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from musket.core.errors import MusketError

if TYPE_CHECKING:
    from musket.experiment.projects.project import Project


def configure(parser: argparse.ArgumentParser) -> None:
    """Which experiment, where to search, and where the picture goes."""
    parser.add_argument(
        "config", nargs="?", help="a YAML file, a folder with config.yaml, or the name of an experiment; default: here"
    )
    parser.add_argument("--project", metavar="DIR", type=Path, help="project folder; default: the one you are in")
    parser.add_argument("--name", help="experiment of the project, in place of CONFIG")
    parser.add_argument("--fold", type=int, default=0, metavar="N", help="fold to train on; default 0")
    parser.add_argument("--stage", type=int, default=0, metavar="N", help="stage whose loss counts; default 0")
    parser.add_argument(
        "--start-lr", "--start_lr", type=float, default=1e-6, metavar="RATE", help="lowest rate; default 1e-6"
    )
    parser.add_argument("--end-lr", "--end_lr", type=float, default=1.0, metavar="RATE", help="highest rate; default 1")
    parser.add_argument("--epochs", type=int, default=5, metavar="N", help="passes over the training part; default 5")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("lr_find.png"),
        metavar="FILE",
        help="picture of loss and its change over the rate; default lr_find.png",
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="values in place of the config's")


def run(arguments: argparse.Namespace) -> int:
    """Search, draw, and say which rate to write where.

    Returns:
        0; whatever is wrong is raised as MusketError.
    """
    from musket.core.runtime import silence_telemetry
    from musket.experiment.facade import Experiment
    from musket.experiment.projects.project import load_spec
    from musket.training.lr_finder import FEWEST, check_picture

    silence_telemetry()
    check_picture(arguments.output)  # before minutes of training, not after
    overrides = list(arguments.overrides)
    if arguments.config is not None and "=" in arguments.config:
        overrides.insert(0, arguments.config)
        arguments.config = None
    project, config = _experiment(arguments)
    experiment = Experiment.from_spec(load_spec(config, project=project, overrides=overrides), project)
    finder = experiment.lr_find(
        foldsToExecute=[arguments.fold],
        stage=arguments.stage,
        start_lr=arguments.start_lr,
        end_lr=arguments.end_lr,
        epochs=arguments.epochs,
        fewest=FEWEST,  # fewer end without a rate
    )
    print(
        f"{len(finder.lrs)} batches, lr {finder.lrs[0]:.1e} to {finder.lrs[-1]:.1e}, best loss {finder.best_loss:.4g}"
    )
    if finder.stopped:
        print(f"ended early: {finder.stopped}")
    finder.save_picture(arguments.output)
    print(f"picture: {arguments.output}")
    place = f"stages[{arguments.stage}] of {config}" if arguments.stage else str(config)
    print(f"suggested rate, where the loss falls most steeply; write into {place}:\n\n  lr: {finder.suggestion:.2g}\n")
    return 0


def _experiment(arguments: argparse.Namespace) -> tuple[Project | None, Path]:
    """The project, if any, and the config that the arguments name."""
    from musket.experiment.projects.project import CONFIG, find_project, open_project, root_here

    if arguments.config is not None and arguments.name is not None:
        raise MusketError(f"found both {arguments.config!r} and --name {arguments.name!r}; name one experiment")
    given = arguments.config or arguments.name
    here = Path(CONFIG).is_file()
    if arguments.project is None and arguments.name is None and (given is not None or here):
        return find_project(given or ".")
    project = open_project(root_here(arguments.project))
    return project, project.config(given or _only(project))


def _only(project: Project) -> str:
    names = project.experiment_names()
    if len(names) != 1:
        there = f"there are: {', '.join(names)}" if names else f"there are none in {project.experiments}"
        raise MusketError(f"name a config, a folder, or an experiment of {project.root}; {there}")
    return names[0]
