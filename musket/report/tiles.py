"""Small pictures and words laid out on white paper. Everything is RGB, uint8."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 4
PAPER = 255
INK = (40, 40, 40)
LINE_HEIGHT = 18
_SMALLEST, _LARGEST = 128, 256  # longest side of a tile, pixels
_TEXT_SIZE = 12


def scaled(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width at which a picture is drawn: small ones a whole number of times larger, large ones shrunk."""
    longest = max(shape[:2])
    factor = math.ceil(_SMALLEST / longest) if longest < _SMALLEST else min(1.0, _LARGEST / longest)
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize so that no source pixel is passed over: near a factor of 2 linear would begin to."""
    factor = max(image.shape[0] / height, image.shape[1] / width)
    method = cv2.INTER_NEAREST if factor <= 1 else cv2.INTER_LINEAR if factor < 1.5 else cv2.INTER_AREA
    return cv2.resize(image, (width, height), interpolation=method)


def onto_paper(tile: np.ndarray, height: int, width: int) -> np.ndarray:
    """A tile at the top of a paper of this size, in the middle of its width."""
    paper = np.full((height, width, 3), PAPER, np.uint8)
    left = (width - tile.shape[1]) // 2
    paper[: tile.shape[0], left : left + tile.shape[1]] = tile
    return paper


def beside(tiles: Sequence[np.ndarray], gap: int = GAP) -> np.ndarray:
    """Tiles of one height side by side."""
    paper = np.full((tiles[0].shape[0], gap, 3), PAPER, np.uint8)
    return np.hstack([part for tile in tiles for part in (paper, tile)][1:])


def below(rows: Sequence[np.ndarray], gap: int = GAP) -> np.ndarray:
    """Tiles of one width below one another."""
    paper = np.full((gap, rows[0].shape[1], 3), PAPER, np.uint8)
    return np.vstack([part for row in rows for part in (paper, row)][1:])


def framed(picture: np.ndarray, width: int = GAP, colour: tuple[int, int, int] = (PAPER,) * 3) -> np.ndarray:
    """A picture with a frame around it."""
    return cv2.copyMakeBorder(picture, width, width, width, width, cv2.BORDER_CONSTANT, value=colour)


def text_strip(texts: Sequence[str], width: int, ink: tuple[int, int, int] = INK) -> np.ndarray:
    """A line of paper with every text at the left edge of its equal share of the width; what does not fit is cut."""
    strip = Image.new("RGB", (width, LINE_HEIGHT), (PAPER,) * 3)
    draw = ImageDraw.Draw(strip)
    share = width // len(texts)
    for number, text in enumerate(texts):
        where = (number * share + 1, LINE_HEIGHT - 5)
        draw.text(where, fitted(text, share - 2), fill=ink, font=_font(), anchor="ls")
    return np.array(strip)


def fitted(text: str, width: float, end: str = "") -> str:
    """A text on one line and its end, the text cut so that both are at most ``width`` pixels long."""
    text = " ".join(text.split())
    font = _font()
    if font.getlength(f"{text}{end}") <= width:
        return f"{text}{end}"
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if font.getlength(f"{text[:middle]}…{end}") <= width:
            fits = middle
        else:
            too_long = middle
    return f"{text[:fits].rstrip()}…{end}"


def drawable(text: str) -> bool:
    """Whether the font of pictures and figures, DejaVu Sans, has every character of a text."""
    return all(ord(letter) in _letters() or letter.isspace() for letter in text)


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_font_file(), _TEXT_SIZE, layout_engine=ImageFont.Layout.BASIC)


@functools.cache
def _letters() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(_font_file()).get_charmap())


def _font_file() -> str:
    """The font that matplotlib brings along, and writes its figures in."""
    from matplotlib import get_data_path

    return str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
