"""What differs between the config of a stored run and that of today, and how much of the run that concerns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from musket.artifacts import records
from musket.core.errors import Change

# Keys that change neither what is trained nor how it is judged.
_WITHOUT_INFLUENCE = (
    "verbose",
    "gpus",
    "inference_batch",
    "showDataExamples",
    "imports",
    "datasets_path",
    "cache",
    "tasks",
    "run_tasks",
    "import_tasks",
    "max_evals",
)
# Keys that count after training: they change summary.yaml and what is predicted for it.
EVALUATION = (
    "final_metrics",
    "experiment_result",
    "dumpPredictionsToCSV",
    "compressPredictionsAsInts",
    "compressScale",
    "separatePredictions",
    "testTimeAugmentation",
)


def config_changes(stored: dict[str, Any], current: dict[str, Any], *, may_grow: bool) -> list[Change]:
    """Differences that make it another run. Keys without influence never do, more epochs do unless ``may_grow``."""
    return [
        change
        for change in records.differences(influential(stored), influential(current))
        if not (may_grow and grown_stage(change) is not None)
    ]


def evaluation_changes(stored: dict[str, Any], current: dict[str, Any]) -> list[Change]:
    """Differences that leave the weights as they are, and the summary not."""
    kept = [{key: config[key] for key in EVALUATION if key in config} for config in (stored, current)]
    return records.differences(*kept)


def for_training(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config less the keys that count after training."""
    return {key: value for key, value in config.items() if key not in EVALUATION}


def influential(config: dict[str, Any]) -> dict[str, Any]:
    """A config less what cannot change what is trained: neutral keys, and datasets it does not train on."""
    neutral = (*_WITHOUT_INFLUENCE, *EVALUATION, "datasets")
    kept = {key: value for key, value in config.items() if key not in neutral}
    used = used_datasets(config)
    return kept | ({"datasets": used} if used else {})


def used_datasets(config: dict[str, Any]) -> dict[str, Any]:
    """The entries of ``datasets`` that ``dataset`` and ``extra_train_data`` are made of."""
    entries = config.get("datasets") or {}
    used: dict[str, Any] = {}
    named = [config.get("dataset"), config.get("extra_train_data")]
    while named:
        form = named.pop()
        if isinstance(form, list):  # an entry made of others
            named += form
        elif isinstance(form, str) and form in entries and form not in used:
            used[form] = entries[form]
            named.append(entries[form])
    return used


def grown_stage(change: Change) -> int | None:
    """The stage whose epochs a change raises."""
    found = re.fullmatch(r"stages\.(\d+)\.epochs", change.key)
    grown = isinstance(change.stored, int) and isinstance(change.current, int) and change.current > change.stored
    return int(found[1]) if found and grown else None


def first_changed_stage(changes: Iterable[Change]) -> int:
    """The first stage that changes concern; 0 as soon as one of them is no change of a stage."""
    return min((int(found[1]) if (found := _IN_STAGE.match(change.key)) else 0 for change in changes), default=0)


_IN_STAGE = re.compile(r"stages\.(\d+)(?:\.|$)")
