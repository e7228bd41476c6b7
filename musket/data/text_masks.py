"""Lines of text with a texture: objects to drop into images, so that a network learns to leave writing out."""

from __future__ import annotations

import string
from typing import Any

import cv2
import numpy as np

from musket.core.types import PredictionItem
from musket.data.dataset import IndexedDataSet
from musket.data.draws import draws
from musket.data.pictures import array_of, pictures_of

COUNT = 10
"""Items of a generator."""
BLANKS = 15
"""How much likelier a blank is than any letter."""
TILT = 30.0
"""Text is turned by at most this many degrees."""
_LETTERS = np.array([" ", *string.ascii_letters, *string.digits])
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)


class TextMaskGenerator(IndexedDataSet):
    """Ten pictures of turned text filled with a texture; y shows the letters, H x W x 1, bool.

    Made for :class:`musket.data.blending.DropItemsDataset`. An item depends on the seed, its position and the epoch.

    Args:
        textures: pictures the letters are filled with: folder, dataset, or list of arrays.
        band: the object is the whole band the text stands on, with letters darkened, instead of the letters alone.
        seed: of the draws.

    Raises:
        DataError: there are no textures.
    """

    def __init__(self, textures: Any, band: bool = False, seed: int = 23232):
        self.textures = pictures_of(textures, "textures")
        self.band, self.seed = band, seed

    def __len__(self) -> int:
        return COUNT

    def get_id(self, index: int) -> str:
        return str(index)

    def _read(self, index: int) -> PredictionItem:
        draw = draws(self.seed, "text", index)
        letters = _written(_lines(draw), draw)
        surface = np.full_like(letters, 255) if self.band else letters
        texture = _tiled(array_of(self.textures[int(draw.integers(len(self.textures)))]), *letters.shape)
        if self.band:
            texture = np.where(letters[..., None] > 127, texture // 4, texture)
        angle = draw.uniform(-TILT, TILT)
        return PredictionItem(str(index), _turned(texture, angle), (_turned(surface, angle) > 127)[..., None])


def _lines(draw: np.random.Generator) -> list[str]:
    """One to three lines of three to twelve letters; never nothing but blanks."""
    weights = np.ones(len(_LETTERS))
    weights[0] = BLANKS
    length = int(draw.integers(3, 13))
    lines = ["".join(draw.choice(_LETTERS, length, p=weights / weights.sum())) for _ in range(draw.integers(1, 4))]
    return list(map(str, lines)) if any(line.strip() for line in lines) else ["Text"]


def _written(lines: list[str], draw: np.random.Generator) -> np.ndarray:
    """H x W, uint8: white letters on black."""
    font = _FONTS[int(draw.integers(len(_FONTS)))]
    scale, thickness = float(draw.uniform(1, 3)), int(draw.integers(2, 8))
    sizes = [cv2.getTextSize(line, font, scale, thickness) for line in lines]
    high = max(size[1] + baseline for size, baseline in sizes) + 2 * thickness
    canvas = np.zeros((high * len(lines), max(size[0] for size, _ in sizes) + 2 * thickness), np.uint8)
    for number, (line, (_, baseline)) in enumerate(zip(lines, sizes, strict=True)):
        bottom = high * (number + 1) - baseline - thickness
        cv2.putText(canvas, line, (thickness, bottom), font, scale, 255, thickness, cv2.LINE_AA)
    return canvas


def _tiled(texture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A texture repeated until it covers height x width."""
    times = (-(-height // texture.shape[0]), -(-width // texture.shape[1]), 1)
    return np.ascontiguousarray(np.tile(texture, times)[:height, :width])


def _turned(image: np.ndarray, angle: float) -> np.ndarray:
    """An image turned about its middle, on a canvas that holds all of it."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide, high = round(height * sine + width * cosine), round(height * cosine + width * sine)
    matrix[:, 2] += (wide - width) / 2, (high - height) / 2
    turned = cv2.warpAffine(image, matrix, (wide, high))
    return turned if turned.ndim == image.ndim else turned[..., None]
