"""Mixtures of training samples, and smoothed targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from musket.core.heads import kind_of
from musket.core.runtime import generator


@dataclass(frozen=True)
class Mixing:
    """Mixes every image of a training batch, and its target, with another one of the batch.

    The other is drawn by a permutation of the batch, so now and then it is the image itself. With ``mixup`` and
    ``cutmix`` each batch takes one of them, either as often as the other.

    All draws come from one number of torch's generator on the CPU: they repeat with its seed, on any device.

    Attributes:
        mixup: a of Beta(a, a), of which every sample draws the share s that it keeps: s x + (1 - s) x' for images and
            targets (Zhang et al. 2018, arXiv:1710.09412). The larger of s and 1 - s is the sample's own, so that its
            own target dominates. None: off.
        cutmix: a of Beta(a, a), of which every sample draws the share s that it keeps: a window of the other image, of
            sqrt(1 - s) of both sides and with its middle anywhere, is laid over it (Yun et al. 2019, arXiv:1905.04899).
            In masks lies the window of the other mask; vectors are mixed by the share of the area that is left after
            the window was cut at the border. None: off.
        smoothing: share e by which targets move towards not knowing (Szegedy et al. 2016, arXiv:1512.00567):
            t (1 - e) + e / classes of a softmax head, t (1 - e) + e / 2 where every class is a yes or no; targets of
            other heads stay.
        heads: number of classes and activation of every head.
    """

    mixup: float | None
    cutmix: float | None
    smoothing: float
    heads: tuple[tuple[int, str], ...]

    def __call__(self, images: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One mixed batch.

        Args:
            images: N x C x H x W. Mixup takes means of them, so it wants floats: those normalised for the network.
                That is exact for images of any depth, for to normalise is to scale and to shift. Cutmix only moves
                pixels and keeps any type.
            targets: N x classes or N x classes x H x W, 0/1 or numbers of linear heads.

        Returns:
            images and float32 targets in the shapes given. What was given stays as it is.
        """
        targets = self._smoothed(targets.float())
        if self.mixup is None and self.cutmix is None:
            return images, targets
        random = generator("mixing", int(torch.randint(2**62, ())))
        other = torch.from_numpy(random.permutation(len(images))).to(images.device)
        if self.mixup is not None and (self.cutmix is None or random.random() < 0.5):
            return _blend(images, targets, other, self.mixup, random)
        assert self.cutmix is not None
        return _paste(images, targets, other, self.cutmix, random)

    def _smoothed(self, targets: torch.Tensor) -> torch.Tensor:
        if not self.smoothing:
            return targets
        unknown = {"exclusive": lambda size: 1 / size, "labels": lambda _: 0.5}
        kinds = [kind_of(activation) for _, activation in self.heads]
        heads = targets.split([size for size, _ in self.heads], dim=1)
        moved = [
            head * (1 - self.smoothing) + self.smoothing * unknown[kind](size) if kind in unknown else head
            for head, (size, _), kind in zip(heads, self.heads, kinds, strict=True)
        ]
        return torch.cat(moved, dim=1)


def _blend(
    images: torch.Tensor, targets: torch.Tensor, other: torch.Tensor, concentration: float, random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixup."""
    drawn = random.beta(concentration, concentration, len(images))
    rest = torch.from_numpy(np.minimum(drawn, 1 - drawn)).to(images.device, torch.float32)

    def blended(values: torch.Tensor) -> torch.Tensor:
        return values.lerp(values[other], rest.view(-1, *(1,) * (values.ndim - 1)))

    return blended(images), blended(targets)


def _paste(
    images: torch.Tensor, targets: torch.Tensor, other: torch.Tensor, concentration: float, random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cutmix."""
    count, (height, width) = len(images), images.shape[2:]
    side = np.sqrt(1 - random.beta(concentration, concentration, count))
    rows, columns = _span(height, side, random), _span(width, side, random)
    area = (rows[1] - rows[0]) * (columns[1] - columns[0]) / (height * width)

    def between(span: tuple[np.ndarray, np.ndarray], length: int) -> torch.Tensor:
        first, last = (torch.from_numpy(bound).to(images.device)[:, None] for bound in span)
        positions = torch.arange(length, device=images.device)
        return (positions >= first) & (positions < last)

    window = between(rows, height)[:, None, :, None] & between(columns, width)[:, None, None, :]
    mixed = torch.where(window, images[other], images)
    if targets.ndim == images.ndim:
        return mixed, torch.where(window, targets[other], targets)
    share = torch.from_numpy(area).to(images.device, torch.float32)[:, None]
    return mixed, targets.lerp(targets[other], share)


def _span(length: int, share: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """First and past-the-last pixel of windows along one side, cut at the border as the authors do it."""
    reach = (length * share).astype(int) // 2
    middle = random.integers(length, size=len(share))
    return np.maximum(middle - reach, 0), np.minimum(middle + reach, length)
