"""What is known of every experiment below a folder, from its files alone: configs, epochs, results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError
from musket.losses.catalogue import LOSSES
from musket.metrics.catalogue import Mode, adopt, direction
from musket.report.best_epochs import Epochs, best_epoch, mean_row, metrics_files, read_epochs
from musket.report.differences import Config, Leaves, leaves, with_common
from musket.report.find_experiments import Found, State, find_experiments, seed_folders, state_of
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
        notes: what was decided without being told to, a line each.
    """

    entries: list[Entry] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


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
            searched = written is not None and "hyperparameters" in written
            result.left_out["search" if searched else "without metrics"] += 1
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


def _leaves(tree: Mapping[str, Any] | None, path: Path, troubles: list[str]) -> Leaves | None:
    try:
        return None if tree is None else leaves(tree)
    except ValueError as error:
        troubles.append(f"{path}: {error}")
        return None


def _entry(
    found: Found, state: State, summary: Mapping[str, Any], written: dict[str, Any] | None, result: Collection
) -> Entry | None:
    """The figures of one experiment; None when it has none."""
    runs = [Layout(config) for config in seed_folders(found.layout)]
    seeds = len(runs)
    records = [_record(run, result.troubles) for run in runs or [found.layout]]
    said = next((record["config"] for record in records if record), None) or written or {}
    primary = str(said.get("primary_metric", PRIMARY))
    mode = _mode(primary, said, found, result.notes)
    rows: list[dict[str, float]] = []
    folds: set[int] = set()
    holdouts: list[dict[str, float]] = []
    chosen: set[str] = set()
    for run in runs or [found.layout]:
        own = state_of(Found(found.name, run.config), result.troubles)[1] if seeds else summary
        if seeds and not own and state == "finished":
            result.notes.append(f"{found.name}: seed {run.folder.name} is not finished, the mean is without it")
            seeds -= 1
            continue
        for fold, tables in _tables(run, own, result.troubles).items():
            try:
                row, by = best_epoch(tables, primary, mode)
            except ValueError as error:
                result.troubles.append(f"{run.folder / 'metrics'}: fold {fold}: {error}; left out")
                continue
            rows.append(row)
            folds.add(fold)
            chosen.add(by)
        holdouts.append(_holdout(own))
    if not rows:
        return None
    if chosen != {primary}:
        instead = ", ".join(sorted(by or "the last epoch" for by in chosen - {primary}))
        result.notes.append(f"{found.name}: {primary} was not logged everywhere; epochs chosen by {instead}")
    return Entry(
        name=found.name,
        state=state,
        config=_config(found, written, [record for record in records if record], runs, result.troubles),
        folds=len(folds),
        seeds=seeds if runs else 0,
        figures=mean_row(rows),
        holdout=mean_row(holdouts),
        primary=primary,
        mode=mode,
        data=next((str((record.get("data") or {}).get("fingerprint", "")) for record in records if record), ""),
    )


def _mode(primary: str, said: Mapping[str, Any], found: Found, notes: list[str]) -> Mode:
    """Which way the primary metric gets better: as the config says, else as is known."""
    mode = said.get("primary_metric_mode", "auto")
    if mode == "min" or mode == "max":
        return mode
    known = direction(primary)
    if known is None:
        notes.append(
            f"{found.name}: nobody says whether {primary} is better high or low; taken as better high "
            "(primary_metric_mode says it)"
        )
    return known or "max"


def _record(run: Layout, troubles: list[str]) -> dict[str, Any] | None:
    """The record of a run that holds its resolved config."""
    if not run.run_record.exists():
        return None
    record = _map(run.run_record, troubles)
    return record if record is not None and isinstance(record.get("config"), dict) else None


def _tables(run: Layout, summary: Mapping[str, Any], troubles: list[str]) -> dict[int, list[Epochs]]:
    """The tables of every fold, those that the summary covers where it says which."""
    folds, stages = summary.get("folds"), summary.get("stages")
    tables: dict[int, list[Epochs]] = {}
    try:
        files = metrics_files(run.folder / "metrics")
    except ArtifactError as error:
        troubles.append(str(error))
        return tables
    for fold, stage, path in files:
        if (isinstance(folds, list) and fold not in folds) or (isinstance(stages, list) and stage >= len(stages)):
            continue  # left by an earlier run
        try:
            tables.setdefault(fold, []).append(read_epochs(path, stage))
        except ArtifactError as error:
            troubles.append(str(error))
    return {fold: found for fold, found in tables.items() if found}


def _holdout(summary: Mapping[str, Any]) -> dict[str, float]:
    block = summary.get("allStages")
    pairs: Iterable[tuple[str, Any]] = block.items() if isinstance(block, dict) else ()
    return {
        name: float(value)
        for name, value in pairs
        if name.endswith("_holdout") and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _config(
    found: Found,
    written: dict[str, Any] | None,
    records: list[dict[str, Any]],
    seeds: list[Layout],
    troubles: list[str],
) -> Config:
    """The config of an experiment in both views; of one with seeds ``varies`` stands where these differ."""
    stated = None if written is None else {key: value for key, value in written.items() if key != "num_seeds"}
    views = []
    for record in records:
        subsample = {"subsample": record["subsample"]} if "subsample" in record else {}
        config = {key: value for key, value in record["config"].items() if key != "num_seeds"}
        views.append(_leaves({**subsample, **config}, found.layout.run_record, troubles))
    known = [view for view in views if view is not None]
    trained = None
    if known:
        differing = {key for view in known for key, value in view.items() if known[0].get(key) != value}
        trained = {key: "varies" if key in differing else value for key, value in known[0].items()}
    return Config(_leaves(stated, found.config, troubles), trained)
