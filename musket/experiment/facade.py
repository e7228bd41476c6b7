"""The experiment as users hold it: parse a config, fit, look at results, predict."""

from __future__ import annotations

import contextlib
import itertools
import math
import warnings
from collections.abc import Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError, ConfigWarning, MusketError
from musket.core.process_group import refuse_in_main_import
from musket.core.runtime import make_fabric, silence_telemetry
from musket.experiment.facade_data import Supplying
from musket.experiment.facade_evaluation import Evaluating
from musket.experiment.facade_prediction import Predicting
from musket.experiment.facade_preview import Previewing

if TYPE_CHECKING:
    from musket.config.schema import ExperimentSpec
    from musket.experiment.network import Compiled
    from musket.experiment.prepare_data import PreparedData
    from musket.experiment.projects.project import Project
    from musket.experiment.unit import FitContext, FitOptions
    from musket.training.lr_finder import LRFinder


class Experiment(Supplying, Previewing, Predicting, Evaluating):
    """One experiment: its checked config and the folder its results lie in.

    Attributes:
        spec: the checked config, frozen.
        layout: where its files are.
        project: the project it belongs to, if any.
    """

    def __init__(self, spec: ExperimentSpec, project: Project | None = None):
        from musket.config.schema import AVAILABLE_DIALECTS, NetworkSpec

        if not isinstance(spec, NetworkSpec) or spec.dialect not in AVAILABLE_DIALECTS:
            raise MusketError(f"{spec.source}: not available yet: {spec.dialect} experiments")
        self.spec = spec
        self.project = project
        self.layout = Layout(spec.source.absolute())  # user code may change the working directory
        self.resume = False
        self.accept_changes = False
        self._dataset: Any = None
        self._prepared: PreparedData | None = None
        self._holdout: list[int] | None = None

    @classmethod
    def from_spec(cls, spec: ExperimentSpec, project: Project | None = None) -> Experiment:
        return cls(spec, project)

    def __repr__(self) -> str:
        return f"Experiment({str(self.spec.source)!r})"

    # ------------------------------------------------------------------------------------------------- training

    def setAllowResume(self, resume: bool, accept_changes: bool = False) -> None:
        """Let :meth:`fit` go on where an interrupted run stopped.

        Args:
            accept_changes: go on even though the config was edited in a way that makes it another run.
        """
        self.resume = resume
        self.accept_changes = accept_changes

    def fit(
        self,
        dataset: Any = None,
        subsample: float = 1.0,
        foldsToExecute: Sequence[int] | int | None = None,
        start_from_stage: int = 0,
        rerun: bool = False,
    ) -> dict[str, Any]:
        """Train all folds through all stages, then write and return the summary.

        A config with ``num_seeds`` is trained with each seed, one with ``hyperparameters`` is searched for the best.

        Args:
            dataset: anything with ``__len__`` and ``__getitem__`` giving PredictionItems; default: the config's own.
            subsample: share of the training items each epoch sees, above 0 up to 1.
            foldsToExecute: only these folds, or only this one.
            start_from_stage: skip the stages before it and start from their best weights.
            rerun: train a finished experiment again; its summary goes once data and config have been found good.

        Returns:
            what was written to summary.yaml.

        Raises:
            AlreadyFinished: summary.yaml exists, and rerun is not asked for.
            TrainingError: somebody else trains it now.
            MusketError: bad config, bad data, NaN loss, full disk ... in words.
        """
        from musket.experiment import run
        from musket.experiment.pictures import drawer
        from musket.experiment.plan import fold_numbers
        from musket.experiment.state.lock import locked
        from musket.experiment.summary import check
        from musket.experiment.unit import FitOptions
        from musket.report.tables import summary_table
        from musket.training.display import logged_to

        refuse_in_main_import()
        subsample = _share(subsample)
        folds = fold_numbers(foldsToExecute)
        options = FitOptions(self.resume, self.accept_changes, folds, start_from_stage, subsample, rerun)
        self._refuse_unavailable()
        self._prepared = None  # the dataset may have grown since it was last looked at
        console = _console(quiet=not self.spec.verbose)
        if self.spec.num_seeds is not None or self.spec.hyperparameters:
            from musket.experiment.jobs.in_turn import fit_several

            return fit_several(self, dataset, options, console)
        with locked(self.layout), run.failures_recorded(self.layout), logged_to(console):
            data = self._prepare(dataset)
            run.check_unfinished(self.spec, self.layout, options, len(data.folds))
            check(self, data)
            fabric = make_fabric()
            place = run.device_name(fabric, self.gpus)
            console.print(f"{self.layout.config}: {data.describe()}; {place}", highlight=False)
            run.fit(self._context(data, options, fabric, console, drawer(self.spec, data.dataset)))
            trained = run.trained_folds(self.spec, self.layout, len(data.folds))
            summary = self._summarize(data, trained, subsample)
        console.print(summary_table(summary))
        console.print(f"results in {self.layout.folder}", highlight=False)
        return summary

    def lr_find(
        self,
        ds: Any = None,
        foldsToExecute: Sequence[int] | None = None,
        stage: int = 0,
        subsample: float = 1.0,
        start_lr: float = 1e-6,
        end_lr: float = 1.0,
        epochs: int = 5,
        *,
        fewest: int = 1,
    ) -> LRFinder:
        """Search for a learning rate: train a while with a rate that grows from batch to batch.

        Uses the network, batches, loss and clipping of a fit, and leaves its results, its splits and the global random
        generators alone. Data other than that of the stored splits is parted for this once.

        Args:
            ds: as in :meth:`fit`.
            foldsToExecute: the first of these folds is used; default: fold 0.
            stage: whose loss and frozen parts count; after the first one the best weights of the stage before are
                needed.
            subsample: share of the training items each epoch sees, above 0 up to 1.
            start_lr, end_lr: rates to search; the rate grows by ``(end_lr / start_lr) ** (1 / batches)`` a batch.
            epochs: passes over the training part at most. A loss that is no number, or above four times the best one,
                ends the search.
            fewest: refuse to begin a search of fewer batches; a rate is suggested from 10 on.

        Returns:
            the finder: ``lrs``, ``losses``, ``best_loss``, ``suggestion``, ``plot_loss()``, ``plot_loss_change()``.

        Raises:
            MusketError: bad config, bad data, a range that is none ... in words.
        """
        from musket.experiment.lr_search import borrowed, search_rate
        from musket.experiment.plan import fold_numbers
        from musket.experiment.unit import FitOptions

        subsample = _share(subsample)
        self._refuse_unavailable()
        console = _console(quiet=not self.spec.verbose)
        options = FitOptions(folds=fold_numbers(foldsToExecute), subsample=subsample)
        dataset = self._source(ds)
        data = self._prepared
        if data is None or data.source is not dataset:
            data = borrowed(self.spec, self.layout, dataset, self.project, self._holdout)
        context = self._context(data, options, make_fabric(), console, lambda path, samples: None)
        return search_rate(context, stage, start_lr, end_lr, epochs, fewest=fewest)

    def _context(self, data: PreparedData, options: FitOptions, fabric: Any, console: Any, picture: Any) -> FitContext:
        from musket.experiment.final_metrics import each_epoch
        from musket.experiment.prepare_data import samples_of
        from musket.experiment.unit import FitContext

        samples = samples_of(self.spec, data)
        return FitContext(
            self.spec,
            self.layout,
            data,
            samples,
            options,
            fabric,
            console,
            picture,
            self._folders(),
            partial(each_epoch, self),
            project=self.project,
            given=None if data.source is self._dataset else data.source,
            holdout=self._holdout,
        )

    def _folders(self) -> list[Path]:
        """Where relative paths of the config may begin."""
        return [self.layout.base, *([] if self.project is None else [self.project.data])]

    def _refuse_unavailable(self) -> None:
        from musket.config.check import refuse_unavailable

        refuse_unavailable(self.spec)

    # -------------------------------------------------------------------------------------------------- results

    def info(self, metric: str | None = None) -> list[dict[str, Any]]:
        """Best value of ``metric`` (default: the primary one) per trained fold and stage, and the smallest rate used.

        Returns:
            records ``{fold, stage, best, lr}``; best is the maximum or minimum, as the metric's direction says; no
            record before anything is trained.

        Raises:
            ArtifactError: no such value is logged; names those that are.
        """
        from musket.metrics.catalogue import find_column

        name = metric or self.spec.primary_metric
        found, columns = self._best_logged(name)
        if columns and not found and find_column(name, columns) is None:
            raise ArtifactError(f"{name!r} is not logged; there are {', '.join(columns)}", self.layout.folder)
        return found

    def _best_logged(self, name: str) -> tuple[list[dict[str, Any]], list[str]]:
        """What :meth:`info` gives, and all columns that are logged."""
        from musket.experiment.unit import primary_monitor
        from musket.metrics.catalogue import direction, find_column

        mode = primary_monitor(self.spec).mode if name == self.spec.primary_metric else direction(name)
        best = min if mode == "min" else max
        found: list[dict[str, Any]] = []
        columns: dict[str, None] = {}
        for fold, stage in itertools.product(range(self._fold_count()), range(len(self.spec.stages))):
            path = self.layout.metrics(fold, stage)
            if not path.exists():
                continue
            rows = records.read_rows(path)
            columns |= dict.fromkeys(rows[0] if rows else ())
            column = find_column(name, rows[0]) if rows else None
            values = [row[column] for row in rows if column is not None and not math.isnan(row[column])]
            if values:
                lr = min(row["lr"] for row in rows)
                found.append({"fold": fold, "stage": stage, "best": best(values), "lr": lr})
        return found, list(columns)

    def _fold_count(self) -> int:
        """Folds as they were split, or as the config says where nothing was split yet."""
        from musket.artifacts.splits import stored_fold_count

        return stored_fold_count(self.layout) or self.spec.folds_count

    def createNet(self) -> Any:
        """The network as a torch module giving logits, freshly drawn or with pretrained encoder weights."""
        from musket.experiment.build import build_model

        return build_model(self.spec)

    def createNetForInference(self, fold: int = 0, stage: int = -1) -> Any:
        """The network with the best weights of a fold and stage, giving logits, in eval mode; None without weights."""
        from musket.experiment.network import trained

        return trained(self.spec, self.layout, self._fold_count(), fold, stage)

    def createAndCompile(self, lr: float | None = None, loss: str | None = None) -> Compiled:
        """Network, optimizer and loss as the first stage begins with them, another rate or loss in their place."""
        from musket.experiment.network import compiled

        return compiled(self.spec, lr, loss)

    def validate(self) -> None:
        """Build the network and print its parameters, input and output. Raises ModelError when it cannot be built."""
        from musket.experiment.network import describe

        _console(quiet=False).print(describe(self.spec), highlight=False)


def _share(subsample: Any) -> float:
    share = float(subsample) if isinstance(subsample, Real) else math.nan
    if not 0 < share <= 1:
        raise MusketError(f"subsample is a share above 0, up to 1; found {subsample!r}")
    return share


def _console(quiet: bool) -> Any:
    from rich.console import Console

    return Console(soft_wrap=True, quiet=quiet)


def parse(path: str | Path, *, dialect: str | None = None, **overrides: Any) -> Experiment:
    """Read and check an experiment.

    Args:
        path: a YAML file, a folder with ``config.yaml``, or the name of an experiment of the current project. An
            experiment that lies in a project gets the project's common.yaml and modules.
        dialect: kind of problem when the file's first line names none; default segmentation.
        overrides: values that replace the config's, by key.

    Warns when what lies there was trained with other values, given on the command line.

    Raises:
        ConfigError: everything that is wrong with the config, at once.
    """
    from musket.experiment.projects.project import find_project, load_spec

    silence_telemetry()
    project, config = find_project(path)
    experiment = Experiment(load_spec(config, project=project, dialect=dialect, overrides=overrides), project)
    _tell_overrides(experiment)
    return experiment


def _tell_overrides(experiment: Experiment) -> None:
    from musket.experiment.state.changes import config_changes
    from musket.experiment.state.run_record import stored_run

    with contextlib.suppress(ArtifactError):
        stored = stored_run(experiment.layout)
        given = (stored or {}).get("overrides")
        if not (stored and given) or experiment.spec.overrides:  # who gives values of their own knows of them
            return
        if config_changes(stored["config"], experiment.spec.dump(), may_grow=True):
            values = " ".join(given)
            warnings.warn(
                f"{experiment.layout.folder} was trained with {values} on the command line, which its config does not "
                "say; give parse the same values to use what lies there",
                ConfigWarning,
                stacklevel=3,
            )
