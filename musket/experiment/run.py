"""Training of an experiment: its units one after another, resumable at any moment."""

from __future__ import annotations

import platform
import shutil
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.core.errors import AlreadyFinished, ArtifactError, Change, ConfigChanged, TrainingError
from musket.core.runtime import make_fabric
from musket.core.types import Unit
from musket.core.version import VERSION
from musket.experiment.data import PreparedData
from musket.experiment.plan import units
from musket.experiment.unit import FitContext, FitOptions, train_unit

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from rich.console import Console

    from musket.config.schema import SegmentationSpec

# Keys that may change between a run and its resumption without making it another run.
_NEUTRAL = ("verbose", "inference_batch", "showDataExamples", "imports", "datasets_path")


def run_record(spec: SegmentationSpec, data: PreparedData, fabric: Fabric) -> dict[str, Any]:
    """What run.yaml holds: the resolved config, the data it was trained on, and with what."""
    return {
        "config": spec.dump(),
        "data": {"samples": len(data.ids), "fingerprint": data.fingerprint},
        "device": str(fabric.device.type),
        "precision": str(fabric._precision.precision),
        "versions": {
            "python": platform.python_version(),
            "musket": VERSION,
            **{name: version(name) for name in ("torch", "timm", "segmentation-models-pytorch")},
        },
    }


def config_changes(stored: dict[str, Any], current: dict[str, Any]) -> list[Change]:
    """Differences that make a resumed run another run. More epochs, and keys without influence, are allowed."""
    return [
        change
        for change in records.differences(stored, current)
        if change.key.partition(".")[0] not in _NEUTRAL and not _more_epochs(change)
    ]


def _more_epochs(change: Change) -> bool:
    return (
        change.key.startswith("stages.")
        and change.key.endswith(".epochs")
        and isinstance(change.stored, int)
        and isinstance(change.current, int)
        and change.current > change.stored
    )


def check_unfinished(spec: SegmentationSpec, layout: Layout, options: FitOptions) -> None:
    """Refuse to train a finished experiment again, unless it gets more epochs or folds it does not have yet.

    Raises:
        AlreadyFinished: summary.yaml is there and covers what is asked for.
    """
    if options.rerun or not layout.summary.exists():
        return
    summary = records.read_yaml(layout.summary)
    done = summary.get("folds", []) if isinstance(summary, dict) else []
    if options.folds is not None and not set(options.folds) <= set(done):
        return
    stored = _stored_config(layout) if options.resume else None
    if stored is not None and any(_more_epochs(change) for change in records.differences(stored, spec.dump())):
        return
    raise AlreadyFinished(
        f"{layout.folder} is already finished (summary.yaml exists). Delete summary.yaml to train again, "
        "or raise epochs and resume (setAllowResume(True); on the command line --allow_resume)"
    )


def trained_folds(spec: SegmentationSpec, layout: Layout, count: int) -> list[int]:
    """Folds that have weights of every stage: those a summary can cover."""
    stages = range(len(spec.stages))
    return [fold for fold in range(count) if all(layout.weights(fold, stage).exists() for stage in stages)]


def fit(context: FitContext) -> None:
    """Train every unit that is not finished. Leaves error.yaml when one fails, and nothing half-written.

    Raises:
        ConfigChanged: resumed with another config.
        MusketError: whatever went wrong, in words.
    """
    spec, layout, options = context.spec, context.layout, context.options
    record = run_record(spec, context.data, context.fabric)
    _check_record(record, layout, options)
    plan = units(len(context.data.folds), len(spec.stages), options.folds, options.first_stage, seed=spec.random_state)
    for unit in plan:
        _check_batches(context, unit.fold)
    if not options.resume:
        _forget(layout, plan, options, context.console)
    for path in (layout.summary, layout.error):
        path.unlink(missing_ok=True)
    shutil.rmtree(layout.predictions, ignore_errors=True)  # they were those of other weights
    records.write_yaml(layout.run_record, record)
    records.write_yaml(layout.in_progress, True)
    try:
        for unit in plan:
            train_unit(context, unit)
    except BaseException as error:
        _record_failure(layout, error)
        raise


def _check_record(record: dict[str, Any], layout: Layout, options: FitOptions) -> None:
    """What is trained now must belong to what stays: resumed units, or folds trained before."""
    stays = options.resume or options.folds is not None or options.first_stage > 0
    stored = _stored_config(layout) if stays else None
    changes = [] if stored is None else config_changes(stored, record["config"])
    if changes and not options.accept_changes:
        raise ConfigChanged(changes)


def _stored_config(layout: Layout) -> dict[str, Any] | None:
    """The config of the run whose files lie here; None when there is no record of one."""
    if not layout.run_record.exists():
        return None
    record = records.read_yaml(layout.run_record)
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        raise ArtifactError("this is no record of a run; delete it and start afresh", layout.run_record)
    return record["config"]


def _check_batches(context: FitContext, fold: int) -> None:
    count, batch = len(context.data.folds[fold].train), context.spec.batch
    if count < batch:
        raise TrainingError(
            f"0 iterations: fold {fold} has {count} training samples, fewer than one batch of {batch}. "
            "Lower batch, folds_count or testSplit, or add images"
        )


def _forget(layout: Layout, plan: Sequence[Unit], options: FitOptions, console: Console) -> None:
    """Remove what an earlier, unfinished run left for these units, so that nothing of two runs is mixed."""
    stages = [(unit.fold, stage) for unit in plan for stage in unit.stages]
    if any(layout.state(fold, stage).exists() for fold, stage in stages):
        console.print(
            "starting afresh: what an earlier run left here is overwritten "
            "(setAllowResume(True), on the command line --allow_resume, would go on with it)"
        )
    for fold, stage in stages:
        for path in (layout.state(fold, stage), layout.weights(fold, stage), layout.metrics(fold, stage)):
            path.unlink(missing_ok=True)


def _record_failure(layout: Layout, error: BaseException) -> None:
    """error.yaml for errors; a run that was interrupted keeps only its marker. Never hides the error itself."""
    if isinstance(error, KeyboardInterrupt):
        return
    entry = {"type": type(error).__name__, "value": str(error), "trace": "".join(traceback.format_exception(error))}
    try:
        records.write_yaml(layout.error, {"errors": [entry]})
        layout.in_progress.unlink(missing_ok=True)
    except (ArtifactError, OSError):  # the disk that failed the run may fail the record too
        return


def device_name(fabric: Fabric) -> str:
    """Device and precision, as people know them."""
    import torch

    name = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else fabric.device.type
    count = torch.get_num_threads()
    threads = f", {count} thread{'s' if count != 1 else ''}" if fabric.device.type == "cpu" else ""
    return f"{name}, {fabric._precision.precision}{threads}"


def local_fabric(spec: SegmentationSpec) -> Fabric:
    """Fabric for this process and this spec."""
    return make_fabric(devices=spec.gpus)
