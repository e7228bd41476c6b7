"""Kinds of values a config may hold, and what they are turned into.

Values are never bent: true is no number and 3.5 is no whole number; only text that is a number (``"1e-3"``) and the
words yes, no, on and off are read as what they say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from musket.config.read import to_yaml


def fault(message: str, *at: str | int) -> PydanticCustomError:
    """An error for the value being validated, or for what lies at ``at`` inside it."""
    return PydanticCustomError("musket", "{message}", {"message": message, "at": at})


def whole(value: Any) -> int:
    """A whole number, or text that is one; 16.0 passes, 3.5 and true do not."""
    read = _numeric(value)
    if read is None or not math.isfinite(read) or read != int(read):
        raise fault("must be a whole number")
    return int(read)


def number(value: Any) -> float:
    """A finite number, or text that is one."""
    read = _numeric(value)
    if read is None:
        raise fault("must be a number")
    if not math.isfinite(read):
        raise fault("must be a finite number")
    return float(read)


def either(value: Any) -> int | float:
    """A finite number that stays whole or broken as it is written: 2 and 2.0 may mean different things."""
    read = number(value)
    given = _numeric(value)
    return given if isinstance(given, int) else read


def flag(value: Any) -> bool:
    """True or false, also as yes, no, on, off."""
    word = value.strip().lower() if isinstance(value, str) else value
    if word is True or word in ("true", "yes", "on", "y"):
        return True
    if word is False or word in ("false", "no", "off", "n"):
        return False
    raise fault("must be true or false")


def text(value: Any) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise fault("must be text")
    return value.strip()


def _activation(value: Any) -> str:
    if value is None:
        raise fault("write none for a linear output, or leave the key out for the default")
    return text(value)


def _level(value: Any) -> int:
    return int(value) if isinstance(value, bool) else whole(value)


def _weights(value: Any) -> str | None:
    """Names of pretrained weights; null and the word none mean random ones."""
    return None if value is None or value in ("none", "None") else text(value)


def _numeric(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        if isinstance(value, str):
            return int(value) if value.strip().lstrip("+-").isdecimal() and len(value) < 300 else float(value)
        float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf
    return value


# Bounds come before the reading of a value in these lists: so pydantic knows them when it writes a JSON Schema.
READ_WHOLE, READ_NUMBER, READ_FLAG = BeforeValidator(whole), BeforeValidator(number), BeforeValidator(flag)
READ_EITHER = BeforeValidator(either)

Whole: TypeAlias = Annotated[int, READ_WHOLE]
Number: TypeAlias = Annotated[float, READ_NUMBER]
Flag: TypeAlias = Annotated[bool, READ_FLAG]
Text: TypeAlias = Annotated[str, BeforeValidator(text)]
Level: TypeAlias = Annotated[int, Field(ge=0, le=2), BeforeValidator(_level)]
Weights: TypeAlias = Annotated[
    str | None, PlainValidator(_weights), WithJsonSchema({"type": ["string", "null"]}, mode="validation")
]

Count: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000), READ_WHOLE]
Steps: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000_000), READ_WHOLE]
Several: TypeAlias = Annotated[int, Field(ge=1, le=1000), READ_WHOLE]
Batch: TypeAlias = Annotated[int, Field(ge=1, le=65_536), READ_WHOLE]
Scale: TypeAlias = Annotated[int, Field(ge=1, le=65_535), READ_WHOLE]
Classes: TypeAlias = Annotated[int, Field(ge=1, le=100_000), READ_WHOLE]
Seed: TypeAlias = Annotated[int, Field(ge=0, le=2**32 - 1), READ_WHOLE]
Side: TypeAlias = Annotated[int, Field(ge=1, le=65_536), READ_WHOLE]
Channels: TypeAlias = Annotated[int, Field(ge=1, le=1024), READ_WHOLE]
Share: TypeAlias = Annotated[float, Field(ge=0, lt=1), READ_NUMBER]
RealShare: TypeAlias = Annotated[float, Field(gt=0, lt=1), READ_NUMBER]
Confidence: TypeAlias = Annotated[float, Field(ge=0, le=1), READ_NUMBER]
Positive: TypeAlias = Annotated[float, Field(gt=0, le=1e6), READ_NUMBER]
Rate: TypeAlias = Annotated[float, Field(gt=0, le=100), READ_NUMBER]
Decay: TypeAlias = Annotated[float, Field(ge=0, le=10), READ_NUMBER]
Portion: TypeAlias = Annotated[float, Field(gt=0, le=1), READ_NUMBER]
Sampler: TypeAlias = Literal["balanced", "weighted", "sqrt"]
StageSampler: TypeAlias = Literal["balanced", "weighted", "sqrt", "none"]
Mode: TypeAlias = Literal["auto", "min", "max"]


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (text(value),)
    if not isinstance(value, list | tuple):
        raise fault("must be a name or a list of names")
    return tuple(_inside(text, item, position) for position, item in enumerate(value))


def _inside(check: Callable[[Any], Any], value: Any, *at: str | int) -> Any:
    """Run a check on an inner value; an error of it tells where."""
    try:
        return check(value)
    except PydanticCustomError as error:
        inner = (error.context or {}).get("at", ())
        raise fault(f"{(error.context or {})['message']}", *at, *inner) from None


_NAMES_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
Names: TypeAlias = Annotated[tuple[str, ...], PlainValidator(_texts), WithJsonSchema(_NAMES_SCHEMA)]


def _class_weights(value: Any) -> Any:
    """``balanced``, a list of positive numbers, or a list of such lists."""
    if isinstance(value, str):
        if value.strip().lower() != "balanced":
            raise fault("must be balanced, or a list with a number per class")
        return "balanced"
    if not isinstance(value, list | tuple) or not value:
        raise fault("must be balanced, or a list with a number per class")
    if any(isinstance(item, list | tuple | str) for item in value):
        return tuple(_inside(_class_weights, item, position) for position, item in enumerate(value))
    return tuple(_inside(_weight, item, position) for position, item in enumerate(value))


def _weight(value: Any) -> float:
    read = number(value)
    if not 0 <= read <= 1e6:
        raise fault("must be a number of 0 or more")
    return read


_WEIGHTS_SCHEMA = {
    "anyOf": [{"const": "balanced"}, {"type": "array", "items": {"type": ["number", "array", "string"]}}]
}
ClassWeights: TypeAlias = Annotated[Any, PlainValidator(_class_weights), WithJsonSchema(_WEIGHTS_SCHEMA)]


def _map(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise fault("must be a map")
    return dict(value)


FreeMap: TypeAlias = Annotated[dict[str, Any], PlainValidator(_map), WithJsonSchema({"type": ["object", "null"]})]


@dataclass(frozen=True)
class Part:
    """A named part with its options: a callback, an augmenter.

    ``args`` holds options given by position until the check has bound them to their names; then it is empty.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    args: tuple[Any, ...] = ()

    def show(self) -> Any:
        return self.options or (self.args[0] if self.args else {})


@dataclass(frozen=True)
class Call:
    """A function of the project by name, with its arguments."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def show(self) -> Any:
        return {self.name: self.kwargs or list(self.args)}


@dataclass(frozen=True)
class Declared:
    """A dataset described by its files (``input_path``, ``inputs`` ...) or composed of other entries (a list)."""

    form: Any

    def show(self) -> Any:
        return self.form


@dataclass(frozen=True)
class Portions:
    """A dataset given as separate training, validation and holdout parts; each is a concatenation."""

    train: tuple[Call, ...] = ()
    validation: tuple[Call, ...] = ()
    holdout: tuple[Call, ...] = ()

    def show(self) -> Any:
        parts = {"train": self.train, "validation": self.validation, "holdout": self.holdout}
        return {
            name: {k: v for call in calls for k, v in call.show().items()} for name, calls in parts.items() if calls
        }


DatasetForm: TypeAlias = Call | Declared | Portions
PORTIONS = ("train", "validation", "holdout")
DECLARED_KEYS = frozenset({"input_path", "output_path", "inputs", "outputs", "scores_path", "scores_range", "negative"})


def read_parts(value: Any) -> tuple[Part, ...]:
    """``Name: scalar`` or ``Name: {option: value}`` per entry; a list of names or one-entry maps may repeat a name."""
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return tuple(_part(name, options) for name, options in value.items())
    if isinstance(value, list | tuple):
        parts = []
        for position, item in enumerate(value):
            if isinstance(item, str) and item:
                parts.append(Part(item))
            elif isinstance(item, Mapping) and len(item) == 1:
                parts += [_part(name, options) for name, options in item.items()]
            else:
                raise fault("must be a name, or a map with one name", position)
        return tuple(parts)
    raise fault("must be a map of names, each with its options")


def _part(name: str, options: Any) -> Part:
    if isinstance(options, Mapping):
        return Part(name, dict(options))
    return Part(name) if options is None else Part(name, {}, (options,))


def show_parts(parts: tuple[Part, ...]) -> Any:
    """The inverse of :func:`read_parts`: a map, or a list where a name comes twice."""
    if len({part.name for part in parts}) == len(parts):
        return {part.name: part.show() for part in parts}
    return [{part.name: part.show()} for part in parts]


def read_call(name: str, value: Any) -> Call:
    """``function: arguments``: a list is positional, a map is by name, a scalar is the first argument."""
    if isinstance(value, Mapping):
        return Call(name, (), dict(value))
    if isinstance(value, list | tuple):
        return Call(name, tuple(value))
    return Call(name) if value is None else Call(name, (value,))


def read_dataset(value: Any, key: str = "dataset") -> DatasetForm | str:
    """What a dataset entry means, by its form; ``key`` is where it stands."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list | tuple):
        return Declared([_inside(text, item, position) for position, item in enumerate(value)])
    if not isinstance(value, Mapping) or not value:
        raise fault("must be a map function: arguments, or the name of an entry of datasets")
    if set(value) <= set(PORTIONS):
        return Portions(**{name: _inside(_calls, calls, name) for name, calls in value.items()})
    if DECLARED_KEYS & set(value):
        return Declared(dict(value))
    if len(value) > 1 and set(value) & set(PORTIONS):
        wrong = ", ".join(str(name) for name in value if name not in PORTIONS)
        raise fault(f"has parts of the data ({', '.join(PORTIONS)}) beside {wrong}; parts can be these three only")
    if len(value) > 1:
        last, arguments = list(value.items())[-1]
        whole = f"on the command line '{key}={to_yaml({last: arguments}, flow=True)}' replaces the whole"
        named = f"{key} names {len(value)} functions ({', '.join(map(str, value))}), and exactly one makes a dataset"
        raise fault(f"{named}; {whole}", str(last))
    return next(read_call(name, arguments) for name, arguments in value.items())


def _calls(value: Any) -> tuple[Call, ...]:
    if isinstance(value, str):
        return (Call(value),)
    if not isinstance(value, Mapping) or not value:
        raise fault("must be a map of dataset functions, each with its arguments")
    return tuple(read_call(name, arguments) for name, arguments in value.items())


def _dataset(value: Any, info: ValidationInfo) -> DatasetForm | str:
    return read_dataset(value, info.field_name or "dataset")


def _datasets(value: Any) -> dict[str, DatasetForm]:
    forms = {
        name: _inside(partial(read_dataset, key=f"datasets.{name}"), form, name) for name, form in _map(value).items()
    }
    for name, form in forms.items():
        if isinstance(form, str):
            raise fault("must be a map function: arguments, a description of files, or a list of entries", name)
    return forms


_PARTS_SCHEMA = {"type": ["object", "array", "null"]}
Parts: TypeAlias = Annotated[tuple[Part, ...], PlainValidator(read_parts), WithJsonSchema(_PARTS_SCHEMA)]
Dataset: TypeAlias = Annotated[
    DatasetForm | str,
    PlainValidator(_dataset),
    WithJsonSchema({"type": ["object", "string", "array"]}),
]
Datasets: TypeAlias = Annotated[
    dict[str, DatasetForm],
    PlainValidator(_datasets),
    WithJsonSchema({"type": ["object", "null"], "additionalProperties": {"type": ["object", "array"]}}),
]


def _negatives(value: Any) -> str | float:
    """``none``, ``real`` (also ``all``), or how many negatives per positive."""
    if value in ("none", "real"):
        return str(value)
    if value == "all":
        return "real"
    read = _numeric(value)
    if read is None or not 0 <= read <= 1_000_000:
        raise fault("must be none, real, or a number of negatives per positive (0 or more)")
    return int(read) if read == int(read) else read


Negatives: TypeAlias = Annotated[
    str | float,
    PlainValidator(_negatives),
    WithJsonSchema({"anyOf": [{"enum": ["none", "real", "all"]}, {"type": "number", "minimum": 0}]}),
]


@dataclass(frozen=True)
class FinalMetric:
    """A metric computed on stored predictions; with ``for_validation`` also after every epoch."""

    name: str
    for_validation: bool = False

    def show(self) -> Any:
        return {self.name: {"for_validation": True}} if self.for_validation else self.name


def _final_metrics(value: Any) -> tuple[FinalMetric, ...]:
    if value is None:
        return ()
    entries = [value] if isinstance(value, str | Mapping) else value
    if not isinstance(entries, list | tuple):
        raise fault("must be a name, or a list of names or maps {name: {for_validation: true}}")
    metrics: list[FinalMetric] = []
    for position, entry in enumerate(entries):
        if isinstance(entry, str):
            metrics.append(FinalMetric(_inside(text, entry, position)))
            continue
        if not isinstance(entry, Mapping):
            raise fault("must be a name or a map {name: {for_validation: true}}", position)
        for name, options in entry.items():
            given = _inside(_map, options, position, name)
            if set(given) - {"for_validation"}:
                raise fault("takes for_validation only", position, name)
            wanted = _inside(flag, given.get("for_validation", False), position, name, "for_validation")
            metrics.append(FinalMetric(name, wanted))
    return tuple(metrics)


FinalMetrics: TypeAlias = Annotated[
    tuple[FinalMetric, ...],
    PlainValidator(_final_metrics),
    WithJsonSchema({"type": ["array", "string", "object", "null"]}),
]


def _views(value: Any) -> str | bool:
    return value if isinstance(value, bool) else text(value)


Views: TypeAlias = Annotated[str | bool, PlainValidator(_views), WithJsonSchema({"type": ["string", "boolean"]})]


def _three(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise fault("must be [height, width, channels], for example [256, 256, 3]")
    return value


Shape: TypeAlias = Annotated[tuple[Side, Side, Channels], BeforeValidator(_three)]


def _per_head(check: Callable[[Any], Any], what: str) -> Callable[[Any], Any]:
    """One value, or a list with one value per output head."""

    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return check(value)
        if not value:
            raise fault(f"must be {what}, or a list with one per head")
        return tuple(_inside(check, item, position) for position, item in enumerate(value))

    return read


def _class_count(value: Any) -> int:
    count = whole(value)
    if not 1 <= count <= 100_000:
        raise fault("must be from 1 to 100000")
    return count


_TEXT_OR_LIST = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 100_000}
TextPerHead: TypeAlias = Annotated[
    str | tuple[str, ...],
    PlainValidator(_per_head(text, "a name")),
    WithJsonSchema(_TEXT_OR_LIST),
]
Activation: TypeAlias = Annotated[
    str | tuple[str, ...],
    PlainValidator(_per_head(_activation, "a name")),
    WithJsonSchema(_TEXT_OR_LIST),
]
CountPerHead: TypeAlias = Annotated[
    int | tuple[int, ...],
    PlainValidator(_per_head(_class_count, "a whole number")),
    WithJsonSchema({"anyOf": [_COUNT, {"type": "array", "items": _COUNT, "minItems": 1}]}),
]


def _network(value: Any) -> Any:
    if not isinstance(value, str | list | Mapping) or not value:
        raise fault("must be the name of a declaration, a step, or a list of steps")
    return value


Network: TypeAlias = Annotated[Any, PlainValidator(_network), WithJsonSchema({"type": ["string", "array", "object"]})]


def _sizes(value: Any) -> tuple[tuple[int, ...], ...]:
    """``[h, w]`` or a list of them; entries after the second (channels) are dropped."""
    if not isinstance(value, list | tuple) or not value:
        raise fault("must be [height, width], or a list of such pairs")
    pairs = [value] if not isinstance(value[0], list | tuple) else value
    sizes = []
    for position, pair in enumerate(pairs):
        if not isinstance(pair, list | tuple) or len(pair) < 2:
            raise fault("must be [height, width]", position)
        sides = tuple(_inside(whole, side, position) for side in pair[:2])
        if not all(1 <= side <= 65_536 for side in sides):
            raise fault("height and width must be from 1 to 65536", position)
        sizes.append(sides)
    return tuple(sizes)


Sizes: TypeAlias = Annotated[
    tuple[tuple[int, ...], ...],
    PlainValidator(_sizes),
    WithJsonSchema({"type": "array", "minItems": 1}),
]


def show(value: Any) -> Any:
    """A value of a spec as plain data that reads back as the same value."""
    if hasattr(value, "show"):
        return show(value.show())
    if isinstance(value, tuple) and value and all(isinstance(item, Part) for item in value):
        return show(show_parts(value))
    if isinstance(value, Mapping):
        return {key: show(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [show(item) for item in value]
    return value
