"""Seconds that ``musket check`` takes for ten thousand images of 256 x 256 pixels, all but the trial step.

The images are JPEG with PNG masks, made in a temporary folder: photographs' share of detail, a tenth of empty masks, a
few copies and near copies. Wanted: under a minute on two cores.

    python benchmarks/check.py [COUNT]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

CONFIG = """\
#%Musket Segmentation 1.0
dataset:
  SimplePNGMaskDataSet: [images, masks]
architecture: Unet
backbone: resnet18
encoder_weights: null
classes: 1
loss: binary_crossentropy
metrics: [binary_accuracy]
stages:
  - epochs: 1
"""
SIDE = 256


def write_sample(folder: Path, index: int) -> None:
    """Soft blobs with fine noise; every hundredth image is a copy, the one after it nearly so."""
    random = np.random.default_rng(index - index % 100 if index % 100 in (98, 99) else index)
    coarse = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    image += random.integers(-12, 12, image.shape, dtype=np.int16)
    if index % 100 == 99:
        image = np.roll(image, 2, axis=1)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if index % 10:
        x, y, radius = (int(value) for value in (*random.integers(30, SIDE - 30, 2), random.integers(10, 60)))
        cv2.circle(mask, (x, y), radius, 255, -1)
    cv2.imwrite(str(folder / "images" / f"{index:06}.jpg"), np.clip(image, 0, 255).astype(np.uint8))
    cv2.imwrite(str(folder / "masks" / f"{index:06}.png"), mask)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(f"{CONFIG}datasets_path: {folder}\n")
        for part in ("images", "masks"):
            (folder / part).mkdir()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda index: write_sample(folder, index), range(count)))
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "musket", "check", str(folder), "--quick"], check=True)
        seconds = time.perf_counter() - began
    print(f"\n{count} images: {seconds:.1f} s, {count / seconds:.0f} images/s, the start of the program included")


if __name__ == "__main__":
    main()
