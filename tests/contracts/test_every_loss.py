"""What every registered loss promises: it can be read about, built, computed on odd shapes, and learned from."""

from __future__ import annotations

import pytest
import torch

from musket.losses.catalogue import LOSSES
from musket.losses.compose import build_loss

NAMES = LOSSES.names()
SHAPES = [(1, 2, 7, 5), (3, 2, 1, 1), (2, 3, 4, 9), (1, 3), (5, 4)]


def expression_of(name):
    return f"-{name}" if LOSSES.get(name).facts["mode"] == "max" else name


def activation_of(name):
    return "softmax" if "categorical" in name else "sigmoid"


def example(name, shape, seed=1):
    """Logits and truth; truth of exclusive classes where the loss wants that."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator)
    numbers = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    if LOSSES.get(name).facts["truth"] == "index":
        return logits, numbers
    return logits, torch.nn.functional.one_hot(numbers, shape[1]).movedim(-1, 1).to(torch.uint8)


def value(name, logits, truth, activation=None):
    return build_loss(expression_of(name), activation or activation_of(name))(logits, truth)[0]


@pytest.mark.parametrize("name", NAMES)
def test_describes_itself_and_has_a_direction(name):
    entry = LOSSES.get(name)
    assert entry.summary.endswith(".")
    assert entry.facts["mode"] in ("min", "max")
    assert entry.load().__doc__


@pytest.mark.parametrize("name", [spelling for spelling in LOSSES.spellings() if spelling not in NAMES])
def test_every_alias_is_the_same_loss(name):
    logits, truth = example(name, (2, 3, 4, 4))
    assert value(name, logits, truth) == value(LOSSES.get(name).name, logits, truth)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_any_shape_gives_a_number_and_a_gradient(name, shape):
    logits, truth = example(name, shape)
    total = value(name, logits.requires_grad_(), truth)
    assert total.ndim == 0
    assert total.isfinite()
    [gradient] = torch.autograd.grad(total, logits)
    assert gradient.shape == shape
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_better_predictions_cost_less(name):
    logits, truth = example(name, (2, 3, 6, 5))
    target = truth if truth.shape == logits.shape else torch.nn.functional.one_hot(truth, 3).movedim(-1, 1)
    towards = 2.0 * target - 1
    assert value(name, logits * 0.1 + 2 * towards, truth) < value(name, logits * 0.1, truth)
    assert value(name, logits * 0.1, truth) < value(name, logits * 0.1 - 2 * towards, truth)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_descent_makes_it_smaller(name):
    logits, truth = example(name, (2, 3, 6, 5))
    start = value(name, logits.requires_grad_(), truth)
    [gradient] = torch.autograd.grad(start, logits)
    assert float(gradient.abs().max()) > 0
    with torch.no_grad():
        assert value(name, logits - 1e-2 * gradient / gradient.abs().max(), truth) < start


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_saturated_predictions_stay_finite(name, wrong):
    _, truth = example(name, (2, 3, 4, 4))
    target = truth if truth.ndim == 4 else torch.nn.functional.one_hot(truth, 3).movedim(-1, 1)
    logits = ((2.0 * target - 1) * (-200 if wrong else 200)).requires_grad_()
    for activation in (activation_of(name), "linear") if "categorical_c" not in name else (activation_of(name),):
        total = value(name, logits if activation != "linear" else (logits / 400 + 0.5), truth, activation)
        [gradient] = torch.autograd.grad(total, logits)
        assert total.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", ["empty", "full"])
@pytest.mark.parametrize("name", [name for name in NAMES if "categorical_c" not in name])
def test_empty_and_full_masks(name, kind):
    truth = torch.full((1, 1, 4, 4), kind == "full")
    for logits in (torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), -90.0), torch.full((1, 1, 4, 4), 90.0)):
        total = value(name, logits.requires_grad_(), truth, "sigmoid")
        [gradient] = torch.autograd.grad(total, logits)
        assert total.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_that_of_the_value(name):
    """Checked against finite differences in float64."""
    logits, truth = example(name, (2, 3, 2, 2))
    if name == "mean_absolute_percentage_error":  # made for targets away from 0
        truth = torch.ones_like(truth)
    assert torch.autograd.gradcheck(lambda x: value(name, x, truth), logits.double().requires_grad_())


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_probabilities_agree(name):
    """A loss taken from logits has the value of the same loss taken from activated predictions."""
    if LOSSES.get(name).facts.get("takes_logits"):
        return
    logits, truth = example(name, (2, 3, 4, 4))
    activation = activation_of(name)
    activated = logits.sigmoid() if activation == "sigmoid" else logits.softmax(1)
    of_logits, of_probabilities = value(name, logits, truth), value(name, activated, truth, "linear")
    assert float(of_logits) == pytest.approx(float(of_probabilities), rel=1e-5)
