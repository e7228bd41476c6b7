"""Which units of work an experiment has, and which samples each stage sees. The same every time it is asked."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from musket.core.errors import TrainingError
from musket.core.types import Unit
from musket.data.sampling import PartSampler, part_order
from musket.experiment.sampling_shares import sampling_shares

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.prepare_data import PreparedData


def fold_numbers(folds: Iterable[int] | int | None) -> list[int] | None:
    """Folds as a user gave them: one or several whole numbers, numpy's too; None = all.

    Raises:
        TrainingError: they are none, or no fold is left to train.
    """
    if folds is None:
        return None
    try:
        numbers = [operator.index(fold) for fold in (folds if isinstance(folds, Iterable) else [folds])]
    except TypeError:
        raise TrainingError(f"foldsToExecute is a list of fold numbers; found {folds!r}") from None
    if not numbers:
        raise TrainingError("foldsToExecute is empty, so there is nothing to train; leave it out to train all folds")
    return numbers


def units(
    fold_count: int, stage_count: int, folds: Sequence[int] | None = None, first_stage: int = 0, seed: int = 0
) -> list[Unit]:
    """One unit per fold, in order, each with its stages.

    Args:
        folds: only these; None means all.
        first_stage: stages before it are not trained; their best weights are loaded.
        seed: with the fold it decides every random number of the unit.

    Raises:
        TrainingError: there is no such fold or stage.
    """
    chosen = list(range(fold_count)) if folds is None else list(dict.fromkeys(folds))
    for fold in chosen:
        if not 0 <= fold < fold_count:
            raise TrainingError(f"there is no fold {fold}; this experiment has folds 0 to {fold_count - 1}")
    if not hasattr(first_stage, "__index__") or not 0 <= first_stage < stage_count:
        raise TrainingError(f"there is no stage {first_stage!r}; this experiment has stages 0 to {stage_count - 1}")
    return [Unit(fold, tuple(range(first_stage, stage_count)), seed) for fold in chosen]


def training_samples(
    spec: NetworkSpec, data: PreparedData, fold: int, number: int, subsample: float = 1.0
) -> tuple[PartSampler, int]:
    """The training samples of a stage after ``negatives``, drawn as ``sampler`` says, and the full batches of an epoch.

    An epoch has as many draws as there are samples, times ``subsample``.

    Both are nothing with ``noTrain``.

    Raises:
        TrainingError: they do not fill a batch.
        DataError: ``negatives`` asks for positive samples and there are none, or the dataset cannot tell; the same for
            the classes or weights that ``sampler`` goes by.
    """
    if spec.noTrain:
        return PartSampler(()), 0
    part, stage = data.folds[fold].train, spec.stages[number]
    shares = sampling_shares(spec, data, None if stage.sampler == "none" else stage.sampler or spec.sampler)
    sampler = PartSampler(part, stage.negatives, data.is_positive, shares=shares, count=len(data.ids))
    kept = max(1, round(len(sampler) * subsample)) if len(sampler) else 0
    if kept < spec.batch:
        why = f" in stage {number} after negatives and subsample" if kept < len(part) else ""
        raise TrainingError(
            f"0 iterations: fold {fold} has {kept} training samples{why}, fewer than one batch of {spec.batch}. "
            "Lower batch, folds_count or testSplit, or add images"
        )
    return sampler, min(kept // spec.batch, spec.maxEpochSize or kept)


def validation_samples(spec: NetworkSpec, data: PreparedData, fold: int, number: int) -> list[int]:
    """The validation samples of a stage after ``validation_negatives``, in order.

    Raises:
        TrainingError: there is none.
        DataError: as above.
    """
    stage = spec.stages[number]
    negatives = stage.negatives if stage.validation_negatives is None else stage.validation_negatives
    samples = part_order(data.folds[fold].validation, negatives, data.is_positive)
    if not samples:
        raise TrainingError(
            f"fold {fold} has no validation samples, so no epoch of it could be judged. Raise validationSplit or add "
            "images; where the dataset brings its own folds, give each of them a validation part"
        )
    return samples
