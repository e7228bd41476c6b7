"""Names of network architectures and of the encoders (backbones) they are built on. Imports no torch.

Names that experiments usually hold are answered from the tables here. Other names of timm models ask timm itself.
Those of classification networks are told in :mod:`musket.models.classifier_catalogue`, and can be had from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musket.core.errors import ModelError
from musket.core.registry import Registry, RegistryDict
from musket.models.classifier_catalogue import CLASSIFIER_ROOT_NAMES as CLASSIFIER_ROOT_NAMES
from musket.models.classifier_catalogue import CLASSIFIERS as CLASSIFIERS
from musket.models.classifier_catalogue import check_network as check_network
from musket.models.classifier_catalogue import check_network_weights as check_network_weights
from musket.models.classifier_catalogue import classifier_models as classifier_models
from musket.models.classifier_catalogue import networks as networks

ARCHITECTURES = Registry("architecture")

custom_models = RegistryDict(ARCHITECTURES)
"""Architectures of the user's own: ``custom_models["MyUnet"] = build``. See :data:`ROOT_NAMES`."""

ROOT_NAMES = frozenset(
    {"backbone", "backbone_name", "encoder_weights", "classes", "shape", "input_shape", "in_channels", "activation"}
)
"""Parameters of an architecture that are filled from the experiment; its other parameters are its options.

``backbone_name`` is the old name of ``backbone``, ``input_shape`` of ``shape`` ([height, width, channels]);
``in_channels`` is the last number of ``shape``.
"""


def _fill() -> None:
    functions = "musket.models.architectures"
    for name, function, summary, *aliases in (
        ("Unet", "unet", "U-Net: decoder with skips from every encoder stage; the safe first choice."),
        ("UnetPlusPlus", "unet_plus_plus", "UNet++: nested skips; slower, often a little better than Unet.", "Unet++"),
        ("MAnet", "manet", "U-Net with attention over positions and channels."),
        ("Linknet", "linknet", "LinkNet: adds the encoder's stages instead of stacking them; light.", "Linkenet"),
        ("FPN", "fpn", "Feature pyramid: every level is read, the readings are summed."),
        ("PSPNet", "pspnet", "Features pooled over regions of four sizes; quick, coarse at edges.", "PSP"),
        ("PAN", "pan", "Pyramid attention: coarse features guide the fine ones; very light."),
        ("DeepLabV3", "deeplab_v3", "Dilated encoder, pyramid of dilated convolutions; heavy, good at context."),
        ("DeepLabV3Plus", "deeplab_v3_plus", "DeepLabV3 with a small decoder for sharper edges.", "DeepLabV3+"),
        ("UPerNet", "upernet", "Pooled pyramid and feature pyramid; the usual partner of transformers."),
        ("Segformer", "segformer", "One linear layer per stage; made for the encoders mit_b0 ... mit_b5."),
        ("DPT", "dpt", "Convolutional decoder on a plain vision transformer (vit_... of timm)."),
    ):
        freezable = name != "DeepLabV3"  # its documentation never allowed to freeze the encoder
        target, others = f"{functions}:{function}", tuple(aliases)
        ARCHITECTURES.add(name, target, summary, aliases=others, library="smp", freezable=freezable)


_fill()


def library_name(architecture: str | None) -> str | None:
    """The name of a built-in architecture, whatever its spelling; None for the user's own and unknown ones."""
    if architecture is None or architecture not in ARCHITECTURES:
        return None
    entry = ARCHITECTURES.get(architecture)
    return entry.name if entry.facts.get("library") == "smp" else None


def _smp_encoders() -> dict[str, tuple[str, ...]]:
    known: dict[str, tuple[str, ...]] = {}

    def add(names: str, *weights: str) -> None:
        known.update(dict.fromkeys(names.split(), weights))

    add("resnet34 resnet101 resnet152 mobilenet_v2 xception", "imagenet")
    add("resnet18 resnet50 resnext50_32x4d", "imagenet", "ssl", "swsl")
    add("resnext101_32x4d", "ssl", "swsl")
    add("resnext101_32x8d", "imagenet", "instagram", "ssl", "swsl")
    add("resnext101_32x16d", "instagram", "ssl", "swsl")
    add("resnext101_32x32d resnext101_32x48d", "instagram")
    add("vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn", "imagenet")
    add("senet154 se_resnet50 se_resnet101 se_resnet152 se_resnext50_32x4d se_resnext101_32x4d", "imagenet")
    add("densenet121 densenet161 densenet169 densenet201", "imagenet")
    add("inceptionresnetv2 inceptionv4", "imagenet", "imagenet+background")
    add("dpn68 dpn98 dpn131", "imagenet")
    add("dpn68b dpn92 dpn107", "imagenet+5k")
    for size in range(8):
        add(f"efficientnet-b{size}", "imagenet", "advprop")
        add(f"timm-efficientnet-b{size}", "imagenet", "advprop", "noisy-student")
    add("timm-efficientnet-b8", "imagenet", "advprop")
    add("timm-efficientnet-l2", "noisy-student", "noisy-student-475")
    add(" ".join(f"timm-tf_efficientnet_lite{size}" for size in range(5)), "imagenet")
    add("timm-skresnet18 timm-skresnet34 timm-skresnext50_32x4d", "imagenet")
    add(" ".join(f"mit_b{size}" for size in range(6)), "imagenet")
    add(" ".join(f"mobileone_s{size}" for size in range(5)), "imagenet")
    return known


SMP_ENCODERS = _smp_encoders()
"""Encoders of segmentation_models_pytorch 0.6 and the weights it has for each."""

NON_COMMERCIAL = frozenset({"ssl", "swsl", "instagram"})
"""Weights of SMP_ENCODERS under CC-BY-NC: taken when named, never as a default."""

OLD_NAMES = {
    "resnext50": "resnext50_32x4d",
    "resnext101": "tu-resnext101_32x4d.gluon_in1k",  # smp has the same network, but only with non-commercial weights
    "seresnet18": "tu-legacy_seresnet18",
    "seresnet34": "tu-legacy_seresnet34",
    "seresnet50": "se_resnet50",
    "seresnet101": "se_resnet101",
    "seresnet152": "se_resnet152",
    "seresnext50": "se_resnext50_32x4d",
    "seresnext101": "se_resnext101_32x4d",
    "resnet50v2": "tu-resnetv2_50",
    "resnet101v2": "tu-resnetv2_101",
    "resnet152v2": "tu-resnetv2_152",
    "inceptionv3": "tu-inception_v3",
    "nasnetlarge": "tu-nasnetalarge",
    "nasnetmobile": "tu-mnasnet_100",
    "mobilenet": "tu-mobilenetv1_100",
    "mobilenetv2": "mobilenet_v2",
}
"""Names of the old framework whose networks have other names here; ``tu-`` marks timm models."""

STAND_INS = {
    "nasnetmobile": "NASNetMobile is kept by neither smp nor timm; mnasnet_100, a searched network of the same size, "
    "stands in for it",
}
"""Old names behind which another network stands: what to tell the user."""

XCEPTION_DILATED = "tu-xception65"
"""The Xception of DeepLab (aligned, 65 layers); the classic one cannot be dilated."""

MOBILENET_WIDTHS = {1.0: "mobilenet_v2", **{w: f"tu-mobilenetv2_{round(100 * w):03d}" for w in (0.35, 0.5, 0.75, 1.4)}}
"""mobilenetv2 by ``alpha``, the width multiplier of DeepLabV3."""

UNTRAINED = frozenset({"tu-resnetv2_152", "tu-mobilenetv2_035", "tu-mobilenetv2_075"})
"""Encoders of the tables here for which nobody publishes weights."""

VOC_ENCODERS = {"resnet50": "DeepLabV3_ResNet50_Weights", "resnet101": "DeepLabV3_ResNet101_Weights"}
"""Encoders with which torchvision keeps a DeepLabV3 trained on the 21 classes of Pascal VOC; name of its weights."""

VOC_ENCODERS_ONCE = frozenset({*MOBILENET_WIDTHS.values(), XCEPTION_DILATED})
"""Encoders whose old Pascal VOC weights are not published any more: ImageNet's are used, with a warning."""

README_BACKBONES = (
    *("vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50", "resnext101"),
    *("densenet121", "densenet169", "densenet201", "inceptionv3", "inceptionresnetv2"),
)
"""Backbones the old documentation promises for Unet, FPN, Linknet and PSPNet."""

DILATED = frozenset({"DeepLabV3", "DeepLabV3Plus", "PAN"})
"""Architectures that ask the encoder for finer features than it makes by itself."""

CANNOT_DILATE = (
    *("vgg", "densenet", "inception", "xception", "tu-vgg", "tu-densenet", "tu-inception_v", "tu-inception_resnet"),
    *("tu-legacy_", "tu-nasnetalarge", "tu-pnasnet"),
)
"""Encoders (beginnings of names) that shrink by pooling, or have no dilated form in their library."""

NEEDS_FIRST_STAGE = frozenset({"UnetPlusPlus", "Linknet"})
"""Architectures that mit_b* encoders do not fit: they have no features at half the resolution."""

_TIMM_CHECKED = frozenset({*OLD_NAMES.values(), *MOBILENET_WIDTHS.values(), XCEPTION_DILATED} - SMP_ENCODERS.keys())


def encoders() -> dict[str, str]:
    """Names of encoders, old ones first, each with the library name it stands for; any timm name works besides."""
    return OLD_NAMES | {name: name for name in SMP_ENCODERS}


def resolve_encoder(encoder: str, architecture: str | None = None, options: Mapping[str, Any] | None = None) -> str:
    """The library name of an encoder: an smp name, or ``tu-`` and a timm name.

    Args:
        encoder: an old name, an smp name, a timm name with or without ``tu-``; letter case is ignored.
        architecture: name of a built-in architecture it must fit; None, or one of the user's own, fits all.
        options: options of the architecture; ``alpha`` and ``encoder_output_stride`` bear on the encoder.

    Raises:
        ModelError: the name is unknown, or the encoder cannot serve this architecture; says which can.
    """
    fitted = library_name(architecture)
    options = options or {}
    name = str(encoder).strip().lower()
    name = OLD_NAMES.get(name, name)
    dilated = fitted in DILATED and not (fitted == "PAN" and options.get("encoder_output_stride") == 32)
    if dilated and name == "xception":
        name = XCEPTION_DILATED
    name = _with_width(name, float(options.get("alpha", 1.0)))
    if name not in SMP_ENCODERS and name not in _TIMM_CHECKED:
        from musket.models.encoders import find_in_timm

        name = find_in_timm(name, list(encoders()))
    if fitted == "DPT" and name in SMP_ENCODERS:
        raise ModelError(
            f"DPT is built on timm models only, best a transformer such as vit_base_patch16_224; not {encoder}"
        )
    if dilated and name.startswith(CANNOT_DILATE):
        way_out = ", or encoder_output_stride: 32" if fitted == "PAN" else ""
        raise ModelError(
            f"{fitted} needs an encoder that can be dilated, which {encoder} cannot. Take mobilenetv2, xception, "
            f"mobilenet, any resnet, resnext, seresnet50 and up, efficientnet, mit or dpn{way_out}"
        )
    if fitted in NEEDS_FIRST_STAGE and name.startswith("mit_b"):
        raise ModelError(
            f"{fitted} needs features at half the resolution, which {encoder} has not. "
            "Take Segformer, UPerNet, Unet or FPN with it, or another encoder"
        )
    return name


def _with_width(name: str, alpha: float) -> str:
    if alpha == 1.0:
        return name
    widths = ", ".join(f"{width:g}" for width in sorted(MOBILENET_WIDTHS))
    if name != "mobilenet_v2":
        raise ModelError(f"alpha is the width of mobilenetv2; {name} has one width. Leave alpha out")
    if alpha not in MOBILENET_WIDTHS:
        raise ModelError(f"alpha: found {alpha:g}; mobilenetv2 is kept in the widths {widths}")
    return MOBILENET_WIDTHS[alpha]


def check_encoder(encoder: str, architecture: str, options: Mapping[str, Any] | None = None) -> str | None:
    """What is wrong with an encoder for an architecture, as a sentence that names better ones; None when it serves.

    Names of the tables are answered at once. For other timm models the network is built and run once without any data
    ("meta" device), which takes seconds.
    """
    try:
        name = resolve_encoder(encoder, architecture, options)
    except ModelError as error:
        return str(error)
    fitted = library_name(architecture)
    if fitted is None or name in SMP_ENCODERS or (name in _TIMM_CHECKED and fitted != "DPT"):
        return None
    from musket.models.segmenters import trial

    return trial(architecture, name, options or {})


def smp_weights(encoder: str, weights: str) -> str:
    """The weights of an smp encoder a name means: ``imagenet`` is the default, else one of the encoder's own.

    Raises:
        ModelError: the encoder has no such weights; lists those it has.
    """
    known = SMP_ENCODERS[encoder]
    if weights in known:
        return weights
    free = [name for name in known if name not in NON_COMMERCIAL]
    if weights == "imagenet" and free:
        return free[0]
    licence = "" if free else " (all for non-commercial use: name one to accept that)"
    advice = "; backbone resnext101 has free weights" if encoder == "resnext101_32x4d" else ""
    if weights.startswith("imagenet11k"):
        advice = "; for weights of the larger ImageNet take backbone resnetv2_50x1_bit.goog_in21k"
    raise ModelError(
        f"{encoder} has no weights {weights!r}; it has {', '.join(known)}{licence}{advice}. null: random weights"
    )


def check_weights(
    weights: str | None, encoder: str, architecture: str, options: Mapping[str, Any] | None = None
) -> str | None:
    """What is wrong with ``encoder_weights`` for an encoder that passed :func:`check_encoder`; None when nothing is.

    Nothing is fetched: the weights are known by name.
    """
    if weights is None:
        return None
    try:
        name = resolve_encoder(encoder, architecture, options)
        if weights == "pascal_voc":
            check_voc(name, architecture)
        elif name in SMP_ENCODERS:
            smp_weights(name, weights)
        elif weights != "imagenet" or name not in _TIMM_CHECKED or name in UNTRAINED:
            from musket.models.encoders import timm_weights

            timm_weights(name, weights)
    except ModelError as error:
        return str(error)
    return None


def check_voc(encoder: str, architecture: str) -> None:
    """Raises ModelError unless ``pascal_voc`` means something for this network; ``encoder`` is a library name."""
    if library_name(architecture) == "DeepLabV3" and (encoder in VOC_ENCODERS or encoder in VOC_ENCODERS_ONCE):
        return
    raise ModelError(
        f"there are no Pascal VOC weights for {architecture} with {encoder}, only for DeepLabV3 with "
        f"{' or '.join(VOC_ENCODERS)}. Take encoder_weights: imagenet, or null"
    )
