"""The key ``hyperparameters``: which values a search may try, and the config with some of them in their places."""

from __future__ import annotations

import keyword
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic_core import PydanticCustomError

from musket.config.expressions import ExpressionError, filled, names_used
from musket.config.tree import Entry, Items, Loc, Map, Node, describe, dotted, tree
from musket.config.values import either, flag, whole
from musket.config.vocabulary import Finding

KEY = "hyperparameters"
_FORMS = "write [min, max], {range: [min, max], type: integer} or {enum: [...]}"
_TYPES = {"float": "float", "integer": "integer", "int": "integer"}
_MOST_POINTS = 32
_CROOKED = 0.4719


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones, or any. ``log``: every order of magnitude alike."""

    low: float
    high: float
    is_whole: bool = False
    log: bool = False

    @property
    def middle(self) -> float:
        """A value about the middle: unless all are whole it is a crooked one, which tells where only those will do."""
        share = 0.5 if self.is_whole else _CROOKED
        value = self.low * (self.high / self.low) ** share if self.log else self.low + (self.high - self.low) * share
        return round(value) if self.is_whole else value

    @property
    def count(self) -> float:
        """How many values there are."""
        return self.high - self.low + 1 if self.is_whole else math.inf

    def examples(self) -> tuple[float, ...]:
        return (self.middle, self.low, self.high)

    def __str__(self) -> str:
        return f"{_shown(self.low)}..{_shown(self.high)}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """Values to choose from, of any kind."""

    options: tuple[Any, ...]

    @property
    def count(self) -> float:
        """How many values there are."""
        return len(self.options)

    def __str__(self) -> str:
        return "|".join(map(_shown, self.options))

    def examples(self) -> tuple[Any, ...]:
        return self.options


Parameter: TypeAlias = Range | Choice
SearchSpace: TypeAlias = Mapping[str, Parameter]


def read_space(data: Any) -> tuple[dict[str, Parameter], list[Finding]]:
    """The parameters that the value of the key ``hyperparameters`` describes, and what is wrong with it.

    ``[min, max]`` is any number between; ``{range: [min, max], type: integer}`` whole numbers, both ends included;
    ``{enum: [...]}`` one of the values; ``log: true`` beside a range draws its logarithm evenly.
    """
    if data is None:
        return {}, []
    if not isinstance(data, Mapping):
        return {}, [Finding((KEY,), f"found {describe(data)}; must be a map of names, each with its values")]
    space: dict[str, Parameter] = {}
    findings: list[Finding] = []
    for name, form in data.items():
        if not name.isidentifier() or keyword.iskeyword(name):
            words = "no name that expressions can use; write letters, digits and _"
            findings.append(Finding((KEY, name), f"{describe(name)} is {words}", key=True))
            continue
        try:
            space[name] = _parameter(form)
        except _Refused as refusal:
            findings.append(Finding((KEY, name, *refusal.at), str(refusal)))
    return space, findings


def combinations(space: SearchSpace) -> float:
    """How many combinations of values there are; infinity where a range is of any numbers."""
    return math.prod(parameter.count for parameter in space.values())


def example_points(space: SearchSpace) -> list[dict[str, Any]]:
    """Values to check a config with: middles and first choices, then both ends of ranges and all other choices."""
    examples = {name: parameter.examples() for name, parameter in space.items()}
    count = min(_MOST_POINTS, max(map(len, examples.values()), default=0))
    return [{name: some[min(number, len(some) - 1)] for name, some in examples.items()} for number in range(count)]


def substituted(root: Map, values: Mapping[str, Any]) -> tuple[Map, list[Finding], dict[Loc, frozenset[str]]]:
    """A config with the values of hyperparameters in their places.

    Every text value that is an expression of them is evaluated (see :func:`musket.config.expressions.filled`); keys are
    not, nor is the map of hyperparameters itself. Whatever takes the place of a text stands where that stood.

    Returns:
        the config; expressions that have no result; and which parameters were used where.
    """
    findings: list[Finding] = []
    uses: dict[Loc, frozenset[str]] = {}

    def inside(node: Node, loc: Loc) -> Node:
        if isinstance(node, Map):
            entries = {key: Entry(inside(each.value, (*loc, key)), each.place) for key, each in node.entries.items()}
            return Map(entries, node.place)
        if isinstance(node, Items):
            return Items(tuple(inside(item, (*loc, number)) for number, item in enumerate(node.items)), node.place)
        if not isinstance(node.value, str) or not (used := names_used(node.value, values)):
            return node
        uses[loc] = used
        try:
            return tree(filled(node.value, values), node.place)
        except ExpressionError as error:
            findings.append(Finding(loc, f"{describe(node)} has no value: {error}"))
            return node

    new = inside(root.without(KEY), ())
    assert isinstance(new, Map)
    if KEY in root.entries:
        kept = root.entries[KEY]
        new = new.having(KEY, kept.value, kept.place)
    return new, findings, uses


def never_used(space: SearchSpace, uses: Mapping[Loc, Iterable[str]]) -> list[Finding]:
    """A problem for every parameter that no text of the config names: a search of it would find nothing."""
    used = {name for names in uses.values() for name in names}
    words = "never used: no value of the config names it; write it where it is to stand, for example lr: {}"
    return [Finding((KEY, name), words.format(name), key=True) for name in space if name not in used]


def concerned(key: str, uses: Mapping[Loc, frozenset[str]]) -> frozenset[str]:
    """The parameters that decide the value of a dotted key, or one inside or around it."""
    near = (names for loc, names in uses.items() if key and _around(key, dotted(loc)))
    return frozenset().union(*near)


def _around(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return long == short or long.startswith((f"{short}.", f"{short}["))


def said(values: Mapping[str, Any], names: Iterable[str]) -> str:
    """``lr=0.01, n=3``."""
    return ", ".join(f"{name}={_shown(values[name])}" for name in values if name in set(names))


class _Refused(Exception):
    """A parameter that cannot be read; ``at`` is the place inside it."""

    def __init__(self, message: str, *at: str | int):
        super().__init__(message)
        self.at = at


def _parameter(form: Any) -> Parameter:
    if isinstance(form, list | tuple):
        return _range(form, is_whole=False)
    if not isinstance(form, Mapping):
        raise _Refused(f"found {describe(form)}; {_FORMS}")
    for key in form:
        if key not in ("range", "enum", "type", "log"):
            raise _Refused("no such key; there are: range, enum, type, log", key)
    if ("range" in form) == ("enum" in form):
        raise _Refused(f"give either range or enum; {_FORMS}")
    return _spread(form) if "range" in form else _choice(form)


def _spread(form: Mapping[str, Any]) -> Range:
    kind = form.get("type", "float")
    if kind not in _TYPES:
        raise _Refused(f"found {describe(kind)}; numbers of a range are float or integer", "type")
    log = _read(flag, form.get("log", False), "log")
    found = _range(form["range"], "range", is_whole=_TYPES[kind] == "integer")
    if log and found.low <= 0:
        raise _Refused(f"log: true wants numbers above 0, the range begins at {_shown(found.low)}", "log")
    return Range(found.low, found.high, found.is_whole, log)


def _range(ends: Any, *at: str, is_whole: bool) -> Range:
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        several = isinstance(ends, list | tuple) and len(ends) > 2
        hint = f"; to choose one of several values write {{enum: {list(ends)}}}" if several else ""
        raise _Refused(f"found {describe(ends)}; a range is [min, max]{hint}", *at)
    low, high = (_read(whole if is_whole else either, end, *at, number) for number, end in enumerate(ends))
    if low >= high:
        raise _Refused(f"found [{_shown(low)}, {_shown(high)}]; the first end must be below the second", *at)
    return Range(low, high, is_whole) if is_whole else Range(float(low), float(high))


def _choice(form: Mapping[str, Any]) -> Choice:
    options, kind = form["enum"], form.get("type", "other")
    if "log" in form:
        raise _Refused("log is for ranges; choices have no order", "log")
    if kind not in (*_TYPES, "other"):
        raise _Refused(f"found {describe(kind)}; choices are float, integer or other", "type")
    if not isinstance(options, list | tuple) or not options:
        raise _Refused(f"found {describe(options)}; must be a list of values to choose from", "enum")
    if kind in _TYPES:
        check = whole if _TYPES[kind] == "integer" else either
        options = [_read(check, option, "enum", number) for number, option in enumerate(options)]
    for number, option in enumerate(options):
        if any(_same(option, other) for other in options[:number]):
            raise _Refused(f"found {describe(option)} twice; keep one", "enum", number)
    return Choice(tuple(options))


def _same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _read(check: Any, value: Any, *at: str | int) -> Any:
    try:
        return check(value)
    except PydanticCustomError as error:
        raise _Refused(f"found {describe(value)}; {error.message()}", *at) from None


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else describe(value).strip("'")
