"""Formulas against independent ones: scikit-learn, torchvision, segmentation_models_pytorch, numpy by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torchvision
from scipy.special import rel_entr
from sklearn import metrics as sk

from musket.core.errors import TrainingError
from musket.losses import crossentropy, distance, overlap

N, C, H, W = 3, 4, 5, 6


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def truth(rng):
    return torch.from_numpy((rng.random((N, C, H, W)) < 0.4).astype(float))


@pytest.fixture
def prediction(rng):
    return torch.from_numpy(rng.uniform(0.02, 0.98, (N, C, H, W)))


@pytest.fixture
def one_hot(rng):
    return torch.nn.functional.one_hot(torch.from_numpy(rng.integers(0, C, (N, H, W))), C).movedim(3, 1).double()


def rows(values):
    """Pixels x classes."""
    return values.movedim(1, -1).reshape(-1, C).numpy()


def test_binary_crossentropy(truth, prediction):
    expected = sk.log_loss(truth.flatten().numpy(), prediction.flatten().numpy())
    assert float(crossentropy.binary_crossentropy(truth, prediction)) == pytest.approx(expected)
    assert float(crossentropy.binary_crossentropy_on_logits(truth, prediction.logit())) == pytest.approx(expected)


def test_categorical_crossentropy(one_hot, prediction):
    shares = prediction / prediction.sum(1, keepdim=True)
    expected = sk.log_loss(rows(one_hot).argmax(1), rows(shares))
    numbers = one_hot.argmax(1)
    assert float(crossentropy.categorical_crossentropy(one_hot, prediction)) == pytest.approx(expected)
    for classes in (numbers, numbers[:, None], numbers.double()):
        assert float(crossentropy.sparse_categorical_crossentropy(classes, prediction)) == pytest.approx(expected)
        on_logits = crossentropy.sparse_categorical_crossentropy_on_logits(classes, shares.log() + 3)
        assert float(on_logits) == pytest.approx(expected)
    assert float(crossentropy.categorical_crossentropy_on_logits(one_hot, shares.log() + 3)) == pytest.approx(expected)


def test_categorical_crossentropy_of_one_class_is_refused():
    one = torch.ones(2, 1, 3, 3)
    for function in (
        crossentropy.categorical_crossentropy,
        crossentropy.categorical_crossentropy_on_logits,
        crossentropy.sparse_categorical_crossentropy,
        crossentropy.sparse_categorical_crossentropy_on_logits,
    ):
        with pytest.raises(TrainingError, match="needs two classes or more"):
            function(one, one)


def test_sparse_truth_of_another_shape_is_refused(one_hot, prediction):
    with pytest.raises(TrainingError, match=r"wants one class number per sample or pixel .* \(3, 2, 5, 6\)"):
        crossentropy.sparse_categorical_crossentropy(one_hot[:, :2], prediction)


def test_focal_loss(truth, prediction):
    expected = torchvision.ops.sigmoid_focal_loss(prediction.logit(), truth, alpha=0.25, gamma=2, reduction="sum")
    assert float(crossentropy.focal_loss(truth, prediction)) == pytest.approx(float(expected))
    assert float(crossentropy.focal_loss_on_logits(truth, prediction.logit())) == pytest.approx(float(expected))


def test_focal_loss_of_a_mixture_is_the_mixture_of_its_losses(truth, prediction):
    mixed = 0.3 * truth + 0.7 * (1 - truth)
    for loss, given in (
        (crossentropy.focal_loss, prediction),
        (crossentropy.focal_loss_on_logits, prediction.logit()),
    ):
        expected = 0.3 * float(loss(truth, given)) + 0.7 * float(loss(1 - truth, given))
        assert float(loss(mixed, given)) == pytest.approx(expected)


def test_soft_overlap_losses_against_smp(truth, prediction):
    # smp divides both sides of its Dice by 2 before it adds `smooth`.
    dice = smp.losses.DiceLoss("multilabel", from_logits=False, smooth=0.5)
    jaccard = smp.losses.JaccardLoss("multilabel", from_logits=False, smooth=1.0)
    images = [(truth[i : i + 1], prediction[i : i + 1]) for i in range(N)]  # smp pools a batch, we take images apart
    expected = np.mean([float(dice(p, t)) for t, p in images])
    assert float(overlap.soft_dice_loss(truth, prediction)) == pytest.approx(expected)
    expected = np.mean([float(jaccard(p, t)) for t, p in images])
    assert float(overlap.soft_jaccard_loss(truth, prediction)) == pytest.approx(expected)


def test_soft_overlap_of_empty_masks_costs_nothing():
    empty = torch.zeros(2, 1, 4, 4)
    assert float(overlap.soft_dice_loss(empty, empty)) == float(overlap.soft_jaccard_loss(empty, empty)) == 0
    assert float(overlap.iou_loss(empty, empty)) == -1


def test_overlap_of_vectors_runs_over_the_classes():
    truth, prediction = torch.tensor([[1.0, 0, 1]]), torch.tensor([[0.5, 0.5, 1]])
    assert float(overlap.soft_dice_loss(truth, prediction)) == pytest.approx(1 - (2 * 1.5 + 1) / (2 + 2 + 1))
    assert float(overlap.soft_jaccard_loss(truth, prediction)) == pytest.approx(1 - (1.5 + 1) / (2 + 2 - 1.5 + 1))


def test_class_axis_forms_by_hand():
    """One pixel with two classes: t = 1 0, p = 0.5 0.25."""
    truth, prediction = torch.tensor([1.0, 0]).view(1, 2, 1, 1), torch.tensor([0.5, 0.25]).view(1, 2, 1, 1)
    dice = 1 - (2 * 0.5 + 1) / (1 + 0.25 + 0.0625 + 1)
    jaccard = (1 - (0.5 + 100) / (1 + 0.75 - 0.5 + 100)) * 100
    assert float(overlap.dice_loss(truth, prediction)) == pytest.approx(dice)
    assert float(overlap.jaccard_loss(truth, prediction)) == pytest.approx(jaccard, rel=1e-4)
    both = torch.cat([truth, truth], dim=3), torch.cat([prediction, truth], dim=3)
    assert float(overlap.dice_loss(*both)) == pytest.approx(dice / 2)


def test_iou_coef_by_hand():
    truth = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0]]).view(2, 1, 2, 2)
    prediction = torch.tensor([[0.5, 0.5, 1, 0], [0.5, 0, 0, 0]]).view(2, 1, 2, 2)
    expected = (min(1, 2 * (1.5 + 1) / (2 + 2 + 1)) + min(1, 2 * 1 / 1.5)) / 2
    assert float(overlap.iou_coef(truth, prediction)) == pytest.approx(expected)
    assert float(overlap.iou_loss(truth, prediction)) == pytest.approx(-expected)


def test_f1_loss_of_hard_predictions(truth, prediction):
    hard = (prediction > 0.5).double()
    expected = 1 - sk.f1_score(rows(truth), rows(hard), average="macro")
    assert float(overlap.f1_loss(truth, hard)) == pytest.approx(expected, abs=1e-6)


def lovasz_by_sets(truth, logits):
    """Each margin weighs as much as 1 - IoU grows when its pixel joins the wrongly predicted ones."""
    margins = [1 - x * (2 * t - 1) for x, t in zip(logits, truth, strict=True)]
    positives = {i for i, t in enumerate(truth) if t}

    def cost(wrong):
        union = positives | wrong
        return 1 - len(positives - wrong) / len(union) if union else 0.0

    total, wrong = 0.0, set()
    for i in sorted(range(len(truth)), key=lambda i: -margins[i]):
        growth = cost(wrong | {i}) - cost(wrong)
        wrong |= {i}
        total += (margins[i] if margins[i] > 0 else math.exp(margins[i]) - 1) * growth
    return total


def test_lovasz_against_its_definition(rng):
    truth, logits = (rng.random((2, 3, 4, 5)) < 0.4).astype(float), rng.normal(0, 2, (2, 3, 4, 5))
    truth[0, 1] = 0  # an empty mask too
    expected = np.mean([lovasz_by_sets(truth[i, c].ravel(), logits[i, c].ravel()) for i in range(2) for c in range(3)])
    found = overlap.lovasz_loss(torch.from_numpy(truth), torch.from_numpy(logits))
    assert float(found) == pytest.approx(expected)
    of_probabilities = overlap.lovasz_of_probabilities(torch.from_numpy(truth), torch.from_numpy(logits).sigmoid())
    assert float(of_probabilities) == pytest.approx(expected)


def test_distances_against_sklearn(truth, prediction):
    t, p = truth.flatten().numpy(), prediction.flatten().numpy()
    signs = 2 * t - 1
    assert float(distance.mean_squared_error(truth, prediction)) == pytest.approx(sk.mean_squared_error(t, p))
    assert float(distance.mean_absolute_error(truth, prediction)) == pytest.approx(sk.mean_absolute_error(t, p))
    assert float(distance.l2_loss(truth, prediction)) == pytest.approx(sk.mean_squared_error(t, p) * t.size)
    assert float(distance.hinge(truth, prediction)) == pytest.approx(sk.hinge_loss(signs, p))
    expected = np.mean(np.maximum(0, 1 - signs * p) ** 2)
    assert float(distance.squared_hinge(truth, prediction)) == pytest.approx(expected)
    assert float(distance.logcosh(truth, prediction)) == pytest.approx(np.mean(np.log(np.cosh(p - t))))


def test_distances_of_amounts_against_sklearn(rng):
    t, p = rng.uniform(0.5, 9, (20, 3)), rng.uniform(0.5, 9, (20, 3))
    truth, prediction = torch.from_numpy(t), torch.from_numpy(p)
    percentage = 100 * sk.mean_absolute_percentage_error(t, p)
    assert float(distance.mean_absolute_percentage_error(truth, prediction)) == pytest.approx(percentage)
    logarithmic = sk.mean_squared_log_error(t, p)
    assert float(distance.mean_squared_logarithmic_error(truth, prediction)) == pytest.approx(logarithmic)
    poisson = torch.nn.functional.poisson_nll_loss(prediction, truth, log_input=False, eps=1e-7)
    assert float(distance.poisson(truth, prediction)) == pytest.approx(float(poisson))


def test_distances_over_classes(truth, prediction):
    t, p = rows(truth), rows(prediction)
    divergence = rel_entr(np.clip(t, 1e-7, 1), np.clip(p, 1e-7, 1)).sum(1).mean()
    assert float(distance.kullback_leibler_divergence(truth, prediction)) == pytest.approx(divergence)
    cosine = -torch.nn.functional.cosine_similarity(truth, prediction, dim=1).mean()
    assert float(distance.cosine_proximity(truth, prediction)) == pytest.approx(float(cosine))
    margins = [max(0, 1 + max((1 - a) * b) - sum(a * b)) for a, b in zip(t, p, strict=True)]
    assert float(distance.categorical_hinge(truth, prediction)) == pytest.approx(np.mean(margins))


def test_perfect_predictions_cost_least():
    truth = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4))).view(4, 4, 2, 2)
    for function, least in (
        (overlap.soft_dice_loss, 0),
        (overlap.soft_jaccard_loss, 0),
        (overlap.dice_loss, 0),
        (overlap.jaccard_loss, 0),
        (distance.mean_squared_error, 0),
        (distance.logcosh, 0),
    ):
        assert float(function(truth, truth)) == pytest.approx(least, abs=1e-6)
        assert float(function(truth, 1 - truth)) > least
