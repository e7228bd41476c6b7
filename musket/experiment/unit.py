"""Training of one unit: all stages of one fold, on one model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from musket.artifacts import checkpoint
from musket.artifacts.layout import Layout
from musket.core.errors import TrainingError
from musket.core.runtime import derive_seed, memory_format, seed_torch
from musket.core.types import Unit
from musket.data.loader import BatchLoader
from musket.data.sampling import PartSampler
from musket.experiment import build
from musket.experiment.data import PreparedData
from musket.experiment.pictures import ExamplePictures
from musket.metrics.build import MetricSet
from musket.training.display import EveryBatchLog, ProgressDisplay, TensorBoardLog
from musket.training.hooks import Hook, Hooks, Run
from musket.training.loop import Clipping
from musket.training.monitor import Monitor
from musket.training.stage import Progress, StagePlan, read_progress, train_stage

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from rich.console import Console

    from musket.config.schema import SegmentationSpec, StageSpec
    from musket.pipelines.segmentation import Normalization


@dataclass(frozen=True)
class FitOptions:
    """How ``fit`` was asked.

    Attributes:
        resume: go on from the stored states; False starts afresh.
        accept_changes: resume although the config changed.
        folds: folds to train, None = all.
        first_stage: stages before it are skipped, their best weights loaded.
        subsample: share of the training items an epoch sees, 0..1.
        rerun: train although summary.yaml is there.
    """

    resume: bool = False
    accept_changes: bool = False
    folds: Sequence[int] | None = None
    first_stage: int = 0
    subsample: float = 1.0
    rerun: bool = False


@dataclass(frozen=True)
class FitContext:
    """What every unit of one ``fit`` shares."""

    spec: SegmentationSpec
    layout: Layout
    data: PreparedData
    options: FitOptions
    fabric: Fabric
    console: Console
    picture: Callable[[Path, tuple[Any, Any, Any]], None]

    @property
    def monitor(self) -> Monitor:
        return primary_monitor(self.spec)


def primary_monitor(spec: SegmentationSpec) -> Monitor:
    """The figure that decides which epoch is best. Raises TrainingError when its direction is unknown."""
    return Monitor("primary_metric", spec.primary_metric, spec.primary_metric_mode)


def train_unit(context: FitContext, unit: Unit) -> None:
    """All stages of one fold on one model; each starts from the best weights of the one before."""
    spec, layout, options = context.spec, context.layout, context.options
    progress = {stage: _stored_progress(layout, unit.fold, stage, options) for stage in unit.stages}
    newest = max((stage for stage in unit.stages if progress[stage] is not None), default=None)
    if newest is not None:
        _check_growth(spec, progress, newest)
        found = progress[newest]
        assert found is not None
        if newest == unit.stages[-1] and found.finished(spec.stages[newest].epochs):
            context.console.print(f"fold {unit.fold + 1}/{len(context.data.folds)}  finished already", highlight=False)
            return
    seed_torch(unit.seed, "init", unit.fold)
    module = build.build_model(spec, pretrained=newest is None)
    module.to(memory_format=memory_format(context.fabric.device))  # type: ignore[call-overload]
    wrapped = context.fabric.setup_module(module)
    _apply_freezing(module, spec.freeze_encoder, spec.unfreeze_encoder)
    optimizer: torch.optim.Optimizer | None = None
    if options.first_stage and (newest is None or newest < options.first_stage):
        _load_best(module, layout, unit.fold, options.first_stage - 1)
    for stage in range(unit.stages[0]):
        _apply_freezing(module, spec.stages[stage].freeze_encoder, spec.stages[stage].unfreeze_encoder)
    for stage in unit.stages:
        _apply_freezing(module, spec.stages[stage].freeze_encoder, spec.stages[stage].unfreeze_encoder)
        if newest is not None and stage < newest:
            continue
        optimizer = _train_one_stage(context, unit, stage, module, wrapped, optimizer, resumed=stage == newest)
        if stage > unit.stages[0]:  # the state of the stage before served its purpose
            layout.state(unit.fold, stage - 1).unlink(missing_ok=True)


def _stored_progress(layout: Layout, fold: int, stage: int, options: FitOptions) -> Progress | None:
    path = layout.state(fold, stage)
    return read_progress(checkpoint.load_state(path)) if options.resume and path.exists() else None


def _check_growth(spec: SegmentationSpec, progress: dict[int, Progress | None], newest: int) -> None:
    """More epochs for a stage that a later one already built upon cannot be had by resuming."""
    for stage, found in progress.items():
        if stage < newest and found is not None and not found.finished(spec.stages[stage].epochs):
            raise TrainingError(
                f"stages[{stage}].epochs grew to {spec.stages[stage].epochs}, but stage {newest} already started from "
                f"its result after {found.epochs_done}; only the newest stage can grow. Start afresh to train it longer"
            )


def _apply_freezing(module: torch.nn.Module, freeze: bool | None, unfreeze: bool | None) -> None:
    from musket.models.freeze import freeze_encoder, unfreeze_encoder

    if freeze or unfreeze is False:
        freeze_encoder(module)
    elif unfreeze:
        unfreeze_encoder(module)


def _load_best(module: torch.nn.Module, layout: Layout, fold: int, stage: int) -> None:
    path = layout.weights(fold, stage)
    weights, _ = checkpoint.load_weights(path)
    checkpoint.load_into(module, weights, path)


def _train_one_stage(
    context: FitContext,
    unit: Unit,
    number: int,
    module: torch.nn.Module,
    wrapped: torch.nn.Module,
    optimizer: torch.optim.Optimizer | None,
    resumed: bool,
) -> torch.optim.Optimizer:
    """One stage: start weights, freezing, rate and loss, then epochs. Returns the optimizer for the next stage."""
    from musket.optim.build import build_optimizer

    spec, layout, fabric = context.spec, context.layout, context.fabric
    stage: StageSpec = spec.stages[number]
    if number > unit.stages[0] and not resumed:
        _load_best(module, layout, unit.fold, number - 1)
    if optimizer is None or stage.lr is not None or stage.loss is not None:
        optimizer = build_optimizer(spec.optimizer, module.parameters(), lr=spec.lr if stage.lr is None else stage.lr)
    if stage.initial_weights is not None and not resumed:
        _load_initial(context, module, stage.initial_weights)
    inputs = build.normalization(spec, module)
    loss = stage.loss or spec.loss
    assert loss is not None, "the config check asks for a loss, here or at the root"
    pipeline = build.build_pipeline(spec, inputs, loss, fabric.device)
    train, validation, run = _loaders(context, unit, number, module, optimizer)
    hooks = Hooks([*build.build_callbacks(spec, stage), *_own_hooks(context, unit, number, stage)])
    state = checkpoint.load_state(layout.state(unit.fold, number)) if resumed else None
    try:
        train_stage(
            fabric,
            module,
            wrapped,
            optimizer,
            cast("torch.optim.Optimizer", fabric.setup_optimizers(optimizer)),
            pipeline,
            train,
            validation,
            MetricSet(spec.metrics, activation=spec.activation),
            MetricSet(spec.metrics, activation=spec.activation),
            hooks,
            StagePlan(
                layout=layout,
                fold=unit.fold,
                stage=number,
                seed=unit.seed,
                epochs=stage.epochs,
                monitor=context.monitor,
                clipping=Clipping(spec.clipnorm, spec.clipvalue),
                metadata=weights_metadata(spec, inputs),
            ),
            run,
            state,
        )
    finally:
        train.close()
        validation.close()
    return optimizer


def weights_metadata(spec: SegmentationSpec, inputs: Normalization) -> dict[str, Any]:
    """What a weights file says of itself: enough to know which network and which inputs it belongs to."""
    return {
        "architecture": spec.architecture,
        "backbone": spec.backbone,
        "classes": spec.classes,
        "activation": spec.activation,
        "shape": list(spec.shape),
        "mean": list(inputs.mean),
        "std": list(inputs.std),
    }


def _load_initial(context: FitContext, module: torch.nn.Module, name: str) -> None:
    """Start weights from a file, named relative to the config; a head of another shape stays as it is, and says so."""
    path = Path(name) if Path(name).is_absolute() else context.layout.folder / name
    weights, _ = checkpoint.load_weights(path)
    left = checkpoint.load_matching(module, weights, path)
    if left:
        context.console.print(f"initial_weights: {path.name} does not fit {', '.join(left)}; these start afresh")


def _loaders(
    context: FitContext, unit: Unit, number: int, module: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[BatchLoader, BatchLoader, Run]:
    spec, data, stage = context.spec, context.data, context.spec.stages[number]
    fold = data.folds[unit.fold]
    shape = build.TargetShape.of(spec)
    seed = derive_seed(unit.seed, unit.fold, number)
    validation_negatives = stage.negatives if stage.validation_negatives is None else stage.validation_negatives
    sampler = PartSampler(fold.train, stage.negatives, data.is_positive)
    kept = max(1, round(len(sampler) * context.options.subsample))
    steps = kept // spec.batch
    if steps == 0:
        raise TrainingError(
            f"0 iterations: fold {unit.fold}, stage {number} has {kept} training samples after negatives and "
            f"subsample, fewer than one batch of {spec.batch}. Lower batch, or take more samples"
        )
    steps = min(steps, spec.maxEpochSize or steps)
    validation_order = PartSampler(fold.validation, validation_negatives, data.is_positive).order(0, 0)

    def order(epoch: int) -> Sequence[int]:
        return sampler.order(epoch, seed)[: steps * spec.batch]

    def maker(parts: Sequence[Any], is_train: bool) -> build.SampleMaker:
        return build.SampleMaker(data.dataset, data.ids, build.chain_for(spec, parts), shape, seed, is_train)

    pin = context.fabric.device.type == "cuda"
    ahead = 1 if context.fabric.device.type == "cpu" else None
    train = BatchLoader(
        maker(spec.augmentation, True),
        order,
        spec.batch,
        drop_last=True,
        augmented=bool(spec.augmentation),
        epochs=stage.epochs,
        read_ahead=ahead,
        pin_memory=pin,
    )
    validation = BatchLoader(
        maker((), False),
        lambda epoch: validation_order,
        spec.batch,
        epochs=stage.epochs,
        read_ahead=ahead,
        pin_memory=pin,
    )
    run = Run(
        fold=unit.fold,
        stage=number,
        epochs=stage.epochs,
        steps_per_epoch=steps,
        model=module,
        optimizer=optimizer,
        validation_steps=-(-len(validation_order) // spec.batch),
        images_per_epoch=steps * spec.batch,
    )
    return train, validation, run


def _own_hooks(context: FitContext, unit: Unit, number: int, stage: StageSpec) -> list[Hook]:
    """Hooks every stage has, after the user's: pictures, logs and the display."""
    layout = context.layout

    def path(epoch: int) -> Path:
        return layout.example(unit.fold, number, epoch, 0)

    hooks: list[Hook] = [ExamplePictures(path, context.picture), TensorBoardLog(layout.tensorboard(unit.fold, number))]
    if stage.logAll:
        hooks.append(EveryBatchLog(layout.batch_metrics(unit.fold, number)))
    if context.spec.verbose:
        counts = (len(context.data.folds), len(context.spec.stages))
        hooks.append(ProgressDisplay(context.console, context.monitor, *counts))
    return hooks
