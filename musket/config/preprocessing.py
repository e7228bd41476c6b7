"""The key ``preprocessing``: a chain of steps, each a preprocessor by name with its arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from musket.config.bind import bind
from musket.config.tree import Loc, describe
from musket.config.values import Call, read_call
from musket.config.vocabulary import Finding, Findings, missing_entry
from musket.core.registry import Registry


def read_steps(form: Any) -> tuple[Call, ...]:
    """The steps of a chain, in order.

    Args:
        form: None for no steps; a name; a map ``name: arguments``; a list of names and such maps. Arguments are a list
            (by position), a map (by name), or one value for the first.

    Raises:
        ValueError: another form; the message says what is allowed.
    """
    if form is None:
        return ()
    if isinstance(form, str):
        return (Call(form),)
    if isinstance(form, Mapping):
        return tuple(read_call(str(name), arguments) for name, arguments in form.items())
    if isinstance(form, list | tuple):
        return tuple(step for part in form for step in _read_step(part))
    raise ValueError(f"found {describe(form)}; must be a list of preprocessors, each a name or {{name: arguments}}")


def _read_step(part: Any) -> tuple[Call, ...]:
    if isinstance(part, Call):
        return (part,)
    if isinstance(part, str) or (isinstance(part, Mapping) and len(part) == 1):
        return read_steps(part)
    raise ValueError(f"found the step {describe(part)}; must be a name or {{name: arguments}}")


def check_preprocessing(form: Any, preprocessors: Registry, declared: Collection[str] = ()) -> Findings:
    """Every step exists and takes its arguments.

    Args:
        form: value of the key.
        preprocessors: what can be named; the fact ``supplied`` of an entry lists the parameters it is given by us.
        declared: names of ``declarations``, which may be used too.
    """
    try:
        steps = read_steps(form)
    except ValueError as error:
        yield Finding(("preprocessing",), str(error))
        return
    listed = isinstance(form, list | tuple)
    for position, step in enumerate(steps):
        if step.name in declared:
            continue
        at: Loc = ("preprocessing", position) if listed else ("preprocessing",)
        if step.name not in preprocessors:
            yield Finding(at, missing_entry(preprocessors, step.name))
            continue
        entry = preprocessors.get(step.name)
        _, faults = bind(entry, step.args, step.kwargs, supplied=entry.facts.get("supplied", ()))
        inside: Loc = (*at, step.name)
        yield from (Finding((*inside, fault.option) if fault.option else inside, fault.message) for fault in faults)
