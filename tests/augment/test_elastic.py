from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from steps import flat, run

from musket.augment.elastic import ElasticTransformation, PiecewiseAffine, displacements, moved_grid, remap
from musket.core.errors import MusketError

MASK = (np.hypot(*np.mgrid[-32:32, -40:40]) < 22).astype(np.uint8)[..., None]
WARPS = [ElasticTransformation(200.0, 5.0, order=0), PiecewiseAffine(0.05, order=0)]


@pytest.mark.parametrize("sigma", [3.0, 5.0])
def test_displacements_are_blurred_uniform_noise(sigma):
    """Uniform noise in -a..a has the variance a^2 / 3; a Gaussian blur divides it by 4 pi sigma^2."""
    shifts = displacements(300, 400, 60.0, sigma, seed=1)
    wanted = 60 / np.sqrt(3) / (2 * np.sqrt(np.pi) * sigma)
    assert shifts.std() == pytest.approx(wanted, rel=0.1)
    assert shifts.mean() == pytest.approx(0, abs=0.1 * wanted)
    assert np.abs(np.corrcoef(shifts[0].ravel(), shifts[1].ravel())[0, 1]) < 0.1
    assert np.diff(shifts, axis=2).std() == pytest.approx(wanted / (np.sqrt(2) * sigma), rel=0.1)  # smooth


@pytest.mark.parametrize("warp", WARPS, ids=lambda warp: type(warp).__name__)
def test_image_and_mask_move_alike(warp):
    image = np.repeat(MASK * np.uint8(200), 3, axis=2)
    for seed in range(5):
        moved, mask = run(warp, image, seed, MASK)
        assert not np.array_equal(mask, MASK)
        assert np.array_equal(moved[..., :1] == 200, mask == 1)
        assert 0.6 < mask.sum() / MASK.sum() < 1.6


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("order", [0, 1, 3])
def test_sampling_against_scipy(order, channels):
    random = np.random.default_rng(2)
    image = random.random((20, 25, channels), dtype=np.float32)
    x = random.uniform(3, 20, (20, 25)).astype(np.float32)
    y = random.uniform(3, 15, (20, 25)).astype(np.float32)
    result, _ = remap(image, None, x, y, order, "constant", 0)
    assert result.shape == image.shape
    if order == 3:  # OpenCV's cubic is a convolution, scipy's a spline
        assert np.abs(result - ndimage.map_coordinates(image[..., 0], (y, x), order=1)[..., None]).mean() < 0.3
        return
    for channel in range(channels):
        wanted = ndimage.map_coordinates(image[..., channel], (y, x), order=order)
        assert np.abs(result[..., channel] - wanted).max() < 1 / 32  # OpenCV keeps positions to 1/32 pixel


@pytest.mark.parametrize(
    ("mode", "value"), [("constant", 51), ("edge", 10), ("reflect", 20), ("symmetric", 10), ("wrap", 40)]
)
def test_what_is_outside(mode, value):
    image = np.array([[10, 20, 30, 40]] * 4, np.uint8)[..., None]
    x = np.full((1, 1), -1, np.float32)
    moved, mask = remap(image, np.ones((4, 4, 6), np.uint8), x, np.zeros((1, 1), np.float32), 0, mode, 51)
    assert moved[0, 0, 0] == value
    assert set(mask.ravel()) == {0 if mode == "constant" else 1}


def test_the_fill_counts_to_255():
    away = np.full((1, 1), -50, np.float32)
    assert remap(flat(7, np.uint16), None, away, away, 1, "constant", 100)[0].tolist() == [[[25700] * 3]]
    assert remap(flat(0.5, np.float32), None, away, away, 1, "constant", 51)[0] == pytest.approx(0.2)


def test_a_grid_that_does_not_move():
    x, y = moved_grid(7, 9, np.zeros((2, 3, 4)))
    assert x == pytest.approx(np.tile(np.arange(9), (7, 1)), abs=1e-5)
    assert y == pytest.approx(np.tile(np.arange(7)[:, None], (1, 9)), abs=1e-5)


def test_points_of_a_grid_and_the_triangles_between():
    """Four points around a square of 5 x 5 pixels: the lower right one moves by (-2, -1)."""
    jitter = np.zeros((2, 2, 2), np.float32)
    jitter[:, 1, 1] = -2, -1
    x, y = moved_grid(5, 5, jitter)
    assert (x[4, 4], y[4, 4]) == (2, 3)
    assert (x[2, 2], y[2, 2]) == (1, 1.5)  # on the diagonal: half way
    assert (x[0, 4], y[0, 4]) == (4, 0)
    assert (x[2, 4], y[2, 4]) == (3, 1.5)  # between (4, 0) and (2, 3)
    assert (x[4, 2], y[4, 2]) == (1, 3.5)  # between (0, 4) and (2, 3)
    assert (x[1, 3], y[1, 3]) == (2.5, 0.75)  # three quarters right, one down: 3 + (-2) / 4 and 1 + (-1) / 4


def test_points_stay_inside():
    x, y = moved_grid(6, 8, np.full((2, 3, 3), -100, np.float32))
    assert (x == 0).all()
    assert (y == 0).all()


def test_scale_in_pixels():
    operation = PiecewiseAffine(2.0, nb_rows=2, nb_cols=2, absolute_scale=True, mode="edge")
    ramp = np.tile(np.arange(101, dtype=np.uint8), (101, 1))[..., None]
    corners = [int(run(operation, ramp, seed)[0][0, 0, 0]) for seed in range(200)]
    assert np.mean([corner > 0 for corner in corners]) == pytest.approx(0.5, abs=0.17)  # half of them would leave
    assert max(corners) < 9


def test_scale_is_another_name_of_alpha():
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    assert np.array_equal(run(ElasticTransformation(scale=30.0), image)[0], run(ElasticTransformation(30.0), image)[0])
    with pytest.raises(MusketError, match="scale is another name of alpha"):
        ElasticTransformation(30.0, scale=30.0)


def test_nothing_to_do():
    image = flat(9)
    assert np.array_equal(run(ElasticTransformation(0.0), image)[0], image)
    assert np.array_equal(run(PiecewiseAffine(0.0), image)[0], image)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: ElasticTransformation(-1.0), "ElasticTransformation: alpha must lie from 0"),
        (lambda: PiecewiseAffine(nb_rows=1), "PiecewiseAffine: nb_rows must lie from 2"),
        (lambda: PiecewiseAffine(cval=300.0), "PiecewiseAffine: cval must lie from 0 to 255"),
    ],
)
def test_refusals(build, told):
    with pytest.raises(MusketError, match=told):
        build()
