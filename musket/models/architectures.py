"""The segmentation architectures: one function each, its options in its signature.

An architecture is a function that receives those root keys of the experiment it names as parameters and returns a
module giving logits. The functions here return networks of segmentation_models_pytorch (smp,
https://smp.readthedocs.io): a module with the parts ``encoder``, ``decoder`` and ``segmentation_head``. Architectures
of the user's own follow the same rule and may return any module. Nothing here imports torch before a network is built,
so options are checked at no cost.

Options carry smp's names; the names of the old framework are further spellings of them. Where smp has no such option
the part is put in afterwards (:mod:`musket.models.parts`); where it would be another network, only the value that
describes this one is allowed. Defaults are those of the old framework where it had the option, else smp's.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from musket.core.errors import ModelError


def _trainable(norm: Any) -> Any:
    """The ``instancenorm`` of smp has no weights, which its own initialisation then fails on."""
    return {"type": norm, "affine": True} if norm == "instancenorm" else norm


Norm = Annotated[bool | Literal["batchnorm", "instancenorm", "identity"] | dict[str, Any], AfterValidator(_trainable)]
Interpolation = Literal["nearest", "bilinear", "bicubic", "area", "nearest-exact"]
Depth = Literal[3, 4, 5]
Width = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]

OPTIONS = {
    "OS": "The same as encoder_output_stride.",
    "alpha": "Width of mobilenetv2: 0.35, 0.5, 0.75, 1 or 1.4 times the usual.",
    "decoder_aspp_dropout": "Share of the values dropped after the pyramid of dilated convolutions, 0..1.",
    "decoder_aspp_separable": "Depthwise separable convolutions in the pyramid: smaller, faster.",
    "decoder_atrous_rates": "Three dilations of the pyramid. Default 12, 24, 36 at output stride 8, half of it at 16.",
    "decoder_attention_type": "scse puts squeeze-and-excitation (arXiv:1808.08127) into every decoder block.",
    "decoder_block_type": "How a block doubles the resolution: by interpolation, or by a transposed convolution.",
    "decoder_channels": "Width of the decoder; where it has blocks, one number per block, deepest first.",
    "decoder_dropout": "Share of the channels dropped before the last layer, 0..1.",
    "decoder_filters": "Widths of the decoder's blocks, deepest first. Those of Linknet are the encoder's, so "
    "that only its last number can be chosen: [none, none, none, none, 16].",
    "decoder_fusion_channels": "Width all levels are brought to before they are fused.",
    "decoder_intermediate_channels": "Widths of the levels, finest first.",
    "decoder_interpolation": "How coarse features are enlarged inside the decoder.",
    "decoder_merge_policy": "Levels of the pyramid are added, or stacked as channels.",
    "decoder_pab_channels": "Width of the attention over positions.",
    "decoder_pyramid_channels": "Width of the feature pyramid.",
    "decoder_readout": "What becomes of the class token: cat, add or ignore.",
    "decoder_segmentation_channels": "Width of the blocks that read the pyramid.",
    "decoder_use_norm": "Normalisation after the convolutions of the decoder: true (batchnorm), false (none), a name, "
    "or {type: name, ...} with the arguments of torch's layer.",
    "decoder_use_batchnorm": "The same as decoder_use_norm.",
    "downsample_factor": "The decoder works on features this many times smaller than the input.",
    "dropout": "Share of the values or channels dropped before the last layers, 0..1.",
    "encoder_depth": "Number of encoder stages used; each halves the resolution.",
    "encoder_options": "Arguments for timm's create_model; for timm encoders only.",
    "encoder_output_indices": "Blocks of the transformer that are read, finest first. Default: evenly spaced.",
    "encoder_output_stride": "The encoder's last features are this many times smaller than the input.",
    "final_interpolation": "How the finished map is brought to the size of the input.",
    "fpn_layers": "The levels are always the encoder's last four stages.",
    "interpolation": "The same as final_interpolation.",
    "last_upsample": "The finished map is always brought to the size of the input.",
    "n_upsample_blocks": "The same as encoder_depth: the decoder has one block per stage.",
    "psp_conv_filters": "The same as psp_out_channels.",
    "psp_dropout": "Share of the channels dropped before the last layer, 0..1.",
    "psp_out_channels": "Width of the convolution over the pooled pyramid.",
    "psp_pooling_type": "How the pyramid sums up its regions: mean or maximum.",
    "psp_use_batchnorm": "The same as decoder_use_norm.",
    "pyramid_block_filters": "The same as decoder_pyramid_channels.",
    "segmentation_block_filters": "The same as decoder_segmentation_channels.",
    "skip_connections": "The skips are always the encoder's own stages; encoder_depth says how many.",
    "upsample_kernel_size": "Kernel of the convolution after upsampling, [height, width]: 1, 3, 5 or 7.",
    "upsample_layer": "How a block doubles the resolution: interpolation and convolution, or transposed convolution.",
    "upsample_rates": "Every block doubles the resolution; encoder_depth says how many there are.",
    "use_batchnorm": "Normalisation after the convolutions of the decoder. FPN always normalises, by groups of "
    "channels, which no batch is too small for.",
}
"""What every option means, by name."""


def spellings(**other_names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function be called by further names of its options; its signature shows them.

    Args:
        other_names: further name -> option it stands for.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def accept(*args: Any, **kwargs: Any) -> Any:
            plain: dict[str, Any] = {}
            for name, value in kwargs.items():
                option = other_names.get(name, name)
                if option in plain:
                    names = [spelling for spelling in kwargs if other_names.get(spelling, spelling) == option]
                    raise ModelError(f"{' and '.join(names)} are names of one option; keep one of them")
                plain[option] = value
            return function(*args, **plain)

        signature = inspect.signature(function, eval_str=True)
        known = signature.parameters
        more = [known[option].replace(name=name) for name, option in other_names.items()]
        vars(accept)["__signature__"] = signature.replace(parameters=[*known.values(), *more])
        return accept

    return decorate


UNET_SPELLINGS = {
    "decoder_filters": "decoder_channels",
    "n_upsample_blocks": "encoder_depth",
    "use_batchnorm": "decoder_use_norm",
    "decoder_use_batchnorm": "decoder_use_norm",
}


@spellings(**UNET_SPELLINGS)
def unet(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    decoder_channels: tuple[Width, ...] = (256, 128, 64, 32, 16),
    encoder_depth: Depth = 5,
    decoder_use_norm: Norm = True,
    decoder_attention_type: Literal["scse"] | None = None,
    decoder_interpolation: Interpolation = "nearest",
    decoder_block_type: Literal["upsampling", "transpose"] = "upsampling",
    upsample_rates: tuple[Literal[2], ...] = (2, 2, 2, 2, 2),
    skip_connections: Literal["default"] = "default",
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """U-Net (arXiv:1505.04597): the decoder doubles the resolution block by block, the encoder's stages joined in."""
    from segmentation_models_pytorch import Unet

    from musket.models.parts import use_transposed_blocks

    if decoder_block_type == "transpose" and (decoder_attention_type or decoder_interpolation != "nearest"):
        raise ModelError(
            "decoder_block_type: transpose goes with neither decoder_attention_type nor decoder_interpolation"
        )
    network = Unet(
        backbone,
        encoder_depth=encoder_depth,
        encoder_weights=encoder_weights,
        decoder_use_norm=decoder_use_norm,
        decoder_channels=decoder_channels[:encoder_depth],
        decoder_attention_type=decoder_attention_type,
        decoder_interpolation=decoder_interpolation,
        in_channels=in_channels,
        classes=classes,
        **encoder_options or {},
    )
    if decoder_block_type == "transpose":
        use_transposed_blocks(network, decoder_use_norm)
    return network


@spellings(**UNET_SPELLINGS)
def unet_plus_plus(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    decoder_channels: tuple[Width, ...] = (256, 128, 64, 32, 16),
    encoder_depth: Depth = 5,
    decoder_use_norm: Norm = True,
    decoder_attention_type: Literal["scse"] | None = None,
    decoder_interpolation: Interpolation = "nearest",
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """UNet++ (arXiv:1807.10165): a U-Net whose skips are small decoders themselves; slower, often a little better."""
    from segmentation_models_pytorch import UnetPlusPlus

    return UnetPlusPlus(
        backbone,
        encoder_depth=encoder_depth,
        encoder_weights=encoder_weights,
        decoder_use_norm=decoder_use_norm,
        decoder_channels=decoder_channels[:encoder_depth],
        decoder_attention_type=decoder_attention_type,
        decoder_interpolation=decoder_interpolation,
        in_channels=in_channels,
        classes=classes,
        **encoder_options or {},
    )


@spellings(**UNET_SPELLINGS)
def manet(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    decoder_channels: tuple[Width, ...] = (256, 128, 64, 32, 16),
    encoder_depth: Depth = 5,
    decoder_use_norm: Norm = True,
    decoder_pab_channels: Width = 64,
    decoder_interpolation: Interpolation = "nearest",
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """MA-Net (doi:10.1109/ACCESS.2020.3025372): a U-Net with attention over positions and over channels."""
    from segmentation_models_pytorch import MAnet

    return MAnet(
        backbone,
        encoder_depth=encoder_depth,
        encoder_weights=encoder_weights,
        decoder_use_norm=decoder_use_norm,
        decoder_channels=decoder_channels[:encoder_depth],
        decoder_pab_channels=decoder_pab_channels,
        decoder_interpolation=decoder_interpolation,
        in_channels=in_channels,
        classes=classes,
        **encoder_options or {},
    )


@spellings(
    n_upsample_blocks="encoder_depth", use_batchnorm="decoder_use_norm", decoder_use_batchnorm="decoder_use_norm"
)
def linknet(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    decoder_filters: tuple[Width | Literal["none"] | None, ...] = (None, None, None, None, 16),
    encoder_depth: Depth = 5,
    decoder_use_norm: Norm = True,
    upsample_layer: Literal["upsampling", "transpose"] = "upsampling",
    upsample_kernel_size: tuple[Literal[1, 3, 5, 7], Literal[1, 3, 5, 7]] = (3, 3),
    skip_connections: Literal["default"] = "default",
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """LinkNet (arXiv:1707.03718): a light U-Net that adds the encoder's stages instead of stacking them."""
    from segmentation_models_pytorch import Linknet

    from musket.models.parts import use_linknet_decoder

    *inner, width = decoder_filters or (None,)
    if any(isinstance(filters, int) for filters in inner) or not isinstance(width, int):
        raise ModelError(
            f"Linknet: decoder_filters: found {list(decoder_filters)}; Linknet adds the encoder's stages, so its inner "
            "blocks have their widths: only the last number can be chosen, [none, none, none, none, 16]"
        )
    network = Linknet(
        backbone,
        encoder_depth=encoder_depth,
        encoder_weights=encoder_weights,
        decoder_use_norm=decoder_use_norm,
        in_channels=in_channels,
        classes=classes,
        **encoder_options or {},
    )
    kernel = upsample_kernel_size if upsample_layer == "upsampling" else None
    use_linknet_decoder(network, encoder_depth, width, classes, decoder_use_norm, kernel)
    return network


@spellings(
    pyramid_block_filters="decoder_pyramid_channels",
    segmentation_block_filters="decoder_segmentation_channels",
    dropout="decoder_dropout",
    interpolation="final_interpolation",
)
def fpn(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    decoder_pyramid_channels: Width = 256,
    decoder_segmentation_channels: Width = 128,
    decoder_merge_policy: Literal["add", "cat"] = "add",
    decoder_dropout: Share = 0.0,
    decoder_interpolation: Interpolation = "nearest",
    final_interpolation: Literal["bilinear", "nearest"] = "bilinear",
    encoder_depth: Depth = 5,
    use_batchnorm: Literal[True] = True,
    upsample_rates: tuple[Literal[2], ...] = (2, 2, 2),
    last_upsample: Literal[4] = 4,
    fpn_layers: Literal["default"] = "default",
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """Feature pyramid network (arXiv:1612.03144): every level of the encoder is read, the readings are summed."""
    from segmentation_models_pytorch import FPN

    from musket.models.parts import use_final_interpolation

    network = FPN(
        backbone,
        encoder_depth=encoder_depth,
        encoder_weights=encoder_weights,
        decoder_pyramid_channels=decoder_pyramid_channels,
        decoder_segmentation_channels=decoder_segmentation_channels,
        decoder_merge_policy=decoder_merge_policy,
        decoder_dropout=decoder_dropout,
        decoder_interpolation=decoder_interpolation,
        in_channels=in_channels,
        classes=classes,
        upsampling=2 ** (encoder_depth - 3),
        **encoder_options or {},
    )
    use_final_interpolation(network, final_interpolation)
    return network


@spellings(
    psp_conv_filters="psp_out_channels",
    use_batchnorm="decoder_use_norm",
    decoder_use_batchnorm="decoder_use_norm",
    psp_use_batchnorm="decoder_use_norm",
    dropout="psp_dropout",
)
def pspnet(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    downsample_factor: Literal[4, 8, 16] = 8,
    psp_out_channels: Width = 512,
    psp_pooling_type: Literal["avg", "max"] = "avg",
    decoder_use_norm: Norm = True,
    psp_dropout: Share = 0.0,
    final_interpolation: Literal["bilinear", "nearest"] = "bilinear",
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """PSPNet (arXiv:1612.01105): features pooled over regions of four sizes; quick, coarse at edges."""
    from segmentation_models_pytorch import PSPNet

    from musket.models.parts import use_final_interpolation, use_max_pooling

    network = PSPNet(
        backbone,
        encoder_weights=encoder_weights,
        encoder_depth={4: 2, 8: 3, 16: 4}[downsample_factor],
        psp_out_channels=psp_out_channels,
        decoder_use_norm=decoder_use_norm,
        psp_dropout=psp_dropout,
        in_channels=in_channels,
        classes=classes,
        upsampling=downsample_factor,
        **encoder_options or {},
    )
    if psp_pooling_type == "max":
        use_max_pooling(network.decoder)
    use_final_interpolation(network, final_interpolation)
    return network


def pan(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    decoder_channels: Width = 32,
    decoder_interpolation: Interpolation = "bilinear",
    encoder_depth: Depth = 5,
    encoder_output_stride: Literal[16, 32] = 16,
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """Pyramid attention network (arXiv:1805.10180): coarse features tell the fine ones where to look; very light."""
    from segmentation_models_pytorch import PAN

    return PAN(
        backbone,
        encoder_depth=encoder_depth,
        encoder_weights=encoder_weights,
        encoder_output_stride=encoder_output_stride,
        decoder_channels=decoder_channels,
        decoder_interpolation=decoder_interpolation,
        in_channels=in_channels,
        classes=classes,
        **encoder_options or {},
    )


@spellings(OS="encoder_output_stride", dropout="decoder_aspp_dropout")
def deeplab_v3(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    encoder_output_stride: Literal[8, 16] | None = None,
    decoder_channels: Width = 256,
    decoder_atrous_rates: tuple[Width, Width, Width] | None = None,
    decoder_aspp_separable: bool = False,
    decoder_aspp_dropout: Share = 0.5,
    encoder_depth: Depth = 5,
    alpha: float = 1.0,
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """DeepLabV3 (arXiv:1706.05587): a dilated encoder keeps its features fine; a pyramid of dilations reads them."""
    from segmentation_models_pytorch import DeepLabV3

    from musket.models.catalogue import VOC_ENCODERS
    from musket.models.parts import use_gradual_dilation

    stride = encoder_output_stride or (16 if "xception" in backbone else 8)
    network = DeepLabV3(
        backbone,
        encoder_depth=encoder_depth,
        encoder_weights=encoder_weights,
        encoder_output_stride=stride,
        decoder_channels=decoder_channels,
        decoder_atrous_rates=decoder_atrous_rates or ((12, 24, 36) if stride == 8 else (6, 12, 18)),
        decoder_aspp_separable=decoder_aspp_separable,
        decoder_aspp_dropout=decoder_aspp_dropout,
        in_channels=in_channels,
        classes=classes,
        **encoder_options or {},
    )
    if backbone in VOC_ENCODERS:
        use_gradual_dilation(network.encoder)
    return network


@spellings(OS="encoder_output_stride", dropout="decoder_aspp_dropout")
def deeplab_v3_plus(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    encoder_output_stride: Literal[8, 16] = 16,
    decoder_channels: Width = 256,
    decoder_atrous_rates: tuple[Width, Width, Width] | None = None,
    decoder_aspp_separable: bool = True,
    decoder_aspp_dropout: Share = 0.5,
    encoder_depth: Depth = 5,
    alpha: float = 1.0,
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """DeepLabV3+ (arXiv:1802.02611): DeepLabV3 with a small decoder that sharpens edges by early features."""
    from segmentation_models_pytorch import DeepLabV3Plus

    return DeepLabV3Plus(
        backbone,
        encoder_depth=encoder_depth,
        encoder_weights=encoder_weights,
        encoder_output_stride=encoder_output_stride,
        decoder_channels=decoder_channels,
        decoder_atrous_rates=decoder_atrous_rates or ((12, 24, 36) if encoder_output_stride == 8 else (6, 12, 18)),
        decoder_aspp_separable=decoder_aspp_separable,
        decoder_aspp_dropout=decoder_aspp_dropout,
        in_channels=in_channels,
        classes=classes,
        **encoder_options or {},
    )


@spellings(use_batchnorm="decoder_use_norm", decoder_use_batchnorm="decoder_use_norm")
def upernet(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    decoder_channels: Width = 256,
    decoder_use_norm: Norm = True,
    encoder_depth: Depth = 5,
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """UPerNet (arXiv:1807.10221): pooled pyramid and feature pyramid together; the usual partner of transformers."""
    from segmentation_models_pytorch import UPerNet

    return UPerNet(
        backbone,
        encoder_depth=encoder_depth,
        encoder_weights=encoder_weights,
        decoder_channels=decoder_channels,
        decoder_use_norm=decoder_use_norm,
        in_channels=in_channels,
        classes=classes,
        **encoder_options or {},
    )


def segformer(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    decoder_segmentation_channels: Width = 256,
    encoder_depth: Depth = 5,
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """SegFormer (arXiv:2105.15203): one linear layer per encoder stage; made for the mit_b0 ... mit_b5 encoders."""
    from segmentation_models_pytorch import Segformer

    return Segformer(
        backbone,
        encoder_depth=encoder_depth,
        encoder_weights=encoder_weights,
        decoder_segmentation_channels=decoder_segmentation_channels,
        in_channels=in_channels,
        classes=classes,
        **encoder_options or {},
    )


def dpt(
    backbone: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    *,
    encoder_depth: Width = 4,
    encoder_output_indices: tuple[int, ...] | None = None,
    decoder_readout: Literal["ignore", "add", "cat"] = "cat",
    decoder_intermediate_channels: tuple[Width, ...] = (256, 512, 1024, 1024),
    decoder_fusion_channels: Width = 256,
    encoder_options: dict[str, Any] | None = None,
) -> Any:
    """Dense prediction transformer (arXiv:2103.13413): a convolutional decoder on a plain vision transformer."""
    from segmentation_models_pytorch import DPT

    return DPT(
        backbone,
        encoder_depth=encoder_depth,
        encoder_weights=encoder_weights,
        encoder_output_indices=None if encoder_output_indices is None else list(encoder_output_indices),
        decoder_readout=decoder_readout,
        decoder_intermediate_channels=decoder_intermediate_channels[:encoder_depth],
        decoder_fusion_channels=decoder_fusion_channels,
        in_channels=in_channels,
        classes=classes,
        **encoder_options or {},
    )
