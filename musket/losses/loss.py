"""A loss at work: float32, logits where they are better, every part known by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from musket.core.errors import TrainingError


@dataclass(frozen=True)
class Part:
    """One weighted term.

    Attributes:
        name: as written in the expression.
        function: ``f(truth, prediction)``, a scalar or a tensor whose mean is taken.
        takes_logits: hand it logits, not activated predictions.
        same_shape: refuse truth of another shape than the prediction, which torch would silently broadcast.
    """

    name: str
    weight: float
    function: Callable[[Tensor, Tensor], Tensor]
    takes_logits: bool = False
    same_shape: bool = False

    def value(self, truth: Tensor, prediction: Tensor) -> Tensor:
        """The unweighted scalar. Raises TrainingError when shapes differ or no tensor comes back."""
        if self.same_shape and truth.shape != prediction.shape:
            raise TrainingError(
                f"loss {self.name}: truth has shape {tuple(truth.shape)}, prediction {tuple(prediction.shape)}. "
                "Both must be samples x classes x .... Compare classes with the channels of the masks"
            )
        value = self.function(truth, prediction)
        if not isinstance(value, Tensor):
            raise TrainingError(
                f"loss {self.name} returned {type(value).__name__} {value!r}; it must return a tensor computed from "
                "the prediction, or nothing can be learned from it"
            )
        return value if value.ndim == 0 else value.mean()


@dataclass(frozen=True)
class Loss:
    """A sum of weighted terms.

    Called with (logits, truth), it returns the total to differentiate and, when there is more than one term, the
    detached unweighted value of each by name. Everything is computed in float32 (float64 stays), under autocast too.

    Args of the call:
        logits: N x classes x ..., any float dtype.
        truth: as the terms want it, as a rule 0/1 in the shape of the logits; any dtype.
    """

    parts: tuple[Part, ...]
    activation: Callable[[Tensor], Tensor]

    def __call__(self, logits: Tensor, truth: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        with _full_precision(logits.device.type):
            logits = logits if logits.dtype == torch.float64 else logits.float()
            truth = truth.to(logits.dtype)
            prediction = logits if all(part.takes_logits for part in self.parts) else self.activation(logits)
            values = [part.value(truth, logits if part.takes_logits else prediction) for part in self.parts]
            weighted = [part.weight * value for part, value in zip(self.parts, values, strict=True)]
            total = sum(weighted[1:], start=weighted[0])
        if len(values) == 1:
            return total, {}
        return total, {part.name: value.detach() for part, value in zip(self.parts, values, strict=True)}


def _full_precision(device: str) -> AbstractContextManager[object]:
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()
