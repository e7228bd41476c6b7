from __future__ import annotations

import subprocess
import sys

import pytest
import segmentation_models_pytorch as smp

from musket.core.errors import ModelError
from musket.models.catalogue import (
    ARCHITECTURES,
    OLD_NAMES,
    SMP_ENCODERS,
    check_encoder,
    check_weights,
    encoders,
    resolve_encoder,
    smp_weights,
)
from musket.models.encoders import timm_weights


def test_the_table_is_the_librarys():
    theirs = {name: set(facts["pretrained_settings"]) for name, facts in smp.encoders.encoders.items()}
    assert {name: set(tags) for name, tags in SMP_ENCODERS.items()} == theirs


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet34", "resnet34"),
        ("ResNet34", "resnet34"),
        ("resnext50", "resnext50_32x4d"),
        ("resnext101", "tu-resnext101_32x4d.gluon_in1k"),
        ("InceptionV3", "tu-inception_v3"),
        ("seresnext101", "se_resnext101_32x4d"),
        ("mobilenetv2", "mobilenet_v2"),
        ("mobilenet", "tu-mobilenetv1_100"),
        ("resnet152v2", "tu-resnetv2_152"),
        ("nasnetlarge", "tu-nasnetalarge"),
        ("tu-convnext_tiny", "tu-convnext_tiny"),
        ("convnext_tiny", "tu-convnext_tiny"),
        ("convnext_tiny.in12k", "tu-convnext_tiny.in12k"),
        ("timm-regnetx_002", "tu-regnetx_002"),
    ],
)
def test_names(name, expected):
    assert resolve_encoder(name) == expected


def test_xception_is_the_dilated_one_where_dilation_is_asked_for():
    assert resolve_encoder("xception", "Unet") == "xception"
    assert {resolve_encoder("xception", name) for name in ("DeepLabV3", "DeeplabV3", "deeplabv3+", "PAN")} == {
        "tu-xception65"
    }


def test_alpha_chooses_the_width_of_mobilenetv2():
    assert resolve_encoder("mobilenetv2", "DeepLabV3", {"alpha": 0.5}) == "tu-mobilenetv2_050"
    assert resolve_encoder("mobilenetv2", "DeepLabV3", {"alpha": 1.4}) == "tu-mobilenetv2_140"
    assert resolve_encoder("mobilenetv2", "DeepLabV3", {"alpha": 1}) == "mobilenet_v2"
    with pytest.raises(ModelError, match=r"found 0.6; mobilenetv2 is kept in the widths 0.35, 0.5, 0.75, 1, 1.4"):
        resolve_encoder("mobilenetv2", "DeepLabV3", {"alpha": 0.6})
    with pytest.raises(ModelError, match="alpha is the width of mobilenetv2"):
        resolve_encoder("resnet18", "DeepLabV3", {"alpha": 0.5})


def test_an_unknown_name_gets_the_nearest():
    assert "no such backbone 'resnt34'; nearest: resnet34" in (check_encoder("resnt34", "Unet") or "")
    assert "timm has no weights 'a9'" in (check_encoder("tu-resnet18.a9", "Unet") or "")


@pytest.mark.parametrize(
    "encoder", ["vgg16", "densenet121", "inceptionv3", "inceptionresnetv2", "seresnet18", "nasnetlarge"]
)
def test_pooling_encoders_cannot_be_dilated(encoder):
    sentence = check_encoder(encoder, "DeepLabV3") or ""
    assert f"which {encoder} cannot. Take mobilenetv2, xception" in sentence
    assert check_encoder(encoder, "Unet") is None


def test_pan_takes_pooling_encoders_without_dilation():
    assert "or encoder_output_stride: 32" in (check_encoder("vgg16", "PAN") or "")
    assert check_encoder("vgg16", "PAN", {"encoder_output_stride": 32}) is None


def test_mit_encoders_fit_where_half_resolution_is_not_needed():
    assert "has not. Take Segformer" in (check_encoder("mit_b0", "Linknet") or "")
    assert check_encoder("mit_b0", "Segformer") is None


def test_dpt_wants_a_timm_model():
    assert "vit_base_patch16_224" in (check_encoder("resnet18", "DPT") or "")
    assert check_encoder("vit_tiny_patch16_224", "DPT") is None
    assert check_encoder("convnext_tiny", "DPT") is None
    assert "DPT does not work with backbone tu-xcit_nano" in (check_encoder("xcit_nano_12_p16_224", "DPT") or "")


def test_rare_timm_models_are_tried():
    assert check_encoder("tu-edgenext_xx_small", "Unet") is None
    assert "DeepLabV3 does not work" in (check_encoder("tu-edgenext_xx_small", "DeepLabV3") or "")
    assert "Unet does not work" in (check_encoder("maxvit_tiny_tf_224", "Unet") or "")


def test_any_backbone_goes_with_an_architecture_of_the_users_own():
    ARCHITECTURES.add("Mine", lambda backbone: None, "A test.")
    try:
        assert check_encoder("vgg16", "Mine") is None
    finally:
        ARCHITECTURES.remove("Mine")


def test_imagenet_is_the_librarys_default():
    assert smp_weights("resnet50", "imagenet") == "imagenet"
    assert smp_weights("dpn92", "imagenet") == "imagenet+5k"
    assert smp_weights("resnet50", "ssl") == "ssl"
    assert timm_weights("tu-resnet18", "imagenet") == "tu-resnet18.a1_in1k"
    assert timm_weights("tu-resnext101_32x4d.gluon_in1k", "imagenet") == "tu-resnext101_32x4d.gluon_in1k"
    assert timm_weights("tu-resnet18", "fb_swsl_ig1b_ft_in1k") == "tu-resnet18.fb_swsl_ig1b_ft_in1k"


def test_imagenet11k_is_a_larger_imagenet_where_there_is_one():
    assert timm_weights("tu-resnetv2_50x1_bit", "imagenet11k") == "tu-resnetv2_50x1_bit.goog_in21k"
    assert "take backbone resnetv2_50x1_bit.goog_in21k" in (check_weights("imagenet11k", "resnet50", "Unet") or "")
    assert "has no weights" in (check_weights("imagenet11k-places365ch", "resnet50", "Unet") or "")
    assert check_encoder("resnetv2_50x1_bit.goog_in21k", "Unet") is None


def test_weights_by_name():
    assert check_weights(None, "resnet18", "Unet") is None
    assert check_weights("imagenet", "resnext101", "Unet") is None
    assert "resnet18 has no weights 'imagnet'; it has imagenet, ssl, swsl" in (
        check_weights("imagnet", "resnet18", "Unet") or ""
    )
    assert "non-commercial" in (check_weights("imagenet", "resnext101_32x4d", "Unet") or "")
    assert "nobody publishes any" in (check_weights("imagenet", "resnet152v2", "Unet") or "")
    assert check_weights("pascal_voc", "mobilenetv2", "DeeplabV3") is None
    assert check_weights("pascal_voc", "resnet101", "DeepLabV3") is None
    assert "only for DeepLabV3" in (check_weights("pascal_voc", "resnet34", "DeepLabV3") or "")


def test_every_old_name_is_listed():
    assert OLD_NAMES.items() <= encoders().items()
    assert SMP_ENCODERS.keys() <= encoders().keys()


def test_common_names_need_no_torch():
    code = (
        "import sys;"
        "from musket.models.catalogue import ARCHITECTURES, OLD_NAMES, check_encoder, check_weights;"
        "[check_encoder(name, 'FPN') for name in OLD_NAMES];"
        "check_encoder('vgg16', 'DeepLabV3'); check_weights('imagenet', 'resnext101', 'Unet');"
        "[entry.signature() for entry in ARCHITECTURES.entries()];"
        "heavy = {'torch', 'timm', 'segmentation_models_pytorch', 'pandas', 'sklearn', 'cv2', 'matplotlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
