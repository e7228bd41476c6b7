"""From the name of an optimizer to the optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from musket.core.errors import TrainingError
from musket.optim.catalogue import OPTIMIZERS


def build_optimizer(
    name: str,
    parameters: Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]],
    lr: float | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    fused: bool | None = None,
) -> torch.optim.Optimizer:
    """An optimizer over the parameters.

    Defaults are those of Keras 2 for the names it had (epsilon 1e-7; SGD without momentum at 0.01), torch's for the
    others. Epsilon is added where torch adds it, after the bias correction.

    Args:
        parameters: weights, or groups of :func:`musket.optim.groups.parameter_groups`.
        lr: learning rate; None takes the default of the optimizer. Each group gets it times its ``lr_scale``.
        options: further options of the torch class (``weight_decay``, ``momentum``, ``betas`` ...).
        fused: one kernel for all weights, for the optimizers that have it. None: on CUDA and CPUs, where it takes a
            fifth of the time of torch's plain loop. Not to be combined with gradient clipping under fp16.

    Raises:
        RegistryError: no such optimizer; names the nearest.
        TrainingError: nothing to train, or an option or its value is refused.
    """
    entry = OPTIMIZERS.get(name)
    trained = list(parameters)
    if not trained:
        raise TrainingError(f"{entry.name} has nothing to train: the network has no weights")
    if fused is None:
        first = trained[0]["params"][0] if isinstance(trained[0], dict) else trained[0]
        fused = first.device.type in ("cuda", "cpu")
    given = {**entry.facts.get("defaults", {}), **(options or {})}
    if lr is not None:
        given["lr"] = lr
    if fused and entry.facts.get("fused"):
        given["fused"] = True
    try:
        optimizer = entry.load()(trained, **given)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"optimizer {entry.name} with {given}: {error}") from error
    for group in optimizer.param_groups:
        group["lr"] *= group.get("lr_scale", 1.0)
    return optimizer
