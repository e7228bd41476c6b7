"""One augmentation step at a time, in the plainest way: the reference that the fused form is held to."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from musket.augment.colour_tables import settle
from musket.augment.steps import Colour, Frame, Geometry, ImagePass, Pass, Step
from musket.augment.warp import fill_of, resizing
from musket.core.errors import MusketError
from musket.core.geometry import resize_image, resize_mask, with_channels

_ORDERS = {0: cv2.INTER_NEAREST, 1: cv2.INTER_LINEAR, 3: cv2.INTER_CUBIC}


def image_alone(step: ImagePass, image: np.ndarray) -> np.ndarray:
    """Run a pass over the image.

    Raises:
        MusketError: it gave an array of another size, number of channels or depth.
    """
    result = step.run(np.ascontiguousarray(image))
    if result.shape != image.shape or result.dtype != image.dtype:
        raise MusketError(
            f"an augmenter turned an image of {_shape(image)} into one of {_shape(result)}; it must keep both"
        )
    return result


def both(step: Pass, image: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Run a pass over image and mask.

    Raises:
        MusketError: image and mask no longer fit, or the image has other channels or another depth.
    """
    if mask is not None:
        mask = np.ascontiguousarray(mask.view(np.uint8) if mask.dtype == bool else mask, dtype=np.uint8)
    result, moved = step.run(np.ascontiguousarray(image), mask)
    if result.ndim != 3 or result.shape[2] != image.shape[2] or result.dtype != image.dtype:
        raise MusketError(
            f"an augmenter turned an image of {_shape(image)} into {_shape(result)}; channels and depth must stay"
        )
    if mask is not None and (moved is None or moved.shape != (*result.shape[:2], mask.shape[2])):
        found = "none" if moved is None else str(moved.shape)
        raise MusketError(f"an augmenter gave an image of {_shape(result)} with a mask of {found}; they must fit")
    return result, moved


def _shape(array: np.ndarray) -> str:
    return f"{' x '.join(map(str, array.shape))} {array.dtype}"


def run_each(image: np.ndarray, mask: np.ndarray | None, steps: Sequence[Step]) -> tuple[np.ndarray, np.ndarray | None]:
    """Run every step alone, at the size of its own input."""
    for step in steps:
        match step:
            case Geometry() if _resizes(step, image):
                image = resize_image(image, step.height, step.width)
                mask = None if mask is None else resize_mask(mask, step.height, step.width)
            case Geometry():
                frame = Frame.of(image)
                shrink = _shrink(step, frame) if step.order else 1
                matrix = step.matrix
                if shrink > 1:
                    small = frame.height // shrink, frame.width // shrink
                    x, y = frame.width / small[1], frame.height / small[0]
                    matrix = matrix @ np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5], [0, 0, 1]])
                    image = resize_image(image, *small)
                image = _sample(image, matrix, step, step.order, fill_of(step, frame))
                if mask is not None:
                    mask = _sample(mask.astype(np.uint8), step.matrix, step, 0, np.zeros(mask.shape[2], np.uint8))
            case Colour() if image.dtype.kind == "f":
                image = (np.clip(step.curve(image * np.float32(255)), 0, 255) / np.float32(255)).astype(image.dtype)
            case Colour():
                image = settle(image, [step])
            case ImagePass():
                image = image_alone(step, image)
            case Pass():
                image, mask = both(step, image, mask)
    return image, mask


def _resizes(step: Geometry, image: np.ndarray) -> bool:
    plain = resizing(image.shape[0], image.shape[1], step.height, step.width).matrix
    return step.order == 1 and np.array_equal(step.matrix, plain)


def _shrink(step: Geometry, frame: Frame) -> int:
    """How many times smaller a step makes the image, as a whole number."""
    x, y = frame.width - 0.5, frame.height - 0.5
    points = step.matrix @ np.array([[-0.5, x, x, -0.5], [-0.5, -0.5, y, y], [1, 1, 1, 1]])
    sides = np.linalg.norm(np.roll(points[:2] / points[2], -1, axis=1) - points[:2] / points[2], axis=0)
    return max(1, int(min(frame.width / max(sides[::2]), frame.height / max(sides[1::2])) + 1e-6))


def _sample(array: np.ndarray, matrix: np.ndarray, step: Geometry, order: int, fill: np.ndarray) -> np.ndarray:
    """Read H x W x C at the places of every output pixel, channel by channel."""
    x, y = np.meshgrid(np.arange(step.width), np.arange(step.height))
    source = np.linalg.inv(matrix) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    across, down = (source[:2] / source[2]).reshape(2, step.height, step.width)
    # The array is widened by what the border shows, so that no border of OpenCV's takes part.
    margin = (
        int(min(max(-across.min(), -down.min(), across.max() - array.shape[1], down.max() - array.shape[0], 0), 2000))
        + 3
    )
    channels = []
    for channel in range(array.shape[2]):
        plane = array[..., channel]
        if step.border == "constant":
            wide = np.pad(plane, margin, constant_values=fill[channel])
        else:
            wide = np.pad(plane, margin, mode=step.border)
        places = (across + margin).astype(np.float32), (down + margin).astype(np.float32)
        channels.append(cv2.remap(wide, *places, _ORDERS[order], borderMode=cv2.BORDER_REPLICATE))
    return with_channels(np.stack(channels, axis=-1))
