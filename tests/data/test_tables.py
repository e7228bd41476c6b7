from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from musket.core.errors import DataError
from musket.core.types import PredictionItem
from musket.data.table_reading import ImageFolders, read_table
from musket.data.tables import BinarySegmentationDataSet, MultiClassSegmentationDataSet

# 3 x 4 pixels, numbered down the columns from 1:  1 4 7 10 / 2 5 8 11 / 3 6 9 12


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("b.png", "a.png", "c.png"):
        Image.fromarray(np.full((3, 4, 3), ord(name[0]), np.uint8)).save(folder / name)
    return folder


def table(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def pixels(mask: np.ndarray) -> list[int]:
    """Numbers of the pixels that are set, counted as above."""
    return (np.flatnonzero(mask.T.reshape(-1)) + 1).tolist()


def test_binary_masks(images: Path) -> None:
    frame = table(ImageId=["c.png", "a.png", "b.png"], Runs=["1 2", float("nan"), "12 1 3 2"])
    dataset = BinarySegmentationDataSet(images, frame, "ImageId", "Runs")
    assert dataset.sample_ids() == ["a.png", "b.png", "c.png"]
    item = dataset[1]
    assert item.x.shape == (3, 4, 3)
    assert item.x[0, 0, 0] == ord("b")
    assert item.y.shape == (3, 4, 1)
    assert item.y.dtype == bool
    assert pixels(item.y[..., 0]) == [3, 4, 12]
    assert [dataset.isPositive(i) for i in range(3)] == [False, True, True]
    assert dataset.get_target(0) is False
    assert not dataset[0].y.any()


@pytest.mark.parametrize("empty", ["", "-1", " ", float("nan"), None, -1])
def test_cells_without_object(images: Path, empty: object) -> None:
    dataset = BinarySegmentationDataSet(images, table(i=["a", "b"], r=["1 1", empty]), "i", "r")
    assert [dataset.isPositive(i) for i in range(2)] == [True, False]


def test_csv_without_any_mask(images: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("i,r\na,-1\nb,-1\n")
    dataset = BinarySegmentationDataSet(images, tmp_path / "t.csv", "i", "r")
    assert not any(dataset.isPositive(i) for i in range(2))


def test_rows_of_one_image_are_joined(images: Path) -> None:
    dataset = BinarySegmentationDataSet(images, table(i=["a", "b", "a"], r=["1 2", "", "2 3"]), "i", "r")
    assert len(dataset) == 2
    assert pixels(dataset[0].y[..., 0]) == [1, 2, 3, 4]


def test_images_by_name_or_name_without_extension(images: Path) -> None:
    dataset = BinarySegmentationDataSet(str(images), table(i=["a", "b.png"], r=["1 1", "1 1"]), "i", "r")
    assert [item.id for item in dataset] == ["a", "b.png"]
    assert [int(item.x[0, 0, 0]) for item in dataset] == [ord("a"), ord("b")]


def test_several_folders_first_one_wins(images: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("a.png", "z.jpeg"):
        Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(other / name)
    dataset = BinarySegmentationDataSet([images, other], table(i=["a", "z"], r=["", ""]), "i", "r")
    assert [int(item.x[0, 0, 0]) for item in dataset] == [ord("a"), 0]
    assert dataset.imagePath == [str(images), str(other)]


def test_unlabelled_and_limited(images: Path) -> None:
    dataset = BinarySegmentationDataSet(images, table(i=["c", "a", "b"]), "i", len=2)
    assert dataset.sample_ids() == ["a", "b"]
    assert dataset[0].y is None
    assert len(dataset[:1]) == 1


def test_along_the_rows_and_relative(images: Path) -> None:
    frame = table(i=["a"], r=["2 3"])
    by_rows = BinarySegmentationDataSet(images, frame, "i", "r", rMask=False)[0].y[..., 0]
    np.testing.assert_array_equal(by_rows, [[0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    relative = BinarySegmentationDataSet(images, table(i=["a"], r=["2 3 1 2"]), "i", "r", isRel=True)[0].y[..., 0]
    assert pixels(relative) == [3, 4, 5, 7, 8]


def test_mask_shape_is_resized_to_the_image(images: Path) -> None:
    dataset = BinarySegmentationDataSet(images, table(i=["a"], r=["1 12"]), "i", "r", maskShape=(6, 8))
    assert pixels(dataset[0].y[..., 0]) == [1, 2, 3]  # two columns of eight are one of four
    assert dataset.encode(dataset[0], encode_y=True) == {"i": "a", "r": "1 12"}


def test_multi_class(images: Path, tmp_path: Path) -> None:
    csv = tmp_path / "t.csv"
    csv.write_text("ImageId,Kind,Runs\nb,10,1 1\na,2,2 1\nb,10,3 1\nb,2,5 2\nc,,\n")
    dataset = MultiClassSegmentationDataSet(images, csv, "ImageId", "Runs", "Kind")
    assert dataset.classes == ["2", "10"]
    assert [item.y.shape for item in dataset] == [(3, 4, 2)] * 3
    assert [pixels(dataset[1].y[..., k]) for k in range(2)] == [[5, 6], [1, 3]]
    assert [dataset.isPositive(i) for i in range(3)] == [True, True, False]


def test_packed_columns_and_back(images: Path) -> None:
    packed = ["a.png_Fish", "a.png_Gravel", "b.png_Fish", "b.png_Gravel"]
    frame = table(Image_Label=packed, EncodedPixels=["1 2", "", "", "3 1"])
    dataset = MultiClassSegmentationDataSet(images, frame, "Image", "EncodedPixels", "Label")
    assert dataset.classes == ["Fish", "Gravel"]
    assert dataset.sample_ids() == ["a.png", "b.png"]
    assert "Image" not in frame.columns
    encoded = dataset.encode(dataset, encode_y=True)
    pd.testing.assert_frame_equal(encoded, frame.astype(encoded.dtypes))


def test_packed_values_with_more_separators(images: Path) -> None:
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(images / "my_photo.png")
    dataset = MultiClassSegmentationDataSet(images, table(i_k=["my_photo_x"], r=["1 1"]), "i", "r", "k")
    assert dataset.sample_ids() == ["my_photo"]
    with pytest.raises(DataError, match=r"row 3: 'plain' in column 'i_k' does not split"):
        MultiClassSegmentationDataSet(images, table(i_k=["a_x", "plain"], r=["", ""]), "i", "r", "k")


def test_first_part_of_a_class_column(images: Path) -> None:
    frame = table(i=["a", "b"], r=["1 1", "1 1"], Kind=["cat_black", "dog"])
    assert MultiClassSegmentationDataSet(images, frame, "i", "r", "Kind:0").classes == ["cat", "dog"]


def test_binary_round_trip_through_a_dump(images: Path, tmp_path: Path) -> None:
    frame = table(ImageId=["a", "b", "c"], Runs=["1 2 7 3", "-1", "12 1"])
    dataset = BinarySegmentationDataSet(images, frame, "ImageId", "Runs")
    dataset.dump(tmp_path / "out.csv", encode_y=True)
    assert (tmp_path / "out.csv").read_text() == "ImageId,Runs\na,1 2 7 3\nb,-1\nc,12 1\n"


@pytest.mark.parametrize("options", [{"rMask": False}, {"isRel": True}, {"rMask": False, "isRel": True}])
def test_other_conventions_round_trip(images: Path, options: dict) -> None:
    dataset = BinarySegmentationDataSet(images, table(i=["a"], r=["1 2 3 1"]), "i", "r", **options)
    again = BinarySegmentationDataSet(images, dataset.encode(dataset, encode_y=True), "i", "r", **options)
    assert dataset[0].y.any()
    np.testing.assert_array_equal(again[0].y, dataset[0].y)


def test_predictions_are_encoded_by_threshold(images: Path) -> None:
    dataset = BinarySegmentationDataSet(images, table(i=["a"], r=[""]), "i", "r")
    scores = np.array([[0.2, 0.6, 0.9, 0.5]] * 3)[..., None]
    assert dataset.encode(PredictionItem("a", None, None, scores)) == {"i": "a", "r": "4 6"}
    assert dataset.encode(PredictionItem("a", None, None, scores), treshold=0.7) == {"i": "a", "r": "7 3"}
    with pytest.raises(DataError, match="there is no prediction"):
        dataset.encode(PredictionItem("a", None, None))
    with pytest.raises(DataError, match="2 channels, but 1 classes"):
        dataset.encode(PredictionItem("a", None, None, np.zeros((3, 4, 2))))


def test_old_windows_text(images: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(images / "фильм.png")
    for encoding in ("cp1251", "utf-8", "utf-8-sig"):
        (tmp_path / "t.csv").write_text("картинка,r\nфильм,1 1\n", encoding=encoding)
        dataset = BinarySegmentationDataSet(images, tmp_path / "t.csv", "картинка", "r")
        assert dataset[0].id == "фильм"


def test_cells_keep_their_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,kind\n007,NA\n8,\n")
    assert read_table(tmp_path / "t.csv").to_dict("list") == {"id": ["007", "8"], "kind": ["NA", ""]}
    frame = pd.DataFrame({"a": [1.0, float("nan")], "b": [2, 3], "c": [0.5, 1]})
    assert read_table(frame).to_dict("list") == {"a": ["1", ""], "b": ["2", "3"], "c": ["0.5", "1"]}


def test_texts_are_held_in_blocks(images: Path) -> None:
    dataset = BinarySegmentationDataSet(images, table(i=["a"] * 2000, r=["1 2"] * 2000), "i", "r")
    assert len(pickle.dumps(dataset)) < 40_000
    assert pixels(pickle.loads(pickle.dumps(dataset))[0].y[..., 0]) == [1, 2]


# ------------------------------------------------------------------------------------------------ bad input


def test_images_that_are_not_on_disk(images: Path) -> None:
    with pytest.raises(DataError, match=r"2 of the 3 images of the table are not here \(x, y\.png\)") as caught:
        BinarySegmentationDataSet(images, table(i=["x", "a", "y.png"], r=["", "", ""]), "i", "r")
    assert caught.value.sample == "x"
    assert caught.value.path == str(images)


def test_name_that_fits_two_files(images: Path) -> None:
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(images / "a.jpg")
    (images / "b.txt").write_text("no image")
    assert ImageFolders(images).find(["b", "a.jpg"]) == [(0, "b.png"), (0, "a.jpg")]
    with pytest.raises(DataError, match=r"several files fit: a\.jpg, a\.png"):
        BinarySegmentationDataSet(images, table(i=["a"], r=[""]), "i", "r")


def test_missing_column(images: Path) -> None:
    with pytest.raises(
        DataError, match=r"no column 'EncodedPixel'; did you mean 'EncodedPixels'\? The table has: i, Enc"
    ):
        BinarySegmentationDataSet(images, table(i=["a"], EncodedPixels=[""]), "i", "EncodedPixel")


def test_runs_that_do_not_fit_name_sample_and_table(images: Path, tmp_path: Path) -> None:
    csv = tmp_path / "t.csv"
    csv.write_text("i,r\na,1 2\nb,11 3\n")
    dataset = BinarySegmentationDataSet(images, csv, "i", "r")
    with pytest.raises(DataError, match=r"t\.csv: column 'r': run '11 3' leaves the mask of 3 x 4") as caught:
        dataset[1]
    assert caught.value.sample == "b"


def test_tables_that_cannot_be_read(images: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such table"):
        read_table(tmp_path / "gone.csv")
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(DataError, match="the table is empty"):
        read_table(tmp_path / "empty.csv")
    (tmp_path / "header.csv").write_text("i,r\n")
    with pytest.raises(DataError, match="a header and no rows"):
        BinarySegmentationDataSet(images, tmp_path / "header.csv", "i", "r")
    (tmp_path / "ragged.csv").write_text("i,r\na,1\nb,1,2,3\n")
    with pytest.raises(DataError, match="not a readable CSV"):
        read_table(tmp_path / "ragged.csv")
    (tmp_path / "binary.csv").write_bytes(b"i,r\n\x98\xff\xfe,1\n")
    with pytest.raises(DataError, match="neither UTF-8 nor Windows-1251"):
        read_table(tmp_path / "binary.csv")


def test_rows_without_image_or_class(images: Path) -> None:
    with pytest.raises(DataError, match="row 3 has no image in column 'i'"):
        BinarySegmentationDataSet(images, table(i=["a", None], r=["", ""]), "i", "r")
    with pytest.raises(DataError, match="row 2 has a mask and no class in column 'k'"):
        MultiClassSegmentationDataSet(images, table(i=["a"], r=["1 1"], k=[None]), "i", "r", "k")
    with pytest.raises(DataError, match="column 'k' names no class"):
        MultiClassSegmentationDataSet(images, table(i=["a"], r=[""], k=[None]), "i", "r", "k")
