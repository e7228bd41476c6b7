"""What earlier runs left in an experiment's folder: found and removed, and nothing beside it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from musket.artifacts.files import write_atomic
from musket.artifacts.layout import Layout
from musket.artifacts.predictions import INDEX, LOCK
from musket.core.types import Unit

TABLE = r"(validation|holdout-)\d+\.\d+-(gt|pt)\.csv"
"""Names, as a pattern, of the tables of dumpPredictionsToCSV, beside the stores in predictions/."""
BY_CLASS = r"(validation|holdout)_(classes|confusion|values)(_.+)?\.(csv|png)"
"""Names of tables and pictures in evaluation/."""
STORED = rf"(\d+|vectors)\.npy\.npz|{re.escape(LOCK)}"
"""Names of files in a store of predictions, its index aside."""
_SCRATCH = r"tmp-validation\d+\.\d+\.npy"


def traces(layout: Layout, unit: Unit) -> list[Path]:
    """Files that training of a unit left behind."""
    kinds = (layout.state, layout.weights, layout.metrics, layout.batch_metrics)
    return [path for stage in unit.stages for file in kinds if (path := file(unit.fold, stage)).exists()]


def forget_unit(layout: Layout, unit: Unit) -> None:
    """Remove what training of a unit left behind, pictures and logs included."""
    for path in traces(layout, unit):
        path.unlink()
    for stage in unit.stages:
        for folder in (layout.example(unit.fold, stage, 0, 0).parent, layout.tensorboard(unit.fold, stage)):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def splits_set_aside(layout: Layout) -> Iterator[None]:
    """Inside, there are no stored splits; those that were there come back when something fails."""
    kept = {path: path.read_bytes() for path in (layout.folds_split, layout.holdout_split) if path.exists()}
    for path in kept:
        path.unlink()
    try:
        yield
    except BaseException:
        for path in (layout.folds_split, layout.holdout_split):
            path.unlink(missing_ok=True)
        for path, content in kept.items():
            write_atomic(path, content)
        raise


def forget_predictions(layout: Layout) -> None:
    """Remove stored predictions and all tables of them; the user's own files among them stay."""
    folder = layout.predictions
    for path in list(folder.iterdir()) if folder.is_dir() else ():
        if re.fullmatch(TABLE, path.name):
            path.unlink()
        elif re.fullmatch(_SCRATCH, path.name):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir() and (_is_store(path) or path.suffix == ".npy"):  # one without index was interrupted
            _forget_store(path)
    _remove_empty(folder)
    forget_by_class(layout)
    _remove_empty(layout.evaluation)


def forget_states(folder: Path) -> None:
    """Remove what resuming needs, of an experiment and of those in folders below: they will not go on."""
    for path in folder.rglob("weights/last-*.state"):
        path.unlink(missing_ok=True)  # folds that are still under way remove their own


def forget_half_written(layout: Layout) -> None:
    """Remove files that a killed process was writing."""
    for folder in (layout.folder, layout.weights(0, 0).parent, layout.metrics(0, 0).parent):
        for path in folder.glob(".*.part"):
            if re.fullmatch(r"\..+\.\d+\.part", path.name):
                path.unlink(missing_ok=True)


def forget_by_class(layout: Layout) -> None:
    """Remove tables and pictures by class, also of heads that were called otherwise; the user's own files stay."""
    for path in list(layout.evaluation.iterdir()) if layout.evaluation.is_dir() else ():
        if re.fullmatch(BY_CLASS, path.name):
            path.unlink()


def _forget_store(folder: Path) -> None:
    if _is_store(folder):
        (folder / INDEX).unlink()
    for path in list(folder.iterdir()):
        if re.fullmatch(STORED, path.name):
            path.unlink()
    _remove_empty(folder)


def _is_store(folder: Path) -> bool:
    try:
        index = json.loads((folder / INDEX).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(index, dict) and {"digest", "ids"} <= set(index)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
