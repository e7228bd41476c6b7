"""A search of hyperparameters: trials of an experiment with other values each, and the best of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from musket.artifacts import records
from musket.artifacts.files import write_atomic
from musket.artifacts.layout import Layout
from musket.config.schema import ExperimentSpec
from musket.config.search_checks import result_mode, space_of
from musket.config.search_space import KEY, Choice, Parameter, SearchSpace, read_space, said
from musket.core.errors import ConfigChanged, ConfigError, TrainingError
from musket.core.jobs import Failure, Job
from musket.experiment.jobs import earlier_search
from musket.experiment.jobs.derived import Template, derived_arguments
from musket.experiment.jobs.schedule import ExperimentRun, State, project_of, record_failures
from musket.experiment.jobs.seeds import MakeRun, SeededRun, begin_several
from musket.experiment.jobs.study import Ended, Study, Trial, require_optuna
from musket.experiment.jobs.worker import open_experiment
from musket.experiment.leftovers import forget_states
from musket.experiment.state.changes import config_changes
from musket.experiment.state.run_record import record_several
from musket.metrics.catalogue import direction

GIVE_UP_AFTER = 10
"""A search ends when its first trials all fail, this many."""


@dataclass
class _Live:
    """A trial that is under way.

    Attributes:
        bests: best value of the primary metric of the folds that are trained.
        training: folds known, but not trained yet.
    """

    trial: Trial
    run: ExperimentRun
    bests: list[float] = field(default_factory=list)
    training: int = 0


@dataclass
class SearchRun:
    """An experiment with ``hyperparameters``: a run per trial, each in a folder ``trialN`` with a config of its own.

    Trials are proposed by a study, which lies in the experiment's folder and by which the search goes on. The score of
    a trial is what an experiment is judged by. After each fold the mean of the folds' best primary metrics decides
    whether the trial is worth its other folds. When no more are to come, summary.yaml names the best one.

    Attributes:
        arguments: of every job of the experiment; see :func:`musket.experiment.jobs.schedule.job_arguments`.
        spec: the checked config, with examples of the hyperparameters in their places.
        plain: makes the run of one experiment.
        at_once: trials that may be under way at the same time.
        only_evaluate: try nothing; tell the best of what was tried.
        failures: why the search failed; a trial that fails is no failure of the search.
        result: ``{name, value}`` of the best trial.

    Raises:
        MusketError: Optuna is not installed.
    """

    name: str
    layout: Layout
    arguments: Mapping[str, Any]
    spec: ExperimentSpec
    plain: MakeRun
    at_once: int = 1
    only_evaluate: bool = False
    failures: list[tuple[Job, Failure]] = field(default_factory=list)
    result: dict[str, Any] | None = None
    _live: dict[str, _Live] = field(default_factory=dict)
    _ended_as: Counter[str] = field(default_factory=Counter)
    _begun: bool = False
    _stopped: bool = False
    _finished: bool = False

    def __post_init__(self) -> None:
        require_optuna()

    @property
    def state(self) -> State:
        """Failed when no trial got a score, done when the best one is told."""
        if self.failures:
            return "failed"
        return "done" if self._finished else "stopped" if self._stopped else "waiting"

    def planned(self) -> list[Job]:
        """Every job of every trial, with none pruned."""
        numbers = range(self.spec.max_evals)
        return self._own(job for number in numbers for job in self._run(number, self.spec, resume=False).planned())

    def first(self) -> list[Job]:
        """Open the study, or go on with the one that is there; what can begin at once.

        What an earlier search left is set aside until the first preparation is done; whoever runs the jobs calls
        :func:`musket.experiment.jobs.earlier_search.restore` when they are over.

        Raises:
            ConfigChanged: the config is another one than that of the study.
            MusketError: a folder of a trial is none of ours.
        """
        self._template = Template.of(self.arguments)
        earlier_search.restore(self.layout)  # of a start that was killed
        if not (self.only_evaluate or self._options.get("resume")):
            earlier_search.set_aside(self.layout)
        space, mode = space_of(self.spec), result_mode(self.spec, direction) or "max"
        self._study = Study(self.layout.study, space, mode, self.spec.random_state, self.spec.max_evals)
        if self.only_evaluate:
            return self._finish()
        self._keep_config(space)
        jobs: list[Job] = []
        for trial in self._study.trials:
            if trial.state == "running":
                jobs += self._start(trial, resume=True)
        return self._own([*jobs, *self._more()])

    def done(self, job: Job, value: Any) -> list[Job]:
        """What follows for the trial, and the next trial when this one has ended."""
        if job.kind == "prepare" and not self._begun:  # data and config are good: what was there before may go
            self._begun = True
            earlier_search.forget(self.layout)
            begin_several(self.layout)
        live = self._live_of(job)
        if live is None:
            return []
        jobs = list(live.run.done(job, value))
        live.training += sum(each.kind == "train" for each in jobs)
        if job.kind == "train":
            live.training -= 1
            if self._is_hopeless(live, value["best"]):
                return self._own(self._ended(live, "pruned"))
        return self._own([*jobs, *self._scored(live)])

    def failed(self, job: Job, failure: Failure) -> list[Job]:
        """A trial that failed is noted, and the search goes on with the next."""
        live = self._live_of(job)
        if live is None:
            return []
        jobs = self._own(live.run.failed(job, failure))
        self._stopped |= failure.interrupted
        if live.run.state != "failed":
            return jobs
        return self._own(self._ended(live, "failed", note=f"{failure.type}: {failure.value}"))

    def wanted(self, job: Job) -> bool:
        """Not when the trial was pruned, or failed."""
        live = self._live_of(job)
        return live is not None and live.run.wanted(job)

    def broke(self, job: Job, failure: Failure) -> None:
        """It has failed."""
        self.failures.append((job, failure))

    # ---------------------------------------------------------------------------------------------------- trials

    @property
    def _options(self) -> Mapping[str, Any]:
        return self.arguments.get("options") or {}

    def _own(self, jobs: Iterable[Job]) -> list[Job]:
        """Jobs of trials as jobs of this experiment, so that they share a process."""
        return [replace(job, experiment=self.name) for job in jobs]

    def _live_of(self, job: Job) -> _Live | None:
        """The trial a job belongs to; None when it has ended."""
        return next((live for name, live in self._live.items() if job.key.startswith(f"{name}/")), None)

    def _run(self, number: int, spec: ExperimentSpec, *, resume: bool) -> ExperimentRun:
        layout = self.layout.trial(number)
        arguments = derived_arguments(self.arguments, layout.config, resume=resume, rerun=True)
        name = f"{self.name}/trial{number}"
        if spec.num_seeds is not None:
            return SeededRun(name, layout, arguments, spec, self.plain)
        return self.plain(name, layout, arguments, spec)

    def _more(self) -> list[Job]:
        """Begin as many trials as there may be; end the search when there is none, and none under way."""
        jobs: list[Job] = []
        while not self._stopped and len(self._live) < self.at_once and not self._gives_up():
            trial = self._study.propose()
            if trial is None:
                break
            if trial.state == "running":
                jobs += self._start(trial, resume=False)
        if not (self._live or self._stopped or self._finished or self.failures):
            jobs += self._finish()
        return jobs

    def _gives_up(self) -> bool:
        return self._ended_as["failed"] >= GIVE_UP_AFTER and set(self._ended_as) == {"failed"}

    def _start(self, trial: Trial, *, resume: bool) -> list[Job]:
        layout = self.layout.trial(trial.number)
        values = said(trial.parameters, trial.parameters)
        remark = f"trial {trial.number} of ../{self.layout.config.name}: {values}".replace("\n", " ")
        try:
            write_atomic(layout.config, self._template.text(self._template.concrete(trial.parameters), remark))
            spec = open_experiment(derived_arguments(self.arguments, layout.config)).spec
        except ConfigError as error:
            self._close(trial, "failed", note=str(error))
            return []
        run = self._run(trial.number, spec, resume=resume)
        live = self._live[run.name] = _Live(trial, run)
        return list(run.first()) or self._scored(live)

    def _is_hopeless(self, live: _Live, best: float | None) -> bool:
        """Whether a trial, another fold of which is trained, should be pruned before the rest."""
        if best is None or not math.isfinite(best):
            return False
        live.bests.append(best)
        primary = self.spec.model_copy(update={"experiment_result": None})
        agree = result_mode(primary, direction) == result_mode(self.spec, direction)
        mean = math.fsum(live.bests) / len(live.bests)
        pruned = self._study.report(live.trial.number, len(live.bests), mean if agree else -mean)
        return pruned and live.training > 0

    def _scored(self, live: _Live) -> list[Job]:
        """End a trial that has been judged."""
        if live.run.state != "done":
            return []
        value = (live.run.result or {}).get("value")
        if value is None or not math.isfinite(value):
            return self._ended(live, "failed", note="the summary has no figure to judge it by")
        return self._ended(live, "complete", float(value))

    def _ended(self, live: _Live, state: Ended, score: float | None = None, note: str = "") -> list[Job]:
        del self._live[live.run.name]
        self._close(live.trial, state, score, note)
        if state == "pruned":
            live.run.layout.in_progress.unlink(missing_ok=True)
        forget_states(live.run.layout.folder)  # by far the largest files, of trials by the hundred
        return self._more()

    def _close(self, trial: Trial, state: Ended, score: float | None = None, note: str = "") -> None:
        self._study.close(trial.number, state, score, note)
        self._ended_as[state] += 1
        self._note_scores()

    # --------------------------------------------------------------------------------------------------- results

    def _note_scores(self) -> None:
        ended = [trial for trial in self._study.trials if trial.state != "running"]
        records.write_yaml(self.layout.scores, [scores_entry(trial) for trial in ended])

    def _keep_config(self, space: SearchSpace) -> None:
        """Store the config in the study. One that is there must be the same, or the change be accepted."""
        current, stored = self._template.without("max_evals"), self._study.config
        if stored:
            known = read_space(stored[KEY])[0]
            changes = config_changes(stored, current, may_grow=False)
            if changes and not _same_kinds(known, space):
                raise TrainingError(
                    f"{changes[-1]}. This change cannot be accepted: the trials there have other hyperparameters. Undo "
                    "the edit, or start afresh"
                )
            if changes and not self._options.get("accept_changes"):
                raise ConfigChanged(changes)
        self._study.config = current

    def _finish(self) -> list[Job]:
        """Tell the best trial. Nothing follows."""
        self._note_scores()
        best, trials = self._study.best, self._study.trials
        if best is None or self._gives_up():
            failed = [trial for trial in trials if trial.state == "failed"]
            why = f"; trial {failed[-1].number}: {failed[-1].note}" if failed else ""
            words = f"none of {len(trials)} trials was trained to its end{why}"
            if best is not None:  # of a search that was gone on with
                words = (
                    f"the first {self._ended_as['failed']} trials since it went on all failed{why}\n"
                    f"The best before is trial {best.number} ({best.score:.6g}); --only_report writes its summary anew"
                )
            job = Job(f"{self.name}/search", "evaluate" if self._begun else "prepare", self.name)
            self.failures.append((job, Failure("TrainingError", words, words=True)))
            record_failures(self.layout, self.failures)
            return []
        layout = self.layout.trial(best.number)
        judged = records.read_yaml(layout.summary) if layout.summary.exists() else {}
        summary = search_summary(self.layout.config.name, trials, best, judged)
        self.result = summary["experiment_result"]
        records.write_yaml(self.layout.best_parameters, best.parameters)
        records.write_yaml(self.layout.summary, summary)
        record_several(self.spec, self.layout, project_of(self.arguments))
        for path in (self.layout.in_progress, self.layout.error):
            path.unlink(missing_ok=True)
        self._finished = True
        return []


def _same_kinds(known: SearchSpace, current: SearchSpace) -> bool:
    """Whether two spaces differ in the ends of ranges at most."""

    def kind(parameter: Parameter) -> object:
        return parameter if isinstance(parameter, Choice) else (parameter.is_whole, parameter.log)

    return {name: kind(each) for name, each in known.items()} == {name: kind(each) for name, each in current.items()}


def scores_entry(trial: Trial) -> dict[str, Any]:
    """A trial as hyperopt.scores lists it; of one without score also its state, and why it failed."""
    entry: dict[str, Any] = {"num": trial.number, "score": trial.score, "parameters": trial.parameters}
    if trial.state != "complete":
        entry["state"] = trial.state
    return entry | ({"note": trial.note} if trial.note else {})


def search_summary(config: str, trials: Sequence[Trial], best: Trial, judged: Mapping[str, Any]) -> dict[str, Any]:
    """What summary.yaml of a search holds: the best trial, and how all of them did.

    Args:
        config: name of the file.
        judged: summary of the best trial, whose figures become those of the experiment.
    """
    figure = (judged.get("experiment_result") or {}).get("name", "")
    return {
        "completed": True,
        "cfgName": config,
        "folds": list(judged.get("folds") or ()),
        "best": {"trial": best.number, "score": best.score, "parameters": best.parameters},
        "scores": records.statistics(trial.score for trial in trials if trial.score is not None),
        "trials": dict(Counter(trial.state for trial in trials)),
        "experiment_result": {"name": figure, "value": best.score},
        "allStages": dict(judged.get("allStages") or {}),
    }
