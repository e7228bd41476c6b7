"""Every architecture, and every backbone the old documentation names, runs and learns on images of odd size."""

from __future__ import annotations

import warnings

import pytest
import torch

from musket.models.catalogue import (
    ARCHITECTURES,
    OLD_NAMES,
    README_BACKBONES,
    SMP_ENCODERS,
    STAND_INS,
    check_encoder,
    library_name,
    resolve_encoder,
)
from musket.models.segmenters import build_segmenter, trial

BUILT_IN = [name for name in ARCHITECTURES.names() if library_name(name)]
SCHEMA_BACKBONES = sorted(
    {*OLD_NAMES, "seresnet18", "senet154", "xception"} - {*README_BACKBONES, "resnext50", "resnext101"}
)
HEAVY = {"vgg16", "vgg19", "resnet101", "resnet152", "resnext101", "densenet201", "inceptionv3", "inceptionresnetv2"}
"""Backbones whose cheapest architecture alone is run by default; the rest of them is marked slow."""


def learns(architecture, encoder, batch=1, channels=3, size=(65, 81)):
    """Forward and backward; shape kept, first layer reached, nothing infinite."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        if encoder in STAND_INS:
            warnings.simplefilter("ignore", UserWarning)
        model = build_segmenter(architecture, encoder=encoder, encoder_weights=None, classes=2, in_channels=channels)
    logits = model.train()(torch.rand(batch, channels, *size))
    assert logits.shape == (batch, 2, *size)
    logits.square().mean().backward()
    first = next(iter(model.encoder_parameters()))
    assert first.grad is not None
    assert first.grad.abs().sum() > 0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def combinations():
    for encoder in README_BACKBONES:
        for architecture in ("Unet", "FPN", "Linknet", "PSPNet"):
            fast = architecture == "PSPNet" or (encoder not in HEAVY and architecture == "Unet")
            yield pytest.param(architecture, encoder, marks=() if fast else pytest.mark.slow)
    for encoder in ("mobilenetv2", "xception"):
        yield pytest.param("DeepLabV3", encoder)


@pytest.mark.parametrize(("architecture", "encoder"), list(combinations()))
def test_every_documented_backbone(architecture, encoder):
    learns(architecture, encoder)


@pytest.mark.parametrize("encoder", SCHEMA_BACKBONES)
def test_every_backbone_of_the_old_schema(encoder):
    learns("PSPNet", encoder, size=(33, 41))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["Unet", "FPN", "Linknet"])
@pytest.mark.parametrize("encoder", SCHEMA_BACKBONES)
def test_every_backbone_of_the_old_schema_in_every_old_architecture(architecture, encoder):
    learns(architecture, encoder, size=(33, 41))


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("architecture", BUILT_IN)
def test_every_architecture(architecture, batch):
    learns(architecture, "vit_tiny_patch16_224" if architecture == "DPT" else "resnet18", batch, channels=4)


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(name, marks=pytest.mark.slow if name in ("UnetPlusPlus", "MAnet") else ())
        for name in BUILT_IN
        if name != "DPT"
    ],
)
def test_encoders_that_do_not_halve_evenly(architecture):
    """inceptionv3 loses borders; where features must be dilated it is refused, so another one stands for those."""
    encoder = "inceptionv3" if check_encoder("inceptionv3", architecture) is None else "tu-mobilenetv3_small_050"
    learns(architecture, encoder, size=(40, 33))


@pytest.mark.parametrize("architecture", BUILT_IN)
def test_one_seed_gives_one_network(architecture):
    encoder = "vit_tiny_patch16_224" if architecture == "DPT" else "mobilenet_v2"
    states = []
    for _ in range(2):
        torch.manual_seed(11)
        states.append(build_segmenter(architecture, encoder=encoder, encoder_weights=None, classes=2).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [name for name in BUILT_IN if name != "DPT"])
def test_the_table_of_encoders_tells_the_truth(architecture):
    """Built without data for every smp encoder: what is accepted works."""
    for encoder in SMP_ENCODERS:
        if encoder.startswith("mit_b"):  # smp cannot build these without data; mit_b0 is run below
            continue
        if check_encoder(encoder, architecture) is None:
            assert trial(architecture, resolve_encoder(encoder, architecture), {}) is None, encoder


@pytest.mark.parametrize("architecture", ["Unet", "MAnet", "FPN", "PSPNet", "PAN", "DeepLabV3", "UPerNet", "Segformer"])
def test_mit_encoders(architecture):
    learns(architecture, "mit_b0", batch=2, size=(65, 64))
