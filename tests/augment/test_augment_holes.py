"""Augmenters at the edges of what images and options can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from musket.augment.catalogue import AUGMENTERS
from musket.augment.compile import Chain
from musket.augment.nested import build_operations
from musket.core.errors import MusketError
from musket.core.geometry import resize_image, resize_mask

MANY = 150
"""Channels: more than an array of OpenCV 5 can have."""


def chain(parts: Any, height: int | None = 16, width: int | None = 16) -> Chain:
    return Chain(build_operations(parts, AUGMENTERS), height, width)


def run(parts: Any, image: np.ndarray, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    return chain(parts)(image, mask, np.random.default_rng(0))


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"Resize": {"size": 0.7, "interpolation": "nearest"}},
        {"Affine": {"rotate": 20}},
        {"PerspectiveTransform": 0.1},
        {"ElasticTransformation": {"alpha": 5, "sigma": 2}},
        {"PiecewiseAffine": 0.03},
    ],
    ids=str,
)
def test_every_class_of_many_moves_as_it_does_alone(parts: Any) -> None:
    random = np.random.default_rng(1)
    image = random.integers(0, 255, (20, 30, 3), dtype=np.uint8)
    mask = random.random((20, 30, MANY)) > 0.5
    moved = run(parts, image, mask)[1]
    assert moved is not None
    assert moved.shape == (16, 16, MANY)
    for start in range(0, MANY, 50):
        assert np.array_equal(moved[..., start : start + 50], run(parts, image, mask[..., start : start + 50])[1])


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"Affine": {"rotate": 20, "cval": 100}},
        {"Add": 5},
        {"GaussianBlur": 2.0},
        {"AverageBlur": 3},
        {"MedianBlur": 3},
        {"Sharpen": 0.5},
        {"Multiply": 0.5},
        {"ElasticTransformation": {"alpha": 5, "sigma": 2}},
        {"AdditiveGaussianNoise": {"scale": 5}},
        {"AlphaElementwise": {"factor": 0.3, "first": {"Add": 30}}},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_of_many_channels(parts: Any, dtype: type) -> None:
    image = np.random.default_rng(1).integers(0, 255, (40, 30, MANY), dtype=np.uint8)
    image = image if dtype is np.uint8 else image.astype(np.float32) / 255
    moved = run(parts, image)[0]
    assert moved.shape == (16, 16, MANY)
    assert moved.dtype == dtype
    assert np.allclose(moved[..., 100:], run(parts, image[..., 100:])[0], atol=1 if dtype is np.uint8 else 1e-5)


def test_many_channels_may_each_have_a_curve_of_its_own() -> None:
    image = np.full((300, 300, MANY), 100, np.uint8)
    moved = chain({"Multiply": {"mul": [0.5, 1.5], "per_channel": True}}, 300, 300)(
        image, None, np.random.default_rng(0)
    )[0]
    assert (moved == moved[:1, :1]).all()
    assert len(np.unique(moved[0, 0])) > 50


def test_resizing_many_channels_is_resizing_each() -> None:
    image = np.random.default_rng(2).integers(0, 255, (31, 40, MANY), dtype=np.uint8)
    for size in ((8, 10), (50, 60), (15, 20)):
        alone = resize_image(np.ascontiguousarray(image[..., 140:]), *size).astype(int)
        assert np.abs(resize_image(image, *size)[..., 140:] - alone).max() <= 1
        assert np.array_equal(
            resize_mask(image > 99, *size)[..., 140:], resize_mask(np.ascontiguousarray(image[..., 140:] > 99), *size)
        )


@pytest.mark.parametrize("name", ["PiecewiseAffine", "ElasticTransformation"])
def test_a_side_too_long_for_local_warps_is_told_in_words(name: str) -> None:
    with pytest.raises(MusketError, match="at most 32766 pixels a side; found 32767 x 2"):
        run({name: None if name == "PiecewiseAffine" else {"alpha": 3}}, np.zeros((2, 32767, 1), np.uint8))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"WithChannels": {"channels": [], "children": {"Add": 5}}}, "WithChannels: channels is an empty list"),
        ({"SimplexNoiseAlpha": {"upscale_method": []}}, "SimplexNoiseAlpha: upscale_method is an empty list"),
        ({"SimplexNoiseAlpha": {"aggregation_method": []}}, "aggregation_method is an empty list"),
        ({"FrequencyNoiseAlpha": {"upscale_method": []}}, "FrequencyNoiseAlpha: upscale_method is an empty list"),
        ({"FrequencyNoiseAlpha": {"sigmoid_thresh": []}}, "sigmoid_thresh is an empty list"),
        ({"Affine": {"rotate": []}}, "rotate is an empty list"),
        ({"Resize": {"size": []}}, "size is an empty list"),
        ({"Resize": 256.0}, "Resize: size with a point is a factor, at most 32; found 256"),
        ({"WithChannels": {"channels": 0, "children": {"Resize": 0.5}}}, "Resize in it changes the size"),
        (
            {
                "WithChannels": {
                    "channels": 0,
                    "children": {"OneOf": {"Noop": {}, "Crop": {"px": 3, "keep_size": False}}},
                }
            },
            "Crop in it changes the size",
        ),
    ],
    ids=str,
)
def test_options_that_could_only_fail_later_are_refused(parts: Any, said: str) -> None:
    with pytest.raises(MusketError, match=said):
        build_operations(parts, AUGMENTERS)


def test_an_edge_pad_behind_a_constant_one_shows_the_fill_when_shrunk() -> None:
    image = np.full((57, 57, 1), 200, np.uint8)
    parts = [
        {"Pad": {"px": [1, 1, 1, 1], "keep_size": False}},
        {"Pad": {"px": [8, 8, 8, 8], "keep_size": False, "pad_mode": "edge"}},
    ]
    fused, plain = (
        work(image, None, np.random.default_rng(0))[0]
        for work in (chain(parts, 15, 15), chain(parts, 15, 15).step_by_step)
    )
    assert (fused[0] == 0).all()
    assert (fused[:, -1] == 0).all()
    assert np.abs(fused.astype(int) - plain).max() <= 1
