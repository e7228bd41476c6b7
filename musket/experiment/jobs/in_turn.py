"""Jobs one after the other in this process: how ``fit`` of Python trains seeds and searches hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from musket.artifacts import records
from musket.core.errors import AlreadyFinished, TrainingError
from musket.core.jobs import Failure, Job, Jobs, Progress, Workplace
from musket.experiment.jobs.schedule import ExperimentRun, PlainRun, job_arguments
from musket.experiment.jobs.worker import Worker

if TYPE_CHECKING:
    from rich.console import Console

    from musket.experiment.facade import Experiment
    from musket.experiment.unit import FitOptions


class Here:
    """A workplace that shows what happens on the console of this process."""

    def __init__(self, console: Console):
        self.console = console

    def line(self, text: str) -> None:
        """Print it."""
        self.console.print(text, highlight=False, markup=False)

    def progress(self, progress: Progress) -> None:
        """Nothing: training draws its own bar here."""

    def stopping(self) -> str | None:
        """Never: Ctrl-C ends the training at once."""
        return None


class WorkerOn(Worker):
    """A worker for experiments that have the dataset and the holdout of another one, given in Python."""

    def __init__(self, dataset: Any, holdout: Sequence[int] | None):
        super().__init__()
        self._given = dataset, holdout

    def _open(self, job: Job) -> Experiment:
        experiment = super()._open(job)
        dataset, holdout = self._given
        if dataset is not None:
            experiment._dataset = dataset
        if holdout is not None and experiment._holdout is None:
            experiment.setHoldout(holdout)
        return experiment


def fit_several(experiment: Experiment, dataset: Any, options: FitOptions, console: Console) -> dict[str, Any]:
    """Train every seed of an experiment, or search its hyperparameters, in this process.

    Args:
        dataset: in place of the config's.

    Returns:
        what was written to summary.yaml.

    Raises:
        AlreadyFinished: summary.yaml exists, and neither rerun nor resume is asked for.
        MusketError: what went wrong, in words; what does not depend on it was done.
    """
    from musket.experiment.jobs.earlier_search import restore
    from musket.experiment.state.lock import locked

    layout = experiment.layout
    if layout.summary.exists() and not (options.rerun or options.resume):
        raise AlreadyFinished(f"{layout.folder} is already finished (summary.yaml exists). Delete it to train again")
    run = _run_of(experiment, options)
    worker = WorkerOn(experiment.get_dataset(dataset) if isinstance(dataset, str) else dataset, experiment._holdout)
    with locked(layout):
        try:
            errors = do_in_turn(run, worker, Here(console))
        finally:
            restore(layout)  # there is something where no trial could begin
    if run.failures:
        _, failure = run.failures[0]
        raise next((error for error in errors if str(error) == failure.value), TrainingError(failure.value))
    if run.result is not None:
        console.print(f"{run.result['name']} {run.result['value']:.4f}; results in {layout.folder}", highlight=False)
    return records.read_yaml(layout.summary)


def _run_of(experiment: Experiment, options: FitOptions) -> ExperimentRun:
    from musket.experiment.jobs.search import SearchRun
    from musket.experiment.jobs.seeds import SeededRun

    spec, project = experiment.spec, experiment.project
    written = spec.gpus > 1 or spec.place("gpus").line > 0  # it may have been set on the object
    arguments = job_arguments(
        experiment.layout.config,
        None if project is None else project.root,
        dialect=spec.dialect,
        overrides=[*spec.overrides, *([f"gpus={spec.gpus}"] if written else [])],
        options=vars(options),
    )
    name = experiment.layout.folder.name
    kind = SearchRun if spec.hyperparameters else SeededRun
    return kind(name, experiment.layout, arguments, spec, PlainRun)


def do_in_turn(jobs: Jobs, worker: Worker, workplace: Workplace) -> list[Exception]:
    """Do all jobs, each as soon as those it needs are done, in the order they became known.

    Returns:
        what jobs failed of; the others were done, less those that need a failed one.
    """
    errors: list[Exception] = []
    waiting = {job.key: job for job in jobs.first()}
    done: set[str] = set()
    while ready := next((job for job in waiting.values() if done.issuperset(job.after)), None):
        job = waiting.pop(ready.key)
        new: Sequence[Job] = ()
        if not jobs.wanted(job):
            done.add(job.key)
            continue
        try:
            value = worker.perform(job, workplace)
        except Exception as error:  # noqa: BLE001 (whatever it is, other jobs do not depend on it)
            errors.append(error)
            new = jobs.failed(job, Failure.of(error))
        else:
            done.add(job.key)
            new = jobs.done(job, value)
        waiting |= {each.key: each for each in new}
    return errors
