"""Pretrained weights of three input channels for images with any number of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from musket.core.errors import ModelError

PRETRAINED = 3
"""Channels all public weights were trained on (red, green, blue)."""


def adapt_kernel(kernel: torch.Tensor, channels: int, *, copy: bool = False) -> torch.Tensor:
    """First-layer weights for another number of input channels.

    The rule of the old framework, for any count: the first three channels keep their weights, so images whose further
    channels are ignored are seen as before. One channel gets the sum of the three: a grey image is then seen as if its
    value stood in all of them.

    Args:
        kernel: out x 3 x height x width (or out x 3).
        channels: input channels wanted, at least 1.
        copy: channels beyond the third start as copies of the third, not as zeros (``copyWeights``).

    Returns:
        out x channels x height x width.
    """
    if channels == 1:
        return kernel.sum(dim=1, keepdim=True)
    kept = kernel[:, : min(channels, PRETRAINED)]
    shape = (kernel.shape[0], channels - kept.shape[1], *kernel.shape[2:])
    more = kernel[:, PRETRAINED - 1 : PRETRAINED].expand(shape) if copy else kernel.new_zeros(shape)
    return torch.cat([kept, more], dim=1)


def adapt_values(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Three per-channel values (mean, deviation, a normalisation's weights) for another number of channels.

    The first three are kept; one channel alone, and every channel beyond the third, gets their mean.
    """
    mean = sum(values) / len(values)
    if channels == 1:
        return (mean,)
    kept = tuple(float(value) for value in values[:channels])
    return kept + (mean,) * (channels - len(kept))


def adapt_state(
    pretrained: Mapping[str, torch.Tensor],
    wanted: Mapping[str, torch.Tensor],
    channels: int,
    *,
    copy: bool = False,
    key: str = "encoder_weights",
) -> dict[str, torch.Tensor]:
    """Weights of a three-channel encoder brought to the shapes of one that takes ``channels``.

    What differs in its second axis is a first-layer kernel; what differs in its only axis belongs to a normalisation
    before the first layer.

    Args:
        pretrained: state of the three-channel encoder.
        wanted: state of the encoder to fill; only its shapes are read.
        copy: see :func:`adapt_kernel`.
        key: of the config, where weights are named.

    Raises:
        ModelError: a tensor differs in another way.
    """
    adapted = {}
    for name, tensor in pretrained.items():
        shape = tuple(wanted[name].shape) if name in wanted else tuple(tensor.shape)
        if tuple(tensor.shape) == shape:
            adapted[name] = tensor
        elif (
            tensor.ndim >= 2
            and shape == (tensor.shape[0], channels, *tensor.shape[2:])
            and tensor.shape[1] == PRETRAINED
        ):
            adapted[name] = adapt_kernel(tensor, channels, copy=copy)
        elif tensor.shape == (PRETRAINED,) and shape == (channels,):
            adapted[name] = tensor.new_tensor(adapt_values(tensor.tolist(), channels))
        else:
            raise ModelError(
                f"the pretrained weights do not fit: {name} is {tuple(tensor.shape)} in them and {shape} in this "
                f"network for {channels} channels. Set {key}: null, or choose another network"
            )
    return adapted
