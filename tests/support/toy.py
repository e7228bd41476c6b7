"""The smallest real thing to train: discs on noise, and a network of two convolutions."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

import musket
from musket.core.runtime import generator
from musket.data.loader import Sample
from musket.models.catalogue import ARCHITECTURES

CONFIG = """\
#%Musket Segmentation 1.0
architecture: small_net
classes: 1
activation: sigmoid
shape: [32, 32, 3]
augmentation:
  Fliplr: 0.5
  Flipud: 0.5
optimizer: Adam
lr: 0.01
batch: 3
loss: binary_crossentropy+0.5*dice_loss
metrics: [binary_accuracy, dice]
primary_metric: val_dice
folds_count: 2
testSplit: 0.15
verbose: 0
stages:
  - epochs: 2
"""


def draw_disc(seed: int, height: int = 40, width: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Noise with one bright disc, and the disc as a mask (uint8 0/1, H x W)."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 120, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, tuple(int(v) for v in random.integers(12, 30, 2)), 8, 1, -1)
    image[mask == 1] += 100
    return image, mask


class Drawn:
    """Discs drawn from the index."""

    def __init__(self, count: int = 14):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def sample_ids(self) -> list[str]:
        return [f"disc-{index:02}" for index in range(self.count)]

    def __getitem__(self, index: int) -> musket.PredictionItem:
        image, mask = draw_disc(index)
        return musket.PredictionItem(f"disc-{index:02}", image, mask[..., None].astype(bool))


def write_discs(folder: Path, count: int) -> tuple[Path, Path]:
    """Discs as files: images NAME.jpg and masks NAME.png (0/255)."""
    images, masks = folder / "images", folder / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    for index in range(count):
        image, mask = draw_disc(index)
        cv2.imwrite(str(images / f"disc-{index:02}.jpg"), image)
        cv2.imwrite(str(masks / f"disc-{index:02}.png"), mask * 255)
    return images, masks


def small_net(shape: tuple[int, int, int], classes: int) -> torch.nn.Module:
    """Convolutions with batch norm and dropout: statistics and random numbers that a resume must restore."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(shape[2], 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout2d(0.2),
        torch.nn.Conv2d(8, classes, 3, padding=1),
    )


def register_small_net() -> None:
    if "small_net" not in ARCHITECTURES:
        ARCHITECTURES.add("small_net", small_net, "two convolutions")


def experiment(folder: Path, **changes: object) -> musket.Experiment:
    """The toy experiment in a folder; changes replace the config's values."""
    register_small_net()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    return musket.parse(config, **changes)


def read_numbered(position: int, epoch: int | None) -> Sample:
    """A sample that shows its position and its draw; here, where worker processes can import it."""
    noise = 0 if epoch is None else int(generator(7, epoch, position).integers(100))
    image = np.full((4, 6, 3), position + noise, np.uint8)
    return Sample(f"s{position}", image, np.full((4, 6, 1), position % 2, np.uint8))
