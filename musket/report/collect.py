"""What is known of every experiment below a folder, from its files alone: configs, epochs, results."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musket.artifacts.layout import Layout
from musket.artifacts.records import statistics
from musket.artifacts.runs import judged_seeds
from musket.core.errors import ArtifactError
from musket.losses.catalogue import LOSSES
from musket.metrics.catalogue import Mode, adopt, direction, find_column
from musket.report.best_epochs import Epochs, best_epoch, mean_row, metrics_files, read_epochs
from musket.report.differences import Config, Leaves, leaves, with_common
from musket.report.find_experiments import Found, State, find_experiments, state_of
from musket.report.plain_yaml import read_plain

PRIMARY = "val_binary_accuracy"
"""What an experiment is judged by that names nothing; the default of the config's key."""

CommonOf = Callable[[Path], Path | None]


@dataclass(frozen=True)
class Entry:
    """An experiment that has figures.

    Attributes:
        name: its row's name.
        state: how far it has come.
        config: what it was trained with.
        folds: how many have figures.
        seeds: runs with other seeds whose folds are in the mean; 0 for an experiment without ``num_seeds``.
        figures: the mean over folds of one epoch each.
        holdout: figures of the holdout, ``<metric>_holdout``.
        spread: ``<metric>_std``: of ``primary`` over the folds, of figures of the holdout over the seeds.
        primary: the figure the epochs were chosen by, ``""`` when the last epochs were taken.
        mode: which way that gets better.
        data: fingerprint of the samples; ``""`` when nobody recorded it.
    """

    name: str
    state: State
    config: Config
    folds: int
    seeds: int
    figures: dict[str, float]
    holdout: dict[str, float]
    spread: dict[str, float]
    primary: str
    mode: Mode
    data: str


@dataclass
class Collection:
    """All that was found.

    Attributes:
        entries: experiments with figures.
        left_out: how many have none, by state.
        troubles: files that could not be read, a line each.
        remarks: what was decided without being told to, and of which experiments.
    """

    entries: list[Entry] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def remark(self, name: str, words: str) -> None:
        self.remarks.setdefault(words, []).append(name)


def collect(folder: Path, common_of: CommonOf = lambda _: None, *, unfinished: bool = False) -> Collection:
    """Read configs, metrics and summaries of the experiments below a folder.

    Args:
        folder: searched as :func:`~musket.report.find_experiments.find_experiments` does.
        common_of: the ``common.yaml`` that counts for a config, None where there is none.
        unfinished: also take experiments without summary.yaml, as far as they have come.
    """
    adopt(LOSSES)
    result = Collection()
    commons: dict[Path, dict[str, Any]] = {}
    for found in find_experiments(folder, result.troubles):
        state, summary = state_of(found, result.troubles)
        if state != "finished" and not (unfinished and state != "never trained"):
            result.left_out[state] += 1
            continue
        common = common_of(found.config)
        if common is not None and common not in commons:
            commons[common] = _map(common, result.troubles) or {}
        written = _map(found.config, result.troubles)
        if written is not None and common is not None:
            written = with_common(written, commons[common])
        entry = _entry(found, state, summary, written, result)
        if entry is not None:
            result.entries.append(entry)
        else:
            search = written is not None and "hyperparameters" in written
            if not search or found.config.parent != folder:  # whose trials are what is being compared
                result.left_out["search" if search else "without metrics"] += 1
    return result


def _map(path: Path, troubles: list[str]) -> dict[str, Any] | None:
    """A YAML file that holds a map; None, and a line of trouble, when it does not."""
    try:
        content = read_plain(path)
    except ArtifactError as error:
        troubles.append(str(error))
        return None
    if isinstance(content, dict):
        return content
    troubles.append(f"{path}: holds no map of keys")
    return None


def _entry(
    found: Found, state: State, summary: Mapping[str, Any], written: dict[str, Any] | None, result: Collection
) -> Entry | None:
    """The figures of one experiment; None when it has none."""
    seeds = list(judged_seeds(found.layout, summary).values())
    records = [record for run in seeds or [found.layout] if (record := _record(run, result.troubles))]
    said: Mapping[str, Any] = records[0]["config"] if records else written or {}
    primary = str(said.get("primary_metric", PRIMARY))
    mode = _mode(primary, said, found.name, result)
    runs = _finished_seeds(found, seeds, state, result) if seeds else [(found.layout, summary)]
    epochs: list[Chosen] = []
    for run, own in runs:
        epochs += _best_epochs(run, own, primary, mode, result.troubles)
    if not epochs:
        return None
    instead = {epoch.by for epoch in epochs} - {primary}
    if instead:
        names = ", ".join(sorted(name or "the last epoch" for name in instead))
        result.remark(found.name, f"{primary} was not logged everywhere; epochs chosen by {names}")
    judged = min(instead) if instead else primary
    column = find_column(judged, {name for epoch in epochs for name in epoch.row})
    holdouts = [_holdout(own) for _, own in runs]
    return Entry(
        name=found.name,
        state=state,
        config=_config(found, written, records, result.troubles),
        folds=len({epoch.fold for epoch in epochs}),
        seeds=len(runs) if seeds else 0,
        figures=mean_row(epoch.row for epoch in epochs),
        holdout=mean_row(holdouts),
        spread={**_spread([epoch.row for epoch in epochs], [column] if column else []), **_spread(holdouts)},
        primary=judged,
        mode=mode,
        data=str((records[0].get("data") or {}).get("fingerprint", "")) if records else "",
    )


def _finished_seeds(
    found: Found, seeds: Iterable[Layout], state: State, result: Collection
) -> list[tuple[Layout, Mapping[str, Any]]]:
    """The runs with other seeds that are finished (of an unfinished experiment all), with their summaries."""
    runs: list[tuple[Layout, Mapping[str, Any]]] = []
    for run in seeds:
        how, summary = state_of(Found(found.name, run.config), result.troubles)
        if how == "finished" or state != "finished":
            runs.append((run, summary))
        else:
            result.remark(found.name, f"the run of seed {run.folder.name} is {how}; the mean is without it")
    return runs


def _mode(primary: str, said: Mapping[str, Any], name: str, result: Collection) -> Mode:
    """Which way the primary metric gets better: as the config says, else as is known."""
    mode = said.get("primary_metric_mode", "auto")
    if mode == "min" or mode == "max":
        return mode
    known = direction(primary)
    if known is None:
        words = f"nobody says whether {primary} is better high or low, taken as high; set primary_metric_mode"
        result.remark(name, words)
    return known or "max"


def _record(run: Layout, troubles: list[str]) -> dict[str, Any] | None:
    """The record of a run that holds its resolved config."""
    if not run.run_record.exists():
        return None
    record = _map(run.run_record, troubles)
    return record if record is not None and isinstance(record.get("config"), dict) else None


@dataclass(frozen=True)
class Chosen:
    """The epoch that stands for a fold, and the column it was chosen by."""

    fold: int
    row: dict[str, float]
    by: str


def _best_epochs(
    run: Layout, summary: Mapping[str, Any], primary: str, mode: Mode, troubles: list[str]
) -> list[Chosen]:
    """One epoch of each fold: of folds and stages that the summary covers, where it says which."""
    folds, stages = summary.get("folds"), summary.get("stages")
    tables: dict[int, list[Epochs]] = {}
    try:
        files = metrics_files(run.folder / "metrics")
    except ArtifactError as error:
        troubles.append(str(error))
        return []
    for fold, stage, path in files:
        if (isinstance(folds, list) and fold not in folds) or (isinstance(stages, list) and stage >= len(stages)):
            continue  # left by an earlier run
        try:
            tables.setdefault(fold, []).append(read_epochs(path, stage))
        except ArtifactError as error:
            troubles.append(str(error))
    chosen: list[Chosen] = []
    for fold, of_stages in tables.items():
        try:
            best = best_epoch(of_stages, primary, mode)
        except ArtifactError as error:
            troubles.append(f"{error}; fold {fold} is left out")
            continue
        chosen += [Chosen(fold, *best)] if best is not None else []
    return chosen


def _holdout(summary: Mapping[str, Any]) -> dict[str, float]:
    block = summary.get("allStages")
    pairs: Iterable[tuple[str, Any]] = block.items() if isinstance(block, dict) else ()
    return {
        name: float(value)
        for name, value in pairs
        if name.endswith("_holdout") and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _spread(rows: Sequence[Mapping[str, float]], columns: Iterable[str] | None = None) -> dict[str, float]:
    """``<column>_std``, over rows, of some columns or all: those that have several numbers."""
    found: dict[str, float] = {}
    for column in dict.fromkeys(name for row in rows for name in row) if columns is None else columns:
        values = [row[column] for row in rows if math.isfinite(row.get(column, math.nan))]
        if len(values) > 1:
            found[f"{column}_std"] = statistics(values)["std"]
    return found


def _config(
    found: Found, written: dict[str, Any] | None, records: Iterable[Mapping[str, Any]], troubles: list[str]
) -> Config:
    """The config of an experiment in both views; of one with seeds ``varies`` stands where these differ."""
    views: list[Leaves] = []
    for record in records:
        subsample = {"subsample": record["subsample"]} if "subsample" in record else {}
        view = _leaves({**subsample, **record["config"]}, found.layout.run_record, troubles)
        views += [] if view is None else [view]
    trained = None
    if views:
        keys = {key: None for view in views for key in view}
        trained = {key: views[0].get(key, "varies") for key in keys}
        trained |= {key: "varies" for view in views for key, value in trained.items() if view.get(key) != value}
    return Config(_leaves(written, found.config, troubles), trained)


def _leaves(tree: Mapping[str, Any] | None, path: Path, troubles: list[str]) -> Leaves | None:
    """The values of a config; how many seeds there are has a column of its own."""
    if tree is None:
        return None
    try:
        return leaves({key: value for key, value in tree.items() if key != "num_seeds"})
    except ValueError as error:
        troubles.append(f"{path}: {error}")
        return None
