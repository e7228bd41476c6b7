"""The few types every room shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch


class PredictionItem:
    """One sample: an identity, an input, a target, and later a prediction.

    Args:
        path: becomes :attr:`id`; anything, used as text.
        x: image H x W x C (uint8 0..255, or its own integer depth), or arrays for several inputs.
        y: target: mask H x W x classes (0/1 or bool); vector, class number or number; a list with one of these per
            output; or None for unlabelled data.
        prediction: filled when a dataset is combined with predictions.
    """

    def __init__(self, path: Any, x: Any, y: Any, prediction: Any = None):
        self.id = path
        self.x = x
        self.y = y
        self.prediction = prediction

    def original(self) -> PredictionItem:
        return self

    def rootItem(self) -> PredictionItem:
        return self

    def item_id(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"


@runtime_checkable
class Dataset(Protocol):
    """All that is asked of a dataset. Optional members are listed in docs/datasets.md."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> PredictionItem: ...


@dataclass(frozen=True)
class Split:
    """Positions of the samples of one fold, or of the holdout cut, in dataset order."""

    train: Sequence[int]
    validation: Sequence[int]


@dataclass(frozen=True)
class Splits:
    """What an experiment sets apart: the holdout cut, if any, and the folds of the rest."""

    holdout: Split | None
    folds: tuple[Split, ...]


@dataclass(frozen=True)
class Unit:
    """The smallest piece of work that can be trained or resumed on its own: all stages of one fold."""

    fold: int
    stages: tuple[int, ...]
    seed: int = 0


@dataclass(frozen=True)
class Sample:
    """One sample as a batch wants it.

    ``image`` is H x W x C; ``target`` H x W x classes uint8 0/1, or a float32 vector of all heads, or None.
    """

    id: str
    image: np.ndarray
    target: np.ndarray | None


@dataclass(frozen=True)
class Batch:
    """What a pipeline trains on.

    Attributes:
        images: integer or float tensor N x C x H x W (uint8 as a rule; floats are made on the device).
        targets: tensor N x classes x H x W (uint8 0/1), or vectors N x classes (float32); None for unlabelled data.
        ids: sample ids, in order.
        shared: samples of the batch in all processes, where several have a share of it each; a process that has none
            gets the first one, which does not count.
    """

    images: torch.Tensor
    targets: torch.Tensor | None
    ids: tuple[str, ...]
    shared: int | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def whole(self) -> int:
        """Samples of the batch, those in other processes included."""
        return len(self) if self.shared is None else self.shared


@dataclass(frozen=True)
class StepResult:
    """What the loop needs from one forward pass.

    Attributes:
        loss: scalar to differentiate.
        parts: detached scalars to log beside it, by name.
        predictions: detached activated predictions, N x classes x H x W or N x classes.
    """

    loss: torch.Tensor
    parts: dict[str, torch.Tensor]
    predictions: torch.Tensor
