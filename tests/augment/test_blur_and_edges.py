from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage
from steps import flat, image_of

from musket.augment.blur import AverageBlur, BilateralBlur, Convolve, GaussianBlur, MedianBlur
from musket.augment.edges import DirectedEdgeDetect, EdgeDetect, Emboss, Sharpen, directed_edges
from musket.core.errors import MusketError

RANDOM = np.random.default_rng(1)
BYTES = RANDOM.integers(0, 256, (24, 30, 3), dtype=np.uint8)
WORDS = RANDOM.integers(0, 65536, (24, 30, 5), dtype=np.uint16)
FLOATS = RANDOM.random((24, 30, 2), dtype=np.float32)
ALL = pytest.mark.parametrize("image", [BYTES, BYTES[..., :1], WORDS, FLOATS], ids=["8", "grey", "16", "float"])


def impulse(value=1.0):
    image = flat(0, np.float32, (21, 21, 1))
    image[10, 10] = value
    return image


@pytest.mark.parametrize(("sigma", "reach"), [(1.0, 2), (2.0, 3), (2.9, 4), (4.0, 5), (6.0, 7)])
def test_gaussian_blur_is_a_product_of_two_bells(sigma, reach):
    """Kernels as wide as imgaug's: 3.3 deviations below 3, then 2.9, at least 5 pixels, odd."""
    bell = [math.exp(-(x**2) / (2 * sigma**2)) for x in range(-reach, reach + 1)]
    bell = np.pad(np.array(bell) / sum(bell), 10 - reach)
    assert image_of(GaussianBlur(sigma), impulse())[..., 0] == pytest.approx(np.outer(bell, bell), abs=1e-6)


def test_a_sigma_of_nothing_changes_nothing():
    assert np.array_equal(image_of(GaussianBlur(0.0), BYTES), BYTES)
    assert np.array_equal(image_of(AverageBlur(1), BYTES), BYTES)
    assert np.array_equal(image_of(MedianBlur(0), BYTES), BYTES)
    assert np.array_equal(image_of(BilateralBlur(1), BYTES), BYTES)
    assert np.array_equal(image_of(Convolve(), BYTES), BYTES)


@ALL
def test_average_is_the_mean_of_a_square(image):
    result = image_of(AverageBlur(3), image).astype(float)
    wanted = np.stack([ndimage.uniform_filter(c.astype(float), 3, mode="mirror") for c in np.moveaxis(image, 2, 0)], 2)
    assert result == pytest.approx(wanted, abs=0.5001 if image.dtype.kind == "u" else 1e-6)


@ALL
@pytest.mark.parametrize("k", [3, 4, 7])
def test_median(image, k):
    size = k | 1
    wanted = ndimage.median_filter(image, (size, size, 1), mode="nearest")
    assert np.array_equal(image_of(MedianBlur(k), image), wanted)


def test_bilateral_weights():
    """Diameter 3: the pixel and its four neighbours; colours count for nothing when sigma_color is large."""
    near = math.exp(-1 / (2 * 2.0**2))
    result = image_of(BilateralBlur(3, 1e6, 2.0), impulse())[..., 0]
    assert result[10, 10] == pytest.approx(1 / (1 + 4 * near), abs=1e-4)
    assert result[10, 9] == pytest.approx(near / (1 + 4 * near), abs=1e-4)
    assert result[9, 9] == 0


def test_bilateral_keeps_edges():
    image = flat(20)
    image[:, 80:] = 220
    assert np.array_equal(image_of(BilateralBlur(7, 10.0, 10.0), image), image)
    mixed = image_of(BilateralBlur(7, 250.0, 10.0), image)[64, 79, 0]
    assert 20 < mixed < 120


def test_bilateral_of_every_depth_is_the_same():
    smooth = ndimage.gaussian_filter(BYTES.astype(float), (2, 2, 0))
    operation = BilateralBlur(5, 60.0, 3.0)
    of_bytes = image_of(operation, np.rint(smooth).astype(np.uint8)).astype(float)
    assert image_of(operation, np.rint(smooth * 257).astype(np.uint16)) / 257 == pytest.approx(of_bytes, abs=1.5)
    assert image_of(operation, (smooth / 255).astype(np.float32)) * 255 == pytest.approx(of_bytes, abs=1.5)


@ALL
def test_convolve_is_a_correlation(image):
    matrix = ((0.5, 0.0, -0.25), (0.0, 0.25, 0.0), (0.25, 0.0, 0.25))
    planes = [ndimage.correlate(c.astype(float), np.array(matrix), mode="mirror") for c in np.moveaxis(image, 2, 0)]
    top = 1.0 if image.dtype.kind == "f" else np.iinfo(image.dtype).max
    wanted = np.clip(np.stack(planes, 2), 0, top)
    result = image_of(Convolve(matrix), image).astype(float)
    assert result == pytest.approx(wanted, abs=0.5001 if image.dtype.kind == "u" else 1e-6)


def seen(operation):
    """The 3 x 3 matrix of an operation, as an impulse on grey shows it."""
    image = flat(0.5, np.float32, (9, 9, 1))
    image[4, 4] += 0.01
    difference = (
        image_of(operation, image).astype(float)[..., 0] - image_of(operation, flat(0.5, np.float32, (9, 9, 1)))[..., 0]
    )
    return difference[3:6, 3:6][::-1, ::-1] / 0.01


def test_matrices():
    sharpened = np.array([[-0.1] * 3, [-0.1, 0.9 + 0.1 * 9, -0.1], [-0.1] * 3])
    assert seen(Sharpen(0.1, 1.0)) == pytest.approx(sharpened, abs=1e-4)
    embossed = np.array([[-0.15, -0.05, 0], [-0.05, 1, 0.05], [0, 0.05, 0.15]])
    assert seen(Emboss(0.1, 0.5)) == pytest.approx(embossed, abs=1e-4)
    assert seen(EdgeDetect(0.1)) == pytest.approx(np.array([[0, 0.1, 0], [0.1, 0.5, 0.1], [0, 0.1, 0]]), abs=1e-4)


def test_sharpening_by_hand():
    image = np.zeros((3, 3, 1), np.uint8)
    image[1, 1] = 20
    assert image_of(Sharpen(0.5, 1.0), image)[1, 1, 0] == 100  # 0.5 * 20 + 0.5 * (8 + 1) * 20
    assert image_of(EdgeDetect(1.0), image)[..., 0].tolist() == [[0, 40, 0], [40, 0, 40], [0, 40, 0]]  # mirrored border


@pytest.mark.parametrize("direction", [0.0, 0.25, 0.4, 0.875])
def test_directed_edges_against_the_angle_between_vectors(direction):
    """Shares by the angle between a neighbour and the direction, which turns clockwise from the top."""
    ahead = (math.sin(2 * math.pi * direction), -math.cos(2 * math.pi * direction))
    shares = {}
    for x in (-1, 0, 1):
        for y in (-1, 0, 1):
            if (x, y) != (0, 0):
                cosine = (x * ahead[0] + y * ahead[1]) / math.hypot(x, y)
                shares[x, y] = (1 - math.acos(max(-1, min(1, cosine))) / math.pi) ** 4
    matrix = directed_edges(direction)
    assert matrix[1, 1] == 1
    for (x, y), share in shares.items():
        assert matrix[y + 1, x + 1] == pytest.approx(-share / sum(shares.values()), abs=1e-6)


def test_edges_from_the_right():
    """Bright on the left, dark on the right: seen from the right there is an edge, from the left there is none."""
    image = flat(200)
    image[:, 80:] = 20
    assert image_of(DirectedEdgeDetect(1.0, 0.25), image)[64, 79, 0] > 60
    assert image_of(DirectedEdgeDetect(1.0, 0.75), image)[64, 79, 0] < 20


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: GaussianBlur(-1.0), "GaussianBlur: sigma must lie from 0"),
        (lambda: MedianBlur((1, 999)), "MedianBlur: k must lie from 0 to 255"),
        (lambda: Convolve(((1.0, 2.0), (1.0,))), "Convolve: matrix is a list of rows of equal length"),
        (lambda: Convolve(()), "Convolve: matrix is a list of rows"),
        (lambda: Sharpen(2.0), "Sharpen: alpha must lie from 0 to 1"),
        (lambda: DirectedEdgeDetect(0.5, 7.0), "DirectedEdgeDetect: direction must lie"),
        (lambda: BilateralBlur(0), "BilateralBlur: d must lie from 1"),
    ],
)
def test_refusals(build, told):
    with pytest.raises(MusketError, match=told):
        build()
