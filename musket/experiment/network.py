"""The network of an experiment by itself: to look at, to go on from, or to train with a loop of one's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from musket.artifacts import checkpoint
from musket.artifacts.layout import Layout
from musket.config.schema import NetworkSpec
from musket.experiment import build
from musket.experiment.class_weights import asks_to_balance, class_weights_of
from musket.experiment.inference import choose
from musket.experiment.unit import set_frozen
from musket.losses.loss import Loss


@dataclass(frozen=True)
class Compiled:
    """What a loop of one's own needs.

    Attributes:
        network: N x C x H x W floats, normalised -> logits N x classes x H x W, or N x classes.
        optimizer: over its weights.
        loss: (logits, truth of the same shape) -> the loss, and its terms by name.
    """

    network: torch.nn.Module
    optimizer: torch.optim.Optimizer
    loss: Loss


def compiled(spec: NetworkSpec, lr: float | None = None, loss: str | None = None) -> Compiled:
    """Network, optimizer and loss as the first stage begins with them.

    Without data ``class_weights: balanced`` cannot be counted: all classes are alike in the loss then.

    Args:
        lr: in place of the config's.
        loss: in place of the config's.

    Raises:
        ModelError: the network cannot be built.
        TrainingError, ValueError: no such rate or loss.
    """
    first = spec.stages[0]
    network = _begun(spec)
    chosen = loss or first.loss or spec.loss
    assert chosen is not None, "the config check asks for a loss, here or at the root"
    rate = next((value for value in (lr, first.lr, spec.lr) if value is not None), None)
    return Compiled(
        network,
        build.build_optimizer(spec, network, rate),
        build.build_spec_loss(spec, chosen, None if asks_to_balance(spec) else class_weights_of(spec)),
    )


def trained(
    spec: NetworkSpec, layout: Layout, fold_count: int, fold: int = 0, stage: int = -1
) -> torch.nn.Module | None:
    """The network with the best weights of a fold and stage, in eval mode; None where there are none yet.

    Raises:
        ArtifactError: no such fold or stage; weights that are damaged or those of another network.
    """
    (key,) = choose(spec, fold_count, fold, stage)
    path = layout.weights(key.fold, key.stage)
    if not path.exists():
        return None
    network = build.build_model(spec, pretrained=False)
    checkpoint.load_into(network, checkpoint.load_weights(path)[0], path)
    return network.eval()


def describe(spec: NetworkSpec) -> str:
    """Build the network, send zeros through it, and say its size, and what goes in and comes out.

    Raises:
        ModelError: it cannot be built.
    """
    network = _begun(spec, pretrained=False).eval()
    channels = spec.shape[2]
    height, width = spec.input_size or spec.shape[:2]
    with torch.no_grad():
        given = network(torch.zeros(1, channels, height, width))
    weights = [parameter.numel() for parameter in network.parameters()]
    free = [parameter.numel() for parameter in network.parameters() if parameter.requires_grad]
    backbone = getattr(spec, "backbone", None)
    name = spec.architecture if backbone is None else f"{spec.architecture} on {backbone}"
    output = " x ".join(map(str, (*given.shape[2:], given.shape[1])))
    sizes = "" if spec.input_size else " (of any size)"
    return "\n".join(
        (
            name,
            f"parameters  {sum(weights):,}, {sum(free):,} of them trained in stage 0",
            f"input       {height} x {width} x {channels}{sizes}",
            f"output      {output}",
        )
    )


def _begun(spec: NetworkSpec, pretrained: bool = True) -> torch.nn.Module:
    """The network as the first stage begins with it, frozen parts included."""
    first = spec.stages[0]
    network = build.build_model(spec, pretrained)
    set_frozen(network, True if spec.freeze_encoder else None, spec.unfreeze_encoder)
    set_frozen(network, first.freeze_encoder, first.unfreeze_encoder)
    return network
