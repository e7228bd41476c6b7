"""Metrics against scikit-learn, and by hand where it has no counterpart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from musket.core.errors import TrainingError
from musket.core.registry import RegistryError
from musket.losses.catalogue import LOSSES
from musket.metrics.build import MetricSet, build_metric
from musket.metrics.catalogue import METRICS, adopt
from musket.metrics.metric import Metric

N, C, H, W = 4, 3, 6, 5


@pytest.fixture(scope="module", autouse=True)
def losses_are_metrics():
    adopt(LOSSES)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def masks(rng):
    truth = torch.from_numpy((rng.random((N, C, H, W)) < 0.4).astype("uint8"))
    prediction = torch.from_numpy((0.5 * truth.numpy() + 0.7 * rng.random((N, C, H, W))).clip(0, 1).astype("float32"))
    return truth, prediction


@pytest.fixture
def labels(rng):
    """Exclusive classes of N x 7 vectors."""
    numbers = torch.from_numpy(rng.integers(0, 7, 40))
    scores = torch.from_numpy(rng.random((40, 7)).astype("float32"))
    return torch.nn.functional.one_hot(numbers, 7), scores.softmax(1), numbers


@pytest.fixture
def user_metric():
    """Registers an object under the name my_metric and forgets it."""
    added = []

    def add(target, **facts):
        METRICS.add("my_metric", target, "A metric of a test.", **facts)
        added.append("my_metric")

    yield add
    for name in added:
        METRICS.remove(name)


def value(name, truth, prediction, **options):
    metric = build_metric(name, **options)
    metric.update(truth, prediction)
    return metric.compute()


def rows(values):
    """Pixels x classes."""
    return values.movedim(1, -1).reshape(-1, values.shape[1]).numpy()


def test_counting_metrics_against_sklearn(masks):
    truth, prediction = masks
    t, hard = truth.flatten().numpy(), (prediction > 0.5).int()
    flat = hard.flatten().numpy()
    assert value("binary_accuracy", truth, prediction) == pytest.approx(sk.accuracy_score(t, flat))
    assert value("dice", truth, prediction) == pytest.approx(sk.f1_score(t, flat))
    assert value("matthews_correlation", truth, prediction) == pytest.approx(sk.matthews_corrcoef(t, flat))
    dice = sk.f1_score(rows(truth), rows(hard), average="macro")
    jaccard = sk.jaccard_score(rows(truth), rows(hard), average="macro")
    assert value("dice", truth, prediction, evaluation=True) == pytest.approx(dice, abs=1e-6)
    assert value("iou_coef", truth, prediction, evaluation=True) == pytest.approx(jaccard, abs=1e-6)
    assert value("macro_f1", truth, prediction, evaluation=True) == pytest.approx(dice, abs=1e-6)
    assert value("macro_f1", truth, hard.float()) == pytest.approx(dice, abs=1e-6)


def test_label_metrics_against_sklearn(labels):
    truth, scores, numbers = labels
    accuracy = sk.accuracy_score(numbers, scores.argmax(1))
    assert value("categorical_accuracy", truth, scores) == pytest.approx(accuracy)
    assert value("sparse_categorical_accuracy", numbers, scores) == pytest.approx(accuracy)
    assert value("sparse_categorical_accuracy", numbers[:, None], scores) == pytest.approx(accuracy)
    expected = sk.top_k_accuracy_score(numbers, scores, k=5, labels=range(7))
    assert value("top_k_categorical_accuracy", truth, scores) == pytest.approx(expected)


def test_label_metrics_of_masks(rng):
    numbers = torch.from_numpy(rng.integers(0, C, (N, H, W)))
    scores = torch.from_numpy(rng.random((N, C, H, W)))
    truth = torch.nn.functional.one_hot(numbers, C).movedim(3, 1)
    accuracy = sk.accuracy_score(numbers.flatten(), scores.argmax(1).flatten())
    assert value("categorical_accuracy", truth, scores) == pytest.approx(accuracy)
    assert value("sparse_categorical_accuracy", numbers, scores) == pytest.approx(accuracy)
    assert value("top_k_categorical_accuracy", truth, scores) == 1


def test_accuracy_means_what_the_output_asks(masks, labels):
    truth, prediction = masks
    one, classes = value("accuracy", truth[:, :1], prediction[:, :1]), value("acc", truth, prediction)
    assert one == value("binary_accuracy", truth[:, :1], prediction[:, :1])
    assert classes == value("categorical_accuracy", truth, prediction)
    independent = value("accuracy", truth, prediction, activation="sigmoid")
    assert independent == value("binary_accuracy", truth, prediction) != classes
    assert value("accuracy", truth, prediction, activation="sigmoid", evaluation=True) == independent
    truth, scores, numbers = labels
    assert value("accuracy", numbers, scores, activation="softmax") == value("categorical_accuracy", truth, scores)


def test_soft_overlap_by_hand():
    truth = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.bool).view(2, 1, 2, 2)
    prediction = torch.tensor([[0.5, 0.6, 1, 0], [0.4, 0, 0, 0]]).view(2, 1, 2, 2)
    soft = (2 * (1.5 + 1) / (2 + 2.1 + 1) + 1) / 2  # the empty image is cut at 1
    hard = (2 * (1 + 1) / (2 + 2 + 1) + 1) / 2
    for name in ("iou", "iou_coef"):
        assert value(name, truth, prediction) == pytest.approx(soft)
    for name in ("iot", "iot_coef"):
        assert value(name, truth, prediction) == pytest.approx(hard)
        assert value(name, truth, prediction, evaluation=True) == pytest.approx(hard)


def test_empty_pairs():
    empty = torch.zeros(2, 2, 3, 3)
    for name in ("dice", "iou", "iot", "binary_accuracy"):
        assert value(name, empty, empty) == value(name, empty, empty, evaluation=True) == 1
    assert value("matthews_correlation", empty, empty) == 0
    assert value("macro_f1", empty, empty) == 0


def test_a_class_without_anything_counts_as_right_in_evaluation():
    truth, prediction = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    truth[0, 0, 0, 0] = prediction[0, 0, 1, 1] = 1  # the first class all wrong, the second nowhere
    assert value("iou", truth, prediction, evaluation=True) == pytest.approx(0.5, abs=1e-5)
    assert value("dice", truth, prediction, evaluation=True) == pytest.approx(0.5, abs=1e-5)


def test_exactly_a_half_is_not_above_it():
    truth, prediction = torch.tensor([[0, 1]]), torch.tensor([[0.5, 0.5]])
    assert value("binary_accuracy", truth, prediction) == 0.5
    assert value("dice", truth, prediction) == 0


def test_images_of_many_sizes_are_pooled_in_evaluation():
    """Two images, 1 x 1 and 1 x 3: counts add up, whatever the sizes."""
    metric = build_metric("iou", evaluation=True)
    metric.update(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1))
    metric.update(torch.tensor([1, 1, 0]).view(1, 1, 1, 3), torch.tensor([1.0, 0, 1]).view(1, 1, 1, 3))
    assert metric.compute() == pytest.approx(2 / 4, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_predictions_of_any_type(masks, dtype):
    truth, prediction = masks
    prediction = (prediction * 8).round() / 8  # exact in every type
    metrics = MetricSet(["binary_accuracy", "iou", "dice", "macro_f1", "mse"])
    metrics.update(truth, prediction.to(dtype))
    found = metrics.compute()
    metrics.reset()
    metrics.update(truth.bool(), prediction)
    assert found == pytest.approx(metrics.compute(), rel=1e-6)


def test_counts_stay_exact_beyond_float32():
    metric = build_metric("binary_accuracy")
    metric.merge(torch.tensor([2.0**26, 2.0**25, 2.0**25, 2.0**25], dtype=torch.float64))  # all right so far
    metric.update(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
    assert metric.compute() == 2.0**26 / (2.0**26 + 1)


def test_nothing_shown_is_nan():
    metrics = MetricSet(["dice", "mse", "categorical_accuracy"])
    assert all(math.isnan(figure) for figure in metrics.compute().values())
    metrics.update(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
    metrics.reset()
    assert all(math.isnan(figure) for figure in metrics.compute().values())


def test_predictions_that_are_no_numbers_show():
    truth, prediction = torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), math.nan)
    assert math.isnan(value("iou", truth, prediction))
    assert math.isnan(value("binary_crossentropy", truth, prediction))
    assert value("dice", truth, prediction) == 0
    assert value("top_k_categorical_accuracy", truth, prediction) == 0


@pytest.mark.parametrize("name", ["dice", "categorical_accuracy", "mse", "iou"])
def test_shapes_that_would_broadcast_are_refused(name, masks):
    truth, prediction = masks
    with pytest.raises(
        TrainingError, match=rf"metric {name}: truth has shape \(4, 1, 6, 5\), prediction \(4, 3, 6, 5\)"
    ):
        value(name, truth[:, :1], prediction)


def test_sparse_truth_of_another_shape_is_refused(masks):
    with pytest.raises(TrainingError, match="wants one class number per sample or pixel"):
        value("sparse_categorical_accuracy", masks[0][:, :2], masks[1])


def test_unknown_metric_is_told_with_the_nearest():
    with pytest.raises(RegistryError, match="no such metric 'dicee'; nearest: dice"):
        build_metric("dicee")


def test_losses_as_metrics(masks):
    truth, prediction = masks
    t, p = truth.float(), prediction
    assert value("mse", truth, prediction) == pytest.approx(sk.mean_squared_error(t.flatten(), p.flatten()))
    assert value("MAE", truth, prediction, evaluation=True) == pytest.approx(float((t - p).abs().mean()))
    assert value("l2_loss", truth, prediction) == pytest.approx(float(((t - p) ** 2).sum() / N))
    assert value("f1_loss", truth, prediction) == pytest.approx(1 - value("macro_f1", truth, prediction))
    assert value("iou_loss", truth, prediction) == pytest.approx(-value("iou", truth, prediction))


def test_lovasz_as_a_metric_knows_logits_and_probabilities(masks):
    truth, prediction = masks
    logits = 4 * prediction - 2
    of_logits = value("lovasz_loss", truth, logits, activation="linear")
    assert of_logits == pytest.approx(value("lovasz_loss", truth, logits.sigmoid(), activation="sigmoid"), rel=1e-4)


def test_adopting_twice_takes_new_losses_and_keeps_metrics():
    LOSSES.add("my_loss", lambda truth, prediction: (truth - prediction).abs(), "A loss of a test.")
    try:
        adopt(LOSSES)
        adopt(LOSSES)
        assert value("my_loss", torch.zeros(2, 1), torch.ones(2, 1), evaluation=True) == 1
        assert not METRICS.get("iou").facts.get("adopted")
    finally:
        LOSSES.remove("my_loss")
        METRICS.remove("my_loss")


def test_own_metric_is_weighted_by_samples(user_metric):
    user_metric(lambda truth, prediction: prediction.mean(), mode="max")
    metric = build_metric("my_metric")
    assert metric.mode == "max"
    metric.update(torch.zeros(3, 1), torch.ones(3, 1))
    metric.update(torch.zeros(1, 1), torch.zeros(1, 1))
    assert metric.compute() == pytest.approx(3 / 4)


@pytest.mark.parametrize("returned", [0.25, np.float64(0.25), torch.tensor(0.25), torch.tensor([0.0, 0.5])])
def test_own_metric_may_return_numbers_and_tensors(user_metric, returned):
    user_metric(lambda truth, prediction: returned)
    assert value("my_metric", torch.zeros(2, 1), torch.zeros(2, 1)) == 0.25


def test_own_metric_sees_decisions_in_evaluation_unless_it_says_otherwise(user_metric):
    seen = []

    def look(truth, prediction):
        seen.append(prediction.flatten().tolist())
        return 0.0

    user_metric(look)
    prediction = torch.tensor([[0.25, 0.75]])
    value("my_metric", prediction, prediction)
    value("my_metric", prediction, prediction, evaluation=True)
    look.need_threshold = False
    value("my_metric", prediction, prediction, evaluation=True)
    assert seen == [[0.25, 0.75], [0, 1], [0.25, 0.75]]


def test_own_metric_class(user_metric):
    class Most(Metric):
        """Share of samples that predict anything."""

        def measure(self, tally):
            return tally.hard[1].sum(1).bool().sum().reshape(1)

    user_metric(Most, mode="max")
    assert (
        value(
            "my_metric",
            torch.zeros(2, 1, 2, 2),
            torch.eye(2).view(1, 1, 2, 2) * torch.tensor([1.0, 0]).view(2, 1, 1, 1),
        )
        == 0.5
    )


def test_no_gradient_is_kept(masks):
    truth, prediction = masks
    metrics = MetricSet(["mse", "iou", "dice"])
    metrics.update(truth, prediction.requires_grad_())
    assert not any(metric._sums.requires_grad for metric in metrics.metrics)


@pytest.mark.gpu
def test_metrics_on_the_gpu_agree_with_the_cpu(masks):
    truth, prediction = masks
    names = [name for name in METRICS.names() if not name.startswith("sparse")]
    here, there = MetricSet(names), MetricSet(names)
    here.update(truth, prediction)
    there.update(truth.cuda(), prediction.cuda())
    assert there.compute() == pytest.approx(here.compute(), rel=1e-4)
