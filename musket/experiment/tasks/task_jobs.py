"""The tasks of experiments as jobs: which there are, and what became of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError, MusketError
from musket.core.jobs import Failure, Job
from musket.experiment.jobs.derived import derived_arguments
from musket.experiment.jobs.worker import open_experiment
from musket.experiment.tasks import tasks
from musket.experiment.tasks.arguments import blends_seeds, check_arguments
from musket.experiment.tasks.places import places, refuse_untrained
from musket.experiment.tasks.results import ERROR

if TYPE_CHECKING:
    from musket.experiment.facade import Experiment
    from musket.experiment.jobs.schedule import ExperimentRun, State


@dataclass
class TaskRun:
    """The tasks of one experiment, all of which can begin at once.

    Attributes:
        name: of the experiment.
        layout: where its files are.
        jobs: one for every task, and for every seed that a task runs on.
        failures: tasks that failed, and why.
        outcomes: ``{experiment, task, results, exception}`` of every task that came to an end: its folder, and None or
            ``{type, value, trace}``.
    """

    name: str
    layout: Layout
    jobs: Sequence[Job]
    failures: list[tuple[Job, Failure]] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] | None = None
    _stopped: bool = False

    @property
    def state(self) -> State:
        if self.failures:
            return "failed"
        return "stopped" if self._stopped else "done" if len(self.outcomes) == len(self.jobs) else "waiting"

    def planned(self) -> list[Job]:
        """All of them."""
        return list(self.jobs)

    def first(self) -> list[Job]:
        """All of them."""
        return list(self.jobs)

    def done(self, job: Job, value: Any) -> list[Job]:
        """Nothing follows."""
        self._note(job, value["results"], None)
        return []

    def failed(self, job: Job, failure: Failure) -> list[Job]:
        """Nothing follows; the others go on."""
        if failure.interrupted:
            self._stopped = True
            return []
        self.failures.append((job, failure))
        folder = Path(job.arguments["config"]).parent / job.arguments["task"]
        self._note(job, str(folder), _recorded(folder) or _exception(vars(failure)))
        return []

    def wanted(self, job: Job) -> bool:
        """Always."""
        return True

    def broke(self, job: Job, failure: Failure) -> None:
        """It has failed."""
        self.failures.append((job, failure))

    def _note(self, job: Job, folder: str, exception: dict[str, Any] | None) -> None:
        told = {"experiment": job.experiment, "task": job.arguments["task"]}
        self.outcomes.append({**told, "results": folder, "exception": exception})


@dataclass
class WithTasks:
    """An experiment on which tasks are launched when it is done. All before that is up to another run.

    A task that fails, or cannot be launched, makes it failed; what was trained and judged before stays.

    Attributes:
        run: trains the experiment.
        arguments: of every job; see :mod:`musket.experiment.jobs.worker`.
        tasks: their names.
    """

    run: ExperimentRun
    arguments: Mapping[str, Any]
    tasks: Sequence[str]
    _launched: TaskRun | None = None

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def layout(self) -> Layout:
        return self.run.layout

    @property
    def failures(self) -> list[tuple[Job, Failure]]:
        """Those of tasks included."""
        return [*self.run.failures, *(self._launched.failures if self._launched is not None else ())]

    @property
    def result(self) -> dict[str, Any] | None:
        return self.run.result

    @property
    def state(self) -> State:
        """That of the tasks, once there are some."""
        return self.run.state if self._launched is None else self._launched.state

    def planned(self) -> Sequence[Job]:
        """Every job but the tasks: on what they run is known in the end."""
        return self.run.planned()

    def first(self) -> list[Job]:
        """What the run begins with; the tasks, where nothing is left to train."""
        return [*self.run.first(), *self._launch()]

    def done(self, job: Job, value: Any) -> list[Job]:
        """What follows in the run; the tasks, when nothing does."""
        if job.kind == "task" and self._launched is not None:
            return self._launched.done(job, value)
        return [*self.run.done(job, value), *self._launch()]

    def failed(self, job: Job, failure: Failure) -> list[Job]:
        """What follows in the run, nothing of a task."""
        if job.kind == "task" and self._launched is not None:
            return self._launched.failed(job, failure)
        return [*self.run.failed(job, failure), *self._launch()]

    def wanted(self, job: Job) -> bool:
        """A task always."""
        return job.kind == "task" or self.run.wanted(job)

    def broke(self, job: Job, failure: Failure) -> None:
        """So has the run."""
        self.run.broke(job, failure)

    def _launch(self) -> list[Job]:
        """The jobs of the tasks, when the run has just come to its end."""
        if self._launched is not None or self.run.state != "done":
            return []
        self._launched = TaskRun(self.name, self.layout, [])
        jobs: list[Job] = []
        for task in self.tasks:
            try:
                experiment = open_experiment(self.arguments)
                jobs += task_jobs(experiment, self.name, self.arguments, {task: {}})
            except MusketError as error:
                job = Job(f"{self.name}/task {task}", "task", self.name, {**self.arguments, "task": task})
                self._launched.failed(job, Failure(type(error).__name__, str(error), words=True))
        self._launched.jobs = [replace(job, experiment=self.name) for job in jobs]  # so that they share its process
        return list(self._launched.jobs)


def _exception(failure: Mapping[str, Any]) -> dict[str, Any]:
    return {key: failure.get(key, "") for key in ("type", "value", "trace")}


def _recorded(folder: Path) -> dict[str, Any] | None:
    """The task's own error, as its folder tells it."""
    with contextlib.suppress(ArtifactError, KeyError, IndexError, TypeError):
        return _exception(records.read_yaml(folder / ERROR)["errors"][0])
    return None


def check_settings(experiment: Experiment, names: Iterable[str]) -> None:
    """See whether tasks can be called with what the config's key ``tasks`` gives them; nothing is opened or run.

    Raises:
        MusketError: no such task, an argument is missing or wrong.
    """
    known = tasks.tasks_of(experiment.project, experiment.spec.imports)
    for name in names:
        given = tasks.settings(experiment, name)
        try:
            check_arguments(tasks.find_task(known, name), given, experiment.spec.datasets)
        except MusketError as error:
            raise MusketError(f"{experiment.layout.config}: {error}") from error


def task_jobs(
    experiment: Experiment,
    name: str,
    arguments: Mapping[str, Any],
    wanted: Mapping[str, Mapping[str, Any]],
    *,
    devices: int = 1,
    resume: bool = False,
) -> list[Job]:
    """The jobs of some tasks on an experiment, seen to be possible as far as can be told without running them.

    Args:
        name: of the experiment.
        arguments: of all its jobs; see :mod:`musket.experiment.jobs.worker`.
        wanted: names of the tasks, each with arguments that go before those of the config's key ``tasks``.
        devices: GPUs of each.
        resume: leave out what was done, with the same arguments, since the experiment was evaluated.

    Raises:
        MusketError: no such task, an argument is missing or wrong, or the experiment is not trained.
    """
    known = tasks.tasks_of(experiment.project, experiment.spec.imports)
    found: list[Job] = []
    for task, arguments_of_task in wanted.items():
        function = tasks.find_task(known, task)
        given = {**tasks.settings(experiment, task), **arguments_of_task}
        check_arguments(function, given, experiment.spec.datasets)
        whole = blends_seeds(function, given)
        for place, config in places(name, experiment.layout.config, experiment.spec, whole=whole).items():
            if not whole:
                refuse_untrained(Layout(config))
            if resume and tasks.done_before(Layout(config), task, given):
                continue
            derived = config != experiment.layout.config
            own = derived_arguments(arguments, config) if derived else {**arguments, "config": str(config)}
            told = {**own, "task": task, "args": given}
            found.append(Job(f"{place}/task {task}", "task", place, told, devices=devices))
    return found
