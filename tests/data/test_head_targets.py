"""Targets kept small: what comes out is what went in, and splits and samplers see what dense vectors would show."""

from __future__ import annotations

import numpy as np
import pytest
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold, MultilabelStratifiedShuffleSplit

from musket.data.class_balance import class_counts, class_sampling_weights, label_groups
from musket.data.head_targets import HeadTargets, by_head, joined
from musket.data.iterative_stratification import iterative_parts
from musket.data.split import SplitSettings, make_splits

RANDOM = np.random.default_rng(7)
HEADS = ((5, 11, 1, 2), ("softmax", "sigmoid", "sigmoid", "linear"))


def mixed(count: int) -> np.ndarray:
    kinds = np.eye(5)[RANDOM.integers(0, 5, count)]
    return np.hstack([kinds, RANDOM.random((count, 12)) < 0.15, RANDOM.random((count, 2))]).astype(np.float32)


def dense(targets: np.ndarray) -> np.ndarray:
    """Classes the heads show, as rows, with a column for the samples without any of the labels."""
    several, one = targets[:, 5:16] > 0.5, targets[:, 16:17] > 0.5
    return np.hstack([targets[:, :5] > 0.5, several, ~several.any(axis=1, keepdims=True), one, ~one])


def test_a_head_keeps_class_numbers_bits_or_values() -> None:
    targets = mixed(40)
    kinds, labels, flag, numbers = by_head(targets, *HEADS)
    assert [(head.kept.dtype, head.kept.shape) for head in (kinds, labels, flag, numbers)] == [
        (np.int32, (40,)),
        (np.uint8, (40, 2)),
        (np.uint8, (40, 1)),
        (np.float32, (40, 2)),
    ]
    assert (kinds.kept == targets[:, :5].argmax(axis=1)).all()
    assert (labels.labels() == (targets[:, 5:16] > 0.5)).all()
    assert (numbers[[3, 1]].kept == targets[[3, 1], 17:]).all()
    both = joined([by_head(targets[:30], *HEADS), by_head(targets[30:], *HEADS)])
    assert all((own.kept == head.kept).all() for own, head in zip(both, (kinds, labels, flag, numbers), strict=True))


def test_a_thousand_classes_cost_four_bytes_a_sample_and_a_thousand_labels_one_bit_each() -> None:
    targets = np.zeros((64, 1000), np.float32)
    assert HeadTargets.of(targets, "softmax").kept.nbytes == 64 * 4
    assert HeadTargets.of(targets, "sigmoid").kept.nbytes == 64 * 125


def test_counts_weights_and_groups_are_those_of_dense_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musket.data.head_targets._BLOCK", 50)  # several blocks
    targets = mixed(300)
    heads, rows = by_head(targets, *HEADS), dense(targets)
    assert np.concatenate([class_counts(head) for head in heads[:3]]).tolist() == rows.sum(axis=0).tolist()
    expected = []
    for shown in (rows[:, :5], rows[:, 5:17], rows[:, 17:]):
        rates = (shown / np.maximum(shown.sum(axis=0), 1)).max(axis=1)
        expected.append(rates / rates.sum())
    assert class_sampling_weights(heads, "balanced") == pytest.approx(np.mean(expected, axis=0))
    groups = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    assert label_groups(heads).tolist() == groups.tolist()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.filterwarnings("ignore:.* classes have (fewer|a single)")
def test_splits_of_several_labels_are_those_of_iterative_stratification(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.random((90, 7)) < random.random(7) * 0.4
    splitter = MultilabelStratifiedKFold(n_splits=4, shuffle=True, random_state=seed)
    found = make_splits(90, SplitSettings(folds_count=4, random_state=seed, stratified=True), labels=lambda: rows)
    assert [(list(fold.train), list(fold.validation)) for fold in found.folds] == [
        (train.tolist(), held.tolist()) for train, held in splitter.split(rows, rows)
    ]
    cut = MultilabelStratifiedShuffleSplit(n_splits=4, test_size=0.23, random_state=seed)
    train, held = next(cut.split(rows, rows))
    settings = SplitSettings(folds_count=2, stratified=True, testSplit=0.23, testSplitSeed=seed)
    holdout = make_splits(90, settings, labels=lambda: rows).holdout
    assert holdout is not None
    assert (list(holdout.train), list(holdout.validation)) == (train.tolist(), held.tolist())


def test_every_part_has_its_share_of_a_thousand_labels() -> None:
    count, classes = 4000, 1000
    labels = RANDOM.permuted(np.arange(classes)[None].repeat(count, 0), axis=1)[:, :3]
    samples = np.arange(count).repeat(3)
    parts = iterative_parts(samples, labels.reshape(-1), count, classes, [0.5, 0.5], 1)
    every = np.bincount(labels.reshape(-1), minlength=classes)
    held = np.bincount(labels[parts == 1].reshape(-1), minlength=classes)
    assert abs(np.count_nonzero(parts) - count / 2) < count / 100
    assert np.abs(held - every / 2).mean() < 1
