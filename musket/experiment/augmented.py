"""What augmentation makes of training samples, to be looked at before training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musket.core.errors import MusketError
from musket.core.runtime import derive_seed
from musket.experiment.class_names import class_names
from musket.experiment.plan import training_samples
from musket.experiment.reading import TargetShape, checked_arrays, fetch, training_maker
from musket.report.labels import truth_in_words
from musket.report.samples import draw_table

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.prepare_data import PreparedData


def augmentation_sheet(
    spec: NetworkSpec,
    samples: PreparedData,
    folders: Sequence[Path],
    *,
    count: int = 6,
    columns: int = 4,
    seed: int | None = None,
) -> np.ndarray:
    """Draw training samples as they are stored, and beside them as the network gets them.

    Masks are laid over the images, labels stand beneath them.

    Args:
        samples: what is trained on.
        folders: where relative paths of the config may begin.
        count: how many samples, the first ones of fold 0.
        columns: how many draws of each.
        seed: of the draws. None: column 1 is what the first epoch of fold 0 trains on, column 2 the second ...

    Returns:
        RGB picture, uint8.

    Raises:
        DataError: a sample cannot be used.
        MusketError: a number below 1; fewer samples than a batch; the config trains on nothing.
    """
    for name, number in (("count", count), ("columns", columns)):
        if number < 1:
            raise MusketError(f"{name} must be at least 1; found {number}")
    sampler, _ = training_samples(spec, samples, 0, 0)
    if not len(sampler):
        raise MusketError(f"{spec.source}: nothing is trained (noTrain), so nothing is augmented")
    draws = derive_seed(spec.random_state, 0, 0) if seed is None else seed
    make = training_maker(spec, samples.dataset, samples.ids, draws, folders)
    shape = TargetShape.of(spec)
    names = None if shape.heads is None else class_names(samples.dataset, spec)
    rows, captions = [], []
    chosen = sampler.part[:count]
    for position in chosen:
        item = fetch(samples.dataset, position, False)
        image, target = checked_arrays(item, samples.ids[position], shape, needs_truth=True)
        made = [make(position, epoch) for epoch in range(columns)]
        if shape.heads is None:
            rows.append([(image, target), *((sample.image, sample.target) for sample in made)])
            captions.append(samples.ids[position])
        else:
            assert target is not None, "training samples have targets"
            rows.append([(image, None), *((sample.image, None) for sample in made)])
            captions.append(f"{truth_in_words(target, shape.heads, names)}  ({samples.ids[position]})")
    heads = ["as stored", *(f"draw {number + 1}" for number in range(columns))]
    return draw_table(rows, heads, captions)
