"""Weights of an ensemble, and the weighted mean of predictions stored in several folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musket.core.errors import DataError, MusketError
from musket.core.identity import examples

OnArray = Callable[[str, np.ndarray, Any], object]


def shares(weights: Sequence[float] | None, count: int) -> np.ndarray:
    """Weights of ``count`` members, divided by their sum; all alike by default.

    Raises:
        MusketError: not one weight per member, or one that is no number, negative or not finite, or all are 0.
    """
    if weights is None:
        return np.full(count, 1 / count)
    try:
        given = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.zeros(0)
    if given.ndim != 1 or not given.size:
        raise MusketError(f"weights: a list of numbers, one per member; found {weights!r}")
    if len(given) != count:
        raise MusketError(f"weights: one per member is needed, that is {count}; found {len(given)}")
    if not np.isfinite(given).all() or (given < 0).any() or given.sum() == 0:
        raise MusketError(f"weights: numbers of 0 and above, not all 0; found {list(weights)}")
    return given / given.sum()


def ensemble_predictions(
    sourceFolder: Any,
    folders: Sequence[str | Path],
    cb: OnArray,
    data: Any = None,
    weights: Sequence[float] | None = None,
) -> None:
    """Average predictions stored by ``predict_to_directory(..., binaryArray=True)``, file by file.

    For every file of ``sourceFolder``, ``NAME.npy`` is read from each folder, NAME being the file's name up to its
    first dot, and ``cb(file_name, mean, data)`` is called with the weighted mean, float32 H x W x classes.

    Args:
        sourceFolder: folder of the images that were predicted, or a ConstrainedDirectory.
        folders: where the arrays lie; a slash at the end makes no difference.
        weights: one per folder, divided by their sum; default all alike.

    Raises:
        MusketError: no folders, or unfit weights.
        DataError: arrays are missing, all of which are named before the first call; or the arrays of one file differ in
            shape or cannot be read.
    """
    from musket.data.folders import DirectoryDataSet

    if not folders:
        raise MusketError("folders: name one folder of stored predictions at least")
    portions = shares(weights, len(folders))
    arrays = {
        name: [Path(folder, f"{name.partition('.')[0]}.npy") for folder in folders]
        for name in DirectoryDataSet(sourceFolder).sample_ids()
    }
    missing = [str(path) for paths in arrays.values() for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(arrays) * len(folders)} stored predictions are missing ({examples(missing, 10)}); "
            "predict them first: predict_to_directory(..., binaryArray=True)"
        )
    for name, paths in arrays.items():
        cb(name, _mean_of_files(paths, portions), data)


ansemblePredictions = ensemble_predictions
"""The former spelling."""


def _mean_of_files(paths: Sequence[Path], portions: np.ndarray) -> np.ndarray:
    first = _read_array(paths[0])
    total = first * np.float32(portions[0])
    for path, share in zip(paths[1:], portions[1:], strict=True):
        array = _read_array(path)
        if array.shape != total.shape:
            raise DataError(
                f"the array has shape {array.shape}, that of {paths[0]} {total.shape}; "
                "the folders must hold predictions of the same images",
                path=path,
            )
        total += array * np.float32(share)
    return total


def _read_array(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False).astype(np.float32, copy=False)
    except (OSError, ValueError) as error:
        raise DataError(f"this is no stored prediction: {error}; predict it again", path=path) from error
