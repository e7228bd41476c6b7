"""Datasets described by their files: channels, colours, tables, scores, and what is said when files are missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from musket.config.declared import Files, problems
from musket.core.errors import DataError
from musket.data.declared import FilesDataSet
from musket.data.identity import sample_ids
from musket.data.images import read_rgba

RED, WHITE, BLACK = (200, 10, 20), (255, 255, 255), (0, 0, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images a, b, c in img; masks a, b, d in mask: white left half. Both 6 x 4 pixels."""
    for name, stems in (("img", "abc"), ("mask", "abd")):
        (tmp_path / name).mkdir()
        for number, stem in enumerate(stems):
            array = np.full((4, 6, 3), RED, np.uint8) + np.uint8(number)
            if name == "mask":
                array[:] = BLACK
                array[:, :3] = WHITE
            Image.fromarray(array).save(tmp_path / name / f"{stem}.png")
    return tmp_path


def made(folder: Path, **form: Any) -> FilesDataSet:
    assert list(problems(form)) == []
    return FilesDataSet(Files.model_validate(form), folder, "datasets.one")


def array(*bindings: dict[str, Any], **keys: Any) -> list[dict[str, Any]]:
    return [{"bindings": list(bindings), **keys}]


def only(folder: Path, outputs: list[dict[str, Any]] | None = None, **binding: Any) -> FilesDataSet:
    """One binding as input, over the images."""
    source = {"reader": "RGBA", "path": "img", **binding}
    return made(folder, inputs=array(source), outputs=outputs or [])


@pytest.mark.filterwarnings("ignore:.*are left out")
def test_two_paths(folder: Path) -> None:
    dataset = made(folder, input_path="img", output_path="mask")
    assert sample_ids(dataset) == ["a", "b"]
    item = dataset[1]
    assert item.x.shape == (4, 6, 3)
    assert item.x.dtype == np.uint8
    assert tuple(item.x[0, 0]) == (201, 11, 21)
    assert item.y.dtype == bool
    np.testing.assert_array_equal(item.y[0, :, 0], [True] * 3 + [False] * 3)
    np.testing.assert_array_equal(dataset.get_target(1), item.y)
    assert dataset.isPositive(0)
    assert dataset.get_name() == "one"


def test_samples_in_one_folder_only_are_left_out_with_a_warning(folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"2 of 4 samples are left out: .* \(c, d\)"):
        made(folder, input_path="img", output_path="mask")


def test_channels_come_from_several_folders_in_order(folder: Path) -> None:
    inputs = array(
        {"reader": "RGBA", "path": "img", "bind": [2, 0]},
        {"reader": "monochrome", "path": "img"},
    )
    x = made(folder, inputs=inputs)[0].x
    assert tuple(x[0, 0]) == pytest.approx((20, 200, (200 + 10 + 20) / 3))


def test_without_bind_all_channels_are_taken(folder: Path) -> None:
    assert tuple(only(folder)[0].x[0, 0]) == (*RED, 255)
    assert only(folder, reader="monochrome")[0].x.shape == (4, 6, 1)


def test_colours_are_classes(folder: Path) -> None:
    treat = {"type": "binary_mask", "colors": [[0, 0, 0], [255, 255, 255], [255, 255, 255, 0]]}
    outputs = array({"reader": "RGBA", "path": "mask", "treat": treat})
    with pytest.warns(UserWarning, match="left out"):
        y = made(folder, input_path="img", outputs=outputs)[0].y
    assert y.dtype == bool
    np.testing.assert_array_equal(y[0].T, [[0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0] * 6])


@pytest.mark.parametrize(("threshold", "share"), [(0, 1.0), (200, 1 / 3), (254, 0.0)])
def test_threshold_is_exclusive(folder: Path, threshold: int, share: float) -> None:
    treat = {"type": "binary_mask", "threshold": threshold}
    mask = only(folder, treat=treat, bind=[0, 1, 2])[1].x  # 201, 11, 21
    assert mask.mean() == pytest.approx(share)


def test_normalize_scales_the_maximum(folder: Path) -> None:
    x = only(folder, bind=[0, 1], treat={"normalize": 1})[0].x
    np.testing.assert_allclose(x[0, 0], [1.0, 0.05])


@pytest.mark.filterwarnings("ignore:.*are left out")
def test_data_type_rounds_and_never_wraps(folder: Path) -> None:
    shown = array({"reader": "monochrome", "path": "img"}, data_type="uint8")
    assert made(folder, inputs=shown)[0].x[0, 0, 0] == round((200 + 10 + 20) / 3)
    wide = array({"reader": "RGBA", "path": "img", "treat": {"normalize": 1000}}, data_type="uint8")
    with pytest.raises(
        DataError, match=r"sample 'a': datasets.one.inputs\[0\].data_type: uint8 holds 0 to 255, .*1000"
    ):
        made(folder, inputs=wide)[0]


@pytest.mark.parametrize(
    "form",
    [
        {"input_path": "img", "negative": 2},
        {"inputs": array({"reader": "RGBA", "path": "img", "bind": [0, 1, 2]}, negative=2)},
        {"input_path": "img", "outputs": [{"negative": 2}]},
    ],
)
def test_negatives_have_an_empty_output(folder: Path, form: dict[str, Any]) -> None:
    dataset = made(folder, **form)
    assert len(dataset) == 3
    assert dataset[0].y.shape == (4, 6, 2)
    assert not dataset[0].y.any()
    assert not np.any(dataset.get_target(0))
    assert not dataset.isPositive(0)


def test_no_output_no_target(folder: Path) -> None:
    dataset = made(folder, input_path="img")
    assert dataset[0].y is None
    assert dataset.get_target(0) is None


def test_rows_of_a_table(folder: Path) -> None:
    (folder / "t.csv").write_text("id,age,size\na.png,1,2.5\nb,3,4\nz,5,6\n")
    outputs = array({"reader": "CSV", "path": "t.csv", "headers": ["size", "age"]}, data_type="float32")
    with pytest.warns(UserWarning, match="left out"):
        dataset = made(folder, input_path="img", outputs=outputs)
    assert sample_ids(dataset) == ["a", "b"]
    np.testing.assert_array_equal(dataset[0].y, [2.5, 1])


def test_scores_choose_samples_both_bounds_included(folder: Path) -> None:
    (folder / "s.csv").write_text("id,score\na,0.5\nb,0.9\nc,0.7\n")
    assert sample_ids(made(folder, input_path="img", scores_path="s.csv")) == ["a", "b", "c"]
    assert sample_ids(made(folder, input_path="img", scores_path="s.csv", scores_range=[0.5, 0.7])) == ["a", "c"]
    with pytest.raises(
        DataError, match=r"s.csv: datasets.one.scores_path: none of the 3 samples has a score from 1 to 2"
    ):
        made(folder, input_path="img", scores_path="s.csv", scores_range=[1, 2])


def test_grey_gives_four_equal_channels(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 3), 77, np.uint8)).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_rgba(tmp_path / "grey.png"), np.full((2, 3, 4), 77))


def test_transparency_is_read(tmp_path: Path) -> None:
    pixels = np.dstack([np.full((2, 3, 3), 9, np.uint8), np.arange(6, dtype=np.uint8).reshape(2, 3)])
    Image.fromarray(pixels, "RGBA").save(tmp_path / "clear.png")
    np.testing.assert_array_equal(read_rgba(tmp_path / "clear.png"), pixels)


def test_depth_is_kept(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((2, 3, 3), 40_000, np.uint16))
    found = read_rgba(tmp_path / "deep.png")
    assert found.dtype == np.uint16
    assert tuple(found[0, 0]) == (40_000, 40_000, 40_000, 65_535)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"input_path": "nowhere"}, r"datasets.one.inputs\[0\].bindings\[0\].path: file .*nowhere: no such folder"),
        (
            {"input_path": "empty"},
            r"datasets.one.inputs\[0\].bindings\[0\].path: file .*empty: the folder holds no files",
        ),
        ({"input_path": "texts"}, "none of the files here is an image"),
        (
            {"input_path": "img", "output_path": "other"},
            r"no sample is named alike in all folders.*img: a, b, c; .*other: z",
        ),
        ({"input_path": "twice"}, r"two images have one name: a.bmp, a.png"),
        ({"input_path": "img", "scores_path": "no.csv"}, r"datasets.one.scores_path: file .*no such table"),
        ({"input_path": "img", "scores_path": "odd.csv"}, r"no column score; the table has: id, points"),
    ],
)
def test_what_is_missing_is_named_by_key_and_folder(folder: Path, form: dict[str, Any], told: str) -> None:
    for name, file in (("texts", "a.txt"), ("other", "z.png"), ("twice", "a.png"), ("twice", "a.bmp"), ("empty", "")):
        (folder / name).mkdir(exist_ok=True)
        if file:
            (folder / name / file).write_bytes(b"x")
    (folder / "odd.csv").write_text("id,points\na,1\n")
    with pytest.raises(DataError, match=re.compile(told, re.DOTALL)):
        made(folder, **form)


def test_pictures_of_different_size_are_refused_by_name(folder: Path) -> None:
    (folder / "small").mkdir()
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(folder / "small" / "a.png")
    inputs = array({"reader": "RGBA", "path": "img"}, {"reader": "monochrome", "path": "small"})
    with pytest.warns(UserWarning, match="left out"):
        dataset = made(folder, inputs=inputs)
    with pytest.raises(DataError, match=r"sample 'a': .*differ in size: 6 x 4, 3 x 2"):
        dataset[0]


def test_a_channel_that_is_not_there(folder: Path) -> None:
    with pytest.raises(DataError, match=r"sample 'a'.*bindings\[0\].bind takes channel 7, but there are 4"):
        only(folder, bind=[7])[0]


def test_the_misprint_of_the_former_examples_is_understood(folder: Path) -> None:
    assert only(folder, bind=[0], treat={'type"': "as_is"})[0].x[0, 0, 0] == 200
