"""Run-length text of masks.

The usual form counts pixels down the columns, then from left to right, and lists pairs ``start length`` with the first
pixel numbered 1: the convention of the Kaggle segmentation contests. Masks are H x W; shapes are (H, W), never (W, H).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from musket.core.errors import DataError

Order = Literal["columns", "rows"]

#: Shape taken where none is given: the images of the contest the old snippets were written for.
DEFAULT_SHAPE = (768, 768)

_NO_OBJECT = frozenset({"", "-1", "nan", "none", "null"})


def is_run_text(cell: object) -> bool:
    """True for text that names at least one run; False for NaN, None, numbers, blank text and ``-1``."""
    return isinstance(cell, str) and cell.strip().lower() not in _NO_OBJECT


def rle_encode(img: Any, *, order: Order = "columns", base: int = 1, relative: bool = False) -> str:
    """Runs of the non-zero pixels as text.

    Args:
        img: H x W or H x W x 1, any dtype; what is not zero belongs to the object.
        order: ``columns`` counts pixels top to bottom, then left to right; ``rows`` the other way.
        base: number of the first pixel.
        relative: pairs ``gap length``, the gap counted from the end of the run before; ``base`` is then not used.

    Returns:
        Blank-separated pairs; empty text for an empty mask.

    Raises:
        DataError: the array has another shape.
    """
    mask = _plane(img)
    flat = np.zeros(mask.size + 2, dtype=bool)
    flat[1:-1] = (mask.T if order == "columns" else mask).reshape(-1) != 0
    bounds = np.flatnonzero(flat[1:] != flat[:-1])
    return _text(bounds[::2], bounds[1::2], base=base, relative=relative)


def rle_decode(
    mask_rle: str,
    shape: Sequence[int] = DEFAULT_SHAPE,
    *,
    order: Order = "columns",
    base: int = 1,
    relative: bool = False,
) -> np.ndarray:
    """Inverse of :func:`rle_encode`; overlapping and unsorted runs are joined.

    Args:
        mask_rle: run-length text; blank text or ``-1`` is an empty mask.
        shape: (H, W) of the mask.

    Returns:
        H x W, uint8, 0 or 1.

    Raises:
        DataError: the text is no list of whole-number pairs, or a run leaves the mask.
    """
    height, width = (int(size) for size in shape[:2])
    flat = np.zeros(height * width, dtype=np.uint8)
    if is_run_text(mask_rle):
        starts, ends = _runs(mask_rle, flat.size, shape, base=base, relative=relative)
        bounds = np.stack([starts, ends], axis=1).reshape(-1)
        inside = np.resize(np.array([0, 1], dtype=np.uint8), len(bounds))
        flat[: bounds[-1]] = np.repeat(inside, np.diff(bounds, prepend=0))
    if order == "rows":
        return flat.reshape(height, width)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def multi_rle_encode(img: Any) -> list[str]:
    """One run-length text per connected component (8 neighbours) of the first channel, in order of first pixel.

    Args:
        img: H x W or H x W x C; what is not zero belongs to an object.

    Raises:
        DataError: the array has another shape.
    """
    import cv2

    array = np.asarray(img)
    mask = _plane(array[..., 0] if array.ndim == 3 else array) != 0
    _, labels = cv2.connectedComponents(np.ascontiguousarray(mask.T, dtype=np.uint8), connectivity=8)
    flat = labels.reshape(-1)  # column-major, for the mask went in transposed
    starts = np.flatnonzero(np.diff(flat, prepend=0))
    ends = np.append(starts[1:], flat.size)
    owners = flat[starts]
    by_owner = np.argsort(owners, kind="stable")
    cuts = np.flatnonzero(np.diff(owners[by_owner])) + 1
    groups = [group for group in np.split(by_owner, cuts) if len(group) and owners[group[0]]]
    groups.sort(key=lambda group: group[0])
    return [_text(starts[group], ends[group]) for group in groups]


def masks_as_image(in_mask_list: Iterable[Any], shape: Sequence[int] = DEFAULT_SHAPE) -> np.ndarray:
    """Sum of decoded masks, H x W x 1, int16. Cells that are no run-length text (NaN, blank, -1) add nothing."""
    total = np.zeros((int(shape[0]), int(shape[1])), dtype=np.int16)
    for cell in in_mask_list:
        if is_run_text(cell):
            total += rle_decode(cell, shape)
    return total[..., None]


def masks_as_images(in_mask_list: Iterable[Any], shape: Sequence[int] = DEFAULT_SHAPE) -> list[np.ndarray]:
    """Decoded masks one by one, each H x W, float32, 0 or 1. Cells that are no text are skipped."""
    return [rle_decode(cell, shape).astype(np.float32) for cell in in_mask_list if isinstance(cell, str)]


def _plane(img: Any) -> np.ndarray:
    mask = np.asarray(img)
    if mask.ndim == 3 and mask.shape[2] == 1:
        mask = mask[..., 0]
    if mask.ndim != 2:
        raise DataError(f"run-length text is made from a mask H x W or H x W x 1, not from shape {mask.shape}")
    return mask


def _text(starts: np.ndarray, ends: np.ndarray, *, base: int = 1, relative: bool = False) -> str:
    """``starts`` and ``ends`` count from 0, ends exclusive."""
    first = starts - np.concatenate([[0], ends[:-1]]) if relative and len(starts) else starts + base
    return " ".join(map(str, np.stack([first, ends - starts], axis=1).reshape(-1).tolist()))


def _runs(text: str, size: int, shape: Sequence[int], *, base: int, relative: bool) -> tuple[np.ndarray, np.ndarray]:
    """Runs as (starts, ends) from 0, ends exclusive, sorted and free of overlaps."""
    try:
        numbers = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        raise DataError(f"not a run-length text: {_short(text)}; it must hold whole numbers") from None
    if len(numbers) % 2:
        raise DataError(f"not a run-length text: {_short(text)}; {len(numbers)} numbers do not form pairs")
    first, lengths = numbers[::2], numbers[1::2]
    starts = np.cumsum(first + lengths) - lengths if relative else first - base
    ends = starts + lengths
    wrong = np.flatnonzero((starts < 0) | (lengths < 0) | (ends > size))
    if len(wrong):
        pair = f"{first[wrong[0]]} {lengths[wrong[0]]}"
        raise DataError(
            f"run {pair!r} leaves the mask of {shape[0]} x {shape[1]} (height x width) pixels; "
            "give the shape the masks were encoded with (maskShape)"
        )
    order = np.argsort(starts, kind="stable")
    ends = np.maximum.accumulate(ends[order])
    starts = np.maximum(starts[order], np.concatenate([[0], ends[:-1]]))
    return starts, np.maximum(starts, ends)


def _short(text: str, limit: int = 40) -> str:
    return repr(text if len(text) <= limit else text[:limit] + "...")
