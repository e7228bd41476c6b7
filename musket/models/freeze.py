"""Freezing the pretrained part of a network, and letting it go again."""

from __future__ import annotations

from torch import nn

from musket.core.errors import ModelError
from musket.models.network import ImageNetwork


def freeze_encoder(model: nn.Module) -> None:
    """Hold the encoder still: neither its weights nor the statistics of its normalisations change while training.

    Decoder and heads go on learning. Freezing a frozen encoder changes nothing.

    Raises:
        ModelError: the network has no part that could be called its encoder.
    """
    _set_frozen(model, frozen=True)


def unfreeze_encoder(model: nn.Module) -> None:
    """Let all of the encoder learn again, the statistics of its normalisations included.

    Raises:
        ModelError: the network has no part that could be called its encoder.
    """
    _set_frozen(model, frozen=False)


def _set_frozen(model: nn.Module, *, frozen: bool) -> None:
    if not isinstance(model, ImageNetwork):
        raise ModelError(
            f"{type(model).__name__} was built by neither build_segmenter nor build_classifier: no part of it is known "
            "as its encoder"
        )
    for parameter in model.encoder_parameters():
        parameter.requires_grad_(not frozen)
    model.encoder_frozen = frozen
    model.train(model.training)
