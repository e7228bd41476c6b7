"""Stored vectors: one array for all of them, with the guarantees of stored maps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from musket.artifacts.predictions import INDEX, PredictionWriter, StoredPredictions, encode, stored
from musket.core.errors import ArtifactError

IDS = ["a", "b/c.jpg", "ü ..\\:"]
PACKED = "vectors.npy.npz"


def write(folder: Path, mark: str = "m", ids: list[str] = IDS) -> np.ndarray:
    vectors = np.random.default_rng(len(ids)).random((len(ids), 5)).astype(np.float32)
    with PredictionWriter(folder, mark, None) as writer:
        for sample, one in zip(ids, vectors, strict=True):
            writer.add(sample, one)
    return vectors


def found_in(folder: Path, mark: str = "m") -> StoredPredictions:
    found = stored(folder, mark)
    assert found is not None
    return found


def test_vectors_come_back_by_id_by_position_and_together(tmp_path: Path) -> None:
    vectors = write(tmp_path)
    found = found_in(tmp_path)
    assert found.packed
    assert sorted(path.name for path in tmp_path.iterdir()) == [INDEX, PACKED]
    for position, sample in enumerate(IDS):
        np.testing.assert_array_equal(found[sample], vectors[position])
        np.testing.assert_array_equal(found[position], vectors[position])
    np.testing.assert_array_equal(found.vectors, vectors)
    np.testing.assert_array_equal(np.stack(list(found)), vectors)
    found["a"][:] = 7
    np.testing.assert_array_equal(found["a"], vectors[0])


def test_any_number_comes_back_whatever_scale_maps_have(tmp_path: Path) -> None:
    values = np.array([-3.5, 1e30, 0.123456789], np.float32)
    with PredictionWriter(tmp_path, "m", None) as writer:
        writer.add("a", values)
    np.testing.assert_array_equal(found_in(tmp_path)["a"], values)


def test_an_index_without_its_vectors_or_beside_others_is_no_store(tmp_path: Path) -> None:
    write(tmp_path)
    whole = (tmp_path / PACKED).read_bytes()
    (tmp_path / PACKED).write_bytes(whole[:-1])
    assert stored(tmp_path, "m") is None
    (tmp_path / PACKED).unlink()
    assert stored(tmp_path, "m") is None
    (tmp_path / PACKED).write_bytes(whole)
    assert stored(tmp_path, "m") is not None
    assert stored(tmp_path, "n") is None
    assert stored(tmp_path, "m", [*IDS, "d"]) is None


def test_one_flipped_bit_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    found, path = found_in(tmp_path), tmp_path / PACKED
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"vectors\.npy\.npz: not readable as a stored prediction"):
        found["a"]


def test_a_store_overwritten_or_gone_before_it_is_read_says_so(tmp_path: Path) -> None:
    write(tmp_path, "old")
    overwritten, gone = found_in(tmp_path, "old"), found_in(tmp_path, "old")
    write(tmp_path, "new")
    with pytest.raises(ArtifactError, match="overwritten by predictions of other weights"):
        overwritten["a"]
    (tmp_path / PACKED).unlink()
    with pytest.raises(ArtifactError, match="is gone since it was asked for"):
        gone["a"]


def test_vectors_follow_maps_and_maps_vectors_in_one_folder(tmp_path: Path) -> None:
    maps = np.ones((2, 3, 1), np.float32)
    for mark in ("first", "second"):
        with PredictionWriter(tmp_path, mark) as writer:
            writer.add("a", maps)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["0.npy.npz", INDEX]
        assert not found_in(tmp_path, mark).packed
        write(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [INDEX, PACKED]


def test_a_failed_write_leaves_nothing_that_counts(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ArtifactError, match="no picture"), PredictionWriter(tmp_path, "m", None) as writer:
        _add_and_fail(writer)
    assert list(tmp_path.iterdir()) == []


def _add_and_fail(writer: PredictionWriter) -> None:
    writer.add("a", np.zeros(5))
    raise ArtifactError("no picture")


def test_the_image_of_a_vector_is_recognised(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with PredictionWriter(tmp_path, "m", None) as writer:
        writer.add("a", np.zeros(5), image)
    found = found_in(tmp_path)
    assert found.read("a", image).shape == (5,)
    with pytest.raises(ArtifactError, match="is not the one that was predicted"):
        found.read("a", image + 1)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    write(tmp_path)
    found = found_in(tmp_path)
    np.savez(tmp_path / PACKED, scores=np.array([print], dtype=object), digest=np.array("m"))
    with pytest.raises(ArtifactError, match="not readable"):
        found["a"]


def test_a_hundred_thousand_vectors_are_two_files(tmp_path: Path) -> None:
    ids = [f"image-{number}" for number in range(100_000)]
    vectors = write(tmp_path, ids=ids)
    found = stored(tmp_path, "m", ids)
    assert found is not None
    np.testing.assert_array_equal(found["image-77777"], vectors[77777])
    assert len(list(tmp_path.iterdir())) == 2
    assert len(json.loads((tmp_path / INDEX).read_text())["sizes"]) == 1


@pytest.mark.parametrize("highest", [1.0, 1.5])
def test_vectors_are_encoded_as_all_of_them_together_would_be(tmp_path: Path, highest: float) -> None:
    vectors = np.random.default_rng(2).random((9, 5), np.float32)
    vectors[4, 2] = highest
    with PredictionWriter(tmp_path, "m", 255) as writer:
        for number, vector in enumerate(vectors):
            writer.add(str(number), vector)
    with np.load(tmp_path / PACKED) as arrays:
        assert arrays["scores"].dtype == (np.uint8 if highest == 1 else np.float32)
        np.testing.assert_array_equal(arrays["scores"], encode(vectors, 255))
