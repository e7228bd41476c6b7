"""What finished predictions are worth class by class, as tables and pictures beside the results."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.artifacts.files import write_atomic
from musket.artifacts.layout import file_name
from musket.core.errors import DataError
from musket.core.heads import Heads
from musket.metrics.per_class import best_thresholds, confusion_matrix, per_class
from musket.report import class_figures as figures
from musket.report.labels import ClassNames, flag_names, names_of, parts_of, shown_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CLASS_COLUMNS = ("class", "support", "precision", "recall", "f1", "roc_auc", "average_precision")
_COUNT_COLUMNS = ("class", "true_positives", "false_positives", "false_negatives", "true_negatives")


def write_evaluation(
    folder: str | Path,
    part_name: str,
    truth: np.ndarray,
    scores: np.ndarray,
    heads: Heads,
    class_names: ClassNames = None,
    *,
    thresholds: bool = False,
) -> list[Path]:
    """Write tables (CSV) and pictures (PNG) of predictions, for every head.

    ``PART_confusion`` counts true against predicted classes: a matrix where classes exclude one another, else true and
    false positives and negatives of every class. ``PART_classes`` has support, precision, recall, F1, ROC AUC and
    average precision of every class; with ``thresholds``, for classes on their own also the one with the best F1.
    ``PART_values`` has MAE, RMSE and R2 of numbers, and their predictions over the truth as a picture. With several
    heads the name of the head follows: ``validation_classes_kind.csv``.

    Args:
        folder: where; it is made if need be.
        part_name: begins the names of the files.
        truth: N x sum of the heads' sizes.
        scores: predictions (0..1 or numbers), in the same shape.
        heads: what the columns are.
        class_names: per head; numbers where there are none.
        thresholds: search those with the best F1. Not where the figures are to tell what new data would get: a
            threshold searched there fits what it is judged by.

    Returns:
        the files; none where there is no sample.

    Raises:
        DataError: truth and scores do not fit one another or the heads.
        ArtifactError: a file cannot be written.
    """
    truth, scores = np.asarray(truth), np.asarray(scores)
    if truth.shape != scores.shape or truth.ndim != 2:
        raise DataError(f"truth has shape {truth.shape} and predictions {scores.shape}; both must be samples x values")
    if not len(truth):
        return []
    written: list[Path] = []
    for head, (asked, found) in enumerate(zip(parts_of(truth, heads), parts_of(scores, heads), strict=True)):
        title = f"{part_name}, {heads.names[head]}" if len(heads.sizes) > 1 else part_name
        after = f"_{file_name(heads.names[head])}" if len(heads.sizes) > 1 else ""

        def keep(what: str, rows: Iterable[Sequence[Any]], figure: Figure, after: str = after) -> None:
            path = Path(folder) / f"{file_name(part_name)}_{what}{after}"
            table, picture = path.with_name(f"{path.name}.csv"), path.with_name(f"{path.name}.png")
            write_atomic(table, _as_csv(rows))
            write_atomic(picture, figures.as_png(figure))
            written.extend((table, picture))

        if heads.kinds[head] == "values":
            names = names_of(heads, class_names, head)
            asked, found = asked.astype(np.float64), found.astype(np.float64)
            errors = [value_errors(*columns) for columns in zip(asked.T, found.T, strict=True)]
            rows = [("value", "samples", "mae", "rmse", "r2"), *zip(names, *zip(*errors, strict=True), strict=True)]
            keep("values", rows, figures.draw_values(asked, found, names, errors, title))
            continue
        exclusive = heads.kinds[head] == "exclusive"
        names, shown = names_of(heads, class_names, head), shown_names(heads, class_names, head)
        counts = confusion_matrix(asked, found, exclusive=exclusive)
        if exclusive or len(names) == 1:
            titles = names if exclusive else flag_names(heads, class_names, head)
            matrix = counts if exclusive else counts[0]
            rows = [("truth", *titles), *((name, *line) for name, line in zip(titles, matrix.tolist(), strict=True))]
            keep("confusion", rows, figures.draw_confusion(matrix, shown if exclusive else titles, title))
        else:
            order = counts[:, (1, 0, 1, 0), (1, 1, 0, 0)]  # as in _COUNT_COLUMNS
            rows = [_COUNT_COLUMNS, *((name, *line) for name, line in zip(names, order.tolist(), strict=True))]
            keep("confusion", rows, figures.draw_counts(order, shown, title))
        table = per_class(asked, found, exclusive=exclusive, names=names)
        rows = [[getattr(row, column) for column in ("name", *_CLASS_COLUMNS[1:])] for row in table]
        columns = list(_CLASS_COLUMNS)
        if thresholds and not exclusive:
            best = best_thresholds(asked, found)
            (_, missed), (invented, both) = confusion_matrix(asked, found, exclusive=False, thresholds=best).T
            best_f1 = 2 * both / np.maximum(1, 2 * both + invented + missed)
            columns += ["best_threshold", "best_f1"]
            rows = [[*row, *more] for row, *more in zip(rows, best.tolist(), best_f1.tolist(), strict=True)]
        keep("classes", [columns, *rows], figures.draw_classes(table, shown, title))
    return written


def value_errors(truth: np.ndarray, values: np.ndarray) -> tuple[int, float, float, float]:
    """Samples, mean absolute error, root of the mean squared error, and coefficient of determination of one number.

    R2 is nan where the truth is the same everywhere.
    """
    off = values - truth
    spread = float(((truth - truth.mean()) ** 2).sum())
    r2 = 1 - float((off**2).sum()) / spread if spread else math.nan
    return len(truth), float(np.abs(off).mean()), float(np.sqrt((off**2).mean())), r2


def _as_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV; floats with six digits, what is undefined as an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value
