"""Several outputs of one network: channels side by side, each head with its own activation and loss."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from musket.losses.catalogue import ACTIVATIONS
from musket.losses.compose import build_loss
from musket.losses.loss import Loss

Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class HeadsActivation:
    """Logits N x sum(classes) x ... -> scores of the same shape, every head's channels by its own activation."""

    classes: tuple[int, ...]
    activations: tuple[Activation, ...]

    def __call__(self, logits: Tensor) -> Tensor:
        heads = logits.split(self.classes, dim=1)
        return torch.cat([activate(head) for activate, head in zip(self.activations, heads, strict=True)], dim=1)


@dataclass(frozen=True)
class HeadsLoss:
    """Sum of the heads' losses; the parts are ``loss_<name of the head>``.

    Args of the call:
        logits: N x sum(classes) x ...; truth: in the same shape.
    """

    classes: tuple[int, ...]
    losses: tuple[Loss, ...]
    names: tuple[str, ...]

    def __call__(self, logits: Tensor, truth: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        pairs = zip(logits.split(self.classes, dim=1), truth.split(self.classes, dim=1), strict=True)
        totals = [loss(*pair)[0] for loss, pair in zip(self.losses, pairs, strict=True)]
        return sum(totals[1:], start=totals[0]), {
            f"loss_{name}": total.detach() for name, total in zip(self.names, totals, strict=True)
        }


def build_heads_loss(
    loss: str | Sequence[str],
    activation: str | Sequence[str],
    classes: int | Sequence[int],
    *,
    names: Sequence[str] | None = None,
    class_weights: Sequence[Any] | None = None,
) -> Loss:
    """The loss of a network with one head, or of one with several (``classes`` is a list).

    A single loss or activation serves every head.

    Args:
        loss, activation, classes: as in the config.
        names: of the heads, for the parts of the loss. Default: their numbers, from 0.
        class_weights: a number per class; of several heads one such list, or None, per head. See
            :func:`musket.losses.compose.build_loss`.

    Raises:
        ValueError, RegistryError: see :func:`musket.losses.compose.build_loss`.
    """
    if isinstance(classes, int):
        assert isinstance(loss, str), "the config check refuses a list of losses for one head"
        assert isinstance(activation, str), "the config check refuses a list of activations for one head"
        return build_loss(loss, activation, class_weights=class_weights)
    weights = (None,) * len(classes) if class_weights is None else class_weights
    each = zip(per_head(loss, classes), per_head(activation, classes), weights, strict=True)
    losses = tuple(build_loss(text, head, class_weights=own) for text, head, own in each)
    called = tuple(names or map(str, range(len(classes))))
    return HeadsLoss(tuple(classes), losses, called)  # type: ignore[return-value]


def build_heads_activation(activation: str | Sequence[str], classes: int | Sequence[int]) -> Activation:
    """Logits -> scores for one head, or for several; see :func:`build_heads_loss`."""
    if isinstance(classes, int):
        assert isinstance(activation, str), "the config check refuses lists for one head"
        return ACTIVATIONS.load(activation or "linear")
    loaded = tuple(ACTIVATIONS.load(name or "linear") for name in per_head(activation, classes))
    return HeadsActivation(tuple(classes), loaded)


def per_head(names: str | Sequence[str], classes: Sequence[int]) -> tuple[str, ...]:
    """One name per head: those given, or the one given for all."""
    return tuple(itertools.repeat(names, len(classes))) if isinstance(names, str) else tuple(names)
