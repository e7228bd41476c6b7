from __future__ import annotations

import os
import pickle
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from toy import write_discs

from musket.core.errors import DataError, MusketError
from musket.core.types import PredictionItem
from musket.data import cache as module
from musket.data.cache import DecodeCache, attach_cache, cache_size, clear, default_cache_folder, fill
from musket.data.dataset import CompositeDataSet, FileDataSet
from musket.data.derived import TrainingView
from musket.data.folders import DirectoryDataSet, NegativeDataSet, SimplePNGMaskDataSet
from musket.data.images import read_image, read_mask
from musket.data.tables import BinarySegmentationDataSet

DECODED: list[str] = []


def counted(path: Path) -> np.ndarray:
    """Decodes, and tells that it did."""
    DECODED.append(Path(path).name)
    return read_image(path)


def counted_negative(path: Path) -> np.ndarray:
    return 255 - counted(path)


@pytest.fixture(autouse=True)
def nothing_decoded_nor_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DECODED.clear()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return draw(tmp_path / "picture.png", 1)


@pytest.fixture
def cache(tmp_path: Path) -> DecodeCache:
    return DecodeCache(tmp_path / "cache")


@pytest.fixture
def discs(tmp_path: Path) -> SimplePNGMaskDataSet:
    return SimplePNGMaskDataSet(*write_discs(tmp_path / "discs", 6))


def draw(path: Path, seed: int, dtype: type = np.uint8) -> Path:
    top = np.iinfo(dtype).max
    assert cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, top, (9, 12, 3), dtype=dtype))
    return path


def test_a_file_is_decoded_once(cache: DecodeCache, picture: Path) -> None:
    for _ in range(3):
        np.testing.assert_array_equal(cache.read(counted, picture), read_image(picture))
    np.testing.assert_array_equal(DecodeCache(cache.folder).read(counted, str(picture)), read_image(picture))
    assert DECODED == ["picture.png"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_depth_is_kept(cache: DecodeCache, tmp_path: Path, dtype: type) -> None:
    path = draw(tmp_path / "deep.png", 2, dtype)
    for read in (read_image, read_mask):
        for _ in range(2):
            found = cache.read(read, path)
            assert found.dtype == read(path).dtype
            np.testing.assert_array_equal(found, read(path))


def test_readers_are_told_apart(cache: DecodeCache, picture: Path) -> None:
    for _ in range(2):
        np.testing.assert_array_equal(cache.read(counted, picture), 255 - cache.read(counted_negative, picture))
    assert len(DECODED) == 2


def test_an_array_belongs_to_the_caller(cache: DecodeCache, picture: Path) -> None:
    for _ in range(3):
        image = cache.read(counted, picture)
        np.testing.assert_array_equal(image, read_image(picture))
        image[...] = 0


def test_relative_and_absolute_paths_are_one_file(
    cache: DecodeCache, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(picture.parent)
    cache.read(counted, picture)
    cache.read(counted, picture.name)
    assert len(DECODED) == 1


@pytest.mark.parametrize("how", ["other size", "other time", "older time"])
def test_a_replaced_file_is_decoded_anew(cache: DecodeCache, picture: Path, how: str) -> None:
    cache.read(counted, picture)
    before = picture.stat()
    draw(picture, 5)
    picture.write_bytes(picture.read_bytes() + b"\0" * (how == "other size"))
    time = before.st_mtime_ns + {"other size": 0, "other time": 1_000_000, "older time": -1_000_000_000}[how]
    os.utime(picture, ns=(time, time))
    for each in (cache, DecodeCache(cache.folder)):
        np.testing.assert_array_equal(each.read(counted, picture), read_image(picture))
    assert len(DECODED) == 2


def replaced_meanwhile(path: Path) -> np.ndarray:
    image = counted(path)
    Path(path).write_bytes(Path(path).read_bytes() + b"\0")
    return image


def test_what_was_replaced_while_it_was_read_is_not_kept(cache: DecodeCache, picture: Path) -> None:
    cache.read(replaced_meanwhile, picture)
    assert cache_size(cache.folder) == 0


def test_other_decoders_decode_anew(cache: DecodeCache, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.read(counted, picture)
    monkeypatch.setattr(module, "_DECODERS", "2 9.9 9.9")
    cache.read(counted, picture)
    assert len(DECODED) == 2


def test_errors_of_the_reader_pass_and_nothing_is_kept(cache: DecodeCache, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for name in ("broken.png", "missing.png"):
        with pytest.raises(DataError, match=name):
            cache.read(counted, tmp_path / name)
    assert not cache.folder.exists()


def length_only(path: Path) -> Any:
    DECODED.append("length")
    return Path(path).stat().st_size


def test_what_is_no_array_is_given_through(cache: DecodeCache, picture: Path) -> None:
    assert cache.read(length_only, picture) == cache.read(length_only, picture) == picture.stat().st_size
    assert len(DECODED) == 2


def test_functions_that_cannot_be_told_apart_are_refused(cache: DecodeCache, picture: Path) -> None:
    def inner(path: Path) -> np.ndarray:
        return read_image(path)

    for read in (inner, lambda path: read_image(path), DirectoryDataSet._read, cv2.imread):
        with pytest.raises(MusketError, match="defined in a module by def"):
            cache.read(read, picture)


@pytest.mark.parametrize("options", [{"limit_bytes": -1}, {"keep_free": 1.1}, {"keep_free": -0.1}])
def test_options_out_of_range_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(MusketError, match=rf"DecodeCache: {next(iter(options))} .*found"):
        DecodeCache(tmp_path, **options)


def read_all(cache: DecodeCache, paths: list[Path]) -> list[str]:
    """Read twice, compare, and give the warnings."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for path in paths * 2:
            np.testing.assert_array_equal(cache.read(counted, path), read_image(path))
    return [str(warning.message) for warning in told]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return [draw(tmp_path / f"{seed}.png", seed) for seed in range(6)]  # 324 bytes each, and a header of 56


def test_the_limit_is_kept_with_one_warning(tmp_path: Path, pictures: list[Path]) -> None:
    cache = DecodeCache(tmp_path / "cache", limit_bytes=1000)
    [told] = read_all(cache, pictures)
    assert "not kept from here on: the limit of 1e-06 GB is reached" in told
    assert str(cache.folder) in told
    assert 324 < cache_size(cache.folder) <= 1000
    decoded = [f"{number}.png" for number in [*range(6), *range(2, 6)]]
    assert decoded == DECODED
    DECODED.clear()
    read_all(DecodeCache(cache.folder, limit_bytes=0), pictures[:2])
    assert DECODED == []  # what is there is used under any limit


def test_free_space_is_left_with_one_warning(tmp_path: Path, pictures: list[Path]) -> None:
    cache = DecodeCache(tmp_path / "cache", keep_free=1.0)
    [told] = read_all(cache, pictures)
    assert "GB of the disk are free, 100% stay so" in told
    assert cache_size(cache.folder) == 0


def test_a_folder_that_cannot_be_made_gives_one_warning(tmp_path: Path, pictures: list[Path]) -> None:
    (tmp_path / "file").write_text("no folder")
    [told] = read_all(DecodeCache(tmp_path / "file" / "cache"), pictures)
    assert "not kept from here on: Not a directory" in told
    assert len(DECODED) == 12


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may write everywhere")
def test_a_folder_without_permission_gives_one_warning(tmp_path: Path, pictures: list[Path]) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    [told] = read_all(DecodeCache(tmp_path / "cache"), pictures)
    assert "Permission denied" in told


def test_copies_of_a_cache_warn_once_together(tmp_path: Path, pictures: list[Path]) -> None:
    cache = DecodeCache(tmp_path / "cache", limit_bytes=0)
    copies = [pickle.loads(pickle.dumps(cache)) for _ in range(3)]
    assert len([told for copy in copies for told in read_all(copy, pictures)]) == 1
    assert len(read_all(DecodeCache(cache.folder, limit_bytes=0), pictures)) == 1  # another run


def test_a_pickled_cache_is_small_and_works(cache: DecodeCache, picture: Path) -> None:
    cache.read(counted, picture)
    data = pickle.dumps(cache)
    assert len(data) < 1000
    pickle.loads(data).read(counted, picture)
    assert len(DECODED) == 1


def test_threads_share_a_cache(cache: DecodeCache, pictures: list[Path]) -> None:
    truth = [read_image(path) for path in pictures]
    order = [int(number) for number in np.random.default_rng(0).integers(0, 6, 400)]
    with ThreadPoolExecutor(8) as pool:
        for number, found in zip(order, pool.map(lambda at: cache.read(counted, pictures[at]), order), strict=True):
            np.testing.assert_array_equal(found, truth[number])
    assert cache_size(cache.folder) == 6 * (324 + 56 + 16)


class Mine:
    """A dataset of a user's own around a built-in one, with an attribute that happens to be called cache."""

    def __init__(self, child: Any):
        self.child = child
        self.cache = "mine"

    def __len__(self) -> int:
        return len(self.child)

    def __getitem__(self, index: int) -> PredictionItem:
        return self.child[index]


def test_attach_reaches_the_files_behind_all_views(tmp_path: Path, discs: Any, cache: DecodeCache) -> None:
    plain = DirectoryDataSet(tmp_path / "discs" / "images")
    table = pd.DataFrame({"image": ["disc-00"], "runs": ["1 3"]})
    runs = BinarySegmentationDataSet(tmp_path / "discs" / "images", table, "image", "runs")
    negative = NegativeDataSet(tmp_path / "discs" / "images")
    mine = Mine(negative)
    whole = CompositeDataSet([discs[1:][::2], CompositeDataSet([plain[:2], discs]), runs, mine])
    assert attach_cache(whole, cache) == 4
    assert all(dataset.cache is cache for dataset in (discs, plain, runs, negative))
    assert mine.cache == "mine"
    assert not hasattr(whole, "cache")
    assert attach_cache(whole, None) == 4
    assert discs.cache is None
    assert attach_cache(object(), cache) == attach_cache([1], cache) == 0


def test_attach_reaches_both_sides_of_a_training_view(tmp_path: Path, discs: Any, cache: DecodeCache) -> None:
    training = DirectoryDataSet(tmp_path / "discs" / "images")
    assert attach_cache(TrainingView(discs, training), cache) == 2
    assert discs.cache is training.cache is cache


def test_attach_ends_where_datasets_name_each_other(discs: Any, cache: DecodeCache) -> None:
    mine = Mine(discs)
    discs.parent = mine
    assert attach_cache(mine, cache) == 1


@pytest.mark.parametrize("kind", ["pairs", "generated", "plain", "runs"])
def test_items_are_the_same_with_and_without(tmp_path: Path, cache: DecodeCache, kind: str) -> None:
    images, masks = write_discs(tmp_path, 4)
    table = pd.DataFrame({"image": [f"disc-{at:02}" for at in range(4)], "runs": ["1 3 50 20", "", "7 900", "3 1"]})
    make: Any = {
        "pairs": lambda: SimplePNGMaskDataSet(images, masks),
        "generated": lambda: SimplePNGMaskDataSet(images, generate=True),
        "plain": lambda: DirectoryDataSet(images),
        "runs": lambda: BinarySegmentationDataSet(images, table, "image", "runs"),
    }[kind]
    plain, cached = make(), make()
    assert attach_cache(cached, cache) == 1
    for _ in range(2):
        for index in range(4):
            expected, found = plain[index], pickle.loads(pickle.dumps(cached))[index]
            assert found.id == expected.id
            assert found.x.dtype == expected.x.dtype
            np.testing.assert_array_equal(found.x, expected.x)
            np.testing.assert_array_equal(found.y, expected.y)
            np.testing.assert_array_equal(cached.get_target(index), plain.get_target(index))
            found.x[...] = 0
    assert cache_size(cache.folder) > 4 * 40 * 48 * 3


def test_fill_reads_all_once_and_tells(discs: Any, cache: DecodeCache, monkeypatch: pytest.MonkeyPatch) -> None:
    attach_cache(discs, cache)
    told: list[tuple[int, int]] = []
    assert fill(discs, lambda done, count: told.append((done, count))) == []
    assert told == [(done, 6) for done in range(1, 7)]
    assert cache_size(cache.folder) == 6 * (40 * 48 * 4 + 2 * (56 + 16))
    monkeypatch.setattr("musket.data.folders.read_image", counted)  # has another name: all images are read again
    fill(discs)
    fill(discs, workers=1)
    assert sorted(DECODED) == [f"disc-{number:02}.jpg" for number in range(6)]


def test_fill_goes_on_after_a_bad_file(tmp_path: Path, discs: Any, cache: DecodeCache) -> None:
    (tmp_path / "discs" / "images" / "disc-02.jpg").write_bytes(b"no picture")
    attach_cache(discs, cache)
    [failure] = fill(discs)
    assert failure.id == "disc-02"
    assert failure.path is not None
    assert failure.path.endswith("disc-02.jpg")
    assert "not an image" in failure.message


class Failing(Mine):
    def __getitem__(self, index: int) -> PredictionItem:
        if index == 1:
            raise ZeroDivisionError("by nothing")
        return super().__getitem__(index)

    def sample_ids(self) -> list[str]:
        return self.child.sample_ids()


def test_fill_tells_errors_of_a_users_own_dataset(discs: Any, cache: DecodeCache) -> None:
    mine = Failing(discs)
    attach_cache(mine, cache)
    [failure] = fill(mine)
    assert (failure.id, failure.message) == ("disc-01", "ZeroDivisionError: by nothing")


def test_fill_ends_when_the_cache_is_full(discs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FILL_CHUNK", 2)
    attach_cache(discs, DecodeCache(tmp_path / "cache", limit_bytes=0))
    told: list[int] = []
    with pytest.warns(UserWarning, match="not kept from here on"):
        fill(discs, lambda done, _: told.append(done))
    assert told == [1, 2]


def test_fill_without_a_cache_reads_nothing(discs: Any) -> None:
    assert fill(discs, lambda *_: pytest.fail("read")) == []


def test_clear_takes_what_is_ours(cache: DecodeCache, pictures: list[Path]) -> None:
    assert clear(cache.folder) == cache_size(cache.folder) == 0
    read_all(cache, pictures)
    for name in ("decoded-notes.txt", "other.arrays", "other.index"):
        (cache.folder / name).write_text("mine")
    size = cache_size(cache.folder)
    assert clear(cache.folder) == size == 6 * (324 + 56 + 16)
    assert sorted(path.name for path in cache.folder.iterdir()) == ["decoded-notes.txt", "other.arrays", "other.index"]
    read_all(cache, pictures)  # the open one goes on
    assert cache_size(cache.folder) == size


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "home/.cache/musket"),
        ("linux", {"XDG_CACHE_HOME": "{}/xdg"}, "xdg/musket"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "home/.cache/musket"),  # to be ignored, says the XDG specification
        ("darwin", {"XDG_CACHE_HOME": "{}/xdg"}, "home/Library/Caches/musket"),
        ("win32", {"LOCALAPPDATA": "{}/local"}, "local/musket"),
        ("win32", {}, "home/AppData/Local/musket"),
    ],
)
def test_default_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert default_cache_folder(None) == tmp_path / expected
    assert default_cache_folder(tmp_path / "project") == tmp_path / "project" / ".cache"
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]


class Own(FileDataSet):
    """How a dataset of a user's own takes part."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def get_id(self, index: int) -> str:
        return self.paths[index].name

    def _read(self, index: int) -> PredictionItem:
        return PredictionItem(self.get_id(index), self.decode(counted, self.paths[index]), None)


def test_a_users_own_dataset_can_take_part(cache: DecodeCache, pictures: list[Path]) -> None:
    mine = Own(pictures)
    assert attach_cache(mine[::2], cache) == 1
    for _ in range(2):
        assert [item.x.shape for item in mine] == [(9, 12, 3)] * 6
    assert len(DECODED) == 6
