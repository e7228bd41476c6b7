"""Cross-entropies. Every function takes (truth, prediction) and returns a scalar.

Truth and prediction are float tensors N x classes x ... (masks N x classes x H x W, vectors N x classes). Predictions
are probabilities in 0..1, cut to [1e-7, 1 - 1e-7] (the value of Keras) so that no logarithm is infinite. The forms
``..._on_logits`` take logits instead and need no cut: the same value, exact and with a gradient where probabilities
saturate.

All of them take ``class_weights``, a number per class. The categorical ones weigh a sample or pixel by its true class.
The binary ones weigh a value by its class where the truth has that class, and by 1 where it has not, so that a weight
above 1 speaks for finding a rare class (``pos_weight`` of torch). A weighted mean is divided by the sum of the weights,
as in ``torch.nn.CrossEntropyLoss``: weights change what counts, not how large a step is. A batch of nothing but weight
0 costs 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from musket.core.errors import TrainingError

EPSILON = 1e-7
FOCAL_GAMMA, FOCAL_ALPHA, FOCAL_EPSILON = 2.0, 0.25, 1e-15

ClassWeights = Sequence[float] | None


def binary_crossentropy(truth: Tensor, prediction: Tensor, class_weights: ClassWeights = None) -> Tensor:
    """-t log p - (1 - t) log(1 - p), mean over everything."""
    p = prediction.clamp(EPSILON, 1 - EPSILON)
    costs = -(truth * p.log() + (1 - truth) * (1 - p).log())
    return costs.mean() if class_weights is None else _weighted_mean(costs, _of_values(class_weights, truth))


def binary_crossentropy_on_logits(truth: Tensor, logits: Tensor, class_weights: ClassWeights = None) -> Tensor:
    """Binary cross-entropy of sigmoid(logits)."""
    if class_weights is None:
        return F.binary_cross_entropy_with_logits(logits, truth)
    costs = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return _weighted_mean(costs, _of_values(class_weights, truth))


def categorical_crossentropy(truth: Tensor, prediction: Tensor, class_weights: ClassWeights = None) -> Tensor:
    """Minus the sum over classes of t log p, mean over samples and pixels.

    Predictions are first divided by their sum over the classes, as Keras does. Soft truth is weighed class by class.

    Raises:
        TrainingError: there is one class only, over which every prediction is perfect.
    """
    log_p = _log_of_share(prediction)
    if class_weights is None:
        return -(truth * log_p).sum(1).mean()
    return _weighted_mean(-log_p, truth * _along(class_weights, prediction))


def categorical_crossentropy_on_logits(truth: Tensor, logits: Tensor, class_weights: ClassWeights = None) -> Tensor:
    """Categorical cross-entropy of softmax(logits)."""
    _need_classes(logits)
    if class_weights is None:
        return F.cross_entropy(logits, truth)
    return _weighted_mean(-logits.log_softmax(1), truth * _along(class_weights, logits))


def sparse_categorical_crossentropy(truth: Tensor, prediction: Tensor, class_weights: ClassWeights = None) -> Tensor:
    """Minus log p of the true class, mean over samples and pixels.

    Args:
        truth: class numbers 0 .. classes-1, N x ... or N x 1 x ...; or in the shape of the prediction, where the
            highest class is the true one.
        prediction: probabilities N x classes x ....
        class_weights: see the head of this module.

    Raises:
        TrainingError: there is one class only, or the shapes do not fit.
    """
    return _of_true_class(_log_of_share(prediction), _class_numbers(truth, prediction), class_weights)


def sparse_categorical_crossentropy_on_logits(
    truth: Tensor, logits: Tensor, class_weights: ClassWeights = None
) -> Tensor:
    """Sparse categorical cross-entropy of softmax(logits)."""
    _need_classes(logits)
    return _of_true_class(logits.log_softmax(1), _class_numbers(truth, logits), class_weights)


def focal_loss(truth: Tensor, prediction: Tensor, class_weights: ClassWeights = None) -> Tensor:
    """Focal loss (Lin et al. 2017, arXiv:1708.02002), gamma 2 and alpha 0.25, SUMMED over everything.

    -alpha (1-p)^2 log p where t is 1, -(1-alpha) p^2 log(1-p) where t is 0; logarithms of numbers below 1e-15 are cut.
    Soft truth costs the mixture of both. A sum stays a sum with weights too.
    """
    log_p = prediction.clamp(min=FOCAL_EPSILON).log()
    log_q = (1 - prediction).clamp(min=FOCAL_EPSILON).log()
    return _focal(truth, prediction, log_p, log_q, class_weights)


def focal_loss_on_logits(truth: Tensor, logits: Tensor, class_weights: ClassWeights = None) -> Tensor:
    """Focal loss of sigmoid(logits)."""
    return _focal(truth, logits.sigmoid(), F.logsigmoid(logits), F.logsigmoid(-logits), class_weights)


def _focal(truth: Tensor, p: Tensor, log_p: Tensor, log_q: Tensor, class_weights: ClassWeights) -> Tensor:
    hit = FOCAL_ALPHA * (1 - p) ** FOCAL_GAMMA * log_p
    if class_weights is not None:
        hit = hit * _along(class_weights, p)
    miss = (1 - FOCAL_ALPHA) * p**FOCAL_GAMMA * log_q
    return -(truth * hit + (1 - truth) * miss).sum()


def _of_true_class(log_p: Tensor, numbers: Tensor, class_weights: ClassWeights) -> Tensor:
    if class_weights is None:
        return F.nll_loss(log_p, numbers)
    weights = _along(class_weights, log_p).flatten()
    return _weighted_mean(F.nll_loss(log_p, numbers, reduction="none"), weights[numbers])


def _weighted_mean(costs: Tensor, weights: Tensor) -> Tensor:
    return (weights * costs).sum() / weights.sum().clamp(min=EPSILON)


def _of_values(class_weights: Sequence[float], truth: Tensor) -> Tensor:
    """The weight of each value: that of its class where the truth has it, 1 where not, between for soft truth."""
    return 1 + truth * (_along(class_weights, truth) - 1)


def _along(class_weights: Sequence[float], values: Tensor) -> Tensor:
    """The weights along the class axis, 1 x classes x 1 ..., in the dtype of the values."""
    if len(class_weights) != values.shape[1]:
        raise TrainingError(f"there are {len(class_weights)} class weights for {values.shape[1]} classes")
    shape = (1, -1, *(1,) * (values.ndim - 2))
    # Without non_blocking the host would wait here for everything the device has yet to do.
    return torch.tensor(class_weights, dtype=values.dtype).to(values.device, non_blocking=True).view(shape)


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
    if truth.shape == prediction.shape:
        return truth.argmax(1)
    numbers = truth.squeeze(1) if truth.ndim == prediction.ndim and truth.shape[1] == 1 else truth
    if numbers.shape != prediction.shape[:1] + prediction.shape[2:]:
        raise TrainingError(
            f"sparse_categorical_crossentropy wants one class number per sample or pixel for a prediction of shape "
            f"{tuple(prediction.shape)}, but the truth has shape {tuple(truth.shape)}. For a channel per class use "
            "categorical_crossentropy"
        )
    return numbers.long()
