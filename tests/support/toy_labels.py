"""The smallest classification to train: a bright disc in the left, middle or right third of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import musket
from musket.models.classifier_catalogue import CLASSIFIERS

CONFIG = """\
#%Musket Classification 1.0
architecture: small_classifier
classes: 3
activation: softmax
weights: null
shape: [24, 24, 3]
augmentation:
  Flipud: 0.5
optimizer: Adam
lr: 0.01
batch: 4
loss: categorical_crossentropy
metrics: [categorical_accuracy]
primary_metric: val_categorical_accuracy
folds_count: 2
testSplit: 0.2
verbose: 0
stages:
  - epochs: 2
"""


def draw(index: int, classes: int = 3) -> np.ndarray:
    """Noise with one bright disc, in the part of the image its class says: uint8 28 x 36 x 3."""
    random = np.random.default_rng(index)
    image = random.integers(0, 90, (28, 36, 3), dtype=np.uint8)
    width = 36 // classes
    cv2.circle(image, (width * (index % classes) + width // 2, int(random.integers(8, 20))), 4, (220, 220, 220), -1)
    return image


class Thirds:
    """Discs drawn from the index; the class is index % 3.

    Args:
        target: what y is: "one-hot", "index", "several" (class, whether the index is even, a number) or "multi-hot".
    """

    classes: Any = ("left", "middle", "right")

    def __init__(self, count: int = 20, target: str = "one-hot"):
        self.count = count
        self.target = target
        if target == "several":
            self.classes = None  # those are names for one head

    def __len__(self) -> int:
        return self.count

    def sample_ids(self) -> list[str]:
        return [f"third-{index:02}" for index in range(self.count)]

    def get_target(self, index: int) -> Any:
        one_hot = np.eye(3, dtype=np.float32)[index % 3]
        return {
            "one-hot": one_hot,
            "index": index % 3,
            "several": [one_hot, index % 2 == 0, index / self.count],
            "multi-hot": np.array([index % 3 == 0, index % 2 == 0, False]),
        }[self.target]

    def isPositive(self, index: int) -> bool:
        return index % 3 != 0

    def __getitem__(self, index: int) -> musket.PredictionItem:
        return musket.PredictionItem(f"third-{index:02}", draw(index), self.get_target(index))


def small_classifier(in_channels: int, classes: int | list[int]) -> torch.nn.Module:
    """Two convolutions, batch norm and dropout: statistics and random numbers that a resume must restore."""
    count = classes if isinstance(classes, int) else sum(classes)
    return torch.nn.Sequential(
        torch.nn.Conv2d(in_channels, 8, 3, padding=1, stride=2, bias=False),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3, padding=1, stride=2),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.AdaptiveAvgPool2d((1, 3)),
        torch.nn.Flatten(),
        torch.nn.Linear(24, count),
    )


def register() -> None:
    """Make the network nameable as small_classifier."""
    if not CLASSIFIERS.documents("small_classifier"):
        CLASSIFIERS.add("small_classifier", small_classifier, "two convolutions")


def experiment(folder: Path, **changes: object) -> musket.Experiment:
    """The toy experiment in a folder; changes replace the config's values."""
    register()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    return musket.parse(config, **changes)
