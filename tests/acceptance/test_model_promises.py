"""Promises of the old documentation about networks, by their number in the check-list."""

from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch import nn

from musket.losses.catalogue import ACTIVATIONS
from musket.models import weights
from musket.models.catalogue import ARCHITECTURES, README_BACKBONES, check_encoder, check_weights, custom_models
from musket.models.segmenters import build_segmenter


def test_s17_network_output():
    model = build_segmenter("Unet", encoder="mobilenetv2", encoder_weights=None, classes=1).eval()
    with torch.inference_mode():
        masks = ACTIVATIONS.load("sigmoid")(model(torch.rand(2, 3, 70, 90)))
        classes = build_segmenter("FPN", encoder="resnet18", encoder_weights=None, classes=4).eval()
        shares = ACTIVATIONS.load("softmax")(classes(torch.rand(1, 3, 64, 64)))
    assert masks.shape == (2, 1, 70, 90)
    assert masks.min() >= 0
    assert masks.max() <= 1
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(1, 64, 64))


@pytest.mark.parametrize("name", ["Unet", "Linknet", "PSP", "FPN", "DeeplabV3"])
def test_s45_architectures(name):
    model = build_segmenter(name, encoder="mobilenetv2", encoder_weights=None, classes=1).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 64, 64)).shape == (1, 1, 64, 64)


def test_s45_other_spellings():
    found = {name: ARCHITECTURES.get(name).name for name in ("UNet", "Linkenet", "PSPNet", "DeepLabV3", "deeplabv3+")}
    assert found == {
        "UNet": "Unet",
        "Linkenet": "Linknet",
        "PSPNet": "PSPNet",
        "DeepLabV3": "DeepLabV3",
        "deeplabv3+": "DeepLabV3Plus",
    }


@pytest.mark.parametrize("architecture", ["Unet", "FPN", "Linknet", "PSPNet"])
def test_s46_backbones(architecture):
    """Fourteen names; that each of these networks runs and learns is shown by the contract over every architecture."""
    assert len(README_BACKBONES) == 14
    assert [check_encoder(name, architecture) for name in README_BACKBONES] == [None] * 14


def test_s47_imagenet_weights(monkeypatch, tmp_path):
    torch.manual_seed(1)
    file = tmp_path / "model.safetensors"
    save_file(smp.encoders.get_encoder("resnet18", weights=None).state_dict(), file)
    monkeypatch.setattr(weights, "reachable", lambda address: True)
    monkeypatch.setattr(smp.encoders, "hf_hub_download", lambda *args, **kwargs: str(file))

    def encoder_state(encoder_weights):
        model = build_segmenter("Unet", encoder="resnet18", encoder_weights=encoder_weights, classes=1)
        return torch.cat([value.flatten().double() for value in model.encoder.state_dict().values()])

    assert torch.equal(encoder_state("imagenet"), encoder_state("imagenet"))
    assert not torch.equal(encoder_state("imagenet"), encoder_state(None))


@pytest.mark.parametrize("backbone", ["mobilenetv2", "xception"])
def test_s48_deeplab_backbones(backbone):
    """What becomes of ``pascal_voc``, which nobody publishes for these two any more: tests/models/."""
    model = build_segmenter("DeepLabV3", encoder=backbone, encoder_weights="pascal_voc", pretrained=False, classes=21)
    assert check_weights("pascal_voc", backbone, "DeepLabV3") is None
    model.eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 64, 64)).shape == (1, 21, 64, 64)


@pytest.mark.parametrize("backbone", ["vgg16", "densenet121", "inceptionv3", "inceptionresnetv2"])
def test_s48_backbones_that_cannot_serve_are_rejected(backbone):
    assert "mobilenetv2, xception" in (check_encoder(backbone, "DeepLabV3") or "")


def test_s51_custom_models():
    got = []

    def my_unet(classes, shape, width=8):
        got.append((classes, shape, width))
        return nn.Sequential(nn.Conv2d(shape[2], width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, classes, 1))

    custom_models["MyUnet"] = my_unet
    try:
        model = build_segmenter("MyUnet", encoder=None, classes=2, shape=(32, 32, 3), options={"width": 6})
    finally:
        del custom_models["MyUnet"]
    assert got == [(2, (32, 32, 3), 6)]
    images, truth = torch.rand(2, 3, 32, 32), torch.ones(2, 2, 32, 32)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    losses = []
    for _ in range(5):
        loss = nn.functional.binary_cross_entropy_with_logits(model(images), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
