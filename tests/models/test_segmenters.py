from __future__ import annotations

import copy
import warnings

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from musket.core.errors import ModelError
from musket.core.registry import RegistryError
from musket.models.batch_norm import LenientBatchNorm2d
from musket.models.segmenters import build_segmenter


def build(architecture="Unet", encoder="mobilenet_v2", **kwargs):
    kwargs.setdefault("encoder_weights", None)
    kwargs.setdefault("classes", 2)
    return build_segmenter(architecture, encoder=encoder, **kwargs)


def test_whole_strides_give_what_the_library_gives_bit_for_bit():
    torch.manual_seed(3)
    ours = build("Unet", "resnet18", classes=3).eval()
    torch.manual_seed(3)
    theirs = smp.Unet("resnet18", encoder_weights=None, classes=3).eval()
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))


def test_state_keys_are_the_librarys():
    assert list(build("Unet", "resnet18").state_dict()) == list(
        smp.Unet("resnet18", encoder_weights=None, classes=2).state_dict()
    )


def test_odd_sizes_are_padded_by_repeating_the_edge_and_cropped_back():
    torch.manual_seed(0)
    model = build("FPN", "resnet18").eval()
    images = torch.rand(1, 3, 40, 50)
    rows = torch.cat([images, images[:, :, -1:].expand(-1, -1, 24, -1)], dim=2)
    padded = torch.cat([rows, rows[..., -1:].expand(-1, -1, -1, 14)], dim=3)
    with torch.inference_mode():
        assert torch.equal(model(images), model(padded)[..., :40, :50])


@pytest.mark.parametrize("architecture", ["Unet", "PSPNet", "PAN", "DeepLabV3Plus", "UPerNet"])
@pytest.mark.parametrize("size", [(32, 32), (33, 100), (127, 64)])
def test_any_size_and_one_image_in_training(architecture, size):
    model = build(architecture).train()
    logits = model(torch.rand(1, 3, *size))
    assert logits.shape == (1, 2, *size)
    logits.mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("encoder", ["timm-skresnet18", "tu-resnest14d"])
def test_encoders_that_normalise_pooled_values_take_one_image(encoder):
    model = build("Unet", encoder).train()
    assert model(torch.rand(1, 3, 64, 64)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize("channels", [1, 2, 5, 12])
def test_any_number_of_channels(channels):
    model = build("Unet", in_channels=channels)
    assert model(torch.rand(2, channels, 33, 32)).shape == (2, 2, 33, 32)
    assert len(model.mean) == len(model.std) == channels


def test_a_single_value_per_channel_uses_running_statistics_and_leaves_them():
    norm = LenientBatchNorm2d(2)
    norm.running_mean.copy_(torch.tensor([1.0, 2.0]))
    norm.running_var.copy_(torch.tensor([4.0, 9.0]))
    found = norm.train()(torch.tensor([3.0, 5.0]).view(1, 2, 1, 1)).flatten()
    torch.testing.assert_close(found, torch.tensor([1.0, 1.0]), rtol=1e-5, atol=1e-5)
    assert norm.running_mean.tolist() == [1.0, 2.0]
    assert norm.num_batches_tracked == 0


def test_batches_are_normalised_as_by_torch():
    ours, theirs = LenientBatchNorm2d(3), nn.BatchNorm2d(3)
    values = torch.rand(2, 3, 1, 1)
    assert torch.equal(ours.train()(values), theirs.train()(values))
    assert torch.equal(ours.running_mean, theirs.running_mean)


def test_mean_and_deviation_are_the_encoders_own():
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (build(encoder="resnet18").mean, build(encoder="resnet18").std) == imagenet
    for halved in ("xception", "mobilenet", "timm-tf_efficientnet_lite0"):
        model = build(encoder=halved)
        assert (model.mean, model.std) == ((0.5,) * 3, (0.5,) * 3)
    assert build(encoder="resnet18").input_range == (0.0, 1.0)


def test_mean_and_deviation_of_other_channel_counts():
    assert build(in_channels=1).mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    assert build(in_channels=2).mean == (0.485, 0.456)
    five = build(in_channels=5)
    assert five.mean[:3] == (0.485, 0.456, 0.406)
    assert five.std[3:] == pytest.approx(((0.229 + 0.224 + 0.225) / 3,) * 2)


def test_one_seed_gives_one_network():
    states = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        states.append(build("Linknet").state_dict())
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(states[0].values(), states[2].values(), strict=True))


def test_a_copy_is_a_network_of_its_own():
    model = build().eval()
    other = copy.deepcopy(model)
    images = torch.rand(1, 3, 33, 33)
    with torch.inference_mode():
        assert torch.equal(model(images), other(images))
    assert not {id(p) for p in model.parameters()} & {id(p) for p in other.parameters()}


def test_encoder_parameters_are_the_encoders():
    model = build()
    assert {id(p) for p in model.encoder_parameters()} == {id(p) for p in model.encoder.parameters()}
    assert model.encoder_modules() == [model.encoder]


def test_unknown_architecture_names_the_nearest():
    with pytest.raises(RegistryError, match=r"no such architecture 'Unett'; nearest: Unet"):
        build("Unett")


def test_a_backbone_is_needed():
    with pytest.raises(ModelError, match="Unet needs a backbone"):
        build(encoder=None)


def test_what_the_library_refuses_is_a_model_error():
    with pytest.raises(ModelError, match=r"Unet cannot be built with backbone mobilenet_v2: .*5, .* 2 blocks"):
        build(options={"decoder_channels": [16, 8]})


def test_retired_names_build_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(encoder="timm-efficientnet-b0")


def test_a_stand_in_is_announced():
    with pytest.warns(UserWarning, match="mnasnet_100, a searched network of the same size, stands in"):
        build(encoder="NASNetMobile")


def test_transformers_made_for_one_size_take_any():
    model = build("UPerNet", "swin_tiny_patch4_window7_224").eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 70, 100)).shape == (1, 2, 70, 100)
