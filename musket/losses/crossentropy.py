"""Cross-entropies. Every function takes (truth, prediction) and returns a scalar.

Truth and prediction are float tensors N x classes x ... (masks N x classes x H x W, vectors N x classes). Predictions
are probabilities in 0..1, cut to [1e-7, 1 - 1e-7] (the value of Keras) so that no logarithm is infinite. The forms
``..._on_logits`` take logits instead and need no cut: the same value, exact and with a gradient where probabilities
saturate.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from musket.core.errors import TrainingError

EPSILON = 1e-7
FOCAL_GAMMA, FOCAL_ALPHA, FOCAL_EPSILON = 2.0, 0.25, 1e-15


def binary_crossentropy(truth: Tensor, prediction: Tensor) -> Tensor:
    """-t log p - (1 - t) log(1 - p), mean over everything."""
    p = prediction.clamp(EPSILON, 1 - EPSILON)
    return -(truth * p.log() + (1 - truth) * (1 - p).log()).mean()


def binary_crossentropy_on_logits(truth: Tensor, logits: Tensor) -> Tensor:
    """Binary cross-entropy of sigmoid(logits)."""
    return F.binary_cross_entropy_with_logits(logits, truth)


def categorical_crossentropy(truth: Tensor, prediction: Tensor) -> Tensor:
    """Minus the sum over classes of t log p, mean over samples and pixels.

    Predictions are first divided by their sum over the classes, as Keras does.

    Raises:
        TrainingError: there is one class only, over which every prediction is perfect.
    """
    return -(truth * _log_of_share(prediction)).sum(1).mean()


def categorical_crossentropy_on_logits(truth: Tensor, logits: Tensor) -> Tensor:
    """Categorical cross-entropy of softmax(logits)."""
    _need_classes(logits)
    return F.cross_entropy(logits, truth)


def sparse_categorical_crossentropy(truth: Tensor, prediction: Tensor) -> Tensor:
    """Minus log p of the true class, mean over samples and pixels.

    Args:
        truth: class numbers 0 .. classes-1, N x ... or N x 1 x ....
        prediction: probabilities N x classes x ....

    Raises:
        TrainingError: there is one class only, or the shapes do not fit.
    """
    return F.nll_loss(_log_of_share(prediction), _class_numbers(truth, prediction))


def sparse_categorical_crossentropy_on_logits(truth: Tensor, logits: Tensor) -> Tensor:
    """Sparse categorical cross-entropy of softmax(logits)."""
    _need_classes(logits)
    return F.cross_entropy(logits, _class_numbers(truth, logits))


def focal_loss(truth: Tensor, prediction: Tensor) -> Tensor:
    """Focal loss (Lin et al. 2017, arXiv:1708.02002), gamma 2 and alpha 0.25, SUMMED over everything.

    -alpha (1-p)^2 log p where t is 1, -(1-alpha) p^2 log(1-p) where t is 0; logarithms of numbers below 1e-15 are cut.
    """
    log_p = prediction.clamp(min=FOCAL_EPSILON).log()
    log_q = (1 - prediction).clamp(min=FOCAL_EPSILON).log()
    return _focal(truth, prediction, log_p, log_q)


def focal_loss_on_logits(truth: Tensor, logits: Tensor) -> Tensor:
    """Focal loss of sigmoid(logits)."""
    return _focal(truth, logits.sigmoid(), F.logsigmoid(logits), F.logsigmoid(-logits))


def _focal(truth: Tensor, p: Tensor, log_p: Tensor, log_q: Tensor) -> Tensor:
    hit = FOCAL_ALPHA * (1 - p) ** FOCAL_GAMMA * log_p
    miss = (1 - FOCAL_ALPHA) * p**FOCAL_GAMMA * log_q
    return -torch.where(truth > 0.5, hit, miss).sum()


def _log_of_share(prediction: Tensor) -> Tensor:
    """Logarithm of each class's share of the sum over classes."""
    _need_classes(prediction)
    share = prediction / prediction.sum(1, keepdim=True).clamp(min=EPSILON)
    return share.clamp(EPSILON, 1 - EPSILON).log()


def _need_classes(prediction: Tensor) -> None:
    if prediction.shape[1] < 2:
        raise TrainingError(
            "a categorical cross-entropy needs two classes or more: over one class every prediction is perfect and "
            "nothing is learned. Use binary_crossentropy with sigmoid, or set classes"
        )


def _class_numbers(truth: Tensor, prediction: Tensor) -> Tensor:
    numbers = truth.squeeze(1) if truth.ndim == prediction.ndim and truth.shape[1] == 1 else truth
    if numbers.shape != prediction.shape[:1] + prediction.shape[2:]:
        raise TrainingError(
            f"sparse_categorical_crossentropy wants one class number per sample or pixel for a prediction of shape "
            f"{tuple(prediction.shape)}, but the truth has shape {tuple(truth.shape)}. For a channel per class use "
            "categorical_crossentropy"
        )
    return numbers.long()
