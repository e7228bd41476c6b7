"""Test-time views: the same images flipped and turned, their maps brought back and averaged."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from musket.core.errors import MusketError

Forward = Callable[[torch.Tensor], torch.Tensor]
"""Images N x C x H x W of any depth, on the device -> scores N x classes x H x W, or vectors N x classes."""


@dataclass(frozen=True)
class View:
    """Mirror left-right, then up-down, then turn counter-clockwise by ``turns`` quarters."""

    flip_lr: bool = False
    flip_ud: bool = False
    turns: int = 0

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """The view of N x C x H x W."""
        mirrored = [axis for axis, flip in ((3, self.flip_lr), (2, self.flip_ud)) if flip]
        images = images.flip(mirrored) if mirrored else images
        return images.rot90(self.turns, (2, 3)) if self.turns else images

    def undo(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps N x classes x H x W seen in this view, back in the frame of the plain one."""
        maps = maps.rot90(-self.turns, (2, 3)) if self.turns else maps
        mirrored = [axis for axis, flip in ((3, self.flip_lr), (2, self.flip_ud)) if flip]
        return maps.flip(mirrored) if mirrored else maps


Views = tuple[View, ...]

PLAIN: Views = (View(),)
HORIZONTAL: Views = (*PLAIN, View(flip_lr=True))
FLIPS: Views = (*HORIZONTAL, View(flip_ud=True), View(flip_lr=True, flip_ud=True))
ALL: Views = tuple(View(flip_lr=mirror, turns=turns) for mirror in (False, True) for turns in range(4))

NAMED: Mapping[str, Views] = MappingProxyType({"Horizontal": HORIZONTAL, "Horizontal_and_vertical": FLIPS, "All": ALL})
"""What ``testTimeAugmentation`` and ``ttflips`` name; upper and lower case are the same."""


def views_of(choice: object) -> Views:
    """Views that a value of ``ttflips`` or ``testTimeAugmentation`` stands for.

    Args:
        choice: a name of :data:`NAMED`; else False, None or 0 for the plain view, True for all eight: four turns, plain
            and mirrored.

    Raises:
        MusketError: an unknown name.
    """
    if not isinstance(choice, str):
        return ALL if choice else PLAIN
    by_name = {name.lower(): views for name, views in NAMED.items()}
    if choice.lower() not in by_name:
        raise MusketError(f"unknown test-time views {choice!r}; known are {', '.join(NAMED)}, and True for All")
    return by_name[choice.lower()]


def averaged(forward: Forward, views: Views, *, maps: bool = True) -> Forward:
    """The same network, asked about every view of a batch, one view after another.

    Turned views need square images; others get the four flips instead, with a warning (which Python shows once).

    Args:
        maps: results are maps and are brought back before they are averaged; False for vectors, averaged as they are.
    """
    if views == PLAIN:
        return forward

    def mean(images: torch.Tensor) -> torch.Tensor:
        chosen = views if images.shape[2] == images.shape[3] else _without_turns(views)
        total: torch.Tensor | None = None
        for view in chosen:
            scores = forward(view.apply(images))
            scores = view.undo(scores) if maps else scores
            total = scores if total is None else total + scores
        assert total is not None, "views hold the plain one at least"
        return total / len(chosen)

    return mean


def _without_turns(views: Views) -> Views:
    if not any(view.turns for view in views):
        return views
    warnings.warn(
        "test-time views: the network input is not square, so it is not turned; the four flips are averaged instead",
        stacklevel=2,
    )
    return FLIPS
