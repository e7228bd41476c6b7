"""The current project, for code of its modules that wants to know where it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.core.errors import DataError, MusketError

if TYPE_CHECKING:
    import numpy as np


def get_current_project_path() -> str:
    """The project folder the working directory is in: the nearest one that has ``modules``.

    Datasets are made in ``data/`` of their project and tasks run in a folder of their experiment. Elsewhere it is the
    project whose modules were imported last.

    Raises:
        MusketError: there is none.
    """
    here = Path.cwd()
    imported = (Path(entry).parent for entry in sys.path if Path(entry).name == "modules")
    for folder in (here, *here.parents, *imported):
        if (folder / "modules").is_dir():
            return str(folder)
    raise MusketError(f"{here} is in no project: no folder above it has modules")


def get_current_project_data_path() -> str:
    """``data`` of the current project. Raises as :func:`get_current_project_path`."""
    return str(Path(get_current_project_path(), "data"))


def csv_from_data(path: str) -> Any:
    """A CSV file as a table of pandas.

    Args:
        path: below ``data`` of the current project.

    Raises:
        DataError: it cannot be read.
    """
    import pandas as pd

    file = Path(get_current_project_data_path(), path)
    try:
        return pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read as CSV: {error}", path=file) from error


def image_from_data(path: str) -> np.ndarray:
    """A picture, H x W x 3, of the file's integer depth.

    Args:
        path: below ``data`` of the current project.

    Raises:
        DataError: it cannot be read.
    """
    from musket.data.images import read_image

    return read_image(Path(get_current_project_data_path(), path))
