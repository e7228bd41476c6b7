"""Distances and margins, as Keras defines them. Every function takes (truth, prediction) and returns a scalar.

Truth and prediction are float tensors of one shape, N x classes x ...; "over classes" means axis 1. Means run over
everything that is left. Formulas: Keras 2, ``keras/losses.py``.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-7


def mean_squared_error(truth: Tensor, prediction: Tensor) -> Tensor:
    """Mean of (t - p)^2."""
    return F.mse_loss(prediction, truth)


def mean_absolute_error(truth: Tensor, prediction: Tensor) -> Tensor:
    """Mean of |t - p|."""
    return F.l1_loss(prediction, truth)


def mean_absolute_percentage_error(truth: Tensor, prediction: Tensor) -> Tensor:
    """Mean of 100 |t - p| / max(|t|, 1e-7)."""
    return 100 * ((truth - prediction).abs() / truth.abs().clamp(min=EPSILON)).mean()


def mean_squared_logarithmic_error(truth: Tensor, prediction: Tensor) -> Tensor:
    """Mean of (log(1 + t) - log(1 + p))^2; values below 1e-7 count as 1e-7."""
    return (truth.clamp(min=EPSILON).log1p() - prediction.clamp(min=EPSILON).log1p()).square().mean()


def l2_loss(truth: Tensor, prediction: Tensor) -> Tensor:
    """SUM of (t - p)^2 over everything."""
    return F.mse_loss(prediction, truth, reduction="sum")


def logcosh(truth: Tensor, prediction: Tensor) -> Tensor:
    """Mean of log(cosh(p - t))."""
    gap = prediction - truth
    return (gap + F.softplus(-2 * gap) - math.log(2)).mean()


def huber(truth: Tensor, prediction: Tensor) -> Tensor:
    """Mean of (t - p)^2 / 2 where |t - p| is below 1, else |t - p| - 1/2. Huber 1964, doi:10.1214/aoms/1177703732."""
    return F.huber_loss(prediction, truth)


def hinge(truth: Tensor, prediction: Tensor) -> Tensor:
    """Mean of max(0, 1 - (2t - 1) p): truth 0/1 is taken as -1/1."""
    return (1 - (2 * truth - 1) * prediction).relu().mean()


def squared_hinge(truth: Tensor, prediction: Tensor) -> Tensor:
    """Mean of max(0, 1 - (2t - 1) p)^2: truth 0/1 is taken as -1/1."""
    return (1 - (2 * truth - 1) * prediction).relu().square().mean()


def categorical_hinge(truth: Tensor, prediction: Tensor) -> Tensor:
    """Mean of max(0, 1 + max over classes of (1 - t) p - sum over classes of t p)."""
    positive = (truth * prediction).sum(1)
    negative = ((1 - truth) * prediction).amax(1)
    return (1 + negative - positive).relu().mean()


def poisson(truth: Tensor, prediction: Tensor) -> Tensor:
    """Mean of p - t log(p + 1e-7); a negative prediction counts as 0 in the logarithm."""
    return (prediction - truth * (prediction.relu() + EPSILON).log()).mean()


def kullback_leibler_divergence(truth: Tensor, prediction: Tensor) -> Tensor:
    """Sum over classes of t log(t / p), both cut to [1e-7, 1], mean over samples and pixels."""
    t, p = truth.clamp(EPSILON, 1), prediction.clamp(EPSILON, 1)
    return (t * (t / p).log()).sum(1).mean()


def cosine_proximity(truth: Tensor, prediction: Tensor) -> Tensor:
    """Minus the cosine between t and p over the classes, mean over samples and pixels; 0 where either is all 0."""
    t, p = (values * values.square().sum(1, keepdim=True).clamp(min=1e-12).rsqrt() for values in (truth, prediction))
    return -(t * p).sum(1).mean()
