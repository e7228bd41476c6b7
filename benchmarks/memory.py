"""Peak memory of a whole ``fit`` on many files against few: it must not grow with the dataset.

python benchmarks/memory.py [--files 20000]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

CONFIG = """\
#%Musket Segmentation 1.0
architecture: two_convolutions
classes: 1
activation: sigmoid
shape: [32, 32, 3]
augmentation: {Fliplr: 0.5}
loss: binary_crossentropy
metrics: [dice]
primary_metric: val_dice
folds_count: 1
testSplit: 0.1
batch: 32
verbose: 0
stages: [{epochs: 1}]
"""


def write_files(folder: Path, count: int) -> None:
    """Small images with masks; hard links to a hundred different ones."""
    images, masks = folder / "images", folder / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    for index in range(count):
        names = [side / f"cell-{index:06}.png" for side in (images, masks)]
        if index < 100:
            random = np.random.default_rng(index)
            cv2.imwrite(str(names[0]), random.integers(0, 255, (48, 48, 3), dtype=np.uint8))
            cv2.imwrite(str(names[1]), (random.random((48, 48)) > 0.7).astype(np.uint8) * 255)
        else:
            for name, side in zip(names, (images, masks), strict=True):
                os.link(side / f"cell-{index % 100:06}.png", name)


def fit(folder: Path) -> None:
    import torch

    import musket
    from segmentation_pipeline.impl.datasets import SimplePNGMaskDataSet

    @musket.architecture
    def two_convolutions(classes: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, classes, 3, padding=1))

    (folder / "config.yaml").write_text(CONFIG)
    dataset = SimplePNGMaskDataSet(str(folder / "images"), str(folder / "masks"), in_ext="png")
    musket.parse(folder / "config.yaml").fit(dataset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak / (1024 if sys.platform == "linux" else 1024**2))


def peak_megabytes(count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), count)
        command = [sys.executable, __file__, "--fit", folder]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit:
        fit(arguments.fit)
        return
    few, many = peak_megabytes(200), peak_megabytes(arguments.files)
    print(f"200 files: {few:.0f} MB; {arguments.files} files: {many:.0f} MB")
    print(f"growth {many - few:+.0f} MB (wanted: under 150)")


if __name__ == "__main__":
    main()
