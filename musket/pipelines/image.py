"""Segmentation and classification: integer images in; one score map, or one score, per class out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from musket.core.types import Batch, StepResult

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
    """

    loss: Loss | None
    activate: Activation
    normalize: Normalize
    memory_format: torch.memory_format = torch.contiguous_format

    def to(self, device: torch.device) -> ImagePipeline:
        self.normalize.to(device)
        return self

    def logits(self, model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Images N x C x H x W (any depth) -> float32 logits, maps or vectors."""
        inputs = self.normalize(images.contiguous(memory_format=self.memory_format))
        return model(inputs).float()

    def step(self, model: torch.nn.Module, batch: Batch) -> StepResult:
        """Forward and loss of one batch with truth."""
        assert batch.targets is not None, "training and validation need targets"
        assert self.loss is not None, "this pipeline was built for prediction only"
        logits = self.logits(model, batch.images)
        loss, parts = self.loss(logits, batch.targets)
        with torch.no_grad():
            predictions = self.activate(logits.detach())
        return StepResult(loss, {name: part.detach() for name, part in parts.items()}, predictions)

    def predict(self, model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Images N x C x H x W -> scores N x classes x H x W or N x classes, float32."""
        return self.activate(self.logits(model, images))
