"""What every registered metric promises: it can be read about, has a direction, and measures odd shapes."""

from __future__ import annotations

import math

import pytest
import torch

from musket.losses.catalogue import LOSSES
from musket.metrics.build import build_metric
from musket.metrics.catalogue import METRICS, adopt, direction

adopt(LOSSES)
NAMES = METRICS.names()
NEED_BOTH_SIDES = {"roc_auc", "r2"}
"""Undefined, nan, where the truth of no class ever changes."""
SHAPES = [(1, 2, 7, 5), (3, 2, 1, 1), (2, 7, 4, 9), (1, 3), (5, 4)]


def example(name, shape, seed=1):
    """Truth of exclusive classes and predictions that sum to 1."""
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.rand(shape, generator=generator).softmax(1)
    numbers = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    if name.startswith("sparse"):
        return numbers, prediction
    return torch.nn.functional.one_hot(numbers, shape[1]).movedim(-1, 1).to(torch.uint8), prediction


@pytest.mark.parametrize("name", NAMES)
def test_describes_itself_and_has_a_direction(name):
    assert METRICS.get(name).summary.endswith(".")
    assert direction(name) == direction(f"val_{name}") == direction(f"{name}_holdout") == build_metric(name).mode
    assert direction(name) in ("min", "max")


def test_every_loss_is_a_metric():
    assert all(spelling in METRICS for spelling in LOSSES.spellings())


@pytest.mark.parametrize("evaluation", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_any_shape_gives_a_number(name, shape, evaluation):
    metric = build_metric(name, evaluation=evaluation)
    assert metric.name == name
    assert math.isnan(metric.compute())
    truth, prediction = example(name, shape)
    metric.update(truth, prediction)
    metric.update(truth, prediction.half())
    found = metric.compute()
    assert isinstance(found, float)
    undefined = name in NEED_BOTH_SIDES and not (truth.movedim(1, 0).flatten(1).diff() != 0).any()
    assert math.isnan(found) if undefined else math.isfinite(found)


@pytest.mark.parametrize("evaluation", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_better_predictions_score_better(name, evaluation):
    truth, prediction = example(name, (2, 12, 6, 5))
    target = truth if truth.shape == prediction.shape else torch.nn.functional.one_hot(truth, 12).movedim(-1, 1)
    good, bad = (build_metric(name, evaluation=evaluation) for _ in range(2))
    good.update(truth, prediction * 0.1 + 0.9 * target)
    bad.update(truth, prediction * 0.1 + 0.9 * (1 - target) / 11)
    sign = 1 if direction(name) == "max" else -1
    assert sign * good.compute() > sign * bad.compute()


@pytest.mark.parametrize("name", [name for name in NAMES if "categorical" not in name])
def test_one_class_and_saturated_predictions(name):
    truth = torch.tensor([1, 0, 1, 0]).view(1, 1, 2, 2)
    for prediction in (truth.float(), 1 - truth.float(), torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)):
        metric = build_metric(name)
        metric.update(truth, prediction)
        assert math.isfinite(metric.compute())
