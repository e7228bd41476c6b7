from __future__ import annotations

import colorsys

import numpy as np
import pytest
from steps import flat, image_of, run

from musket.augment.catalogue import AUGMENTERS
from musket.augment.colourspace import (
    AddToHueAndSaturation,
    ChangeColorspace,
    Grayscale,
    WithColorspace,
    add_to_hue_and_saturation,
    convert,
)
from musket.augment.noise import AddElementwise, MultiplyElementwise
from musket.core.errors import MusketError

RED = np.array([[[255, 0, 0]]], np.uint8)
DEPTHS = pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
SPACES = ["RGB", "BGR", "HSV", "HLS", "Lab", "Luv", "XYZ", "YCrCb", "YUV"]


def in_depth(image, dtype):
    """An 8-bit image at another depth, and what one of its levels is there."""
    unit = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    return (image.astype(float) * unit).astype(dtype), unit


@DEPTHS
@pytest.mark.parametrize(
    ("space", "values"),
    [
        ("BGR", (0, 0, 255)),
        ("GRAY", (76.2, 76.2, 76.2)),
        ("HSV", (0, 255, 255)),
        ("HLS", (0, 127.5, 255)),
        ("Lab", (135.8, 208.1, 195.2)),  # L 53.24, a 80.09, b 67.20
        ("Luv", (135.8, 222.6, 173.0)),  # u 175.0, v 37.8
        ("XYZ", (105.2, 54.2, 4.9)),
        ("YCrCb", (76.2, 255, 85.0)),
        ("YUV", (76.2, 90.5, 255)),
    ],
)
def test_red_in_every_space(space, values, dtype):
    """Values of the usual definitions (CIE with the D65 white, Rec. 601), in the 8-bit form of OpenCV."""
    image, unit = in_depth(RED, dtype)
    assert convert(image, "RGB", space)[0, 0] / unit == pytest.approx(values, abs=1)


@DEPTHS
@pytest.mark.parametrize("space", SPACES)
def test_there_and_back(space, dtype):
    # Muted colours: brighter ones leave the range of Luv and XYZ in 8 bits.
    image, unit = in_depth(np.random.default_rng(3).integers(60, 190, (12, 12, 3)).astype(np.uint8), dtype)
    back = convert(convert(image, "RGB", space), space, "RGB").astype(float)
    assert back.dtype == float
    assert np.abs(back - image.astype(float)).max() / unit <= (9 if dtype == np.uint8 else 1.5)


def test_hsv_against_the_standard_library():
    image = np.random.default_rng(4).random((9, 9, 3), dtype=np.float32)
    result = convert(image, "RGB", "HSV")
    wanted = [[colorsys.rgb_to_hsv(*map(float, pixel)) for pixel in row] for row in image]
    assert result == pytest.approx(np.array(wanted) * (180 / 255, 1, 1), abs=1e-4)


@DEPTHS
def test_grey_by_hand(dtype):
    image, unit = in_depth(np.array([[[200, 100, 50]]], np.uint8), dtype)
    grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert image_of(Grayscale(), image)[0, 0] / unit == pytest.approx([grey] * 3, abs=0.51)
    half = [(value + grey) / 2 for value in (200, 100, 50)]
    assert image_of(Grayscale(0.5), image)[0, 0] / unit == pytest.approx(half, abs=0.51)
    of_bgr = image_of(Grayscale(from_colorspace="BGR"), np.ascontiguousarray(image[..., ::-1]))
    assert of_bgr[0, 0] / unit == pytest.approx([grey] * 3, abs=0.51)


@DEPTHS
def test_a_third_of_the_circle_turns_red_into_green(dtype):
    image, unit = in_depth(RED, dtype)
    near = 6 if dtype == np.uint8 else 0.1  # 256 levels of hue: one is 6 levels of a channel
    assert image_of(AddToHueAndSaturation(value_hue=85), image)[0, 0] / unit == pytest.approx([0, 255, 0], abs=near)
    assert image_of(AddToHueAndSaturation(value_hue=-85), image)[0, 0] / unit == pytest.approx([0, 0, 255], abs=near)
    pale = image_of(AddToHueAndSaturation(value_saturation=-128), image)[0, 0] / unit
    assert pale == pytest.approx([255, 128, 128], abs=1)


@DEPTHS
def test_hue_and_saturation_against_the_standard_library(dtype):
    levels = np.random.default_rng(5).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    image, unit = in_depth(levels, dtype)
    result = add_to_hue_and_saturation(image, 40, 30).astype(float) / unit
    for before, after in zip(levels.reshape(-1, 3), result.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(before / 255))
        wanted = np.array(colorsys.hsv_to_rgb((hue + 40 / 255) % 1, min(1, saturation + 30 / 255), value)) * 255
        assert after == pytest.approx(wanted, abs=6 if dtype == np.uint8 else 0.6)


def test_hue_and_saturation_alike_or_apart():
    image = np.random.default_rng(6).random((4, 4, 3), dtype=np.float32)
    same = image_of(AddToHueAndSaturation((20, 20)), image)
    assert np.array_equal(same, add_to_hue_and_saturation(image, 20, 20))
    apart = [image_of(AddToHueAndSaturation((-100, 100), per_channel=True), RED, seed)[0, 0] for seed in range(20)]
    assert any(len(set(pixel.tolist())) == 3 for pixel in apart)


OPERATIONS = [
    Grayscale(),
    AddToHueAndSaturation(40),
    ChangeColorspace("HSV"),
    WithColorspace("HSV", children=(MultiplyElementwise(0.5),)),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_channels_beyond_three_stay(operation):
    image = np.random.default_rng(7).integers(0, 65536, (6, 6, 5)).astype(np.uint16)
    result = image_of(operation, image)
    if not isinstance(operation, WithColorspace):  # its children see all channels
        assert np.array_equal(result[..., 3:], image[..., 3:])
    alone = image_of(operation, np.ascontiguousarray(image[..., :3]))
    assert np.array_equal(result[..., :3], alone)
    assert not np.array_equal(alone, image[..., :3])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_images_without_colour_pass(operation, channels):
    image = np.random.default_rng(8).integers(0, 256, (6, 6, channels)).astype(np.uint8)
    assert np.array_equal(image_of(operation, image), image)


def test_a_share_of_another_space():
    mixed = image_of(ChangeColorspace("BGR", alpha=0.25), np.array([[[100, 0, 200]]], np.uint8))
    assert mixed.tolist() == [[[125, 0, 175]]]
    assert np.array_equal(image_of(ChangeColorspace("HSV", alpha=0.0), RED), RED)
    assert image_of(Grayscale(0.5, from_colorspace="HSV"), RED).shape == RED.shape


def test_augmenters_in_another_space():
    """Value of HSV halved: every channel halved."""
    image = np.array([[[200, 100, 50]]], np.uint8)
    on_value = AUGMENTERS.load("WithChannels")(channels=2, children=(MultiplyElementwise(0.5),))
    halved = image_of(WithColorspace("HSV", children=(on_value,)), image)
    assert halved[0, 0] == pytest.approx([100, 50, 25], abs=2)
    assert np.array_equal(image_of(WithColorspace("HSV"), image), image)


def test_masks_move_with_children():
    mask = np.zeros((4, 6, 1), np.uint8)
    mask[:, 0] = 1
    moved = run(WithColorspace("Lab", children=(AUGMENTERS.load("Fliplr")(),)), flat(9, shape=(4, 6, 3)), 0, mask)[1]
    assert np.array_equal(moved, mask[:, ::-1])
    still = run(WithColorspace("Lab", children=(AddElementwise(),)), flat(9, shape=(4, 6, 3)), 0, mask)[1]
    assert np.array_equal(still, mask)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: Grayscale(1.5), "Grayscale: alpha must lie from 0 to 1"),
        (AddToHueAndSaturation, "give value, or value_hue and value_saturation; found none"),
        (lambda: AddToHueAndSaturation(3, value_hue=4), "found value, value_hue"),
        (lambda: AddToHueAndSaturation(value_saturation=400), "value_saturation must lie from -255 to 255"),
    ],
)
def test_refusals(build, told):
    with pytest.raises(MusketError, match=told):
        build()
