"""Time of single augmenters beside the same step in albumentations, where that is installed.

    python benchmarks/augmenters.py [--size 512] [--turns 15]

One thread, uint8 images of three channels with one mask, whole call included; medians of turns in which both run one
after the other. Time is that of the thread (``time.thread_time``).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import cv2
import numpy as np

from musket.augment.catalogue import AUGMENTERS
from musket.augment.compile import Chain

Peer = tuple[str, dict[str, Any]] | None
STEPS: list[tuple[str, dict[str, Any], Peer]] = [
    ("AddElementwise", {"per_channel": True}, ("AdditiveNoise", {"spatial_mode": "per_pixel"})),
    ("AdditiveGaussianNoise", {"scale": 10.0}, ("GaussNoise", {"std_range": (0.04, 0.04), "per_channel": False})),
    ("AdditiveGaussianNoise", {"scale": 10.0, "per_channel": True}, ("GaussNoise", {"std_range": (0.04, 0.04)})),
    (
        "MultiplyElementwise",
        {"per_channel": True},
        ("MultiplicativeNoise", {"multiplier": (0.8, 1.2), "per_channel": True, "elementwise": True}),
    ),
    ("Dropout", {"p": 0.05}, ("PixelDropout", {"dropout_prob": 0.05})),
    ("CoarseDropout", {"p": 0.1}, ("CoarseDropout", {"num_holes_range": (8, 8)})),
    ("SaltAndPepper", {"p": 0.03}, ("SaltAndPepper", {"amount": (0.03, 0.03)})),
    ("Grayscale", {}, ("ToGray", {})),
    ("AddToHueAndSaturation", {"value": 20}, ("HueSaturationValue", {"hue_shift_limit": (20, 20)})),
    ("ChangeColorspace", {"to_colorspace": "Lab"}, None),
    ("GaussianBlur", {"sigma": 1.5}, ("GaussianBlur", {"blur_limit": 0, "sigma_limit": (1.5, 1.5)})),
    ("AverageBlur", {"k": 5}, ("Blur", {"blur_limit": (5, 5)})),
    ("MedianBlur", {"k": 5}, ("MedianBlur", {"blur_limit": (5, 5)})),
    ("MedianBlur", {"k": 7}, ("MedianBlur", {"blur_limit": (7, 7)})),
    ("BilateralBlur", {"d": 9}, None),
    ("Sharpen", {"alpha": 0.3}, ("Sharpen", {"alpha": (0.3, 0.3)})),
    ("Emboss", {"alpha": 0.3}, ("Emboss", {"alpha": (0.3, 0.3)})),
    ("EdgeDetect", {"alpha": 0.3}, None),
    ("PiecewiseAffine", {"scale": 0.03}, None),
    ("ElasticTransformation", {"alpha": 50.0, "sigma": 5.0}, ("ElasticTransform", {"interpolation": cv2.INTER_CUBIC})),
    ("ElasticTransformation", {"alpha": 50.0, "sigma": 5.0, "order": 1}, ("ElasticTransform", {})),
    ("Superpixels", {"n_segments": 100}, ("Superpixels", {"n_segments": (100, 100), "p_replace": (0.7, 0.7)})),
    ("AlphaElementwise", {"first": ("EdgeDetect",)}, None),
    ("SimplexNoiseAlpha", {"first": ("EdgeDetect",)}, None),
    ("FrequencyNoiseAlpha", {"first": ("EdgeDetect",)}, None),
]


def ours(name: str, options: dict[str, Any], image: np.ndarray, mask: np.ndarray) -> Callable[[int], object]:
    made = {k: tuple(AUGMENTERS.load(child)() for child in v) if k == "first" else v for k, v in options.items()}
    chain = Chain((AUGMENTERS.load(name)(**made),), None, None)
    return lambda number: chain(image, mask, np.random.default_rng(number))


def theirs(peer: Peer, image: np.ndarray, mask: np.ndarray) -> Callable[[int], object] | None:
    if peer is None or importlib.util.find_spec("albumentations") is None:
        return None
    import albumentations as A

    name, options = peer
    run = A.Compose(
        [getattr(A, name)(**({"alpha": 50, "sigma": 5} if name == "ElasticTransform" else {}), **options, p=1)]
    )
    return lambda number: run(image=image, mask=mask)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--turns", type=int, default=15)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    small = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    image = cv2.resize(small, (arguments.size, arguments.size))
    mask = (image[..., :1] > 128).astype(np.uint8)
    for name, options, peer in STEPS:
        contenders = [run for run in (ours(name, options, image, mask), theirs(peer, image, mask)) if run]
        times: list[list[float]] = [[] for _ in contenders]
        for number in range(arguments.turns + 1):
            for run, found in zip(contenders, times, strict=True):
                start = time.thread_time()
                run(number)
                found.append(1000 * (time.thread_time() - start))
        mine, *other = (statistics.median(found[1:]) for found in times)
        shown = f"albumentations {other[0]:7.2f} ms  {other[0] / mine:5.1f} x" if other else ""
        print(f"{name:22} {', '.join(f'{k} {v}' for k, v in options.items()):32} {mine:7.2f} ms  {shown}")


if __name__ == "__main__":
    main()
