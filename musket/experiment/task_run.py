"""The tasks of experiments as jobs: which there are, and what became of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError
from musket.core.jobs import Failure, Job
from musket.experiment import tasks
from musket.experiment.task_arguments import blends_seeds, check_arguments
from musket.experiment.task_places import places, refuse_untrained
from musket.experiment.task_results import ERROR

if TYPE_CHECKING:
    from musket.experiment.facade import Experiment
    from musket.experiment.schedule import State


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

    def _note(self, job: Job, folder: str, exception: dict[str, Any] | None) -> None:
        told = {"experiment": job.experiment, "task": job.arguments["task"]}
        self.outcomes.append({**told, "results": folder, "exception": exception})


def _exception(failure: Mapping[str, Any]) -> dict[str, Any]:
    return {key: failure.get(key, "") for key in ("type", "value", "trace")}


def _recorded(folder: Path) -> dict[str, Any] | None:
    """The task's own error, as its folder tells it."""
    with contextlib.suppress(ArtifactError, KeyError, IndexError, TypeError):
        return _exception(records.read_yaml(folder / ERROR)["errors"][0])
    return None


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
        arguments: of all its jobs; see :mod:`musket.experiment.jobs`.
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
        check_arguments(function, given)
        whole = blends_seeds(function, given)
        for place, config in places(name, experiment.layout.config, experiment.spec, whole=whole).items():
            if not whole:
                refuse_untrained(Layout(config))
            if resume and tasks.done_before(Layout(config), task, given):
                continue
            told = {**arguments, "config": str(config), "task": task, "args": given}
            found.append(Job(f"{place}/task {task}", "task", place, told, devices=devices))
    return found
