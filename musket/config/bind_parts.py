"""Parts with options (callbacks, augmenters), looked up and held to their signatures."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic_core import PydanticCustomError

from musket.config.bind import bind, is_ours, options_of, refusal
from musket.config.logged_figures import logged_as, not_logged
from musket.config.schema import (
    ExperimentSpec,
    ImageSpec,
    NetworkSpec,
    StageSpec,
)
from musket.config.tree import Loc, closest, describe
from musket.config.values import Part, read_parts, show_parts
from musket.config.vocabulary import Finding, Findings, Vocabulary
from musket.core.registry import Entry, Registry

Spec = TypeVar("Spec", bound=ExperimentSpec)


def bind_parts(
    parts: tuple[Part, ...],
    registry: Registry,
    loc: Loc,
    columns: Sequence[str],
    vocabulary: Vocabulary,
    supplied: Collection[str] = (),
) -> tuple[tuple[Part, ...], list[Finding]]:
    """Look the parts up and hold their options to the signatures.

    Args:
        parts: as read.
        registry: where their names are.
        loc: the key they stand under.
        columns: what will be logged, for options named ``monitor``.
        supplied: parameters that are not options.

    Returns:
        the parts with canonical names and options by name, and what is wrong.
    """
    repeated = len({part.name for part in parts}) < len(parts)
    bound: list[Part] = []
    findings: list[Finding] = []
    for position, part in enumerate(parts):
        at: Loc = (*loc, position, part.name) if repeated else (*loc, part.name)
        if part.name not in registry:
            findings.append(Finding(at, _missing_part(registry, part.name), key=True))
            bound.append(part)
            continue
        entry = registry.get(part.name)
        if (place := entry.facts.get("only_in")) and loc != (place,):
            findings.append(Finding(at, f"stands directly under {place}, nowhere else", key=True))
            bound.append(part)
            continue
        part, nested = _nested(entry, part, at, columns, vocabulary)
        findings += nested
        options, faults = bind(entry, part.args, part.options, supplied=supplied)
        found = [Finding((*at, fault.option) if fault.option else at, fault.message) for fault in faults]
        if not faults:
            options, message = _monitored(entry, options, columns, vocabulary)
            found = [Finding((*at, "monitor"), message)] if message else [*_filled_in(entry, options, at, columns)]
        if not found and not nested and (made := _made(entry, options, vocabulary)) is not None:
            message = refusal(entry, made)
            found = [Finding(at, message)] if message else []
        findings += found
        bound.append(Part(entry.name, options))
    return tuple(bound), findings


def _nested(
    entry: Entry, part: Part, at: Loc, columns: Sequence[str], vocabulary: Vocabulary
) -> tuple[Part, list[Finding]]:
    """The part with the parts its options hold bound in their turn, as plain lists of one-name maps.

    Where all a part takes is other parts, they may stand for its options: ``OneOf: {Fliplr: 1, Flipud: 1}``.
    """
    named = options_of(entry).named
    inner = {"then": vocabulary.callbacks, "schedulers": vocabulary.schedules}
    inner |= dict.fromkeys(entry.facts.get("nested", ()), vocabulary.augmenters)
    held = [name for name in inner if name in named]
    if not held:
        return part, []
    options: dict[str, Any] = dict(part.options)
    args = part.args
    direct = held[0] in entry.facts.get("nested", ())
    if direct and options and not options.keys() & named.keys():
        options = {held[0]: options}
    elif direct and len(args) == 1 and next(iter(named)) != held[0] and isinstance(args[0], list):
        options, args = {held[0]: args[0]}, ()
    findings: list[Finding] = []
    for name in held:
        by_position = not options and len(args) == 1 and next(iter(named)) == name
        if name not in options and not by_position:
            continue
        value = args[0] if by_position else options[name]
        inside = (*at, name) if name in part.options else at
        try:
            parts = read_parts(value)
        except PydanticCustomError as error:
            findings.append(Finding(inside, f"found {describe(value)}; {error.message()}"))
            continue
        supplied = ("optimizer", "last_epoch") if name == "schedulers" else ()
        parts, found = bind_parts(parts, inner[name], inside, columns, vocabulary, supplied)
        findings += found
        options[name] = show_parts(parts) if name == "then" else [{part.name: part.show()} for part in parts]
        args = () if by_position else args
    return Part(part.name, options, args), findings


def _made(entry: Entry, options: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Any] | None:
    """Options with the augmenters they hold made, as the part itself wants them; None when one is the user's own."""
    made = dict(options)
    for name in entry.facts.get("nested", ()):
        children = []
        for shown in options.get(name, ()):
            ((child_name, inner),) = shown.items()
            child = vocabulary.augmenters.get(child_name)
            inner = _made(child, dict(inner), vocabulary)
            if inner is None or not is_ours(child):
                return None
            children.append(child.load()(**inner))
        if name in options:
            made[name] = tuple(children)
    return made


def _missing_part(registry: Registry, name: str) -> str:
    near = closest(name, list(registry.spellings()))
    hint = f"nearest: {', '.join(near)} " if near else ""
    return f"no such {registry.kind}; {hint}(all: musket ls {registry.plural}){registry.advice(name)}"


def _monitored(
    entry: Entry, options: dict[str, Any], columns: Sequence[str], vocabulary: Vocabulary
) -> tuple[dict[str, Any], str]:
    """Options with ``monitor`` in the name it is logged under, and what is wrong with it, if anything is."""
    named = options_of(entry).named
    monitor = options.get("monitor", named["monitor"].default if "monitor" in named else None)
    if not columns or not isinstance(monitor, str):
        return options, ""
    known = logged_as(monitor, columns, vocabulary)
    if known is None:
        return options, not_logged(monitor, columns, vocabulary)
    mode = options.get("mode", named["mode"].default if "mode" in named else None)
    if mode == "auto" and vocabulary.direction(known) is None:
        return options, f"nobody says whether {known} is better high or low; give mode: min or max"
    return ({**options, "monitor": known} if "monitor" in options else options), ""


def _filled_in(entry: Entry, options: Mapping[str, Any], at: Loc, columns: Sequence[str]) -> Findings:
    """A file name that holds figures in braces holds such as are logged. How they are written the part checks."""
    option, others = entry.facts.get("filled_in", ("", ()))
    if not columns or not isinstance(options.get(option), str):
        return
    try:
        fields = [re.split(r"[.\[]", name)[0] for _, name, _, _ in string.Formatter().parse(options[option]) if name]
    except ValueError:
        return
    known = [*others, *columns]
    for name in dict.fromkeys(fields):
        if not name.isdecimal() and name not in known:
            near = closest(name, known)
            hint = f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(known)}"
            yield Finding((*at, option), f"{{{name}}} cannot be filled in: it will not be logged; {hint}")


def _channel_problems(
    parts: Sequence[Part], loc: Loc, channels: int, vocabulary: Vocabulary, inside: Loc | None = None
) -> Findings:
    """WithChannels, wherever it stands in bound augmenters, names channels that the image has.

    Args:
        parts: with options by name.
        loc: the key they stand under.
        channels: of the images.
        inside: where the part stands that holds these, if one does: problems are told there.
    """
    repeated = len({part.name for part in parts}) < len(parts)
    for position, part in enumerate(parts):
        at: Loc = inside or ((*loc, position, part.name) if repeated else (*loc, part.name))
        if part.name not in vocabulary.augmenters:
            continue
        count = channels
        if part.name == "WithChannels" and (chosen := part.options.get("channels")) is not None:
            numbers = (chosen,) if isinstance(chosen, int) else tuple(chosen)
            count = len(numbers)
            if max(numbers) >= channels:
                message = f"WithChannels: channels must lie from 0 to {channels - 1} here; found {max(numbers)}"
                yield Finding(at, message)
        for name in vocabulary.augmenters.get(part.name).facts.get("nested", ()):
            children = [Part(*item) for shown in part.options.get(name, ()) for item in shown.items()]
            yield from _channel_problems(children, loc, count, vocabulary, at)


def bind_all(
    spec: Spec, vocabulary: Vocabulary, columns: Callable[[Iterable[StageSpec]], Sequence[str]]
) -> tuple[Spec, list[Finding]]:
    """Every named part of the spec bound to its signature.

    Args:
        spec: the spec.
        vocabulary: the names.
        columns: what will be logged in all of some stages; empty where that is not known.
    """
    findings: list[Finding] = []

    def bound(parts: tuple[Part, ...], loc: Loc, registry: Registry, names: Sequence[str] = ()) -> tuple[Part, ...]:
        result, found = bind_parts(parts, registry, loc, names, vocabulary)
        findings.extend(found)
        return result

    hooks = vocabulary.callbacks
    stages = []
    for position, stage in enumerate(spec.stages):
        own: dict[str, Any] = {}
        for key in ("callbacks", "extra_callbacks"):
            parts = getattr(stage, key)
            own[key] = None if parts is None else bound(parts, ("stages", position, key), hooks, columns([stage]))
        stages.append(stage.model_copy(update=own))
    using_root = [stage for stage in spec.stages if stage.callbacks is None] or spec.stages
    callbacks = bound(spec.callbacks, ("callbacks",), hooks, columns(using_root))
    update: dict[str, Any] = {"callbacks": callbacks, "stages": tuple(stages)}
    if isinstance(spec, ImageSpec):
        update["augmentation"] = bound(spec.augmentation, ("augmentation",), vocabulary.augmenters)
        update["transforms"] = bound(spec.transforms, ("transforms",), vocabulary.augmenters)
        if isinstance(spec, NetworkSpec) and spec.shape is not None and not findings:
            for key in ("augmentation", "transforms"):
                findings += _channel_problems(update[key], (key,), spec.shape[2], vocabulary)
    return spec.model_copy(update=update), findings
