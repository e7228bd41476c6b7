from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from musket.core.errors import DataError
from musket.core.types import PredictionItem
from musket.data.generic_tables import CSVDataSet, FromArrays, GenericCSVDataSet, from_array, from_csv


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("key;text;price;size;kind\nk1;a lot;1.5;3;x\nk2;little;2;4;y\n")
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("p1.png", "p2.png", "p3.png"):
        Image.fromarray(np.full((3, 4, 3), int(name[1]), np.uint8)).save(folder / name)
    return folder


class TestCSV:
    def test_one_column_each(self, csv: Path) -> None:
        dataset = CSVDataSet(csv, "price", "text", idColumn="key", sep=";")
        assert [(item.id, item.x, item.y) for item in dataset] == [("k1", "a lot", 1.5), ("k2", "little", 2.0)]
        assert dataset.get_target(1) == 2.0
        assert dataset.encode(PredictionItem("k1", None, None, np.array([0.5]))) == {"key": "k1", "price": 0.5}

    def test_several_columns(self, csv: Path) -> None:
        dataset = from_csv(csv, ["price", "kind"], ["size", "price"], sep=";")
        assert dataset.sample_ids() == ["0", "1"]
        assert dataset[1].x.tolist() == [4.0, 2.0]
        assert dataset[1].y == [2.0, "y"]
        assert len(dataset[:1]) == 1

    def test_what_is_refused(self, csv: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no column 'prize'; did you mean 'price'"):
            CSVDataSet(csv, "prize", "text", sep=";")
        with pytest.raises(DataError, match="no such table"):
            CSVDataSet(tmp_path / "gone.csv", "a", "b")
        with pytest.raises(DataError, match="not absolute"):
            from_csv("t.csv", "price", "text", absPath=True)
        with pytest.raises(DataError, match="has not one value for each of price, kind"):
            from_csv(csv, ["price", "kind"], "text", sep=";", absPath=True).encode(PredictionItem("k", 0, 0, [1]))


class TestArrays:
    def test_items(self) -> None:
        x, y = np.arange(6).reshape(3, 2), np.array([7, 8, 9])
        dataset = from_array(x, y)
        assert isinstance(dataset, FromArrays)
        assert [(item.id, item.x.tolist(), item.y) for item in dataset] == [
            ("0", [0, 1], 7),
            ("1", [2, 3], 8),
            ("2", [4, 5], 9),
        ]
        assert dataset.get_target(-1) == 9
        assert dataset[1:].sample_ids() == ["1", "2"]

    def test_without_targets(self) -> None:
        assert FromArrays([1, 2])[1].y is None

    def test_not_as_many(self) -> None:
        with pytest.raises(DataError, match="3 inputs and 2 targets"):
            FromArrays([1, 2, 3], [1, 2])


def frame(**more: list[Any]) -> pd.DataFrame:
    base = {
        "im": ["p1", "p2", "p3"],
        "a": [1, 2, 5],
        "flag": ["n", "y", "n"],
        "kind": ["u", "v", "w"],
        "tags": ["p q", "q", ""],
    }
    return pd.DataFrame({**base, **more})


class TestGeneric:
    def test_every_type(self, images: Path) -> None:
        types = {"flag": "binary", "kind": "categorical_one_hot", "tags": "multi_class", "m": "rle", "note": "as_is"}
        table = frame(m=["1 2", "", "-1"], note=["one", "two", "three"], n=[4, 4, 8])
        outputs = ["a", "n", "flag", "kind", "tags", "m", "note"]
        dataset = GenericCSVDataSet(table, ["im"], outputs, images, {**types, "n": "normalized_number"})
        assert dataset.types == {"im": "image", "a": "number", "n": "normalized_number", **types}
        assert dataset.sample_ids() == ["p1", "p2", "p3"]
        item = dataset[0]
        assert item.x.shape == (3, 4, 3)
        a, n, flag, kind, tags, mask, note = item.y
        assert (a.tolist(), n.tolist(), flag.tolist(), kind.tolist()) == ([1], [0], [False], [True, False, False])
        assert tags.tolist() == [True, True]
        assert mask.shape == (3, 4, 1)
        assert mask[..., 0].T.reshape(-1).nonzero()[0].tolist() == [0, 1]
        assert note == "one"
        assert not dataset[2].y[5].any()
        assert dataset.classes == [["a"], ["n"], ["n", "y"], ["u", "v", "w"], ["p", "q"], ["m"], ["note"]]

    def test_normalized_number_by_hand(self) -> None:
        table = pd.DataFrame({"a": [10, 20, 50], "y": [0, 1, 0]})
        dataset = GenericCSVDataSet(table, ["a"], ["y"], ctypes={"a": "normalized_number"})
        assert [item.x.item() for item in dataset] == [0.0, 0.25, 1.0]

    def test_groups_are_one_vector(self, images: Path) -> None:
        groups, types = {"numbers": ["a", "flag"]}, {"flag": "binary", "tags": "multi_class"}
        dataset = GenericCSVDataSet(frame(), ["im", "a", "flag"], [], images, types, groups, {"all": ["kind", "tags"]})
        image, numbers = dataset[1].x
        assert image[0, 0, 0] == 2
        assert numbers.tolist() == [2, 1]
        assert dataset[1].y.tolist() == [0, 1, 0, 0, 1]  # kind: u v w, tags: p q
        assert dataset.get_inputs_count() == 2
        assert dataset.classes == ["u", "v", "w", "p", "q"]
        joined = GenericCSVDataSet(
            frame(), ["im"], [], images, output_groups={"g": ["flag", "kind", "a"]}, ctypes={"flag": "binary"}
        )
        assert joined.classes == ["flag", "u", "v", "w", "a"]

    def test_rows_of_a_submission(self, images: Path) -> None:
        table = frame(m=["1 2", "", "3 1"])
        types = {"flag": "binary", "m": "rle"}
        dataset = GenericCSVDataSet(table, ["im"], ["flag", "m"], images, types, output_groups={"g": ["kind", "a"]})
        written = dataset.encode(dataset, encode_y=True)
        expected = {"im": ["p1", "p2", "p3"], "flag": ["n", "y", "n"], "m": ["1 2", "", "3 1"], "kind": ["u", "v", "w"]}
        assert written.to_dict("list") == {**expected, "a": [1.0, 2.0, 5.0]}
        with pytest.raises(DataError, match="1 arrays for 3 outputs"):
            dataset.encode(PredictionItem("p1", None, None, [np.zeros(1)]))
        with pytest.raises(DataError, match="no prediction"):
            dataset.encode(dataset[0])

    def test_positive_is_what_shows_something(self, images: Path) -> None:
        dataset = GenericCSVDataSet(frame(), ["im"], ["flag"], images, {"flag": "binary"})
        assert [dataset.isPositive(i) for i in range(3)] == [False, True, False]
        masks = GenericCSVDataSet(frame(m=["1 2", "", "-1"]), ["im"], ["m"], images, {"m": "rle"})
        assert [masks.isPositive(i) for i in range(3)] == [True, False, False]

    def test_without_images(self) -> None:
        dataset = GenericCSVDataSet(frame(), ["a"], ["kind"])
        assert dataset.sample_ids() == ["0", "1", "2"]
        assert dataset[2].x.tolist() == [5]
        assert dataset.encode(dataset[2], encode_y=True) == {"id": "2", "kind": "w"}
        assert GenericCSVDataSet(frame(), ["kind"], ["a"], ctypes={"a": "as_is", "kind": "as_is"})[0].x == "u"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"ctypes": {"a": "numbr"}}, r"ctypes.a: no column type 'numbr' \(there are binary"),
            ({"ctypes": {"knd": "binary"}}, r"ctypes.knd: no input or output.*did you mean 'kind'"),
            ({"ctypes": {"kind": "number"}}, r"row 2, column 'kind': 'u' is not a finite number"),
            ({"ctypes": {"kind": "rle"}}, r"rle has the size of an image; name a column of type image"),
            ({"ctypes": {"a": "image"}}, r"column 'a' holds images; say where they are: image_path"),
            ({"input_groups": {"g": ["a", "kind"]}, "ctypes": {"kind": "as_is"}}, r"'kind' is of type as_is; groups"),
            ({"input_columns": ["b"]}, r"no column 'b'; the table has"),
            ({"output_columns": []}, r"at least one input column and one output column"),
            ({"path": pd.DataFrame({"a": []})}, r"a header and no rows"),
        ],
    )
    def test_what_is_refused(self, arguments: dict[str, Any], said: str) -> None:
        with pytest.raises(DataError, match=said):
            GenericCSVDataSet(**{"path": frame(), "input_columns": ["a"], "output_columns": ["kind"], **arguments})

    def test_images_that_are_missing_and_runs_that_are_wrong(self, images: Path) -> None:
        with pytest.raises(DataError, match=r"1 of the 3 images of the table are not here \(p9\)"):
            GenericCSVDataSet(frame(im=["p1", "p2", "p9"]), ["im"], ["kind"], images)
        dataset = GenericCSVDataSet(frame(m=["1 2 3", "", ""]), ["im"], ["m"], images, {"m": "rle"})
        with pytest.raises(DataError, match=r"sample 'p1'.*row 2, column 'm'"):
            dataset[0]
