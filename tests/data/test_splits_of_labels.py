"""Stratified splits by label vectors: what counts as a class, and how evenly classes are spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from musket.core.errors import DataError
from musket.core.types import Splits
from musket.data.head_targets import by_head
from musket.data.split import SplitSettings, make_splits
from musket.data.strata import Strata, number_bins, stratify_classes, target_strata

FOLDS = SplitSettings(folds_count=4, stratified=True)


def one_hot(classes: Sequence[int], size: int) -> np.ndarray:
    return np.eye(size, dtype=np.float32)[list(classes)]


def spread(splits: Splits, codes: np.ndarray) -> list[Counter[int]]:
    """Members of each class in every validation part."""
    return [Counter(codes[list(fold.validation)].tolist()) for fold in splits.folds]


def covers(splits: Splits, count: int) -> None:
    held = [] if splits.holdout is None else list(splits.holdout.validation)
    assert sorted([*held, *(index for fold in splits.folds for index in fold.validation)]) == list(range(count))


# ---------------------------------------------------------------------------------------------- what is a class


def test_one_class_per_sample() -> None:
    strata = target_strata(by_head(one_hot([2, 0, 2], 3), (3,), ("softmax",)), 2, [["shirt", "hat", "shoes"]])
    assert strata.codes.tolist() == [2, 0, 2]
    assert strata.counts == {"shirt": 1, "shoes": 2}
    assert target_strata(by_head(one_hot([2, 0], 3), (3,), ("softmax",)), 2).counts == {"class 0": 1, "class 2": 1}


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        ([], {"no label": 3, "label": 1}),
        (["defect"], {"no defect": 3, "defect": 1}),
        (["good", "bad"], {"good": 3, "bad": 1}),
    ],
)
def test_yes_or_no(names: list[str], counts: dict[str, int]) -> None:
    targets = np.array([[0], [1], [0], [0]], np.float32)
    assert target_strata(by_head(targets, (1,), ("sigmoid",)), 2, [names]).counts == counts


def test_several_labels_stay_rows_unless_each_has_one() -> None:
    several = target_strata(by_head(np.array([[1, 1], [0, 0]], np.float32), (2,), ("sigmoid",)), 2, [["a", "b"]])
    assert several.codes.tolist() == [[1, 1], [0, 0]]
    assert several.counts == {"a": 1, "b": 1}
    assert target_strata(by_head(one_hot([1, 0], 2), (2,), ("sigmoid",)), 2).codes.tolist() == [1, 0]


def test_whatever_gives_labels_is_split_as_sigmoid() -> None:
    several = target_strata(by_head(np.array([[1, 1], [0, 0]], np.float32), (2,), ("hard_sigmoid",)), 2)
    assert several.codes.tolist() == [[1, 1], [0, 0]]
    assert target_strata(by_head(np.array([[1], [0]], np.float32), (1,), ("hard_sigmoid",)), 2).codes.tolist() == [1, 0]


def test_heads_combine_while_combinations_are_frequent() -> None:
    kinds, kids = [0, 0, 1, 1] * 3, [0, 1, 0, 1] * 3
    targets = np.column_stack([one_hot(kinds, 2), kids])
    heads = ((2, 1), ("softmax", "sigmoid"))
    names = [["dress", "pants"], ["adult", "kid"]]
    strata = target_strata(by_head(targets, *heads), 3, names)
    assert strata.counts == {"dress + adult": 3, "dress + kid": 3, "pants + adult": 3, "pants + kid": 3}
    rows = target_strata(by_head(targets, *heads), 4, names)  # three of each are too few for four folds
    assert rows.codes.shape == (12, 4)
    assert rows.counts == {"dress": 6, "pants": 6, "adult": 6, "kid": 6}


def test_heads_without_any_label_are_split_all_the_same() -> None:
    strata = target_strata(by_head(np.zeros((12, 4), np.float32), (2, 2), ("sigmoid", "sigmoid")), 4)
    assert strata.counts == {}
    covers(make_splits(12, SplitSettings(folds_count=4, testSplit=0.2, stratified=True), labels=lambda: strata), 12)


def test_numbers_become_deciles() -> None:
    strata = number_bins(np.arange(100)[::-1] / 10, 5)
    assert set(strata.counts.values()) == {10}
    assert strata.names[:2] == ("0 to 0.9", "1 to 1.9")
    assert strata.codes[0] == 9


def test_bins_have_a_sample_for_every_part_and_equal_numbers_stay_together() -> None:
    strata = number_bins(np.array([0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7]), 3)
    assert strata.counts == {"0": 6, "1 to 3": 3, "4 to 7": 4}  # 7 alone would be less than three
    assert number_bins(np.full(7, 2.5), 3).counts == {"2.5": 7}
    assert number_bins(np.array([3.0, 1.0]), 5).counts == {"1 to 3": 2}


def test_every_number_of_a_head_has_bins_of_its_own() -> None:
    targets = np.column_stack([np.arange(8), np.arange(8)[::-1]]).astype(np.float32)
    assert target_strata(by_head(targets, (2,), ("linear",)), 4).counts == {"0 to 3 + 4 to 7": 4, "4 to 7 + 0 to 3": 4}


def test_classes_that_are_told_win_over_targets() -> None:
    class Told:
        def __len__(self) -> int:
            return 2

        def get_stratify_class(self, index: int) -> str:
            return "ab"[index]

    def refuse(dataset: Any) -> Any:
        raise AssertionError("targets were read")

    assert list(stratify_classes(Told(), lambda ds: [1, 2], refuse)) == ["a", "b"]

    class Mute:
        def __len__(self) -> int:
            return 2

    assert list(stratify_classes(Mute(), lambda ds: [1, 2], refuse)) == [1, 2]
    assert stratify_classes(Mute(), None, lambda ds: Strata.of(["x"] * len(ds), 2)).names == ("x",)


# ------------------------------------------------------------------------------------------------------- splits


def test_every_fold_has_its_share_of_each_class() -> None:
    codes = np.array([0] * 24 + [1] * 12 + [2] * 4)
    strata = target_strata(by_head(one_hot(codes, 3), (3,), ("softmax",)), 4)
    splits = make_splits(40, FOLDS, labels=lambda: strata)
    covers(splits, 40)
    assert spread(splits, codes) == [Counter({0: 6, 1: 3, 2: 1})] * 4


def test_every_fold_has_its_share_of_each_label() -> None:
    random = np.random.default_rng(5)
    labels = (random.random((120, 4)) < [0.6, 0.3, 0.2, 0.1]).astype(np.float32)
    strata = target_strata(by_head(labels, (4,), ("sigmoid",)), 4)
    splits = make_splits(120, SplitSettings(folds_count=4, stratified=True, testSplit=0.2), labels=lambda: strata)
    covers(splits, 120)
    assert splits.holdout is not None
    for part, share in [(splits.holdout.validation, 0.2), *((fold.validation, 0.2) for fold in splits.folds)]:
        assert np.abs(labels[list(part)].sum(axis=0) - labels.sum(axis=0) * share).max() <= 2


def test_rare_combinations_leave_every_head_its_shares() -> None:
    random = np.random.default_rng(3)
    kinds, flags, numbers = np.arange(40) % 5, random.permutation(40) % 2, random.random(40)
    targets = np.column_stack([one_hot(kinds, 5), flags, numbers]).astype(np.float32)
    strata = target_strata(by_head(targets, (5, 1, 1), ("softmax", "sigmoid", "linear")), 4)
    assert strata.codes.shape == (40, 5 + 2 + 10)
    splits = make_splits(40, FOLDS, labels=lambda: strata)
    covers(splits, 40)
    for fold in splits.folds:
        part = list(fold.validation)
        assert set(Counter(kinds[part].tolist()).values()) <= {1, 2, 3}
        assert 3 <= flags[part].sum() <= 7
        assert 0.3 < numbers[part].mean() < 0.7


def test_numbers_are_alike_in_all_folds() -> None:
    numbers = np.random.default_rng(0).exponential(10, 80)
    strata = target_strata(by_head(numbers[:, None].astype(np.float32), (1,), ("linear",)), 4)
    splits = make_splits(80, FOLDS, labels=lambda: strata)
    for fold in splits.folds:
        part = numbers[list(fold.validation)]
        assert np.quantile(part, [0.25, 0.5, 0.75]) == pytest.approx(np.quantile(numbers, [0.25, 0.5, 0.75]), rel=0.35)


# -------------------------------------------------------------------------------------------------- rare classes


def test_rare_classes_are_named() -> None:
    codes = [0] * 20 + [1] * 8 + [2] * 3 + [3]
    strata = target_strata(by_head(one_hot(codes, 4), (4,), ("softmax",)), 4, [["hat", "shirt", "skirt", "dress"]])
    with pytest.warns(UserWarning, match=r"2 of 4 classes have fewer .* folds \(4\): skirt \(3\), dress \(1\); some"):
        splits = make_splits(32, FOLDS, labels=lambda: strata)
    covers(splits, 32)
    assert max(counts[2] for counts in spread(splits, np.array(codes))) == 1


def test_classes_that_are_all_rare_are_spread_all_the_same() -> None:
    codes = np.repeat(np.arange(5), 3)
    with pytest.warns(UserWarning, match="5 of 5 classes have fewer"):
        splits = make_splits(15, FOLDS, labels=lambda: codes)
    covers(splits, 15)
    assert max(max(counts.values()) for counts in spread(splits, codes)) == 1


@pytest.mark.parametrize(
    ("options", "key"), [({"folds_count": 1}, "validationSplit"), ({"folds_count": 2, "testSplit": 0.2}, "testSplit")]
)
@pytest.mark.filterwarnings("ignore:1 of 2 classes have fewer samples than there are folds")
def test_a_class_of_one_sample_does_not_stop_a_cut(options: dict[str, Any], key: str) -> None:
    labels = ["often"] * 19 + ["once"]
    with pytest.warns(UserWarning, match=f"1 of 2 classes have a single sample, .* cut by {key} alone: once"):
        splits = make_splits(20, SplitSettings(stratified=True, **options), labels=lambda: labels)
    part = splits.folds[0] if splits.holdout is None else splits.holdout
    assert sorted([*part.train, *part.validation]) == list(range(20))
    assert 3 <= len(part.validation) <= 5


def test_more_classes_than_a_part_has_room_for() -> None:
    codes = np.repeat(np.arange(6), 2)
    [fold] = make_splits(12, SplitSettings(folds_count=1, stratified=True), labels=lambda: codes).folds
    assert sorted([*fold.train, *fold.validation]) == list(range(12))
    assert 1 <= len(fold.validation) <= 4
    assert max(Counter(codes[list(fold.validation)].tolist()).values()) == 1


@pytest.mark.parametrize("options", [{"folds_count": 3}, {"folds_count": 1}, {"folds_count": 3, "testSplit": 0.3}])
def test_one_class_alone_is_split_and_said(options: dict[str, Any]) -> None:
    strata = target_strata(by_head(one_hot([1] * 12, 2), (2,), ("softmax",)), 3, [["hat", "shirt"]])
    with pytest.warns(UserWarning, match=r"all samples are of one class \(shirt\); there is nothing"):
        splits = make_splits(12, SplitSettings(stratified=True, **options), labels=lambda: strata)
    if options["folds_count"] > 1:
        covers(splits, 12)


def test_a_single_sample_cannot_be_split() -> None:
    with (
        pytest.raises(DataError, match="cannot be split"),
        pytest.warns(UserWarning, match="of one class|single sample"),
    ):
        make_splits(1, SplitSettings(folds_count=1, stratified=True), labels=lambda: ["a"])


def test_classes_too_small_for_a_cut_are_named() -> None:
    labels = [f"grade {index // 2}" for index in range(20)]
    with pytest.raises(DataError, match="none would be held out") as raised:
        make_splits(20, SplitSettings(folds_count=2, stratified=True, testSplit=0.2), labels=lambda: labels)
    assert "none would be held out: 10 classes of 2 samples (grade 0, grade 1, grade 2, ...)" in str(raised.value)
    assert "cut into 16 and 4); change testSplit" in str(raised.value)
