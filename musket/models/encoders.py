"""What timm and smp know about an encoder: its names, its weights, the values it was trained on."""

from __future__ import annotations

import timm
from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg, is_model, split_model_name_tag

from musket.core.errors import ModelError
from musket.core.registry import nearest
from musket.models.catalogue import SMP_ENCODERS

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
INCEPTION_SIDE = 75
"""Inception nets lose a border in every convolution; below this side nothing is left (Keras asks for the same)."""

DPN = ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)


def find_in_timm(name: str, others: list[str]) -> str:
    """``tu-`` and the name of a timm model, its weights' tag kept if there is one.

    Args:
        name: lower case, with or without ``tu-``; the retired prefix ``timm-`` is understood.
        others: further names to propose when there is no such model.

    Raises:
        ModelError: timm has no such model, or no such weights of it; names the nearest.
    """
    plain = timm_name(name)
    model, tag = split_model_name_tag(plain or name)
    if plain is None:
        near = nearest(model, [*others, *timm.list_models()], 5)
        hint = f"nearest: {', '.join(near)} " if near else ""
        raise ModelError(f"no such backbone {name!r}; {hint}(all: musket ls backbones; every timm model works too)")
    tags = _tags(model)
    if tag and tag not in tags:
        raise ModelError(f"timm has no weights {tag!r} of {model}; it has {', '.join(tags) or 'none'}")
    return f"tu-{plain}"


def timm_name(name: str) -> str | None:
    """A lower-case name less its prefix, the tag of weights kept; None where timm has no such model."""
    plain = name.removeprefix("tu-").removeprefix("timm-")
    return plain if is_model(split_model_name_tag(plain)[0]) else None


def _tags(model: str) -> list[str]:
    """Weights timm has for a model: those of any use first, timm's default before the others."""
    found = {name.partition(".")[2]: cfg for name, cfg in get_arch_pretrained_cfgs(model).items() if cfg.has_weights}
    default = get_pretrained_cfg(model)
    first = default.tag if default is not None else None
    return sorted(found, key=lambda tag: (_non_commercial(found[tag].license), tag != first))


def _non_commercial(licence: str | None) -> bool:
    """Whether a licence (cc-by-nc-4.0, fair-noncommercial-research-license ...) keeps commercial users out."""
    return any(word in (licence or "").lower() for word in ("-nc", "noncommercial"))


def timm_weights(encoder: str, weights: str, key: str = "encoder_weights") -> str:
    """A ``tu-`` name with the tag of the weights meant: ``imagenet`` is the default, else one of timm's tags.

    The default is timm's own, unless that may not be used commercially and others may.

    ``imagenet11k`` means weights of a larger ImageNet (12k, 21k or 22k classes) not tuned to the usual one afterwards.

    Args:
        key: of the config, where the weights are named.

    Raises:
        ModelError: there are no such weights; lists those there are.
    """
    model, tag = split_model_name_tag(encoder.removeprefix("tu-"))
    tags = _tags(model)
    if tag and weights in ("imagenet", tag):
        return encoder
    if weights == "imagenet" and tags:
        return f"tu-{model}.{tags[0]}"
    if weights in tags:
        return f"tu-{model}.{weights}"
    larger = [one for one in tags if one.endswith(("in12k", "in21k", "in22k"))]
    if weights == "imagenet11k" and larger:
        return f"tu-{model}.{larger[0]}"
    found = f"it has imagenet, {', '.join(tags)}" if tags else "nobody publishes any"
    raise ModelError(f"{model} has no weights {weights!r}; {found}. Set {key}: null to start from random weights")


def licence_remark(encoder: str) -> str | None:
    """What to tell the user when the weights of a ``tu-`` name with a tag may not be used commercially."""
    cfg = get_pretrained_cfg(encoder.removeprefix("tu-"))
    if cfg is None or not _non_commercial(cfg.license):
        return None
    return f"the weights {encoder} are under {cfg.license}: not for commercial use"


def normalization(encoder: str, weights: str | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation, per channel, of the images an encoder was trained on, scaled to 0..1.

    Source: the configurations published beside the weights (timm; smp's hub). A network that starts from random weights
    gets those of the encoder's default weights.

    Args:
        encoder: library name.
        weights: what ``encoder_weights`` says.
    """
    if encoder not in SMP_ENCODERS:
        cfg = get_pretrained_cfg(encoder.removeprefix("tu-"))
        return IMAGENET if cfg is None else (tuple(cfg.mean), tuple(cfg.std))
    if encoder.startswith("dpn"):
        return DPN
    halved = encoder.startswith(("inception", "xception", "timm-tf_efficientnet_lite")) or weights == "advprop"
    return HALF if halved else IMAGENET


def any_size(encoder: str) -> dict[str, bool]:
    """Arguments that make a ``tu-`` encoder take images of any size; transformers are built for one size otherwise."""
    cfg = get_pretrained_cfg(encoder.removeprefix("tu-"))
    return {"dynamic_img_size": True} if cfg is not None and cfg.fixed_input_size else {}
