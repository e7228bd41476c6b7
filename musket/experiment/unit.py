"""Training of one unit: all stages of one fold, on one model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from musket.artifacts import checkpoint, records
from musket.artifacts.layout import Layout
from musket.core.jobs import Progress
from musket.core.runtime import derive_seed, memory_format, seed_torch
from musket.core.types import Unit
from musket.data.loader import BatchLoader
from musket.experiment import build, reading
from musket.experiment.class_weights import class_weights_of
from musket.experiment.label_meaning import Meaning, label_meaning
from musket.experiment.leftovers import forget_unit
from musket.experiment.pictures import ExamplePictures, TrainingPictures
from musket.experiment.plan import training_samples, validation_samples
from musket.experiment.prepare_data import PreparedData
from musket.experiment.several_devices import train_on_several
from musket.metrics.metric import Metric
from musket.training.display import EveryBatchLog, ProgressDisplay, TensorBoardLog
from musket.training.hooks import Hook, Hooks, Run
from musket.training.loop import PICTURED, Clipping
from musket.training.monitor import Monitor
from musket.training.ranks import Ranks
from musket.training.stage import StagePlan, read_progress, train_stage

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from rich.console import Console

    from musket.config.schema import NetworkSpec, StageSpec
    from musket.experiment.projects.project import Project
    from musket.pipelines.image import ImagePipeline, Normalization


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
        new_splits: draw the splits anew, because the data they were drawn from is no more.
    """

    resume: bool = False
    accept_changes: bool = False
    folds: Sequence[int] | None = None
    first_stage: int = 0
    subsample: float = 1.0
    rerun: bool = False
    new_splits: bool = False


@dataclass(frozen=True)
class FitContext:
    """What every unit of one ``fit`` shares.

    Attributes:
        data: whole images and their splits.
        samples: what is trained on: the same, or cells of them.
        folders: where relative paths of the config may begin.
        final_metrics: (samples, validation positions in order, fold, stage) -> metrics that only validation has.
        changed: the config changed since the run that is resumed, and the user said so is meant: weights and epochs
            done stay, optimizers and callbacks start afresh.
        stopping: asked after every epoch: a reason to stop there, or None.
        watch: is told how far training is, in place of a bar or lines.
        project: whose code the config may name.
        given: the dataset that was given to ``fit``; None: the config's own.
        holdout: positions held out in place of ``testSplit``.
    """

    spec: NetworkSpec
    layout: Layout
    data: PreparedData
    samples: PreparedData
    options: FitOptions
    fabric: Fabric
    console: Console
    picture: Callable[[Path, tuple[Any, Any, Any]], None]
    folders: Sequence[Path] = ()
    final_metrics: Callable[[PreparedData, Sequence[int], int, int], Sequence[Metric]] = lambda *_: ()
    changed: bool = False
    stopping: Callable[[], str | None] = lambda: None
    watch: Callable[[Progress], None] | None = None
    project: Project | None = None
    given: Any = None
    holdout: Sequence[int] | None = None

    @property
    def leads(self) -> bool:
        """Whether this process writes and prints, of those that train the network."""
        return self.fabric.global_rank == 0

    @property
    def monitor(self) -> Monitor:
        return primary_monitor(self.spec)


def primary_monitor(spec: NetworkSpec) -> Monitor:
    """The figure that decides which epoch is best. Raises TrainingError when its direction is unknown."""
    return Monitor("primary_metric", spec.primary_metric, spec.primary_metric_mode)


def train_unit(context: FitContext, unit: Unit) -> None:
    """All stages of one fold on one model; each starts from the best weights of the one before."""
    spec, layout, options = context.spec, context.layout, context.options
    newest = newest_stage(layout, unit) if options.resume else None
    if newest is not None and (lost := _lost_weights(layout, unit, newest)):
        names = ", ".join(path.name for path in lost)
        context.console.print(f"fold {unit.fold}: {names} is gone; the fold is trained again", highlight=False)
        forget_unit(layout, unit)
        newest = None
    if newest is not None:
        progress = read_progress(checkpoint.load_state(layout.state(unit.fold, newest), lazily=True))
        caption = f"fold {unit.fold + 1}/{len(context.data.folds)}"
        if newest == unit.stages[-1] and progress.finished(spec.stages[newest].epochs):
            # A kill may have come between the last state and its CSV.
            records.write_rows(layout.metrics(unit.fold, newest), progress.rows)
            context.console.print(f"{caption}  finished already", highlight=False)
            return
        caption += f" stage {newest + 1}/{len(spec.stages)}" if len(spec.stages) > 1 else ""
        context.console.print(f"{caption}  goes on after epoch {progress.epochs_done}", highlight=False)
    if spec.gpus > 1:
        train_on_several(context, unit, newest)
    else:
        train_stages(context, unit, newest)


def train_stages(context: FitContext, unit: Unit, newest: int | None) -> None:
    """The stages of a unit that are not finished, in this process or in this one of several.

    Args:
        newest: the stage to go on with; None to begin.
    """
    spec, layout = context.spec, context.layout
    start = unit.stages[0] if newest is None else newest
    module, inputs = start_network(context, unit, start, resumed=newest is not None)
    optimizer: torch.optim.Optimizer | None = None
    for number, stage in enumerate(spec.stages):
        set_frozen(module, stage.freeze_encoder, stage.unfreeze_encoder)
        if number < start:
            continue
        if number > start:
            _load_best(module, layout, unit.fold, number - 1)
        optimizer = _train_one_stage(context, unit, number, module, inputs, optimizer, number == newest)
        if number > 0 and context.leads:  # the state of the stage before served its purpose
            layout.state(unit.fold, number - 1).unlink(missing_ok=True)


def start_network(
    context: FitContext, unit: Unit, start: int, *, resumed: bool = False
) -> tuple[torch.nn.Module, Normalization]:
    """The network of a unit as its stage ``start`` begins, and what inputs it wants.

    Later stages begin with the best weights of the one before; a resumed one gets its weights from its state. On
    several CUDA devices statistics of batch normalisation are those of whole batches.
    """
    spec, layout, fabric = context.spec, context.layout, context.fabric
    with Ranks(fabric).leader_first():  # pretrained weights are downloaded once
        seed_torch(unit.seed, "init", unit.fold)
        module = build.build_model(spec, pretrained=start == 0 and not resumed)
    if fabric.world_size > 1 and fabric.device.type == "cuda":  # torch has no such normalisation for CPUs
        from timm.layers import convert_sync_batchnorm

        module = convert_sync_batchnorm(module)
    module.to(memory_format=memory_format(fabric.device))  # type: ignore[call-overload]
    inputs = build.normalization(spec, module, _stored_inputs(layout, unit.fold, start, resumed=resumed))
    if start > 0 and not resumed:
        _load_best(module, layout, unit.fold, start - 1)
    set_frozen(module, True if spec.freeze_encoder else None, spec.unfreeze_encoder)
    return module, inputs


def newest_stage(layout: Layout, unit: Unit) -> int | None:
    """The last stage of a unit that has a stored state; None when nothing of it was trained."""
    return max((stage for stage in unit.stages if layout.state(unit.fold, stage).exists()), default=None)


def is_trained(spec: NetworkSpec, layout: Layout, fold: int) -> bool:
    """Whether a fold has been trained through all its stages, early stops included.

    Its weights must be there. The last stage's state says the rest; where states were deleted to save space, metrics
    of every stage do.
    """
    stages = range(len(spec.stages))
    if not all(layout.weights(fold, stage).exists() for stage in stages):
        return False
    state = layout.state(fold, stages[-1])
    if state.exists():
        return read_progress(checkpoint.load_state(state, lazily=True)).finished(spec.stages[-1].epochs)
    return all(layout.metrics(fold, stage).exists() for stage in stages)


def _lost_weights(layout: Layout, unit: Unit, newest: int) -> list[Path]:
    """Best weights a unit must have made by the time its newest state was written, and which are not there."""
    paths = (layout.weights(unit.fold, stage) for stage in unit.stages if stage <= newest)
    return [path for path in paths if not path.exists()]


def _stored_inputs(layout: Layout, fold: int, start: int, *, resumed: bool) -> dict[str, Any]:
    """How images were normalised when the weights that training goes on from were made."""
    path = layout.weights(fold, start if resumed else start - 1)
    return checkpoint.read_metadata(path) if path.exists() and (resumed or start > 0) else {}


def set_frozen(module: torch.nn.Module, freeze: bool | None, unfreeze: bool | None) -> None:
    """Freeze or thaw the encoder as a stage says; None leaves it as it is."""
    from musket.models.freeze import freeze_encoder, unfreeze_encoder

    if freeze or unfreeze is False:
        freeze_encoder(module)
    elif unfreeze or freeze is False:
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
    inputs: Normalization,
    optimizer: torch.optim.Optimizer | None,
    resumed: bool,
) -> torch.optim.Optimizer:
    """One stage: rate, loss and hooks, then epochs. Returns the optimizer for the next stage."""
    spec, layout, fabric = context.spec, context.layout, context.fabric
    stage: StageSpec = spec.stages[number]
    height, width, channels = spec.shape
    wrapped = Ranks(fabric).join(module, torch.zeros(1, channels, height, width))
    if optimizer is None or stage.lr is not None or stage.loss is not None:
        optimizer = build.build_optimizer(spec, module, spec.lr if stage.lr is None else stage.lr)
    if stage.initial_weights is not None and not resumed:
        load_initial(context, module, stage.initial_weights)
    loss = stage.loss or spec.loss
    assert loss is not None, "the config check asks for a loss, here or at the root"
    weights = class_weights_of(spec, context.samples, context.samples.folds[unit.fold].train)
    pipeline = build.build_pipeline(spec, inputs, loss, fabric.device, weights)
    train, validation, run = _loaders(context, unit, number, module, optimizer)
    shown = validation_samples(spec, context.samples, unit.fold, number)
    finals = context.final_metrics(context.samples, shown, unit.fold, number)
    callbacks = build.build_callbacks(spec, stage)
    own = _own_hooks(context, unit, number, stage, train, pipeline)
    hooks = Hooks([*callbacks, *own]) if context.leads else Hooks(callbacks, idle=own)
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
            build.build_metrics(spec, context.samples.dataset),
            build.build_metrics(spec, context.samples.dataset, also=finals),
            hooks,
            StagePlan(
                layout=layout,
                fold=unit.fold,
                stage=number,
                seed=unit.seed,
                epochs=stage.epochs,
                monitor=context.monitor,
                clipping=Clipping(spec.clipnorm, spec.clipvalue),
                accumulate=spec.accumulate,
                ema=spec.ema,
                metadata=weights_metadata(spec, inputs, label_meaning(context.data.dataset, spec)),
                stopping=context.stopping,
            ),
            run,
            state,
            keep_parts=not context.changed,
        )
    finally:
        train.close()
        validation.close()
    return optimizer


def weights_metadata(spec: NetworkSpec, inputs: Normalization, labels: Meaning) -> dict[str, Any]:
    """What a weights file says of itself: which network and inputs it belongs to, and what its outputs stand for."""
    said = {
        "architecture": spec.architecture,
        "backbone": getattr(spec, "backbone", None),
        "classes": spec.classes,
        "activation": spec.activation,
        "shape": list(spec.shape),
        "mean": list(inputs.mean),
        "std": list(inputs.std),
    }
    return said | ({"labels": labels} if labels else {})


def load_initial(context: FitContext, module: torch.nn.Module, name: str) -> None:
    """Start weights from a file, named relative to the config; a head of another shape stays as it is, and says so."""
    path = initial_path(context.layout, name)
    weights, _ = checkpoint.load_weights(path)
    left = checkpoint.load_matching(module, weights, path)
    if left:
        context.console.print(f"initial_weights: {path.name} does not fit {', '.join(left)}; these start afresh")


def initial_path(layout: Layout, name: str) -> Path:
    """The file that ``initial_weights`` names, relative to the config."""
    return layout.base / name  # an absolute name stays as it is


def training_loader(context: FitContext, unit: Unit, number: int, epochs: int) -> tuple[BatchLoader, int]:
    """Augmented batches of a stage, and how many there are in an epoch."""
    spec, data = context.spec, context.samples
    seed = derive_seed(unit.seed, unit.fold, number)
    sampler, steps = training_samples(spec, data, unit.fold, number, context.options.subsample)

    def order(epoch: int) -> Sequence[int]:
        return sampler.order(epoch, seed)[: steps * spec.batch]

    loader = BatchLoader(
        reading.training_maker(spec, data.dataset, data.ids, seed, context.folders or (context.layout.base,)),
        order,
        spec.batch,
        drop_last=True,
        augmented=True,
        epochs=epochs,
        **_reading(context),
    )
    return loader, steps


def _loaders(
    context: FitContext, unit: Unit, number: int, module: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[BatchLoader, BatchLoader, Run]:
    spec, data, stage = context.spec, context.samples, context.spec.stages[number]
    train, steps = training_loader(context, unit, number, stage.epochs)
    validation_order = validation_samples(spec, data, unit.fold, number)
    validation = BatchLoader(
        reading.evaluation_maker(spec, data.dataset, data.ids),
        lambda epoch: validation_order,
        spec.batch,
        epochs=stage.epochs,
        **_reading(context),
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


def _reading(context: FitContext) -> dict[str, Any]:
    """How batches, or this process's share of them, are read for this device."""
    kind = context.fabric.device.type
    return {
        "read_ahead": 1 if kind == "cpu" else None,
        "pin_memory": kind == "cuda",
        "rank": context.fabric.global_rank,
        "world": context.fabric.world_size,
    }


def _own_hooks(
    context: FitContext,
    unit: Unit,
    number: int,
    stage: StageSpec,
    train: BatchLoader,
    pipeline: ImagePipeline,
) -> list[Hook]:
    """Hooks every stage has, after the user's: pictures, logs and the display."""
    layout = context.layout

    def path(epoch: int) -> Path:
        return layout.example(unit.fold, number, epoch, 0)

    hooks: list[Hook] = [ExamplePictures(path, context.picture), TensorBoardLog(layout.tensorboard(unit.fold, number))]
    if context.spec.showDataExamples:
        hooks.append(
            TrainingPictures(
                lambda epoch: layout.training_example(unit.fold, number, epoch, 0),
                context.picture,
                lambda epoch: [train.read(position, epoch) for position in train.order(epoch)[:PICTURED]],
                pipeline.predict,
            )
        )
    if stage.logAll:
        hooks.append(EveryBatchLog(layout.batch_metrics(unit.fold, number)))
    counts = (len(context.data.folds), len(context.spec.stages))
    bar = context.spec.verbose == 1
    hooks.append(ProgressDisplay(context.console, context.monitor, *counts, bar=bar, watch=context.watch))
    return hooks
