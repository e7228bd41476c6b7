"""Segmentation and classification: integer images in; one score map, or one score, per class out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from musket.core.types import Batch, StepResult
from musket.pipelines.mixing import Mixing

Activation = Callable[[torch.Tensor], torch.Tensor]


class Loss(Protocol):
    """Logits and truth -> scalar and its named parts."""

    def __call__(
        self, logits: torch.Tensor, truth: torch.Tensor, /
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]: ...


@dataclass(frozen=True)
class Normalization:
    """Mean and deviation per input channel, for images scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Normalize(torch.nn.Module):
    """Integer images -> normalised floats, on the device, in one multiply and one subtraction.

    uint8 counts as 0..255 and uint16 as 0..65535; float images are taken as 0..1 already.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, normalization: Normalization):
        super().__init__()
        mean = torch.tensor(normalization.mean, dtype=torch.float32).view(1, -1, 1, 1)
        std = torch.tensor(normalization.std, dtype=torch.float32).view(1, -1, 1, 1)
        self.register_buffer("scale", 1 / std, persistent=False)
        self.register_buffer("shift", mean / std, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        top = {torch.uint8: 255.0, torch.uint16: 65535.0}.get(images.dtype, 1.0)
        floats = images.to(torch.float32, copy=True)  # a copy also of floats: the arithmetic below is in place
        return floats.mul_(self.scale / top).sub_(self.shift)


@dataclass(frozen=True)
class ImagePipeline:
    """How the engine trains and asks a network that gives one tensor: maps N x classes x H x W or vectors N x classes.

    Attributes:
        loss: sees logits and truth of one shape; None when only predicting.
        activate: logits -> scores; may be softmax over classes.
        normalize: integer images -> what the encoder was made for.
        memory_format: layout of images on the device.
        mixing: what a network in training mode is shown in place of the samples themselves.
    """

    loss: Loss | None
    activate: Activation
    normalize: Normalize
    memory_format: torch.memory_format = torch.contiguous_format
    mixing: Mixing | None = None

    def to(self, device: torch.device) -> ImagePipeline:
        self.normalize.to(device)
        return self

    def logits(self, model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Images N x C x H x W (any depth) -> float32 logits, maps or vectors."""
        return model(self._inputs(images)).float()

    def _inputs(self, images: torch.Tensor) -> torch.Tensor:
        return self.normalize(images.contiguous(memory_format=self.memory_format))

    def step(self, model: torch.nn.Module, batch: Batch) -> StepResult:
        """Forward and loss of one batch with truth; in training mode of what ``mixing`` makes of it."""
        assert batch.targets is not None, "training and validation need targets"
        assert self.loss is not None, "this pipeline was built for prediction only"
        inputs, targets = self._inputs(batch.images), batch.targets
        if self.mixing is not None and model.training:
            inputs, targets = self.mixing(inputs, targets)
        logits = model(inputs).float()
        loss, parts = self.loss(logits, targets)
        with torch.no_grad():
            predictions = self.activate(logits.detach())
        return StepResult(loss, {name: part.detach() for name, part in parts.items()}, predictions)

    def predict(self, model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Images N x C x H x W -> scores N x classes x H x W or N x classes, float32."""
        return self.activate(self.logits(model, images))
