"""ROC AUC and average precision against scikit-learn; what is kept, and what is left out."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from musket.core.errors import TrainingError
from musket.core.heads import Heads
from musket.metrics import ranking
from musket.metrics.build import MetricSet, build_metric

NAMES = ["roc_auc", "average_precision"]


def scored(seed, samples=19, classes=3):
    rng = np.random.default_rng(seed)
    truth = rng.random((samples, classes)) < 0.4
    truth[0], truth[1] = True, False
    coarse = rng.integers(0, 1 + seed % 9, (samples, classes)) / 8
    return torch.from_numpy(truth).float(), torch.from_numpy(0.3 * truth + 0.7 * coarse).float()


def value(name, truth, scores):
    metric = build_metric(name)
    metric.update(truth, scores)
    return metric.compute()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.integers(1, 19))
def test_against_sklearn_however_cut(seed, cut):
    truth, scores = scored(seed)
    parts = [MetricSet(NAMES) for _ in range(2)]
    for position, batch in enumerate(torch.arange(len(truth)).split(cut)):
        parts[position % 2].update(truth[batch], scores[batch])
    parts[0].merge(parts[1].state())
    assert parts[0].compute() == pytest.approx(
        {
            "roc_auc": sk.roc_auc_score(truth, scores, average="macro"),
            "average_precision": sk.average_precision_score(truth, scores, average="macro"),
        }
    )


def test_exclusive_classes_are_each_held_against_the_rest():
    rng = np.random.default_rng(1)
    numbers = torch.from_numpy(rng.integers(0, 3, 30))
    scores = torch.from_numpy(rng.random((30, 3))).float().softmax(1)
    metrics = MetricSet(["auc"], heads=Heads((3,), ("softmax",), ("0",)))
    metrics.update(torch.nn.functional.one_hot(numbers, 3).float(), scores)
    expected = sk.roc_auc_score(numbers, scores.double() / scores.double().sum(1, keepdim=True), multi_class="ovr")
    assert metrics.compute()["auc"] == pytest.approx(expected)


def test_classes_are_copied_a_few_at_a_time(monkeypatch):
    truth, scores = scored(2, 23, 7)
    expected = [value(name, truth, scores) for name in NAMES]
    monkeypatch.setattr(ranking, "_AT_ONCE", 50)  # two columns of 23
    assert [value(name, truth, scores) for name in NAMES] == expected


def test_one_class():
    truth, scores = scored(4, classes=1)
    assert value("roc_auc", truth, scores) == pytest.approx(sk.roc_auc_score(truth, scores))


def test_pixels_of_maps_are_samples():
    truth, scores = scored(3, 24, 2)
    maps = [values.view(2, 3, 4, 2).movedim(3, 1) for values in (truth, scores)]
    for name in NAMES:
        assert value(name, *maps) == pytest.approx(value(name, truth, scores))


def test_classes_without_the_other_side_are_left_out():
    truth, scores = scored(5)
    for absent in (torch.zeros(19, 1), torch.ones(19, 1)):
        more = torch.cat([truth, absent], 1), torch.cat([scores, scores[:, :1]], 1)
        assert value("roc_auc", *more) == pytest.approx(value("roc_auc", truth, scores))
        assert math.isnan(value("roc_auc", absent, scores[:, :1]))
    absent = torch.zeros(19, 1), scores[:, :1]
    assert math.isnan(value("average_precision", *absent))
    assert value("average_precision", torch.ones(19, 1), scores[:, :1]) == 1


@pytest.mark.parametrize("name", NAMES)
def test_scores_that_are_no_numbers_show(name):
    truth, scores = scored(6)
    scores[3, 1] = math.nan
    assert math.isnan(value(name, truth, scores))
    scores[3, 1] = math.inf
    assert math.isfinite(value(name, truth, scores))


def test_nothing_shown_and_reset():
    metric = build_metric("roc_auc")
    assert math.isnan(metric.compute())
    metric.merge(build_metric("roc_auc").state())
    metric.update(*scored(7))
    metric.reset()
    assert math.isnan(metric.compute())


def test_what_is_kept_is_a_copy_without_a_gradient_and_shared():
    truth, scores = scored(8)
    metrics = MetricSet(NAMES)
    leaf = scores.clone().requires_grad_()
    metrics.update(truth, leaf * 1)
    first, second = (metric._scores[0] for metric in metrics.metrics)
    assert first is second
    assert not first.requires_grad
    expected = metrics.compute()
    with torch.no_grad():
        leaf.zero_()
    assert metrics.compute() == expected


def test_more_than_memory_should_hold_is_refused(monkeypatch):
    monkeypatch.setattr(ranking, "LIMIT", 60)
    truth, scores = scored(9)
    metric = build_metric("roc_auc")
    metric.update(truth, scores)
    with pytest.raises(TrainingError, match=r"metric roc_auc keeps every score, and there are more than 60 .*macro_f1"):
        metric.update(truth, scores)


def test_nothing_heavy_is_imported():
    code = (
        "import sys; import musket.metrics.ranking, musket.metrics.build; "
        "print([name for name in ('sklearn', 'scipy', 'pandas') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
