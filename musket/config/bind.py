"""Options held against the signature of what takes them: unknown, missing, or of a wrong type, each in a sentence."""

from __future__ import annotations

import functools
import inspect
import operator
import types
from collections import abc
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError

from musket.config.tree import closest, describe
from musket.config.values import READ_EITHER, READ_FLAG, READ_NUMBER, READ_WHOLE
from musket.core.errors import MusketError
from musket.core.registry import Entry

_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
    dict: "a map",
    tuple: "a list",
    list: "a list",
}
# What YAML can give for them. An iterator made of it would be empty after one look.
_CONTAINERS: dict[Any, Any] = {abc.Iterable: list, abc.Collection: list, abc.Sequence: list, abc.Mapping: dict}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Fault:
    """What is wrong with one option; with an empty ``option``, with the part as a whole."""

    option: str
    message: str


@dataclass(frozen=True)
class Option:
    """One option a part takes. ``required`` when it has no default."""

    name: str
    annotation: Any = Any
    default: Any = inspect.Parameter.empty
    positional: bool = True

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class Options:
    """All options of a part, in order. With ``open`` it takes further ones by any name (``**kwargs``)."""

    named: dict[str, Option]
    open: bool = False
    any_count: bool = False

    @property
    def positional(self) -> list[Option]:
        return [option for option in self.named.values() if option.positional]


def options_of(entry: Entry, supplied: Collection[str] = ()) -> Options:
    """The options a part takes, from its target's signature.

    Args:
        entry: the part.
        supplied: parameters that are not options, because the program fills them in.
    """
    try:
        signature = entry.signature()
    except (NameError, AttributeError, TypeError, SyntaxError):
        signature = _bare_signature(entry.load())
    except ValueError:
        return Options({}, open=True, any_count=True)
    parameters = [p for p in signature.parameters.values() if p.name not in supplied]
    named = {
        p.name: Option(p.name, Any if p.annotation is p.empty else p.annotation, p.default, p.kind in _POSITIONAL)
        for p in parameters
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    kinds = {p.kind for p in parameters}
    return Options(named, inspect.Parameter.VAR_KEYWORD in kinds, inspect.Parameter.VAR_POSITIONAL in kinds)


def _bare_signature(target: Callable[..., Any]) -> inspect.Signature:
    """The signature without annotations, for those that cannot be resolved outside their module."""
    signature = inspect.signature(target)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return signature.replace(parameters=bare)


def bind(
    entry: Entry,
    args: tuple[Any, ...],
    given: Mapping[str, Any],
    *,
    supplied: Collection[str] = (),
    known_also: Collection[str] = (),
) -> tuple[dict[str, Any], list[Fault]]:
    """Options by name, their values turned into what the annotations say.

    Args:
        entry: what takes them.
        args: values by position.
        given: values by name.
        supplied: parameters the program fills in itself.
        known_also: other names worth proposing for an unknown one.

    Returns:
        the options, and every fault (then the options are incomplete).
    """
    options = options_of(entry, supplied)
    faults: list[Fault] = []
    values = dict(given)
    places = options.positional
    if len(args) > len(places) and not options.any_count:
        takes = f"at most {len(places)} value{'s' if len(places) != 1 else ''}" if places else "no options"
        found = describe(list(args) if len(args) > 1 else args[0])
        return {}, [Fault("", f"found {found}; {entry.name} takes {takes}")]
    for option, value in zip(places, args, strict=False):
        if option.name in values:
            faults.append(Fault(option.name, "given twice: by position and by name"))
        values[option.name] = value
    unknown = [name for name in values if name not in options.named]
    if not options.open:
        faults += [Fault(name, _unknown(entry, name, [*options.named, *known_also])) for name in unknown]
    missing = [option.name for option in options.named.values() if option.required and option.name not in values]
    if missing:
        faults.append(Fault("", f"{entry.name} needs {', '.join(missing)}"))
    bound: dict[str, Any] = {}
    for name, value in values.items():
        option = options.named.get(name)
        if option is None:
            bound[name] = value
            continue
        try:
            bound[name] = convert(option, value)
        except ValueError as error:
            faults.append(Fault(name, f"found {describe(value)}; {error}"))
    return bound, faults


def _unknown(entry: Entry, name: str, known: list[str]) -> str:
    near = closest(name, known)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    return f"{entry.name} takes no such option{hint}"


def refusal(entry: Entry, bound: Mapping[str, Any]) -> str | None:
    """What one of our parts says to options of the right types: it checks their ranges when it is made.

    Args:
        entry: a part whose making does nothing but check and keep its options. Parts of the user's own are not made.
        bound: its options.
    """
    if not is_ours(entry):
        return None
    try:
        entry.load()(**bound)
    except (MusketError, ValueError, TypeError) as error:
        return str(error).removeprefix(f"{entry.name}: ")
    return None


def is_ours(entry: Entry) -> bool:
    """Whether a part is built in, so that making it does nothing but check and keep its options."""
    return isinstance(entry.target, str) and entry.target.startswith("musket.")


def convert(option: Option, value: Any) -> Any:
    """The value as the option's annotation wants it.

    Raises:
        ValueError: it cannot be; the message says what is allowed.
    """
    if value is None and option.default is None:
        return None
    adapter = _adapter(option.annotation)
    if adapter is None:
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "musket" and error.error_count() == 1 and not first["loc"]:
            raise ValueError(first["msg"]) from None
        raise ValueError(f"must be {spell(option.annotation)}") from None


def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    if annotation is Any or isinstance(annotation, str):
        return None
    try:
        return _known_adapter(annotation)
    except TypeError:  # some metadata has no hash
        return _made_adapter(annotation)


@functools.lru_cache(maxsize=1024)
def _known_adapter(annotation: Any) -> TypeAdapter[Any] | None:
    return _made_adapter(annotation)


def _made_adapter(annotation: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(strict(annotation))
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError, TypeError):
        return None


def strict(annotation: Any) -> Any:
    """The annotation with whole numbers, numbers and booleans that are not bent into each other."""
    readers: dict[Any, Any] = {int: READ_WHOLE, float: READ_NUMBER, bool: READ_FLAG}
    annotated: Any = Annotated  # a name the type checker does not take for an annotation
    origin, args = get_origin(annotation), get_args(annotation)
    origin = _CONTAINERS.get(origin, origin)
    if origin is None:
        return annotated[annotation, readers[annotation]] if annotation in readers else annotation
    if origin in (Union, types.UnionType):
        both = (annotated[int | float, READ_EITHER],) if {int, float} <= set(args) else ()
        return functools.reduce(
            operator.or_, [*both, *(strict(arg) for arg in args if not both or arg not in (int, float))]
        )
    if origin is Annotated:
        own = (readers[args[0]],) if args[0] in readers else ()
        return annotated[args[0] if own else strict(args[0]), *args[1:], *own]
    if origin in (tuple, list, dict):
        return types.GenericAlias(origin, tuple(arg if arg is Ellipsis else strict(arg) for arg in args))
    return annotation


def spell(annotation: Any) -> str:
    """What an annotation allows, in words: ``a number or [number, number]``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in _NAMES:
        return _NAMES[annotation]
    if origin is Literal:
        return ("one of " if len(args) > 1 else "") + ", ".join(str(arg) for arg in args)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(spell(arg) for arg in args))
    if origin is Annotated:
        return spell(args[0]) + _bounds(args[1:])
    origin = _CONTAINERS.get(origin, origin)
    if origin is list or (origin is tuple and Ellipsis in args):
        return f"a list, each {spell(args[0])}"
    if origin is tuple and args:
        return f"[{', '.join(spell(arg).removeprefix('a ') for arg in args)}]"
    if origin is dict:
        return "a map"
    if origin is Callable:
        return "a function, which only Python code can give"
    return getattr(annotation, "__name__", str(annotation))


def _bounds(metadata: tuple[Any, ...]) -> str:
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    limits = [inner for item in metadata for inner in (item, *getattr(item, "metadata", ()))]
    pairs = ((word, getattr(limit, name, None)) for limit in limits for name, word in words.items())
    found = [f"{word} {bound}" for word, bound in pairs if bound is not None]
    return f" {' and '.join(found)}" if found else ""
