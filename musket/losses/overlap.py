"""Losses of overlap. Every function takes (truth, prediction) and returns a scalar.

Truth and prediction are float tensors N x classes x ... (masks N x classes x H x W, vectors N x classes), truth 0/1,
predictions 0..1 unless said otherwise.

Two families share names in the field. ``dice_loss`` and ``jaccard_loss`` compare the classes of ONE pixel and take the
mean over pixels: that is what the framework before this one computed, kept so that old experiments repeat.
``soft_dice_loss`` and ``soft_jaccard_loss`` compare whole images, which is what the papers mean.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-7
SMOOTH = 1.0
JACCARD_SMOOTH = 100.0


def dice_loss(truth: Tensor, prediction: Tensor) -> Tensor:
    """1 - (2 sum|t p| + 1) / (sum t^2 + sum p^2 + 1), sums over the classes of a pixel, mean over pixels."""
    intersection = (truth * prediction).abs().sum(1)
    squares = truth.square().sum(1) + prediction.square().sum(1)
    return (1 - (2 * intersection + SMOOTH) / (squares + SMOOTH)).mean()


def jaccard_loss(truth: Tensor, prediction: Tensor) -> Tensor:
    """(1 - (I + 100) / (sum|t| + sum|p| - I + 100)) * 100, sums over the classes of a pixel, mean over pixels.

    I = sum|t p|. The weight 100 keeps the gradient alive where both are empty; the value runs 0..100.
    """
    intersection = (truth * prediction).abs().sum(1)
    union = truth.abs().sum(1) + prediction.abs().sum(1) - intersection
    return ((1 - (intersection + JACCARD_SMOOTH) / (union + JACCARD_SMOOTH)) * JACCARD_SMOOTH).mean()


def soft_dice_loss(truth: Tensor, prediction: Tensor) -> Tensor:
    """1 - (2 sum(t p) + 1) / (sum t + sum p + 1), sums over the pixels of an image and class, mean over both.

    Soft Dice of Drozdzal et al. 2016 (arXiv:1608.04117), smoothed by one pixel so that two empty masks cost 0. Of a
    vector N x classes the sums run over the classes.
    """
    t, p = _per_mask(truth), _per_mask(prediction)
    return (1 - (2 * (t * p).sum(-1) + SMOOTH) / (t.sum(-1) + p.sum(-1) + SMOOTH)).mean()


def soft_jaccard_loss(truth: Tensor, prediction: Tensor) -> Tensor:
    """1 - (I + 1) / (sum t + sum p - I + 1), I = sum(t p) over the pixels of an image and class, mean over both.

    Soft IoU of Rahman and Wang 2016 (doi:10.1007/978-3-319-50835-1_22), smoothed by one pixel so that two empty masks
    cost 0. Of a vector N x classes the sums run over the classes.
    """
    t, p = _per_mask(truth), _per_mask(prediction)
    intersection = (t * p).sum(-1)
    return (1 - (intersection + SMOOTH) / (t.sum(-1) + p.sum(-1) - intersection + SMOOTH)).mean()


def iou_coef(truth: Tensor, prediction: Tensor) -> Tensor:
    """min(1, 2 (sum(t p) + 1) / (sum t + sum p + 1)), sums over all of an image, mean over images.

    The old name of a soft overlap that is nearer to Dice than to IoU. Cut at 1, which empty pairs would pass.
    """
    t, p = truth.flatten(1), prediction.flatten(1)
    return (2 * ((t * p).sum(1) + SMOOTH) / (t.sum(1) + p.sum(1) + SMOOTH)).clamp(max=1).mean()


def iou_loss(truth: Tensor, prediction: Tensor) -> Tensor:
    """Minus :func:`iou_coef`: -1 is perfect."""
    return -iou_coef(truth, prediction)


def f1_loss(truth: Tensor, prediction: Tensor) -> Tensor:
    """1 - F1 from soft counts per class over the whole batch, mean over classes; a class never seen has F1 0."""
    axes = [axis for axis in range(prediction.ndim) if axis != 1]
    hits = (truth * prediction).sum(axes)
    precision = hits / (prediction.sum(axes) + EPSILON)
    recall = hits / (truth.sum(axes) + EPSILON)
    return 1 - (2 * precision * recall / (precision + recall + EPSILON)).mean()


def lovasz_loss(truth: Tensor, logits: Tensor) -> Tensor:
    """Lovasz hinge (Berman et al. 2018, arXiv:1705.08790) of each image and class, mean over both.

    Margins 1 - logit (2t - 1), sorted from the worst down and passed through ELU, weighted by the growth of 1 - IoU.

    Args:
        truth: 0/1, N x classes x ....
        logits: same shape, not activated.
    """
    labels = _per_mask(truth).flatten(0, 1)
    margins = 1 - _per_mask(logits).flatten(0, 1) * (2 * labels - 1)
    worst_first, order = margins.sort(dim=1, descending=True)
    # Integer sums: exact for any image, and deterministic on every device.
    positive = labels.gather(1, order).to(torch.int32)
    total = positive.sum(1, keepdim=True)
    intersection = total - positive.cumsum(1)
    union = total + (1 - positive).cumsum(1)
    jaccard = 1 - intersection.to(logits.dtype) / union
    growth = torch.cat([jaccard[:, :1], jaccard.diff(dim=1)], dim=1)
    return (F.elu(worst_first) * growth).sum(1).mean()


def lovasz_of_probabilities(truth: Tensor, prediction: Tensor) -> Tensor:
    """:func:`lovasz_loss` where only sigmoid outputs are at hand; those nearer than 1e-7 to 0 or 1 count as 1e-7."""
    return lovasz_loss(truth, prediction.logit(eps=EPSILON))


def _per_mask(values: Tensor) -> Tensor:
    """N x classes x pixels; a vector N x classes becomes one mask of ``classes`` pixels."""
    return values.flatten(2) if values.ndim > 2 else values.unsqueeze(1)
