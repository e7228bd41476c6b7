"""The jobs of experiments: what each kind does, in whatever process it is asked for."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from musket.artifacts.layout import CONFIG, Layout
from musket.artifacts.runs import seeds
from musket.core.errors import ConfigWarning
from musket.core.jobs import Failure, Job, Workplace
from musket.core.lines import Lines
from musket.core.runtime import make_fabric, silence_telemetry
from musket.core.types import Unit
from musket.report.words import count

if TYPE_CHECKING:
    from rich.console import Console

    from musket.experiment.facade import Experiment
    from musket.experiment.prepare_data import PreparedData
    from musket.experiment.unit import FitContext

OPENING = ("config", "project", "dialect", "overrides", "cache")
"""Arguments of every job that say which experiment is meant."""


class Worker:
    """Does jobs one after the other, and keeps the experiment of the last one open: its dataset and splits."""

    def __init__(self) -> None:
        self._opened = ""
        self._experiment: Experiment | None = None

    def perform(self, job: Job, workplace: Workplace) -> Any:
        """Do a job.

        Returns:
            plain data; of ``prepare`` ``{folds, changed}``, of ``train`` ``{fold, metric, best}``, of ``evaluate``
            ``{result}``, of a trial with its ``mode``, of ``task`` what the task gave.

        Raises:
            Stopped: training was asked to stop, and did after an epoch.
            ConfigChanged: the config was edited since the preparation, and had to be read anew.
            MusketError: what went wrong, in words.
        """
        silence_telemetry()
        do: Callable[[Experiment, Mapping[str, Any], Workplace, Console], Any] = _KINDS[job.kind]
        with _warnings_told(workplace):
            experiment = self._open(job)
            return do(experiment, job.arguments, workplace, _console(workplace, quiet=not experiment.spec.verbose))

    def refused(self, job: Job, failures: Sequence[tuple[Job, Failure]]) -> None:
        """A job is not done, because others it needs failed where nobody kept their failures."""
        from musket.experiment.jobs.schedule import record_failures

        layout = Layout(Path(job.arguments["config"]))
        if not all(seed.summary.exists() for seed in seeds(layout).values()):
            layout.summary.unlink(missing_ok=True)  # it was of seeds that have been trained again
        record_failures(layout, failures)

    def _open(self, job: Job) -> Experiment:
        wanted = json.dumps([job.arguments.get(name) for name in OPENING])
        if self._experiment is None or wanted != self._opened:
            from musket.experiment.state.run_record import refuse_other_run

            experiment = open_experiment(job.arguments)
            if job.after and experiment.spec.num_seeds is None:  # each of several seeds has a record of its own
                refuse_other_run(experiment.spec, experiment.layout, experiment.project)
            self._experiment, self._opened = experiment, wanted
        return self._experiment


def open_experiment(arguments: Mapping[str, Any]) -> Experiment:
    """The experiment that the arguments of a job mean.

    Raises:
        ConfigError: everything wrong with its config, at once.
    """
    from musket.experiment.facade import Experiment
    from musket.experiment.projects.project import load_spec, open_project

    root = arguments.get("project")
    project = None if root is None else open_project(root)
    overrides = arguments.get("overrides") or ()
    with warnings.catch_warnings():  # whoever made the job was told
        warnings.simplefilter("ignore", ConfigWarning)
        spec = load_spec(
            arguments["config"], project=project, dialect=arguments.get("dialect"), overrides=list(overrides)
        )
    if arguments.get("cache"):
        spec = spec.model_copy(update={"cache": arguments["cache"]})
    return Experiment.from_spec(spec, project)


def _prepare(
    experiment: Experiment, arguments: Mapping[str, Any], workplace: Workplace, console: Console
) -> dict[str, Any]:
    from musket.experiment import run
    from musket.experiment.leftovers import splits_set_aside
    from musket.experiment.summary import check

    options = _options(arguments)
    with splits_set_aside(experiment.layout) if options.new_splits else contextlib.nullcontext():
        data = experiment._prepare()
        run.check_unfinished(experiment.spec, experiment.layout, options, len(data.folds))
        check(experiment, data)
        context = _context(experiment, arguments, workplace, console)
        if _is_first(experiment.layout):
            here = _shown(workplace) is not None  # elsewhere people are told the device of every job
            place = f"; {run.device_name(context.fabric, experiment.gpus)}" if here else ""
            console.print(f"{_parts(data)}{place}", highlight=False)
        plan, changed = run.begin(context)
    return {"folds": [unit.fold for unit in plan], "changed": changed}


def _is_first(layout: Layout) -> bool:
    """Whether this is an experiment, or the first of its seeds or trials: the others have the same data."""
    return layout.base == layout.folder or layout.folder.name in ("0", "trial0")


def _parts(data: PreparedData) -> str:
    """How many samples there are, and how they are parted, in half a line."""
    held = f", {len(data.holdout)} held out" if data.holdout else ""
    folds, first = len(data.folds), data.folds[0]
    parts = f"{len(first.train)} train, {len(first.validation)} validation"
    return f"{count(len(data.ids), 'sample')}{held}; {count(folds, 'fold')}: {parts}"


def _train(
    experiment: Experiment, arguments: Mapping[str, Any], workplace: Workplace, console: Console
) -> dict[str, Any]:
    from musket.experiment.unit import train_unit
    from musket.training.display import logged_to

    spec, fold, options = experiment.spec, int(arguments["fold"]), _options(arguments)
    context = replace(_context(experiment, arguments, workplace, console), changed=bool(arguments["changed"]))
    stages = tuple(range(options.first_stage, len(spec.stages)))
    with logged_to(console):
        train_unit(context, Unit(fold, stages, spec.random_state))
    found, _ = experiment._best_logged(spec.primary_metric)
    best = [one["best"] for one in found if one["fold"] == fold and one["stage"] == stages[-1]]
    return {"fold": fold, "metric": spec.primary_metric, "best": best[0] if best else None}


def _evaluate(
    experiment: Experiment, arguments: Mapping[str, Any], workplace: Workplace, console: Console
) -> dict[str, Any]:
    from musket.config.search_checks import result_mode
    from musket.experiment.leftovers import forget_predictions
    from musket.metrics.catalogue import direction
    from musket.report.tables import summary_table

    if experiment.spec.num_seeds is not None:
        from musket.experiment.jobs.seeds import sum_up

        return {"result": sum_up(experiment.spec, experiment.layout, experiment.project)["experiment_result"]}
    options = _options(arguments)
    if arguments.get("recalculate"):
        forget_predictions(experiment.layout)
    summary = experiment.createSummary(subsample=options.subsample)
    if _shown(workplace):  # beside other jobs a table is in the way; they get one of all experiments
        console.print(summary_table(summary))
    else:
        console.print(f"results in {experiment.layout.folder}", highlight=False)
    told = {"result": summary.get("experiment_result")}
    mode = result_mode(experiment.spec, direction)
    is_trial = experiment.layout.base != experiment.layout.folder and experiment.layout.config.name == CONFIG
    return told | ({"mode": mode} if is_trial and mode is not None else {})


def _task(experiment: Experiment, arguments: Mapping[str, Any], workplace: Workplace, console: Console) -> Any:
    from musket.experiment.tasks.tasks import run_task

    return run_task(experiment, arguments["task"], arguments.get("args") or {}, workplace.line)


_KINDS: Mapping[str, Callable[..., Any]] = {
    "prepare": _prepare,
    "train": _train,
    "evaluate": _evaluate,
    "task": _task,
}


def _options(arguments: Mapping[str, Any]) -> Any:
    from musket.experiment.unit import FitOptions

    return FitOptions(**arguments.get("options") or {})


def _context(
    experiment: Experiment, arguments: Mapping[str, Any], workplace: Workplace, console: Console
) -> FitContext:
    from musket.experiment.pictures import drawer

    data = experiment._prepare()
    picture = drawer(experiment.spec, data.dataset)
    context = experiment._context(data, _options(arguments), make_fabric(), console, picture)
    watch = None if _shown(workplace) else workplace.progress
    return replace(context, stopping=workplace.stopping, watch=watch)


def _shown(workplace: Workplace) -> Console | None:
    """The console of this process, where jobs may draw for themselves."""
    return getattr(workplace, "console", None)


def _console(workplace: Workplace, *, quiet: bool) -> Console:
    from rich.console import Console

    shown = _shown(workplace)
    if shown is not None and not (quiet or shown.quiet):
        return shown
    return Console(
        file=cast("IO[str]", Lines(workplace.line)), soft_wrap=True, quiet=quiet or shown is not None, width=200
    )


@contextlib.contextmanager
def _warnings_told(workplace: Workplace) -> Iterator[None]:
    """Warnings become lines, ours without the place in our code."""
    with warnings.catch_warnings():

        def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
            ours = issubclass(category, ConfigWarning)
            where = "" if ours else f"{Path(filename).name}:{lineno}: {category.__name__}: "
            workplace.line(f"warning: {where}{message}")

        warnings.showwarning = show  # type: ignore[assignment]
        yield
