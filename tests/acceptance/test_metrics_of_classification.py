"""Losses and metrics of vectors as the classification documentation promises them."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score

from musket.core.heads import Heads
from musket.losses.catalogue import LOSSES
from musket.losses.heads import build_heads_activation, build_heads_loss
from musket.metrics.build import MetricSet
from musket.metrics.catalogue import adopt, columns_of, direction
from musket.training.monitor import Monitor


@pytest.fixture(scope="module", autouse=True)
def losses_are_metrics():
    adopt(LOSSES)


def test_c6_macro_f1_of_28_labels_is_watched_upward():
    generator = torch.Generator().manual_seed(6)
    truth = (torch.rand(60, 28, generator=generator) < 0.2).float()
    scores = (0.4 * truth + 0.7 * torch.rand(60, 28, generator=generator)).clamp(max=1)
    metrics = MetricSet(["macro_f1"], evaluation=True, heads=Heads((28,), ("sigmoid",), ("0",)))
    for batch in torch.arange(60).split(16):
        metrics.update(truth[batch], scores[batch])
    expected = f1_score(truth.numpy(), (scores > 0.5).numpy(), average="macro", zero_division=0)
    assert metrics.compute() == {"macro_f1": pytest.approx(expected, abs=1e-6)}
    watched = Monitor("EarlyStopping", "val_macro_f1")
    assert watched.mode == "max"
    assert watched.better(0.6, best=0.5)
    assert watched.read({"epoch": 0, "loss": 1.0, "val_macro_f1": 0.25}) == 0.25


def test_c18_the_total_is_the_sum_of_the_heads():
    """The YAML of the documentation: classes [4, 4], softmax and sigmoid, a loss for each."""
    classes, activations = (4, 4), ("softmax", "sigmoid")
    loss = build_heads_loss(("categorical_crossentropy", "binary_crossentropy"), activations, classes)
    generator = torch.Generator().manual_seed(18)
    logits = torch.randn(6, 8, generator=generator)
    truth = torch.cat([torch.eye(4)[[0, 1, 2, 3, 0, 1]], (torch.rand(6, 4, generator=generator) < 0.5).float()], 1)
    total, parts = loss(logits, truth)
    first = torch.nn.functional.cross_entropy(logits[:, :4], truth[:, :4])
    second = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 4:], truth[:, 4:])
    assert parts == {"loss_0": pytest.approx(float(first)), "loss_1": pytest.approx(float(second))}
    assert float(total) == pytest.approx(float(first + second))
    scores = build_heads_activation(activations, classes)(logits)
    assert torch.allclose(scores[:, :4].sum(1), torch.ones(6))
    assert direction("val_loss") == direction("val_loss_0") == "min"


def test_c18_metrics_are_named_by_head():
    heads = Heads((4, 4), ("softmax", "sigmoid"), ("kind", "marks"))
    metrics = MetricSet(["accuracy"], heads=heads)
    metrics.update(torch.eye(8)[:4] + torch.eye(8)[4:], torch.eye(8)[[0, 1, 2, 2]] + torch.eye(8)[4:])
    found = metrics.compute()
    assert found == pytest.approx({"accuracy": 0.875, "accuracy_kind": 0.75, "accuracy_marks": 1.0})
    assert list(found) == columns_of("accuracy", heads.activations, heads.names)
    assert Monitor("ReduceLROnPlateau", "val_acc_kind").read({"val_accuracy_kind": 0.75}) == 0.75


def test_c34_a_linear_head_learns_numbers():
    generator = torch.Generator().manual_seed(34)
    inputs = torch.randn(64, 3, generator=generator)
    truth = inputs @ torch.tensor([[2.0], [-1.0], [0.5]]) + 40
    torch.manual_seed(34)
    network = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1.0)
    loss, activate = build_heads_loss("mse", "none", 1), build_heads_activation("none", 1)
    names = ["mae", "mse", "rmse", "r2"]
    for _ in range(300):
        optimizer.zero_grad()
        loss(network(inputs), truth)[0].backward()
        optimizer.step()
    metrics = MetricSet(names, evaluation=True, heads=Heads((1,), ("none",), ("0",)))
    metrics.update(truth, activate(network(inputs)))
    found = metrics.compute()
    assert list(found) == names
    assert found["r2"] > 0.99
    assert found["rmse"] == pytest.approx(found["mse"] ** 0.5)
    assert [direction(f"val_{name}") for name in names] == ["min", "min", "min", "max"]
