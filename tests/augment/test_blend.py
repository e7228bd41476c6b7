from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from steps import flat, image_of, run

from musket.augment.blend import AlphaElementwise, FrequencyNoiseAlpha, SimplexNoiseAlpha, mix_masks
from musket.augment.catalogue import AUGMENTERS
from musket.augment.noise import AddElementwise, MultiplyElementwise
from musket.augment.noise_maps import NoiseMaps, frequency_map, sigmoid, simplex_map
from musket.core.errors import MusketError

BLACK, WHITE = (MultiplyElementwise(0.0),), (AddElementwise(255),)


@pytest.mark.parametrize(("dtype", "unit"), [(np.uint8, 1), (np.uint16, 257), (np.float32, 1 / 255)])
def test_shares_by_hand(dtype, unit):
    image = flat(100 * unit, dtype)
    mixed = image_of(AlphaElementwise(0.25, first=BLACK, second=WHITE), image) / unit
    assert mixed == pytest.approx(np.full(image.shape, 0.75 * 255), abs=0.51)
    assert image_of(AlphaElementwise(0.25, first=BLACK), image)[0, 0] / unit == pytest.approx([75] * 3, abs=0.01)
    assert np.array_equal(image_of(AlphaElementwise(0.5), image), image)


def test_a_share_for_every_pixel():
    shares = image_of(AlphaElementwise((0.0, 0.5), first=BLACK), flat(1.0, np.float32))
    assert np.array_equal(shares[..., 0], shares[..., 1])
    assert stats.kstest(1 - shares[..., 0].ravel(), stats.uniform(0, 0.5).cdf).pvalue > 0.01
    own = image_of(AlphaElementwise((0.0, 0.3, 1.0), first=BLACK, per_channel=True), flat(1.0, np.float32))
    assert {round(float(value), 3) for value in own.ravel()} == {0.0, 0.7, 1.0}
    assert not np.array_equal(own[..., 0], own[..., 1])


def test_masks_come_from_the_larger_share():
    first, second = np.ones((1, 4, 2), np.uint8), np.zeros((1, 4, 2), np.uint8)
    share = np.array([[[0.0, 0.2], [0.4, 0.5], [0.5, 0.5], [0.2, 1.0]]])
    assert mix_masks(first, second, share)[..., 0].tolist() == [[0, 0, 1, 1]]


def test_image_and_mask_agree_where_children_move_pixels():
    mask = np.zeros((32, 32, 1), np.uint8)
    mask[:, :16] = 1
    image = np.repeat(mask * np.uint8(255), 3, axis=2)
    flip = (AUGMENTERS.load("Fliplr")(p=1.0),)
    operation = SimplexNoiseAlpha(first=flip, upscale_method="nearest", sigmoid_thresh=0.0)
    changed = 0
    for seed in range(10):
        mixed, moved = run(operation, image, seed, mask)
        clear = (mixed[..., 0] < 120) | (mixed[..., 0] > 135)
        assert np.array_equal(mixed[..., 0][clear] > 127, moved[..., 0][clear] == 1)
        changed += not np.array_equal(moved, mask)
    assert changed


def test_children_that_change_the_size_are_brought_back():
    cut = (AUGMENTERS.load("CropToFixedSize")(width=10, height=10),)
    image, mask = run(AlphaElementwise(1.0, first=cut), flat(9, shape=(20, 30, 3)), 0, np.ones((20, 30, 1), np.uint8))
    assert image.shape == (20, 30, 3)
    assert mask.shape == (20, 30, 1)


def test_sigmoid_by_hand():
    assert sigmoid(np.array([0.5, 1.0, 0.0]), 0.0) == pytest.approx([0.5, 1 / (1 + np.exp(-10)), 1 / (1 + np.exp(10))])
    assert sigmoid(np.array([0.75]), 5.0) == pytest.approx([0.5])


def test_simplex_noise_is_continuous_and_fills_its_range():
    maps = np.stack([simplex_map(np.random.default_rng(seed), 16, 16) for seed in range(50)])
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert maps.mean() == pytest.approx(0.5, abs=0.02)
    assert maps.min() < 0.1
    assert maps.max() > 0.9


@pytest.mark.parametrize(("exponent", "low", "high"), [(-4.0, 0.95, 1.01), (0.0, 0.1, 0.4), (4.0, 0.0, 0.02)])
def test_exponents_choose_frequencies(exponent, low, high):
    """Share of the power in the lowest quarter of all frequencies (32 x 32: below 8, some 19 % of them)."""
    values = frequency_map(exponent)(np.random.default_rng(1), 32, 32)
    assert (values.min(), values.max()) == (0, 1)
    power = np.abs(np.fft.fft2(values - values.mean())) ** 2
    side = np.abs(np.fft.fftfreq(32) * 32)
    near = np.hypot(side[:, None], side) < 8
    assert low <= power[near].sum() / power.sum() <= high


@pytest.mark.parametrize(("method", "value"), [("min", 0.2), ("max", 0.8), ("avg", 0.5)])
def test_maps_are_combined(method, value):
    levels = iter([0.2, 0.8, 0.5])
    maps = NoiseMaps(4, "linear", 3, method, False, None)
    combined = maps.draw(np.random.default_rng(0), 8, 12, lambda random, h, w: np.full((h, w), next(levels)))
    assert combined.shape == (8, 12)
    assert combined == pytest.approx(np.full((8, 12), value))


def test_small_maps_keep_the_aspect():
    seen = []
    maps = NoiseMaps((4, 8), ("nearest", "cubic"), 20, ("avg",), False, None)
    maps.draw(np.random.default_rng(0), 40, 80, lambda random, h, w: seen.append((h, w)) or np.zeros((h, w)))
    assert {width for _, width in seen} == {4, 5, 6, 7, 8}
    assert all(height == width // 2 for height, width in seen)


def test_thresholds_choose_how_much_is_seen():
    image = flat(200)
    dark = image_of(SimplexNoiseAlpha(first=BLACK, sigmoid_thresh=-30.0), image)
    light = image_of(FrequencyNoiseAlpha(first=BLACK, sigmoid=True, sigmoid_thresh=30.0), image)
    assert dark.max() == 0
    assert light.min() == 200


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: AlphaElementwise(1.2), "AlphaElementwise: factor must lie from 0 to 1"),
        (lambda: SimplexNoiseAlpha(size_px_max=0), "SimplexNoiseAlpha: size_px_max must lie from 1"),
        (lambda: FrequencyNoiseAlpha(exponent=99.0), "FrequencyNoiseAlpha: exponent must lie from -20 to 20"),
        (lambda: FrequencyNoiseAlpha(sigmoid=3.0), "FrequencyNoiseAlpha: sigmoid must lie from 0 to 1"),
    ],
)
def test_refusals(build, told):
    with pytest.raises(MusketError, match=told):
        build()
