"""What every registered augmenter promises, on images of every depth: shape, range, labels, and the same draw again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from musket.augment.catalogue import AUGMENTERS
from musket.augment.compile import Chain

# BackgroundReplacer works on the dataset, not on a sample: tests/data/test_backgrounds.py.
NAMES = [name for name in AUGMENTERS.names() if name != "BackgroundReplacer"]

# Of the old vocabulary: classes of imgaug that configs name.
IMGAUG = """
Fliplr Flipud Invert Rotate90 Affine Add AddElementwise Multiply MultiplyElementwise AdditiveGaussianNoise Dropout
Grayscale GaussianBlur AverageBlur MedianBlur Sharpen Emboss EdgeDetect DirectedEdgeDetect PiecewiseAffine
ElasticTransformation CropAndPad Pad PadToFixedSize CropToFixedSize Sequential OneOf AddToHueAndSaturation BilateralBlur
ChangeColorspace CoarseDropout CoarsePepper CoarseSalt CoarseSaltAndPepper ContrastNormalization Convolve Crop
FrequencyNoiseAlpha GammaContrast InColorspace LinearContrast LogContrast Noop Pepper PerspectiveTransform
ReplaceElementwise Salt SaltAndPepper Scale SigmoidContrast SimplexNoiseAlpha SomeOf Sometimes Superpixels WithChannels
WithColorspace AlphaElementwise
"""


def made(name, **options):
    return AUGMENTERS.load(name)(**options)


# Where defaults would change nothing, or there are none.
OPTIONS = {
    "Affine": lambda: {"rotate": (-30.0, 30.0), "scale": (0.8, 1.2), "shear": (-5.0, 5.0)},
    "AddToHueAndSaturation": lambda: {"value": (-60, 60)},
    "AlphaElementwise": lambda: {"first": (made("EdgeDetect", alpha=1.0),), "second": (made("Fliplr"),)},
    "ChangeColorspace": lambda: {"to_colorspace": "HSV"},
    "Convolve": lambda: {"matrix": ((0.0, -1.0, 0.0), (-1.0, 5.0, -1.0), (0.0, -1.0, 0.0))},
    "Crop": lambda: {"px": (1, 9)},
    "CropAndPad": lambda: {"percent": (-0.2, 0.2)},
    "CropToFixedSize": lambda: {"width": 20, "height": 15},
    "FrequencyNoiseAlpha": lambda: {"first": (made("PiecewiseAffine"),), "second": (made("Fliplr"),)},
    "OneOf": lambda: {"children": (made("Fliplr"), made("GaussianBlur"), made("Add"))},
    "Pad": lambda: {"px": (1, 9)},
    "PadToFixedSize": lambda: {"width": 50, "height": 45},
    "ReplaceElementwise": lambda: {"mask": 0.2, "replacement": (0.0, 255.0)},
    "Resize": lambda: {"size": 0.5},
    "Sequential": lambda: {"children": (made("Fliplr"), made("AddElementwise"))},
    "SimplexNoiseAlpha": lambda: {"first": (made("Multiply", mul=0.5),), "per_channel": True},
    "SomeOf": lambda: {"n": 1, "children": (made("Flipud"), made("Dropout"))},
    "Sometimes": lambda: {"p": 0.5, "then_list": (made("ElasticTransformation"),), "else_list": (made("Salt"),)},
    "WithChannels": lambda: {"channels": 0, "children": (made("AdditiveGaussianNoise", scale=30.0),)},
    "WithColorspace": lambda: {"to_colorspace": "HSV", "children": (made("Add"), made("Fliplr"))},
}
RESIZING = {"CropToFixedSize", "PadToFixedSize", "Resize", "Rotate90"}
# Cubic interpolation overshoots floats a little.
UNCLIPPED = {"Resize"}

_random = np.random.default_rng(0)
IMAGES = {
    "8 bits, colour": _random.integers(0, 256, (31, 37, 3), dtype=np.uint8),
    "8 bits, grey": _random.integers(0, 256, (31, 37, 1), dtype=np.uint8),
    "16 bits, 5 channels": _random.integers(0, 65536, (31, 37, 5), dtype=np.uint16),
    "floats": _random.random((31, 37, 3), dtype=np.float32),
}
MASK = np.stack([np.add.outer(np.arange(31), np.arange(37)) < 30, np.indices((31, 37))[1] > 20], axis=2).astype(
    np.uint8
)
DRAWS = range(4)


def chain_of(name):
    return Chain((made(name, **OPTIONS.get(name, dict)()),), None, None)


def run(name, image, seed, mask=MASK):
    return chain_of(name)(image, mask, np.random.default_rng(seed))


@pytest.mark.parametrize("name", IMGAUG.split())
def test_names_of_imgaug_are_known(name):
    assert name in AUGMENTERS


@pytest.mark.parametrize("name", NAMES)
def test_describes_itself(name):
    entry = AUGMENTERS.get(name)
    assert entry.summary
    assert entry.load().__doc__
    assert all(parameter.annotation is not parameter.empty for parameter in entry.signature().parameters.values())


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_image_and_mask_keep_their_nature(name, kind):
    """Depth, range and channels of the image, labels of the mask, the size of both. Nothing given is changed."""
    image = IMAGES[kind].copy()
    given = MASK.copy()
    image.flags.writeable = given.flags.writeable = False
    for seed in DRAWS:
        result, mask = run(name, image, seed, given)
        assert result.dtype == image.dtype
        assert result.shape[2] == image.shape[2]
        assert result.shape[:2] == (image.shape[:2] if name not in RESIZING else mask.shape[:2])
        assert np.isfinite(result).all()
        if result.dtype.kind == "f" and name not in UNCLIPPED:
            assert result.min() >= 0
            assert result.max() <= 1
        assert mask.dtype == np.uint8
        assert mask.shape == (*result.shape[:2], 2)
        assert set(np.unique(mask)) <= {0, 1}
    assert np.array_equal(image, IMAGES[kind])
    assert np.array_equal(given, MASK)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_draw_gives_the_same_result_in_any_thread(name):
    for image in IMAGES.values():
        alone = [run(name, image, seed) for seed in DRAWS]
        with ThreadPoolExecutor(4) as pool:
            beside = list(pool.map(lambda seed, image=image: run(name, image, seed), [*DRAWS, *DRAWS]))
        for (image_1, mask_1), (image_2, mask_2) in zip([*alone, *alone], beside, strict=True):
            assert np.array_equal(image_1, image_2)
            assert np.array_equal(mask_1, mask_2)


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_something_happens(name, kind):
    image = IMAGES[kind]
    results = [run(name, image, seed) for seed in range(12)]
    changed = any(result.shape != image.shape or not np.array_equal(result, image) for result, _ in results)
    colour = {"AddToHueAndSaturation", "ChangeColorspace", "Grayscale", "WithColorspace"}
    assert changed == (name != "Noop" and not (name in colour and image.shape[2] < 3))


@pytest.mark.parametrize("name", NAMES)
def test_works_without_a_mask(name):
    image = IMAGES["8 bits, colour"]
    alone, nothing = run(name, image, 1, None)
    assert nothing is None
    assert np.array_equal(alone, run(name, image, 1)[0])


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (7, 2, 3)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_tiny_images(name, shape):
    image = np.full(shape, 100, np.uint8)
    result, mask = run(name, image, 1, np.ones((*shape[:2], 1), np.uint8))
    assert result.shape[:2] == mask.shape[:2]
    assert result.size


@pytest.mark.parametrize("name", NAMES)
def test_views_with_negative_strides(name):
    """Views with negative strides, as flips leave them, are images like others."""
    image = IMAGES["8 bits, colour"]
    turned = np.ascontiguousarray(image[::-1, ::-1])
    of_view = run(name, turned[::-1, ::-1], 2, MASK)[0]
    assert np.array_equal(of_view, run(name, image, 2, MASK)[0])
