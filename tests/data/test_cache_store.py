from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musket.data.array_store import ArrayStore, _Places, is_storable, stored_bytes, stored_files

KEYS = [bytes([number]) * 8 + b"second half"[:8] for number in range(9)]


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def the(folder: Path, ending: str) -> Path:
    [path] = folder.glob(f"decoded-*.{ending}")
    return path


def filled(folder: Path, count: int = 3) -> list[np.ndarray]:
    store = ArrayStore(folder)
    arrays = [drawn(number, 5 + number, 7, 3) for number in range(count)]
    for key, array in zip(KEYS, arrays, strict=False):
        store.put(key, array)
    return arrays


@pytest.mark.parametrize(
    "array",
    [
        drawn(1, 4, 5, 3),
        drawn(2, 4, 5, 1) > 100,
        drawn(3, 6, 7).astype(np.uint16) * 257,
        drawn(4, 3, 3, 8).astype(np.int16),
        drawn(5, 11).astype(np.float32) / 7,
        drawn(6, 2, 3, 4, 5).astype(np.uint32) << 20,
        drawn(7, 4, 6, 3)[::-1, ::2],
        np.asfortranarray(drawn(8, 4, 6, 3)),
        drawn(9, 1, 1, 1),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_what_was_put_comes_back(tmp_path: Path, array: np.ndarray) -> None:
    assert is_storable(array)
    ArrayStore(tmp_path).put(KEYS[0], array)
    for _ in range(2):
        found = ArrayStore(tmp_path).get(KEYS[0])
        assert found is not None
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        np.testing.assert_array_equal(found, array)
        assert found.flags.writeable
        found[...] = 0  # it is the caller's own: the second round sees nothing of it


@pytest.mark.parametrize(
    "other",
    [
        None,
        [1, 2],
        np.zeros((0, 4)),
        np.float32(3),
        np.zeros(()),
        np.array(["a"]),
        np.array([{}]),
        np.zeros(3, complex),
        np.zeros((1, 1, 1, 1, 1)),
        np.ma.zeros(3),
    ],
    ids=str,
)
def test_what_cannot_be_stored_is_known(other: object) -> None:
    assert not is_storable(other)


def test_nothing_is_there_before_the_first_array(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path / "a" / "b")
    assert store.get(KEYS[0]) is None
    assert not (tmp_path / "a").exists()
    assert stored_bytes(tmp_path / "a") == 0
    store.put(KEYS[0], drawn(0, 3))
    assert stored_bytes(tmp_path / "a" / "b") == sum(path.stat().st_size for path in tmp_path.rglob("decoded-*"))


def test_an_open_store_sees_what_others_add(tmp_path: Path) -> None:
    mine, other = ArrayStore(tmp_path), ArrayStore(tmp_path)
    for number, key in enumerate(KEYS):
        writer, reader = (mine, other) if number % 2 else (other, mine)
        assert reader.get(key) is None
        writer.put(key, drawn(number, 4, 4))
        np.testing.assert_array_equal(reader.get(key), drawn(number, 4, 4))
    assert len(list(stored_files(tmp_path))) == 4


def test_what_another_process_wrote_meanwhile_is_not_written_again(tmp_path: Path) -> None:
    mine, other = ArrayStore(tmp_path), ArrayStore(tmp_path)
    assert mine.get(KEYS[0]) is None
    other.put(KEYS[0], drawn(0, 100))
    size = stored_bytes(tmp_path)
    mine.put(KEYS[0], drawn(0, 100))
    assert stored_bytes(tmp_path) == size


def test_keys_that_share_their_first_half_are_told_apart(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    assert ArrayStore(tmp_path).get(KEYS[0][:8] + b"another_") is None


def test_arrays_cut_off_anywhere_leave_what_stands_before(tmp_path: Path) -> None:
    arrays = filled(tmp_path)
    path = the(tmp_path, "arrays")
    whole = path.read_bytes()
    ends = np.cumsum([56 + array.nbytes for array in arrays])  # a header has 56 bytes
    assert ends[-1] == len(whole)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        store = ArrayStore(tmp_path)
        for key, array, end in zip(KEYS, arrays, ends, strict=False):
            found = store.get(key)
            assert (found is not None) == (end <= length)
            assert found is None or np.array_equal(found, array)


def test_index_cut_off_anywhere_leaves_what_stands_before(tmp_path: Path) -> None:
    filled(tmp_path)
    path = the(tmp_path, "index")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        store = ArrayStore(tmp_path)
        assert [store.get(key) is not None for key in KEYS[:3]] == [length >= 16, length >= 32, False]


def test_every_changed_bit_of_a_header_and_of_the_values_is_noticed(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    path = the(tmp_path, "arrays")
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert ArrayStore(tmp_path).get(KEYS[0]) is None


def test_pages_that_never_reached_the_disk_are_noticed(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path)
    store.put(KEYS[0], drawn(0, 40_000))
    path = the(tmp_path, "arrays")
    whole = path.read_bytes()
    for page in range(0, len(whole), 4096):
        path.write_bytes(whole[:page] + b"\0" * len(whole[page : page + 4096]) + whole[page + 4096 :])
        assert ArrayStore(tmp_path).get(KEYS[0]) is None


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_as_index_find_nothing_wrong(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    folder = tmp_path_factory.mktemp("noise")
    [array] = filled(folder, 1)
    the(folder, "index").write_bytes(noise + KEYS[0][:8] + b"\0" * 8)
    found = ArrayStore(folder).get(KEYS[0])
    assert found is None or np.array_equal(found, array)


def test_damage_is_written_anew_and_the_good_one_is_found_from_then_on(tmp_path: Path) -> None:
    [array] = filled(tmp_path, 1)
    path = the(tmp_path, "arrays")
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    store = ArrayStore(tmp_path)
    assert store.get(KEYS[0]) is None
    store.put(KEYS[0], array)
    size = stored_bytes(tmp_path)
    for each in (store, ArrayStore(tmp_path)):
        np.testing.assert_array_equal(each.get(KEYS[0]), array)
        each.put(KEYS[0], array)
    assert stored_bytes(tmp_path) == size


def test_an_open_store_goes_on_when_its_files_are_deleted(tmp_path: Path) -> None:
    store, other = ArrayStore(tmp_path), ArrayStore(tmp_path)
    for number, key in enumerate(KEYS[:6]):
        store.put(key, drawn(number, 9, 9))
        assert other.get(key) is not None
        if number % 2:
            for entry in list(stored_files(tmp_path)):
                Path(entry.path).unlink()
            assert store.get(key) is None
            assert other.get(key) is None
            other.put(key, drawn(number, 9, 9))
            np.testing.assert_array_equal(store.get(key), drawn(number, 9, 9))
    for number, key in enumerate(KEYS[4:6], 4):
        found = ArrayStore(tmp_path).get(key)
        assert (found is not None) == (number == 5)


def test_places_agree_with_a_dictionary() -> None:
    random = np.random.default_rng(3)
    places, truth = _Places(), {}
    at = 0
    for size in (1, 0, 3, 2000, 1, 500, 500, 500, 1, 5000, 2, 300):
        keys = random.integers(0, 3000, size, dtype=np.uint64) << np.uint64(50)
        for key, place in zip(keys.tolist(), range(at, at + size), strict=True):
            truth.setdefault(key, set()).add(place)
        places.add(keys, np.arange(at, at + size, dtype=np.uint64))
        at += size
    for number in range(3000):
        assert set(places.find(number << 50)) == truth.get(number << 50, set())
    assert list(places.find(2**64 - 1)) == []


def test_the_index_of_a_hundred_thousand_images_and_masks_is_small(tmp_path: Path) -> None:
    filled(tmp_path)
    count = 200_000
    records = np.random.default_rng(0).integers(0, 2**63, (count, 2), dtype=np.uint64)
    (tmp_path / "decoded-many.index").write_bytes((records % np.uint64(2**40)).astype("<u8").tobytes())
    store = ArrayStore(tmp_path)
    tracemalloc.start()
    assert store.get(KEYS[2]) is not None
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 8e6
