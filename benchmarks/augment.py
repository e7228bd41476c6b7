"""Augmentation speed, one thread: images/s of compiled chains beside a floor of bare OpenCV calls and beside peers.

Every row is the median of turns: in each turn every contender augments the same few images once, so that a busy machine
slows all of them alike. Time is that of the thread (``time.thread_time``), not the wall clock.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import cv2
import numpy as np

from musket.augment.catalogue import AUGMENTERS
from musket.augment.compile import Chain
from musket.augment.nested import build_operations
from musket.core.runtime import generator

Once = Callable[[int], object]
"""Augments the sample of this number once."""

SIZE = 512
CHAIN: dict[str, Any] = {
    "Fliplr": 0.5,
    "Flipud": 0.5,
    "Affine": {
        "scale": [0.8, 1.2],
        "translate_percent": {"x": [-0.1, 0.1], "y": [-0.1, 0.1]},
        "rotate": [-30, 30],
        "shear": [-10, 10],
    },
    "Multiply": [0.8, 1.2],
    "Add": [-20, 20],
    "LinearContrast": [0.8, 1.2],
}
PASSES: dict[str, Any] = {"GaussianBlur": [0.5, 1.5], "AdditiveGaussianNoise": {"scale": [5, 15]}}


def samples(channels: int, dtype: type) -> list[tuple[np.ndarray, np.ndarray]]:
    """Four smooth pictures with some grain, and their masks (SIZE x SIZE x 1, 0/1)."""
    random = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    found = []
    for _ in range(4):
        small = random.random((24, 24, channels)).astype(np.float32)
        image = np.dstack(
            [cv2.resize(small[..., c], (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for c in range(channels)]
        )
        image = np.clip(image + random.normal(0, 0.02, image.shape), 0, 1) * top
        found.append((image.astype(dtype), (image[..., :1] > top / 2).astype(np.uint8)))
    return found


def ours(data: list[tuple[np.ndarray, np.ndarray]], spec: Mapping[str, Any], size: int) -> Once:
    """A compiled chain with the draws of every sample from a generator of its own, as in training."""
    chain = Chain(build_operations(spec, AUGMENTERS), size, size)

    def once(number: int) -> object:
        image, mask = chain(*data[number % len(data)], generator(0, "augment", 0, str(number)))
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)

    return once


def floor(data: list[tuple[np.ndarray, np.ndarray]], size: int) -> Once:
    """One warp of the image, one of the mask, one table on the result, and nothing else."""
    levels = np.arange(np.iinfo(data[0][0].dtype).max + 1).astype(data[0][0].dtype)
    wide = levels.dtype != np.uint8
    matrices = []
    for number in range(64):
        random = np.random.default_rng(number)
        turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), random.uniform(-30, 30), random.uniform(0.8, 1.2))
        matrices.append(turn * (size / SIZE))

    def once(number: int) -> object:
        image, mask = data[number % len(data)]
        matrix = matrices[number % len(matrices)]
        image = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)
        mask = cv2.warpAffine(mask, matrix, (size, size), flags=cv2.INTER_NEAREST)
        return (levels[image] if wide and not wide_tables() else cv2.LUT(image, levels)), mask

    return once


def wide_tables() -> bool:
    """Whether this OpenCV has 16-bit tables."""
    return int(cv2.__version__.partition(".")[0]) >= 5


def albumentations(data: list[tuple[np.ndarray, np.ndarray]], size: int, passes: bool) -> Once | None:
    """The same chain in albumentations 2."""
    try:
        A = importlib.import_module("albumentations")
    except ImportError:
        return None
    steps: list[Any] = [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.Affine(
            scale=(0.8, 1.2),
            translate_percent={"x": (-0.1, 0.1), "y": (-0.1, 0.1)},
            rotate=(-30, 30),
            shear=(-10, 10),
            p=1.0,
        ),
        A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=1.0),
    ]
    if passes:
        steps += [
            A.GaussianBlur(blur_limit=0, sigma_limit=(0.5, 1.5), p=1.0),
            A.GaussNoise(std_range=(5 / 255, 15 / 255), p=1.0),
        ]
    if size != SIZE:
        steps.append(A.Resize(size, size))
    run = A.Compose(steps)

    def once(number: int) -> object:
        image, mask = data[number % len(data)]
        return run(image=image, mask=mask)

    return once


def imgaug(data: list[tuple[np.ndarray, np.ndarray]], size: int, passes: bool) -> Once | None:
    """The same chain in imgaug (its maintained fork)."""
    try:
        iaa = importlib.import_module("imgaug.augmenters")
        maps = importlib.import_module("imgaug.augmentables.segmaps")
    except ImportError:
        return None
    steps = [
        iaa.Fliplr(0.5),
        iaa.Flipud(0.5),
        iaa.Affine(
            scale=(0.8, 1.2),
            translate_percent={"x": (-0.1, 0.1), "y": (-0.1, 0.1)},
            rotate=(-30, 30),
            shear=(-10, 10),
        ),
        iaa.Multiply((0.8, 1.2)),
        iaa.Add((-20, 20)),
        iaa.LinearContrast((0.8, 1.2)),
    ]
    if passes:
        steps += [iaa.GaussianBlur((0.5, 1.5)), iaa.AdditiveGaussianNoise(scale=(5, 15))]
    if size != SIZE:
        steps.append(iaa.Resize({"height": size, "width": size}, interpolation="linear"))
    run = iaa.Sequential(steps)

    def once(number: int) -> object:
        image, mask = data[number % len(data)]
        return run(image=image, segmentation_maps=maps.SegmentationMapsOnImage(mask, shape=image.shape))

    return once


def torchvision(data: list[tuple[np.ndarray, np.ndarray]], size: int, passes: bool) -> Once | None:
    """The nearest chain in torchvision's transforms v2, on tensors."""
    try:
        import torch
        from torchvision import tv_tensors

        v2: Any = importlib.import_module("torchvision.transforms.v2")
    except ImportError:
        return None
    torch.set_num_threads(1)
    steps: list[Any] = [
        v2.RandomHorizontalFlip(0.5),
        v2.RandomVerticalFlip(0.5),
        v2.RandomAffine(30, (0.1, 0.1), (0.8, 1.2), 10, interpolation=v2.InterpolationMode.BILINEAR),
        v2.ColorJitter(brightness=0.2, contrast=0.2),
    ]
    if passes:
        steps.append(v2.GaussianBlur(5, (0.5, 1.5)))
    if size != SIZE:
        steps.append(v2.Resize((size, size)))
    run = v2.Compose(steps)
    tensors = [
        (tv_tensors.Image(torch.from_numpy(i).permute(2, 0, 1)), tv_tensors.Mask(torch.from_numpy(m).permute(2, 0, 1)))
        for i, m in data
    ]
    return lambda number: run(*tensors[number % len(tensors)])


def kornia(data: list[tuple[np.ndarray, np.ndarray]], size: int, passes: bool) -> Once | None:
    """The nearest chain in kornia, one image a call, on float tensors."""
    try:
        K = importlib.import_module("kornia.augmentation")
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    steps: list[Any] = [
        K.RandomHorizontalFlip(p=0.5),
        K.RandomVerticalFlip(p=0.5),
        K.RandomAffine(30, (0.1, 0.1), (0.8, 1.2), 10, p=1.0),
        K.ColorJiggle(brightness=0.2, contrast=0.2, p=1.0),
    ]
    if passes:
        steps += [K.RandomGaussianBlur((5, 5), (0.5, 1.5), p=1.0), K.RandomGaussianNoise(std=0.04, p=1.0)]
    if size != SIZE:
        steps.append(K.Resize((size, size)))
    run = K.AugmentationSequential(*steps, data_keys=["input", "mask"])
    tensors = [
        (torch.from_numpy(i).permute(2, 0, 1)[None].float() / 255, torch.from_numpy(m).permute(2, 0, 1)[None].float())
        for i, m in data
    ]
    return lambda number: run(*tensors[number % len(tensors)])


def measure(contenders: Mapping[str, Once], turns: int, images: int = 8) -> dict[str, list[float]]:
    """Seconds an image of every contender in every turn."""
    for once in contenders.values():
        for number in range(3):
            once(number)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns):
        for name, once in contenders.items():
            start = time.thread_time()
            for number in range(turn * images, (turn + 1) * images):
                once(number)
            seconds[name].append((time.thread_time() - start) / images)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--slow", action="store_true", help="imgaug, torchvision and kornia too")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    wanted = {"to 320": 2.5, "at 512": 1.15, "blur and noise, at 512": 1.3}
    cases = [
        ("to 320", 320, False),
        ("at 512", SIZE, False),
        ("blur and noise, at 512", SIZE, True),
        ("blur and noise, to 320", 320, True),
    ]
    data = samples(3, np.uint8)
    for title, size, passes in cases:
        spec = CHAIN | PASSES if passes else CHAIN
        if not all(name in AUGMENTERS for name in spec):
            continue
        makers = [albumentations] + ([imgaug, torchvision, kornia] if arguments.slow else [])
        peers = {make.__name__: make(data, size, passes) for make in makers}
        contenders = {"musket": ours(data, spec, size), **{name: peer for name, peer in peers.items() if peer}}
        if not passes:
            contenders["floor"] = floor(data, size)
        show(f"512 px uint8 x 3, {title}", measure(contenders, arguments.turns), wanted.get(title))
    deep = samples(5, np.uint16)
    for size in (320, SIZE):
        contenders = {"musket": ours(deep, CHAIN, size), "floor": floor(deep, size)}
        show(f"512 px uint16 x 5, to {size}", measure(contenders, arguments.turns), None)


def show(title: str, seconds: Mapping[str, list[float]], wanted: float | None) -> None:
    """One table: images/s, and how many times as fast as each contender we are, turn by turn."""
    print(f"\n{title}" + (f" (wanted: {wanted} x albumentations)" if wanted else ""))
    for name, times in seconds.items():
        ratio = statistics.median(theirs / mine for mine, theirs in zip(seconds["musket"], times, strict=True))
        print(f"  {name:16s} {1 / statistics.median(times):8.0f} images/s   musket is {ratio:5.2f} x")


if __name__ == "__main__":
    main()
