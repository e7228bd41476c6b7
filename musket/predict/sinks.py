"""Where predictions go: pictures, arrays, rows of tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from musket.artifacts.files import write_atomic
from musket.core.errors import ArtifactError, MusketError
from musket.core.rle import rle_encode

Row = Mapping[str, object]


def refuse_overwriting(folder: Path, names: Iterable[str], inputs: Sequence[str], *, beside: bool = False) -> None:
    """See that writing predictions destroys nothing that they are made of. Links count as what they lead to.

    Args:
        folder: to be written to.
        names: of the files that will be written there.
        inputs: paths of the files that are read.
        beside: whether predictions may lie in a folder of ``inputs``.

    Raises:
        MusketError: a file to be written is one of those that are read, or lies among them.
    """
    place = _identity(folder)
    if place is None:
        return
    if not beside and place in {_identity(parent) for parent in {Path(path).parent for path in inputs}}:
        raise MusketError(
            f"{folder} is a folder of what is to be predicted, where predictions would overwrite images or be taken "
            "for some; nothing was written: choose another folder for the output"
        )
    written = {there: name for name in names if (there := _identity(folder / name)) is not None}
    for path in inputs if written else ():
        name = written.get(_identity(Path(path)) or (-1, -1))
        if name is not None:
            raise MusketError(
                f"{folder / name} would be overwritten, and it is what is to be predicted ({path}); nothing was "
                "written: choose another folder for the output"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file or folder, by whatever path, from all others; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def write_png(path: Path, scores: np.ndarray) -> None:
    """Write scores 0..1, H x W x classes, as 8-bit PNG: round(255 * score); grey for one class, colour for three.

    Any other number of classes is written as the picture of the class of the highest score (0, 1, 2, ...).
    """
    classes = scores.shape[2]
    if classes in (1, 3):
        picture = np.rint(np.clip(scores, 0, 1) * 255).astype(np.uint8)
        picture = picture[..., ::-1] if classes == 3 else picture
    else:
        picture = scores.argmax(axis=2).astype(np.uint8 if classes <= 256 else np.uint16)
    done, data = cv2.imencode(".png", np.ascontiguousarray(picture))
    if not done:
        raise ArtifactError(f"scores of shape {scores.shape} cannot be written as PNG", path)
    write_atomic(path, data.tobytes())


def write_npy(path: Path, scores: np.ndarray) -> None:
    """Write scores as a float32 .npy array: H x W x classes, or one number per class."""
    buffer = io.BytesIO()
    np.save(buffer, scores.astype(np.float32, copy=False), allow_pickle=False)
    write_atomic(path, buffer.getvalue())


def score_row(name: str, scores: np.ndarray, columns: Sequence[str] | None = None) -> Row:
    """Scores of one image as a row: ``image``, then a column for each.

    Args:
        scores: one number per class; of a map H x W x classes the highest score of each class in the image is taken.
        columns: names of the scores; default ``score_0``, ``score_1``, ...
    """
    highest = scores if scores.ndim == 1 else scores.max(axis=(0, 1))
    columns = columns or [f"score_{number}" for number in range(len(highest))]
    return {"image": name, **{column: f"{score:.6g}" for column, score in zip(columns, highest, strict=True)}}


def rle_rows(name: str, scores: np.ndarray, threshold: float | Sequence[float] = 0.5) -> list[Row]:
    """Masks of one image as rows of a submission: ``image``, ``rle_mask``.

    Several classes give a row each, with the number of the class as ``class`` between the two.

    Args:
        scores: H x W x classes.
        threshold: what a score must exceed; one for all classes, or one each.

    Raises:
        MusketError: another number of thresholds than of classes.
    """
    classes = scores.shape[2]
    thresholds = [threshold] * classes if isinstance(threshold, float | int) else list(threshold)
    if len(thresholds) != classes:
        raise MusketError(f"one threshold per class is needed, that is {classes}; found {len(thresholds)}")
    masks = [rle_encode(scores[..., number] > limit) for number, limit in enumerate(thresholds)]
    if classes == 1:
        return [{"image": name, "rle_mask": masks[0]}]
    return [{"image": name, "class": number, "rle_mask": mask} for number, mask in enumerate(masks)]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows with the same columns as CSV. No rows, no columns: an empty file."""
    text = io.StringIO(newline="")
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(dict(row))
    write_atomic(path, text.getvalue())
