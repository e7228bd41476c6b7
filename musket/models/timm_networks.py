"""Networks of timm as encoders that give one vector per image."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Mapping
from typing import Any

import timm
import torch
from timm.layers.adaptive_avgmax_pool import SelectAdaptivePool2d
from timm.models import get_pretrained_cfg
from timm.models.vgg import VGG
from torch import nn

from musket.core.errors import ModelError

NO_OPTIONS = frozenset(
    {
        *("self", "cfg", "num_classes", "in_chans", "global_pool", "img_size", "input_size", "ref_feat_shape"),
        *("strict_img_size", "dynamic_img_size", "dynamic_img_pad", "head_init_scale", "pretrained_cfg"),
        *("device", "dtype", "block", "args", "kwargs"),
    }
)
"""Parameters of timm's classes that the program fills in, that Python code alone can give, or without meaning here."""


@functools.cache
def network_class(model: str) -> type[nn.Module]:
    """The class behind a name of timm, with or without a tag of weights. Builds the network without data once."""
    with torch.device("meta"):
        return type(timm.create_model(model, num_classes=0))


def signature(model: str) -> inspect.Signature:
    """The options of a network: the parameters of its class, and those of the plan it is built after.

    timm hands on whatever it is given (``**kwargs``), so that only the class knows what means something. An option left
    out has the value of this very network, which is not told here: its default reads None.
    """
    network = network_class(model)
    found = dict(_parameters(network))
    plan = found.get("cfg")
    if plan is not None and dataclasses.is_dataclass(plan.annotation):
        found |= _parameters(plan.annotation)
    options = [
        parameter.replace(kind=parameter.KEYWORD_ONLY, default=None)
        for parameter in found.values()
        if parameter.name not in NO_OPTIONS and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    return inspect.Signature(options)


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function, eval_str=True).parameters
    except (NameError, AttributeError, TypeError, SyntaxError):
        bare = inspect.signature(function).parameters
        return {name: parameter.replace(annotation=parameter.empty) for name, parameter in bare.items()}


def timm_encoder(
    model: str, in_channels: int, pooling: str | None, options: Mapping[str, Any], *, pretrained: bool
) -> nn.Module:
    """A network of timm without its last layer: N x in_channels x H x W to N x features.

    VGG comes without its two other fully connected layers as well, as Keras has it without its top: they hold nine
    tenths of the weights and are made for one size of image.

    Args:
        model: timm's name, with the tag of the weights if they are wanted.
        pooling: "avg" or "max"; None for the network's own way.
        options: of :func:`signature`.

    Raises:
        ModelError: the network cannot pool this way.
    """
    given: dict[str, Any] = {**any_size(network_class(model)), **options}
    if pooling is not None:
        if "global_pool" not in inspect.signature(network_class(model)).parameters:
            raise ModelError(no_pooling(model, pooling))
        given["global_pool"] = pooling
    if network_class(model) is VGG and not pretrained:
        given["mlp_ratio"] = 1 / 4096  # nothing is spent on drawing weights that go away below
    network: Any = timm.create_model(model, pretrained=pretrained, num_classes=0, in_chans=in_channels, **given)
    if pooling is not None and not _pools(network, pooling):
        raise ModelError(no_pooling(model, pooling))
    if network_class(model) is VGG:
        network.pre_logits = nn.Identity()
        network.head_hidden_size = network.num_features
    return network


def no_pooling(model: str, pooling: str) -> str:
    """The sentence for a network without a choice of poolings."""
    return f"{model} cannot pool its features by {pooling}: it has a way of its own. Leave pooling out"


def _pools(network: nn.Module, pooling: str) -> bool:
    """Whether a network made with ``global_pool`` heeds it; some of timm's take any other value for the class token."""
    layers = [module.pool_type for module in network.modules() if isinstance(module, SelectAdaptivePool2d)]
    if layers:
        return layers[-1] == pooling
    by_function = hasattr(sys.modules[type(network).__module__], "global_pool_nlc")
    return (pooling == "avg" or by_function) and getattr(network, "global_pool", None) == pooling


def width_of(network: nn.Module) -> int:
    """Length of the vectors an encoder gives."""
    return int(getattr(network, "head_hidden_size", None) or network.num_features)  # type: ignore[arg-type]


def any_size(network: type[nn.Module]) -> dict[str, bool]:
    """Arguments that make a network take images of any size, where its class has such a thing."""
    return {"dynamic_img_size": True} if "dynamic_img_size" in inspect.signature(network).parameters else {}


def only_size(model: str) -> tuple[int, int] | None:
    """Height and width of the only images a network takes; None where it takes any.

    Networks with attention over blocks of a set size name a smallest size; they are shown their own one.
    """
    cfg = get_pretrained_cfg(model)
    if cfg is None or not (cfg.fixed_input_size or cfg.min_input_size) or any_size(network_class(model)):
        return None
    return tuple(cfg.input_size[1:])


STRIDES = {"HighResolutionNet": 32, "DLA": 32, "TResNet": 32, "CSATv2": 64, "NASNetMobile": 32}
"""Classes that join features of several sizes, which only fit when the input has whole strides."""


def stride_of(network: Any) -> int:
    """The sides of a network's inputs must be multiples of this; transformers see whole patches only."""
    embedding = getattr(network, "patch_embed", None) or getattr(network, "embeds", None)
    patch = getattr(embedding, "patch_size", 1)
    return STRIDES.get(type(network).__name__, max(patch) if isinstance(patch, tuple) else int(patch))
