"""Where predictions go: pictures and arrays."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from musket.artifacts.files import write_atomic
from musket.core.errors import ArtifactError


def write_png(path: Path, scores: np.ndarray) -> None:
    """Write scores 0..1, H x W x classes, as 8-bit PNG: round(255 * score); grey for one class, colour for three.

    Any other number of classes is written as the picture of the class of the highest score (0, 1, 2, ...).
    """
    classes = scores.shape[2]
    if classes in (1, 3):
        picture = np.rint(np.clip(scores, 0, 1) * 255).astype(np.uint8)
        picture = picture[..., ::-1] if classes == 3 else picture
    else:
        picture = scores.argmax(axis=2).astype(np.uint8)
    done, data = cv2.imencode(".png", np.ascontiguousarray(picture))
    if not done:
        raise ArtifactError(f"scores of shape {scores.shape} cannot be written as PNG", path)
    write_atomic(path, data.tobytes())


def write_npy(path: Path, scores: np.ndarray) -> None:
    """Write scores as a float32 .npy array, H x W x classes."""
    buffer = io.BytesIO()
    np.save(buffer, scores.astype(np.float32, copy=False), allow_pickle=False)
    write_atomic(path, buffer.getvalue())
