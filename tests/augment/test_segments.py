from __future__ import annotations

import numpy as np
import pytest
from steps import image_of

from musket.augment.segments import Superpixels, slic, with_means
from musket.core.errors import MusketError


def quarters(dtype=np.uint8, channels=3):
    """Four flat quarters of unequal brightness, their borders a little off the middle."""
    image = np.empty((40, 60, channels), dtype)
    image[:22, :33], image[:22, 33:], image[22:, :33], image[22:, 33:] = 40, 90, 150, 220
    return image


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_areas_follow_colours(channels):
    image = quarters(channels=channels)
    labels = slic(image, 4)
    for rows in (slice(0, 22), slice(22, 40)):
        for columns in (slice(0, 33), slice(33, 60)):
            assert len(set(labels[rows, columns].ravel())) == 1
    assert len(set(labels.ravel())) == 4


@pytest.mark.parametrize("count", [1, 7, 60, 5000])
def test_how_many(count):
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    assert len(np.unique(slic(image, count))) == pytest.approx(min(count, 1500), rel=0.35)


def test_means_by_hand():
    image = np.array([[0, 10, 100], [20, 30, 200]], np.uint8)[..., None]
    labels = np.array([[0, 0, 1], [0, 0, 1]])
    assert with_means(image, labels, np.array([True, False]))[..., 0].tolist() == [[15, 15, 100], [15, 15, 200]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_means_replace_areas(dtype):
    unit = np.iinfo(dtype).max // 255
    noisy = (quarters() + np.random.default_rng(1).integers(0, 20, (40, 60, 1))).astype(dtype) * dtype(unit)
    result = image_of(Superpixels(1.0, 4, max_size=None), noisy)
    assert len(np.unique(result[..., 0])) == 4
    assert result[:22, :33, 0].ravel().tolist() == [round(noisy[:22, :33, 0].mean())] * 22 * 33


def test_a_share_of_the_areas():
    image = np.random.default_rng(2).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    kept = [np.mean((image_of(Superpixels(0.3, 100), image, seed) == image).all(axis=2)) for seed in range(20)]
    assert np.mean(kept) == pytest.approx(0.7, abs=0.05)
    assert np.array_equal(image_of(Superpixels(0.0), image), image)


def test_large_images_are_shrunk():
    image = np.random.default_rng(3).integers(0, 256, (100, 300, 3), dtype=np.uint8)
    result = image_of(Superpixels(0.01, 10, max_size=30, interpolation="nearest"), image)
    assert result.shape == image.shape
    blocks = result.reshape(10, 10, 30, 10, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()


def test_refusals():
    with pytest.raises(MusketError, match="Superpixels: p_replace must lie from 0 to 1"):
        Superpixels(2.0)
    with pytest.raises(MusketError, match="Superpixels: n_segments must lie from 1"):
        Superpixels(n_segments=0)
