"""``musket fit``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from musket.core.errors import ConfigError, MusketError

if TYPE_CHECKING:
    from musket.experiment.project import Project

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def configure(parser: argparse.ArgumentParser) -> None:
    """Which experiments, which folds, and how."""
    parser.add_argument("--project", metavar="DIR", type=Path, help="project folder; default: the one you are in")
    parser.add_argument(
        "--name",
        type=_names,
        metavar="NAME[,NAME]",
        help="experiments, in this order; default: all without summary.yaml",
    )
    parser.add_argument(
        "--allow_resume",
        "--allow-resume",
        type=_boolean,
        nargs="?",
        const=True,
        default=False,
        metavar="BOOL",
        help="go on where an interrupted run stopped",
    )
    parser.add_argument(
        "--accept_changes",
        "--accept-changes",
        action="store_true",
        help="go on although the config was edited in a way that makes it another run",
    )
    parser.add_argument("--folds", type=_numbers, metavar="N[,N]", help="folds to train; default: all")
    parser.add_argument(
        "--cache", metavar="FOLDER", help="keep decoded images there, whatever the configs' key cache says"
    )
    for name, what in (
        ("num_gpus", "devices shared by the workers"),
        ("gpus_per_net", "devices of one network"),
        ("num_workers", "folds trained side by side"),
    ):
        dashed = name.replace("_", "-")
        parser.add_argument(f"--{name}", f"--{dashed}", type=_one, metavar="N", help=f"{what}; only 1 so far")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="values in place of the config's")


def run(arguments: argparse.Namespace) -> int:
    """Check every chosen config, then train one experiment after the other.

    Returns:
        0 when all are done, 1 when one failed (the others are trained all the same), 2 when a config was refused.
        A finished experiment that is named is trained again.
    """
    from musket.config.check import refuse_unavailable
    from musket.core.runtime import silence_telemetry
    from musket.experiment.project import load_spec, open_project, project_root

    silence_telemetry()

    project = open_project(arguments.project or project_root(Path.cwd() / "config.yaml") or Path.cwd())
    names = arguments.name or _here(project)
    chosen = (
        names if names is not None else [name for name in project.experiment_names() if not _finished(project, name)]
    )
    if not chosen:
        print(f"nothing to do: no experiment without summary.yaml in {project.experiments}")
        return 0
    specs = {}
    refused = False
    for name in dict.fromkeys(chosen):
        try:
            specs[name] = load_spec(project.config(name), project=project, overrides=arguments.overrides)
            refuse_unavailable(specs[name])
            if arguments.cache:
                specs[name] = specs[name].model_copy(update={"cache": str(Path(arguments.cache).absolute())})
        except ConfigError as error:
            print(error, file=sys.stderr)
            refused = True
    if refused:
        return 2

    from musket.experiment.facade import Experiment

    failed = []
    for name, spec in specs.items():
        experiment = Experiment.from_spec(spec, project)
        experiment.setAllowResume(arguments.allow_resume, arguments.accept_changes)
        try:
            experiment.fit(foldsToExecute=arguments.folds, rerun=names is not None)
        except Exception as error:  # noqa: BLE001 (one experiment must not stop the others; error.yaml has the trace)
            said = str(error) if isinstance(error, MusketError) else f"{type(error).__name__}: {error}"
            where = "" if isinstance(error, MusketError) else f" (where: {experiment.layout.error})"
            print(f"{name}: {said}{where}", file=sys.stderr)
            failed.append(name)
            refused = refused or isinstance(error, ConfigError)
    if failed and len(specs) > 1:
        print(f"{len(failed)} of {len(specs)} experiments failed: {', '.join(failed)}", file=sys.stderr)
    return 2 if refused else int(bool(failed))


def _here(project: Project) -> list[str] | None:
    """The experiment whose folder is the working directory, if it is one."""
    here = Path.cwd()
    if not (here / "config.yaml").is_file() or not here.is_relative_to(project.experiments):
        return None
    return [here.relative_to(project.experiments).as_posix()]


def _finished(project: Project, name: str) -> bool:
    return (project.experiments / name / "summary.yaml").exists()


def _names(text: str) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] or None


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in TRUE + FALSE:
        raise argparse.ArgumentTypeError(f"found {text!r}; write true or false")
    return word in TRUE


def _one(text: str) -> int:
    """How many devices or workers: one, until there may be more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; write a whole number of 1 or more")
    if number > 1:
        raise argparse.ArgumentTypeError(f"not available yet: several devices or workers; found {number}, write 1")
    return number


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}; write numbers separated by commas: 0,1") from None
