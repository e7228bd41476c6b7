"""Batch normalisation that a batch of one image does not stop."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn
from torch.nn import functional


def _has_single_values(norm: Any, values: torch.Tensor) -> bool:
    return norm.training and values.numel() == values.shape[1]


def _by_running_statistics(norm: Any, values: torch.Tensor) -> torch.Tensor:
    mean, variance = norm.running_mean, norm.running_var
    return functional.batch_norm(values, mean, variance, norm.weight, norm.bias, training=False, eps=norm.eps)


class LenientBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that falls back on its running statistics where a batch has a single value per channel.

    That happens behind a global pooling (PSPNet, DeepLab, PAN, UPerNet) and in the last layers for small images, with a
    batch of one image, for instance the last one of an epoch. torch raises there.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002  torch's own name
        return _by_running_statistics(self, input) if _has_single_values(self, input) else super().forward(input)


class LenientBatchNorm1d(nn.BatchNorm1d):
    """The same for vectors and sequences."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002  torch's own name
        return _by_running_statistics(self, input) if _has_single_values(self, input) else super().forward(input)


class LenientBatchNormAct2d(BatchNormAct2d):
    """The same for timm's normalisation that has the activation in it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if _has_single_values(self, x):
            return self.act(self.drop(_by_running_statistics(self, x)))
        return super().forward(x)


_LENIENT: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: LenientBatchNorm1d,
    nn.BatchNorm2d: LenientBatchNorm2d,
    BatchNormAct2d: LenientBatchNormAct2d,
}


def tolerate_single_values(network: nn.Module) -> None:
    """Turn every plain batch normalisation into the lenient kind; parameters, statistics and names stay."""
    for module in network.modules():
        if type(module) in _LENIENT and getattr(module, "running_mean", None) is not None:
            module.__class__ = _LENIENT[type(module)]
