from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from steps import flat, image_of

from musket.augment.noise import (
    AddElementwise,
    AdditiveGaussianNoise,
    CoarseDropout,
    CoarsePepper,
    CoarseSalt,
    CoarseSaltAndPepper,
    Dropout,
    MultiplyElementwise,
    Pepper,
    ReplaceElementwise,
    Salt,
    SaltAndPepper,
)
from musket.core.errors import MusketError


@pytest.mark.parametrize(("dtype", "unit"), [(np.uint8, 1), (np.uint16, 257), (np.float32, 1 / 255)])
def test_gaussian_noise_has_its_mean_and_deviation(dtype, unit):
    noise = (
        image_of(AdditiveGaussianNoise(loc=5.0, scale=10.0), flat(100 * unit, dtype)).astype(float)[..., 0] / unit - 100
    )
    assert noise.mean() == pytest.approx(5, abs=4 * 10 / np.sqrt(noise.size))
    assert noise.std() == pytest.approx(10, abs=4 * 10 / np.sqrt(2 * noise.size))


def test_gaussian_noise_is_gaussian():
    noise = image_of(AdditiveGaussianNoise(scale=20.0), flat(0.5, np.float32))[..., 0].ravel()
    assert stats.kstest(noise, stats.norm(0.5, 20 / 255).cdf).pvalue > 0.01


def test_noise_of_8_bits_is_rounded_not_cut():
    noise = image_of(AdditiveGaussianNoise(scale=0.4), flat(100)).astype(int)[..., 0] - 100
    shares = [np.mean(noise == number) for number in (-1, 0, 1)]
    wanted = stats.norm(0, 0.4).cdf([0.5, 1.5]) - stats.norm(0, 0.4).cdf([-0.5, 0.5])
    assert shares == pytest.approx([wanted[1], wanted[0], wanted[1]], abs=0.02)


def test_channels_share_their_noise_unless_told():
    image = flat(128)
    shared = image_of(AdditiveGaussianNoise(scale=10.0), image)
    assert np.array_equal(shared[..., 0], shared[..., 2])
    own = image_of(AdditiveGaussianNoise(scale=10.0, per_channel=True), image).reshape(-1, 3).astype(float)
    assert np.abs(np.corrcoef(own.T) - np.eye(3)).max() < 0.03


def test_per_channel_as_a_probability():
    image = flat(128, shape=(8, 8, 3))
    operation = AdditiveGaussianNoise(scale=30.0, per_channel=0.3)
    results = [image_of(operation, image, seed) for seed in range(300)]
    own = sum(not np.array_equal(result[..., 0], result[..., 1]) for result in results)
    assert own == pytest.approx(90, abs=32)  # 4 deviations of the binomial distribution


def test_noise_is_clipped():
    image = np.array([[[0, 128, 255]]], np.uint8)
    assert image_of(AddElementwise(200), image).tolist() == [[[200, 255, 255]]]
    assert image_of(AddElementwise(-200), image).tolist() == [[[0, 0, 55]]]


def test_whole_numbers_from_both_ends_of_a_range():
    values = image_of(AddElementwise((-2, 2)), flat(100, shape=(200, 200, 1)))
    counts = np.bincount(values.ravel())[98:]
    assert len(counts) == 5
    assert stats.chisquare(counts).pvalue > 0.01


def test_numbers_of_a_list_are_choices():
    values = image_of(AddElementwise((1, 5, 9)), flat(100))
    assert sorted(set(values.ravel().tolist())) == [101, 105, 109]


def test_options_count_to_255_whatever_the_depth():
    assert set(image_of(AddElementwise(3), flat(1000, np.uint16)).ravel()) == {1000 + 3 * 257}
    assert image_of(AddElementwise(51), flat(0.5, np.float32))[0, 0, 0] == pytest.approx(0.7)
    assert image_of(ReplaceElementwise(1.0, 51.0), flat(0.5, np.float32))[0, 0, 0] == pytest.approx(0.2)
    assert set(image_of(ReplaceElementwise(1.0, 100.0), flat(7, np.uint16)).ravel()) == {25700}


def test_factors():
    assert set(image_of(MultiplyElementwise(0.5), flat(101)).ravel()) == {50}  # 50.5 to the even neighbour
    assert set(image_of(MultiplyElementwise(3.0), flat(30_000, np.uint16)).ravel()) == {65_535}
    factors = image_of(MultiplyElementwise((0.5, 1.5)), flat(0.5, np.float32))[..., 0] / 0.5
    assert stats.kstest(factors.ravel(), stats.uniform(0.5, 1).cdf).pvalue > 0.01


@pytest.mark.parametrize("per_channel", [False, True])
def test_dropout(per_channel):
    dropped = image_of(Dropout(0.2, per_channel=per_channel), flat(9)) == 0
    assert dropped.mean() == pytest.approx(0.2, abs=0.012)
    assert np.array_equal(dropped[..., 0], dropped[..., 1]) != per_channel


def test_a_share_is_drawn_for_every_image():
    shares = [np.mean(image_of(Dropout((0.0, 0.5)), flat(9), seed) == 0) for seed in range(40)]
    assert stats.kstest(shares, stats.uniform(0, 0.5).cdf).pvalue > 0.01


def test_salt_and_pepper_follow_an_arcsine():
    values = image_of(SaltAndPepper(1.0), flat(0.5, np.float32))[..., 0].ravel()
    assert stats.kstest(values, stats.beta(0.5, 0.5).cdf).pvalue > 0.01
    salt = image_of(Salt(1.0), flat(0.1, np.float32))[..., 0].ravel()
    assert salt.min() >= 0.5
    assert stats.kstest(salt, lambda x: 2 * stats.beta(0.5, 0.5).cdf(x) - 1).pvalue > 0.01
    pepper = image_of(Pepper(1.0), flat(0.9, np.float32))[..., 0].ravel()
    assert pepper.max() <= 0.5
    assert stats.kstest(pepper, lambda x: 2 * stats.beta(0.5, 0.5).cdf(x)).pvalue > 0.01


def test_rectangles_are_cells_of_the_small_picture():
    dropped = image_of(CoarseDropout(0.4, size_px=4, min_size=1), flat(9, shape=(32, 48, 3))) == 0
    cells = dropped[..., 0].reshape(4, 8, 4, 12).mean(axis=(1, 3))
    assert set(cells.ravel()) == {0, 1}


def test_sizes_of_rectangles():
    percent = image_of(CoarseDropout(0.4, size_percent=0.25, min_size=1), flat(9, shape=(32, 48, 3)))
    pixels = (percent[..., 0] == 0).reshape(8, 4, 12, 4).mean(axis=(1, 3))
    assert set(pixels.ravel()) == {0, 1}
    least = image_of(CoarseDropout(0.4, size_px=1, min_size=4), flat(9, shape=(32, 48, 3)))
    assert 0 < (least == 0).mean() < 1


def test_rectangles_of_noise():
    grey = flat(128)
    assert image_of(CoarseSalt(0.3), grey).min() == 128
    assert image_of(CoarsePepper(0.3), grey).max() == 128
    both = image_of(CoarseSaltAndPepper(0.3), grey)
    assert both.min() < 10
    assert both.max() > 245


def test_nothing_to_do():
    image = flat(9)
    for operation in (Dropout(0.0), AdditiveGaussianNoise(scale=0.0), AddElementwise(0), MultiplyElementwise(1.0)):
        assert np.array_equal(image_of(operation, image), image)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: Dropout(1.5), r"Dropout: p must lie from 0 to 1; found 1.5"),
        (lambda: Pepper((0.1, 2.0)), r"Pepper: p must lie from 0 to 1; found \[0.1, 2.0\]"),
        (lambda: AddElementwise((-300, 0)), "AddElementwise: value must lie from -255 to 255"),
        (lambda: AdditiveGaussianNoise(scale=-1.0), "AdditiveGaussianNoise: scale must lie from 0"),
        (lambda: CoarseSalt(size_px=3, size_percent=0.1), "CoarseSalt: size_px and size_percent say the same"),
        (lambda: CoarseDropout(size_px=0), "CoarseDropout: size_px must lie from 1"),
        (lambda: Salt(per_channel=2.0), "Salt: per_channel must lie from 0 to 1"),
    ],
)
def test_refusals(build, told):
    with pytest.raises(MusketError, match=told):
        build()
