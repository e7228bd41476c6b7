"""Preprocessors as users write them; here, where worker processes can import them."""

from __future__ import annotations

import numpy as np

from musket.core.types import PredictionItem
from musket.data.preprocessing import dataset_preprocessor, dataset_transformer

calls: list[int] = []


@dataset_preprocessor
def brighter(input, by: int = 10):  # noqa: A002  the name is the promise
    calls.append(int(input[0, 0, 0]))
    return (input + by).astype(np.uint8)


@dataset_preprocessor
def only_first_channel(item: PredictionItem):
    item.x = item.x[..., :1]
    item.y = ~item.y
    item.note = "seen"
    return item


@dataset_preprocessor
def scaled_by(factor: int, inp):
    """The input does not stand first."""
    return inp * factor


@dataset_preprocessor
class Shifted:
    def __init__(self, pixels: int, axis: int = 0):
        self.pixels, self.axis = pixels, axis

    def __call__(self, x):
        return np.roll(x, self.pixels, self.axis)


@dataset_preprocessor
def broken(x):
    raise ValueError("no light")


@dataset_preprocessor
def forgetful(item: PredictionItem):
    item.x = item.x[..., :1]


@dataset_transformer
def first(dataset, count: int):
    return dataset[:count]


@dataset_transformer
def gone(dataset):
    return None


ALL = (brighter, only_first_channel, scaled_by, Shifted, broken, forgetful, first, gone)
