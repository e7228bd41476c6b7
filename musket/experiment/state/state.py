"""Where each experiment of a project stands: new, running, interrupted, failed, finished, stale, or refused.

Told from the files of the experiments; torch is not needed.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from musket.artifacts.layout import Layout
from musket.core.errors import ConfigError, ConfigWarning, MusketError
from musket.experiment.jobs.derived import Template
from musket.experiment.projects.project import Project, config_in, load_spec, open_project
from musket.experiment.state.changes import for_training
from musket.experiment.state.code_used import ProjectCode, read_code
from musket.experiment.state.data_state import DataState
from musket.experiment.state.lock import holder
from musket.experiment.state.run_files import RunFiles, result_of
from musket.experiment.state.run_record import file_digests
from musket.experiment.state.staleness import Affected, Today, possible, staleness

if TYPE_CHECKING:
    from musket.config.schema import ExperimentSpec, NetworkSpec

Standing = Literal["new", "running", "interrupted", "failed", "finished", "stale", "refused"]
STANDINGS: tuple[Standing, ...] = ("new", "running", "interrupted", "failed", "finished", "stale", "refused")

# What tells the runs of several seeds, or of a search, from the experiment on purpose.
_OF_SEVERAL = ("num_seeds", "random_state", "testSplitSeed", "hyperparameters")


@dataclass(frozen=True)
class State:
    """Where an experiment stands.

    Attributes:
        name: of the experiment.
        state: refused means that its config is; stale, that it is finished, and something it was made of has changed.
        reasons: why it is stale, refused or failed, or who trains it; in words.
        folds_done: folds trained to their end, over all seeds and trials.
        folds: all of them, as far as one can tell beforehand; None when one cannot.
        runs: how many runs of several seeds or of a search there are; None for an experiment that is trained once.
        result: ``{name, value}``, the figure it is judged by, None before it is finished.
        changed: when its files changed last; Unix time.
        notes: what could not be told, and why.
        affected: what of a stale one must be done again.
        trained: folds the summary covers.
        missing: folds it does not.
        overrides: ``key=value`` texts it was trained with.
    """

    name: str
    state: Standing
    reasons: tuple[str, ...] = ()
    folds_done: int = 0
    folds: int | None = None
    runs: int | None = None
    result: Mapping[str, Any] | None = None
    changed: float = 0.0
    notes: tuple[str, ...] = ()
    affected: Affected = field(default_factory=Affected)
    trained: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    overrides: tuple[str, ...] = ()


def state(project: Project, name: str, *, check_data: bool = True) -> State:
    """Where an experiment stands; see :func:`states`. Raises MusketError when there is none of that name."""
    project.config(name)
    return Survey(project.root, check_data, project).state(name)


def states(root: Path, names: Iterable[str] | None = None, *, check_data: bool = True) -> list[State]:
    """Where the experiments of a project stand, one after the other.

    Modules are imported when the first config has to be read anew, a dataset is made once for all experiments that
    share its definition.

    Args:
        root: folder of the project.
        names: default: all, sorted.
        check_data: whether to make the datasets of finished experiments, to see if they are what they were.
    """
    survey = Survey(root, check_data)
    return [survey.state(name) for name in (Project(root).experiment_names() if names is None else names)]


def stale_options(project: Project, *, check_data: bool = True) -> dict[str, dict[str, Any]]:
    """The experiments that are not finished, or not any more, and how to train what of each is affected.

    Those that are being trained are left out.

    Returns:
        name -> what differs from the usual :class:`musket.experiment.unit.FitOptions`; ``only_evaluate`` stands for
        no training at all, ``overrides`` are those the experiment was trained with.
    """
    survey = Survey(project.root, check_data, project)
    found = [survey.state(name) for name in project.experiment_names()]
    return {one.name: options(one) for one in found if one.state not in ("finished", "running")}


def options(state: State) -> dict[str, Any]:
    """How to train what of an experiment is affected; see :func:`stale_options`."""
    if state.state != "stale":
        return {}
    affected = state.affected
    some = {"folds": list(state.trained)} if len(state.trained) < (state.folds or 0) and state.runs is None else {}
    found: dict[str, Any] = {
        "evaluation": {"only_evaluate": True},
        "epochs": {"resume": True, **some},
        "stages": {"resume": False, "rerun": True, "first_stage": affected.first_stage, **some},
    }.get(affected.what, {"resume": False, "rerun": True, "new_splits": affected.new_splits, **some})
    return found | ({"overrides": list(state.overrides)} if state.overrides else {})


@dataclass
class Survey:
    """What is looked up once for all experiments of a project."""

    root: Path
    check_data: bool = True
    _project: Project | None = None
    _broken: MusketError | None = None
    _code: ProjectCode | None = None
    _data: DataState = field(default_factory=DataState)

    def state(self, name: str) -> State:
        """Where an experiment stands; what is wrong with one is told, never raised."""
        layout = Layout(config_in(Project(self.root).experiments / name))
        files, held = RunFiles(layout), holder(layout)
        running = f"by {held}" if held is not None else ""
        stored, notes = files.stored, (files.unreadable,) if files.unreadable else ()
        try:
            spec, config = self._config(layout, stored)
        except (MusketError, OSError) as error:
            standing: Standing = "running" if running else "refused"
            result = result_of(files.summary, {})
            return State(name, standing, (running or _first(error),), result=result, changed=files.changed)
        several = bool(config.get("num_seeds") or config.get("hyperparameters"))
        runs = files.runs() if several else [files]
        each = int((stored or {}).get("folds") or config["folds_count"])
        found = State(
            name,
            "interrupted" if any(run.begun for run in (files, *runs)) else "new",
            files.failures,
            folds_done=sum(run.folds_done(config, each) for run in runs),
            folds=None if config.get("hyperparameters") else each * (config.get("num_seeds") or 1),
            runs=len(runs) if several else None,
            result=result_of(files.summary, config),
            changed=max(run.changed for run in (files, *runs)),
            notes=notes,
            overrides=tuple((stored or {}).get("overrides") or ()) if files.begun or several else (),
        )
        if running:
            return replace(found, state="running", reasons=(running,))
        if files.failures:
            return replace(found, state="failed")
        if not isinstance(files.summary, dict):
            return found
        trained = tuple(files.summary.get("folds") or ())
        missing = tuple(fold for fold in range(each) if fold not in trained) if trained else ()
        found = replace(found, state="finished", trained=trained, missing=missing)
        first = next((run.stored for run in runs if run.stored is not None), None)
        basis = first if stored is None else {**(first or {}), **stored}  # that of several runs tells no data
        if basis is None:  # trained with the former framework, or the record was deleted
            return found
        found = replace(found, overrides=tuple(basis.get("overrides") or ()))
        today, unknown = self._today(layout, basis, spec, config)
        by_design = self._by_design(layout, stored, config)
        found = replace(found, notes=(*notes, *unknown))
        now = staleness(basis, today, by_design)
        if not now.reasons:
            return found
        stages = len(config["stages"])
        affected = now.affected if several else possible(now.affected, layout, found.trained, stages)
        return replace(found, state="stale", reasons=now.reasons, affected=affected)

    def _config(
        self, layout: Layout, stored: Mapping[str, Any] | None
    ) -> tuple[ExperimentSpec | None, Mapping[str, Any]]:
        """The config of today; its spec, too, where it had to be read anew."""
        if stored is not None and stored.get("files") == file_digests(layout.config, Project(self.root).common):
            return None, stored["config"]
        spec = self._spec(layout, stored)
        return spec, spec.dump()

    def _by_design(
        self, layout: Layout, stored: Mapping[str, Any] | None, config: Mapping[str, Any]
    ) -> tuple[str, ...]:
        """Keys that differ between an experiment and its runs; of a search that was edited, all that it decides."""
        told = {} if stored is None else stored["config"]
        several = _OF_SEVERAL if stored is None else ()
        if (told.get("hyperparameters") or {}) == (config.get("hyperparameters") or {}):
            return several
        overrides = (stored or {}).get("overrides")
        template = Template.of({"config": layout.config, "project": self.root, "overrides": overrides})
        return (*several, *template.searched())

    def _spec(self, layout: Layout, stored: Mapping[str, Any] | None) -> ExperimentSpec:
        overrides = list((stored or {}).get("overrides") or ())
        with _quiet():
            return load_spec(layout.config, project=self._opened(), overrides=overrides)

    def _opened(self) -> Project:
        """The project, its modules imported: once, even if one of them fails."""
        if self._broken is not None:
            raise self._broken
        if self._project is None:
            try:
                self._project = open_project(self.root)
            except MusketError as error:
                self._broken = error
                raise
        return self._project

    def _today(
        self, layout: Layout, stored: Mapping[str, Any], spec: ExperimentSpec | None, config: Mapping[str, Any]
    ) -> tuple[Today, list[str]]:
        """What the experiment would be trained with now, and what of it could not be told."""
        if self._code is None:
            self._code = read_code(self.root)
        code = self._code.used(config)
        training = frozenset(
            name for each in (config, stored["config"]) for name in self._code.used(for_training(each))
        )
        data: Sequence[str] = ()
        notes: list[str] = []
        if self.check_data and stored.get("data") and config.get("dataset"):
            try:
                with _quiet():
                    data = self._data.changes(
                        config,
                        layout,
                        stored,
                        self._opened,
                        lambda: cast("NetworkSpec", spec or self._spec(layout, stored)),
                    )
            except Exception as error:  # noqa: BLE001 (code of users; a dataset that fails must not end a listing)
                said = _first(error)
                notes.append(f"data not checked: {said}")
        return Today(config, code, training, data), notes


def _first(error: Exception) -> str:
    """The first thing an error tells, on one line."""
    if isinstance(error, ConfigError):
        problem = error.problems[0]
        return " ".join(filter(None, (problem.where, problem.key, problem.message)))
    said = str(error) if isinstance(error, MusketError) else f"{type(error).__name__}: {error}"
    return said.partition("\n")[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Whoever trains an experiment is warned about its config and data; whoever lists many is not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfigWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield
