"""Tables of finished predictions against scikit-learn; thresholds against trying all of them."""

from __future__ import annotations

import math
import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from musket.core.errors import MusketError
from musket.metrics.build import build_metric
from musket.metrics.per_class import best_thresholds, confusion_matrix, decide, per_class

CLASSES = 3


def multilabel(seed, samples=20):
    rng = np.random.default_rng(seed)
    truth = (rng.random((samples, CLASSES)) < 0.4).astype(np.float32)
    truth[:2] = [[1], [0]]
    return truth, (0.3 * truth + 0.7 * rng.integers(0, 9, (samples, CLASSES)) / 8).astype(np.float32)


def exclusive(seed, samples=20):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, CLASSES, samples)
    scores = rng.random((samples, CLASSES)) + 0.3 * np.eye(CLASSES)[numbers]
    return numbers, np.eye(CLASSES)[numbers], scores / scores.sum(1, keepdims=True)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.booleans())
def test_rows_against_sklearn(seed, is_exclusive):
    if is_exclusive:
        _, truth, scores = exclusive(seed)
        decided = np.eye(CLASSES, dtype=bool)[scores.argmax(1)]
    else:
        truth, scores = multilabel(seed)
        decided = scores > 0.5
    rows = per_class(truth, scores, exclusive=is_exclusive, names=("a", "b", "c"))
    figures = sk.precision_recall_fscore_support(truth, decided, zero_division=0)
    for position, (row, *expected) in enumerate(zip(rows, *figures, strict=True)):
        assert (row.precision, row.recall, row.f1, row.support) == pytest.approx(tuple(expected))
        assert row.name == "abc"[position]
        assert math.isnan(row.threshold) if is_exclusive else row.threshold == 0.5
        if 0 < row.support < len(truth):
            column = truth[:, position], scores[:, position]
            assert row.roc_auc == pytest.approx(sk.roc_auc_score(*column))
            assert row.average_precision == pytest.approx(sk.average_precision_score(*column))
        else:
            assert math.isnan(row.roc_auc)


def test_rows_at_thresholds_of_their_own():
    truth, scores = multilabel(4)
    thresholds = np.array([0.2, 0.5, 0.8])
    rows = per_class(truth, scores, thresholds=thresholds)
    expected = sk.f1_score(truth, scores > thresholds, average=None)
    assert [row.f1 for row in rows] == pytest.approx(list(expected))
    assert [(row.name, row.threshold) for row in rows] == [("0", 0.2), ("1", 0.5), ("2", 0.8)]


def test_the_table_and_the_metrics_agree():
    _, truth, scores = exclusive(5)
    rows = per_class(truth, scores, exclusive=True)
    metric = build_metric("roc_auc")
    metric.update(torch.from_numpy(truth), torch.from_numpy(scores))
    assert metric.compute() == pytest.approx(np.mean([row.roc_auc for row in rows]))


@pytest.mark.parametrize("seed", range(4))
def test_confusion_against_sklearn(seed):
    numbers, one_hot, scores = exclusive(seed)
    expected = sk.confusion_matrix(numbers, scores.argmax(1), labels=range(CLASSES))
    np.testing.assert_array_equal(confusion_matrix(one_hot, scores, exclusive=True), expected)
    truth, scores = multilabel(seed)
    expected = sk.multilabel_confusion_matrix(truth, scores > 0.5)
    np.testing.assert_array_equal(confusion_matrix(truth, scores, exclusive=False), expected)


def test_samples_without_a_class_are_left_out_of_the_confusion():
    truth = np.array([[1, 0], [0, 0], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [np.nan, np.nan]])
    np.testing.assert_array_equal(confusion_matrix(truth, scores, exclusive=True), [[1, 0], [0, 0]])


def tried(truth, scores, figure):
    """The best figure of all cuts of one class, by trying."""
    cuts = [-1.0, *np.unique(scores)]
    with warnings.catch_warnings(action="ignore"):
        return max(figure(truth, scores > cut) for cut in cuts)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 1000))
def test_thresholds_are_the_best_there_are(seed):
    truth, scores = multilabel(seed)
    for name, figure in (("f1", sk.f1_score), ("balanced_accuracy", sk.balanced_accuracy_score)):
        found = best_thresholds(truth, scores, name)
        decided = decide(scores, exclusive=False, thresholds=found)
        for position in range(CLASSES):
            of = truth[:, position]
            assert figure(of, decided[:, position]) == pytest.approx(tried(of, scores[:, position], figure))


@pytest.mark.parametrize(
    ("truth", "scores", "threshold"),
    [
        ([1, 1, 0], [0.9, 0.4, 0.1], 0.25),  # between the scores on both sides
        ([1, 1], [0.9, 0.4], 0.2),  # all of them: between the lowest and 0
        ([1, 1], [0.9, 0.0], -0.5),  # above which 0 is
        ([1, 0, 0, 1], [0.9, 0.6, 0.4, 0.2], 0.75),  # 0.1, below all, has F1 2/3 too, but is farther from a half
        ([0, 0], [0.9, 0.1], 0.5),  # no positives
        ([1, 0], [math.nan, 0.1], 0.5),
        ([1, 0], [math.inf, 0.1], 0.5),
    ],
)
def test_thresholds_by_hand(truth, scores, threshold):
    found = best_thresholds(np.array(truth)[:, None], np.array(scores)[:, None])
    assert found == pytest.approx([threshold])


def test_wrong_input_is_told():
    truth, scores = multilabel(1)
    with pytest.raises(MusketError, match=r"truth has shape \(20, 2\) and scores \(20, 3\)"):
        per_class(truth[:, :2], scores)
    with pytest.raises(MusketError, match="there are 2 thresholds for 3 classes"):
        per_class(truth, scores, thresholds=np.array([0.5, 0.5]))
    with pytest.raises(MusketError, match="the highest score decides"):
        decide(scores, exclusive=True, thresholds=np.full(3, 0.5))
    with pytest.raises(MusketError, match="not for 'accuracy'"):
        best_thresholds(truth, scores, "accuracy")


def test_a_hundred_thousand_samples_take_no_time():
    rng = np.random.default_rng(1)
    scores = rng.random((100_000, 4), dtype=np.float32)
    found = best_thresholds(scores > 0.75, scores)
    assert found == pytest.approx([0.75] * 4, abs=1e-3)


def test_many_classes_take_little_memory():
    rng = np.random.default_rng(1)
    scores = rng.random((400, 1000), dtype=np.float32)
    truth = scores == scores.max(axis=1, keepdims=True)
    tracemalloc.start()
    rows = per_class(truth, scores, exclusive=True)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(row.support for row in rows) == 400
    assert most < 0.6 * scores.nbytes
