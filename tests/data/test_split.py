from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from musket.core.errors import DataError
from musket.core.types import PredictionItem, Split, Splits
from musket.data.dataset import CompositeDataSet, SubDataSet
from musket.data.split import (
    SplitSettings,
    cut_folds,
    cut_holdout,
    groups_of,
    make_splits,
    split_record,
    splits_of,
    with_extra_train,
)
from musket.data.strata import Strata, stratify_classes

PLAIN = SplitSettings()


class Targets:
    """A duck-typed dataset of targets alone."""

    def __init__(self, *targets: Any):
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> PredictionItem:
        return PredictionItem(index, None, self.targets[index])


def covers(splits: Splits, count: int) -> None:
    """Every sample is in the holdout or in exactly one validation part, and never trained on where it is judged."""
    held = [] if splits.holdout is None else list(splits.holdout.validation)
    judged = [index for fold in splits.folds for index in fold.validation]
    assert sorted(held + judged) == list(range(count))
    for fold in splits.folds:
        assert sorted([*fold.train, *fold.validation, *held]) == list(range(count))


@pytest.mark.parametrize("count", [5, 17, 100])
@pytest.mark.parametrize("share", [0, 0.2, 0.35])
def test_plain_splits_cover_every_sample_once(count: int, share: float) -> None:
    splits = make_splits(count, SplitSettings(testSplit=share, folds_count=3))
    covers(splits, count)
    held = 0 if splits.holdout is None else len(splits.holdout.validation)
    assert held == count - round(count - count * share)


def test_folds_follow_the_order_of_the_shuffled_rest() -> None:
    splits = make_splits(10, SplitSettings(testSplit=0.4, folds_count=2))
    assert splits.holdout is not None
    rest = splits.holdout.train  # 8 7 5 9 2 3
    assert splits.folds == tuple(
        Split([rest[i] for i in fold.train], [rest[i] for i in fold.validation])
        for fold in cut_folds(6, SplitSettings(folds_count=2))
    )


def test_positions_are_plain_numbers() -> None:
    splits = make_splits(10, SplitSettings(testSplit=0.2))
    assert {type(i) for fold in splits.folds for i in [*fold.train, *fold.validation]} == {int}


def test_stratified_holdout_and_folds_keep_the_shares() -> None:
    labels = np.array(["few"] * 20 + ["many"] * 80)
    splits = make_splits(100, SplitSettings(testSplit=0.25, stratified=True), labels=lambda: labels)
    covers(splits, 100)
    assert splits.holdout is not None
    assert (labels[splits.holdout.validation] == "few").sum() == 5
    assert [int((labels[list(fold.validation)] == "few").sum()) for fold in splits.folds] == [3] * 5


def test_stratified_holdout_is_the_first_of_scikit_learns_four() -> None:
    from sklearn.model_selection import StratifiedShuffleSplit

    labels = np.array([0, 1] * 15)
    expected = next(StratifiedShuffleSplit(4, test_size=0.3, random_state=123).split(labels, labels))
    split = cut_holdout(30, SplitSettings(testSplit=0.3, stratified=True), Strata.of(labels, 30))
    assert split == Split(expected[0].tolist(), expected[1].tolist())


def test_stratified_single_fold() -> None:
    labels = np.array([0] * 10 + [1] * 10)
    [fold] = make_splits(20, SplitSettings(folds_count=1, stratified=True), labels=lambda: labels).folds
    assert sorted(labels[fold.validation]) == [0, 0, 1, 1]


def test_several_labels_at_a_time() -> None:
    labels = np.random.default_rng(0).random((60, 3)) < [0.5, 0.3, 0.4]
    labels[:5] = False
    splits = make_splits(60, SplitSettings(testSplit=0.2, folds_count=4, stratified=True), labels=lambda: labels)
    covers(splits, 60)
    share = labels.mean(axis=0)
    for fold in splits.folds:
        assert np.abs(labels[fold.validation].mean(axis=0) - share).max() < 0.15
    [fold] = make_splits(60, SplitSettings(folds_count=1, stratified=True), labels=lambda: labels).folds
    assert 10 <= len(fold.validation) <= 14


def test_labels_are_asked_for_only_when_needed() -> None:
    def refuse() -> Any:
        raise AssertionError("labels were asked for")

    make_splits(10, PLAIN, labels=refuse)
    stratified = SplitSettings(stratified=True)
    make_splits(4, stratified, labels=refuse, given_folds=[([0, 1], [2, 3])])


@pytest.mark.parametrize("stratified", [False, True])
def test_groups_stay_together(stratified: bool) -> None:
    groups = [f"patient {i // 4}" for i in range(40)]
    labels = [i // 4 % 2 for i in range(40)]
    settings = SplitSettings(testSplit=0.2, folds_count=4, stratified=stratified)
    if stratified:
        with pytest.warns(UserWarning, match="testSplit keeps groups together and is not stratified"):
            splits = make_splits(40, settings, groups=groups, labels=lambda: labels)
    else:
        splits = make_splits(40, settings, groups=groups)
    covers(splits, 40)
    assert splits.holdout is not None
    for part in (splits.holdout.validation, *(fold.validation for fold in splits.folds)):
        members = {groups[i] for i in part}
        assert all(groups.count(name) == sum(groups[i] == name for i in part) for name in members)


def test_given_holdout_is_used_and_the_rest_is_everything_else() -> None:
    splits = make_splits(6, SplitSettings(folds_count=2, testSplit=0.5), given_holdout=np.array([4, 1]))
    assert splits.holdout == Split([0, 2, 3, 5], [4, 1])  # the last sample too
    covers(splits, 6)
    assert make_splits(6, PLAIN, given_holdout=[]).holdout is None


def test_given_folds_are_used_without_the_holdout() -> None:
    splits = make_splits(6, PLAIN, given_folds=[(range(4), [4, 5]), ([4, 5, 0], [1])], given_holdout=[5, 3])
    assert splits.folds == (Split([0, 1, 2], [4]), Split([4, 0], [1]))


def test_given_folds_that_overlap_are_warned_about() -> None:
    with pytest.warns(UserWarning, match="fold 0 validates 2 samples it trains on"):
        make_splits(4, PLAIN, given_folds=[([0, 1, 2], [1, 2, 3])])


def test_extra_data_joins_every_train_part() -> None:
    folds = with_extra_train([Split([0, 2], [1]), Split([1], [0, 2])], 3, 2)
    assert folds == [Split([0, 2, 3, 4], [1]), Split([1, 3, 4], [0, 2])]


# ---------------------------------------------------------------------------------------- what a dataset tells


def test_classes_of_masks_and_numbers() -> None:
    empty, full = np.zeros((2, 3, 1), bool), np.ones((2, 3, 1), bool)
    assert stratify_classes(Targets(empty, full, full)).tolist() == [0, 1, 1]
    assert stratify_classes(Targets(False, True, [0.0], [1.0])).tolist() == [0, 1, 0, 1]


def test_classes_of_vectors() -> None:
    assert stratify_classes(Targets([0, 0, 1], [1, 0, 0])).tolist() == [2, 0]
    assert stratify_classes(Targets([1, 0, 1], [0, 0, 0])).tolist() == [[1, 0, 1], [0, 0, 0]]


def test_own_classes_win_over_the_function_and_targets() -> None:
    class Own(Targets):
        def get_stratify_class(self, index: int) -> str:
            return "xyz"[index]

    assert stratify_classes(Own(1, 1, 1), lambda ds: [9] * len(ds)).tolist() == ["x", "y", "z"]
    assert stratify_classes(SubDataSet(Own(1, 1, 1), [2, 0])).tolist() == ["z", "x"]
    assert stratify_classes(Targets(1, 0), lambda ds: [7, 8]).tolist() == [7, 8]


def test_dataset_tells_folds_holdout_and_groups() -> None:
    class Rich(Targets):
        holdoutArr = (5,)

        def get_group(self, index: int) -> int:
            return index // 2

    dataset = Rich(0, 1, 0, 1, 0, 1)
    assert groups_of(dataset) == [0, 0, 1, 1, 2, 2]
    splits = splits_of(dataset, SplitSettings(folds_count=2))
    assert splits.holdout == Split([0, 1, 2, 3, 4], [5])
    covers(splits, 6)
    assert all({0, 1} <= set(fold.validation) or not {0, 1} & set(fold.validation) for fold in splits.folds)
    dataset.folds = [([0, 1], [2, 3])]
    assert splits_of(dataset, PLAIN, holdout=[0]).folds == (Split([1], [2, 3]),)
    assert groups_of(CompositeDataSet([Targets(1), Targets(2)])) is None


def test_record_names_what_matters() -> None:
    plain = {"folds_count": 5, "random_state": 33, "stratified": False, "testSplit": 0.0}
    assert split_record(Targets(1, 2), PLAIN) == plain
    single = split_record(Targets(1, 2), SplitSettings(folds_count=1, testSplit=0.1))
    assert single == plain | {"folds_count": 1, "validationSplit": 0.2, "testSplit": 0.1, "testSplitSeed": 123}
    dataset = Targets(1, 2)
    dataset.folds = [([0], [1])]
    given = split_record(dataset, PLAIN, holdout=[0])
    assert set(given) == {"stratified", "folds", "holdout"}
    assert split_record(dataset, PLAIN, holdout=[1]) != given
    dataset.folds = [([1], [0])]
    assert split_record(dataset, PLAIN, holdout=[0]) != given


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("count", "options", "said"),
    [
        (0, {}, "the dataset is empty"),
        (4, {}, "5 folds need as many samples, there are 4; lower folds_count"),
        (6, {"testSplit": 0.4}, "5 folds need as many samples, there are 4"),
        (3, {"testSplit": 0.1}, "gives 0 held out and 3 left"),
        (3, {"testSplit": 0.9}, "gives 3 held out and 0 left"),
        (1, {"folds_count": 1}, "change validationSplit"),
    ],
)
def test_too_few_samples(count: int, options: dict, said: str) -> None:
    with pytest.raises(DataError, match=said):
        make_splits(count, SplitSettings(**options))


def test_too_few_samples_of_a_class() -> None:
    stratified = SplitSettings(stratified=True, folds_count=3)
    with pytest.warns(UserWarning, match=r"1 of 2 classes have fewer samples than there are folds \(3\): rare \(2\);"):
        make_splits(11, stratified, labels=lambda: ["often"] * 9 + ["rare"] * 2)
    with pytest.raises(DataError, match=r"cannot be split.*stratified: false"), pytest.warns(UserWarning, match="rare"):
        make_splits(4, stratified, labels=lambda: ["often", "often", "rare", "rare"], groups=[0, 1, 2, 3])


def test_too_few_groups() -> None:
    with pytest.raises(DataError, match=r"cannot be split.*change folds_count"):
        make_splits(10, SplitSettings(folds_count=3), groups=[0] * 5 + [1] * 5)


def test_groups_and_several_labels() -> None:
    with pytest.raises(DataError, match="while keeping groups"):
        make_splits(4, SplitSettings(folds_count=2, stratified=True), groups=[0, 1, 2, 3], labels=lambda: np.eye(4))


def test_wrong_number_of_classes() -> None:
    with pytest.raises(DataError, match="3 classes or groups were given for 10 samples"):
        make_splits(10, SplitSettings(stratified=True), labels=lambda: [1, 2, 3])


def test_positions_outside() -> None:
    with pytest.raises(DataError, match="the holdout names position 6, but the dataset has 6 samples"):
        make_splits(6, PLAIN, given_holdout=[6])
    with pytest.raises(DataError, match="fold 0 names position -1"):
        make_splits(6, PLAIN, given_folds=[([0], [-1])])
    with pytest.raises(DataError, match="folds are an empty list"):
        make_splits(6, PLAIN, given_folds=[])


def test_targets_that_tell_no_class() -> None:
    with pytest.raises(DataError, match="item 1 has no usable target to stratify by"):
        stratify_classes(Targets(1, None))

    class Broken(Targets):
        def get_stratify_class(self, index: int) -> str:
            raise KeyError("no label")

    with pytest.raises(DataError, match="the class of item 0 of Broken cannot be told: KeyError"):
        stratify_classes(Broken(1))


def test_plain_import_is_light() -> None:
    code = (
        "import sys, musket.data.split; print([m for m in ('sklearn', 'torch', 'pandas', 'cv2') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
