from __future__ import annotations

import pytest
import torch
from torch import nn

from musket.core.errors import ModelError
from musket.core.registry import RegistryError
from musket.models.catalogue import ARCHITECTURES, custom_models
from musket.models.freeze import freeze_encoder
from musket.models.segmenters import build_segmenter


class Tiny(nn.Module):
    def __init__(self, channels, classes, width=4):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images):
        return self.head(self.encoder(images).relu())


@pytest.fixture
def own(monkeypatch):
    """The dictionary of custom models; what a test puts in is taken out again."""
    yield custom_models
    for name in list(custom_models):
        del custom_models[name]


def build(name, **kwargs):
    return build_segmenter(name, encoder=kwargs.pop("encoder", None), classes=kwargs.pop("classes", 2), **kwargs)


def test_a_function_gets_the_root_keys_it_names(own):
    got = {}

    def my_unet(backbone, classes, shape, activation, encoder_weights, width=8):
        got.update(locals())
        return Tiny(shape[2], classes, width)

    own["MyUnet"] = my_unet
    model = build(
        "MyUnet", encoder="resnet18", encoder_weights=None, shape=[64, 48, 5], in_channels=5, activation="sigmoid",
        options={"width": 6},
    )  # fmt: skip
    got.pop("got")
    assert got == {
        "backbone": "resnet18",
        "classes": 2,
        "shape": [64, 48, 5],
        "activation": "sigmoid",
        "encoder_weights": None,
        "width": 6,
    }
    assert model(torch.rand(1, 5, 20, 30)).shape == (1, 2, 20, 30)


def test_the_old_parameter_names(own):
    own["Old"] = lambda backbone_name, input_shape, classes: Tiny(input_shape[2], classes)
    assert build("Old", encoder="vgg16", shape=(32, 32, 3)).mean == (0.485, 0.456, 0.406)


def test_a_function_with_open_parameters_gets_all(own):
    got = {}

    def anything(**parameters):
        got.update(parameters)
        return Tiny(parameters["in_channels"], parameters["classes"])

    own["Open"] = anything
    build("Open", options={"depth": 3})
    assert got.keys() == {"backbone", "encoder_weights", "in_channels", "classes", "shape", "activation", "depth"}


def test_a_class_serves_as_well(own):
    own["Tiny"] = type(
        "Net", (Tiny,), {"__init__": lambda self, in_channels, classes: Tiny.__init__(self, in_channels, classes)}
    )
    assert build("tiny")(torch.rand(1, 3, 8, 8)).shape == (1, 2, 8, 8)


def test_weights_are_not_asked_for_when_trained_ones_follow(own):
    got = []
    own["Mine"] = lambda in_channels, classes, encoder_weights: (
        got.append(encoder_weights) or Tiny(in_channels, classes)
    )
    build("Mine", encoder_weights="imagenet", pretrained=False)
    assert got == [None]


def test_it_says_itself_what_its_images_look_like(own):
    class Normalised(Tiny):
        mean = torch.tensor([0.1, 0.2, 0.3])
        std = (0.5, 0.5, 0.5)

    own["Mine"] = lambda classes: Normalised(3, classes)
    assert build("Mine").mean == pytest.approx((0.1, 0.2, 0.3))
    own["Mine"] = lambda classes: Tiny(3, classes)
    assert (build("Mine").mean, build("Mine").std) == ((0.0,) * 3, (1.0,) * 3)


def test_its_encoder_can_be_frozen(own):
    own["Mine"] = lambda classes: Tiny(3, classes)
    model = build("Mine")
    freeze_encoder(model)
    model.train()
    assert not any(p.requires_grad for p in model.network.encoder.parameters())
    assert all(p.requires_grad for p in model.network.head.parameters())
    assert not model.network.encoder[1].training


def test_freezing_needs_an_encoder(own):
    own["Mine"] = lambda classes: nn.Conv2d(3, classes, 1)
    with pytest.raises(ModelError, match="Mine has no part named encoder or backbone"):
        freeze_encoder(build("Mine"))


def test_a_result_of_another_shape_is_refused(own):
    own["Mine"] = lambda classes: nn.Conv2d(3, classes, 3)
    with pytest.raises(
        ModelError, match=r"Mine returned \(1, 2, 6, 6\) for images \(1, 3, 8, 8\); it must return logits"
    ):
        build("Mine")(torch.rand(1, 3, 8, 8))


def test_a_result_that_is_no_network_is_refused(own):
    own["Mine"] = lambda classes: "net"
    with pytest.raises(ModelError, match="Mine must return a torch module giving logits; it returned str"):
        build("Mine")


def test_its_options_are_checked_by_name(own):
    own["Mine"] = lambda classes, depth, width=3: Tiny(3, classes, width)
    with pytest.raises(ModelError, match=r"widht: Mine takes no such option; nearest: width. Mine: Mine needs depth"):
        build("Mine", options={"widht": 2})


def test_its_own_errors_come_through(own):
    def broken(classes):
        raise ZeroDivisionError("mine")

    own["Mine"] = broken
    with pytest.raises(ZeroDivisionError, match="mine"):
        build("Mine")


def test_built_in_names_are_protected(own):
    with pytest.raises(RegistryError, match="registered already"):
        own["Unet"] = Tiny
    assert "Unet" in ARCHITECTURES
