"""Promises of the old classification documentation about networks, by their number in the check-list."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from classification_pipeline import classification
from musket.core.errors import ConfigError
from musket.losses.catalogue import ACTIVATIONS
from musket.models.catalogue import CLASSIFIERS, check_network
from musket.models.classifier_catalogue import README_NETWORKS
from musket.models.classifiers import build_classifier
from musket.models.freeze import freeze_encoder, unfreeze_encoder
from musket.optim.build import build_optimizer

README_NAMES = (
    *("ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152", "ResNeXt50", "ResNeXt101", "VGG16", "VGG19"),
    *("InceptionV3", "InceptionResNetV2", "Xception", "MobileNet", "MobileNetV2"),
    *("DenseNet121", "DenseNet169", "DenseNet201", "NASNetMobile", "NASNetLarge"),
)


def train(model, targets, steps=2, lr=0.05):
    """A few steps towards targets, on images of noise; the mean squared errors."""
    torch.manual_seed(3)
    images = torch.rand(len(targets), 3, 32, 32)
    optimizer = build_optimizer("SGD", [p for p in model.parameters() if p.requires_grad], lr)
    losses = []
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        error = (model(images) - targets).square().mean()
        error.backward()
        optimizer.step()
        losses.append(float(error.detach()))
    return losses


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(model, before):
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_c6_the_network_of_the_example():
    """DenseNet201, pooling avg, 28 classes, sigmoid, copyWeights, four channels."""
    with torch.device("meta"):
        model = build_classifier(
            "DenseNet201", weights=None, in_channels=4, classes=[28], pooling="avg", copy_weights=True
        )
        assert model(torch.empty(2, 4, 64, 64)).shape == (2, 28)


def test_c11_architecture_and_classes_are_needed(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("loss: binary_crossentropy\nstages:\n  - epochs: 1\n")
    with pytest.raises(ConfigError) as caught:
        classification.parse(config)
    assert {problem.key for problem in caught.value.problems} >= {"architecture", "classes"}


def test_c11_activation_weights_and_shape_are_optional():
    model = build_classifier("ResNet18", weights=None, classes=[4]).eval()
    with torch.inference_mode():
        logits = model(torch.rand(2, 3, 48, 64))
        shares = ACTIVATIONS.load("softmax")(logits)
    assert logits.shape == (2, 4)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2))


def test_c14_freeze_and_unfreeze():
    torch.manual_seed(0)
    model = build_classifier("ResNet18", weights=None, classes=[2], dropout=0.2)
    targets = torch.tensor([[0.0, 1], [1, 0], [1, 0]])
    freeze_encoder(model)
    before = snapshot(model)
    train(model, targets)
    assert changed(model, before) == {"heads.0.weight", "heads.0.bias"}
    unfreeze_encoder(model)
    before = snapshot(model)
    train(model, targets)
    assert {"encoder.conv1.weight", "encoder.bn1.running_mean", "heads.0.weight"} <= changed(model, before)


def test_c18_two_heads_of_four():
    model = build_classifier("MobileNetV2", weights=None, classes=[4, 4]).eval()
    assert [head.out_features for head in model.heads] == [4, 4]
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 32, 32)).shape == (1, 8)


def test_c31_documented_names():
    assert README_NAMES == README_NETWORKS
    for name in README_NAMES:
        assert name in CLASSIFIERS
        assert CLASSIFIERS.get(name).name == CLASSIFIERS.get(name.lower()).name == name


@pytest.mark.parametrize("name", [name for name in README_NAMES if name != "NASNetMobile"])
def test_c31_each_builds(name):
    """Without data; that each runs and learns is shown by the contract over every network."""
    with torch.device("meta"):
        for spelling in (name, name.lower()):
            model = build_classifier(spelling, weights=None, classes=[7])
        assert model.heads[0].out_features == 7
    assert check_network(name) is None


def test_c31_nasnet_mobile_builds():
    pytest.importorskip("pytorchcv")
    for spelling in ("NASNetMobile", "nasnetmobile"):
        assert check_network(spelling) is None
        assert build_classifier(spelling, weights=None, classes=[7]).heads[0].out_features == 7


def custom_net(input_shape, classes, activation, filters: int = 4):
    return nn.Sequential(
        nn.Conv2d(input_shape[2], filters, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(filters, classes)
    )


@pytest.mark.parametrize("registered", [classification.custom_models, classification.custom.models])
def test_c33_custom_models(registered):
    registered["CustomNet"] = custom_net
    try:
        model = build_classifier("CustomNet", classes=[3], shape=(32, 32, 5), in_channels=5, options={"filters": 6})
        assert model(torch.rand(2, 5, 32, 32)).shape == (2, 3)
        assert model.network[0].out_channels == 6
        assert check_network("customnet") is None
    finally:
        del registered["CustomNet"]
    assert "CustomNet" not in CLASSIFIERS


def test_c34_regression():
    """A linear head gives any number, and learns by the mean squared error."""
    torch.manual_seed(0)
    model = build_classifier("resnet18", weights=None, classes=[1])
    losses = train(model, torch.tensor([[-3.0], [0.5], [12.0], [40.0]]), steps=5, lr=0.005)
    assert losses[-1] < losses[0] / 2
