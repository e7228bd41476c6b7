"""An experiment trained several times, each time with other seeds: the key ``num_seeds``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from musket.artifacts import records
from musket.artifacts.files import write_atomic
from musket.artifacts.layout import Layout
from musket.config.read import read
from musket.config.schema import ExperimentSpec
from musket.config.tree import plain
from musket.core.errors import ArtifactError
from musket.core.jobs import Failure, Job
from musket.core.runtime import derive_seed
from musket.experiment.jobs.derived import Template, derived_arguments, same_but
from musket.experiment.jobs.schedule import ExperimentRun, State, project_of, record_failures
from musket.experiment.state.changes import config_changes, evaluation_changes
from musket.experiment.state.run_record import edited_code, record_several, stored_run

if TYPE_CHECKING:
    from musket.experiment.projects.project import Project

Run = TypeVar("Run")
MakeRun = Callable[[str, Layout, Mapping[str, Any], ExperimentSpec], ExperimentRun]

SEEDS = ("testSplitSeed", "random_state")
_SPLIT_SEEDS = 100_001  # 0 to 100000


@dataclass
class SeededRun:
    """An experiment with ``num_seeds``: one run per seed, each in a folder named by its number.

    Seeds differ in ``testSplitSeed`` and ``random_state``, derived from those of the config, so that the same config
    gives the same seeds; what an earlier config of a seed says of the two stays. When all are evaluated, summary.yaml
    of the experiment holds statistics over them.

    Attributes:
        arguments: of every job of the experiment; see :func:`musket.experiment.jobs.schedule.job_arguments`.
        plain: makes the run of one seed.
        failures: jobs that failed, of all seeds.
        result: ``{name, value}``, the mean over the seeds, and their ``max``, ``min`` and ``std``.
    """

    name: str
    layout: Layout
    arguments: Mapping[str, Any]
    spec: ExperimentSpec
    plain: MakeRun
    only_evaluate: bool = False
    failures: list[tuple[Job, Failure]] = field(default_factory=list)
    result: dict[str, Any] | None = None
    _seeds: dict[str, ExperimentRun] = field(default_factory=dict)
    _evaluated: set[str] = field(default_factory=set)
    _begun: bool = False
    _summarized: bool = False

    def __post_init__(self) -> None:
        for number in range(self.spec.num_seeds or 1):
            name, layout = f"{self.name}/{number}", self.layout.seed(number)
            spec = self.spec.model_copy(update={"num_seeds": None})
            spec._source = layout.config
            # whether it is finished is told of the experiment as a whole
            arguments = derived_arguments(self.arguments, layout.config, rerun=True)
            self._seeds[name] = self.plain(name, layout, arguments, spec)

    @property
    def state(self) -> State:
        """Failed as soon as one seed is, done when the summary of all is written."""
        if self.failures:
            return "failed"
        stopped = any(seed.state == "stopped" for seed in self._seeds.values())
        return "done" if self._summarized else "stopped" if stopped else "waiting"

    def planned(self) -> list[Job]:
        """Every job of every seed."""
        return self._own(job for seed in self._seeds.values() for job in seed.planned())

    def handed_over(self) -> list[Job]:
        """Every job, for an engine that cannot ask what follows; writes the configs of the seeds.

        The last one evaluates the experiment itself: the worker sums up its seeds then.
        """
        self._write_configs()
        jobs = self.planned()
        evaluated = tuple(job.key for job in jobs if job.kind == "evaluate")
        return [*jobs, Job(f"{self.name}/evaluate", "evaluate", self.name, self.arguments, evaluated)]

    def first(self) -> list[Job]:
        """Write the configs of the seeds; what can begin at once, of those that are not finished."""
        self._write_configs()
        jobs: list[Job] = []
        resume = self._options.get("resume") and not self.only_evaluate
        for name, seed in self._seeds.items():
            if resume and is_up_to_date(seed.layout, self.spec, project_of(self.arguments), self._options):
                self._evaluated.add(name)
            else:
                jobs += seed.first()
        if not jobs:
            self._summarize()
        return self._own(jobs)

    def done(self, job: Job, value: Any) -> list[Job]:
        """What follows for the seed; when it was the last one to be evaluated, the summary is written."""
        if job.kind == "prepare" and not self._begun:  # data and config are good: what was there before may go
            self._begun = True
            begin_several(self.layout)
        seed = run_owning(job, self._seeds)
        jobs = self._own(seed.done(job, value))
        if job.kind == "evaluate":
            self._evaluated.add(seed.name)
            if self._evaluated == self._seeds.keys():
                self._summarize()
        return jobs

    def failed(self, job: Job, failure: Failure) -> list[Job]:
        """The other seeds go on; there will be no summary of all."""
        jobs = self._own(run_owning(job, self._seeds).failed(job, failure))
        self.failures = [each for seed in self._seeds.values() for each in seed.failures]
        record_failures(self.layout, self.failures)
        return jobs

    def wanted(self, job: Job) -> bool:
        """As the seed says."""
        return run_owning(job, self._seeds).wanted(job)

    def broke(self, job: Job, failure: Failure) -> None:
        """It has failed."""
        self.failures.append((job, failure))

    def _own(self, jobs: Iterable[Job]) -> list[Job]:
        """Jobs of seeds as jobs of this experiment, so that they share a process."""
        return [replace(job, experiment=self.name) for job in jobs]

    @property
    def _options(self) -> Mapping[str, Any]:
        return self.arguments.get("options") or {}

    def _write_configs(self) -> None:
        template = Template.of(self.arguments)
        for number, seed in enumerate(self._seeds.values()):
            write_seed(template, self.spec, seed.layout, number)

    def _summarize(self) -> None:
        self.result = sum_up(self.spec, self.layout, project_of(self.arguments))["experiment_result"]
        self._summarized = True


def sum_up(spec: ExperimentSpec, layout: Layout, project: Project | None) -> dict[str, Any]:
    """Write and return the summary of an experiment whose seeds are all evaluated.

    Raises:
        ArtifactError: a seed has no summary.
    """
    summaries = {number: _summary(layout.seed(number)) for number in range(spec.num_seeds or 1)}
    summary = summary_over_seeds(layout.config.name, summaries)
    records.write_yaml(layout.summary, summary)
    record_several(spec, layout, project)
    for path in (layout.in_progress, layout.error):
        path.unlink(missing_ok=True)
    return summary


def begin_several(layout: Layout) -> None:
    """An experiment of several runs is in progress: what was told of it before holds no more."""
    for path in (layout.summary, layout.error):
        path.unlink(missing_ok=True)
    records.write_yaml(layout.in_progress, True)


def run_owning(job: Job, runs: Mapping[str, Run]) -> Run:
    """The one of several runs, by name, that a job belongs to."""
    return next(run for name, run in runs.items() if job.key.startswith(f"{name}/"))


def seeds_of(spec: ExperimentSpec, number: int) -> dict[str, int]:
    """What differs between the seeds of an experiment: the same for the same config, another for every number."""
    return {
        "testSplitSeed": derive_seed("testSplitSeed", spec.testSplitSeed, spec.random_state, number) % _SPLIT_SEEDS,
        "random_state": derive_seed("random_state", spec.random_state, number) % 2**32,
    }


def write_seed(template: Template, spec: ExperimentSpec, layout: Layout, number: int) -> None:
    """Write the config of one seed. One that is there and says the same, whatever its seeds, stays as it is.

    Raises:
        ConfigError: the one that is there cannot be read.
    """
    data = template.without("num_seeds")
    seeds = seeds_of(spec, number)
    if layout.config.exists():
        there = plain(read(layout.config).root)
        if same_but(there, data, SEEDS):
            return
        seeds |= {key: there[key] for key in SEEDS if key in there}
    remark = f"seed {number} of ../{template.document.source.rpartition('/')[2]}; edit that one"
    write_atomic(layout.config, template.text(data | seeds, remark))


def is_up_to_date(
    layout: Layout, spec: ExperimentSpec, project: Project | None, options: Mapping[str, Any] | None = None
) -> bool:
    """Whether a seed was trained and judged by this config and today's code, all folds that are asked for."""
    stored = stored_run(layout)
    if stored is None or not layout.summary.exists():
        return False
    summary, config = records.read_yaml(layout.summary), spec.dump()
    changes = config_changes(stored["config"], config, may_grow=False) + evaluation_changes(stored["config"], config)
    if not isinstance(summary, dict) or any(change.key not in (*SEEDS, "num_seeds") for change in changes):
        return False
    folds = (options or {}).get("folds")
    wanted = range(stored.get("folds", 0)) if folds is None else folds
    return set(wanted) <= set(summary.get("folds") or ()) and not edited_code(stored, config, project)


def summary_over_seeds(config: str, summaries: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """What summary.yaml of an experiment holds: mean, max, min and std over its seeds of everything they have.

    Of a figure that a seed has for several folds their mean counts. ``seeds`` has what each is judged by.

    Args:
        config: name of the file.
        summaries: what the seeds were judged to be, by number.
    """
    blocks = [summary.get("allStages") or {} for summary in summaries.values()]
    judged = {number: summary.get("experiment_result") or {} for number, summary in summaries.items()}
    names = {result.get("name") for result in judged.values()}
    over = None if None in names or len(names) > 1 else records.statistics(each["value"] for each in judged.values())
    return {
        "completed": True,
        "cfgName": config,
        "folds": sorted({fold for summary in summaries.values() for fold in summary.get("folds") or ()}),
        "seeds": {number: result.get("value") for number, result in judged.items()},
        "experiment_result": None if over is None else {"name": names.pop(), "value": over["mean"], **over},
        "allStages": {
            name: records.statistics(_mean(block[name]) for block in blocks)
            for name in blocks[0]
            if all(_mean(block.get(name)) is not None for block in blocks)
        },
    }


def _mean(figure: Any) -> Any:
    """The figure of a seed: a number, or the mean of several; None where it is neither."""
    value = figure.get("mean") if isinstance(figure, Mapping) else figure
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _summary(layout: Layout) -> dict[str, Any]:
    summary = records.read_yaml(layout.summary)
    if not isinstance(summary, dict):
        raise ArtifactError("this is no summary of an experiment; delete it and train again", layout.summary)
    return summary
