"""``musket fit``."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.cli import engines
from musket.cli.choice import Choice, choose, nothing_to_do
from musket.cli.values import add_boolean, count_from_zero, names, numbers, spellings
from musket.core.errors import ConfigError, MusketError, TrainingError

if TYPE_CHECKING:
    from musket.config.schema import ExperimentSpec
    from musket.experiment.jobs.schedule import ExperimentRun, Schedule
    from musket.experiment.projects.project import Project


def configure(parser: argparse.ArgumentParser) -> None:
    """Which experiments, which folds, how, and on what."""
    parser.add_argument("--project", metavar="DIR", type=Path, help="project folder; default: the one you are in")
    parser.add_argument(
        "--name",
        type=names,
        metavar="NAME[,NAME]",
        help="experiments, or patterns such as 'lr/*', in this order, finished ones anew; default: the one whose "
        "folder you are in, else all that are not finished",
    )
    parser.add_argument("--folds", type=numbers, metavar="N[,N]", help="folds to train; default: all")
    add_boolean(parser, "--allow_resume", help="go on where an interrupted run stopped")
    parser.add_argument(
        *spellings("--accept_changes"),
        action="store_true",
        help="go on although the config was edited in a way that makes it another run",
    )
    parser.add_argument(
        "--stale", action="store_true", help="also what config, data or code changed since: the parts it concerns"
    )
    parser.add_argument(
        "--time", type=int, default=-1, metavar="SECONDS", help="stop after so long, when the epoch ends"
    )
    add_boolean(parser, "--only_report", help="train nothing; judge the weights that are there")
    add_boolean(parser, "--force_recalc", help="predict anew for the summary, whatever predictions are stored")
    add_boolean(parser, "--launch_tasks", help="launch the project's tasks on every experiment that gets done")
    parser.add_argument(
        "--retries",
        type=count_from_zero,
        default=0,
        metavar="N",
        help="try a fold that fails so many times more; default: 0",
    )
    parser.add_argument(
        "--cache", metavar="FOLDER", help="keep decoded images there, whatever the configs' key cache says"
    )
    parser.add_argument(
        "-d", *spellings("--download_deps"), action="store_true", help="download what project.yaml names first"
    )
    parser.add_argument("--plan", action="store_true", help="print what would be done, and do nothing")
    parser.add_argument("--json", action="store_true", help="print the plan, or the outcome, as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    engines.configure(parser)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="values in place of the config's")


def run(arguments: argparse.Namespace) -> int:
    """Check every chosen config, then train: fold by fold, on as many devices as there are to use.

    Returns:
        0 when all are done, 1 when one failed or somebody else trains it (the others are trained all the same), 2 when
        a config was refused, 130 when it was asked to stop. A finished experiment that is named is trained again.
    """
    from musket.core.runtime import silence_telemetry
    from musket.experiment.jobs.schedule import Schedule
    from musket.experiment.projects.project import Project, open_project, root_here
    from musket.experiment.tasks.task_jobs import WithTasks

    silence_telemetry()
    engines.refuse_foreign_options(arguments)
    for text in arguments.overrides:
        if "=" not in text:
            raise MusketError(f"found {text!r}, which is no key=value; experiments are named by --name {text}")
    root = root_here(arguments.project)
    if root.is_dir() and not (folder := Project(root.absolute()).experiments).is_dir():
        raise MusketError(
            f"this is no project: there is no folder {folder}; --project DIR names one, musket new PROJECT makes one"
        )
    if arguments.download_deps:
        from musket.cli.deps_download import download

        if failed := download(root):
            return failed
    project = open_project(root)
    choices = choose(project, arguments)
    if not choices:
        print(nothing_to_do(project, arguments), file=sys.stderr if arguments.json else sys.stdout)
        if arguments.json:
            print("[]")
        return 0
    chosen = {one.state.name: one.options for one in choices}
    specs = _specs(project, chosen, arguments)
    if specs is None:
        return 2
    runs = [_run_of(project, name, spec, chosen[name], arguments) for name, spec in specs.items()]
    if arguments.plan:
        _print_plan(Schedule(runs), choices, as_json=arguments.json)
        return 0
    for one in choices:
        if one.state.state in ("finished", "stale"):
            print(one, file=sys.stderr)
    if arguments.launch_tasks and not any(isinstance(one, WithTasks) for one in runs):
        print("note: there is no task to launch: no function of the project is marked with tasks.task", file=sys.stderr)
    with _held(runs) as busy:
        runs = [one for one in runs if one.name not in busy]
        stopped: bool | None = False
        if runs:
            devices = [specs[one.name].gpus for one in runs]
            single = len(runs) == 1
            stopped = engines.run(Schedule(runs), arguments, root=project.root, single=single, devices=devices)
    code = int(bool(busy))
    if stopped is None:  # handed over to a cluster
        return code
    code = max(code, _outcome(runs, busy, stopped, as_json=arguments.json))
    return code if stopped else max(code, _call_after_fit(project))


def _call_after_fit(project: Project) -> int:
    from musket.experiment.tasks.fit_callbacks import run_after_fit

    try:
        run_after_fit(project)
    except MusketError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _specs(
    project: Project, chosen: Mapping[str, Mapping[str, Any]], arguments: argparse.Namespace
) -> dict[str, ExperimentSpec] | None:
    """The checked config of each experiment; None when one was refused, which then has been told."""
    from musket.config.check import refuse_unavailable
    from musket.experiment.projects.project import load_spec

    specs: dict[str, ExperimentSpec] = {}
    refused = False
    for name, own in chosen.items():
        try:
            specs[name] = load_spec(project.config(name), project=project, overrides=_values(own, arguments))
            refuse_unavailable(specs[name])
        except ConfigError as error:
            print(error, file=sys.stderr)
            refused = True
    return None if refused else specs


def _values(own: Mapping[str, Any], arguments: argparse.Namespace) -> list[str]:
    """``key=value`` of an experiment: those it was trained with, then those of today."""
    values = [*own.get("overrides", ()), *arguments.overrides]
    return values if arguments.gpus_per_net is None else [*values, f"gpus={arguments.gpus_per_net}"]


def _run_of(
    project: Project, name: str, spec: ExperimentSpec, own: Mapping[str, Any], arguments: argparse.Namespace
) -> ExperimentRun:
    """What an experiment has to do."""
    from musket.experiment.jobs.schedule import job_arguments, run_of

    options = {
        "resume": arguments.allow_resume,
        "accept_changes": arguments.accept_changes,
        "folds": arguments.folds,
        **{key: value for key, value in own.items() if key not in ("overrides", "only_evaluate")},
    }
    given = job_arguments(
        project.config(name),
        project.root,
        overrides=_values(own, arguments),
        cache=str(Path(arguments.cache).absolute()) if arguments.cache else None,
        options=options,
    )
    return run_of(
        spec,
        name,
        given,
        project=project,
        retries=arguments.retries,
        launch_tasks=arguments.launch_tasks,
        only_evaluate=arguments.only_report or bool(own.get("only_evaluate")),
        recalculate=arguments.force_recalc,
        at_once=engines.units_at_once(arguments, spec.gpus),
    )


def _print_plan(schedule: Schedule, choices: Sequence[Choice], *, as_json: bool) -> None:
    jobs = schedule.planned()
    if as_json:
        plan = {"experiments": [one.as_data() for one in choices], "jobs": [job.as_data() for job in jobs]}
        print(json.dumps(plan, indent=2, ensure_ascii=False))
        return
    for one in choices:
        print(one)
    width = max(len(job.key) for job in jobs)
    for job in jobs:
        devices = f"  {job.devices} devices" if job.devices > 1 else ""
        after = f"  after {', '.join(job.after)}" if job.after else ""
        print(f"{job.key:<{width}}{devices}{after}".rstrip())


@contextlib.contextmanager
def _held(runs: Sequence[ExperimentRun]) -> Iterator[dict[str, str]]:
    """Inside, nobody else trains these experiments, but for those it gives: by whom each of them is trained already."""
    from musket.experiment.jobs.earlier_search import restore
    from musket.experiment.state.lock import locked

    busy: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for one in runs:
            try:
                stack.enter_context(locked(one.layout))
            except TrainingError as error:
                print(f"left out: {error}", file=sys.stderr)
                busy[one.name] = str(error)
            else:
                stack.callback(restore, one.layout)  # there is something where no trial of a search could begin
        yield busy


def _outcome(runs: Sequence[ExperimentRun], busy: Mapping[str, str], stopped: bool, *, as_json: bool) -> int:
    """Tell what became of each experiment, and say it as an exit code.

    Args:
        busy: experiments that were left out, and why.
    """
    failed = [one for one in runs if one.failures]
    if as_json:
        outcome = [
            {
                "experiment": one.name,
                "state": one.state,
                "result": one.result,
                "failures": [
                    {"job": job.key, "type": failure.type, "value": failure.value} for job, failure in one.failures
                ],
            }
            for one in runs
        ]
        outcome += [{"experiment": name, "state": "left out", "reason": words} for name, words in busy.items()]
        print(json.dumps(outcome, indent=2, ensure_ascii=False))
    elif len(runs) == 1 and runs[0].result is not None and not failed:
        print(f"{runs[0].name} {runs[0].state}: {_result(runs[0])}; results in {runs[0].layout.folder}")
    elif runs:
        _print_table(runs)
    for one in failed:
        for job, failure in one.failures:
            ours = failure.words
            where = "" if ours or not one.layout.error.exists() else f" (where: {one.layout.error})"
            said = failure.value if ours else f"{failure.type}: {failure.value}"
            print(f"{job.key}: {said}{where}", file=sys.stderr)
    if failed and len(runs) > 1:
        which = ", ".join(one.name for one in failed)
        print(f"{len(failed)} of {len(runs)} experiments failed: {which}", file=sys.stderr)
    if stopped:
        print("stopped; finished epochs are kept, go on with --allow_resume", file=sys.stderr)
        return 130
    if any(failure.usage for one in failed for _, failure in one.failures):
        return 2
    return int(bool(failed))


def _result(run: ExperimentRun) -> str:
    """What an experiment came to, in words: the figure it is judged by, and over how much."""
    from musket.artifacts import records

    if run.result is None:
        return ""
    told = f"{run.result['name']} {run.result['value']:.4f}"
    summary = records.read_yaml(run.layout.summary) if run.layout.summary.exists() else {}
    if "best" in summary:
        return f"best of {sum(summary['trials'].values())} trials: trial {summary['best']['trial']}, {told}"
    if "seeds" in summary:
        return f"mean of {len(summary['seeds'])} seeds, {told}"
    name, folds = run.result["name"], len(summary.get("folds") or ())
    figures = (summary.get("allStages") or {}).get(name.removesuffix("_holdout"))
    if folds < 2 or not isinstance(figures, Mapping) or "std" not in figures:
        return told
    if name.endswith("_holdout"):  # of all folds together
        return f"{told}, {folds} folds {figures['mean']:.4f} ± {figures['std']:.4f}"
    return f"{told} ± {figures['std']:.4f}, mean of {folds} folds"


def _print_table(runs: Sequence[ExperimentRun]) -> None:
    from rich.console import Console

    from musket.launch.outcome import Outcome, final_table

    Console(soft_wrap=True).print(final_table([Outcome(one.name, one.state, _result(one)) for one in runs]))
    if sum(one.result is not None for one in runs) > 1:
        print("musket analyze compares them")
