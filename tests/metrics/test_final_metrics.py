"""Final metrics against formulas worked by hand and a plain loop over thresholds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from musket.core.errors import MusketError
from musket.core.registry import RegistryError
from musket.metrics.build import MetricSet
from musket.metrics.catalogue import FINAL_METRICS, direction
from musket.metrics.final import ByOneMetric, ItemMetric, SimpleMetric, WithTreshold, build_final, flat
from musket.metrics.metric import Metric

FIGURES, EMPTIES = ("dice", "iou", "map10"), ("zero", "one", "skip")


def name_of(figure: str, empty: str, custom: bool = False) -> str:
    return f"{figure}{'_with_custom_treshold' if custom else ''}_true_negative_is_{empty}"


def built(name: str) -> Metric:
    metric = build_final(name)
    assert isinstance(metric, Metric)
    return metric


def show(metric: Metric, truth: np.ndarray, scores: np.ndarray) -> None:
    """One item, H x W x classes."""
    metric.update(*(torch.from_numpy(np.ascontiguousarray(a)).movedim(-1, 0)[None] for a in (truth, scores)))


def figures(name: str, items: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    metric = built(name)
    for truth, scores in items:
        show(metric, truth, scores)
    return metric.figures()


def item_value(figure: str, empty: str, truth: np.ndarray, found: np.ndarray) -> float:
    """The definition, one channel after the other, in Python's own numbers."""
    values = []
    for channel in range(truth.shape[2]):
        t, p = truth[..., channel], found[..., channel]
        if not t.any() and not p.any():
            if empty != "skip":
                values.append(float(empty == "one"))
        elif figure == "dice":
            values.append(2 * int((t & p).sum()) / int(t.sum() + p.sum()))
        else:
            values.append(int((t & p).sum()) / int((t | p).sum()))
    if not values:
        return math.nan
    value = sum(values) / len(values)
    return math.ceil(round(min(10, max(0, 20 * (value - 0.5))), 9)) / 10 if figure == "map10" else value


def mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def test_the_eighteen_names() -> None:
    names = {name_of(f, e, c) for f in FIGURES for e in EMPTIES for c in (False, True)}
    assert len(names) == 18
    assert names == set(FINAL_METRICS.names())
    assert all(direction(name) == direction(f"val_{name}") == "max" for name in names)
    assert all(FINAL_METRICS.get(name).summary.endswith(".") for name in names)


@pytest.mark.parametrize(("both", "union", "expected"), [(50, 100, 0), (52, 100, 0.1), (76, 100, 0.6), (100, 100, 1)])
def test_g22_map10(both: int, union: int, expected: float) -> None:
    truth = np.zeros((10, 10, 1), bool)
    truth.flat[:union] = True
    scores = np.zeros((10, 10, 1), np.float32)
    scores.flat[:both] = 1
    assert figures(name_of("map10", "zero"), [(truth, scores)])[name_of("map10", "zero")] == pytest.approx(expected)


@pytest.mark.parametrize("percent", range(0, 101, 5))
def test_map10_of_an_iou_on_the_edge_does_not_pass_it(percent: int) -> None:
    truth = np.ones((10, 10, 1), bool)
    scores = np.zeros((10, 10, 1), np.float32)
    scores.flat[:percent] = 1
    name = name_of("map10", "one")
    assert figures(name, [(truth, scores)])[name] == pytest.approx(max(0, percent - 50) // 5 / 10)


@pytest.mark.parametrize("empty", EMPTIES)
@pytest.mark.parametrize("figure", FIGURES)
def test_empty_pairs(figure: str, empty: str) -> None:
    truth, nothing = np.ones((4, 4, 1), bool), np.zeros((4, 4, 1), np.float32)
    perfect, blank = (truth, truth.astype(np.float32)), (~truth, nothing)
    name = name_of(figure, empty)
    expected = {"zero": 0.5, "one": 1.0, "skip": 1.0}[empty]
    assert figures(name, [perfect, blank])[name] == pytest.approx(expected)
    alone = figures(name, [blank])[name]
    assert math.isnan(alone) if empty == "skip" else alone == {"zero": 0, "one": 1}[empty]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("empty", EMPTIES)
@pytest.mark.parametrize("figure", FIGURES)
def test_custom_thresholds_equal_a_hundred_thresholdings(figure: str, empty: str, dtype: type) -> None:
    random = np.random.default_rng(3)
    items = []
    for number in range(6):
        truth = random.random((5, 7, 2)) > (0.6 if number % 2 else 2)
        # scores on the thresholds themselves, next to them, and 0 and 1
        scores = (random.integers(0, 101, (5, 7, 2)) / 100).astype(dtype)
        scores += random.integers(-1, 2, scores.shape).astype(dtype) * np.finfo(dtype).eps
        items.append((truth, scores.clip(0, 1)))
    items[0] = (items[0][0], np.zeros_like(items[0][1]))
    name = name_of(figure, empty, custom=True)
    found = figures(name, items)
    means = [mean([item_value(figure, empty, t, s > dtype(i / 100)) for t, s in items]) for i in range(100)]
    assert found[name] == pytest.approx(np.nanmax(means))
    assert found[f"{name}_treshold"] == int(np.nanargmax(np.round(means, 12))) / 100
    plain = figures(name_of(figure, empty), items)[name_of(figure, empty)]
    assert plain == pytest.approx(means[50])


def test_the_best_threshold_is_found() -> None:
    truth = np.zeros((1, 10, 1), bool)
    truth[0, 5:] = True
    scores = np.linspace(0.1, 0.37, 10, dtype=np.float32).reshape(1, 10, 1)  # 0.22 is the last outside
    name = name_of("dice", "zero", custom=True)
    assert figures(name, [(truth, scores)]) == {name: 1.0, f"{name}_treshold": pytest.approx(0.22)}


def test_scores_that_are_no_numbers_are_no_object() -> None:
    truth = np.ones((1, 2, 1), bool)
    scores = np.array([[[math.nan], [1.0]]], np.float32)
    name = name_of("iou", "zero", custom=True)
    assert figures(name, [(truth, scores)])[name] == 0.5


def test_nothing_is_carried_from_one_part_to_the_next_and_batches_do_not_matter() -> None:
    random = np.random.default_rng(0)
    truth = torch.from_numpy(random.random((6, 1, 8, 8)) > 0.5)
    scores = torch.from_numpy(random.random((6, 1, 8, 8)).astype(np.float32))
    metrics = MetricSet([], also=[built(name) for name in FINAL_METRICS.names()])
    metrics.update(truth, scores)
    once = metrics.compute()
    metrics.reset()
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
        metrics.update(truth[part], scores[part])
    assert metrics.compute() == pytest.approx(once)
    other = MetricSet([], also=[built(name) for name in FINAL_METRICS.names()])
    other.merge(metrics.state())
    assert other.compute() == pytest.approx(once)


def test_users_metrics_by_item() -> None:
    def overlap(truth: np.ndarray, found: np.ndarray) -> float | None:
        return float((truth & found).sum() / truth.sum()) if truth.any() else None

    class Brightest(ByOneMetric):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def onItem(self, prediction: np.ndarray, truth: np.ndarray) -> None:
            self.seen.append(float(prediction.max()))

        def commit(self, results: dict[str, float]) -> None:
            results[self.name] = max(self.seen)
            results["items"] = len(self.seen)

    truth = np.array([[[1], [1], [0], [0]]], bool)
    scores = np.array([[[0.3], [0.9], [0.2], [0.1]]], np.float32)
    items = [(truth, scores), (~truth & False, scores)]
    for pattern, expected in (
        (SimpleMetric(overlap), {"m": 0.5}),
        (WithTreshold(overlap), {"m": 1.0, "m_treshold": 0.0}),
        (Brightest, {"m": pytest.approx(0.9), "m_items": 2.0}),
    ):
        metric = build_final("m", pattern)
        assert isinstance(metric, ItemMetric)
        for _ in range(2):
            metric.reset()
            for item in items:
                show(metric, *item)
            assert metric.figures() == expected
        assert metric.compute() == expected["m"]


def test_with_treshold_agrees_with_the_built_in_one() -> None:
    random = np.random.default_rng(5)
    items = [(random.random((6, 6, 1)) > 0.5, random.random((6, 6, 1)).astype(np.float32)) for _ in range(3)]

    def dice(truth: np.ndarray, found: np.ndarray) -> float:
        return 2 * float((truth & found).sum()) / float(truth.sum() + found.sum())

    own = build_final("dice", WithTreshold(dice))
    assert isinstance(own, Metric)
    for item in items:
        show(own, *item)
    name = name_of("dice", "zero", custom=True)
    assert list(own.figures().values()) == pytest.approx(list(figures(name, items).values()))


def test_maps_are_flattened_and_other_things_refused() -> None:
    assert flat("m", {"a": 1, "m_b": 2, "c": {"d": 3}, "m": 4}) == {"m_a": 1, "m_b": 2, "m_c_d": 3, "m": 4}
    with pytest.raises(MusketError, match="final metric m gave 'much'; it must give a number"):
        flat("m", "much")


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(RegistryError, match="no such final metric 'dice_true_negative_is_two'; nearest: dice_true"):
        build_final("dice_true_negative_is_two")
    with pytest.raises(MusketError, match="cnt must be 1 or more"):
        WithTreshold(lambda truth, found: 0.0, cnt=0)
