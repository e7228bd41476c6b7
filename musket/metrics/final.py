"""Final metrics: figures of each item at its own size, averaged over the items.

The built-in ones are :class:`PerItem`; users write subclasses of :class:`ByOneMetric`. Both are shown one sample at a
time, keep numbers only, and start afresh for every fold.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from musket.core.errors import MusketError, TrainingError
from musket.metrics.catalogue import FINAL_METRICS, Mode
from musket.metrics.metric import Metric
from musket.metrics.tally import THRESHOLD, Tally, accumulator

Figure = Literal["dice", "iou", "map10"]
Empty = Literal["zero", "one", "skip"]


class PerItem(Metric):
    """Dice, IoU or map10 of each item, mean over items.

    With counts of pixels T (truth), P (prediction above the threshold) and I (both), per channel:

    - dice = 2 I / (T + P), iou = I / (T + P - I), both averaged over the channels of the item;
    - map10 = ceil(clip(20 (iou - 0.5), 0, 10)) / 10: the share of the thresholds 0.5, 0.55 ... 0.95 that iou passes.

    A channel with T = P = 0 counts as ``empty`` says; an item all of whose channels are left out is left out.

    Args:
        figure: dice, iou or map10.
        empty: value of a channel empty in truth and prediction: 0, 1, or left out.
        best_threshold: try thresholds i/100, i = 0..99, and take that of the best mean (the lowest of equals); False:
            prediction > 0.5.
    """

    def __init__(
        self, name: str, mode: Mode | None = "max", *, figure: Figure, empty: Empty, best_threshold: bool = False
    ):
        super().__init__(name, mode)
        self.figure = figure
        self.empty = {"zero": 0.0, "one": 1.0, "skip": math.nan}[empty]
        self.best_threshold = best_threshold

    def measure(self, tally: Tally) -> Tensor:
        counts = tally.hard_at_levels if self.best_threshold else tally.hard[..., None]
        truth, prediction, both = accumulator(counts)
        area = truth + prediction - (0 if self.figure == "dice" else both)
        share = (2 * both if self.figure == "dice" else both) / area.clamp(min=1)
        value = torch.where(area > 0, share, self.empty).nanmean(1)  # items x thresholds
        if self.figure == "map10":
            # An IoU of exactly 0.55 must not pass 0.55 by a rounding error.
            value = (20 * (value - 0.5)).round(decimals=9).clamp(0, 10).ceil() / 10
        return torch.cat([value.nansum(0), accumulator((~value.isnan()).sum(0))])

    def figures(self) -> dict[str, float]:
        if not self.best_threshold:
            return super().figures()
        means = [math.nan] if self._sums is None else _means(self._sums.cpu().double()).tolist()
        threshold, value = best(means)
        return {self.name: value, f"{self.name}_treshold": threshold}

    def score(self, sums: Tensor, count: int) -> float:
        return best(_means(sums).tolist())[1]


def _means(sums: Tensor) -> Tensor:
    """Mean at every threshold; nan where no item counted."""
    totals, counts = sums.view(2, -1)
    return totals / counts


def best(means: list[float]) -> tuple[float, float]:
    """Threshold i/n and value of the highest of n means; the lowest threshold of equals, nan when all are nan."""
    known = [(value, -position) for position, value in enumerate(means) if not math.isnan(value)]
    if not known:
        return math.nan, math.nan
    value, position = max(known)
    return -position / len(means), value


class ByOneMetric(ABC):
    """A final metric that is shown one item after the other.

    Decorate a subclass with ``musket.final_metric`` and name it in ``final_metrics``. Every evaluation (fold, stage,
    holdout) has its own copy, so whatever it gathers in ``self`` belongs to one part.

    Attributes:
        name: the name it is registered under; filled in.
    """

    name: str = ""

    @abstractmethod
    def onItem(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Take an item in.

        Args:
            prediction: float scores, H x W x classes, at the size of the image; of classification a vector, that of
                several heads side by side.
            truth: of the same shape, bool; float where a head gives plain values (activation: none).
        """

    @abstractmethod
    def commit(self, results: dict[str, Any]) -> None:
        """Write what was found: ``results[self.name] = value``, and further figures as needed."""


class SimpleMetric(ByOneMetric):
    """Mean over items of ``f(truth, prediction > 0.5)``; scores as they are if ``f.need_threshold`` is False.

    Args:
        f: gets two H x W x classes bool arrays, returns a number, an array to be averaged, or None or nan to leave the
            item out.
    """

    def __init__(self, f: Callable[[np.ndarray, np.ndarray], Any]):
        self.f = f
        self.name = getattr(f, "__name__", "")
        self._sum, self._count = 0.0, 0

    def onItem(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        value = value_of(
            self.f(truth, prediction > THRESHOLD if getattr(self.f, "need_threshold", True) else prediction)
        )
        if not math.isnan(value):
            self._sum, self._count = self._sum + value, self._count + 1

    def commit(self, results: dict[str, Any]) -> None:
        results[self.name] = self._sum / self._count if self._count else math.nan


class WithTreshold(ByOneMetric):
    """The best mean over items of ``f(truth, prediction > i/cnt)``, i = 0..cnt-1, and ``<name>_treshold``, where it is.

    Args:
        f: as for :class:`SimpleMetric`; called ``cnt`` times per item.
        cnt: number of thresholds.
    """

    def __init__(self, f: Callable[[np.ndarray, np.ndarray], Any], cnt: int = 100):
        if cnt < 1:
            raise MusketError(f"WithTreshold: cnt must be 1 or more; found {cnt}")
        self.f = f
        self.cnt = cnt
        self.name = getattr(f, "__name__", "")
        self._sums, self._counts = np.zeros(cnt), np.zeros(cnt, dtype=np.int64)

    def onItem(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        values = np.array([value_of(self.f(truth, prediction > number / self.cnt)) for number in range(self.cnt)])
        self._sums += np.nan_to_num(values)
        self._counts += ~np.isnan(values)

    def commit(self, results: dict[str, Any]) -> None:
        threshold, value = self.best()
        results[self.name] = value
        results[f"{self.name}_treshold"] = threshold

    def best(self) -> tuple[float, float]:
        """Threshold and value; nan when no item counted."""
        known = self._counts > 0
        return best(np.where(known, self._sums / np.where(known, self._counts, 1), math.nan).tolist())


def value_of(found: Any) -> float:
    """What a user's function says of an item as a number: arrays are averaged, None is nan."""
    return math.nan if found is None else float(np.mean(found))


class ItemMetric(Metric):
    """A :class:`ByOneMetric` among the metrics of an evaluation.

    Args:
        pattern: is copied at every reset, never used itself.
        values: truth is handed on as it is, plain values; else as bool.
    """

    def __init__(self, name: str, pattern: ByOneMetric, mode: Mode | None = None, *, values: bool = False):
        self.pattern = pattern
        self.values = values
        super().__init__(name, mode)

    def reset(self) -> None:
        super().reset()
        self._own = copy.deepcopy(self.pattern)
        self._own.name = self.name

    def measure(self, tally: Tally) -> Tensor:
        for truth, scores in zip(tally.truth, tally.scores, strict=True):
            shown = np.ascontiguousarray(np.moveaxis(truth.cpu().numpy(), 0, -1))
            self._own.onItem(np.moveaxis(scores.cpu().numpy(), 0, -1), shown if self.values else shown > THRESHOLD)
        return torch.zeros(0)

    def figures(self) -> dict[str, float]:
        results: dict[str, Any] = {}
        if self._count:
            self._own.commit(results)
        return flat(self.name, results)

    def compute(self) -> float:
        return self.figures().get(self.name, math.nan)

    def state(self) -> Tensor:
        raise TrainingError(f"metric {self.name} gathers items on its own and cannot be computed on several devices")


def flat(name: str, found: Any) -> dict[str, float]:
    """What a final metric found, as figures by name: a number under its name, a map under ``<name>_<key>``.

    Keys that begin with the name stay as they are; maps in maps are joined by ``_``.

    Raises:
        MusketError: something in it is no number.
    """
    if isinstance(found, dict):
        figures: dict[str, float] = {}
        for key, value in found.items():
            key = str(key)
            figures |= flat(key if key == name or key.startswith(f"{name}_") else f"{name}_{key}", value)
        return figures
    try:
        return {name: float(found)}
    except (TypeError, ValueError) as error:
        raise MusketError(f"final metric {name} gave {found!r}; it must give a number, or a map of numbers") from error


def build_final(name: str, found: Any = None) -> Metric | Callable[[Any, Any], Any]:
    """The final metric of a name.

    Args:
        name: one of the catalogue, or the name of ``found``.
        found: a user's object in place of the catalogue's: a :class:`ByOneMetric` (class or instance), or a function
            ``f(connected_model, predictions_dataset) -> number or map``.

    Returns:
        a metric to be shown items, or the function itself.

    Raises:
        RegistryError: no such final metric; names the nearest.
    """
    entry = None if found is not None and name not in FINAL_METRICS else FINAL_METRICS.get(name)
    mode: Mode | None = None if entry is None else entry.facts.get("mode")
    if entry is not None and "figure" in entry.facts and found is None:
        options = {key: entry.facts[key] for key in ("figure", "empty", "best_threshold")}
        return PerItem(entry.name, mode, **options)
    if found is None and entry is not None:
        found = entry.load()
    if isinstance(found, type) and issubclass(found, ByOneMetric):
        found = found()
    return ItemMetric(name, found, mode) if isinstance(found, ByOneMetric) else found
