"""Which units of work an experiment has. Pure: printable, and the same every time it is asked."""

from __future__ import annotations

from collections.abc import Sequence

from musket.core.errors import TrainingError
from musket.core.types import Unit


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
    if not 0 <= first_stage < stage_count:
        raise TrainingError(f"there is no stage {first_stage}; this experiment has stages 0 to {stage_count - 1}")
    return [Unit(fold, tuple(range(first_stage, stage_count)), seed) for fold in chosen]
