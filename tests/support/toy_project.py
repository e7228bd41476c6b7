"""A tiny project on disk that needs nothing but its own files: discs on noise, and a network of two convolutions."""

from __future__ import annotations

from pathlib import Path

CONFIG = """\
#%Musket Segmentation 1.0
architecture: two_convolutions
classes: 1
shape: [32, 32, 3]
augmentation:
  Fliplr: 0.5
optimizer: Adam
lr: 0.01
batch: 3
loss: binary_crossentropy
metrics: [binary_accuracy]
primary_metric: val_binary_accuracy
folds_count: 2
dataset:
  discs: []
stages:
  - epochs: 2
"""

MODULE = '''\
import os
import pathlib
import signal

import cv2
import numpy as np
import torch

import musket


class Discs:
    """Discs drawn from the index."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def sample_ids(self):
        return [f"disc-{index:02}" for index in range(self.count)]

    def isPositive(self, index):
        return True

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        image = random.integers(0, 120, (32, 32, 3), dtype=np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        cv2.circle(mask, tuple(int(v) for v in random.integers(8, 24, 2)), 6, 1, -1)
        image[mask == 1] += 100
        return musket.PredictionItem(f"disc-{index:02}", image, mask[..., None])


def discs(count: int = 12):
    return Discs(count)


@musket.callback
class Trouble(musket.Hook):
    """Once, in one epoch of one fold, something happens; the file ``marker`` says that it has."""

    def __init__(self, what, marker, fold=0, epoch=1):
        self.what, self.marker, self.at = what, pathlib.Path(marker), (fold, epoch)

    def on_epoch_start(self, run):
        if (run.fold, run.epoch) != self.at or self.marker.exists():
            return
        self.marker.touch()
        if self.what == "raise":
            raise ValueError("trouble in the callback")
        os.kill(os.getpid(), signal.SIGKILL)


def broken_discs():
    raise ValueError("no discs today")


@musket.architecture
def two_convolutions(shape, classes):
    return torch.nn.Sequential(
        torch.nn.Conv2d(shape[2], 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, classes, 3, padding=1)
    )
'''


def write_project(root: Path, *names: str, **texts: str) -> Path:
    """A project at ``root`` with experiments of these names; ``texts`` are configs by name of the experiment."""
    (root / "modules").mkdir(parents=True)
    (root / "modules" / "discs_module.py").write_text(MODULE)
    for name, text in {**dict.fromkeys(names, CONFIG), **texts}.items():
        write_experiment(root, name, text)
    return root


def write_experiment(root: Path, name: str, text: str = CONFIG) -> Path:
    """An experiment of a project; returns its folder."""
    folder = root / "experiments" / name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(text)
    return folder
