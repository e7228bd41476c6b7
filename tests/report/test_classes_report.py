from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sklearn import metrics

from musket.core.errors import ArtifactError, DataError
from musket.core.heads import Heads
from musket.report.class_figures import draw_confusion
from musket.report.classes import value_errors, write_evaluation
from musket.report.words import told_apart

RANDOM = np.random.default_rng(4)
COUNT = 60
CLASSES = RANDOM.integers(0, 4, COUNT)
SCORES = RANDOM.dirichlet(np.ones(4), COUNT) + 0.4 * np.eye(4)[CLASSES]
EXCLUSIVE = Heads((4,), ("softmax",), ("0",))
NAMES = [["ant", "bee, the", 'c "q"', "$d_1$"]]


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def size(path: Path) -> tuple[int, int]:
    picture = cv2.imread(str(path))
    assert picture is not None
    assert len(np.unique(picture)) > 3
    return picture.shape[:2]


def numbers(rows: list[list[str]]) -> np.ndarray:
    return np.array([[float(cell or "nan") for cell in row[1:]] for row in rows[1:]])


def test_exclusive_classes(tmp_path: Path) -> None:
    written = write_evaluation(tmp_path / "deep", "validation", np.eye(4)[CLASSES], SCORES, EXCLUSIVE, NAMES)
    assert [path.name for path in written] == [
        "validation_confusion.csv",
        "validation_confusion.png",
        "validation_classes.csv",
        "validation_classes.png",
    ]
    matrix = read(written[0])
    assert matrix[0] == ["truth", *NAMES[0]]
    assert [row[0] for row in matrix[1:]] == NAMES[0]
    predicted = SCORES.argmax(axis=1)
    np.testing.assert_array_equal(numbers(matrix), metrics.confusion_matrix(CLASSES, predicted))
    table = read(written[2])
    assert table[0] == ["class", "support", "precision", "recall", "f1", "roc_auc", "average_precision"]
    precision, recall, f1, support = metrics.precision_recall_fscore_support(CLASSES, predicted, zero_division=0)
    expected = np.column_stack(
        [
            support,
            precision,
            recall,
            f1,
            metrics.roc_auc_score(np.eye(4)[CLASSES], SCORES, average=None),
            metrics.average_precision_score(np.eye(4)[CLASSES], SCORES, average=None),
        ]
    )
    np.testing.assert_allclose(numbers(table), expected, rtol=2e-6)
    for path in written[1::2]:
        size(path)


def test_classes_on_their_own(tmp_path: Path) -> None:
    truth = RANDOM.random((COUNT, 3)) < (0.5, 0.2, 0.0)
    scores = np.clip(0.5 * truth + 0.7 * RANDOM.random((COUNT, 3)), 0, 1)
    heads, names = Heads((3,), ("sigmoid",), ("0",)), [["a", "b", "c"]]
    written = write_evaluation(tmp_path, "validation", truth, scores, heads, names, thresholds=True)
    counts, table = read(written[0]), read(written[2])
    assert counts[0] == ["class", "true_positives", "false_positives", "false_negatives", "true_negatives"]
    by_class = metrics.multilabel_confusion_matrix(truth, scores > 0.5)
    expected = [[one[1, 1], one[0, 1], one[1, 0], one[0, 0]] for one in by_class]
    np.testing.assert_array_equal(numbers(counts), expected)
    assert table[0][-2:] == ["best_threshold", "best_f1"]
    values = numbers(table)
    for number in range(2):
        threshold, best = values[number, -2:]
        again = metrics.f1_score(truth[:, number], scores[:, number] > threshold)
        assert best == pytest.approx(again, rel=1e-5)
        tried = [metrics.f1_score(truth[:, number], scores[:, number] >= score) for score in scores[:, number]]
        assert best == pytest.approx(max(tried), rel=1e-5)
    plain = read(write_evaluation(tmp_path, "holdout", truth, scores, heads, names)[2])
    assert plain == [row[:-2] for row in table]
    assert table[3][5:7] == ["", ""]  # no area under a curve of a class that does not occur
    for path in written[1::2]:
        size(path)


def test_a_flag_has_a_matrix_of_two(tmp_path: Path) -> None:
    truth = np.array([[0], [0], [0], [1], [1]])
    scores = np.array([[0.1], [0.9], [0.2], [0.8], [0.4]])
    written = write_evaluation(tmp_path, "v", truth, scores, Heads((1,), ("sigmoid",), ("0",)), [["cat", "dog"]])
    assert read(written[0]) == [["truth", "cat", "dog"], ["cat", "2", "1"], ["dog", "1", "1"]]
    assert read(written[2])[1][0] == "dog"


def test_heads_have_files_of_their_own(tmp_path: Path) -> None:
    heads = Heads((4, 1, 2), ("softmax", "sigmoid", "linear"), ("kind", "is it/new?", "size"))
    truth = np.column_stack([np.eye(4)[CLASSES], CLASSES > 1, CLASSES, CLASSES**2])
    scores = np.column_stack([SCORES, RANDOM.random(COUNT), CLASSES + 1, CLASSES**2 + RANDOM.normal(0, 1, COUNT)])
    written = write_evaluation(tmp_path, "v", truth, scores, heads, [[], [], ["cm", "kg"]])
    names = {path.name for path in written}
    assert {"v_confusion_kind.csv", "v_classes_kind.png", "v_values_size.csv", "v_values_size.png"} <= names
    assert len(names) == 10
    assert all(path.parent == tmp_path and path.is_file() for path in written)
    values = read(tmp_path / "v_values_size.csv")
    assert values[0] == ["value", "samples", "mae", "rmse", "r2"]
    assert values[1][:4] == ["cm", "60", "1", "1"]
    assert float(values[1][4]) == pytest.approx(metrics.r2_score(CLASSES, CLASSES + 1), rel=1e-5)
    assert float(values[2][3]) == pytest.approx(
        metrics.root_mean_squared_error(CLASSES**2, scores[:, 6]),
        rel=1e-5,
    )


def test_errors_of_a_number_that_is_the_same_everywhere() -> None:
    assert value_errors(np.ones(3), np.array([1.0, 2.0, 3.0]))[:2] == (3, 1.0)
    assert np.isnan(value_errors(np.ones(3), np.ones(3))[3])


def test_long_names_are_told_apart_in_pictures() -> None:
    names = [f"a very long class name number {number} of the taxonomy" for number in range(3)]
    figure = draw_confusion(np.eye(4, dtype=int), [*names, "fox"], "v")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "0: a very lo…he taxonomy",
        "1: a very lo…he taxonomy",
        "2: a very lo…he taxonomy",
        "fox",
    ]
    assert told_apart(["same", "other", "same"], 24) == ["0: same", "other", "2: same"]
    assert told_apart([f"a long name, number {number}" for number in (1, 2)], 20) == [
        "a long nam… number 1",
        "a long nam… number 2",
    ]


def test_nothing_is_cut_from_pictures(tmp_path: Path) -> None:
    heads = Heads((5, 2, 4), ("softmax", "sigmoid", "linear"), ("W" * 99, "flags", "numbers"))
    names = [[40 * wide for wide in "WMQO@"], ["W" * 40, "M" * 40], ["W" * 40, "b", "c", "d"]]
    truth = np.column_stack([np.eye(5)[CLASSES], CLASSES > 1, CLASSES > 2, 1e-9 * np.outer(CLASSES, [1, 2, 3, 4])])
    for path in write_evaluation(tmp_path, "validation of it all", truth, truth + 0.1, heads, names)[1::2]:
        picture = cv2.imread(str(path))
        assert picture is not None
        for edge in (picture[:5], picture[-5:], picture[:, :5], picture[:, -5:]):
            assert (edge == 255).all(), f"{path.name}: something ends at the edge"


@pytest.mark.parametrize("count", [2, 10, 60, 130])
def test_pictures_grow_with_the_classes(tmp_path: Path, count: int) -> None:
    classes = np.arange(3 * count) % count
    truth, heads = np.eye(count)[classes], Heads((count,), ("softmax",), ("0",))
    names = [[f"a class with quite a long name, number {number}" for number in range(count)]]
    written = write_evaluation(tmp_path, "v", truth, np.roll(truth, 1, axis=0), heads, names)
    height, width = size(written[1])
    assert 250 < height < 3300
    assert height < width < 1.8 * height
    assert 120 < size(written[3])[0] < 5000


def test_predictions_that_are_no_numbers_and_names_no_font_has(tmp_path: Path) -> None:
    scores = SCORES.copy()
    scores[0] = np.nan
    heads = Heads((4, 1), ("softmax", "linear"), ("kind", "n"))
    both = np.column_stack([scores, np.where(CLASSES > 2, np.nan, CLASSES)])
    truth = np.column_stack([np.eye(4)[CLASSES], CLASSES])
    write_evaluation(tmp_path, "v", truth, both, heads, [["裙子", "b", "c", "d"], []])
    assert read(tmp_path / "v_confusion_kind.csv")[1][0] == "裙子"
    assert numbers(read(tmp_path / "v_confusion_kind.csv")).sum() == COUNT - 1


def test_nothing_to_write_about(tmp_path: Path) -> None:
    assert write_evaluation(tmp_path, "v", np.zeros((0, 4)), np.zeros((0, 4)), EXCLUSIVE) == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("truth", "scores"), [(np.zeros((3, 4)), np.zeros((2, 4))), (np.zeros(4), np.zeros(4)), (np.zeros((3, 5)),) * 2]
)
def test_what_does_not_fit(tmp_path: Path, truth: Any, scores: Any) -> None:
    with pytest.raises(DataError, match="shape"):
        write_evaluation(tmp_path, "v", truth, scores, EXCLUSIVE)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ArtifactError):
        write_evaluation(tmp_path / "taken", "v", np.eye(4)[CLASSES], SCORES, EXCLUSIVE)
