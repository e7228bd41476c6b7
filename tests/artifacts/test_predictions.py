"""Stored predictions: what is read back, and when nothing is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from musket.artifacts.layout import Layout, file_name
from musket.artifacts.predictions import INDEX, PredictionWriter, decode, digest, encode, scale_of, stored
from musket.core.errors import ArtifactError

IDS = ["a", "b/c.jpg", "ü ..\\:", "#" * 400]


def write(folder: Path, mark: str = "m", ids: list[str] = IDS, scale: int | None = None) -> np.ndarray:
    scores = np.random.default_rng(0).random((len(ids), 3, 4, 2)).astype(np.float32)
    with PredictionWriter(folder, mark, scale) as writer:
        for sample, one in zip(ids, scores, strict=True):
            writer.add(sample, one)
    return scores


def test_scores_come_back_by_id_and_by_position(tmp_path: Path) -> None:
    scores = write(tmp_path / "x.npy")
    found = stored(tmp_path / "x.npy", "m", list(reversed(IDS)))
    assert found is not None
    assert list(found.ids) == IDS
    assert len(found) == 4
    for position, sample in enumerate(IDS):
        assert sample in found
        assert np.array_equal(found[sample], scores[position])
        assert np.array_equal(found[position], found[sample])
    assert np.array_equal(np.stack(list(found)), scores)
    assert np.array_equal(found[-1], scores[-1])
    with pytest.raises(ArtifactError, match="there is no prediction of sample 'z'"):
        found["z"]


def test_files_lie_where_the_reference_says(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "config.yaml")
    assert layout.stored_predictions("validation", [0], [1]) == tmp_path / "predictions" / "validation[0]1.npy"
    assert layout.stored_predictions("holdout", [0], [0, 1, 2]).name == "holdout[0][0, 1, 2].npy"
    write(tmp_path / "x.npy")
    assert (tmp_path / "x.npy" / "0.npy.npz").exists()
    assert file_name("a/b") != file_name("a_b") == "a_b"
    assert len(file_name("n" * 1000).encode()) < 200


@settings(deadline=None, max_examples=50)
@given(arrays(np.float32, (5,), elements=st.floats(0, 1, width=32)), st.sampled_from([255, 65535, 100, 300]))
def test_whole_numbers_are_near_and_keep_their_side_of_a_half(scores: np.ndarray, scale: int) -> None:
    kept = encode(scores, scale)
    assert kept.dtype == (np.uint8 if scale <= 255 else np.uint16)
    back = decode(kept, scale)
    assert back.dtype == np.float32
    assert np.abs(back - scores).max() <= 0.5 / scale + 1e-6
    if scale % 2:
        assert np.array_equal(back > 0.5, scores > 0.5)


def test_scores_outside_of_0_to_1_stay_as_they_are() -> None:
    logits = np.array([-3.5, 0.2, 7], np.float32)
    assert np.array_equal(decode(encode(logits, 255), 255), logits)
    assert np.isnan(decode(encode(np.array([np.nan], np.float32), 255), 255)).all()
    assert encode(np.zeros((0, 4, 1), np.float32), 255).shape == (0, 4, 1)


@pytest.mark.parametrize(
    ("as_integers", "scale", "expected"),
    [(True, None, 255), (True, 1000, 1000), (False, None, None), (False, 255, None)],
)
def test_keys_of_the_config(as_integers: bool, scale: int | None, expected: int | None) -> None:
    assert scale_of(as_integers, scale) == expected


def test_another_digest_or_other_samples_are_not_used(tmp_path: Path) -> None:
    write(tmp_path)
    assert stored(tmp_path, "other") is None
    assert stored(tmp_path, "m", IDS[:-1]) is None
    assert stored(tmp_path, "m", [*IDS, "more"]) is None
    assert stored(tmp_path, "m", IDS) is not None
    assert stored(tmp_path / "nothing", "m") is None


def test_a_store_that_was_not_finished_is_none(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "notes.txt").write_text("kept")
    writer = PredictionWriter(tmp_path, "m").__enter__()
    writer.add("a", np.zeros((2, 2, 1)))
    assert stored(tmp_path, "m") is None  # as after a kill
    with pytest.raises(ArtifactError), PredictionWriter(tmp_path, "m") as writer:
        _add_and_fail(writer)
    assert stored(tmp_path, "m") is None
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def _add_and_fail(writer: PredictionWriter) -> None:
    writer.add("a", np.zeros((2, 2, 1)))
    raise ArtifactError("the disk is full")


def test_a_shorter_store_leaves_nothing_of_the_longer_one(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "n", ["a"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.npy.npz", INDEX]


def test_a_store_overwritten_while_it_is_read_says_so(tmp_path: Path) -> None:
    write(tmp_path, "old")
    found = stored(tmp_path, "old")
    assert found is not None
    write(tmp_path, "new")
    with pytest.raises(ArtifactError, match="overwritten by predictions of other weights"):
        found["a"]


@pytest.mark.parametrize("damage", [b"", b"PK", None])
def test_damaged_files_are_named(tmp_path: Path, damage: bytes | None) -> None:
    write(tmp_path)
    found = stored(tmp_path, "m")
    assert found is not None
    path = tmp_path / "0.npy.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(ArtifactError, match=r"0\.npy\.npz: not readable as a stored prediction"):
        found["a"]


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    write(tmp_path)
    found = stored(tmp_path, "m")
    assert found is not None
    np.savez(tmp_path / "0.npy.npz", scores=np.array([print], dtype=object), digest=np.array("m"))
    with pytest.raises(ArtifactError, match="not readable"):
        found["a"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": "m", "scale": 255, "ids": []}', "\0"])
def test_an_index_of_something_else_is_no_store(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_text(text)
    assert stored(tmp_path, "m") is None


def test_the_digest_follows_facts_and_weights(tmp_path: Path) -> None:
    weights = tmp_path / "w"
    weights.write_bytes(b"1")
    first = digest({"views": 1}, [weights])
    assert digest({"views": 1}, [weights]) == first
    assert digest({"views": 2}, [weights]) != first
    weights.write_bytes(b"2")
    assert digest({"views": 1}, [weights]) != first
    with pytest.raises(ArtifactError, match="cannot be read"):
        digest({}, [tmp_path / "none"])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a file")
    with pytest.raises(ArtifactError, match="cannot be written"), PredictionWriter(tmp_path / "x" / "y", "m"):
        pass


def test_the_index_is_plain_json(tmp_path: Path) -> None:
    write(tmp_path, scale=300)
    index = json.loads((tmp_path / INDEX).read_text())
    sizes = [(tmp_path / f"{position}.npy.npz").stat().st_size for position in range(len(IDS))]
    expected = {"format": 2, "digest": "m", "scale": 300, "ids": IDS, "sizes": sizes, "images": [None] * len(IDS)}
    assert index == expected
