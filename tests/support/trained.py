"""Experiments as they lie on disk after training: configs, run records, epochs and summaries, without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Table = Mapping[str, Sequence[float | str]]

FOUR_EPOCHS: Table = {
    "epoch": [0, 1, 2, 3],
    "loss": [0.9, 0.7, 0.5, 0.4],
    "val_dice": [0.2, 0.6, 0.8, 0.7],
    "val_loss": [0.8, 0.5, 0.6, 0.7],
}


def csv_text(table: Table) -> str:
    """Columns as the text of a CSV file."""
    rows = zip(*table.values(), strict=True)
    return "".join(",".join(map(str, row)) + "\n" for row in (list(table), *rows))


def write_experiment(
    folder: Path,
    config: str = "architecture: Unet\n",
    tables: Mapping[tuple[int, int], Table] | None = None,
    *,
    record: Mapping[str, Any] | None = None,
    summary: object = "finished",
    name: str = "config.yaml",
) -> Path:
    """An experiment.

    Args:
        tables: the epochs of each fold and stage; default: one fold and stage of four epochs.
        record: the resolved config of ``run.yaml``; None: there is no such file.
        summary: what ``summary.yaml`` holds, None: there is none; default: no more than that it is finished.
        name: of the config.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(config, encoding="utf-8")
    for (fold, stage), table in ({(0, 0): FOUR_EPOCHS} if tables is None else tables).items():
        path = folder / "metrics" / f"metrics-{fold}.{stage}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(csv_text(table))
    if record is not None:
        (folder / "run.yaml").write_text(yaml.safe_dump({"config": dict(record), "subsample": 1.0}))
    if summary is not None:
        content = {"completed": True, "cfgName": name} if summary == "finished" else summary
        (folder / "summary.yaml").write_text(yaml.safe_dump(content))
    return folder
