"""Text to tree: safe YAML in which every key and value remembers its line and column.

The tree is built from parse events. Nothing but text, numbers, true/false, null, lists and maps can come out of it;
no object is ever constructed, whatever the file says. Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2,
chapter 10.3): ``1e-3`` is a number, ``yes`` is text (the schema accepts it where true or false is wanted).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from musket.config.tree import (
    Entry,
    Items,
    Loc,
    Map,
    Node,
    Place,
    Scalar,
    closest,
    describe,
    dotted,
    plain,
    put,
    shorten,
    tidy,
    tree,
)
from musket.core.errors import ConfigError, Problem

# libyaml's reader, where PyYAML was built with it: many times as fast. With these signs it takes what PyYAML's own
# reader refuses, and a config must not be good on one machine only.
_FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_READ_OTHERWISE = ("\t", "?")

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 50_000

COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Document:
    """A file that was read: its tree, and the dialect named in its first line (as written, None when there is none)."""

    source: str
    root: Map
    dialect: str | None = None
    version: str | None = None
    dialect_line: int = 0


def read(path: str | Path, *, origin: str = "") -> Document:
    """Read one YAML file. See :func:`parse`.

    Raises:
        ConfigError: the file cannot be opened, is too large, or is refused by :func:`parse`.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = "name the YAML file in it, as a rule config.yaml" if path.is_dir() else "check the path"
        raise ConfigError(path, [Problem(0, 0, "", f"cannot be read: {reason}; {hint}", origin)]) from error
    return parse(data, str(path), origin=origin)


def parse(data: bytes | str, source: str = "<text>", *, origin: str = "") -> Document:
    """Turn the content of a YAML file into a tree.

    Args:
        data: UTF-8 bytes (a byte-order mark is allowed) or text; at most 1 MiB.
        source: name of the file, for messages.
        origin: stored in every place of the tree; give it for files other than the experiment's own.

    Raises:
        ConfigError: not UTF-8, not YAML, several documents, no map at the root, a key given twice, a tag, an alias
            that contains itself, more than 32 levels, or more than 50,000 values once the aliases are expanded.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError(source, [Problem(0, 0, "", f"larger than {MAX_BYTES >> 10} KiB; this is no config", origin)])
    text = _decode(data, source, origin) if isinstance(data, bytes) else data.removeprefix("\ufeff")
    root, problems = _build(text, origin)
    if not problems and not isinstance(root, Map):
        what = "is empty" if root is None else f"holds {describe(root)} at its root"
        place = Place() if root is None else root.place
        problems = [Problem(place.line, place.column, "", f"the file {what}; a map of keys is needed", origin)]
    if problems:
        raise ConfigError(source, problems)
    assert isinstance(root, Map)
    return Document(source, root, *_header(text))


def override(root: Map, assignments: Iterable[str]) -> tuple[Map, list[Problem]]:
    """Set values from ``key=value`` texts: ``lr=1e-3``, ``stages[0].epochs=5``, ``callbacks.EarlyStopping.patience=3``.

    The value is YAML (``metrics=[dice, iou]``); maps on the way are made as needed, list positions must exist.

    Returns:
        The new tree, and a problem for every assignment that could not be made.
    """
    problems: list[Problem] = []
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        loc = steps(name.strip())
        if not equals or not 0 < len(loc) <= MAX_DEPTH:
            problems.append(
                Problem(0, 0, tidy(assignment), "write key=value, for example stages[0].lr=0.001", COMMAND_LINE)
            )
            continue
        value, faults = _build(text, COMMAND_LINE)
        if faults:
            problems += [replace(fault, line=0, column=0, key=tidy(name)) for fault in faults]
            continue
        place = Place(0, 0, COMMAND_LINE)
        changed = put(root, loc, _moved(value, place) if value is not None else Scalar(None, place))
        if isinstance(changed, str):
            near = [] if str(loc[0]) in root.entries else closest(str(loc[0]), root.entries)
            words = f"no such key; nearest: {', '.join(near)}" if near else changed
            problems.append(Problem(0, 0, tidy(name), words, COMMAND_LINE))
        else:
            assert isinstance(changed, Map)
            root = changed
    return root, problems


def to_yaml(data: Any, *, dialect: str | None = None, flow: bool = False) -> str:
    """Plain data as YAML that :func:`parse` reads back unchanged.

    Args:
        data: dicts, lists, text, numbers, true, false, null.
        dialect: kind of experiment for the first line, if one is wanted.
        flow: all on one line, without line end.
    """
    if flow:
        text = yaml.dump(
            data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=10**9
        )
        return text.removesuffix("\n...\n").rstrip("\n")
    header = f"#%Musket {dialect} 1.0\n" if dialect else ""
    return header + yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)


def resolve(text: str) -> bool | int | float | str | None:
    """The value of an unquoted scalar by the core schema of YAML 1.2."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 300 else float(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _BASED.fullmatch(text) and len(text) < 300:
        return int(text, 0)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text


_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_HEADER = re.compile(r"#%\s*musket\b[ \t]*(\S*)[ \t]*(\S*)", re.IGNORECASE)
_STEP = re.compile(r"[^.\[\]]+|\[[0-9]{1,6}\]")
_PATH = re.compile(r"[^.\[\]]+(\[[0-9]{1,6}\])*(\.[^.\[\]]+(\[[0-9]{1,6}\])*)*")
_TAGS = {f"tag:yaml.org,2002:{kind}": kind for kind in ("str", "int", "float", "bool", "null", "map", "seq")}


class _Dumper(yaml.SafeDumper):
    """Writes text that YAML 1.2 would read as something else in quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dumped(data: Any, **style: Any) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **style)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if isinstance(resolve(text), str) else "'")


_Dumper.add_representer(str, _represent_text)


def _decode(data: bytes, source: str, origin: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        message = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise ConfigError(source, [Problem(line, column, "", message, origin)]) from error


def _header(text: str) -> tuple[str | None, str | None, int]:
    """Dialect, version and line of ``#%Musket Dialect version``, looked for above the first key."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            break
        if match := _HEADER.match(line):
            return match[1], match[2] or None, number
    return None, None, 0


def _build(text: str, origin: str) -> tuple[Node | None, list[Problem]]:
    """The tree of a text (None when it is empty) and what is wrong with it."""
    if not any(sign in text for sign in _READ_OTHERWISE):
        try:
            builder = _Builder(origin)
            return builder.document(yaml.parse(text, Loader=_FAST_LOADER)), builder.problems
        except (_Refused, yaml.YAMLError, UnicodeError):
            pass  # the slower reader has better words for it
    return _build_in_words(text, origin)


def _build_in_words(text: str, origin: str) -> tuple[Node | None, list[Problem]]:
    builder = _Builder(origin)
    try:
        root = builder.document(yaml.parse(text, Loader=yaml.SafeLoader))
    except _Refused as refusal:
        return None, [*builder.problems, refusal.problem]
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1
        message = f"character U+{ord(text[error.position]):04X} is not allowed in YAML"
        return None, [*builder.problems, Problem(line, column, "", message, origin)]
    except yaml.MarkedYAMLError as error:
        return None, [*builder.problems, _syntax(error, origin)]
    return root, builder.problems


def _syntax(error: yaml.MarkedYAMLError, origin: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = error.problem or error.context or "unreadable"
    if "'\\t'" in what:
        what = "a tab cannot indent; use spaces"
    elif error.context and error.context_mark and mark and error.context_mark.line != mark.line:
        what = f"{what} ({error.context} begun on line {error.context_mark.line + 1})"
    return Problem(mark.line + 1 if mark else 0, mark.column + 1 if mark else 0, "", f"not YAML: {what}", origin)


class _Refused(Exception):
    """Reading stops here."""

    def __init__(self, problem: Problem):
        self.problem = problem


@dataclass(frozen=True)
class _Anchored:
    """A finished node with its extent once every alias in it is expanded."""

    node: Node
    size: int
    height: int


class _Builder:
    """Recursive descent over YAML events, with limits on depth and expanded size."""

    def __init__(self, origin: str):
        self.origin = origin
        self.problems: list[Problem] = []
        self.anchors: dict[str, _Anchored | None] = {}  # None while the anchored node is still open
        self.size = 0

    def document(self, events: Iterator[yaml.Event]) -> Node | None:
        self.events = events
        root = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self.refused(event, (), "a second document begins here; one file holds one experiment")
                root = self.node(next(events), ())
        if isinstance(root, Scalar) and root.value is None:
            return None
        return root

    def refused(self, event: yaml.Event, loc: Loc, message: str) -> _Refused:
        return _Refused(self.problem(self.place(event), loc, message))

    def problem(self, place: Place, loc: Loc, message: str) -> Problem:
        return Problem(place.line, place.column, dotted(loc), message, place.origin)

    def place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(mark.line + 1, mark.column + 1, self.origin) if mark else Place(origin=self.origin)

    def grow(self, event: yaml.Event, loc: Loc, size: int, height: int) -> None:
        self.size += size
        if self.size > MAX_NODES:
            raise self.refused(event, loc, f"more than {MAX_NODES} values, aliases expanded; this is no config")
        if len(loc) + height > MAX_DEPTH:
            raise self.refused(event, loc[:3], f"nested deeper than {MAX_DEPTH} levels; this is no config")

    def node(self, event: yaml.Event, loc: Loc) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, loc)
        self.grow(event, loc, 1, 0)
        before = self.size
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self.anchors[anchor] = None
        kind = self.tag(event, loc)
        if isinstance(event, yaml.ScalarEvent):
            node: Node = self.scalar(event, loc, kind)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(event, loc)
        else:
            node = self.mapping(event, loc)
        if anchor is not None:
            self.anchors[anchor] = _Anchored(node, self.size - before + 1, _height(node))
        return node

    def alias(self, event: yaml.AliasEvent, loc: Loc) -> Node:
        if event.anchor not in self.anchors:
            raise self.refused(event, loc, f"alias *{event.anchor} has no anchor &{event.anchor} above it")
        anchored = self.anchors[event.anchor]
        if anchored is None:
            raise self.refused(event, loc, f"alias *{event.anchor} stands inside the value it refers to")
        self.grow(event, loc, anchored.size, anchored.height)
        return anchored.node

    def tag(self, event: yaml.Event, loc: Loc) -> str | None:
        tag = getattr(event, "tag", None)
        if tag is None or tag == "!":
            return None
        kind = _TAGS.get(tag)
        shape = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        if kind is None or (not isinstance(event, yaml.ScalarEvent) and kind != shape):
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            raise self.refused(event, loc, f"the tag {shorten(shown)} is not allowed; a config holds plain values only")
        return kind

    def scalar(self, event: yaml.ScalarEvent, loc: Loc, kind: str | None) -> Scalar:
        if kind == "str" or (kind is None and not event.implicit[0]):
            return Scalar(event.value, self.place(event))
        value = resolve(event.value)
        named = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
        if kind is not None and (kind not in named or not isinstance(value, named[kind])):
            self.problems.append(
                self.problem(self.place(event), loc, f"{describe(event.value)} is not of kind !!{kind}")
            )
        return Scalar(float(value) if kind == "float" and isinstance(value, int) else value, self.place(event))

    def sequence(self, start: yaml.Event, loc: Loc) -> Items:
        items: list[Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, (*loc, len(items))))
        return Items(tuple(items), self.place(start))

    def mapping(self, start: yaml.Event, loc: Loc) -> Map:
        entries: dict[str, Entry] = {}
        merged: list[Map] = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            place = self.place(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise self.refused(event, loc, "a key must be plain text, not a list, a map or an alias")
            self.grow(event, loc, 1, 0)
            key, value_event = event.value, next(self.events)
            value = self.node(value_event, (*loc, key))
            if key == "<<" and event.implicit[0]:
                merged += self.merge(value, value_event, loc)
            elif key in entries:
                first = entries[key].place.line
                self.problems.append(self.problem(place, (*loc, key), f"given twice (first on line {first}); keep one"))
            else:
                entries[key] = Entry(value, place)
            if event.anchor is not None:
                self.anchors[event.anchor] = _Anchored(Scalar(key, place), 1, 0)
        for other in merged:
            entries.update((key, entry) for key, entry in other.entries.items() if key not in entries)
        return Map(entries, self.place(start))

    def merge(self, value: Node, event: yaml.Event, loc: Loc) -> list[Map]:
        """The maps a merge key ``<<`` takes in: earlier ones win over later ones (https://yaml.org/type/merge.html)."""
        parts = value.items if isinstance(value, Items) else (value,)
        maps = [part for part in parts if isinstance(part, Map)]
        if len(maps) != len(parts):
            raise self.refused(event, (*loc, "<<"), f"<< takes a map or a list of maps, found {describe(value)}")
        return maps


def _height(node: Node) -> int:
    if isinstance(node, Map):
        return 1 + max((_height(entry.value) for entry in node.entries.values()), default=0)
    if isinstance(node, Items):
        return 1 + max((_height(item) for item in node.items), default=0)
    return 0


def _moved(node: Node, place: Place) -> Node:
    return tree(plain(node), place)


def steps(name: str) -> Loc:
    """``stages[0].lr`` or ``stages.0.lr`` as steps; empty when it is no path."""
    if not _PATH.fullmatch(name):
        return ()
    return tuple(int(step[1:-1]) if step.startswith("[") else step for step in _STEP.findall(name))
