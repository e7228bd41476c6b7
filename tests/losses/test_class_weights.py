"""Class weights against torch, and by hand where torch divides otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from musket.core.errors import TrainingError
from musket.losses.catalogue import LOSSES
from musket.losses.compose import build_loss, supports_class_weights
from musket.losses.heads import build_heads_loss

WEIGHTS = (0.5, 2.0, 3.0)
ABLE = [entry.name for entry in LOSSES.entries() if entry.facts.get("class_weights")]
SHAPES = [(7, 3), (2, 3, 5, 4)]


def example(shape, exclusive):
    generator = torch.Generator().manual_seed(len(shape))
    logits = torch.randn(shape, generator=generator)
    if not exclusive:
        return logits, (torch.rand(shape, generator=generator) < 0.4).float()
    numbers = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    return logits, F.one_hot(numbers, shape[1]).movedim(-1, 1).float()


def both_forms(expression, logits, truth, activation, weights=WEIGHTS):
    """By logits; by probabilities it must be the same."""
    of_logits, _ = build_loss(expression, activation, class_weights=weights)(logits, truth)
    probabilities = logits.softmax(1) if activation == "softmax" else logits.sigmoid()
    of_probabilities, _ = build_loss(expression, "none", class_weights=weights)(probabilities, truth)
    assert float(of_probabilities) == pytest.approx(float(of_logits), rel=1e-4)
    return float(of_logits)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_categorical_against_torch(name, shape):
    logits, truth = example(shape, exclusive=True)
    expected = F.cross_entropy(logits, truth.argmax(1), torch.tensor(WEIGHTS))
    assert both_forms(name, logits, truth, "softmax") == pytest.approx(float(expected))


def test_sparse_truth_as_class_numbers_too():
    logits, truth = example((7, 3), exclusive=True)
    loss = build_loss("sparse_categorical_crossentropy", "softmax", class_weights=WEIGHTS)
    assert float(loss(logits, truth.argmax(1))[0]) == pytest.approx(float(loss(logits, truth)[0]))
    plain = build_loss("sparse_categorical_crossentropy", "softmax")
    assert float(plain(logits, truth)[0]) == pytest.approx(float(F.cross_entropy(logits, truth)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_binary_against_the_pos_weight_of_torch(shape):
    logits, truth = example(shape, exclusive=False)
    weights = torch.tensor(WEIGHTS).view(1, -1, *(1,) * (len(shape) - 2))
    total = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=weights, reduction="sum")
    expected = total / torch.where(truth > 0, weights, torch.ones(())).sum()
    assert both_forms("binary_crossentropy", logits, truth, "sigmoid") == pytest.approx(float(expected))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_focal_stays_a_sum(shape):
    logits, truth = example(shape, exclusive=False)
    expected = 0.0
    for position, weight in enumerate(WEIGHTS):
        one, t = logits[:, position].double(), truth[:, position].double()
        costs = t * 0.25 * (1 - one.sigmoid()) ** 2 * -F.logsigmoid(one) * weight
        costs += (1 - t) * 0.75 * one.sigmoid() ** 2 * -F.logsigmoid(-one)
        expected += float(costs.sum())
    assert both_forms("focal_loss", logits, truth, "sigmoid") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ABLE)
def test_equal_weights_change_nothing(name):
    activation = "softmax" if "categorical" in name else "sigmoid"
    logits, truth = example((7, 3), activation == "softmax")
    plain, _ = build_loss(name, activation)(logits, truth)
    assert both_forms(name, logits, truth, activation, (1, 1, 1)) == pytest.approx(float(plain), rel=1e-5)


@pytest.mark.parametrize("name", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_only_the_ratio_of_weights_matters_to_exclusive_classes(name):
    logits, truth = example((7, 3), exclusive=True)
    once, twice = (both_forms(name, logits, truth, "softmax", [k * w for w in WEIGHTS]) for k in (1, 2))
    assert once == pytest.approx(twice)


def test_soft_truth_is_weighed_class_by_class():
    """Half of each of two classes with weights 1 and 3: (1/2 log 2 + 3/2 log 2) / (1/2 + 3/2)."""
    truth = torch.tensor([[0.5, 0.5]])
    found = both_forms("categorical_crossentropy", torch.zeros(1, 2), truth, "softmax", (1, 3))
    assert found == pytest.approx(0.693147, abs=1e-6)
    # Binary: t = 1/4 of a class of weight 5 weighs 1 + 1/4 (5 - 1) = 2; beside it t = 0 weighs 1.
    logits, truth = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.25], [0.0]])
    expected = (2 * 0.693147 + 1 * 2.126928) / 3
    assert both_forms("binary_crossentropy", logits, truth, "sigmoid", (5,)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_a_batch_of_nothing_but_weight_0_costs_0(name):
    logits = torch.randn(2, 3, requires_grad=True)
    total, _ = build_loss(name, "softmax", class_weights=(0, 1, 1))(logits, F.one_hot(torch.tensor([0, 0]), 3))
    total.backward()
    assert float(total.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_terms_that_cannot_weigh_stay_as_they_are():
    logits, truth = example((7, 3), exclusive=False)
    total, parts = build_loss("binary_crossentropy+0.5*mse", "sigmoid", class_weights=WEIGHTS)(logits, truth)
    weighted, _ = build_loss("binary_crossentropy", "sigmoid", class_weights=WEIGHTS)(logits, truth)
    plain, _ = build_loss("mse", "sigmoid")(logits, truth)
    assert float(total) == pytest.approx(float(weighted) + 0.5 * float(plain))
    assert float(parts["mse"]) == pytest.approx(float(plain))


@pytest.mark.parametrize(
    ("expression", "able"),
    [
        ("log_loss", True),
        ("0.1*dice_loss+Binary_Crossentropy", True),
        ("focal_loss", True),
        ("mse", False),
        ("lovasz_loss+soft_dice_loss", False),
    ],
)
def test_what_can_weigh_classes(expression, able):
    assert supports_class_weights(expression) is able
    if not able:
        with pytest.raises(ValueError, match=r"nothing in it can weigh classes\. Use or add .*binary_crossentropy"):
            build_loss(expression, "sigmoid", class_weights=WEIGHTS)


def test_an_own_loss_of_that_name_is_not_handed_weights():
    LOSSES.add("my_loss", lambda truth, prediction: (truth - prediction).abs())
    try:
        assert not supports_class_weights("my_loss")
    finally:
        LOSSES.remove("my_loss")


@pytest.mark.parametrize("name", ABLE)
def test_as_many_weights_as_classes(name):
    activation = "softmax" if "categorical" in name else "sigmoid"
    with pytest.raises(TrainingError, match="there are 2 class weights for 3 classes"):
        build_loss(name, activation, class_weights=(1, 2))(*example((7, 3), activation == "softmax"))


def test_heads_have_weights_of_their_own():
    logits, truth = torch.randn(5, 4), torch.tensor([[1.0, 0, 0, 7]] * 5)
    loss = build_heads_loss(
        ("categorical_crossentropy", "mse"), ("softmax", "none"), (3, 1), class_weights=(WEIGHTS, None)
    )
    first, _ = build_loss("categorical_crossentropy", "softmax", class_weights=WEIGHTS)(logits[:, :3], truth[:, :3])
    second, _ = build_loss("mse", "none")(logits[:, 3:], truth[:, 3:])
    assert float(loss(logits, truth)[0]) == pytest.approx(float(first + second))
    with pytest.raises(ValueError, match="loss 'mse': nothing in it can weigh classes"):
        build_heads_loss(("mse", "mse"), "none", (3, 1), class_weights=(None, (1,)))
    one = build_heads_loss("categorical_crossentropy", "softmax", 3, class_weights=WEIGHTS)
    assert float(one(logits[:, :3], truth[:, :3])[0]) == pytest.approx(float(first))


def test_weights_follow_the_precision_of_the_scores():
    logits, truth = example((7, 3), exclusive=False)
    loss = build_loss("binary_crossentropy", "sigmoid", class_weights=WEIGHTS)
    assert loss(logits.double(), truth)[0].dtype == torch.float64
    assert loss(logits.half(), truth.to(torch.uint8))[0].dtype == torch.float32


def test_asking_imports_no_torch():
    code = (
        "import sys; from musket.losses.compose import check_loss, supports_class_weights; "
        "supports_class_weights('mse'), check_loss('mse', classes=1); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.gpu
def test_weights_on_the_gpu():
    for name in ABLE:
        activation = "softmax" if "categorical" in name else "sigmoid"
        logits, truth = example((2, 3, 5, 4), activation == "softmax")
        loss = build_loss(name, activation, class_weights=WEIGHTS)
        assert float(loss(logits.cuda(), truth.cuda())[0]) == pytest.approx(float(loss(logits, truth)[0]), rel=1e-4)
