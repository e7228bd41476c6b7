"""Pictures handed to datasets that mix them into others: a folder, a dataset, or arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from musket.core.errors import DataError
from musket.core.geometry import with_channels
from musket.data.folders import ConstrainedDirectory, DirectoryDataSet


def pictures_of(source: Any, what: str) -> Any:
    """Pictures by position: items with ``x``, or arrays.

    Args:
        source: folder, :class:`ConstrainedDirectory`, dataset, or list of arrays.
        what: name of the argument, for messages.

    Raises:
        DataError: there is none, or the folder cannot be listed.
    """
    found = DirectoryDataSet(source) if isinstance(source, str | Path | ConstrainedDirectory) else source
    if not len(found):
        raise DataError(f"{what}: there are no pictures in it")
    return found


def array_of(picture: Any) -> np.ndarray:
    """H x W x C of an item or an array."""
    return with_channels(np.asarray(getattr(picture, "x", picture)))
