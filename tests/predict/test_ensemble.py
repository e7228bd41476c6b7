from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from musket.core.errors import DataError, MusketError
from musket.predict.ensemble import ansemblePredictions, ensemble_predictions, shares
from musket.predict.members import mean_scores
from musket.predict.views import Forward

BATCH = torch.ones(2, 1, 3, 4)


def constant(value: float) -> Forward:
    return lambda images: images * value


def means(members: list[Forward], groups: list[list[int]], weights: list[float]) -> list[torch.Tensor]:
    """Mean scores of one batch."""
    (result,) = mean_scores(members, [BATCH], groups, weights)
    assert isinstance(result, list)
    return result


def test_groups_are_weighted_means_of_their_members() -> None:
    members = [constant(1), constant(2), constant(4)]
    everyone, last, pair = means(members, [[0, 1, 2], [2], [0, 2]], [1, 1, 2])
    assert everyone.unique().tolist() == pytest.approx([(1 + 2 + 2 * 4) / 4])
    assert last.unique().tolist() == [4]
    assert pair.unique().tolist() == pytest.approx([(1 + 2 * 4) / 3])


def test_members_without_weight_or_group_are_not_asked() -> None:
    def never(images: torch.Tensor) -> torch.Tensor:
        raise AssertionError("asked for nothing")

    (scores,) = means([constant(3), never, never], [[0, 1]], [1, 0, 5])
    assert torch.equal(scores, 3 * BATCH)


def test_a_member_is_asked_about_all_batches_before_the_next() -> None:
    asked: list[tuple[int, int]] = []

    def spy(member: int) -> Forward:
        def forward(images: torch.Tensor) -> torch.Tensor:
            asked.append((member, len(images)))
            return images

        return forward

    mean_scores([spy(0), spy(1)], [BATCH, BATCH[:1]], [[0, 1]])
    assert asked == [(0, 2), (0, 1), (1, 2), (1, 1)]


def test_a_refused_batch_leaves_the_others() -> None:
    def picky(images: torch.Tensor) -> torch.Tensor:
        if len(images) == 1:
            raise RuntimeError("sizes must be multiples of 32")
        return images

    good, bad = mean_scores([constant(1), picky], [BATCH, BATCH[:1]], [[0, 1]])
    assert isinstance(good, list)
    assert torch.equal(good[0], BATCH)
    assert isinstance(bad, RuntimeError)


@pytest.mark.parametrize(
    ("weights", "words"),
    [([1], "one per member is needed, that is 2; found 1"), ([1, -1], "0 and above"), ([0, 0], "not all 0")],
)
def test_unfit_weights_are_refused(weights: list[float], words: str) -> None:
    with pytest.raises(MusketError, match=words):
        shares(weights, 2)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Two pictures and two folders with an array for each."""
    for number, name in enumerate(("one.jpg", "two.v2.png")):
        (tmp_path / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images" / name), np.zeros((4, 5, 3), np.uint8))
        for folder, value in (("a", 0.25), ("b", 1.0)):
            (tmp_path / folder).mkdir(exist_ok=True)
            np.save(tmp_path / folder / f"{name.partition('.')[0]}.npy", np.full((4, 5, 1), value + number, np.float32))
    return tmp_path


def test_stored_predictions_are_averaged_by_weight(stored: Path) -> None:
    found: dict[str, tuple[float, object]] = {}

    def take(name: str, array: np.ndarray, data: object) -> None:
        assert array.shape == (4, 5, 1)
        assert array.dtype == np.float32
        found[name] = (float(array.mean()), data)

    ensemble_predictions(stored / "images", [f"{stored}/a/", stored / "b"], take, "data", weights=[3, 1])
    assert found == {
        "one.jpg": (pytest.approx((3 * 0.25 + 1) / 4), "data"),
        "two.v2.png": (pytest.approx((3 * 1.25 + 2) / 4), "data"),
    }


def test_missing_arrays_are_all_named_before_anything_is_averaged(stored: Path) -> None:
    (stored / "a" / "one.npy").unlink()
    (stored / "b" / "two.npy").unlink()
    calls: list[str] = []
    with pytest.raises(DataError, match=r"2 of 4 stored predictions are missing \(.*a/one\.npy, .*b/two\.npy\)"):
        ansemblePredictions(
            stored / "images", [f"{stored}/a/", f"{stored}/b/"], lambda name, array, data: calls.append(name), None
        )
    assert not calls


def test_arrays_of_different_shape_and_damaged_ones_are_refused(stored: Path) -> None:
    folders = [stored / "a", stored / "b"]
    np.save(stored / "b" / "one.npy", np.zeros((4, 4, 1), np.float32))
    with pytest.raises(DataError, match=r"one\.npy.*\(4, 4, 1\), that of .*\(4, 5, 1\)"):
        ensemble_predictions(stored / "images", folders, print)
    (stored / "b" / "one.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match="no stored prediction"):
        ensemble_predictions(stored / "images", folders, print)


def test_no_folders_are_refused(stored: Path) -> None:
    with pytest.raises(MusketError, match="one folder"):
        ensemble_predictions(stored / "images", [], print)
