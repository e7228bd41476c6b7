"""Epoch rows (CSV), the run record and summary.yaml: one writer and one reader each."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from musket.artifacts.files import write_atomic
from musket.core.errors import ArtifactError, Change

Row = dict[str, float]

# The same loader, ten times as fast where PyYAML was built with libyaml.
_SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _text(value: float | int | None) -> str:
    if value is None:
        return "NA"
    return repr(value)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write all epoch rows: column ``epoch`` first, then the other names sorted; ``NA`` where a row lacks a value."""
    names = ["epoch", *sorted({name for row in rows for name in row} - {"epoch"})]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([int(row["epoch"]), *(_text(row.get(name)) for name in names[1:])])
    write_atomic(path, text.getvalue())


def read_rows(path: Path) -> list[Row]:
    """Read epoch rows; ``NA`` becomes nan.

    Raises:
        ArtifactError: the file is missing or no table of numbers.
    """
    try:
        with open(path, newline="") as file:
            return [
                {name: math.nan if text == "NA" else float(text) for name, text in row.items()}
                for row in csv.DictReader(file)
            ]
    except FileNotFoundError as error:
        raise ArtifactError("no such metrics file", path) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ArtifactError(f"not a table of epoch metrics ({error})", path) from error


class BatchLog:
    """Every batch's numbers, for ``logAll``: appended as they come, cut back to the last whole epoch on resume."""

    def __init__(self, path: Path, keep_epochs: int):
        self.path = path
        kept: list[list[str]] = []
        if keep_epochs and path.exists():
            with open(path, newline="") as file:
                kept = list(csv.reader(file))
            kept = kept[:1] + [row for row in kept[1:] if int(row[0]) < keep_epochs]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._names = kept[0] if kept else None
        self._file = open(path, "w", newline="")  # noqa: SIM115 (closed by close)
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerows(kept)

    def write(self, epoch: int, batch: int, values: Mapping[str, float]) -> None:
        if self._names is None:
            self._names = ["epoch", "batch", *sorted(values)]
            self._writer.writerow(self._names)
        self._writer.writerow([epoch, batch, *(_text(values.get(name)) for name in self._names[2:])])

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def statistics(values: Iterable[float]) -> dict[str, float]:
    """mean, max, min and (population) std of the folds' values, as summary.yaml holds them."""
    numbers = [float(value) for value in values]
    mean = math.fsum(numbers) / len(numbers)
    return {
        "mean": mean,
        "max": max(numbers),
        "min": min(numbers),
        "std": math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / len(numbers)),
    }


def write_yaml(path: Path, content: Any) -> None:
    """Write plain data as YAML, keys in their own order."""
    write_atomic(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def read_yaml(path: Path) -> Any:
    """Read plain data. Raises ArtifactError when the file is missing or no YAML."""
    try:
        return yaml.load(path.read_text("utf-8"), Loader=_SAFE_LOADER)
    except FileNotFoundError as error:
        raise ArtifactError("no such file", path) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ArtifactError(f"not readable as YAML ({' '.join(str(error).split())})", path) from error


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves of nested maps and lists by dotted key: ``{"stages": [{"epochs": 3}]}`` -> ``{"stages.0.epochs": 3}``."""
    if isinstance(tree, Mapping) and tree:
        pairs: Iterable[tuple[Any, Any]] = tree.items()
    elif isinstance(tree, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in tree):
        pairs = enumerate(tree)
    else:
        return {prefix: list(tree) if isinstance(tree, tuple) else tree}
    leaves: dict[str, Any] = {}
    for key, value in pairs:
        leaves.update(flatten(value, f"{prefix}.{key}" if prefix else str(key)))
    return leaves


def differences(stored: Any, current: Any) -> list[Change]:
    """Leaves that differ between two configs, by dotted key; ``None`` stands for absent."""
    old, new = flatten(stored), flatten(current)
    keys = [*old, *(key for key in new if key not in old)]
    return [Change(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]
