"""Values of a config changed in its text, so that comments and layout stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from musket.config.read import override, parse, steps, to_yaml
from musket.config.tree import plain
from musket.core.errors import ConfigError

# Empty lines and comments behind a block: they belong to what comes next.
_AFTER = re.compile(r"(?:\n[ \t]*(?:#[^\n]*)?)*$")
_INSIDE_LINE = ("", "'", '"')  # styles of scalars that end where their text does


def with_values(text: str, assignments: Iterable[str], source: str | Path = "<text>") -> str:
    """A config with other values.

    A value on one line is replaced where it stands; of anything else the whole root key is written anew, without its
    comments; a root key that is not there is appended.

    Args:
        text: of the config.
        assignments: ``key=value`` texts, see :func:`musket.config.read.override`.
        source: name of the file, for messages.

    Raises:
        ConfigError: the text is no config, or a value cannot be set.
    """
    for assignment in assignments:
        document = parse(text, str(source))
        root, problems = override(document.root, [assignment])
        if problems:
            raise ConfigError(source, problems)
        wanted = plain(root)
        key = steps(assignment.partition("=")[0].strip())
        whole = to_yaml(wanted, dialect=document.dialect)
        text = next((found for found in (*_edits(text, key, wanted), whole) if _reads_as(found, wanted)), whole)
    return text


def _edits(text: str, key: tuple[str | int, ...], wanted: dict[str, Any]) -> Iterator[str]:
    """The text changed in several ways, the gentlest first; one that hits an anchor or alias may say something else."""
    tree = yaml.compose(text, Loader=yaml.SafeLoader)
    node: yaml.Node | None = tree
    value: Any = wanted
    for step in key:
        node = _child(node, step)
        value = value[int(step) if isinstance(value, list) else step]
    if node is not None and _in_line(node):
        new = to_yaml(value, flow=True)
        yield text[: node.start_mark.index] + new + text[node.end_mark.index :]
    root = key[0]
    entry = to_yaml({root: wanted[str(root)]})
    found = [pair for pair in tree.value if pair[0].value == root] if isinstance(tree, yaml.MappingNode) else []
    if found:
        start, end = found[0][0].start_mark.index, found[0][1].end_mark.index
        after = _AFTER.search(text[start:end])
        yield text[:start] + entry.rstrip("\n") + (after[0] if after else "") + text[end:]
    else:
        yield text.rstrip("\n") + "\n" + entry


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and str(step).isdecimal() and int(step) < len(node.value):
        return node.value[int(step)]
    return None


def _in_line(node: yaml.Node) -> bool:
    one_line = node.start_mark.line == node.end_mark.line
    if isinstance(node, yaml.ScalarNode):
        return one_line and (node.style or "") in _INSIDE_LINE
    return one_line and isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _reads_as(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return plain(parse(text).root) == wanted
    except ConfigError:
        return False
