"""Metrics of decided classes and of values against scikit-learn, however the samples are cut into batches."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from musket.core.errors import TrainingError
from musket.core.heads import Heads
from musket.losses.catalogue import LOSSES
from musket.metrics.build import MetricSet, build_metric
from musket.metrics.catalogue import METRICS, adopt, class_columns, columns_of, heads_of

CLASSES = 4
SOFTMAX = Heads((CLASSES,), ("softmax",), ("0",))
SIGMOID = Heads((CLASSES,), ("sigmoid",), ("0",))
LINEAR = Heads((CLASSES,), ("none",), ("0",))
FIGURES = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}


@pytest.fixture(scope="module", autouse=True)
def losses_are_metrics():
    adopt(LOSSES)


def labels(seed, samples=23, classes=CLASSES):
    """Numbers of exclusive classes, of which the last may not occur, and scores; coarse, so that some are equal."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, classes - seed % 2, samples)
    scores = rng.integers(0, 5, (samples, classes)) / 4 + 0.7 * np.eye(classes)[numbers]
    return numbers, torch.from_numpy(np.eye(classes)[numbers]).float(), torch.from_numpy(scores).float().softmax(1)


def multilabel(seed, samples=23, classes=CLASSES):
    rng = np.random.default_rng(seed)
    truth = (rng.random((samples, classes)) < 0.4).astype(np.float32)
    if seed % 2:
        truth[:, 0] = 0
    scores = (0.4 * truth + 0.6 * rng.integers(0, 6, (samples, classes)) / 5).astype(np.float32)
    return torch.from_numpy(truth), torch.from_numpy(scores)


def figures(names, heads, truth, scores, cut=None, evaluation=True):
    """Whole, or in batches of the given sizes seen by two processes in turn."""
    parts = [MetricSet(names, evaluation=evaluation, heads=heads) for _ in range(2)]
    for position, batch in enumerate(torch.arange(len(truth)).split(cut or len(truth))):
        parts[position % 2].update(truth[batch], scores[batch])
    parts[0].merge(parts[1].state())
    return parts[0].compute()


def value(name, heads, truth, scores, evaluation=True):
    return figures([name], heads, truth, scores, evaluation=evaluation)[name]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 23))
def test_exclusive_classes_against_sklearn(seed, cut):
    numbers, truth, scores = labels(seed)
    chosen, every = scores.argmax(1).numpy(), range(CLASSES)
    expected = {
        f"{average}_{figure}": function(numbers, chosen, average=average, labels=every, zero_division=0)
        for figure, function in FIGURES.items()
        for average in ("macro", "micro", "weighted")
    }
    with warnings.catch_warnings(action="ignore"):  # a class that is chosen and does not occur
        expected["balanced_accuracy"] = sk.balanced_accuracy_score(numbers, chosen)
    expected["matthews_correlation"] = sk.matthews_corrcoef(numbers, chosen)
    expected["cohen_kappa"] = sk.cohen_kappa_score(numbers, chosen)
    expected["quadratic_kappa"] = sk.cohen_kappa_score(numbers, chosen, weights="quadratic", labels=every)
    expected["exact_match"] = expected["accuracy"] = sk.accuracy_score(numbers, chosen)
    expected["hamming_loss"] = sk.hamming_loss(truth.numpy(), np.eye(CLASSES)[chosen])
    expected["top_2_accuracy"] = np.mean(
        [(row > row[number]).sum() < 2 for number, row in zip(numbers, scores.numpy(), strict=True)]
    )
    assert figures(expected, SOFTMAX, truth, scores, cut) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 23))
def test_classes_each_on_its_own_against_sklearn(seed, cut):
    truth, scores = multilabel(seed)
    t, decided = truth.numpy(), (scores > 0.5).numpy()
    expected = {
        f"{average}_{figure}": function(t, decided, average=average, zero_division=0)
        for figure, function in FIGURES.items()
        for average in ("macro", "micro", "weighted")
    }
    columns = list(zip(t.T, decided.T, strict=True))
    with warnings.catch_warnings(action="ignore"):
        expected["balanced_accuracy"] = np.mean([sk.balanced_accuracy_score(*pair) for pair in columns])
        expected["cohen_kappa"] = np.nanmean([sk.cohen_kappa_score(*pair) for pair in columns])
    expected["quadratic_kappa"] = expected["cohen_kappa"]
    expected["exact_match"] = sk.accuracy_score(t, decided)
    expected["hamming_loss"] = sk.hamming_loss(t, decided)
    expected["matthews_correlation"] = sk.matthews_corrcoef(t.ravel(), decided.ravel())
    expected["accuracy"] = 1 - expected["hamming_loss"]
    assert figures(expected, SIGMOID, truth, scores, cut) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 23))
def test_values_against_sklearn(seed, cut):
    rng = np.random.default_rng(seed)
    truth = (rng.normal(size=(23, CLASSES)) * [1, 2, 10, 0.1] + [0, 50, -3, 1000]).astype(np.float32)
    scores = (truth + rng.normal(size=truth.shape)).astype(np.float32)
    expected = {
        "mae": sk.mean_absolute_error(truth, scores),
        "mse": sk.mean_squared_error(truth, scores),
        "rmse": math.sqrt(sk.mean_squared_error(truth, scores)),
        "r2": sk.r2_score(truth.astype(np.float64), scores),
    }
    found = figures(expected, LINEAR, torch.from_numpy(truth), torch.from_numpy(scores), cut)
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_value_that_never_changes_has_no_r2():
    truth = torch.tensor([[1.0, 0.1], [2.0, 0.1], [4.0, 0.1]])
    scores = truth + torch.tensor([[0.5], [0.0], [0.0]])
    first = sk.r2_score(truth[:, 0], scores[:, 0])
    two = Heads((2,), ("linear",), ("0",))
    assert value("r2", two, truth, scores) == pytest.approx(first)
    assert math.isnan(value("r2", two, truth[:1], scores[:1]))


def test_the_highest_class_counts_where_none_is_above_a_half():
    truth = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    scores = torch.tensor([[0.4, 0.35, 0.25], [0.3, 0.45, 0.25]])
    exclusive, own = (Heads((3,), (activation,), ("0",)) for activation in ("softmax", "sigmoid"))
    for name in ("macro_f1", "macro_recall"):
        assert value(name, exclusive, truth, scores) == pytest.approx(2 / 3, abs=1e-6)
        assert value(name, own, truth, scores) == 0
    assert value("binary_accuracy", exclusive, truth, scores) == pytest.approx(4 / 6)


def test_macro_f1_is_soft_in_training_and_f1_is_its_alias():
    _, truth, scores = labels(3)
    hits, predicted, true = (truth * scores).sum(0), scores.sum(0), truth.sum(0)
    soft = float((2 * hits / (predicted + true)).mean())
    assert value("f1", SOFTMAX, truth, scores, evaluation=False) == pytest.approx(soft, abs=1e-6)


def test_mixed_truth_counts_as_its_larger_part():
    truth = torch.tensor([[0.6, 0.4, 0.0], [0.3, 0.3, 0.4]])
    scores = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.2, 0.6]])
    three = Heads((3,), ("softmax",), ("0",))
    assert value("exact_match", three, truth, scores) == value("micro_f1", three, truth, scores) == 1


def test_scores_that_are_no_numbers_choose_no_class():
    truth, scores = torch.eye(2), torch.tensor([[0.9, 0.1], [math.nan, math.nan]])
    two = Heads((2,), ("softmax",), ("0",))
    assert value("micro_recall", two, truth, scores) == value("accuracy", two, truth, scores) == 0.5
    assert value("balanced_accuracy", two, truth, scores) == 0.5
    assert 0 < value("mcc", two, truth, scores) < 1


def test_one_class_everywhere_has_no_kappa_and_no_correlation():
    truth = torch.eye(2)[[0, 0, 0]]
    two = Heads((2,), ("softmax",), ("0",))
    assert math.isnan(value("cohen_kappa", two, truth, truth))
    assert value("matthews_correlation", two, truth, truth) == 0
    assert value("balanced_accuracy", two, truth, truth) == 1


def test_one_sigmoid_class_is_the_positive_one():
    truth, scores = torch.tensor([[1.0], [1], [0], [0]]), torch.tensor([[0.9], [0.2], [0.8], [0.1]])
    one = Heads((1,), ("sigmoid",), ("0",))
    for figure, function in FIGURES.items():
        assert value(figure, one, truth, scores) == pytest.approx(function(truth, scores > 0.5), abs=1e-6)


@pytest.mark.parametrize(("name", "k"), [("top_2_accuracy", 2), ("top_3_accuracy", 3), ("top_5_accuracy", 5)])
def test_other_k(name, k):
    numbers, truth, scores = labels(8, 40, 7)
    seven = Heads((7,), ("softmax",), ("0",))
    # Of equal scores ours counts for, scikit-learn's by position: there are none here.
    scores = scores + torch.rand(scores.shape, generator=torch.Generator().manual_seed(1)) * 1e-3
    expected = sk.top_k_accuracy_score(numbers, scores, k=k, labels=range(7))
    assert value(name, seven, truth, scores) == pytest.approx(expected)


def test_sparse_accuracy_takes_a_channel_per_class():
    _, truth, scores = labels(4)
    assert value("sparse_categorical_accuracy", SOFTMAX, truth, scores) == value("accuracy", SOFTMAX, truth, scores)


def test_every_class_has_a_figure_of_its_own():
    numbers, truth, scores = labels(2)
    each = sk.precision_score(numbers, scores.argmax(1), average=None, labels=range(CLASSES), zero_division=0)
    found = figures(["per_class_precision"], SOFTMAX, truth, scores)
    expected = {f"per_class_precision_{position}": one for position, one in enumerate(each)}
    assert found == pytest.approx({"per_class_precision": each.mean()} | expected)

    named = Heads((3, 1), ("softmax", "sigmoid"), ("a", "b"), ((*"xyz",), ("without", "with")))
    found = figures(["per_class_f1"], named, truth, scores)
    heads = ["per_class_f1_a", *(f"per_class_f1_a_{of}" for of in "xyz"), "per_class_f1_b", "per_class_f1_b_with"]
    assert list(found) == ["per_class_f1", *heads]
    assert math.isnan(MetricSet(["per_class_f1"], heads=SOFTMAX).compute()["per_class_f1"])


def test_classes_of_one_name_keep_columns_of_their_own():
    _, truth, scores = labels(2)
    heads = Heads((CLASSES,), ("softmax",), ("0",), (("cat", "cat_2", "cat", "dog"),))
    found = figures(["per_class_recall"], heads, truth, scores)
    columns = [f"per_class_recall_{of}" for of in ("cat", "cat_2", "cat_3", "dog")]
    assert list(found) == ["per_class_recall", *columns]
    assert class_columns(["recall", "per_class_recall"], heads) == columns


def test_figures_of_heads_and_their_mean():
    _, first, of_first = labels(2)
    second, of_second = multilabel(5, classes=2)
    third = torch.randn(23, 1, generator=torch.Generator().manual_seed(1)) * 5
    heads = Heads((CLASSES, 2, 1), ("softmax", "sigmoid", "none"), ("kind", "marks", "size"))
    truth, scores = torch.cat([first, second, third], 1), torch.cat([of_first, of_second, third + 0.5], 1)
    names = ["accuracy", "rmse", "categorical_accuracy", "mae"]
    found = figures(names, heads, truth, scores, cut=4)
    kind = value("categorical_accuracy", SOFTMAX, first, of_first)
    marks = value("binary_accuracy", Heads((2,), ("sigmoid",), ("",)), second, of_second)
    assert found == pytest.approx(
        {
            "accuracy": (kind + marks) / 2,
            "accuracy_kind": kind,
            "accuracy_marks": marks,
            "rmse": 0.5,
            "rmse_size": 0.5,
            "categorical_accuracy": kind,
            "categorical_accuracy_kind": kind,
            "mae": 0.5,
            "mae_size": 0.5,
        }
    )
    assert list(found) == [column for name in names for column in columns_of(name, heads.activations, heads.names)]


def test_the_mean_leaves_out_heads_whose_figure_is_undefined():
    truth = torch.tensor([[1.0, 0], [0, 0]])
    heads = Heads((1, 1), ("sigmoid", "sigmoid"), ("a", "b"))
    found = figures(["roc_auc"], heads, truth, torch.tensor([[0.9, 0.3], [0.2, 0.1]]))
    assert found["roc_auc"] == found["roc_auc_a"] == 1
    assert math.isnan(found["roc_auc_b"])
    assert all(math.isnan(figure) for figure in MetricSet(["f1", "roc_auc"], heads=heads).compute().values())


@pytest.mark.parametrize(
    ("name", "activations", "positions"),
    [
        ("f1", ["softmax", "none", "sigmoid"], [0, 2]),
        ("categorical_accuracy", ["softmax", "none", "sigmoid"], [0]),
        ("categorical_crossentropy", ["sigmoid", "linear"], [0]),
        ("mse", ["softmax", "Linear", "sigmoid"], [1]),
        ("mse", ["softmax", "sigmoid"], [0, 1]),
        ("cosine", ["softmax", "none"], [0, 1]),
        ("roc_auc", ["none", "relu"], []),
        ("roc_auc", ["my_own"], [0]),
        ("dice", ["none", "hard_sigmoid"], [1]),
        ("iou", ["none"], []),
        ("iot", ["none"], []),
    ],
)
def test_heads_a_metric_makes_sense_for(name, activations, positions):
    assert heads_of(name, activations) == positions
    columns = columns_of(name, activations, "abc")
    several = [f"{name}_{'abc'[position]}" for position in positions] if len(activations) > 1 else []
    assert columns == ([name, *several] if positions else [])


def test_a_metric_for_no_head_is_refused_in_words():
    with pytest.raises(TrainingError, match=r"metric macro_f1 is for heads of classes, and activation is none, relu"):
        MetricSet(["macro_f1"], heads=Heads((1, 1), ("none", "relu"), ("a", "b")))


def test_shapes_of_heads_are_checked():
    heads = Heads((2, 1), ("softmax", "none"), ("a", "b"))
    metrics = MetricSet(["accuracy"], heads=heads)
    with pytest.raises(TrainingError, match=r"heads of 2 \+ 1 classes were given a prediction of shape \(4, 4\)"):
        metrics.update(torch.zeros(4, 4), torch.zeros(4, 4))
    with pytest.raises(TrainingError, match=r"truth has shape \(4, 2\), prediction \(4, 3\)"):
        metrics.update(torch.zeros(4, 2), torch.zeros(4, 3))


def test_own_metrics_see_decisions_of_classes_and_values_as_they_are():
    seen = []
    METRICS.add("my_metric", lambda truth, prediction: seen.append(prediction.tolist()) or 0.0, "A metric of a test.")
    try:
        heads = Heads((3, 1, 1), ("softmax", "sigmoid", "none"), ("a", "b", "c"))
        figures(["my_metric"], heads, torch.ones(1, 5), torch.tensor([[0.3, 0.25, 0.45, 0.75, 7.25]]))
        assert seen == [[[0, 0, 1]], [[1]], [[7.25]]]
    finally:
        METRICS.remove("my_metric")


def test_final_metrics_look_at_all_heads():
    heads = Heads((2, 1), ("softmax", "sigmoid"), ("a", "b"))
    metrics = MetricSet([], heads=heads, also=[build_metric("binary_accuracy")])
    metrics.update(torch.tensor([[1.0, 0, 1]]), torch.tensor([[0.8, 0.2, 0.1]]))
    assert metrics.compute() == pytest.approx({"binary_accuracy": 2 / 3})
