"""``musket task``."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from musket.cli import engines
from musket.cli.values import add_boolean, names

if TYPE_CHECKING:
    from musket.experiment.projects.project import Project
    from musket.experiment.tasks.task_jobs import TaskRun


def configure(parser: argparse.ArgumentParser) -> None:
    """Which tasks, on which experiments, with which arguments, and on what."""
    parser.add_argument("--project", metavar="DIR", type=Path, help="project folder; default: the one you are in")
    parser.add_argument(
        "--name",
        type=names,
        metavar="NAME[,NAME]",
        help="experiments, or patterns such as 'lr/*', in this order; default: the one whose folder you are in, else "
        "all finished ones",
    )
    parser.add_argument(
        "--task", type=names, metavar="TASK[,TASK]", help="functions marked with tasks.task, or all; default: all"
    )
    add_boolean(parser, "--allow_resume", help="leave out what was done since the experiment was evaluated")
    add_boolean(parser, "--force_recalc", help="predict anew, whatever predictions are stored")
    add_boolean(parser, "--launch_tasks", help="no effect: tasks are launched in any case")
    parser.add_argument(
        "--cache", metavar="FOLDER", help="keep decoded images there, whatever the configs' key cache says"
    )
    parser.add_argument("--json", action="store_true", help="print what became of every task as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    engines.configure(parser)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="[TASK.]parameter=value",
        help="arguments of tasks, before those of the config's key tasks",
    )


def run(arguments: argparse.Namespace) -> int:
    """See that every task can be run, then run them.

    Returns:
        0 when all are done, 1 when one failed (the others are run all the same), 2 when nothing was run because
        something cannot be, 130 when it was interrupted.

    Raises:
        MusketError: no such task, experiment or parameter; an argument is missing; an experiment is not trained.
    """
    from musket.core.runtime import silence_telemetry
    from musket.experiment.jobs.schedule import Schedule
    from musket.experiment.projects.project import open_project, root_here

    silence_telemetry()
    engines.refuse_foreign_options(arguments)
    project = open_project(root_here(arguments.project))
    chosen = project.named(arguments.name) if arguments.name else _chosen(project)
    runs = [_run(project, name, arguments) for name in chosen]
    if not any(one.jobs for one in runs):
        none = f"no experiment with summary.yaml in {project.experiments}"
        print(f"nothing to do: {'all tasks were done' if runs else none}", file=sys.stderr)
        return _outcome([], stopped=False, as_json=arguments.json)
    if arguments.force_recalc:
        _forget_predictions(runs)
    # what tasks print goes elsewhere than the JSON
    with contextlib.redirect_stdout(sys.stderr) if arguments.json else contextlib.nullcontext():
        stopped = engines.run(Schedule(runs), arguments, root=project.root, single=len(runs) == 1)
    return 0 if stopped is None else _outcome(runs, stopped=stopped, as_json=arguments.json)


def _run(project: Project, name: str, arguments: argparse.Namespace) -> TaskRun:
    """The tasks of an experiment, seen as it was trained: with the same ``key=value``."""
    from musket.artifacts.layout import Layout
    from musket.experiment.facade import Experiment
    from musket.experiment.jobs.schedule import job_arguments
    from musket.experiment.projects.project import load_spec
    from musket.experiment.state.run_record import stored_run
    from musket.experiment.tasks.task_jobs import TaskRun, task_jobs
    from musket.experiment.tasks.tasks import chosen_tasks

    config = project.config(name)
    overrides = list((stored_run(Layout(config)) or {}).get("overrides") or ())
    experiment = Experiment.from_spec(load_spec(config, project=project, overrides=overrides), project)
    wanted = chosen_tasks(experiment, arguments.task or ["all"], arguments.overrides)
    cache = str(Path(arguments.cache).absolute()) if arguments.cache else None
    given = job_arguments(config, project.root, overrides=overrides, cache=cache)
    devices = arguments.gpus_per_net or 1
    jobs = task_jobs(experiment, name, given, wanted, devices=devices, resume=arguments.allow_resume)
    return TaskRun(name, experiment.layout, jobs)


def _forget_predictions(runs: Sequence[TaskRun]) -> None:
    """Remove the stored predictions of every experiment, seeds included, that has something to do."""
    from musket.artifacts.layout import Layout
    from musket.experiment.leftovers import forget_predictions

    for config in {job.arguments["config"] for one in runs for job in one.jobs}:
        forget_predictions(Layout(Path(config)))


def _outcome(runs: Sequence[TaskRun], *, stopped: bool, as_json: bool) -> int:
    """Tell what became of every task, and say it as an exit code."""
    outcomes = [outcome for one in runs for outcome in one.outcomes]
    failures = [(job, failure) for one in runs for job, failure in one.failures]
    if as_json:
        print(json.dumps(outcomes, indent=2, ensure_ascii=False))
    else:
        for outcome in outcomes:
            if outcome["exception"] is None:
                print(f"{outcome['experiment']}/{outcome['task']}: done, results in {outcome['results']}")
    for job, failure in failures:
        print(
            f"{job.experiment}: {failure.value if failure.words else f'{failure.type}: {failure.value}'}",
            file=sys.stderr,
        )
    if failures and len(outcomes) > 1:
        print(f"{len(failures)} of {len(outcomes)} tasks failed", file=sys.stderr)
    if stopped:
        print("stopped; tasks that were done count, go on with --allow_resume", file=sys.stderr)
        return 130
    return int(bool(failures))


def _chosen(project: Project) -> list[str]:
    """The experiment one is in, else all finished ones."""
    here = project.experiment_here()
    return [name for name in project.experiment_names() if project.is_finished(name)] if here is None else [here]
