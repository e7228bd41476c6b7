"""Every documented classification network runs and learns on images of odd size, by either pooling."""

from __future__ import annotations

import pytest
import torch

from musket.models.catalogue import CLASSIFIERS, check_network, check_network_weights, networks
from musket.models.classifier_catalogue import README_NETWORKS, UNTRAINED
from musket.models.classifiers import build_classifier

BY_TIMM = [name for name in networks() if name != "NASNetMobile"]
LIGHT = {"ResNet18", "SEResNet18", "MobileNet", "MobileNetV2", "DenseNet121", "InceptionV3", "ResNet50V2", "Xception"}
"""Networks that are trained a step by default; the others are marked slow, and run without data by default."""


def learns(name):
    """Forward and backward of one image; first layer reached, nothing infinite."""
    torch.manual_seed(0)
    model = build_classifier(name, weights=None, classes=(2, 1), in_channels=4, dropout=0.1)
    logits = model.train()(torch.rand(1, 4, 65, 81))
    assert logits.shape == (1, 3)
    logits.square().mean().backward()
    first = next(iter(model.encoder_parameters()))
    assert first.grad is not None
    assert first.grad.abs().sum() > 0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in LIGHT else pytest.mark.slow) for name in BY_TIMM]
)
def test_every_network_learns(name):
    learns(name)


def test_nasnet_mobile_learns():
    pytest.importorskip("pytorchcv")
    learns("NASNetMobile")


@pytest.mark.parametrize("name", BY_TIMM)
def test_every_network_without_data(name):
    with torch.device("meta"):
        model = build_classifier(name, weights=None, classes=(5,), pooling="max").eval()
        assert model(torch.empty(2, 3, 40, 96)).shape == (2, 5)
    assert model.encoder(torch.empty(1, 3, 96, 96, device="meta")).shape == (1, model.heads[0].in_features)


@pytest.mark.parametrize("name", networks())
def test_every_network_is_described(name):
    entry = CLASSIFIERS.get(name.lower())
    assert entry.name == name
    assert entry.summary.endswith(".")
    if name == "NASNetMobile":
        return
    assert check_network(name, {}, "max") is None
    assert (check_network_weights("imagenet", name) is None) == (entry.model not in UNTRAINED)


def test_the_documented_networks_are_all_there():
    assert len(README_NETWORKS) == 19
    assert set(README_NETWORKS) <= networks().keys()
