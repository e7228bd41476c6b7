from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from musket.core.errors import DataError
from musket.core.types import PredictionItem
from musket.data.dataset import CompositeDataSet, SubDataSet
from musket.data.derived import DerivedDataSet
from musket.data.identity import sample_ids
from musket.data.label_tables import (
    BinaryClassificationDataSet,
    CategoryClassificationDataSet,
    MultiClassClassificationDataSet,
    MultiOutputClassClassificationDataSet,
    RegressionDataSet,
)
from musket.data.labels import class_names, targets
from musket.data.sources import source_of

NAN = float("nan")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name in ("a.png", "b.png", "c.png", "d.png"):
        Image.fromarray(np.full((3, 4, 3), ord(name[0]), np.uint8)).save(folder / name)
    return folder


def table(*labels: Any, **more: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"im": ["a", "b", "c", "d"][: len(labels)], "label": list(labels), **more})


def rows(dataset: Any) -> list[list[int]]:
    return [dataset.get_target(index).astype(int).tolist() for index in range(len(dataset))]


def written(dataset: Any, *predictions: Any, treshold: float = 0.5) -> list[dict[str, Any]]:
    pairs = zip(dataset.sample_ids(), predictions, strict=True)
    return [dataset.encode(PredictionItem(name, None, None, scores), treshold=treshold) for name, scores in pairs]


class TestBinary:
    def test_the_second_sorted_class_is_positive(self, images: Path) -> None:
        dataset = BinaryClassificationDataSet(images, table("ok", "bad", " ok "), "im", "label")
        assert dataset.classes == ["bad", "ok"]
        assert rows(dataset) == [[1], [0], [1]]
        assert dataset[0].y.dtype == bool
        assert dataset[0].x.shape == (3, 4, 3)
        assert [dataset.isPositive(i) for i in range(3)] == [True, False, True]

    def test_numbers_are_sorted_as_numbers(self, images: Path) -> None:
        dataset = BinaryClassificationDataSet(images, table(10, 9), "im", "label")
        assert dataset.classes == ["9", "10"]
        assert rows(dataset) == [[1], [0]]

    @pytest.mark.parametrize("empty", ["", " ", NAN, None, "NaN"])
    def test_empty_cells_are_the_first_class(self, images: Path, empty: object) -> None:
        dataset = BinaryClassificationDataSet(images, table("ship", empty, "ship"), "im", "label")
        assert dataset.classes == ["", "ship"]
        assert rows(dataset) == [[1], [0], [1]]
        assert [row["label"] for row in written(dataset, [0.9], [0.1], [0.5])] == ["ship", "", ""]

    def test_empty_cells_beside_two_classes_are_refused(self, images: Path) -> None:
        with pytest.raises(DataError, match=r"sample 'b'.*row 3, column 'label': no class \(1 of 3 rows\)"):
            BinaryClassificationDataSet(images, table("cat", "", "dog"), "im", "label")

    def test_more_classes_than_two(self, images: Path) -> None:
        with pytest.raises(DataError, match=r"'label' has 3 values \(cat, dog, eel\).*CategoryClassificationDataSet"):
            BinaryClassificationDataSet(images, table("cat", "eel", "dog"), "im", "label")

    def test_one_class_only(self, images: Path) -> None:
        with pytest.raises(DataError, match=r"one value only, 'cat', .*classes="):
            BinaryClassificationDataSet(images, table("cat", "cat"), "im", "label")
        named = BinaryClassificationDataSet(images, table("cat", "cat"), "im", "label", classes=["dog", "cat"])
        assert rows(named) == [[1], [1]]

    @pytest.mark.parametrize(
        ("only", "classes", "truth"),
        [(0, ["0", "1"], 0), (1, ["0", "1"], 1), (True, ["False", "True"], 1), ("no", ["no", "yes"], 0)],
    )
    def test_one_value_whose_opposite_is_known(
        self, images: Path, only: object, classes: list[str], truth: int
    ) -> None:
        dataset = BinaryClassificationDataSet(images, table(only, only), "im", "label")
        assert dataset.classes == classes
        assert rows(dataset) == [[truth], [truth]]

    def test_predictions_above_the_threshold(self, images: Path) -> None:
        dataset = BinaryClassificationDataSet(images, table(0, 1, 0), "im", "label")
        scores = np.float32([[0.2], [0.3], [0.31]])
        assert written(dataset, *scores, treshold=0.3)[2] == {"im": "c", "label": "1"}
        assert [row["label"] for row in written(dataset, *scores, treshold=0.3)] == ["0", "0", "1"]


class TestCategory:
    def test_one_hot_by_row(self, images: Path) -> None:
        dataset = CategoryClassificationDataSet(images, table("b", "c", "a", "b"), "im", "label")
        assert dataset.classes == ["a", "b", "c"]
        assert rows(dataset) == [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]
        assert all(dataset.isPositive(i) for i in range(4))
        assert [row["label"] for row in written(dataset, *np.eye(4, 3))] == ["a", "b", "c", "a"]
        with pytest.raises(DataError, match=r"sample 'a'.*2 scores.* needs 3 \(label\)"):
            written(dataset[:1].ds, *[np.zeros(2)] * 4)

    def test_rows_without_a_class_are_named(self, images: Path) -> None:
        with pytest.raises(DataError, match=r"sample 'b'.*row 3, column 'label': no class \(2 of 3 rows\).*drop"):
            CategoryClassificationDataSet(images, table("x", NAN, ""), "im", "label")
        with pytest.raises(DataError, match="names no class in any row"):
            CategoryClassificationDataSet(images, table("", NAN), "im", "label")

    def test_classes_may_be_given(self, images: Path) -> None:
        dataset = CategoryClassificationDataSet(images, table("b", "c"), "im", "label", classes=["c", "a", "b"])
        assert rows(dataset) == [[0, 0, 1], [1, 0, 0]]
        with pytest.raises(DataError, match=r"row 3.*'shirts' is none of the 2 classes.*did you mean 'shirt'"):
            CategoryClassificationDataSet(images, table("hat", "shirts"), "im", "label", classes=["hat", "shirt"])
        with pytest.raises(DataError, match="occurs twice"):
            CategoryClassificationDataSet(images, table("a"), "im", "label", classes=["a", "a"])

    def test_parts_of_one_table_have_the_same_classes(self, images: Path) -> None:
        frame = table("x", "y", "z", "x", split=["train", "train", "test", "other"])
        parts = [
            CategoryClassificationDataSet(images, frame, "im", "label", where={"split": s}) for s in ("train", "test")
        ]
        assert [len(part) for part in parts] == [2, 1]
        assert rows(parts[1]) == [[0, 0, 1]]
        assert class_names(CompositeDataSet(parts)) == ["x", "y", "z"]
        both = CategoryClassificationDataSet(images, frame, "im", "label", where={"split": ["train", "test"]})
        assert both.sample_ids() == ["a", "b", "c"]
        limited = CategoryClassificationDataSet(images, frame, "im", "label", len=1)
        assert rows(limited) == [[1, 0, 0]]

    def test_where_finds_nothing(self, images: Path) -> None:
        frame = table("x", "y", split=["train", "val"])
        with pytest.raises(DataError, match=r"no row has split test; that column has: train, val"):
            CategoryClassificationDataSet(images, frame, "im", "label", where={"split": "test"})
        with pytest.raises(DataError, match=r"no column 'splitt'; did you mean 'split'"):
            CategoryClassificationDataSet(images, frame, "im", "label", where={"splitt": "test"})


class TestSeveralClasses:
    @pytest.mark.parametrize(
        ("cells", "separator", "classes"),
        [
            (["x y", "z", "y"], " ", ["x", "y", "z"]),
            (["x|y", "z", "y"], "|", ["x", "y", "z"]),
            (["x_y", "z", "y"], "_", ["x", "y", "z"]),
            (["x_a y", "z", "y"], " ", ["x_a", "y", "z"]),  # a blank before an underscore
            (["hot dog|y", "z", "hot dog"], "|", ["hot dog", "y", "z"]),  # a bar before a blank
            (["0 16", "2", "16"], " ", ["0", "2", "16"]),
        ],
    )
    def test_separators(self, images: Path, cells: list[str], separator: str, classes: list[str]) -> None:
        dataset = MultiClassClassificationDataSet(images, table(*cells), "im", "label")
        assert dataset.classes == classes
        assert dataset[0].y.sum() == 2
        scores = [item.y.astype(np.float32) for item in dataset]
        assert [row["label"] for row in written(dataset, *scores)] == cells
        assert dataset.columns[0].separator == separator

    def test_separator_may_be_given(self, images: Path) -> None:
        dataset = MultiClassClassificationDataSet(images, table("t_shirt", "a_b;c"), "im", "label", separator=";")
        assert dataset.classes == ["a_b", "c", "t_shirt"]

    def test_empty_cells_have_no_class(self, images: Path) -> None:
        dataset = MultiClassClassificationDataSet(images, table("x|y", NAN, " ", "x||x"), "im", "label")
        assert rows(dataset) == [[1, 1], [0, 0], [0, 0], [1, 0]]
        assert [dataset.isPositive(i) for i in range(4)] == [True, False, False, True]
        with pytest.raises(DataError, match="names no class"):
            MultiClassClassificationDataSet(images, table("", NAN), "im", "label")

    def test_a_class_that_is_not_listed(self, images: Path) -> None:
        with pytest.raises(DataError, match=r"sample 'b'.*row 3.*'z' is none of the 2 classes \(x, y\)"):
            MultiClassClassificationDataSet(images, table("x y", "y z"), "im", "label", classes=["x", "y"])

    def test_columns_that_are_classes(self, images: Path) -> None:
        frame = pd.DataFrame({"im": list("abc"), "A": [0, 1, 0], "B": ["good", "bad", NAN], "C": [True, False, True]})
        dataset = MultiClassClassificationDataSet(images, frame, "im", "A|B|C")
        assert dataset.classes == ["A", "B", "C"]
        assert rows(dataset) == [[0, 1, 1], [1, 0, 0], [0, 0, 1]]
        assert dataset[0].y.dtype == bool
        assert written(dataset, *[[0.9, 0.1, 0.6]] * 3)[1] == {"im": "b", "A": "1", "B": "bad", "C": "True"}
        with pytest.raises(DataError, match="are the classes; leave"):
            MultiClassClassificationDataSet(images, frame, "im", "A|B", classes=["A"])
        with pytest.raises(DataError, match=r"'B' has 3 values"):
            MultiClassClassificationDataSet(images, frame.assign(B=["1", "2", "3"]), "im", "A|B")


class TestSeveralOutputs:
    def test_one_vector_per_column(self, images: Path) -> None:
        frame = table("x", "y", "x", tags=["p q", "", "q"])
        dataset = MultiOutputClassClassificationDataSet(images, frame, "im", ["label", "tags"])
        assert dataset.classes == [["x", "y"], ["p", "q"]]
        assert [[part.astype(int).tolist() for part in item.y] for item in dataset] == [
            [[1, 0], [1, 1]],
            [[0, 1], [0, 0]],
            [[1, 0], [0, 1]],
        ]
        assert isinstance(dataset.get_target(0), list)

    def test_names_are_written_not_numbers(self, images: Path) -> None:
        frame = table("x", "y", kind=["p", "q"])
        dataset = MultiOutputClassClassificationDataSet(images, frame, "im", ["label", "kind"])
        per_head, flat = [np.array([0.1, 0.9]), np.array([0.8, 0.2])], np.array([0.9, 0.1, 0.2, 0.8])
        assert written(dataset, per_head, flat) == [
            {"im": "a", "label": "y", "kind": "p"},
            {"im": "b", "label": "x", "kind": "q"},
        ]
        with pytest.raises(DataError, match=r"2 \+ 1 scores.* needs 2 \(label\) \+ 2 \(kind\)"):
            written(dataset, [np.zeros(2), np.zeros(1)], flat)

    def test_class_flag_and_number(self, images: Path) -> None:
        frame = table("x", "y", "z", flag=[0, 1, 1], share=[0.25, 0.001178, 3])
        types = {"label": "categorical_one_hot", "flag": "binary", "share": "number"}
        dataset = MultiOutputClassClassificationDataSet(images, frame, "im", types)
        assert dataset.classes == [["x", "y", "z"], ["0", "1"], ["share"]]
        category, flag, share = dataset[1].y
        assert (category.tolist(), flag.tolist(), share.tolist()) == ([False, True, False], [True], [0.001178])
        scores = [np.float32([0, 0, 1]), np.float32([0.4]), np.float32([0.3])]
        assert written(dataset, *[scores] * 3)[0] == {"im": "a", "label": "z", "flag": "0", "share": 0.3}
        assert dataset.encode(dataset[1], encode_y=True) == {"im": "b", "label": "y", "flag": "1", "share": 0.001178}

    def test_scaled_numbers(self, images: Path) -> None:
        frame = table("10", "30", "20")
        dataset = MultiOutputClassClassificationDataSet(images, frame, "im", {"label": "normalized_number"})
        assert [item.y[0].item() for item in dataset] == [0.0, 1.0, 0.5]
        assert [row["label"] for row in written(dataset, [[0.75]], [[0]], [[2]])] == [25.0, 10.0, 50.0]
        with pytest.raises(DataError, match=r"same number everywhere \(7\)"):
            MultiOutputClassClassificationDataSet(images, table(7, 7), "im", {"label": "normalized_number"})

    def test_what_is_refused(self, images: Path) -> None:
        with pytest.raises(DataError, match=r"clazzColumns.label: no column type 'binry'.*did you mean 'binary'"):
            MultiOutputClassClassificationDataSet(images, table("x"), "im", {"label": "binry"})
        with pytest.raises(DataError, match="clazzColumns is empty"):
            MultiOutputClassClassificationDataSet(images, table("x"), "im", [])
        with pytest.raises(DataError, match=r"sample 'b'.*row 3, column 'label': no class"):
            MultiOutputClassClassificationDataSet(images, table("x", ""), "im", ["label"])


class TestNumbers:
    def test_columns_of_numbers(self, images: Path) -> None:
        dataset = RegressionDataSet(images, table(1, "2.5", -3, age=[1, 2, 3]), "im", ["label", "age"])
        assert [item.y.tolist() for item in dataset] == [[1, 1], [2.5, 2], [-3, 3]]
        assert dataset[0].y.dtype == np.float64
        assert dataset.classes == ["label", "age"]
        assert written(dataset, *np.float32([[0.3, 1e6]] * 3))[0] == {"im": "a", "label": 0.3, "age": 1e6}
        assert RegressionDataSet(images, table(1, 2), "im", "label", len=1)[0].y.tolist() == [1]

    @pytest.mark.parametrize(
        ("cell", "said"),
        [
            (NAN, "cell is empty"),
            ("", "cell is empty"),
            ("much", "'much' is not"),
            ("inf", "'inf' is"),
            ("1_0", "'1_0' is not"),
        ],
    )
    def test_what_is_no_number(self, images: Path, cell: object, said: str) -> None:
        with pytest.raises(DataError, match=rf"sample 'b'.*row 3, column 'label': .*{said}"):
            RegressionDataSet(images, table(1, cell, 2), "im", "label")

    def test_a_missing_column(self, images: Path) -> None:
        with pytest.raises(DataError, match=r"no column 'age'; the table has: label"):
            RegressionDataSet(images, table(1), "im", "age")
        with pytest.raises(DataError, match=r"no column 'age'"):
            MultiOutputClassClassificationDataSet(images, table(1), "im", {"label": None, "age": "number"})


class TestColumns:
    def test_packed_in_another_one_and_back(self, images: Path) -> None:
        frame = pd.DataFrame({"im_label": ["a.png_x", "b.png_y"], "other": [1, 2]})
        dataset = CategoryClassificationDataSet(images, frame, "im", "label")
        assert dataset.sample_ids() == ["a.png", "b.png"]
        assert dataset.classes == ["x", "y"]
        assert dataset.encode(dataset, encode_y=True).to_dict("list") == {"im_label": ["a.png_x", "b.png_y"]}

    def test_a_part_of_another_column_may_be_a_misspelt_name(self, images: Path) -> None:
        frame = pd.DataFrame({"im": ["a", "b"], "class_name": ["long_sleeve", "short_sleeve"]})
        with pytest.warns(UserWarning, match=r"'class' is taken from 'class_name', split at '_'.*ask for 'class_name'"):
            dataset = CategoryClassificationDataSet(images, frame, "im", "class")
        assert dataset.classes == ["long", "short"]

    def test_part_of_a_column(self, images: Path) -> None:
        frame = pd.DataFrame({"im": ["a", "b"], "Name": ["cat_1", "dog_2"]})
        dataset = CategoryClassificationDataSet(images, frame, "im", "Name:0")
        assert dataset.classes == ["cat", "dog"]
        assert dataset.encode(dataset, encode_y=True).to_dict("list") == {"im": ["a", "b"], "Name": ["cat", "dog"]}

    def test_all_parts_of_a_column_are_joined_again(self, images: Path) -> None:
        frame = pd.DataFrame({"im": ["a", "b"], "Name": ["cat_1", "dog_2"]})
        dataset = MultiOutputClassClassificationDataSet(images, frame, "im", ["Name:0", "Name:1"])
        assert dataset.encode(dataset, encode_y=True).to_dict("list") == {"im": ["a", "b"], "Name": ["cat_1", "dog_2"]}
        second = CategoryClassificationDataSet(images, frame, "im", "Name:1")
        assert list(second.encode(second, encode_y=True)) == ["im", "Name:1"]

    def test_a_part_there_is_not(self, images: Path) -> None:
        frame = pd.DataFrame({"im": ["a", "b"], "Name": ["cat_1", "dog_2"]})
        with pytest.raises(DataError, match=r"column 'Name' has no part 5 in any row.*'cat_1' has 2"):
            CategoryClassificationDataSet(images, frame, "im", "Name:5")

    def test_names_that_are_numbers(self, images: Path) -> None:
        frame = pd.DataFrame({0: ["a", "b"], 1: ["7", "8"]})
        assert CategoryClassificationDataSet(images, frame, 0, 1).classes == ["7", "8"]
        assert MultiClassClassificationDataSet(images, frame, 0, 1).classes == ["7", "8"]
        assert RegressionDataSet(images, frame, 0, 1).get_target(1) == [8]

    def test_lists_in_cells(self, images: Path) -> None:
        frame = table(["x", "y"], ["y"], [], boxes=[[1, 2], (3, 4), np.zeros((2, 2))])
        assert rows(MultiClassClassificationDataSet(images, frame, "im", "label")) == [[1, 1], [0, 1], [0, 0]]

    @pytest.mark.parametrize(
        "kind", [BinaryClassificationDataSet, CategoryClassificationDataSet, MultiClassClassificationDataSet]
    )
    def test_a_missing_class_column_counts_as_zero(self, images: Path, kind: Any) -> None:
        frame = pd.DataFrame({"im": ["a", "b"]})
        with pytest.warns(UserWarning, match=r"no column 'label', so every row counts as class '0' of 0, 1"):
            dataset = kind(images, frame, "im", "label")
        assert dataset.classes == ["0", "1"]
        assert rows(dataset) == [[0] if kind is BinaryClassificationDataSet else [1, 0]] * 2
        with pytest.warns(UserWarning, match=r"class 'cat' of cat, dog"):
            assert kind(images, frame, "im", "label", classes=["cat", "dog"]).classes == ["cat", "dog"]

    def test_missing_columns_among_several(self, images: Path) -> None:
        with pytest.warns(UserWarning, match="no column 'Zebra'"):
            dataset = MultiClassClassificationDataSet(images, table(0, 1), "im", "label|Zebra")
        assert rows(dataset) == [[0, 0], [1, 0]]
        with pytest.warns(UserWarning, match="no column 'Zebra'"):
            assert MultiOutputClassClassificationDataSet(images, table("x"), "im", ["label", "Zebra"])[0].y[
                1
            ].tolist() == [
                True,
                False,
            ]

    def test_a_misspelt_class_column(self, images: Path) -> None:
        with pytest.raises(DataError, match=r"no column 'lable'; did you mean 'label'\? The table has"):
            CategoryClassificationDataSet(images, table("x"), "im", "lable")

    def test_a_missing_image_column(self, images: Path) -> None:
        with pytest.raises(DataError, match=r"no column 'image'; the table has: im, label"):
            CategoryClassificationDataSet(images, table("x"), "image", "label")

    def test_files_in_old_encodings(self, images: Path, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_bytes("im,label\na,кот\nb,пёс\nc,кот\nd,кот\n".encode("cp1251"))
        assert CategoryClassificationDataSet(images, tmp_path / "t.csv", "im", "label").classes == ["кот", "пёс"]


class TestImages:
    def test_names_that_lead_into_sub_folders(self, tmp_path: Path) -> None:
        for name in ("train/cat/1.png", "train/dog/1.png", "test/cat/2.jpg"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((3, 4, 3), len(name), np.uint8)).save(path)
        frame = pd.DataFrame({"im": ["train/cat/1.png", "train\\dog\\1", "test/cat/2"], "label": ["cat", "dog", "cat"]})
        dataset = CategoryClassificationDataSet(tmp_path, frame, "im", "label")
        assert [item.x[0, 0, 0] for item in dataset] == [15, 15, 14]
        frame.loc[3] = ["train/eel/1.png", "eel"]
        with pytest.raises(DataError, match=r"1 of the 4 images of the table are not here \(train/eel/1.png\)"):
            CategoryClassificationDataSet(tmp_path, frame, "im", "label")

    def test_images_that_are_not_on_disk_are_named(self, images: Path) -> None:
        frame = pd.DataFrame({"im": ["a", "gone", "lost"], "label": [0, 1, 0]})
        with pytest.raises(
            DataError, match=r"sample 'gone'.*2 of the 3 images of the table are not here \(gone, lost\)"
        ):
            BinaryClassificationDataSet(images, frame, "im", "label")

    def test_images_the_table_does_not_name(self, images: Path, tmp_path: Path) -> None:
        csv = tmp_path / "t.csv"
        csv.write_text("im,label\na,0\nb.png,1\n")
        with pytest.warns(
            UserWarning, match=r"2 images of the folder are not in .*t\.csv and left out \(c.png, d.png\)"
        ):
            BinaryClassificationDataSet(images, csv, "im", "label")
        BinaryClassificationDataSet(images, csv, "im", "label", len=1)  # who chooses wants no warning
        BinaryClassificationDataSet(images, pd.read_csv(csv), "im", "label")

    def test_rows_without_an_image(self, images: Path) -> None:
        with pytest.raises(DataError, match="row 3 has no image in column 'im'"):
            BinaryClassificationDataSet(images, pd.DataFrame({"im": ["a", ""], "label": [0, 1]}), "im", "label")
        with pytest.raises(DataError, match="a header and no rows"):
            BinaryClassificationDataSet(images, pd.DataFrame({"im": [], "label": []}), "im", "label")


class TestFiles:
    """What a CSV file says that a DataFrame cannot."""

    def read(self, images: Path, tmp_path: Path, text: str, **options: Any) -> CategoryClassificationDataSet:
        (tmp_path / "labels.csv").write_text(text)
        return CategoryClassificationDataSet(images, tmp_path / "labels.csv", "im", "label", **options)

    @pytest.mark.parametrize("header", ["im,label, label", "im,label,label"])
    def test_two_columns_of_one_name(self, images: Path, tmp_path: Path, header: str) -> None:
        with pytest.raises(DataError, match=r"labels\.csv: 2 columns are called 'label'"):
            self.read(images, tmp_path, f"{header}\na,x,z\nb,y,z\n")
        frame = pd.DataFrame([["a", "x", "z"]], columns=header.split(","))
        with pytest.raises(DataError, match=r"2 columns are called 'label'"):
            CategoryClassificationDataSet(images, frame, "im", "label")

    @pytest.mark.parametrize("text", ["im,label\na,x,\nb,y,\n", "im,label\n1,a,x\n2,b,y\n"])
    def test_rows_longer_than_the_header(self, images: Path, tmp_path: Path, text: str) -> None:
        with pytest.raises(DataError, match=r"line 2 has 3 cells, the header 2; .*remove a ',' at the end"):
            self.read(images, tmp_path, text)

    @pytest.mark.parametrize("mark", [";", "\t"])
    def test_another_separator(self, images: Path, tmp_path: Path, mark: str) -> None:
        with pytest.raises(
            DataError, match=r"no column 'im', for the header is a single cell.*save the table with com"
        ):
            self.read(images, tmp_path, f"im{mark}label\na{mark}x\nb{mark}y\n")

    def test_columns_without_a_name(self, images: Path, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="2 images of the folder are not in"):
            assert self.read(images, tmp_path, ",im,label,\n0,a,x,\n1,b,y\n").classes == ["x", "y"]

    @pytest.mark.parametrize(
        ("value", "ids"), [(True, ["a", "c"]), ([False], ["b"]), (None, ["d"]), ([None, False], ["b", "d"])]
    )
    def test_truth_values_and_nothing_in_where(self, images: Path, tmp_path: Path, value: Any, ids: list[str]) -> None:
        text = "im,label,ok\na,x,true\nb,y,False\nc,x,TRUE\nd,y,\n"
        assert self.read(images, tmp_path, text, where={"ok": value}).sample_ids() == ids

    def test_truth_values_that_do_not_occur(self, images: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no row has ok false; that column has: true"):
            self.read(images, tmp_path, "im,label,ok\na,x,true\n", where={"ok": False})


def test_every_row_is_a_sample(images: Path) -> None:
    frame = pd.DataFrame({"im": ["b", "a", "b"], "label": ["x", "y", "x"]})
    dataset = CategoryClassificationDataSet(images, frame, "im", "label")
    assert dataset.sample_ids() == ["b", "a", "b"]
    with pytest.warns(UserWarning, match="occur more than once"):
        assert sample_ids(dataset) == ["b", "a", "b#2"]


def test_rows_that_contradict_each_other_are_named(images: Path) -> None:
    frame = pd.DataFrame({"im": ["b", "a", "b", "a"], "label": ["x", "y", "y", "y"]})
    with pytest.warns(UserWarning, match=r"1 image has rows with different labels \(b\)"):
        assert len(CategoryClassificationDataSet(images, frame, "im", "label")) == 4


def test_targets_need_no_image(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for name in "abcd":
        (folder / f"{name}.png").write_bytes(b"no image")
    dataset = CategoryClassificationDataSet(folder, table("x", "y", "y", "x"), "im", "label")
    chain = CompositeDataSet([SubDataSet(DerivedDataSet(dataset), [3, 1]), dataset[:2]])
    assert [y.tolist() for y in targets(chain, [0, 1, 3])] == [[True, False], [False, True], [False, True]]
    assert class_names(chain) == ["x", "y"]
    with pytest.raises(DataError, match=r"a\.png"):
        dataset[0]


def test_targets_of_any_object() -> None:
    class Own:
        classes = 2  # a number says no names

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> PredictionItem:
            return PredictionItem(index, None, [1 / index])

    assert list(targets(Own(), [1])) == [[1.0]]
    assert class_names(Own()) is None
    with pytest.raises(DataError, match=r"target of item 0 of Own cannot be told: ZeroDivisionError"):
        list(targets(Own(), [0]))


def test_parts_with_different_classes(images: Path) -> None:
    parts = [CategoryClassificationDataSet(images, table(*labels), "im", "label") for labels in ("xy", "xz")]
    with pytest.raises(DataError, match=r"different classes, \['x', 'y'\] and \['x', 'z'\]"):
        class_names(CompositeDataSet(parts))


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"dog": 1, "cat": 0, "eel": 2}, ["cat", "dog", "eel"]),
        ({2: "eel", 0: "cat", 1: "dog"}, ["cat", "dog", "eel"]),
        ([{"dog": 1, "cat": 0}, ("no", "yes")], [["cat", "dog"], ["no", "yes"]]),
        (np.array(["b", "a"]), ["b", "a"]),
    ],
)
def test_names_are_in_the_order_of_their_numbers(told: Any, names: list[Any]) -> None:
    assert class_names(SimpleNamespace(classes=told)) == names


@pytest.mark.parametrize("told", [{"cat", "dog"}, {"cat": 1, "dog": 2}, {"side": ["l", "r"]}, [["x"], {"cat", "dog"}]])
def test_names_without_an_order_are_refused(told: Any) -> None:
    with pytest.raises(DataError, match=r"classes of the dataset is a (set|dict).*give a list of names in the order"):
        class_names(SimpleNamespace(classes=told))


def test_written_to_a_file_and_through_views(images: Path, tmp_path: Path) -> None:
    dataset = CategoryClassificationDataSet(images, table("x", "y", "x"), "im", "label")
    dataset[1:].dump(tmp_path / "out.csv", encode_y=True)
    assert (tmp_path / "out.csv").read_text() == "im,label\nb,y\nc,x\n"
    with pytest.raises(DataError, match="no prediction to encode"):
        dataset.dump(tmp_path / "out.csv")


def test_workers_can_take_it_along(images: Path) -> None:
    dataset = pickle.loads(pickle.dumps(RegressionDataSet(images, table(1, 2), "im", "label")))
    assert dataset[1].y.tolist() == [2]


def test_other_labels_make_it_another_dataset(images: Path) -> None:
    one, same, other = (
        source_of(CategoryClassificationDataSet(images, table(*labels), "im", "label")).place
        for labels in ("xyx", "xyx", "xyy")
    )
    assert one == same != other


NAMES = st.text("abcdeé1", min_size=1, max_size=4).filter(lambda name: name not in ("nan",))


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_categories_round_trip(images: Path, labels: list[str]) -> None:
    frame = table(*labels)
    dataset = CategoryClassificationDataSet(images, frame, "im", "label")
    pd.testing.assert_frame_equal(dataset.encode(dataset, encode_y=True), frame, check_dtype=False)


@given(st.lists(st.sets(NAMES, max_size=3), min_size=1, max_size=4), st.sampled_from(" |_"))
def test_sets_of_classes_round_trip(images: Path, labels: list[set[str]], separator: str) -> None:
    if not any(labels):
        return
    names = MultiClassClassificationDataSet(images, table(" ".join(set.union(*labels))), "im", "label").classes
    cells = [separator.join(name for name in names if name in chosen) for chosen in labels]
    dataset = MultiClassClassificationDataSet(images, table(*cells), "im", "label", separator=separator)
    pd.testing.assert_frame_equal(dataset.encode(dataset, encode_y=True), table(*cells), check_dtype=False)


@given(
    st.lists(st.tuples(NAMES, st.booleans(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=4)
)
def test_several_outputs_round_trip(images: Path, labels: list[tuple[str, bool, float]]) -> None:
    names, flags, numbers = map(list, zip(*labels, strict=True))
    frame = table(*names, flag=[str(flag) for flag in flags], number=numbers)
    types = {"label": "categorical_one_hot", "flag": "binary", "number": "number"}
    dataset = MultiOutputClassClassificationDataSet(images, frame, "im", types)
    pd.testing.assert_frame_equal(dataset.encode(dataset, encode_y=True), frame, check_dtype=False, rtol=0, atol=0)
