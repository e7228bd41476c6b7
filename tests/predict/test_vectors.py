"""The way from images to vectors of scores, with networks whose answers are known."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from musket.predict.crops import Crops, MeanOfCells
from musket.predict.frame import InputShape
from musket.predict.heads import score_columns, split_heads
from musket.predict.results import PredictedMaps, as_batch
from musket.predict.runner import Scored, Source, predict
from musket.predict.sinks import score_row
from musket.predict.views import ALL, FLIPS, HORIZONTAL, Views, averaged

CPU = torch.device("cpu")
run = partial(predict, device=CPU, batch_size=4)


def means(images: torch.Tensor) -> torch.Tensor:
    """A network whose vector is the mean brightness of every channel, 0..255."""
    return images.float().mean((2, 3))


def corner(images: torch.Tensor) -> torch.Tensor:
    """A network that looks at the first pixel of the first row only."""
    return images[:, :, 0, 0].float()


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def source(name: str, image: np.ndarray) -> Source:
    return Source(name, lambda: (image, np.array([1.0, 0.0, 0.0], np.float32)))


def sources(count: int) -> list[Source]:
    return [source(f"image {n}", noise(10 + n % 3, 12, n)) for n in range(count)]


def test_vectors_come_in_order_and_without_a_way_back() -> None:
    found = list(run(sources(11), [means], InputShape(None, None, 3)))
    assert [one.id for one in found] == [f"image {n}" for n in range(11)]
    for number, one in enumerate(found):
        (vector,) = one.scores
        np.testing.assert_allclose(vector, noise(10 + number % 3, 12, number).mean((0, 1)), rtol=1e-5)
        assert vector.dtype == np.float32
        assert vector.base is None  # keeps no batch alive


def test_members_and_groups_are_averaged_with_weights() -> None:
    members = [means, lambda images: means(images) * 4]
    weights = [3.0, 1.0]
    for one in run(sources(5), members, InputShape(8, 8, 3), groups=[[0], [1], [0, 1]], weights=weights, turns=2):
        first, second, both = one.scores
        np.testing.assert_allclose(second, first * 4, rtol=1e-6)
        np.testing.assert_allclose(both, 0.75 * first + 0.25 * second, rtol=1e-6)


@pytest.mark.parametrize(("crops", "cells"), [(Crops(2), 4), (Crops(3), 9), (Crops(3, 0.5), 25)])
def test_the_vectors_of_cells_are_averaged(crops: Crops, cells: int) -> None:
    image = noise(30, 42)
    assert len(crops.windows(30, 42)) == cells
    [found] = run([source("a", image)], [means, corner], InputShape(None, None, 3), groups=[[0], [1]], crops=crops)
    parts = [image[window.slices] for window in crops.windows(30, 42)]
    np.testing.assert_allclose(found.scores[0], np.mean([part.mean((0, 1)) for part in parts], axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.scores[1], np.mean([part[0, 0] for part in parts], axis=0), rtol=1e-5)


def test_the_mean_of_cells_does_not_depend_on_their_order() -> None:
    vectors = np.random.default_rng(0).random((4, 3)).astype(np.float32)
    windows = Crops(2).windows(8, 8)
    both = [MeanOfCells(4, 3), MeanOfCells(4, 3)]
    for window, vector in zip(windows, vectors, strict=True):
        both[0].add(window, vector)
    for window, vector in zip(windows[::-1], vectors[::-1], strict=True):
        both[1].add(window, vector)
    np.testing.assert_allclose(both[0].scores, vectors.mean(0), rtol=1e-6)
    np.testing.assert_allclose(both[0].scores, both[1].scores, rtol=1e-6)


@pytest.mark.parametrize(("views", "turned"), [(HORIZONTAL, 2), (FLIPS, 4), (ALL, 8)])
def test_views_of_vectors_are_averaged_as_they_are(views: Views, turned: int) -> None:
    image = noise(8, 8)
    [found] = run([source("a", image)], [averaged(corner, views, maps=False)], InputShape(8, 8, 3))
    corners = [image[0, 0], image[0, -1]] if turned == 2 else [image[y, x] for y in (0, -1) for x in (0, -1)]
    np.testing.assert_allclose(found.scores[0], np.mean(corners, axis=0), rtol=1e-6)


def test_heads_are_split_where_there_are_several() -> None:
    vectors = np.arange(12.0).reshape(2, 6)
    assert split_heads(vectors, (6,)) is vectors
    first, second, third = split_heads(vectors, (1, 3, 2))
    np.testing.assert_array_equal(first, vectors[:, :1])
    np.testing.assert_array_equal(second, vectors[:, 1:4])
    np.testing.assert_array_equal(third, vectors[:, 4:])
    assert [part.shape for part in split_heads(vectors[0], (1, 3, 2))] == [(1,), (3,), (2,)]
    with pytest.raises(ValueError, match="make no 6"):
        split_heads(vectors, (3, 2))


def test_columns_are_named_by_classes_and_heads_and_differ() -> None:
    assert score_columns((2,), [None], ["0"]) == ["score_0", "score_1"]
    assert score_columns((2,), [["cat", "dog"]], ["0"]) == ["cat", "dog"]
    assert score_columns((2, 1), [["cat", "dog"], None], ["kind", "age"]) == ["kind_cat", "kind_dog", "age_0"]
    assert score_columns((2,), [["image", "dog"]], ["0"]) == ["score_0", "score_1"]
    assert score_columns((2,), [["dog", "dog"]], ["0"]) == ["score_0", "score_1"]
    assert score_columns((2, 2), [["b_c", "d"], ["c", "e"]], ["a", "a_b"]) == ["a_0", "a_1", "a_b_0", "a_b_1"]


def test_a_row_has_the_columns_it_is_given() -> None:
    row = score_row("a.jpg", np.array([0.25, 0.75]), ["cat", "dog"])
    assert row == {"image": "a.jpg", "cat": "0.25", "dog": "0.75"}


def scored(scores: np.ndarray, truth: np.ndarray | None) -> Scored:
    return Scored("a", noise(4, 4), truth, [scores])


def test_a_batch_of_vectors_has_truth_and_no_maps() -> None:
    vector, truth = np.array([0.1, 0.2, 0.7]), np.array([0, 0, 1], np.uint8)
    batch = as_batch([scored(vector, truth)] * 2, (3,))
    assert len(batch) == 2
    assert batch.data == ["a", "a"]
    np.testing.assert_array_equal(np.array(batch.results), [vector, vector])
    np.testing.assert_array_equal(np.array(batch.ground_truth), [truth, truth])
    assert not isinstance(batch, PredictedMaps)
    assert not hasattr(batch, "predicted_maps_aug")
    assert as_batch([scored(vector, None)], (3,)).ground_truth == []


def test_a_batch_of_several_heads_has_a_list_per_sample() -> None:
    batch = as_batch([scored(np.array([0.1, 0.9, 5.0]), np.array([0.0, 1.0, 4.0]))], (2, 1))
    ((kind, age),) = batch.results
    np.testing.assert_array_equal(kind, [0.1, 0.9])
    np.testing.assert_array_equal(age, [5.0])
    assert [truth.tolist() for truth in batch.ground_truth[0]] == [[0.0, 1.0], [4.0]]
