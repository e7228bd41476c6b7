from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_labels

import musket
from musket.artifacts.checkpoint import read_metadata
from musket.core.errors import ConfigError
from musket.data.dataset import CompositeDataSet, SubDataSet
from musket.experiment.class_names import class_names
from musket.report.check_facts import ClassFacts
from musket.report.check_report import CheckReport

KINDS: dict[str, Any] = {
    "classes": [3, 1, 1],
    "activation": ["softmax", "sigmoid", "none"],
    "loss": ["categorical_crossentropy", "binary_crossentropy", "mse"],
    "head_names": ["third", "even", "share"],
    "primary_metric": "val_loss",
    "metrics": [],
}
LABELS: dict[str, Any] = {
    "activation": "sigmoid",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "primary_metric": "val_loss",
}


class Given(toy_labels.Thirds):
    """The toy data with these labels, and pictures of these numbers."""

    def __init__(self, labels: Any, pictures: Any = None, classes: Any = None):
        super().__init__(len(labels))
        self.labels = labels
        self.pictures = pictures
        self.classes = toy_labels.Thirds.classes if classes is None else classes

    def get_target(self, index: int) -> Any:
        return self.labels[index]

    def __getitem__(self, index: int) -> musket.PredictionItem:
        picture = toy_labels.draw(index if self.pictures is None else self.pictures[index])
        return musket.PredictionItem(f"third-{index:02}", picture, self.labels[index])


def checked(folder: Path, dataset: Any, *, estimate: bool = False, **changes: Any) -> CheckReport:
    return toy_labels.experiment(folder, **changes).check(dataset, estimate=estimate)


def one_hot(numbers: Any, size: int = 3) -> list[np.ndarray]:
    return list(np.eye(size, dtype=np.float32)[list(numbers)])


def warned(report: CheckReport, text: str) -> tuple[str, ...]:
    """The names beneath the only warning with this text."""
    found = [warning for warning in report.warnings if text in warning.message]
    assert len(found) == 1, report.warnings
    return found[0].names


def said(report: CheckReport) -> list[str]:
    """All warnings but those about the toy pictures, which are much alike."""
    return [warning.message for warning in report.warnings if "resemble" not in warning.message]


THIRDS = [number % 3 for number in range(20)]


def test_good_labels(tmp_path: Path) -> None:
    report = checked(tmp_path, toy_labels.Thirds(), estimate=True, stratified=True)
    assert report.ok
    assert said(report) == []
    assert report.data is not None
    assert report.estimate is not None
    (head,) = report.data.heads
    assert (head.name, head.several, head.numbers) == ("", False, ())
    assert [(facts.name, facts.samples) for facts in head.classes] == [("left", 7), ("middle", 7), ("right", 6)]
    for facts in head.classes:
        assert facts.holdout + sum(facts.validation) == facts.samples
        assert facts.train == facts.validation[::-1]  # two folds
    text = str(report)
    assert "classification, small_classifier, 3 classes (softmax), 24 x 24 x 3" in text
    assert "labels   3 classes, one per sample; 6 to 7 samples each (folds: validation parts)" in text
    assert "class   samples  holdout  fold 0  fold 1" in text
    assert "masks" not in text
    assert report.as_data()["data"]["heads"][0]["classes"][0]["name"] == "left"


def test_several_heads(tmp_path: Path) -> None:
    dataset = toy_labels.Thirds(target="several")
    dataset.classes = [["left", "middle", "right"], ["odd", "even"], []]
    report = checked(tmp_path, dataset, estimate=True, **KINDS)
    assert report.ok
    assert report.data is not None
    third, even, share = report.data.heads
    assert [facts.name for facts in third.classes] == ["left", "middle", "right"]
    assert [(facts.name, facts.samples) for facts in even.classes] == [("odd", 10), ("even", 10)]
    (number,) = share.numbers
    assert (number.name, number.low, number.high) == ("share", 0.0, pytest.approx(0.95))
    assert number.mean == pytest.approx(np.mean(np.arange(20) / 20), rel=1e-6)
    text = str(report)
    assert "third: 3 classes (softmax) + even: 1 class (sigmoid) + share: 1 number (none)" in text
    assert "labels   share: 1 number" in text


def test_several_labels_and_none(tmp_path: Path) -> None:
    labels = [np.array([index % 2, index % 3 == 0, index % 4 == 1], np.float32) for index in range(20)]
    report = checked(tmp_path, Given(labels, classes=["a", "b", "c"]), **LABELS)
    assert report.data is not None
    (head,) = report.data.heads
    assert head.several
    counts = {facts.name: facts.samples for facts in head.classes}
    nothing = sum(not label.any() for label in labels)
    assert counts == {"a": 10, "b": 7, "c": 5, "none of them": nothing}
    assert "3 classes, any number per sample; 5 to 10 samples each" in str(report)


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (np.array([0, 1], np.float32), "2 numbers"),
        (3, "class 3"),
        (-1, "class -1"),
        ("left", "'left'"),
        (np.array([0, np.nan, 1]), "nan"),
        (np.array([0, 1, 1]), "sum up to 2"),
        (np.array([0, 0, 0]), "no class"),
        (np.array([0, 255, 0]), "255"),
        (None, "y is None"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, label: Any, told: str) -> None:
    labels: list[Any] = one_hot(THIRDS)
    labels[7] = label
    report = checked(tmp_path, Given(labels))
    assert not report.ok
    (problem,) = report.problems
    assert problem.message.startswith("third-07: ")
    assert told in problem.message
    assert report.data is not None
    assert report.data.usable == 19
    assert sum(facts.samples for facts in report.data.heads[0].classes) == 19


def test_like_troubles_are_told_together(tmp_path: Path) -> None:
    labels: list[Any] = one_hot(THIRDS)
    labels[3] = labels[9] = np.zeros(4)
    (problem,) = checked(tmp_path, Given(labels)).problems
    assert problem.message.startswith("2 samples: ")
    assert problem.names == ("third-03", "third-09")


def test_one_class_only(tmp_path: Path) -> None:
    report = checked(tmp_path, Given([1] * 20), stratified=True)
    warned(report, "all 20 samples are of class middle; there is nothing to learn")


def test_a_flag_that_is_never_set(tmp_path: Path) -> None:
    report = checked(tmp_path, Given([0.0] * 20, classes=["cat", "dog"]), **{**LABELS, "classes": 1})
    warned(report, "all 20 samples are of class cat")


def test_labels_nobody_has_and_everybody_has(tmp_path: Path) -> None:
    labels = [np.array([1, 0, index % 2], np.float32) for index in range(20)]
    report = checked(tmp_path, Given(labels, classes=["a", "b", "c"]), **LABELS)
    warned(report, "class a is in every sample")
    warned(report, "no sample is of class b")
    report = checked(tmp_path, Given([np.zeros(3)] * 20), **LABELS)
    warned(report, "no sample has a label")


@pytest.mark.parametrize("stratified", [True, False])
def test_classes_with_fewer_samples_than_folds(tmp_path: Path, stratified: bool) -> None:
    labels = [0, 1] * 9 + [2, 2]
    report = checked(tmp_path, Given(labels), stratified=stratified, folds_count=3, testSplit=0)
    assert warned(report, "fewer samples than there are folds (3)") == ("right (2)",)


def test_classes_a_fold_cannot_learn_or_judge(tmp_path: Path) -> None:
    class Split(Given):
        folds = ((list(range(10)), list(range(10, 20))), (list(range(10, 20)), list(range(10))))

    labels = [index % 2 for index in range(10)] + [2, 2, 2, *[index % 2 for index in range(7)]]
    report = checked(tmp_path, Split(labels), testSplit=0)
    assert warned(report, "not in the training part of every fold") == ("right (fold 0)",)
    assert warned(report, "not in the validation part of every fold") == ("right (fold 1)",)
    assert report.ok


def test_uneven_classes(tmp_path: Path) -> None:
    labels = [0] * 60 + [1] * 40 + [2] * 3
    warned(checked(tmp_path, Given(labels), stratified=True), "class left has 60 samples, class right only 3")
    balanced = checked(tmp_path, Given(labels), stratified=True, class_weights="balanced")
    assert not any("only 3" in warning.message for warning in balanced.warnings)


def test_copies_with_another_label(tmp_path: Path) -> None:
    pictures = list(range(20))
    pictures[10] = 1
    report = checked(tmp_path, Given(one_hot([*THIRDS[:10], 2, *THIRDS[11:]]), pictures), testSplit=0)
    names = warned(report, "copy with another label")
    assert names == ("third-01 (middle) = third-10 (right)",)
    assert report.data is not None
    assert report.data.repeated == 1
    same = checked(tmp_path, Given([*THIRDS[:10], 1, *THIRDS[11:]], pictures), testSplit=0)
    assert not any("another label" in warning.message for warning in same.warnings)


def test_copies_across_folds(tmp_path: Path) -> None:
    report = checked(tmp_path, Given(THIRDS, [number // 2 for number in range(20)]))
    copies = [warning for warning in report.warnings if "training images of the same fold" in warning.message]
    assert any(" = " in name for warning in copies for name in warning.names)
    assert any("holdout" in warning.message for warning in report.warnings)


def test_labels_between_yes_and_no(tmp_path: Path) -> None:
    labels = one_hot(THIRDS)
    labels[4] = np.array([0.7, 0.3, 0])
    assert warned(checked(tmp_path, Given(labels)), "targets between 0 and 1") == ("third-04",)


def test_numbers(tmp_path: Path) -> None:
    number: dict[str, Any] = {
        "classes": 1,
        "activation": "none",
        "loss": "mse",
        "metrics": [],
        "primary_metric": "val_loss",
    }
    report = checked(tmp_path, Given([1000.0 * index for index in range(20)], classes=["price"]), **number)
    warned(report, "number price goes from 0 to 19000")
    warned(checked(tmp_path, Given([2.5] * 20, classes=["price"]), **number), "number price is 2.5 everywhere")
    assert said(checked(tmp_path, Given([0.1 * index for index in range(20)], classes=["price"]), **number)) == []


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    report = checked(tmp_path, Given(THIRDS, classes=["a", "b"]))
    warned(report, "the dataset names 2 classes, the config says classes: 3")
    assert report.data is not None
    assert [facts.name for facts in report.data.heads[0].classes] == ["0", "1", "2"]


def test_names_that_are_not_told_apart(tmp_path: Path) -> None:
    report = checked(tmp_path, Given(THIRDS, classes=["a", "b", "a"]))
    warned(report, "the dataset names several classes alike: a; tables and pictures cannot tell them apart")


@pytest.mark.parametrize("stratified", [False, True])
def test_parts_of_different_classes(tmp_path: Path, stratified: bool) -> None:
    class Other(Given):
        def sample_ids(self) -> list[str]:
            return [f"other-{index}" for index in range(self.count)]

    both = CompositeDataSet([Given(THIRDS), Other(THIRDS, range(20, 40), ["middle", "right", "top"])])
    report = checked(tmp_path, both, stratified=stratified)
    assert not report.ok
    (problem,) = [each for each in report.problems if "different classes" in each.message]
    assert "['left', 'middle', 'right'] and ['middle', 'right', 'top']" in problem.message


@pytest.mark.parametrize("metrics", [[], ["per_class_f1"]])
def test_parts_of_other_classes(tmp_path: Path, metrics: list[str]) -> None:
    parts = CompositeDataSet([Given(THIRDS), Given(THIRDS, classes=["a", "b", "c"])])
    parts.sample_ids = lambda: [f"sample {index}" for index in range(len(parts))]  # type: ignore[attr-defined]
    (problem,) = checked(tmp_path, parts, metrics=metrics, primary_metric="val_loss").problems
    assert "the parts of the dataset have different classes" in problem.message


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"primary_metric": "val_per_class_f1_top"}, "primary_metric"),
        ({"experiment_result": "per_class_f1_top_holdout"}, "experiment_result"),
        ({"callbacks": {"EarlyStopping": {"monitor": "val_per_class_f1_top"}}}, "callbacks"),
        (
            {"stages": [{"epochs": 1, "extra_callbacks": {"ReduceLROnPlateau": {"monitor": "per_class_f1_top"}}}]},
            "stages[0].extra_callbacks",
        ),
    ],
)
def test_figures_of_classes_that_are_not_there(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    settings = {"metrics": ["per_class_f1"], "primary_metric": "val_loss"} | changes
    (problem,) = checked(tmp_path, Given(THIRDS), **settings).problems
    assert problem.message.startswith(f"{key}: ")
    there = "There are per_class_f1_left, per_class_f1_middle, per_class_f1_right"
    assert problem.message.endswith(there)
    with pytest.raises(ConfigError, match=there):
        toy_labels.experiment(tmp_path, **settings).fit(Given(THIRDS))
    assert not (tmp_path / "weights").exists()


def test_a_single_class_may_decide(tmp_path: Path) -> None:
    stop = {"EarlyStopping": {"monitor": "val_per_class_f1_left", "patience": 1}}
    settings: dict[str, Any] = {"primary_metric": "val_per_class_f1_middle", "experiment_result": "per_class_f1_right"}
    changes = {"metrics": ["per_class_f1"], "folds_count": 1, "callbacks": stop, **settings}
    cfg = toy_labels.experiment(tmp_path, **changes)
    assert not cfg.check(Given(THIRDS), estimate=False).problems
    cfg.fit(Given(THIRDS))
    assert "val_per_class_f1_middle" in read_metadata(cfg.layout.weights(0, 0))


def test_classes_of_one_name_are_warned_of(tmp_path: Path) -> None:
    dataset = Given(THIRDS, classes=["a", "b", "a"])
    warned(
        checked(tmp_path, dataset, metrics=["per_class_f1"], primary_metric="val_loss"), "several classes are called a"
    )


def test_unreadable_pictures(tmp_path: Path) -> None:
    class Broken(toy_labels.Thirds):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            if index == 5:
                raise OSError("truncated file")
            return super().__getitem__(index)

    report = checked(tmp_path, Broken())
    (problem,) = report.problems
    assert "third-05" in problem.message
    assert "truncated file" in problem.message


def test_negatives_that_cannot_be_told(tmp_path: Path) -> None:
    class Silent(Given):
        isPositive = property()  # type: ignore[assignment]

    report = checked(tmp_path, Silent(THIRDS), stages=[{"epochs": 1, "negatives": "none"}])
    assert not report.ok
    assert any("isPositive" in problem.message for problem in report.problems)
    assert checked(tmp_path, toy_labels.Thirds(), stages=[{"epochs": 1, "negatives": 1}]).ok


def test_many_classes_and_folds_are_cut_short(tmp_path: Path) -> None:
    count = 40
    names = [f"a class of a name that is long {number}" for number in range(count)]
    dataset = Given([index % count for index in range(320)], [0] * 320, names)
    report = checked(tmp_path, dataset, classes=count, folds_count=8, stratified=True, testSplit=0)
    assert report.data is not None
    assert report.data.heads[0].classes[7] == ClassFacts(names[7], 8, (7,) * 8, (1,) * 8, 0)
    text = str(report)
    assert "... 28 classes in between ..." in text
    assert "each fold" in text
    assert max(map(len, text.splitlines()[1:])) <= 120


@pytest.mark.parametrize(
    ("told", "sizes", "expected"),
    [
        (["a", "b", "c"], 3, [["a", "b", "c"]]),
        (("a", "b", "c"), 3, [["a", "b", "c"]]),
        ([["a", "b", "c"]], 3, [["a", "b", "c"]]),
        (["no", "yes"], 1, [["no", "yes"]]),
        ([0, 1], 1, [["0", "1"]]),
        (["a", "b"], 3, None),
        ([["a", "b", "c"], ["d"], []], [3, 1, 1], [["a", "b", "c"], ["d"], []]),
        ([["a", "b", "c"], None, None], [3, 1, 1], [["a", "b", "c"], [], []]),
        ([["a", "b", "c"], ["d"]], [3, 1, 1], None),
        (["a", "b", "c"], [3, 1, 1], None),
        (None, 3, None),
        (7, 3, None),
    ],
)
def test_names_of_the_classes(tmp_path: Path, told: Any, sizes: Any, expected: Any) -> None:
    changes = {**LABELS, "classes": sizes} if isinstance(sizes, int) else KINDS
    spec = toy_labels.experiment(tmp_path, **changes).spec
    dataset = Given(THIRDS)
    dataset.classes = told
    views = [dataset, SubDataSet(dataset, [3, 2]), CompositeDataSet([dataset, SubDataSet(dataset, [1])])]
    assert [class_names(view, spec) for view in views] == [expected] * 3
