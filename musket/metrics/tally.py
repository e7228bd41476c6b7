"""What the metrics of one batch share. Each value is computed when first asked for, and once."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from musket.core.errors import TrainingError

THRESHOLD = 0.5
LEVELS = 100
"""Thresholds i / LEVELS that final metrics try."""


def accumulator(values: Tensor) -> Tensor:
    """Values in the dtype sums over an epoch are kept in: float64, or float32 where the device has no other (MPS)."""
    return values if values.device.type == "mps" else values.double()


def _passed(scores: Tensor) -> Tensor:
    """How many of the thresholds i/100 each score is above: 0..100, of int32. A score that is no number passes none.

    The estimate ceil(100 score) is at most one off; comparing with the thresholds next to it makes it exact. That is
    ten times as fast as a search among them.
    """
    levels = (torch.arange(LEVELS, dtype=torch.float64) / LEVELS).to(scores)
    edge = scores.new_full((1,), torch.inf)
    below, above = torch.cat([-edge, levels]), torch.cat([levels, edge])
    scores = scores.nan_to_num(-1.0, torch.inf, -torch.inf).flatten()
    passed = (scores * LEVELS).ceil().clamp(0, LEVELS).to(torch.int32)
    passed -= (scores <= below.index_select(0, passed)).to(torch.int32)
    passed += (scores > above.index_select(0, passed)).to(torch.int32)
    return passed


def _highest(values: Tensor, valid: Tensor) -> Tensor:
    """True at the highest of the classes, where that one is valid: bool, N x classes x ...."""
    first = values.argmax(1, keepdim=True)
    return torch.zeros_like(valid).scatter(1, first, valid.gather(1, first))


class Tally:
    """Counts of one batch.

    Args:
        truth: N x classes x ..., 0/1 of any dtype (class numbers for the sparse metrics).
        prediction: N x classes x ..., activated.
        exclusive: of the classes one is true, so the highest score decides; False: each on its own, above 0.5.
    """

    def __init__(self, truth: Tensor, prediction: Tensor, *, exclusive: bool = False):
        self.truth = truth
        self.prediction = prediction
        self.exclusive = exclusive
        self.samples = prediction.shape[0]
        self.classes = prediction.shape[1] if prediction.ndim > 1 else 1

    def require_same_shape(self, name: str) -> None:
        """Refuse shapes that torch would broadcast silently. Raises TrainingError."""
        if self.truth.shape != self.prediction.shape:
            raise TrainingError(
                f"metric {name}: truth has shape {tuple(self.truth.shape)}, prediction {tuple(self.prediction.shape)}. "
                "Both must be samples x classes x .... Compare classes with the channels of the masks"
            )

    @cached_property
    def scores(self) -> Tensor:
        """The prediction in float32 (float64 stays)."""
        return self.prediction if self.prediction.dtype == torch.float64 else self.prediction.float()

    @cached_property
    def values(self) -> Tensor:
        """The truth in the dtype of the scores."""
        return self.truth.to(self.scores.dtype)

    @cached_property
    def decided(self) -> Tensor:
        """Prediction above 0.5: bool, in the shape of the prediction."""
        return self.scores > THRESHOLD

    @cached_property
    def present(self) -> Tensor:
        """Classes the truth has: bool, N x classes x ....

        Of exclusive classes the highest, which is right for mixed and smoothed truth too; none where all are 0.
        """
        return _highest(self.values, self.values > 0) if self.exclusive else self._true

    @cached_property
    def chosen(self) -> Tensor:
        """Classes the prediction decides for: bool, N x classes x ....

        Of exclusive classes the highest, the first of equals, none where a score is no number; else :attr:`decided`.
        """
        return _highest(self.scores, ~self.scores.isnan()) if self.exclusive else self.decided

    @cached_property
    def ranked(self) -> tuple[Tensor, Tensor]:
        """Copies to keep: :attr:`present` and the scores in float32, each samples (or pixels) x classes."""
        both = (self.present, self.scores.float())
        truth, scores = (values.movedim(1, -1).reshape(-1, self.classes).clone() for values in both)
        return truth, scores

    @cached_property
    def soft(self) -> Tensor:
        """Sum t, sum p, sum t p over the pixels of each image and class: float, 3 x N x classes."""
        t, p = self._rows(self.values), self._rows(self.scores)
        return torch.stack([t.sum(-1), p.sum(-1), (t * p).sum(-1)])

    @cached_property
    def hard(self) -> Tensor:
        """Pixels of truth, of prediction and of both, above 0.5, of each image and class: int64, 3 x N x classes."""
        t = self._rows(self._true)
        p = self._rows(self.decided)
        return torch.stack([t.sum(-1), p.sum(-1), (t & p).sum(-1)])

    @cached_property
    def hard_at_levels(self) -> Tensor:
        """:attr:`hard` with the prediction above i/100, i = 0..99: int64, 3 x N x classes x 100.

        One histogram per image and class, of how many of the thresholds each score is above.
        """
        truth = self._rows(self._true)
        passed = _passed(self.scores).view_as(truth)
        rows = torch.arange(self.samples * self.classes, device=passed.device).view(self.samples, self.classes, 1)
        bins = LEVELS + 1
        index = ((2 * rows + truth) * bins + passed).flatten()
        table = torch.bincount(index, minlength=2 * bins * self.samples * self.classes)
        table = table.view(self.samples, self.classes, 2, bins)
        above = table.flip(-1).cumsum(-1).flip(-1)[..., 1:]  # i: passed i + 1 thresholds or more, so above i/100
        both = above[:, :, 1]
        return torch.stack([truth.sum(-1, keepdim=True).expand_as(both), above.sum(2), both])

    @cached_property
    def soft_of_classes(self) -> Tensor:
        """:attr:`soft` summed over the images: 3 * classes."""
        return accumulator(self.soft).sum(1).flatten()

    @cached_property
    def hard_of_classes(self) -> Tensor:
        """:attr:`hard` summed over the images: int64, 3 * classes."""
        return self.hard.sum(1).flatten()

    @cached_property
    def chosen_of_classes(self) -> Tensor:
        """Samples or pixels of each class in truth, in prediction and in both, as decided: int64, 3 * classes."""
        if not self.exclusive:
            return self.hard_of_classes
        t, p = self._rows(self.present), self._rows(self.chosen)
        return torch.stack([t, p, t & p]).sum((1, 3)).flatten()

    @cached_property
    def _true(self) -> Tensor:
        return self.truth > THRESHOLD if self.truth.is_floating_point() else self.truth.bool()

    def _rows(self, values: Tensor) -> Tensor:
        return values.reshape(self.samples, self.classes, -1)
