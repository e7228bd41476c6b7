"""Parameter groups: which weights decay, and rates that fall from layer to layer."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from torch import nn

from musket.core.errors import TrainingError


def parameter_groups(
    model: nn.Module, *, weight_decay: float | None = None, layer_decay: float | None = None
) -> list[dict[str, Any]]:
    """The weights of a network as groups for :func:`musket.optim.build.build_optimizer`.

    Biases, the weights of normalisations (all that have one axis) and what the encoder names itself (position
    embeddings, ``no_weight_decay`` of timm) do not decay. Frozen weights are in the groups too, for optimizers leave
    alone what has no gradient: a later stage may let them learn.

    With ``layer_decay`` d, the encoder's last layer learns at d times the rate of the heads, the one before at d^2
    times, and so on. Source: Clark et al. 2020 (ELECTRA, arXiv:2003.10555, "layerwise learning rate decay"); for images
    Bao et al. 2021 (BEiT, arXiv:2106.08254). Layers are counted as timm counts them where the encoder is a network of
    timm, else as blocks in the order of their definition.

    Args:
        model: built by ``build_segmenter`` or ``build_classifier``, or another module with ``encoder_modules()``.
        weight_decay: 0 or more; None leaves it to the optimizer, for all weights alike.
        layer_decay: above 0, up to 1; None or 1 for one rate.

    Returns:
        groups with ``params``, highest rate first; ``weight_decay`` and ``lr_scale`` where they were asked for.

    Raises:
        TrainingError: ``layer_decay`` for a network that has no encoder.
    """
    scales = {} if layer_decay in (None, 1) else _scales(model, float(layer_decay))
    still = _never_decaying(model) if weight_decay else frozenset()
    groups: dict[tuple[float, float | None], dict[str, Any]] = {}
    for parameter in model.parameters():
        scale = scales.get(parameter, 1.0)
        decay = 0.0 if weight_decay is not None and parameter in still else weight_decay
        group = groups.setdefault((scale, decay), {"params": []})
        group["params"].append(parameter)
        if scales:
            group["lr_scale"] = scale
        if decay is not None:
            group["weight_decay"] = decay
    return sorted(groups.values(), key=lambda group: -group.get("lr_scale", 1.0))


def _never_decaying(model: nn.Module) -> set[nn.Parameter]:
    flat = {parameter for name, parameter in model.named_parameters() if parameter.ndim <= 1 or name.endswith(".bias")}
    named: set[nn.Parameter] = set()
    for module in model.modules():
        listed = getattr(module, "no_weight_decay", None)
        if callable(listed):
            names: Any = listed()
            named |= {parameter for name, parameter in module.named_parameters() if name in names}
    return flat | named


def _scales(model: nn.Module, decay: float) -> dict[nn.Parameter, float]:
    """Share of the rate of every weight of the encoder."""
    encoders = getattr(model, "encoder_modules", list)()
    if not encoders:
        raise TrainingError(
            f"layer_decay needs a network with an encoder; {type(model).__name__} has none. Leave layer_decay out"
        )
    scales = {}
    for encoder in encoders:
        layers, head = _layers_of_timm(encoder) if hasattr(encoder, "group_matcher") else _blocks(encoder)
        scales |= {parameter: decay ** (head - layers[name]) for name, parameter in encoder.named_parameters()}
    return scales


def _layers_of_timm(encoder: Any) -> tuple[dict[str, int], int]:
    """Number of the layer of every weight by name, and that of the heads.

    What timm counts to the head (the last normalisation of some networks) has the number of the heads here too.
    """
    from timm.models import group_parameters

    classifier = getattr(encoder, "default_cfg", {}).get("classifier") or "head"
    head = f"{classifier if isinstance(classifier, str) else classifier[0]}.weight"
    names = [*(name for name, _ in encoder.named_parameters()), head]
    stand_in: Any = SimpleNamespace(named_parameters=lambda: [(name, None) for name in names])
    layers: Any = group_parameters(stand_in, encoder.group_matcher(coarse=False), reverse=True)
    return layers, layers[head]


def _blocks(encoder: nn.Module) -> tuple[dict[str, int], int]:
    """The same for an encoder that says nothing about its layers: one layer is one block within its stages."""
    layers: dict[str, int] = {}
    number = -1
    for name, part in _parts("", encoder):
        own = [inner for inner, _ in part.named_parameters()]
        if own and (number < 0 or any(parameter.ndim > 1 for parameter in part.parameters())):
            number += 1  # a normalisation by itself belongs to the convolution before it
        layers |= {f"{name}.{inner}": number for inner in own}
    loose = {name: 0 for name, _ in encoder.named_parameters() if name not in layers}
    return layers | loose, number + 1


def _parts(prefix: str, module: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    children = [
        (f"{prefix}{name}", child) for name, child in module.named_children() if any(True for _ in child.parameters())
    ]
    for name, child in children:
        if len(children) == 1 or isinstance(child, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            grand = any(True for _ in child.children())
            yield from _parts(f"{name}.", child) if grand else [(name, child)]
        else:
            yield name, child
