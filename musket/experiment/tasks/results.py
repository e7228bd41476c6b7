"""What tasks return, as files."""

from __future__ import annotations

import datetime as dt
import io
import numbers
import reprlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from musket.artifacts import records
from musket.artifacts.files import write_atomic
from musket.artifacts.layout import CONFIG
from musket.core.errors import ArtifactError

RECORD, ERROR = "task.yaml", "error.yaml"
"""Written in the end: with which arguments the task was done, or why it was not."""
WRITTEN = (RECORD, ERROR, "result.yaml", "result.csv", "result.npy")


def forget(folder: Path) -> None:
    """Remove what a run of a task left on its own account; files the task wrote itself stay."""
    for name in WRITTEN:
        (folder / name).unlink(missing_ok=True)


def is_ours(folder: Path) -> bool:
    """Whether a task has worked in a folder of this name: its record, or that of its failure, tells."""
    if not folder.name.isidentifier() or (folder / CONFIG).exists():
        return False
    return _told(folder / RECORD).get("task") == folder.name or _is_failure(_told(folder / ERROR).get("errors"))


def written(folder: Path) -> list[Path]:
    """The files there that are ours, sorted: the record, that of a failure, and the result that the record names."""
    names = {RECORD, ERROR, _told(folder / RECORD).get("result")}
    return [folder / name for name in sorted(WRITTEN) if name in names and (folder / name).is_file()]


def _told(path: Path) -> Mapping[str, Any]:
    try:
        found = records.read_yaml(path)
    except ArtifactError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _is_failure(errors: Any) -> bool:
    return isinstance(errors, list) and [set(each) for each in errors] == [{"type", "value", "trace"}]


def store(value: Any, folder: Path, tell: Callable[[str], object]) -> str | None:
    """Write what a task returned.

    Plain data becomes ``result.yaml`` (numbers of numpy, paths and arrays within it included), a table of pandas
    ``result.csv`` (with its index, unless that only numbers the rows), an array or tensor ``result.npy``.

    Args:
        tell: is told what of anything else is not stored.

    Returns:
        name of the file; None when there is none.

    Raises:
        ArtifactError: the file cannot be written.
    """
    if value is None:
        return None
    if (table := _table(value)) is not None:
        write_atomic(folder / "result.csv", table)
        return "result.csv"
    array = _array(value)
    if array is not None and array.ndim and array.dtype != object:
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        write_atomic(folder / "result.npy", buffer.getvalue())
        return "result.npy"
    try:
        records.write_yaml(folder / "result.yaml", _plain(value))
    except TypeError as error:
        tell(f"returned {reprlib.repr(value)}, which is not stored: {error}; return plain data, a table or an array")
        return None
    return "result.yaml"


def _table(value: Any) -> str | None:
    """CSV of a table or column of pandas; what is not imported gave no value."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, pandas.DataFrame | pandas.Series):
        return None
    return value.to_csv(index=not isinstance(value.index, pandas.RangeIndex), lineterminator="\n")


def _array(value: Any) -> np.ndarray | None:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return value if isinstance(value, np.ndarray) else None


def _plain(value: Any) -> Any:
    """Maps, lists, text and numbers, whatever classes they had. Raises TypeError for anything else."""
    array = _array(value)
    if array is not None:
        value = array.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | dt.date):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    raise TypeError(f"{type(value).__name__} is no plain data")
