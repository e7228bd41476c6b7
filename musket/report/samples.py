"""Pictures of samples: what went in, what was asked for, what came out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from musket.artifacts.files import write_atomic
from musket.core.errors import ArtifactError, DataError
from musket.report.tiles import GAP, PAPER, below, beside, framed, onto_paper, resized, scaled, text_strip

PALETTE = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # reddish purple
)
"""Colours of the classes, RGB: the set of Okabe and Ito, told apart with every kind of colour vision."""

COLUMNS = ("image", "truth", "prediction")


def draw_triples(
    images: Sequence[Any], truths: Sequence[Any], predictions: Sequence[Any], *, most: int = 16
) -> np.ndarray:
    """Draw samples below one another in three columns: image, truth on the image, prediction > 0.5 on the image.

    Args:
        images: N arrays H x W x C of any depth and number of channels (see :func:`as_picture`); sizes may differ.
        truths: N arrays H x W x classes, 0/1.
        predictions: N arrays H x W x classes, 0..1.
        most: how many samples are drawn at most.

    Returns:
        RGB picture, uint8.

    Raises:
        DataError: something is not a picture or a mask, or there is nothing to draw.
    """
    return draw_grid(images[:most], truths[:most], predictions[:most])


def draw_grid(
    images: Sequence[Any],
    truths: Sequence[Any],
    predictions: Sequence[Any],
    captions: Sequence[str] = (),
    *,
    across: int = 1,
) -> np.ndarray:
    """Draw every sample as in :func:`draw_triples`, ``across`` samples side by side, each with its caption beneath.

    Args:
        captions: a short text per sample; none at all leaves the space out.
        across: samples per row.
    """
    if not len(images):
        raise DataError("there is no sample to draw")
    tiles = [resized(picture, *scaled(picture.shape)) for picture in map(as_picture, images)]
    width = max(tile.shape[1] for tile in tiles)
    texts = captions if len(captions) else [""] * len(tiles)
    cells = []
    for tile, truth, prediction, text in zip(tiles, truths, predictions, texts, strict=True):
        triple = tile, _overlay(tile, np.asarray(truth) > 0.5), _overlay(tile, np.asarray(prediction) > 0.5)
        row = beside([onto_paper(picture, picture.shape[0], width) for picture in triple])
        cells.append(np.vstack([row, text_strip([text], row.shape[1])]) if len(captions) else row)

    groups = [cells[start : start + across] for start in range(0, len(cells), across)]
    groups[-1] += [np.full_like(cells[0], PAPER)] * (across - len(groups[-1])) if len(groups) > 1 else []
    rows = [beside([text_strip(COLUMNS, cells[0].shape[1])] * len(groups[0]), 4 * GAP)]
    for group in groups:
        height = max(cell.shape[0] for cell in group)
        rows.append(beside([onto_paper(cell, height, cell.shape[1]) for cell in group], 4 * GAP))
    return framed(below(rows))


def draw_table(
    rows: Sequence[Sequence[tuple[Any, Any]]], heads: Sequence[str], captions: Sequence[str] = ()
) -> np.ndarray:
    """Draw images with their masks on them, as a table. Cells of a row have the size and levels of its first one.

    Args:
        rows: cells (image H x W x C, mask H x W x classes 0/1, or None); as many in every row as there are heads.
        heads: a short text per column.
        captions: a short text per row, drawn beneath it; none at all leaves the space out.

    Returns:
        RGB picture, uint8.

    Raises:
        DataError: something is not a picture or a mask, or there is nothing to draw.
    """
    if not len(rows):
        raise DataError("there is no sample to draw")
    drawn = [[_tile(image, mask, row[0][0]) for image, mask in row] for row in rows]
    width = max(tile.shape[1] for tiles in drawn for tile in tiles)
    lines = [beside([text_strip([head], width) for head in heads])]
    for tiles, text in zip(drawn, captions if len(captions) else [""] * len(drawn), strict=True):
        height = max(tile.shape[0] for tile in tiles)
        row = beside([onto_paper(tile, height, width) for tile in tiles])
        lines.append(np.vstack([row, text_strip([text], row.shape[1])]) if len(captions) else row)
    return framed(below(lines))


def _tile(image: Any, mask: Any, like: Any) -> np.ndarray:
    picture = as_picture(image, like)
    factor = max(scaled(np.shape(like))) / max(picture.shape[:2])
    height, width = (max(1, round(side * factor)) for side in picture.shape[:2])
    tile = resized(picture, height, width)
    return tile if mask is None else _overlay(tile, np.asarray(mask) > 0.5)


def as_picture(image: Any, like: Any = None) -> np.ndarray:
    """What of an image the eye can see, as uint8 RGB of the same size.

    One channel becomes grey, two red and green, of more than three the first three are shown. Images of 8 bits keep
    their brightness unless they are so dark that little would be seen; deeper ones, floats outside 0..1 and dark ones
    are stretched from their 1st to their 99th percentile.

    Args:
        image: H x W or H x W x C of numbers or bools.
        like: an image of the same type whose brightness decides instead, so that the two can be compared.

    Raises:
        DataError: the array is no image.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or 0 in image.shape or image.dtype.kind not in "biuf":
        raise DataError(
            f"an array of shape {image.shape} and type {image.dtype} is no picture; needed: H x W x channels"
        )
    channels = image.shape[2]
    image = image[..., :3]
    reference = image if like is None else np.atleast_3d(like)[..., :3]
    if image.dtype != np.uint8 or _brightest(reference) < _DARK:
        image = _stretch(image, reference)
    if channels == 1:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2RGB)
    if channels == 2:
        return np.dstack([image, np.zeros_like(image[..., 0])])
    return np.ascontiguousarray(image)


def write_jpg(path: str | Path, picture: np.ndarray) -> None:
    """Write an RGB picture, uint8 H x W x 3, as JPEG; the file appears whole or not at all.

    Raises:
        ArtifactError: the picture is too large for the format, or the file cannot be written.
    """
    if max(picture.shape[:2]) > _JPEG_LIMIT:
        raise ArtifactError(f"a picture of {picture.shape[1]} x {picture.shape[0]} is more than JPEG holds", path)
    _write(path, picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 92])


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Write an RGB picture, uint8 H x W x 3, as PNG; the file appears whole or not at all.

    Raises:
        ArtifactError: the file cannot be written.
    """
    _write(path, picture, ".png", [])


def _write(path: str | Path, picture: np.ndarray, kind: str, options: Sequence[int]) -> None:
    done, data = cv2.imencode(kind, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ArtifactError(f"a picture of shape {picture.shape} cannot be written as {kind[1:].upper()}", path)
    write_atomic(path, data.tobytes())


_JPEG_LIMIT = 65500
_DARK = 96  # brightest percent of an 8-bit image below this: shown stretched


def _sample(image: np.ndarray) -> np.ndarray:
    """Enough values for a percentile: a regular pick, finite only."""
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / 4096)))
    values = image[::step, ::step].astype(np.float64)
    return values[np.isfinite(values)]


def _brightest(image: np.ndarray) -> float:
    return float(np.percentile(_sample(image), 99))


def _stretch(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    values = _sample(reference)
    if not values.size:
        return np.zeros(image.shape, np.uint8)
    low, high = np.percentile(values, (1, 99))
    if image.dtype.kind == "b" or (image.dtype.kind == "f" and values.min() >= 0 and 0 < values.max() <= 1):
        low, high = 0.0, 1.0
    stretched = (np.nan_to_num(image.astype(np.float32)) - low) * (255 / max(high - low, 1e-9))
    return np.clip(stretched, 0, 255).astype(np.uint8)


def _overlay(tile: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tint every class of an H x W x classes mask and draw its outline just outside, so that one pixel is seen too."""
    if mask.ndim == 2:
        mask = mask[..., None]
    if mask.ndim != 3 or 0 in mask.shape:
        raise DataError(f"an array of shape {mask.shape} is no mask; needed: H x W x classes")
    height, width = tile.shape[:2]
    tile = tile.copy()
    for number in range(mask.shape[2]):
        layer = np.ascontiguousarray(mask[..., number], np.uint8)
        if not cv2.hasNonZero(layer):
            continue
        share = resized(layer * np.uint8(255), height, width)
        colour = np.full_like(tile, PALETTE[number % len(PALETTE)])
        inside = _above(share, 127)
        outline = cv2.subtract(_above(cv2.dilate(share, _AROUND), 0), inside)
        tile = cv2.copyTo(cv2.addWeighted(tile, 0.65, colour, 0.35, 0), inside, tile)
        tile = cv2.copyTo(colour, outline, tile)
    return tile


def _above(values: np.ndarray, level: int) -> np.ndarray:
    return cv2.threshold(values, level, 255, cv2.THRESH_BINARY)[1]


_AROUND = np.ones((3, 3), np.uint8)
