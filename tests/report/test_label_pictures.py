from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from musket.core.errors import DataError
from musket.core.heads import Heads
from musket.report import label_samples
from musket.report.label_samples import draw_labels
from musket.report.labels import flag_names, names_of, shown_names, truth_in_words
from musket.report.samples import draw_table
from musket.report.tiles import LINE_HEIGHT, drawable, fitted, text_strip

WRONG = label_samples._WRONG


ANIMALS = Heads((3,), ("softmax",), ("0",))
NAMES = [["cat", "dog", "horse"]]
TAGS = Heads((4,), ("sigmoid",), ("0",))
MIXED = Heads((3, 1, 1), ("softmax", "sigmoid", "linear"), ("kind", "young", "weight"))


def grey(height: int = 130, width: int = 200, channels: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    return np.full((height, width, channels), 120, dtype)


def said(truth: Any, prediction: Any, heads: Heads, names: Any = None) -> list[tuple[str, bool | None]]:
    lines = label_samples._lines(np.asarray(truth, float), np.asarray(prediction, float), heads, names)
    return [(line.text + line.end, line.right) for line in lines]


def framed_in(picture: np.ndarray) -> bool:
    """Whether somewhere a whole row of a picture is a frame of a wrong sample."""
    frame = (picture == WRONG).all(axis=2)
    return bool((frame.sum(axis=1) >= 200).any())


def test_one_class_of_several() -> None:
    assert said([0, 1, 0], [0.2, 0.7, 0.1], ANIMALS, NAMES) == [("dog", None), ("✓ dog (0.70)", True)]
    assert said([0, 1, 0], [0.1, 0.2, 0.7], ANIMALS, NAMES) == [("dog", None), ("✗ horse (0.70)", False)]


def test_without_names_there_are_numbers() -> None:
    assert said([0, 1, 0], [0.1, 0.2, 0.7], ANIMALS) == [("class 1", None), ("✗ class 2 (0.70)", False)]


def test_several_labels_found_invented_and_missed() -> None:
    names = [["sea", "sand", "sun", "rain"]]
    assert said([1, 1, 0, 0], [0.6, 0.3, 0.9, 0.1], TAGS, names) == [
        ("sea, sand", None),
        ("✗ sun (0.90)", False),
        ("✓ sea (0.60)", True),
        ("○ sand (0.30)", False),
    ]
    assert said([0, 0, 0, 0], [0.6, 0.3, 0.9, 0.1], TAGS, names)[0] == ("none", None)
    assert said([0, 0, 0, 0], [0.1, 0.3, 0.5, 0.1], TAGS, names) == [("none", None), ("✓ none", True)]


def test_many_labels_are_summed_up() -> None:
    heads = Heads((9,), ("sigmoid",), ("0",))
    wrong = said([0] * 9, [0.9] * 9, heads)
    assert len(wrong) == 6
    assert wrong[-1] == ("and 5 more, 5 of them wrong", False)
    assert said([1] * 9, [0.9] * 9, heads)[-1] == ("and 5 more, all right", True)


def test_several_heads_of_every_kind() -> None:
    names = [["cat", "dog", "horse"], ["old", "young"], []]
    assert said([1, 0, 0, 1, 20], [0.8, 0.1, 0.1, 0.25, 22.5], MIXED, names) == [
        ("kind: cat", None),
        ("✓ cat (0.80)", True),
        ("young: young", None),
        ("✗ old (0.75)", False),  # the score is that of what is said
        ("weight: 20", None),
        ("≈ 22.5 (+2.5)", None),
    ]
    assert said([1, 0, 0, 0, 20], [0.8, 0.1, 0.1, 0.25, 22.5], MIXED)[2:4] == [
        ("young: no", None),
        ("✓ no (0.75)", True),
    ]


def test_right_and_wrong_differ_by_sign_and_frame() -> None:
    right = draw_labels([grey()], [[0, 1, 0]], [[0, 0.9, 0.1]], ANIMALS, NAMES)
    wrong = draw_labels([grey()], [[0, 1, 0]], [[0.9, 0, 0.1]], ANIMALS, NAMES)
    assert framed_in(wrong)
    assert not framed_in(right)
    marks = [text_strip([f"{mark} dog (0.90)"], 200) for mark in ("✓", "✗")]
    assert not np.array_equal(*marks)


def test_numbers_are_neither_right_nor_wrong() -> None:
    heads = Heads((1,), ("linear",), ("0",))
    assert not framed_in(draw_labels([grey()], [[1.0]], [[700.0]], heads))


def test_at_most_sixteen_four_across() -> None:
    truth, scores = [[1, 0, 0]] * 20, [[1, 0, 0]] * 20
    four, twenty = (draw_labels([grey()] * count, truth[:count], scores[:count], ANIMALS) for count in (4, 20))
    assert four.shape[1] == twenty.shape[1]
    five, sixteen = (draw_labels([grey()] * count, truth[:count], scores[:count], ANIMALS) for count in (5, 16))
    assert five.shape[1] == four.shape[1]
    assert sixteen.shape == twenty.shape
    rows = [picture.shape[0] for picture in (four, five, sixteen)]
    assert rows[2] - rows[0] == 3 * (rows[1] - rows[0])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_images_of_every_kind(channels: int, dtype: Any) -> None:
    images = [grey(20, 30, channels, dtype), grey(300, 50, channels, dtype)]
    picture = draw_labels(images, [[1, 0, 0]] * 2, [[1, 0, 0]] * 2, ANIMALS, NAMES)
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3


def test_scores_that_are_no_numbers_are_drawn_too() -> None:
    assert draw_labels([grey()], [[1, 0, 0]], [[np.nan] * 3], ANIMALS, NAMES).any()
    assert said([0, 1, 1, 0], [np.nan] * 4, TAGS)[1][1] is False


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(DataError, match="no sample"):
        draw_labels([], [], [], ANIMALS)
    with pytest.raises(DataError, match=r"shape \(2,\).*heads of 3"):
        draw_labels([grey()], [[0, 1]], [[0.5, 0.5]], ANIMALS)
    with pytest.raises(DataError, match="no picture"):
        draw_labels([np.zeros(5)], [[1, 0, 0]], [[1, 0, 0]], ANIMALS)


def test_long_names_are_cut_but_not_their_score() -> None:
    cut = fitted(f"✗ {'long ' * 40}", 120, " (0.83)")
    assert cut.startswith("✗ long")
    assert cut.endswith("… (0.83)")
    assert fitted("short", 120, " (0.83)") == "short (0.83)"
    assert fitted("short", 120) == "short"
    assert fitted("two\nlines", 120) == "two lines"
    assert text_strip(["x" * 500, "y"], 100).shape == (LINE_HEIGHT, 100, 3)


def test_names_in_other_scripts() -> None:
    assert drawable("платье Füße φόρεμα")
    assert not drawable("裙子")
    assert not drawable("a\udcff")
    assert shown_names(ANIMALS, [["кот", "犬", "horse"]], 0) == ["кот", "class 1", "horse"]
    assert flag_names(Heads((1,), ("sigmoid",), ("0",)), [["犬", "猫"]], 0) == ("no", "yes")
    assert text_strip(["a\udcff.jpg"], 100).min() < 255  # file names that are no text


def test_names_of_heads() -> None:
    assert names_of(MIXED, None, 0) == ["0", "1", "2"]
    assert names_of(MIXED, None, 2) == ["weight"]
    assert names_of(MIXED, [["a", "b"], ["old", "young"], ["kg"]], 0) == ["0", "1", "2"]  # two names do not fit
    assert names_of(MIXED, [["a", "b", ""], ["old", "young"], ["kg"]], 0) == ["a", "b", "(empty)"]
    assert names_of(MIXED, [["a", "b", ""], ["old", "young"], ["kg"]], 1) == ["young"]
    assert flag_names(MIXED, [[], ["young"], []], 1) == ("not young", "young")


def test_truth_on_one_line() -> None:
    assert truth_in_words(np.array([0, 1, 0, 1, 0.25]), MIXED, [["cat", "dog", "horse"], [], []]) == (
        "kind: dog, young: yes, weight: 0.25"
    )
    assert truth_in_words(np.array([0, 1, 0]), ANIMALS) == "class 1"


def test_tables_need_no_masks() -> None:
    image = grey(40, 60)
    image[:20] = 0
    mask = np.zeros((40, 60, 1), np.uint8)
    with_masks = draw_table([[(image, mask)] * 2], ["a", "b"], ["dog"])
    np.testing.assert_array_equal(draw_table([[(image, None)] * 2], ["a", "b"], ["dog"]), with_masks)
