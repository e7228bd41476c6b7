"""Activations that torch does not have in this form. Logits and results are N x classes x ..., any float dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def linear(logits: Tensor) -> Tensor:
    """The logits as they are."""
    return logits


def softmax(logits: Tensor) -> Tensor:
    """Probabilities of exclusive classes: sum 1 over the class axis (axis 1)."""
    return logits.softmax(dim=1)


def hard_sigmoid(logits: Tensor) -> Tensor:
    """0.2 x + 0.5 cut to 0..1, as Keras defines it (torch's own has slope 1/6)."""
    return (0.2 * logits + 0.5).clamp(0, 1)
