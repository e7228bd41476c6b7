"""Operations that move pixels, against matrices and pixels worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from musket.augment.compile import Chain
from musket.augment.frames import Crop, CropAndPad, CropToFixedSize, Pad, PadToFixedSize
from musket.augment.geometry import Affine, Fliplr, Flipud, Noop, PerspectiveTransform, Resize, Rotate90
from musket.augment.steps import Frame, Geometry, Operation
from musket.core.errors import MusketError
from musket.core.runtime import generator

FRAME = Frame(40, 60, 3, np.dtype(np.uint8))


def drawn(operation: Operation, seed: int = 0, frame: Frame = FRAME) -> list[Geometry]:
    """The geometry of one draw."""
    steps = list(operation.draw(generator(seed), frame))
    assert all(isinstance(step, Geometry) for step in steps)
    return [step for step in steps if isinstance(step, Geometry)]


def run(operation: Operation, image: np.ndarray, seed: int = 0) -> np.ndarray:
    """The operation on an H x W plane, without a resize."""
    done, _ = Chain((operation,), None, None)(image[..., None], None, generator(seed))
    return done[..., 0]


def moved(step: Geometry, x: float, y: float) -> tuple[float, float]:
    """Where a point goes."""
    across, down, depth = step.matrix @ [x, y, 1]
    return across / depth, down / depth


def counted(height: int = 4, width: int = 5) -> np.ndarray:
    return np.arange(1, height * width + 1, dtype=np.uint8).reshape(height, width)


def test_flips_and_turns_are_numpys() -> None:
    image = counted()
    assert np.array_equal(run(Fliplr(), image), image[:, ::-1])
    assert np.array_equal(run(Flipud(), image), image[::-1])
    assert np.array_equal(run(Noop(), image), image)
    assert np.array_equal(run(Rotate90(enabled=False), image), image)
    turns = {run(Rotate90(), image, seed).tobytes() for seed in range(40)}
    assert turns == {np.rot90(image, k).tobytes() for k in range(4)}


def test_affine_turns_clockwise_about_the_centre() -> None:
    (step,) = drawn(Affine(rotate=90))
    centre = (29.5, 19.5)
    assert moved(step, *centre) == pytest.approx(centre)
    # A point right of the centre goes below it.
    assert moved(step, 39.5, 19.5) == pytest.approx((29.5, 29.5))


def test_affine_scales_then_shears_then_turns_then_shifts() -> None:
    """The product of the four matrices, worked out one after another."""
    options: dict[str, Any] = {
        "scale": {"x": 2.0, "y": 0.5},
        "shear": 20.0,
        "rotate": 30.0,
        "translate_px": {"x": 3, "y": -4},
    }
    (step,) = drawn(Affine(**options))
    angle, slope = math.radians(30), math.tan(math.radians(20))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = turn @ np.array([[1, -slope], [0, 1]]) @ np.diag([2, 0.5])
    for point in ((0.0, 0.0), (10.0, 30.0)):
        wanted = linear @ (np.array(point) - [29.5, 19.5]) + [29.5, 19.5] + [3, -4]
        assert moved(step, *point) == pytest.approx(wanted)
    (step,) = drawn(Affine(shear={"y": 45}))
    assert moved(step, 30.5, 19.5) == pytest.approx((30.5, 20.5))


def test_affine_shifts_by_shares_of_the_size_in_whole_pixels() -> None:
    (step,) = drawn(Affine(translate_percent={"x": 0.1, "y": -0.26}))
    assert moved(step, 0, 0) == pytest.approx((6, -10))
    image = counted()
    assert np.array_equal(run(Affine(translate_px={"x": 1, "y": 2}), image)[2:, 1:], image[:2, :4])
    filled = run(Affine(translate_px={"x": 2}, cval=9), image)
    assert (filled[:, :2] == 9).all()


@pytest.mark.parametrize(
    ("mode", "left"),
    [("edge", [1, 1]), ("reflect", [3, 2]), ("symmetric", [2, 1]), ("wrap", [4, 5]), ("constant", [0, 0])],
)
def test_borders_are_numpys(mode: Any, left: list[int]) -> None:
    row = np.array([[1, 2, 3, 4, 5]], np.uint8)
    assert run(Affine(translate_px={"x": 2}, mode=mode), row)[0, :2].tolist() == left
    assert run(Pad(px=(0, 0, 0, 2), pad_mode=mode, keep_size=False), row)[0, :2].tolist() == left


def test_ranges_are_filled_and_axes_drawn_apart() -> None:
    scales = [drawn(Affine(scale=(0.5, 2.0)), seed)[0].matrix for seed in range(200)]
    values = np.array([matrix[0, 0] for matrix in scales])
    assert values.min() >= 0.5
    assert values.max() <= 2.0
    assert values.min() < 0.6
    assert values.max() > 1.9
    assert 1.1 < values.mean() < 1.4
    assert all(matrix[0, 0] == pytest.approx(matrix[1, 1]) for matrix in scales)
    apart = [drawn(Affine(scale={"x": (0.5, 2.0), "y": (0.5, 2.0)}), seed)[0].matrix for seed in range(5)]
    assert all(matrix[0, 0] != pytest.approx(matrix[1, 1]) for matrix in apart)
    both = [drawn(Affine(translate_percent=(-0.5, 0.5)), seed)[0].matrix[:2, 2] for seed in range(20)]
    assert all(x / 60 == pytest.approx(y / 40, abs=0.03) for x, y in both)


def test_perspective_maps_points_near_the_corners_to_the_corners() -> None:
    for seed in range(20):
        (step,) = drawn(PerspectiveTransform(0.1), seed)
        assert (step.height, step.width) == (40, 60)
        back = np.linalg.inv(step.matrix) @ np.array([[-0.5, 59.5, 59.5, -0.5], [-0.5, -0.5, 39.5, 39.5], [1, 1, 1, 1]])
        x, y = back[:2] / back[2]
        assert (x > -0.51).all()
        assert (x < 59.51).all()
        assert (y > -0.51).all()
        assert (y < 39.51).all()
        # Looked at from outside in: always a zoom.
        assert x[1] - x[0] < 60.01
    (still,) = drawn(PerspectiveTransform(0.0))
    assert np.allclose(still.matrix, np.eye(3))
    sizes = {(step.height, step.width) for seed in range(5) for step in drawn(PerspectiveTransform(0.1, False), seed)}
    assert all(height <= 42 and width <= 62 for height, width in sizes)
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (30, (30, 30)),
        (0.5, (20, 30)),
        (2.0, (80, 120)),
        ({"height": 20, "width": "keep-aspect-ratio"}, (20, 30)),
        ({"width": 90, "height": "keep-aspect-ratio"}, (60, 90)),
        ({"width": 30}, (40, 30)),
        ({"height": 0.25, "width": "keep"}, (10, 60)),
    ],
)
def test_resize_to_pixels_factors_and_the_same_shape(size: Any, shape: tuple[int, int]) -> None:
    assert run(Resize(size), np.zeros((40, 60), np.uint8)).shape == shape


def test_resize_draws_pixels_from_whole_ranges_and_factors_from_others() -> None:
    heights = {drawn(Resize((20, 24)), seed)[0].height for seed in range(60)}
    assert heights == {20, 21, 22, 23, 24}
    assert all(20 <= drawn(Resize((0.5, 1.5)), seed)[0].height <= 60 for seed in range(20))
    assert all(20 <= drawn(Resize((0.5, 2)), seed)[0].height <= 80 for seed in range(20))
    assert {drawn(Resize((8, 2.0, 12)), seed)[0].height for seed in range(60)} == {8, 80, 12}


def test_crops_and_pads_of_four_sides() -> None:
    image = counted(6, 7)
    assert np.array_equal(run(Crop(px=(1, 2, 3, 0), keep_size=False), image), image[1:3, 0:5])
    padded = run(CropAndPad(px=(1, -2, 0, 2), keep_size=False, pad_cval=7), image)
    assert padded.shape == (7, 7)
    assert np.array_equal(padded[1:, 2:], image[:, :5])
    assert (padded[0] == 7).all()
    assert run(Crop(percent=(0.5, 0, 0, 0), keep_size=False), image).shape == (3, 7)
    assert run(Pad(px=4), image).shape == image.shape
    assert run(Crop(px=((1, 2), 0, (1, 2), 0), keep_size=False), image).shape[0] in (2, 3, 4)


def test_sides_are_drawn_apart_unless_told_otherwise() -> None:
    apart = {run(Crop(px=(0, 9), keep_size=False), np.zeros((40, 60), np.uint8), seed).shape for seed in range(10)}
    assert any(40 - height != 60 - width for height, width in apart)
    together = Crop(px=(0, 9), keep_size=False, sample_independently=False)
    for seed in range(10):
        height, width = run(together, np.zeros((40, 60), np.uint8), seed).shape
        assert 40 - height == 60 - width
    assert run(Crop(px=3, sample_independently=False, keep_size=False), np.zeros((40, 60))).shape == (34, 54)


def test_a_crop_leaves_at_least_one_pixel() -> None:
    for sides in (50, (0, 0, 99, 0), (99, 0, 0, 99)):
        done = run(Crop(px=sides, keep_size=False), counted())
        assert min(done.shape) >= 1


def test_fixed_sizes() -> None:
    image = counted(6, 8)
    assert np.array_equal(run(CropToFixedSize(5, 4, "center"), image), image[1:5, 1:6])
    # Position says where most is cut off: at the left and the top.
    assert np.array_equal(run(CropToFixedSize(5, 4, "left-top"), image), image[2:, 3:])
    assert np.array_equal(run(CropToFixedSize(5, 4, (1.0, 1.0)), image), image[:4, :5])
    assert run(CropToFixedSize(20, 4), image).shape == (4, 8)
    padded = run(PadToFixedSize(10, 7, position="right-bottom"), image)
    assert np.array_equal(padded[:6, :8], image)
    assert run(PadToFixedSize(3, 7), image).shape == (7, 8)
    places = {run(CropToFixedSize(1, 1, "normal"), image, seed)[0, 0] for seed in range(60)}
    assert len(places) > 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fliplr(1.5), "Fliplr: p must lie from 0 to 1; found 1.5"),
        (lambda: Affine(scale=0.0), "Affine: scale must lie from 0.001"),
        (lambda: Affine(scale={"z": 1.0}), "keys x and y; found z"),
        (lambda: Affine(translate_px=1, translate_percent=0.1), "exclude each other"),
        (lambda: Affine(order=2), "order must be 0"),
        (lambda: Affine(shear=90), "shear must lie from -89 to 89"),
        (lambda: Affine(cval=300), "cval"),
        (lambda: Crop(px=-3), "Crop: px must lie from 0"),
        (lambda: Crop(px=(1, 2, 3)), "found 3 values"),
        (lambda: Crop(px=((0, 2), (1, 3))), "needs all 4 sides"),
        (lambda: Pad(px=1, percent=0.1), "exclude each other"),
        (lambda: CropToFixedSize(0, 5), "width must lie from 1"),
        (lambda: PadToFixedSize(5, 5, position=(0.5, 2.0)), "position"),
        (lambda: Resize({"depth": 3}), "height and width"),
        (lambda: Resize({"height": "keep-aspect-ratio"}), "keep-aspect-ratio needs"),
        (lambda: PerspectiveTransform(-1), "scale"),
    ],
)
def test_options_out_of_range_are_told(make: Any, message: str) -> None:
    with pytest.raises(MusketError, match=message):
        make()
