"""Results as tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def summary_table(summary: Mapping[str, Any]) -> Table:
    """What summary.yaml says of all stages together: each metric over the folds, and on the holdout if there is one."""
    from rich.table import Table

    results = summary["allStages"]
    names = [name for name, value in results.items() if isinstance(value, Mapping)]
    with_holdout = any(f"{name}_holdout" in results for name in names)
    folds = len(summary["folds"])
    table = Table("metric", title=f"{folds} folds, each on its own validation part" if folds > 1 else "1 fold")
    for column in ("mean", "std", "lowest", "highest") if folds > 1 else ("validation",):
        table.add_column(column, justify="right")
    if with_holdout:
        table.add_column("holdout, folds blended" if folds > 1 else "holdout", justify="right")
    for name in names:
        values = [results[name][key] for key in (("mean", "std", "min", "max") if folds > 1 else ("mean",))]
        values += [results.get(f"{name}_holdout", math.nan)] if with_holdout else []
        table.add_row(name, *(f"{value:.4f}" for value in values))
    return table
