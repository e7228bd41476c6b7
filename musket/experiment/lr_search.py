"""Search for a learning rate on what a fit would train: the same network, batches, loss and clipping."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError, TrainingError
from musket.core.runtime import seed_torch
from musket.core.types import Batch, Unit
from musket.data.loader import BatchLoader
from musket.experiment import build
from musket.experiment.class_weights import class_weights_of
from musket.experiment.folded import folds_among
from musket.experiment.plan import units
from musket.experiment.prepare_data import PreparedData, keep_decoded, prepare
from musket.experiment.unit import FitContext, load_initial, set_frozen, start_network, training_loader
from musket.training.loop import Clipping
from musket.training.lr_finder import LRFinder, search

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.projects.project import Project


def borrowed(
    spec: NetworkSpec, layout: Layout, dataset: Any, project: Project | None, holdout: Sequence[int] | None = None
) -> PreparedData:
    """The data as a fit would part it, without storing that: decoded files are all that is kept.

    Where the stored splits are those of other data or settings, folds are drawn among all samples, for this once.

    Raises:
        DataError: the dataset is empty or cannot be read, or cannot be split that way.
    """
    keep_decoded(spec, layout, dataset, project)
    try:
        data = prepare(spec, layout, dataset, project, store=False, holdout=holdout)
    except ArtifactError:
        data = folds_among(spec, layout, dataset, project, range(len(dataset)))
    keep_decoded(spec, layout, data.dataset, project)  # extra_train_data is among it now
    return data


def search_rate(
    context: FitContext,
    stage: int = 0,
    start_lr: float = 1e-6,
    end_lr: float = 1.0,
    epochs: int = 5,
    *,
    fewest: int = 1,
) -> LRFinder:
    """Train the first selected fold for a while as one stage would, with a growing rate. Nothing is written.

    A stage after the first begins with the best weights of the one before, as in a fit. Callbacks stay away. Random
    generators of Python, numpy and torch are left as they were found.

    Args:
        context: of a fit; its options choose folds and subsample.
        stage: whose loss, frozen parts and samples count.
        start_lr, end_lr: rates to search, growing.
        epochs: passes over the training part.
        fewest: batches the search must have, at least.

    Raises:
        TrainingError: there is no such fold or stage, a bad range, fewer samples than a batch, fewer batches than
            asked for, nothing to train (``noTrain``), a first loss that is no number.
        ArtifactError: the weights of the stage before are missing.
    """
    if not 0 < start_lr < end_lr:
        raise TrainingError(f"start_lr must be above 0 and below end_lr; found {start_lr:g} and {end_lr:g}")
    if math.isinf(end_lr):
        raise TrainingError(f"end_lr must be finite; found {end_lr:g}")
    if epochs < 1:
        raise TrainingError(f"epochs must be 1 or more; found {epochs}")
    if context.spec.noTrain:
        raise TrainingError("noTrain: true trains nothing, so there is no rate to search for; set noTrain: false")
    with _randomness_kept(context.fabric.device):
        return _search(context, stage, start_lr, end_lr, epochs, fewest)


def _search(context: FitContext, stage: int, start_lr: float, end_lr: float, epochs: int, fewest: int) -> LRFinder:
    spec, layout, fabric = context.spec, context.layout, context.fabric
    unit = units(len(context.data.folds), len(spec.stages), context.options.folds, stage, seed=spec.random_state)[0]
    if stage > 0 and not (path := layout.weights(unit.fold, stage - 1)).exists():
        raise ArtifactError(
            f"stage {stage} starts from the best weights of stage {stage - 1}: no such file; train that stage first",
            path,
        )
    loader, steps = training_loader(context, unit, stage, epochs)
    count = steps * epochs
    if count < fewest:
        loader.close()
        raise TrainingError(
            f"{epochs} epochs of {steps} batches are too few to tell a rate from (at least {fewest} batches); search "
            f"for {math.ceil(fewest / steps)} epochs or more, or lower batch"
        )
    module, inputs = start_network(context, unit, stage)
    wrapped = fabric.setup_module(module)
    for past in spec.stages[: stage + 1]:
        set_frozen(module, past.freeze_encoder, past.unfreeze_encoder)
    own = spec.stages[stage]
    if own.initial_weights is not None:
        load_initial(context, module, own.initial_weights)
    loss = own.loss or spec.loss
    assert loss is not None, "the config check asks for a loss, here or at the root"
    weights = class_weights_of(spec, context.samples, context.samples.folds[unit.fold].train)
    optimizer = build.build_optimizer(spec, module, start_lr)
    seed_torch(unit.seed, "lr search", unit.fold, stage)
    with _Bar(context, unit, count) as bar:
        try:
            return search(
                fabric,
                wrapped,
                cast("torch.optim.Optimizer", fabric.setup_optimizers(optimizer)),
                build.build_pipeline(spec, inputs, loss, fabric.device, weights),
                _batches(loader, epochs),
                count,
                start_lr,
                end_lr,
                Clipping(spec.clipnorm, spec.clipvalue),
                bar.show,
                spec.accumulate,
            )
        finally:
            loader.close()


@contextlib.contextmanager
def _randomness_kept(device: torch.device) -> Iterator[None]:
    """Put the global random generators, the device's among them, back to where they were."""
    generators: list[Any] = [torch, *([] if device.type == "cpu" else [torch.get_device_module(device)])]
    states = [module.get_rng_state() for module in generators]
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002 (users' datasets draw from it)
    try:
        yield
    finally:
        for module, state in zip(generators, states, strict=True):
            module.set_rng_state(state)
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)


def _batches(loader: BatchLoader, epochs: int) -> Iterator[Batch]:
    return itertools.chain.from_iterable(map(loader.epoch, range(epochs)))


class _Bar:
    """A bar with rate and loss on a terminal; nothing elsewhere."""

    def __init__(self, context: FitContext, unit: Unit, count: int):
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=context.console,
            transient=True,
            expand=True,
            disable=not context.console.is_terminal,
        )
        self.task = self.bar.add_task(f"search of a learning rate, fold {unit.fold}", total=count, state="")

    def __enter__(self) -> _Bar:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def show(self, lr: float, loss: float) -> None:
        """One batch more."""
        self.bar.update(self.task, advance=1, state=f"lr {lr:.1e}  loss {loss:.4f}")
