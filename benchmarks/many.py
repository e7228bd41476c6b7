"""Whole fits of several folds: one process with all cores against a process per core.

    python benchmarks/many.py [--folds 4] [--epochs 3] [--side 128]

The nuclei images of examples/, a Unet over mobilenetv2 from random weights. Both ways train the same folds and give the
same number of epochs; the second divides the cores among its processes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = """\
#%Musket Segmentation 1.0
architecture: Unet
backbone: mobilenetv2
encoder_weights: null
classes: 1
shape: [{side}, {side}, 3]
augmentation: {{Fliplr: 0.5, Flipud: 0.5}}
optimizer: Adam
lr: 0.001
batch: 8
loss: binary_crossentropy
metrics: [binary_accuracy, dice]
primary_metric: val_dice
folds_count: {folds}
dataset:
  SimplePNGMaskDataSet: {{path: train/images, mask: train/masks, in_ext: png}}
stages:
  - epochs: {epochs}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--side", type=int, default=128)
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(ROOT / "examples" / "nuclei" / "data", root / "data")
        experiment = root / "experiments" / "unet"
        for workers in (1, cores, 1, cores):  # the first round fills the cache of decoded images
            shutil.rmtree(experiment, ignore_errors=True)
            experiment.mkdir(parents=True)
            (experiment / "config.yaml").write_text(CONFIG.format(**vars(given)))
            began = time.perf_counter()
            command = [
                sys.executable,
                "-m",
                "musket",
                "fit",
                "--project",
                str(root),
                "--num_workers",
                str(workers),
                "-q",
            ]
            subprocess.run(command, check=True)
            seconds[workers] = time.perf_counter() - began
    for workers, taken in seconds.items():
        print(f"{workers} at a time: {taken:6.1f} s   {seconds[1] / taken:.2f} x")


if __name__ == "__main__":
    main()
