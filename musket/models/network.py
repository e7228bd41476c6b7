"""What networks of every kind have in common: the values they were trained on, and an encoder that can be frozen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

from torch import nn

from musket.core.errors import ModelError


class ImageNetwork(nn.Module):
    """A network giving logits, and what others must know of it.

    Attributes:
        mean: per input channel, of images scaled to 0..1: what the encoder was trained on.
        std: likewise.
        input_range: the range ``mean`` and ``std`` refer to.
        encoder_frozen: set by :mod:`musket.models.freeze`; normalisations of a frozen encoder never leave evaluation
            mode, whatever :meth:`train` is asked for.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        self.input_range = (0.0, 1.0)
        self.encoder_frozen = False

    def encoder_modules(self) -> list[nn.Module]:
        """The pretrained parts, which freezing holds still."""
        return []

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        for module in self.encoder_modules():
            yield from module.parameters()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.encoder_frozen:
            for part in self.encoder_modules():
                for module in part.modules():
                    if getattr(module, "running_mean", None) is not None:
                        module.eval()
        return self


class WrappedNetwork(ImageNetwork):
    """A network of the user's own. Its part named ``encoder`` or ``backbone`` is what freezing holds still.

    Its own ``mean`` and ``std``, if it has them, come before those given.
    """

    def __init__(self, name: str, network: nn.Module, mean: Sequence[float], std: Sequence[float]):
        super().__init__(getattr(network, "mean", mean), getattr(network, "std", std))
        self.name = name
        self.network = network

    def encoder_modules(self) -> list[nn.Module]:
        """The pretrained part; raises ModelError when the network has none by these names."""
        for name in ("encoder", "backbone"):
            part = getattr(self.network, name, None)
            if isinstance(part, nn.Module):
                return [part]
        raise ModelError(
            f"{self.name} has no part named encoder or backbone, so there is nothing to freeze or unfreeze, and no "
            "layer for layer_decay"
        )
