"""Every loss takes vectors N x classes, with a gradient; and values."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from musket.losses.catalogue import LOSSES
from musket.losses.compose import build_loss, check_loss


def setting(name):
    """An expression that can be trained with, and an activation for it."""
    expression = f"-{name}" if LOSSES.get(name).facts["mode"] == "max" else name
    return expression, "softmax" if "categorical_cross" in name else "sigmoid"


def trains(name, classes):
    """Whether every output moves towards its truth by a small step, as the right side of a half."""
    loss = build_loss(*setting(name))
    truth = torch.eye(4)[[0, 1, 2, 3, 1]][:, :classes]
    logits = torch.zeros(5, classes, requires_grad=True)
    value, _ = loss(logits, truth)
    assert torch.isfinite(value)
    value.backward()
    assert logits.grad is not None
    own = logits.grad.gather(1, truth.argmax(1, keepdim=True)) if classes > 1 else logits.grad * (2 * truth - 1)
    return bool((own < 0).all())


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_trains_on_vectors(name):
    check_loss(*setting(name), classes=4, vectors=True)
    assert trains(name, 4)


ALONE = {name for name in LOSSES.names() if "constant_over_one" not in LOSSES.get(name).facts}


@pytest.mark.parametrize("name", sorted(ALONE))
def test_losses_that_train_on_one_value(name):
    check_loss(*setting(name), classes=1, vectors=True)
    assert trains(name, 1)


@pytest.mark.parametrize("name", sorted(set(LOSSES.names()) - ALONE))
def test_losses_that_teach_nothing_over_one_value_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} compares classes or pixels .* Use binary_crossentropy with sigmoid"):
        check_loss(*setting(name), classes=1, vectors=True)
    check_loss(*setting(name), classes=2, vectors=True)
    check_loss(*setting(name))
    if not name.startswith("iou"):
        with pytest.raises(ValueError, match="nothing is learned"):
            check_loss(*setting(name), classes=1)
    if "categorical" not in name:
        assert not trains(name, 1)


def test_lovasz_of_a_vector_is_that_of_a_mask_of_as_many_pixels():
    logits, truth = torch.tensor([[2.0, -1, 0.5], [-0.5, -3, 1]]), torch.tensor([[1.0, 0, 1], [0, 0, 1]])
    vector, _ = build_loss("lovasz_loss", "sigmoid")(logits, truth)
    mask, _ = build_loss("lovasz_loss", "sigmoid")(logits.view(2, 1, 1, 3), truth.view(2, 1, 1, 3))
    assert float(vector) == pytest.approx(float(mask))


@pytest.mark.parametrize("name", ["huber", "huber_loss", "smooth_l1"])
def test_huber_by_hand(name):
    """(0.5^2 / 2 + (3 - 1/2)) / 2; torch's smooth_l1 is the same at its default."""
    truth, values = torch.tensor([[1.0], [4.0]]), torch.tensor([[1.5], [1.0]])
    found, _ = build_loss(name, "none")(values, truth)
    assert float(found) == pytest.approx((0.125 + 2.5) / 2)
    assert float(found) == pytest.approx(float(F.smooth_l1_loss(values, truth)))
