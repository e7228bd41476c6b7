"""The tree a config is read into: maps, lists and values, each with the place it stands at. Pure functions over it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from musket.core.registry import nearest

MERGED_BY_ENTRY = ("declarations", "callbacks", "datasets", "tasks")

Loc: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands. ``line`` and ``column`` count from 1; 0 means unknown.

    ``origin`` names another file than the experiment's own (``common.yaml``), or the command line.
    """

    line: int = 0
    column: int = 0
    origin: str = ""


@dataclass(frozen=True)
class Scalar:
    """A single value: None, bool, int, float or str."""

    value: bool | int | float | str | None
    place: Place


@dataclass(frozen=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True)
class Entry:
    """One ``key: value`` of a map; ``place`` is the key's."""

    value: Node
    place: Place


@dataclass(frozen=True)
class Map:
    """A map, in the order of the file. Keys are text."""

    entries: dict[str, Entry]
    place: Place

    def without(self, *keys: str) -> Map:
        """The same map less some keys."""
        return replace(self, entries={key: entry for key, entry in self.entries.items() if key not in keys})

    def having(self, key: str, value: Node, place: Place | None = None) -> Map:
        """The same map with one key set; a key that is there keeps its position."""
        return replace(self, entries={**self.entries, key: Entry(value, place or value.place)})


Node: TypeAlias = Scalar | Items | Map


def plain(node: Node) -> Any:
    """Plain Python data: dict, list, str, int, float, bool, None."""
    if isinstance(node, Map):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    return node.value


def tree(data: Any, place: Place = Place()) -> Node:
    """The tree of plain data; every value gets the same place."""
    if isinstance(data, dict):
        return Map({str(key): Entry(tree(value, place), place) for key, value in data.items()}, place)
    if isinstance(data, list | tuple):
        return Items(tuple(tree(item, place) for item in data), place)
    return Scalar(data, place)


def place_of(root: Node, loc: Sequence[str | int], *, key: bool = False) -> Place:
    """Where the value at ``loc`` stands, or the nearest thing around it that exists; the key of a map or list.

    Args:
        root: the whole tree.
        loc: keys and list positions from the root, ``("stages", 1, "lr")``.
        key: the place of the key, even if the value is a scalar.
    """
    node, place = root, Place()
    for step in loc:
        if isinstance(node, Map) and str(step) in node.entries:
            entry = node.entries[str(step)]
            node = entry.value
            place = node.place if isinstance(node, Scalar) and not key else entry.place
        elif isinstance(node, Items) and (item := _item(node, step)) is not None:
            node = item
            place = node.place
        else:
            break
    return place


def _item(node: Items, step: str | int) -> Node | None:
    """An item by position, or, in a list of names and one-entry maps, the value under a name."""
    if isinstance(step, int):
        return node.items[step] if 0 <= step < len(node.items) else None
    for item in node.items:
        if isinstance(item, Map) and step in item.entries:
            return item.entries[step].value
        if isinstance(item, Scalar) and item.value == step:
            return item
    return None


def dotted(loc: Iterable[str | int]) -> str:
    """``("stages", 1, "lr")`` as ``stages[1].lr``."""
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else f"{'.' if text else ''}{tidy(step)}"
    return text


def describe(node: Node | Any) -> str:
    """What was found, in the words of a YAML author: ``true``, ``nothing``, ``a list``, ``'text'``."""
    value = plain(node) if isinstance(node, Scalar | Items | Map) else node
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a map" if value else "an empty map"
    if isinstance(value, list | tuple):
        shown = repr(list(value)) if all(isinstance(item, int | float | str) for item in value) else ""
        return "an empty list" if not value else shown if 0 < len(shown) <= 40 else "a list"
    return shorten(repr(value)) if isinstance(value, str) else _number(value)


def merge_common(root: Map, common: Map) -> Map:
    """Fill in what ``common.yaml`` gives and the experiment does not.

    Root keys absent from the experiment are added; the maps ``declarations``, ``callbacks``, ``datasets`` and ``tasks``
    are merged per entry, the experiment's entry winning; both lists of ``imports`` count. Everything keeps its place.
    """
    entries = dict(root.entries)
    for key, entry in common.entries.items():
        own = entries.get(key)
        if own is None:
            entries[key] = entry
        elif key in MERGED_BY_ENTRY and isinstance(own.value, Map) and isinstance(entry.value, Map):
            merged = {
                **own.value.entries,
                **{k: e for k, e in entry.value.entries.items() if k not in own.value.entries},
            }
            entries[key] = replace(own, value=replace(own.value, entries=merged))
        elif key == "imports" and isinstance(own.value, Items) and isinstance(entry.value, Items):
            known = [plain(item) for item in own.value.items]
            extra = tuple(item for item in entry.value.items if plain(item) not in known)
            entries[key] = replace(own, value=replace(own.value, items=own.value.items + extra))
    return replace(root, entries=entries)


def put(node: Node | None, loc: Loc, value: Node) -> Node | str:
    """The tree with ``value`` at ``loc``, or a sentence saying why it cannot stand there."""
    if not loc:
        return value
    step, rest = loc[0], loc[1:]
    if isinstance(node, Items):
        position = step if isinstance(step, int) else int(step) if step.isdecimal() and len(step) < 9 else None
        if position is None or position >= len(node.items):
            return f"no item {step!r} in a list of {len(node.items)} (they count from 0)"
        inner = put(node.items[position], rest, value)
        if isinstance(inner, str):
            return inner
        return replace(node, items=(*node.items[:position], inner, *node.items[position + 1 :]))
    if isinstance(node, Scalar) and node.value is not None:
        return f"cannot be set: {step!r} would be inside {describe(node)}"
    if isinstance(step, int):
        found = "there is no such key" if node is None else f"found {describe(node)}, which is no list"
        return f"no item {step}: {found}"
    base = node if isinstance(node, Map) else Map({}, value.place)
    before = base.entries.get(step)
    inner = put(before.value if before else None, rest, value)
    if isinstance(inner, str):
        return inner
    return base.having(step, inner, before.place if before and rest else value.place)


def closest(name: str, known: Iterable[str]) -> list[str]:
    """The known names most like ``name``, best first, without those that are clearly less like it than the best."""
    near = nearest(name, list(known))
    scores = [difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio() for other in near]
    return [other for other, score in zip(near, scores, strict=True) if score > scores[0] - 0.1]


def tidy(text: str) -> str:
    """A key as it may be shown in a message: printable and short."""
    return shorten(text if text.isprintable() and text else ascii(text))


def shorten(text: str, limit: int = 60) -> str:
    """The beginning of a text too long for a message."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _number(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10**18:
        return f"{'-' if value < 0 else ''}a number of {len(str(abs(value)))} digits"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return shorten(f"{value}")
