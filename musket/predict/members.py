"""The weighted mean of what several networks say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from musket.predict.ensemble import shares
from musket.predict.views import Forward

Groups = Sequence[Sequence[int]]
"""Members, by number, whose scores are averaged into one result."""


def mean_scores(
    members: Sequence[Forward],
    batches: Sequence[torch.Tensor],
    groups: Groups,
    weights: Sequence[float] | None = None,
) -> list[list[torch.Tensor] | RuntimeError]:
    """Ask every member about some batches, and average by group, on the device.

    A member is asked about all batches before the next one is, so that networks which take turns on the device are
    moved once for all of them. Of the scores only one running mean per batch and group is held.

    Args:
        weights: one per member; within each group they are divided by their sum.

    Returns:
        for each batch the mean scores, N x classes x H x W or N x classes, of every group; or torch's error, where a
        member refused the batch. Lack of memory is raised.
    """
    portions = [dict(zip(group, shares(_of(weights, group), len(group)).tolist(), strict=True)) for group in groups]
    totals: list[list[Any]] = [[None] * len(groups) for _ in batches]
    refused: dict[int, RuntimeError] = {}
    for member, forward in enumerate(members):
        uses = [(group, portion[member]) for group, portion in enumerate(portions) if portion.get(member)]
        for number, images in enumerate(batches):
            if not uses or number in refused:
                continue
            try:
                scores = forward(images)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                refused[number] = error
                continue
            for group, share in uses:
                total = totals[number][group]
                totals[number][group] = scores * share if total is None else total.add_(scores, alpha=share)
    return [refused.get(number, total) for number, total in enumerate(totals)]


def _of(weights: Sequence[float] | None, group: Sequence[int]) -> list[float] | None:
    return None if weights is None else [weights[member] for member in group]
