"""Which jobs several experiments have, and what follows when one of them is done or fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.artifacts.runs import is_finished
from musket.artifacts.splits import stored_fold_count
from musket.config.schema import ExperimentSpec
from musket.config.values import Portions
from musket.core.errors import ArtifactError
from musket.core.jobs import Failure, Job, Kind
from musket.experiment.plan import units

if TYPE_CHECKING:
    from musket.experiment.projects.project import Project

State = Literal["waiting", "done", "failed", "stopped"]

# Refusals that say nothing of the run they protect.
_NOT_RECORDED = ("AlreadyFinished", "ConfigChanged", "Stopped")


class ExperimentRun(Protocol):
    """The jobs of one experiment; their keys begin with its name.

    Attributes:
        name: of the experiment.
        layout: where its files are.
        failures: jobs that failed, and why.
        result: ``{name, value}``, the figure it is judged by, once it is known.
    """

    @property
    def name(self) -> str: ...

    @property
    def layout(self) -> Layout: ...

    @property
    def failures(self) -> Sequence[tuple[Job, Failure]]: ...

    @property
    def result(self) -> dict[str, Any] | None: ...

    @property
    def state(self) -> State: ...

    def planned(self) -> Sequence[Job]:
        """Every job as far as it can be told beforehand."""
        ...

    def first(self) -> Sequence[Job]: ...

    def done(self, job: Job, value: Any) -> Sequence[Job]: ...

    def failed(self, job: Job, failure: Failure) -> Sequence[Job]: ...

    def wanted(self, job: Job) -> bool:
        """Asked right before a job starts; a job that is not wanted any more counts as done."""
        ...

    def broke(self, job: Job, failure: Failure) -> None:
        """Something went wrong between its jobs; nothing of it is done any more."""
        ...


@dataclass
class PlainRun:
    """An experiment that is trained once: prepare, its folds, evaluate.

    Attributes:
        arguments: of every job; see :mod:`musket.experiment.jobs.worker`.
        spec: the checked config.
        retries: how often a fold that fails is tried again.
        only_evaluate: train nothing; judge what is there.
        recalculate: predict anew for the evaluation, whatever is stored.
    """

    name: str
    layout: Layout
    arguments: Mapping[str, Any]
    spec: ExperimentSpec
    retries: int = 0
    only_evaluate: bool = False
    recalculate: bool = False
    failures: list[tuple[Job, Failure]] = field(default_factory=list)
    result: dict[str, Any] | None = None
    _evaluated: bool = False
    _stopped: bool = False
    _tried: dict[str, int] = field(default_factory=dict)

    @property
    def state(self) -> State:
        if self.failures:
            return "failed"
        return "done" if self._evaluated else "stopped" if self._stopped else "waiting"

    def planned(self) -> list[Job]:
        """Every job; folds as they were split, or as the config says."""
        if self.only_evaluate:
            return self._evaluation([])
        options = self.arguments.get("options") or {}
        count, stages = _fold_count(self.spec, self.layout, options), len(self.spec.stages)
        first_stage = options.get("first_stage", 0)
        plan = units(count, stages, options.get("folds"), first_stage, seed=self.spec.random_state)
        return [self._preparation(), *self._training([unit.fold for unit in plan], changed=False)]

    def first(self) -> list[Job]:
        """What can begin at once."""
        return self._evaluation([]) if self.only_evaluate else [self._preparation()]

    def done(self, job: Job, value: Any) -> list[Job]:
        """Folds and the evaluation follow on the preparation."""
        if job.kind == "prepare":
            return self._training(value["folds"], changed=value["changed"])
        if job.kind == "evaluate":
            self._evaluated = True
            self.result = value["result"]
        return []

    def failed(self, job: Job, failure: Failure) -> list[Job]:
        """A fold may be tried again, from where it stands; else the failure is kept for error.yaml."""
        if failure.interrupted:
            self._stopped = True
            return []
        tried = self._tried.get(job.key, 0)
        if job.kind == "train" and tried < self.retries and not failure.usage:
            self._tried[job.key] = tried + 1
            return [job.resumed()]
        self.failures.append((job, failure))
        record_failures(self.layout, self.failures)
        return []

    def wanted(self, job: Job) -> bool:
        """Always."""
        return True

    def broke(self, job: Job, failure: Failure) -> None:
        """It has failed."""
        self.failures.append((job, failure))

    def _preparation(self) -> Job:
        return self._job("prepare", "prepare")

    def _training(self, folds: Sequence[int], *, changed: bool) -> list[Job]:
        after = (f"{self.name}/prepare",)
        training = [
            self._job("train", f"fold {fold}", {"fold": fold, "changed": changed}, after, self.spec.gpus)
            for fold in folds
        ]
        return [*training, *self._evaluation([job.key for job in training])]

    def _evaluation(self, after: Sequence[str]) -> list[Job]:
        return [self._job("evaluate", "evaluate", {"recalculate": self.recalculate}, tuple(after))]

    def _job(
        self,
        kind: Kind,
        caption: str,
        more: Mapping[str, Any] | None = None,
        after: tuple[str, ...] = (),
        devices: int = 1,
    ) -> Job:
        return Job(f"{self.name}/{caption}", kind, self.name, {**self.arguments, **(more or {})}, after, devices)


@dataclass
class Schedule:
    """The jobs of several experiments, one after the other where devices are few."""

    runs: Sequence[ExperimentRun]
    _owners: dict[str, ExperimentRun] = field(default_factory=dict)
    _broken: set[str] = field(default_factory=set)

    def planned(self) -> list[Job]:
        """Every job as far as it can be told beforehand."""
        return [job for run in self.runs for job in self._owned(run, run.planned())]

    def first(self) -> list[Job]:
        """What can begin at once, in the order of the experiments."""
        return [job for run in self.runs for job in self._following(run, run.first)]

    def done(self, job: Job, value: Any) -> list[Job]:
        """What follows in the experiment a job belongs to."""
        run = self._owners[job.key]
        return self._following(run, lambda: run.done(job, value))

    def failed(self, job: Job, failure: Failure) -> list[Job]:
        """What follows in the experiment a job belongs to."""
        run = self._owners[job.key]
        return self._following(run, lambda: run.failed(job, failure))

    def wanted(self, job: Job) -> bool:
        """Whether a job is still to be done."""
        run = self._owners[job.key]
        return run.name not in self._broken and run.wanted(job)

    def _following(self, run: ExperimentRun, follow: Callable[[], Sequence[Job]]) -> list[Job]:
        """What follows. An error between the jobs of an experiment ends that experiment, and no other one."""
        if run.name in self._broken:
            return []
        try:
            return self._owned(run, follow())
        except Exception as error:  # noqa: BLE001 (kept as the failure of this experiment)
            self._broken.add(run.name)
            run.broke(Job(run.name, "prepare", run.name), Failure.of(error))
            record_failures(run.layout, run.failures)
            return []

    def _owned(self, run: ExperimentRun, jobs: Sequence[Job]) -> list[Job]:
        self._owners |= dict.fromkeys((job.key for job in jobs), run)
        return list(jobs)


def record_failures(layout: Layout, failures: Sequence[tuple[Job, Failure]]) -> None:
    """Write error.yaml; the experiment is in progress no more. A disk that fails that too is no reason to stop.

    Nothing is said of what failed before the results of a finished experiment were touched: it stays finished.
    """
    finished = is_finished(layout)
    entries = [
        {"job": job.key, "type": failure.type, "value": failure.value, "trace": failure.trace}
        for job, failure in failures
        if failure.type not in _NOT_RECORDED and not (finished and job.kind == "prepare")
    ]
    if not entries:
        return
    with contextlib.suppress(ArtifactError, OSError):
        records.write_yaml(layout.error, {"errors": entries})
        layout.in_progress.unlink(missing_ok=True)


def _fold_count(spec: ExperimentSpec, layout: Layout, options: Mapping[str, Any]) -> int:
    if isinstance(spec.dataset, Portions) and spec.dataset.validation:
        return 1
    return (None if options.get("new_splits") else stored_fold_count(layout)) or spec.folds_count


def job_arguments(
    config: Path,
    project: Path | None,
    *,
    dialect: str | None = None,
    overrides: Sequence[str] = (),
    cache: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Arguments that every job of an experiment begins with, as plain data.

    Args:
        options: of :class:`musket.experiment.unit.FitOptions`.
    """
    return {
        "config": str(config.absolute()),
        "project": None if project is None else str(project),
        "dialect": dialect,
        "overrides": list(overrides),
        "cache": cache,
        "options": dict(options or {}),
    }


def project_of(arguments: Mapping[str, Any]) -> Project | None:
    """The project that the arguments of jobs name, without its modules."""
    from musket.experiment.projects.project import Project

    root = arguments.get("project")
    return None if root is None else Project(Path(root))


def run_of(
    spec: ExperimentSpec,
    name: str,
    arguments: Mapping[str, Any],
    *,
    project: Project,
    retries: int = 0,
    launch_tasks: bool = False,
    only_evaluate: bool = False,
    recalculate: bool = False,
    at_once: int = 1,
) -> ExperimentRun:
    """The jobs of an experiment: once, for every seed, or for every trial of a search.

    Args:
        launch_tasks: run all tasks when it is done; there may be none.
        at_once: how many folds are trained at a time, as far as one can tell: so many trials are begun.

    Raises:
        MusketError: experiments of this kind cannot be trained yet; the search needs a package that is not there; an
            argument of a task is missing or wrong.
    """
    from musket.experiment.facade import Experiment

    experiment = Experiment.from_spec(spec, project)  # refuses what cannot be trained
    plain = partial(PlainRun, retries=retries, only_evaluate=only_evaluate, recalculate=recalculate)
    layout = Layout(Path(arguments["config"]))
    run: ExperimentRun
    if spec.hyperparameters:
        from musket.experiment.jobs.search import SearchRun

        run = SearchRun(name, layout, arguments, spec, plain, at_once, only_evaluate)
    elif spec.num_seeds is not None:
        from musket.experiment.jobs.seeds import SeededRun

        run = SeededRun(name, layout, arguments, spec, plain, only_evaluate)
    else:
        run = plain(name, layout, arguments, spec)
    if launch_tasks:
        from musket.experiment.tasks.task_jobs import WithTasks, check_settings
        from musket.experiment.tasks.tasks import task_names

        if tasks := task_names(project, spec.imports):
            check_settings(experiment, tasks)
            run = WithTasks(run, arguments, tasks)
    return run
