"""A running mean of a network's weights, which often judges better than the weights of any one step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightMean:
    """Exponential moving average of weights (Polyak and Juditsky 1992), kept beside the network.

    After step n of the optimizer, counted from 0: mean = d mean + (1 - d) weights with
    d = min(decay, (1 + n) / (10 + n)), so that the random beginning is soon forgotten (the warm-up of TensorFlow's
    ``ExponentialMovingAverage``). Statistics of batch normalisation are averaged likewise, as timm and torchvision's
    recipes do; what is counted in whole numbers is copied.

    Nothing here is communicated: with several processes on one network all of them see the same weights after a step
    (for statistics of batch normalisation see :meth:`tensors`).

    Args:
        module: the network; the mean begins with its weights.
        decay: share of the old mean that stays, above 0 and below 1.
    """

    def __init__(self, module: torch.nn.Module, decay: float):
        self.decay = decay
        self.steps = 0
        tensors = module.state_dict(keep_vars=True)
        names = {id(tensor): name for name, tensor in tensors.items()}.values()  # one of those that share a tensor
        self._own = {name: tensors[name].detach() for name in names}
        self._mean = {name: tensor.clone() for name, tensor in self._own.items()}
        self._floating = [name for name, tensor in self._own.items() if tensor.is_floating_point()]
        self._counted = [name for name, tensor in self._own.items() if not tensor.is_floating_point()]

    def update(self) -> None:
        """Take in the weights as the last step of the optimizer left them."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        means, weights = ([tensors[name] for name in self._floating] for tensors in (self._mean, self._own))
        get_ema_multi_avg_fn(decay)(means, weights, self.steps)
        for name in self._counted:
            self._mean[name].copy_(self._own[name])
        self.steps += 1

    def tensors(self) -> Iterable[tuple[str, torch.Tensor]]:
        """The mean itself, by the names of the network's tensors."""
        return self._mean.items()

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the mean as its weights inside, and its own ones again after."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for own, mean in zip(self._own.values(), self._mean.values(), strict=True):
            kept = own.clone()
            own.copy_(mean)
            mean.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "weights": dict(self._mean)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a stored mean of the same network."""
        self.steps = state["steps"]
        for name, mean in self._mean.items():
            mean.copy_(state["weights"][name])
