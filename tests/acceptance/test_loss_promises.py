"""Losses, metrics and rate control as the old documentation promises them, and golden values worked by hand."""

from __future__ import annotations

import pytest
import torch
from stages import Stage, rates

from musket.losses.compose import build_loss
from musket.metrics.build import MetricSet, build_metric
from musket.training.catalogue import CALLBACKS

TRUTH = torch.tensor([[1, 0, 1], [0, 0, 1]], dtype=torch.uint8)
SURE = torch.tensor([[0.8, 0.2, 0.6], [0.4, 0.1, 0.9]])
UNSURE = torch.tensor([[0.8, 0.7, 0.6], [0.4, 0.1, 0.3]])


def image(values):
    """Two rows of three pixels, one channel."""
    return values.view(1, 1, 2, 3)


def metric(name, truth, prediction, **options):
    found = build_metric(name, **options)
    found.update(truth, prediction)
    return found.compute()


def loss(expression):
    """By probabilities, and by logits through sigmoid."""
    of_probabilities, _ = build_loss(expression, "none")(image(SURE), image(TRUTH))
    of_logits, _ = build_loss(expression, "sigmoid")(image(SURE).logit(), image(TRUTH))
    assert float(of_probabilities) == pytest.approx(float(of_logits), abs=1e-6)
    return float(of_logits)


def close(value):
    return pytest.approx(value, abs=1e-6)


def test_g16_macro_f1():
    assert metric("macro_f1", TRUTH, SURE) == close(0.528138)


def test_g17_overlap_and_crossentropy_of_one_image():
    assert metric("iou_coef", image(TRUTH), image(SURE)) == close(0.942857)
    assert metric("dice", image(TRUTH), image(SURE)) == close(1.0)
    assert loss("binary_crossentropy") == close(0.279777)


def test_g18_dice_jaccard_and_focal_loss():
    assert loss("dice_loss") == close(0.045467)
    assert loss("jaccard_loss") == pytest.approx(0.231829, abs=1e-5)
    assert loss("focal_loss") == close(0.091711)


def test_g19_composite():
    assert loss("binary_crossentropy+0.1*dice_loss") == close(0.284323)


def test_g20_decided_metrics():
    assert metric("matthews_correlation", image(TRUTH), image(UNSURE)) == close(0.333333)
    assert metric("dice", image(TRUTH), image(UNSURE)) == close(0.666667)
    assert metric("iou", image(TRUTH), image(UNSURE), evaluation=True) == close(0.5)


def test_g21_lovasz():
    logits = torch.tensor([2, -1, 0.5, -0.5, -3, 1])
    labels = torch.tensor([1, 0, 1, 0, 0, 1])
    found, _ = build_loss("lovasz_loss", "sigmoid")(image(logits), image(labels))
    assert float(found) == close(0.123576)


@pytest.mark.parametrize("expression", ["binary_crossentropy+0.1*dice_loss", "binary_crossentropy + .1*dice_loss"])
def test_s16_composite_loss(expression):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1, 8, 8, generator=generator, requires_grad=True)
    truth = (torch.rand(4, 1, 8, 8, generator=generator) < 0.3).to(torch.uint8)
    total, parts = build_loss(expression, "sigmoid")(logits, truth)
    entropy, _ = build_loss("binary_crossentropy", "sigmoid")(logits, truth)
    dice, _ = build_loss("dice_loss", "sigmoid")(logits, truth)
    assert total.item() == pytest.approx(entropy.item() + 0.1 * dice.item())
    assert {name: part.item() for name, part in parts.items()} == {
        "binary_crossentropy": entropy.item(),
        "dice_loss": dice.item(),
    }
    total.backward()
    assert logits.grad is not None


def cyclic(mode, **options):
    return rates(CALLBACKS.load("CyclicLR")(base_lr=0.1, max_lr=1.1, step_size=4, mode=mode, **options), 17)[::2]


def test_g11_triangular():
    assert cyclic("triangular") == pytest.approx([0.1, 0.6, 1.1, 0.6, 0.1, 0.6, 1.1, 0.6, 0.1])


def test_g12_triangular2():
    assert cyclic("triangular2") == pytest.approx([0.1, 0.6, 1.1, 0.6, 0.1, 0.35, 0.6, 0.35, 0.1])


def test_g13_exp_range():
    expected = [0.1, 0.505, 0.7561, 0.365721, 0.1, 0.274339, 0.38243, 0.214384, 0.1]
    assert cyclic("exp_range", gamma=0.9) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("linear", [0.1, 0.35, 0.6, 0.85, 1.1]),
        ("sin+", [0.1, 0.482683, 0.807107, 1.02388, 1.1]),
        ("cos+", [0.1, 0.17612, 0.392893, 0.717317, 1.1]),
        (2, [0.1, 0.1625, 0.35, 0.6625, 1.1]),
    ],
)
def test_g14_variator(style, expected):
    hook = CALLBACKS.load("LRVariator")(fromVal=0.1, toVal=1.1, style=style, absSize=5)
    assert rates(hook, 5) == pytest.approx(expected, abs=1e-5)


def test_s32_early_stopping_and_cyclic_rate():
    """The rate starts at base_lr, follows the formula batch by batch, and its peak halves every cycle."""
    options = {"mode": "triangular2", "base_lr": 0.001, "max_lr": 0.009, "step_size": 4}
    stage = Stage(CALLBACKS.load("CyclicLR")(**options), lr=0.5, steps=4).start()
    stopping = CALLBACKS.load("EarlyStopping")(patience=2, monitor="val_binary_accuracy", verbose=1)
    stage.hooks.hooks.append(stopping)
    stopping.on_stage_start(stage.run)
    accuracies = [0.5, 0.6, 0.7, 0.65, 0.7, 0.9]
    while stage.run.stop is None:
        stage.epochs(1, val_binary_accuracy=[accuracies[len(stage.rows)]])
    assert len(stage.rows) == 5
    assert stage.rates[0] == 0.001
    peaks = [max(stage.rates[start : start + 8]) for start in (0, 8)]
    assert peaks == pytest.approx([0.009, 0.005])
    assert stage.rates[8] == stage.rates[16] == pytest.approx(0.001)


def test_s33_rate_control():
    plateau = Stage(CALLBACKS.load("ReduceLROnPlateau")(patience=1, factor=0.5, monitor="val_loss"), lr=0.1).start()
    plateau.epochs(4, val_loss=[1.0, 0.9, 0.9, 0.8])
    assert [row["lr"] for row in plateau.rows] == pytest.approx([0.1, 0.1, 0.1, 0.05])
    then = {"LRVariator": {"fromVal": 1.0, "toVal": 0.0, "relSize": 1, "style": "linear"}}
    chain = CALLBACKS.load("LRVariator")(fromVal=0.0, toVal=1.0, relSize=1, periodEpochs=2, then=then)
    up, down = [0, 0.25, 0.5, 0.75, 1.0], [1.0, 0.75, 0.5, 0.25, 0]
    assert rates(chain, 20, steps=5) == pytest.approx([*up, *down] * 2)


def test_s50_own_loss_and_metric_by_name():
    from musket.core.registry import RegistryDict
    from musket.losses.catalogue import LOSSES
    from musket.metrics.catalogue import METRICS

    losses, metrics = RegistryDict(LOSSES), RegistryDict(METRICS)
    losses["my_loss"] = lambda truth, prediction: (truth - prediction).abs()
    metrics["my_score"] = lambda truth, prediction: 1 - (truth - prediction).abs().mean()
    try:
        expected = float((TRUTH.float() - SURE).abs().mean())
        assert loss("my_loss") == close(expected)
        tracked = MetricSet(["my_score"])
        tracked.update(image(TRUTH), image(SURE))
        assert tracked.compute()["my_score"] == close(1 - expected)
    finally:
        del losses["my_loss"], metrics["my_score"]
