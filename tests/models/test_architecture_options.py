"""Every architecture option of the old framework: effective, or accepted as what the network does, or refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from musket.core.errors import ModelError
from musket.models.architectures import OPTIONS
from musket.models.catalogue import ARCHITECTURES, ROOT_NAMES, library_name
from musket.models.segmenters import build_segmenter


def build(architecture, encoder="resnet18", **options):
    return build_segmenter(architecture, encoder=encoder, encoder_weights=None, classes=2, options=options).eval()


def answers(model, size=64):
    images = torch.rand(2, 3, size, size)
    logits = model.train()(images)
    logits.mean().backward()
    assert logits.shape == (2, 2, size, size)
    return True


def has(module, kind):
    return any(isinstance(part, kind) for part in module.modules())


# --- effective --------------------------------------------------------------------------------------------------------


def test_unet_decoder_filters():
    model = build("Unet", decoder_filters=[64, 48, 32, 24, 16])
    assert [block.conv2[0].out_channels for block in model.decoder.blocks] == [64, 48, 32, 24, 16]


@pytest.mark.parametrize("architecture", ["Unet", "Linknet"])
def test_n_upsample_blocks(architecture):
    options = {} if architecture == "Unet" else {"decoder_filters": ["none", "none", "none", 16]}
    model = build(architecture, n_upsample_blocks=4, **options)
    assert len(model.decoder.blocks) == 4
    assert model.stride == 16
    assert answers(model)


@pytest.mark.parametrize("architecture", ["Unet", "UnetPlusPlus", "MAnet", "Linknet", "PSPNet"])
def test_use_batchnorm(architecture):
    assert has(build(architecture).decoder, nn.BatchNorm2d)
    assert not has(build(architecture, use_batchnorm=False).decoder, nn.BatchNorm2d)


def test_unet_transposed_blocks():
    model = build("Unet", decoder_block_type="transpose", decoder_filters=[32, 24, 16, 12, 8])
    ups = [block.up[0] for block in model.decoder.blocks]
    assert [(up.in_channels, up.out_channels) for up in ups] == [(512, 32), (32, 24), (24, 16), (16, 12), (12, 8)]
    assert all(up.kernel_size == (4, 4) and up.stride == (2, 2) for up in ups)
    assert [block.conv[0].in_channels for block in model.decoder.blocks] == [32 + 256, 24 + 128, 16 + 64, 12 + 64, 8]
    assert answers(model, 65)


def test_transposed_blocks_do_not_interpolate():
    with pytest.raises(ModelError, match="transpose goes with neither"):
        build("Unet", decoder_block_type="transpose", decoder_interpolation="bilinear")


def test_fpn_widths_and_dropout():
    model = build("FPN", pyramid_block_filters=64, segmentation_block_filters=32, dropout=0.3)
    assert model.decoder.p5.out_channels == 64
    assert model.segmentation_head[0].in_channels == 32
    assert model.decoder.dropout.p == 0.3
    assert build("FPN").decoder.dropout.p == 0


@pytest.mark.parametrize(
    ("architecture", "option", "side"), [("FPN", "interpolation", 4), ("PSPNet", "final_interpolation", 8)]
)
def test_nearest_final_interpolation_gives_blocks(architecture, option, side):
    def blocky(model):
        with torch.inference_mode():
            logits = model(torch.rand(1, 3, 64, 64))
        return torch.equal(logits, logits[..., ::side, ::side].repeat_interleave(side, 2).repeat_interleave(side, 3))

    assert blocky(build(architecture, **{option: "nearest"}))
    assert not blocky(build(architecture, **{option: "bilinear"}))


def test_fpn_with_fewer_stages_keeps_the_size():
    assert all(answers(build("FPN", encoder_depth=depth)) for depth in (3, 4, 5))


def test_linknet_last_width():
    assert build("Linknet").segmentation_head[0].in_channels == 16
    model = build("Linknet", decoder_filters=[None, None, "none", None, 24])
    assert model.segmentation_head[0].in_channels == 24
    with pytest.raises(ModelError, match="only the last number can be chosen"):
        build("Linknet", decoder_filters=[128, 64, 32, 16, 16])


def test_linknet_upsampling():
    model = build("Linknet", upsample_kernel_size=[5, 3])
    assert not has(model.decoder, nn.ConvTranspose2d)
    assert model.decoder.blocks[0].block[1][1][0].kernel_size == (5, 3)
    assert answers(model, 65)
    transposed = build("Linknet", upsample_layer="transpose")
    assert sum(isinstance(part, nn.ConvTranspose2d) for part in transposed.decoder.modules()) == 5
    assert answers(transposed)


@pytest.mark.parametrize("factor", [4, 8, 16])
def test_pspnet_downsample_factor(factor):
    model = build("PSPNet", downsample_factor=factor, psp_conv_filters=64)
    assert model.stride == factor
    with torch.inference_mode():
        assert model.encoder(torch.rand(1, 3, 64, 64))[-1].shape[-1] == 64 // factor
    assert answers(model)


def test_pspnet_widths_and_dropout():
    model = build("PSPNet", psp_conv_filters=96, dropout=0.25)
    assert model.segmentation_head[0].in_channels == 96
    assert model.decoder.dropout.p == 0.25


def test_pspnet_max_pooling():
    torch.manual_seed(0)
    mean = build("PSPNet")
    torch.manual_seed(0)
    highest = build("PSPNet", psp_pooling_type="max")
    assert mean.state_dict().keys() == highest.state_dict().keys()
    features = torch.rand(2, 128, 12, 12)
    branch = highest.decoder.psp.blocks[2]
    by_hand = features.unfold(2, 4, 4).unfold(3, 4, 4).amax(dim=(-1, -2))  # 3 x 3 regions of 4 x 4
    with torch.inference_mode():
        expected = functional.interpolate(branch.pool[1](by_hand), size=(12, 12), mode="bilinear", align_corners=True)
        torch.testing.assert_close(branch(features), expected)
        assert not torch.allclose(mean.decoder.psp.blocks[2](features), expected)


@pytest.mark.parametrize(("stride", "rates"), [(8, (12, 24, 36)), (16, (6, 12, 18))])
def test_deeplab_output_stride(stride, rates):
    model = build("DeepLabV3", OS=stride)
    assert model.stride == stride
    assert tuple(model.decoder.aspp.convs[i][0].dilation[0] for i in (1, 2, 3)) == rates


def test_deeplab_default_output_stride_is_8_and_16_for_xception():
    assert build("DeepLabV3", "mobilenetv2").stride == 8
    assert build("DeepLabV3", "xception").stride == 16


def test_deeplab_alpha():
    half, whole = (build("DeepLabV3", "mobilenetv2", alpha=alpha) for alpha in (0.5, 1))
    assert sum(p.numel() for p in half.encoder_parameters()) < sum(p.numel() for p in whole.encoder_parameters()) / 2


def test_the_librarys_own_names():
    model = build(
        "Unet", decoder_channels=[32, 32, 32, 16, 16], decoder_use_norm="instancenorm", decoder_attention_type="scse"
    )
    assert has(model.decoder, nn.InstanceNorm2d)
    assert not has(build("Unet", decoder_use_batchnorm=False).decoder, nn.BatchNorm2d)
    assert build("PAN", encoder_output_stride=32).stride == 32
    assert build("FPN", decoder_merge_policy="cat").segmentation_head[0].in_channels == 4 * 128


def test_arguments_for_timm():
    model = build("Unet", "tu-resnet18", encoder_options={"stem_width": 16, "stem_type": "deep"})
    assert model.encoder.model.conv1[0].out_channels == 16


# --- accepted as what the network does anyway, else refused ----------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "option", "value"),
    [
        ("Unet", "upsample_rates", [2, 2, 2, 2, 2]),
        ("Unet", "skip_connections", "default"),
        ("Unet", "decoder_block_type", "upsampling"),
        ("FPN", "upsample_rates", [2, 2, 2]),
        ("FPN", "last_upsample", 4),
        ("FPN", "interpolation", "bilinear"),
        ("FPN", "use_batchnorm", True),
        ("FPN", "fpn_layers", "default"),
        ("Linknet", "decoder_filters", ["none", "none", "none", "none", 16]),
        ("Linknet", "skip_connections", "default"),
        ("Linknet", "upsample_layer", "upsampling"),
        ("PSPNet", "downsample_factor", 8),
        ("PSPNet", "psp_pooling_type", "avg"),
        ("PSPNet", "final_interpolation", "bilinear"),
        ("DeepLabV3", "alpha", 1.0),
    ],
)
def test_documented_defaults_may_be_written_out(architecture, option, value):
    assert build(architecture, "mobilenetv2", **{option: value})


@pytest.mark.parametrize(
    ("architecture", "option", "value", "words"),
    [
        ("Unet", "upsample_rates", [2, 2, 2, 2, 4], "each 2. Every block doubles the resolution"),
        ("Unet", "skip_connections", ["relu1"], "must be default. The skips are always the encoder's own stages"),
        ("FPN", "last_upsample", 2, "must be 4. The finished map is always brought to the size of the input"),
        ("FPN", "use_batchnorm", False, "FPN always normalises, by groups"),
        ("FPN", "fpn_layers", [1, 2], "must be default. The levels are always"),
        ("PSPNet", "downsample_factor", 5, "must be one of 4, 8, 16"),
        ("PSPNet", "dropout", "much", "must be a number"),
        ("FPN", "dropout", 1.5, "must be a number at least 0 and below 1"),
        ("FPN", "pyramid_block_filters", 0, "must be a whole number at least 1"),
        ("DeepLabV3", "OS", 4, "must be one of 8, 16"),
        ("Unet", "decoder_use_norm", "batch", "one of batchnorm, instancenorm, identity"),
        ("Unet", "decoder_filterz", [1], "Unet takes no such option; nearest: decoder_filters"),
        ("Unet", "psp_dropout", 0.1, "Unet takes no such option"),
    ],
)
def test_what_it_cannot_do_is_refused_in_words(architecture, option, value, words):
    with pytest.raises(ModelError) as caught:
        build(architecture, **{option: value})
    assert str(caught.value).startswith(f"{option}: ")
    assert words in str(caught.value)


def test_one_option_by_two_names_is_refused():
    with pytest.raises(ModelError, match="decoder_filters and decoder_channels are names of one option"):
        build("Unet", decoder_filters=[16, 16, 16, 16, 16], decoder_channels=[8, 8, 8, 8, 8])


def options_of(architecture):
    return set(ARCHITECTURES.get(architecture).signature().parameters) - ROOT_NAMES


def test_every_option_says_what_it_means():
    named = {option for name in ARCHITECTURES.names() if library_name(name) for option in options_of(name)}
    assert named == set(OPTIONS)


DOCUMENTED = {
    "Unet": """decoder_block_type decoder_filters n_upsample_blocks upsample_rates use_batchnorm decoder_use_batchnorm
        skip_connections""",
    "FPN": """pyramid_block_filters segmentation_block_filters upsample_rates last_upsample interpolation use_batchnorm
        dropout fpn_layers""",
    "Linknet": """decoder_filters use_batchnorm decoder_use_batchnorm n_upsample_blocks upsample_layer
        upsample_kernel_size skip_connections""",
    "PSPNet": "downsample_factor psp_conv_filters psp_pooling_type use_batchnorm dropout final_interpolation",
    "DeepLabV3": "alpha OS",
}
"""Options the documentation of the old framework lists."""


@pytest.mark.parametrize("architecture", DOCUMENTED)
def test_every_documented_option_is_known(architecture):
    assert set(DOCUMENTED[architecture].split()) <= options_of(architecture)
