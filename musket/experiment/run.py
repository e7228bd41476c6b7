"""Training of an experiment: its units one after another, resumable at any moment."""

from __future__ import annotations

import contextlib
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.artifacts.runs import is_finished
from musket.core.errors import (
    AlreadyFinished,
    ArtifactError,
    Change,
    ConfigChanged,
    ConfigWarning,
    Stopped,
    TrainingError,
)
from musket.core.types import Unit
from musket.experiment import build
from musket.experiment.checks.check_before_fit import check_network, check_samples, check_unit
from musket.experiment.label_meaning import difference
from musket.experiment.leftovers import forget_half_written, forget_predictions, forget_unit, traces
from musket.experiment.plan import units
from musket.experiment.several_devices import check_devices
from musket.experiment.state.changes import config_changes, first_changed_stage, grown_stage
from musket.experiment.state.run_record import edited_code, run_record, stored_run
from musket.experiment.unit import (
    FitContext,
    FitOptions,
    is_trained,
    newest_stage,
    train_unit,
)

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from musket.config.schema import NetworkSpec


def check_unfinished(spec: NetworkSpec, layout: Layout, options: FitOptions, fold_count: int) -> None:
    """Refuse to train a finished experiment again, unless it gets more epochs or folds it does not have yet.

    Raises:
        AlreadyFinished: summary.yaml is there and covers what is asked for.
    """
    if options.rerun or not layout.summary.exists():
        return
    summary = records.read_yaml(layout.summary)
    done = summary.get("folds", []) if isinstance(summary, dict) else []
    if not set(range(fold_count) if options.folds is None else options.folds) <= set(done):
        return
    stored = stored_run(layout) if options.resume else None
    if stored is not None and _growth(stored["config"], spec):
        return
    raise AlreadyFinished(
        f"{layout.folder} is already finished (summary.yaml exists). Delete summary.yaml to train again, "
        "or raise epochs and resume (--allow_resume, in Python setAllowResume(True))"
    )


def _growth(stored: dict[str, Any], spec: NetworkSpec) -> list[int]:
    """Stages that have more epochs now than they had."""
    stages = [grown_stage(change) for change in records.differences(stored, spec.dump())]
    return [stage for stage in stages if stage is not None]


def trained_folds(spec: NetworkSpec, layout: Layout, count: int) -> list[int]:
    """Folds trained to their end: those a summary covers."""
    return [fold for fold in range(count) if is_trained(spec, layout, fold)]


def fit(context: FitContext) -> None:
    """Train every unit that is not finished, one after the other.

    Raises:
        Stopped: it was asked to stop, and did after an epoch.
        MusketError: whatever went wrong, in words.
    """
    plan, changed = begin(context)
    for unit in plan:
        train_unit(replace(context, changed=changed), unit)


def begin(context: FitContext) -> tuple[list[Unit], bool]:
    """Check all that training needs, and write the records of a run. Before all checks passed nothing is touched.

    Returns:
        the units to train; whether the config changed since the run that is resumed, which the user accepts.

    Raises:
        ConfigChanged: resumed with another config.
        MusketError: whatever went wrong, in words.
    """
    spec, layout, options = context.spec, context.layout, context.options
    check_devices(spec)
    record = run_record(context, context.project)
    plan = units(len(context.data.folds), len(spec.stages), options.folds, options.first_stage, seed=spec.random_state)
    changed = _check_record(record, context, plan)
    for unit in plan:
        check_unit(context, unit)
    check_network(context)
    check_samples(context, plan)
    if changed:
        context.console.print("the config changed: weights and epochs stay, optimizers and callbacks start afresh")
    if not options.resume:
        _forget(context, plan)
    for path in (layout.summary, layout.error):
        path.unlink(missing_ok=True)
    forget_half_written(layout)
    forget_predictions(layout)  # they were those of other weights
    records.write_yaml(layout.run_record, record)
    records.write_yaml(layout.in_progress, True)
    return plan, changed


def _check_record(record: dict[str, Any], context: FitContext, plan: Sequence[Unit]) -> bool:
    """What is trained now must belong to what stays: resumed units, or folds and stages trained before.

    Returns:
        whether it does not, and the user accepts that.
    """
    layout, options = context.layout, context.options
    kept = _anything_trained(context, set(range(len(context.data.folds))) - {unit.fold for unit in plan})
    partial = kept or options.first_stage > 0
    stored = stored_run(layout) if (options.resume or partial) and _anything_trained(context) else None
    if stored is None:
        return False
    then, now = stored.get("data") or {}, record["data"]
    if said := difference(then, now):
        raise TrainingError(
            f"{said} in the data of today. This change cannot be accepted: the weights that stay know classes by "
            "number. Restore the labels (a table takes classes=[...]), or start afresh"
        )
    may_grow = options.resume and not partial
    changes = config_changes(stored["config"], record["config"], may_grow=may_grow)
    if not (kept or options.resume) and first_changed_stage(changes) >= options.first_stage:
        changes = []  # only stages that all are trained afresh
    if stored.get("subsample", 1.0) != record["subsample"]:
        changes.append(Change("subsample (of fit)", stored.get("subsample", 1.0), record["subsample"]))
    if then.get("labels", now.get("labels")) != now.get("labels", then.get("labels")):
        changes.append(Change("labels (digest of all targets)", then["labels"], now["labels"]))
    if changes and not options.accept_changes:
        raise ConfigChanged(changes)
    if edited := edited_code(stored, record["config"], context.project):
        warnings.warn(
            f"{', '.join(edited)} changed since this run began: epochs and folds that are done stay as the former code "
            "made them; start afresh if that matters",
            ConfigWarning,
            stacklevel=2,
        )
    _refuse_other_inputs(context.spec, changes)
    for stage in _growth(stored["config"], context.spec) if may_grow else ():
        later = [unit.fold for unit in plan if (newest_stage(layout, unit) or 0) > stage]
        if later:
            raise TrainingError(
                f"stages[{stage}].epochs grew to {context.spec.stages[stage].epochs}, but a later stage of fold "
                f"{later[0]} was trained from its result; only the newest stage can grow. Start afresh instead"
            )
    return bool(changes)


def _refuse_other_inputs(spec: NetworkSpec, changes: Sequence[Change]) -> None:
    """Weights that stay want the inputs they were trained on; that cannot be accepted away."""
    deciding = ("normalize",) if spec.normalize is not None else ("normalize", "encoder_weights", "weights")
    for change in changes:
        if change.key.partition(".")[0] in deciding:
            raise TrainingError(
                f"{change}. This change cannot be accepted: the weights that stay were trained on images normalised as "
                "before, and the folds of an experiment must agree. Undo the edit, or start afresh"
            )


def _anything_trained(context: FitContext, folds: Iterable[int] | None = None) -> bool:
    """Whether an earlier run left weights or states, of these folds or any; one that failed early has a record only."""
    stages = range(len(context.spec.stages))
    files = (context.layout.state, context.layout.weights)
    return any(
        file(fold, stage).exists()
        for fold in (range(len(context.data.folds)) if folds is None else folds)
        for stage in stages
        for file in files
    )


def _forget(context: FitContext, plan: Sequence[Unit]) -> None:
    """Remove what an earlier run left for these units, so that nothing of two runs is mixed."""
    if not any(traces(context.layout, unit) for unit in plan):
        return
    build.build_model(context.spec)  # a network that cannot be had must not cost the one that is there
    context.console.print(
        "starting afresh: what an earlier run left here is overwritten "
        "(--allow_resume, in Python setAllowResume(True), would go on with it)"
    )
    for unit in plan:
        forget_unit(context.layout, unit)


@contextlib.contextmanager
def failures_recorded(layout: Layout) -> Iterator[None]:
    """Write error.yaml when something fails; an interrupted run keeps only its marker. Never hides the error itself.

    A finished experiment that is refused before its summary is touched stays finished.
    """
    before = layout.summary.stat() if is_finished(layout) else None
    try:
        yield
    except (AlreadyFinished, ConfigChanged, Stopped):
        raise
    except Exception as error:
        if before is not None and layout.summary.exists() and layout.summary.stat().st_mtime_ns == before.st_mtime_ns:
            raise
        entry = {"type": type(error).__name__, "value": str(error), "trace": "".join(traceback.format_exception(error))}
        with contextlib.suppress(ArtifactError, OSError):  # the disk that failed the run may fail the record too
            records.write_yaml(layout.error, {"errors": [entry]})
            layout.in_progress.unlink(missing_ok=True)
        raise


def device_name(fabric: Fabric, count: int = 1) -> str:
    """Device and precision, as people know them; of ``count`` such devices."""
    import torch

    name = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else fabric.device.type
    several = f"{count} x " if count > 1 else ""
    number = torch.get_num_threads()
    threads = f", {number} thread{'s' if number != 1 else ''}" if fabric.device.type == "cpu" and count == 1 else ""
    return f"{several}{name}, {fabric._precision.precision}{threads}"
