"""How good the networks of an experiment are, as far as it is known while it goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from musket.launch.tally import ENDED, Unit


def figure(value: float) -> str:
    """Four decimals, fewer of large numbers; nothing where there is no number yet."""
    if not math.isfinite(value):
        return ""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.4g}"


def standing(units: Sequence[Unit]) -> str:
    """What is known of an experiment: its result, else the folds trained so far; of a search the best trial so far.

    Keys are ``experiment/fold 0``; in between stands the part of an experiment that a job belongs to: a seed, a trial.
    """
    parts = list(dict.fromkeys(_part(unit) for unit in units))
    judged = {_part(unit): unit.value for unit in units if unit.job.kind == "evaluate" and _result(unit.value)}
    if len(parts) == 1:
        return _told(judged[parts[0]]) if judged else _trained(units)
    under_way = [_part(unit) for unit in units if unit.state == "running"]
    said = []
    if under_way and (trained := _trained([unit for unit in units if _part(unit) == under_way[-1]])):
        said.append(f"{under_way[-1]}: {trained}")
    if judged:
        over = all(unit.state in ENDED for unit in units)
        said.append(_of_several(judged, "best" if over else "best so far"))
    return ", ".join(said)


def _of_several(judged: Mapping[str, Any], words: str) -> str:
    """The best of trials, which say what is better; the mean of seeds."""
    modes = {value.get("mode") for value in judged.values()}
    if modes <= {"max", "min"}:
        choose = max if modes == {"max"} else min
        best = choose(judged, key=lambda part: judged[part]["result"]["value"])
        return f"{words} {_told(judged[best])} ({best})"
    latest = list(judged)[-1]
    owner = latest.rpartition("/")[0]
    values = [value["result"]["value"] for part, value in judged.items() if part.rpartition("/")[0] == owner]
    of = f" of {owner}" if owner else ""
    return f"{judged[latest]['result']['name']} {figure(math.fsum(values) / len(values))}, mean of {len(values)}{of}"


def _trained(units: Sequence[Unit]) -> str:
    """The best epochs of the folds that are trained, else of the first that is under way."""
    folds = [unit for unit in units if unit.job.kind == "train"]
    done = [(unit, unit.value["metric"], unit.value["best"]) for unit in folds if _is_trained(unit)]
    known = (
        done
        or [
            (unit, unit.progress.metric, unit.progress.best)
            for unit in folds
            if unit.progress is not None and math.isfinite(unit.progress.best)
        ][:1]
    )
    if not known:
        return ""
    first, metric, _ = known[0]
    mean = math.fsum(best for *_, best in known) / len(known)
    which = first.job.key.rpartition("/")[2] if len(known) == 1 else f"mean of {len(known)} folds"
    return f"best {metric} {figure(mean)} ({which})"


def _is_trained(unit: Unit) -> bool:
    value = unit.value
    return unit.state == "done" and isinstance(value, Mapping) and isinstance(value.get("best"), float)


def _result(value: Any) -> bool:
    """Whether an evaluation gave a figure."""
    result = value.get("result") if isinstance(value, Mapping) else None
    return isinstance(result, Mapping) and isinstance(result.get("value"), int | float)


def _told(value: Mapping[str, Any]) -> str:
    return f"{value['result']['name']} {figure(value['result']['value'])}"


def _part(unit: Unit) -> str:
    return unit.job.key.removeprefix(f"{unit.job.experiment}/").rpartition("/")[0]
