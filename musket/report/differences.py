"""In which keys configs differ: in what was trained, and in what is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musket.config.tree import MERGED_BY_ENTRY

MAX_LEAVES = 50_000
_MAX_DEPTH = 64

Leaves = dict[str, str]
"""Values as text by dotted key."""


@dataclass(frozen=True)
class Config:
    """One config in two views.

    Attributes:
        written: the YAML with what ``common.yaml`` fills in; None when it cannot be read.
        trained: the resolved config of the run record, with defaults and values from the command line; None where
            there is no record.
    """

    written: Leaves | None
    trained: Leaves | None


def with_common(config: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """A config with what ``common.yaml`` gives and it does not; the maps that are merged are merged by entry."""
    merged = {**common, **config}
    for key in MERGED_BY_ENTRY:
        own, other = config.get(key), common.get(key)
        if isinstance(own, Mapping) and isinstance(other, Mapping):
            merged[key] = {**other, **own}
    return merged


def leaves(tree: Any) -> Leaves:
    """Values by dotted key: ``{"stages": [{"epochs": 3}]}`` is ``{"stages.0.epochs": "3"}``.

    A list of plain values is one text, ``[1, 2]``; of any other list each item has its position. A key that holds a
    dot itself is quoted. True, false and null count; so do empty lists and maps. ``1`` and ``1.0`` are the same.

    Raises:
        ValueError: more than 50,000 values, or deeper than 64 levels.
    """
    found: Leaves = {}
    size = 0
    for key, value in _leaves(tree, "", 0):
        size += len(value) if isinstance(value, list) else 1
        if size > MAX_LEAVES:
            raise ValueError(f"more than {MAX_LEAVES} values; this is no config")
        found[key] = _text(value)
    return found


def _leaves(tree: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels; this is no config")
    branches: Iterable[tuple[Any, Any]]
    if isinstance(tree, Mapping) and tree:
        branches = tree.items()
    elif isinstance(tree, list) and any(isinstance(item, Mapping | list) for item in tree):
        branches = enumerate(tree)
    else:
        yield prefix, tree
        return
    for key, value in branches:
        step = f'"{key}"' if "." in str(key) else str(key)
        yield from _leaves(value, f"{prefix}.{step}" if prefix else step, depth + 1)


def _text(value: Any) -> str:
    """As YAML writes it, on one line; numbers in one way only."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return "{}" if isinstance(value, Mapping) else str(value)


@dataclass(frozen=True)
class Differences:
    """In what configs differ.

    Attributes:
        keys: sorted.
        rows: for each config its values of these keys, as text; empty where a config does not hold a key.
        alike: keys that differ as written, but were trained with one value: other spellings, values from the command
            line, configs edited since.
    """

    keys: list[str]
    rows: list[list[str]]
    alike: list[str]


def differences(configs: Sequence[Config]) -> Differences:
    """Find the keys that do not have one value in all configs. A config that cannot be read abstains.

    What was trained is compared first: there a default that is written and one that is left out are the same. A key
    that no record holds is taken from what is written. There it counts when two files give it different values; and,
    as soon as one of the configs has no record, also when one file gives it and another does not.
    """
    trained = [config.trained for config in configs if config.trained is not None]
    written = [config.written for config in configs if config.written is not None]
    recorded = {key for one in trained for key in one}
    all_recorded = all(config.trained is not None for config in configs if config.written is not None)
    candidates = _unequal(trained, absent=True)
    spelled_out = {
        key: {key} if key in recorded else {longer for longer in recorded if longer.startswith(f"{key}.")} or {key}
        for key in _unequal(written, absent=not all_recorded)
    }
    candidates = candidates.union(*spelled_out.values())

    def value(config: Config, key: str) -> str:
        if config.trained is not None and key in recorded:
            return config.trained.get(key, "")
        own = config.written or {}
        return own.get(key, _short_form(own, key) if key in recorded else "")

    readable = [config for config in configs if config != Config(None, None)]
    keys = {key for key in candidates if len({value(config, key) for config in readable}) > 1}
    alike = sorted((key for key, longer in spelled_out.items() if not longer & keys), key=_natural)
    ordered = sorted(keys, key=_natural)
    return Differences(ordered, [[value(config, key) for key in ordered] for config in configs], alike)


def _short_form(written: Leaves, key: str) -> str:
    """``Fliplr: 0.5`` for ``Fliplr.p``, as the record of a run spells it out; empty when it is not written so."""
    value = written.get(key.rpartition(".")[0], "")
    return "" if value in ("null", "{}", "[]") else value


def _unequal(configs: Sequence[Leaves], *, absent: bool) -> set[str]:
    """Keys that do not have one value in all configs; ``absent``: being left out is a value too."""
    first: Leaves = {}
    times: dict[str, int] = {}
    different: set[str] = set()
    for config in configs:
        for key, value in config.items():
            if first.setdefault(key, value) != value:
                different.add(key)
            times[key] = times.get(key, 0) + 1
    return different | {key for key, count in times.items() if absent and count < len(configs)}


def _natural(key: str) -> list[tuple[int, str]]:
    """Numbers in a key by their size: ``stages.2`` before ``stages.10``."""
    return [(int(step), "") if step.isdecimal() else (-1, step) for step in key.split(".")]
