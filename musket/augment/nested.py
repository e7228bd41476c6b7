"""Operations that hold others: in a row, one or some of several, now and then, or on some channels only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musket.augment.frames import CropToFixedSize, PadToFixedSize
from musket.augment.geometry import Resize
from musket.augment.ranges import check_probability, check_range
from musket.augment.single import run_each
from musket.augment.steps import Children, Colour, Frame, Geometry, ImagePass, Operation, Pass, Step
from musket.core.errors import MusketError
from musket.core.registry import Entry, Registry

Operations = tuple[Operation, ...]
_HOLDING = ("children", "then_list", "else_list")


def _check_children(part: str, children: Operations) -> None:
    if not children:
        raise MusketError(f"{part}: names no augmenters; write some under children")


def _all_of(operations: Operations) -> Iterator[Operation]:
    """Operations, and those that run in their place."""
    for operation in operations:
        yield operation
        for option in _HOLDING:
            yield from _all_of(getattr(operation, option, ()))


@dataclass(frozen=True)
class Sequential:
    """Run augmenters in a row.

    Attributes:
        children: the augmenters.
        random_order: draw their order for every sample.
    """

    children: Operations
    random_order: bool = False

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """The children."""
        if self.random_order:
            return (Children([self.children[i] for i in random.permutation(len(self.children))]),)
        return (Children(self.children),)


@dataclass(frozen=True)
class OneOf:
    """Run one of several augmenters, each equally often.

    Attributes:
        children: the augmenters.
    """

    children: Operations

    def __post_init__(self) -> None:
        _check_children("OneOf", self.children)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """One child."""
        return (Children([self.children[int(random.integers(len(self.children)))]]),)


@dataclass(frozen=True)
class SomeOf:
    """Run some of several augmenters.

    Attributes:
        n: how many: a whole number, a range ``[a, b]``, where null for b means all, or null for all.
        children: the augmenters.
        random_order: run the chosen ones in random order, not in their own.
    """

    n: int | tuple[int, int | None] | None
    children: Operations
    random_order: bool = False

    def __post_init__(self) -> None:
        _check_children("SomeOf", self.children)
        bounds = self.n if isinstance(self.n, tuple) else (self.n,)
        for bound in bounds:
            check_range("SomeOf", "n", 0 if bound is None else bound, 0)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """The chosen children."""
        total = len(self.children)
        low, high = self.n if isinstance(self.n, tuple) else (self.n, self.n)
        least, most = (min(total if bound is None else bound, total) for bound in (low, high))
        count = int(random.integers(min(least, most), max(least, most) + 1))
        chosen = random.permutation(total)[:count].tolist()
        return (Children([self.children[i] for i in (chosen if self.random_order else sorted(chosen))]),)


@dataclass(frozen=True)
class Sometimes:
    """Run some augmenters with probability ``p``, otherwise others.

    Attributes:
        p: probability of then_list.
        then_list: augmenters.
        else_list: augmenters for the other samples.
    """

    p: float = 0.5
    then_list: Operations = ()
    else_list: Operations = ()

    def __post_init__(self) -> None:
        check_probability("Sometimes", "p", self.p)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """The children of one list."""
        return (Children(self.then_list if random.random() < self.p else self.else_list),)


@dataclass(frozen=True)
class WithChannels:
    """Run augmenters on some channels of the image alone.

    Attributes:
        channels: their numbers from 0; null means all.
        children: the augmenters. Where they move pixels, only these channels move, the mask stays.
    """

    channels: int | tuple[int, ...] | None
    children: Operations

    def __post_init__(self) -> None:
        _check_children("WithChannels", self.children)
        if self.channels == ():
            raise MusketError("WithChannels: channels is an empty list; name one at least, or null for all")
        for channel in self._chosen(0):
            check_range("WithChannels", "channels", channel, 0)
        for child in _all_of(self.children):
            if (
                isinstance(child, Resize | PadToFixedSize | CropToFixedSize)
                or getattr(child, "keep_size", True) is False
            ):
                raise MusketError(
                    f"WithChannels: {type(child).__name__} in it changes the size of the image, which other channels "
                    "keep; leave it out, or set keep_size: true where there is such an option"
                )

    def _chosen(self, count: int) -> list[int]:
        if self.channels is None:
            return list(range(count))
        return [self.channels] if isinstance(self.channels, int) else list(self.channels)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """The children's steps, each on the chosen channels.

        Raises:
            MusketError: the image has no such channel.
        """
        chosen = self._chosen(frame.channels)
        if max(chosen) >= frame.channels:
            raise MusketError(
                f"WithChannels: channels must lie from 0 to {frame.channels - 1}, the image has {frame.channels}; "
                f"found {max(chosen)}"
            )
        inner = Frame(frame.height, frame.width, len(chosen), frame.dtype)
        return [_on_channels(step, chosen) for step in _drawn(self.children, random, inner)]


def _drawn(operations: Sequence[Operation], random: np.random.Generator, frame: Frame) -> list[Step]:
    """What operations draw, those inside others included."""
    steps: list[Step] = []
    queue: list[Operation | Step] = list(reversed(operations))
    while queue:
        item = queue.pop()
        if isinstance(item, Children):
            queue.extend(reversed(item.operations))
        elif isinstance(item, Geometry | Colour | ImagePass | Pass):
            steps.append(item)
            if isinstance(item, Geometry):
                frame = Frame(item.height, item.width, frame.channels, frame.dtype)
        else:
            queue.extend(reversed(item.draw(random, frame)))
    return steps


def _on_channels(step: Step, channels: list[int]) -> Step:
    if isinstance(step, Colour):

        def curve(values: np.ndarray) -> np.ndarray:
            result = values.copy()
            result[..., channels] = step.curve(values[..., channels])
            return result

        return Colour(curve)

    def run(image: np.ndarray) -> np.ndarray:
        part, _ = run_each(np.ascontiguousarray(image[..., channels]), None, [step])
        if part.shape[:2] != image.shape[:2]:
            raise MusketError("WithChannels: its children must keep the size of the image (keep_size: true)")
        result = image.copy()
        result[..., channels] = part
        return result

    return ImagePass(run)


def build_operations(parts: Any, registry: Registry) -> Operations:
    """Make augmenters from names and options, those inside others too.

    Args:
        parts: a map ``{name: options}``, a list of such maps and names, or anything with ``name``, ``options`` and,
            where they are not bound yet, ``args`` (as config parts have). Options are a map, or one value for the
            first option; lists become tuples.
        registry: the names; an entry's fact ``nested`` lists the options that hold augmenters themselves.

    Raises:
        RegistryError: a name is unknown.
        MusketError: an option is refused, or the parts have another form.
    """
    return tuple(_build(registry.get(name), args, options, registry) for name, args, options in _read(parts))


def _read(parts: Any) -> list[tuple[str, tuple[Any, ...], Mapping[str, Any]]]:
    if parts is None:
        return []
    if isinstance(parts, Mapping):
        return [(str(name), *_arguments(value)) for name, value in parts.items()]
    if not isinstance(parts, list | tuple):
        parts = [parts]
    found: list[tuple[str, tuple[Any, ...], Mapping[str, Any]]] = []
    for part in parts:
        if isinstance(part, str):
            found.append((part, (), {}))
        elif isinstance(part, Mapping):
            found += _read(part)
        elif hasattr(part, "name") and hasattr(part, "options"):
            found.append((part.name, tuple(getattr(part, "args", ())), part.options))
        elif isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str):
            found.append((part[0], *_arguments(part[1])))
        else:
            raise MusketError(f"augmenters are a map or a list of names with options; found {part!r}")
    return found


def _arguments(value: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    if isinstance(value, Mapping):
        return (), value
    return (() if value is None else (value,)), {}


def _build(entry: Entry, args: tuple[Any, ...], options: Mapping[str, Any], registry: Registry) -> Operation:
    nested = entry.facts.get("nested", ())
    if nested == ("children",) and nested_map(entry, options, registry):
        options = {"children": options}
    signature = entry.signature().parameters
    parameters = [name for name, parameter in signature.items() if parameter.kind is not parameter.VAR_KEYWORD]
    values = {**dict(zip(parameters, args, strict=False)), **options}
    if len(args) > len(parameters):
        raise MusketError(f"{entry.name}: takes at most {len(parameters)} options; found {len(args)} values")
    unknown = [name for name in values if name not in parameters]
    if unknown and len(parameters) == len(signature):
        raise MusketError(f"{entry.name}: takes no option {', '.join(unknown)}; there are {', '.join(parameters)}")
    made = {
        name: build_operations(value, registry) if name in nested else _tupled(value) for name, value in values.items()
    }
    try:
        return entry.load()(**made)
    except TypeError as error:
        raise MusketError(f"{entry.name}: {error}") from error


def nested_map(entry: Entry, options: Mapping[str, Any], registry: Registry) -> bool:
    """Whether the options of a nested augmenter are its children themselves: ``OneOf: {Fliplr: 0.5, Flipud: 0.5}``."""
    own = {name.lower() for name in entry.signature().parameters}
    return bool(options) and not own & {name.lower() for name in options} and all(name in registry for name in options)


def _tupled(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_tupled(item) for item in value)
    return {key: _tupled(item) for key, item in value.items()} if isinstance(value, Mapping) else value
