from __future__ import annotations

import pickle
import re
import tracemalloc
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from musket.core.errors import DataError
from musket.core.rle import rle_decode
from musket.core.types import PredictionItem
from musket.data.folders import (
    ConstrainedDirectory,
    DirectoryDataSet,
    NegativeDataSet,
    NotzeroSimplePNGMaskDataSet,
    SimplePNGMaskDataSet,
    list_files,
)


def put(folder: Path, name: str, height: int = 6, width: int = 8, value: int = 100) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(folder / name)


def put_mask(folder: Path, name: str, pixels: int = 3, height: int = 6, width: int = 8) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((height, width), np.uint8)
    mask.reshape(-1)[:pixels] = 255
    Image.fromarray(mask).save(folder / name)


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    """Five pairs b, a, d, c, e; the mask of a is empty."""
    for number, name in enumerate("badce"):
        put(tmp_path / "images", f"{name}.jpg", value=40 * number)
        put_mask(tmp_path / "masks", f"{name}.png", 0 if name == "a" else number + 1)
    (tmp_path / "images" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "images" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "images" / "older").mkdir()
    return tmp_path / "images", tmp_path / "masks"


def test_pairs_by_name_sorted(pairs: tuple[Path, Path]) -> None:
    dataset = SimplePNGMaskDataSet(*pairs)
    assert len(dataset) == 5
    assert list(dataset.ids) == dataset.sample_ids() == ["a", "b", "c", "d", "e"]
    item = dataset[1]
    assert item.id == dataset.get_id(1) == "b"
    assert item.x.shape == (6, 8, 3)
    assert item.x.dtype == np.uint8
    assert item.y.shape == (6, 8, 1)
    assert item.y.dtype == bool
    assert item.y.sum() == 1
    np.testing.assert_array_equal(dataset.get_target(1), item.y)
    assert dataset.isPositive(0)


def test_strings_are_paths_too_and_stay_valid_elsewhere(
    pairs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = SimplePNGMaskDataSet("images", "masks")
    monkeypatch.chdir("/")
    assert dataset[0].id == "a"


def test_indexing_like_a_list(pairs: tuple[Path, Path]) -> None:
    dataset = SimplePNGMaskDataSet(*pairs)
    assert dataset[-1].id == "e"
    assert [item.id for item in dataset] == list("abcde")
    assert [item.id for item in dataset[1:4]] == list("bcd")
    assert dataset[::2].sample_ids() == list("ace")
    for index in (5, -6):
        with pytest.raises(IndexError):
            dataset[index]


def test_item_and_get_train_item(pairs: tuple[Path, Path]) -> None:
    dataset = SimplePNGMaskDataSet(*pairs)
    assert dataset.item(2, True).id == dataset.item(2, False).id == dataset.get_train_item(2).id == "c"


def test_list_limits_and_orders(pairs: tuple[Path, Path]) -> None:
    assert SimplePNGMaskDataSet(*pairs, list=["d", "b.jpg"]).sample_ids() == ["d", "b"]
    assert SimplePNGMaskDataSet(*pairs, detect_exts=True, list=["d"]).sample_ids() == ["d"]
    with pytest.raises(DataError, match=r"2 of 3 entries have no image here \(x, y\.jpg\)"):
        SimplePNGMaskDataSet(*pairs, list=["x", "a", "y.jpg"])
    with pytest.raises(DataError, match="list: it is empty"):
        SimplePNGMaskDataSet(*pairs, list=[])


def test_listed_images_alone_need_masks(pairs: tuple[Path, Path]) -> None:
    put(pairs[0], "nomask.jpg")
    assert SimplePNGMaskDataSet(*pairs, list=["b"]).sample_ids() == ["b"]


def test_extensions(tmp_path: Path) -> None:
    for name in ("a.JPG", "b.jpeg", "c.png"):
        put(tmp_path / "images", name)
    for name in "abc":
        put_mask(tmp_path / "masks", f"{name}.PNG")
    with pytest.warns(UserWarning, match=r"2 images are left out because they are not \.jpg \(b\.jpeg, c\.png\)"):
        assert SimplePNGMaskDataSet(tmp_path / "images", tmp_path / "masks").sample_ids() == ["a"]
    (tmp_path / "images" / "read me.txt").write_text("no image")
    everything = SimplePNGMaskDataSet(tmp_path / "images", tmp_path / "masks", detect_exts=True)
    assert [item.id for item in everything] == ["a", "b", "c"]


def test_no_image_of_any_kind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no image")
    with pytest.raises(DataError, match=r"none of the 1 files here is an image \(a\.txt\)"):
        NegativeDataSet(tmp_path)


def test_images_and_masks_in_one_folder(tmp_path: Path) -> None:
    for name in "ab":
        put(tmp_path, f"{name}.jpg")
        put_mask(tmp_path, f"{name}.png")
    assert SimplePNGMaskDataSet(tmp_path, tmp_path).sample_ids() == ["a", "b"]
    assert SimplePNGMaskDataSet(tmp_path, tmp_path, detect_exts=True).sample_ids() == ["a", "b"]


def test_names_with_several_dots(tmp_path: Path) -> None:
    for name in ("scan.001", "scan.002"):
        put(tmp_path / "images", f"{name}.jpg")
        put_mask(tmp_path / "masks", f"{name}.png")
    assert SimplePNGMaskDataSet(tmp_path / "images", tmp_path / "masks").sample_ids() == ["scan.001", "scan.002"]
    put(tmp_path / "single", "x.2019.jpg")
    put_mask(tmp_path / "single", "x.png")
    assert SimplePNGMaskDataSet(tmp_path / "single", tmp_path / "single")[0].id == "x"  # up to the first dot


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.jpeg"):
        put(tmp_path / "images", name)
    with pytest.raises(DataError, match=r"two images have one name: a\.jpeg, a\.jpg"):
        SimplePNGMaskDataSet(tmp_path / "images", tmp_path, detect_exts=True)


def test_accents_spelled_apart_match(tmp_path: Path) -> None:
    name = "Ёлка-é"
    put(tmp_path / "images", unicodedata.normalize("NFD", name) + ".jpg")
    put_mask(tmp_path / "masks", unicodedata.normalize("NFC", name) + ".png")
    [item] = SimplePNGMaskDataSet(tmp_path / "images", tmp_path / "masks")
    assert item.id == unicodedata.normalize("NFC", name)


def test_generated_masks(pairs: tuple[Path, Path]) -> None:
    dataset = SimplePNGMaskDataSet(pairs[0], generate=True)
    assert dataset[1].y.shape == (6, 8, 1)
    assert not dataset.get_target(1).any()
    with pytest.raises(DataError, match="generate=True"):
        SimplePNGMaskDataSet(pairs[0])


def test_notzero_leaves_out_empty_masks(pairs: tuple[Path, Path]) -> None:
    assert NotzeroSimplePNGMaskDataSet(*pairs).sample_ids() == ["b", "c", "d", "e"]


def test_notzero_with_empty_masks_alone(tmp_path: Path) -> None:
    put(tmp_path / "images", "a.jpg")
    put_mask(tmp_path / "masks", "a.png", 0)
    with pytest.raises(DataError, match="all 1 masks are empty"):
        NotzeroSimplePNGMaskDataSet(tmp_path / "images", tmp_path / "masks")


def test_negative_dataset(pairs: tuple[Path, Path]) -> None:
    dataset = NegativeDataSet(pairs[0])
    assert dataset.sample_ids() == list("abcde")
    assert not dataset.isPositive(0)
    assert not dataset[0].y.any()
    assert dataset[0].y.shape == (6, 8, 1)


def test_directory_dataset(pairs: tuple[Path, Path]) -> None:
    dataset = DirectoryDataSet(pairs[0])
    assert dataset.sample_ids() == [f"{name}.jpg" for name in "abcde"]
    assert dataset[0].y is None
    assert dataset.get_target(0) is None


def test_constrained_directory(pairs: tuple[Path, Path]) -> None:
    assert DirectoryDataSet(ConstrainedDirectory(pairs[0], ["d.jpg", "b.jpg"])).sample_ids() == ["b.jpg", "d.jpg"]
    with pytest.raises(DataError, match=r"1 of the listed files are not here \(z\.jpg\)"):
        DirectoryDataSet(ConstrainedDirectory(pairs[0], ["d.jpg", "z.jpg"]))


def test_rows_of_a_submission(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    dataset = SimplePNGMaskDataSet(*pairs)
    item = PredictionItem("b", None, None, prediction=np.linspace(0, 1, 48).reshape(6, 8, 1))
    row = dataset.encode(item)
    assert row["image"] == "b"
    np.testing.assert_array_equal(rle_decode(row["rle_mask"], (6, 8)), item.prediction[..., 0] > 0.5)
    dataset.dump(tmp_path / "out.csv", encode_y=True)
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[:2] == ["image,rle_mask", "a,"]
    assert len(lines) == 6
    with pytest.raises(DataError, match="no prediction to encode"):
        dataset.dump(tmp_path / "out.csv")


# ------------------------------------------------------------------------------------------------ bad input


def test_missing_mask(pairs: tuple[Path, Path]) -> None:
    (pairs[1] / "c.png").unlink()
    with pytest.raises(
        DataError, match=r"1 of 5 images have no mask here, missing: c\.png for c\.jpg\. Add the masks"
    ) as caught:
        SimplePNGMaskDataSet(*pairs)
    assert caught.value.sample == "c"
    assert caught.value.path == str(pairs[1])


def test_no_pair_at_all(tmp_path: Path) -> None:
    put(tmp_path / "images", "a.jpg")
    put_mask(tmp_path / "masks", "a_mask.png")
    with pytest.raises(DataError, match=r"1 of 1 images have no mask here.*the folder holds a_mask\.png"):
        SimplePNGMaskDataSet(tmp_path / "images", tmp_path / "masks")


def test_no_image_of_that_extension(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    put(tmp_path, "b.png")
    with pytest.raises(DataError, match=r"no \.jpg files here, but 2 png; set in_ext"):
        SimplePNGMaskDataSet(tmp_path, tmp_path / "masks")
    put(tmp_path / "images", "a.jpg")
    put(tmp_path / "masks", "a.tif")
    with pytest.raises(DataError, match=r"no \.png files here, but 1 tif; set out_ext"):
        SimplePNGMaskDataSet(tmp_path / "images", tmp_path / "masks")


@pytest.mark.parametrize(("height", "width", "turned"), [(5, 8, False), (8, 6, True)])
def test_mask_of_another_size(tmp_path: Path, height: int, width: int, turned: bool) -> None:
    put(tmp_path / "images", "a.jpg")
    put_mask(tmp_path / "masks", "a.png", height=height, width=width)
    dataset = SimplePNGMaskDataSet(tmp_path / "images", tmp_path / "masks")
    with pytest.raises(DataError, match=rf"mask a\.png is {width} x {height}, the image a\.jpg 8 x 6") as caught:
        dataset[0]
    assert caught.value.sample == "a"
    assert ("EXIF" in str(caught.value)) == turned


def test_truncated_image(pairs: tuple[Path, Path]) -> None:
    path = pairs[0] / "b.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"b\.jpg: truncated"):
        SimplePNGMaskDataSet(*pairs)[1]


def test_unreadable_mask(pairs: tuple[Path, Path]) -> None:
    (pairs[1] / "b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b\.png: not an image"):
        SimplePNGMaskDataSet(*pairs)[1]


def test_folders_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no such folder"):
        list_files(tmp_path / "gone")
    with monkeypatch.context() as there:
        there.chdir(tmp_path)
        with pytest.raises(DataError, match=re.escape(f"file {tmp_path / 'gone'}: no such folder")):
            list_files("gone")
    (tmp_path / ".hidden").write_bytes(b"")
    with pytest.raises(DataError, match="holds no files"):
        DirectoryDataSet(tmp_path)
    with pytest.raises(DataError, match="this is a file"):
        list_files(tmp_path / ".hidden")


# ------------------------------------------------------------------------------------------------- lightness


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 tiny images and masks, links to one file each."""
    folder = tmp_path_factory.mktemp("many")
    for kind, extension in (("images", "jpg"), ("masks", "png")):
        (folder / kind).mkdir()
        first = folder / kind / f"item_000000.{extension}"
        cv2.imwrite(str(first), np.full((4, 4), 255, np.uint8))
        for number in range(1, 20_000):
            (folder / kind / f"item_{number:06d}.{extension}").hardlink_to(first)
    return folder


def test_datasets_are_light(many: Path) -> None:
    tracemalloc.start()
    try:
        dataset = SimplePNGMaskDataSet(many / "images", many / "masks")
        kept = tracemalloc.get_traced_memory()[0]
        for index in range(0, 20_000, 100):
            dataset[index]
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(dataset) == 20_000
    assert kept < 2_500_000  # three names of 15 letters a sample, in blocks; a list of texts alone takes more
    assert after - kept < 200_000  # nothing is kept of what was read
    assert len(pickle.dumps(dataset)) < 2_000_000
    assert pickle.loads(pickle.dumps(dataset))[19_999].id == "item_019999"
