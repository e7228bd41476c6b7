"""What would stop a fit hours later, found before its first step and before anything of earlier results is touched."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from musket.artifacts import checkpoint
from musket.core.errors import ArtifactError
from musket.core.runtime import derive_seed
from musket.core.types import Unit
from musket.experiment import build, reading
from musket.experiment.class_columns import check_class_columns
from musket.experiment.class_names import unfit_names
from musket.experiment.plan import training_samples, validation_samples
from musket.experiment.unit import FitContext, initial_path, primary_monitor


def check_unit(context: FitContext, unit: Unit) -> None:
    """Find before the first step what would stop a unit hours later.

    Raises:
        TrainingError: a stage has fewer samples than a batch, or none to validate on.
        ArtifactError: weights to start from are missing or damaged.
        DataError: the samples a stage asks for cannot be told (``negatives`` without ``isPositive``).
    """
    for number in unit.stages:
        training_samples(context.spec, context.samples, unit.fold, number, context.options.subsample)
        validation_samples(context.spec, context.samples, unit.fold, number)
        name = context.spec.stages[number].initial_weights
        if name is not None and not (path := initial_path(context.layout, name)).is_file():
            raise ArtifactError(f"stages[{number}].initial_weights: no such file", path)
    first = unit.stages[0]
    if first > 0:
        path = context.layout.weights(unit.fold, first - 1)
        if not path.is_file():
            raise ArtifactError(f"stage {first} starts from the best weights of stage {first - 1}: no such file", path)
        checkpoint.read_metadata(path)


def check_network(context: FitContext) -> None:
    """Find before the first step weights and callbacks that would stop a stage at its start.

    Warns of names of classes that are not those of the config.

    Raises:
        ArtifactError: ``initial_weights`` are no weights, or belong to another network.
        ConfigError: a figure of a single class decides, and the data has no such class.
        TrainingError: nobody knows which way the figure of ``primary_metric`` or of a callback gets better.
        ModelError, TrainingError: the network has no encoder for ``layer_decay``.
    """
    spec = context.spec
    check_class_columns(spec, context.samples.dataset)
    unfit = "" if spec.gives_maps else unfit_names(context.samples.dataset, spec)
    if unfit:
        warnings.warn(unfit, stacklevel=2)
    primary_monitor(spec)
    for stage in spec.stages:
        build.build_callbacks(spec, stage)
    names = dict.fromkeys(stage.initial_weights for stage in spec.stages if stage.initial_weights is not None)
    if not names and spec.layer_decay is None:
        return
    module = build.build_model(spec, pretrained=False)
    build.build_optimizer(spec, module, spec.lr)
    for name in names:
        path = initial_path(context.layout, name)
        checkpoint.load_matching(module, checkpoint.load_weights(path)[0], path)


def check_samples(context: FitContext, plan: Sequence[Unit]) -> None:
    """Make the first samples of every unit once, as training and validation will.

    Raises:
        DataError: they cannot be used with this config, or there are no background pictures.
    """
    spec, data = context.spec, context.samples
    folders = context.folders or (context.layout.base,)
    shown = reading.evaluation_maker(spec, data.dataset, data.ids)
    trained = reading.training_maker(spec, data.dataset, data.ids, spec.random_state, folders)
    for unit in plan:
        number = unit.stages[0]
        sampler, steps = training_samples(spec, data, unit.fold, number, context.options.subsample)
        if steps:
            trained(sampler.order(0, derive_seed(unit.seed, unit.fold, number))[0], 0)
        shown(validation_samples(spec, data, unit.fold, number)[0], None)
