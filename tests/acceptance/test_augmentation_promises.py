"""Promises about augmentation."""

from __future__ import annotations

import numpy as np

from musket.augment.catalogue import AUGMENTERS
from musket.augment.compile import Chain
from musket.augment.geometry import Affine
from musket.augment.nested import build_operations
from musket.core.runtime import generator

AFFINE = {
    "Affine": {
        "scale": [0.8, 1.5],
        "translate_percent": {"x": [-0.2, 0.2], "y": [-0.1, 0.3]},
        "rotate": [-16, 16],
        "shear": [-16, 16],
    }
}


def test_s19_affine_draws_from_its_ranges_and_moves_the_mask_with_the_image() -> None:
    """The image is the mask times 200: whatever is drawn, they must still agree afterwards."""
    chain = Chain(build_operations(AFFINE, AUGMENTERS), 64, 64)
    y, x = np.mgrid[:80, :80]
    mask = (((x - 40) ** 2 + (y - 36) ** 2 < 400) | (np.abs(x - y) < 4)).astype(np.uint8)[..., None]
    image = np.repeat(mask * 200, 3, axis=2)
    areas = set()
    for seed in range(30):
        moved, moved_mask = chain(image, mask, generator(seed))
        assert moved_mask is not None
        agree = (moved[..., 0] > 100) == (moved_mask[..., 0] == 1)
        assert agree.mean() > 0.98
        areas.add(int(moved_mask.sum()))
    assert len(areas) > 20


def test_s19_values_fill_the_range_instead_of_its_end_points() -> None:
    operation = build_operations(AFFINE, AUGMENTERS)[0]
    assert isinstance(operation, Affine)
    from musket.augment.steps import Frame, Geometry

    scales = []
    for seed in range(300):
        (step,) = operation.draw(generator(seed), Frame(80, 80, 3, np.dtype(np.uint8)))
        assert isinstance(step, Geometry)
        # Scaling, shear along x and a turn: the determinant is the product of the two scales.
        scales.append(float(np.sqrt(np.linalg.det(step.matrix[:2, :2]))))
    assert 0.8 <= min(scales) < 0.83
    assert 1.47 < max(scales) <= 1.5
    assert sum(0.9 < scale < 1.4 for scale in scales) > 180


def test_s20_a_scalar_is_the_first_argument_and_names_are_keywords() -> None:
    """Fliplr 0.5 flips about half of 400 samples (the bound is five deviations)."""
    scalar, named = build_operations({"Fliplr": 0.5}, AUGMENTERS), build_operations({"Fliplr": {"p": 0.5}}, AUGMENTERS)
    assert scalar == named
    image = np.arange(4, dtype=np.uint8).reshape(1, 4, 1)
    chain = Chain(scalar, 1, 4)
    flipped = sum(int(chain(image, None, generator(seed))[0][0, 0, 0]) == 3 for seed in range(400))
    assert abs(flipped - 200) < 50
