"""YAML files of many experiments: read fast, as plain data without places.

A config that is to be trained is read by :mod:`musket.config.read`, which tells everything that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from musket.config.read import resolve
from musket.core.errors import ArtifactError

MAX_BYTES = 4 << 20
MAX_DEPTH = 64

# Written in C where PyYAML was built so, ten times as fast. Only its events are used: its trees recurse without limit.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT = ("!", "tag:yaml.org,2002:str")
_resolve = lru_cache(maxsize=4096)(resolve)  # configs of one project say the same things again and again


def read_plain(path: Path) -> Any:
    """Read a file; numbers, true, false and null follow YAML 1.2, as in configs. Objects are never constructed.

    Raises:
        ArtifactError: the file is missing, unreadable, larger than 4 MiB, no UTF-8 or no YAML.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ArtifactError(f"larger than {MAX_BYTES >> 20} MiB", path)
        return _tree(data.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise ArtifactError("no such file", path) from error
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror}", path) from error
    except UnicodeDecodeError as error:
        raise ArtifactError(f"byte 0x{error.object[error.start]:02x} is not UTF-8", path) from error
    except yaml.YAMLError as error:
        raise ArtifactError(f"not readable as YAML: {_in_one_line(error)}", path) from error


def _in_one_line(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"{error.problem or error.context}, line {error.problem_mark.line + 1}"
    return " ".join(str(error).split())


class _Open:
    """A map or list whose end has not come yet."""

    def __init__(self, value: dict[str, Any] | list[Any], anchor: str | None):
        self.value = value
        self.anchor = anchor
        self.key: str | None = None

    def add(self, value: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        elif self.key is None:
            self.key = str(value)
        else:
            self.value[self.key] = value
            self.key = None


def _tree(text: str) -> Any:
    """The only document of a text; None when there is none."""
    root = _Open([], None)
    stack = [root]
    anchors: dict[str, Any] = {}
    events: Iterable[Any] = yaml.parse(text, Loader=_LOADER)
    for event in events:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            plain = event.implicit[0] or event.tag not in (None, *_TEXT)
            value = _resolve(event.value) if plain else event.value
            anchor = event.anchor
        elif kind in (yaml.SequenceStartEvent, yaml.MappingStartEvent):
            if len(stack) > MAX_DEPTH:
                raise yaml.YAMLError(f"nested deeper than {MAX_DEPTH} levels")
            stack.append(_Open([] if kind is yaml.SequenceStartEvent else {}, event.anchor))
            continue
        elif kind in (yaml.SequenceEndEvent, yaml.MappingEndEvent):
            closed = stack.pop()
            value, anchor = closed.value, closed.anchor
        elif kind is yaml.AliasEvent:
            if event.anchor not in anchors:
                raise yaml.YAMLError(f"alias *{event.anchor} has no finished anchor &{event.anchor} above it")
            value, anchor = anchors[event.anchor], None
        else:
            continue
        if anchor is not None:
            anchors[anchor] = value
        stack[-1].add(value)
    documents = root.value
    if len(documents) > 1:
        raise yaml.YAMLError("more than one document")
    return documents[0] if isinstance(documents, list) and documents else None
