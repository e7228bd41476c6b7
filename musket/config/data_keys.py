"""Entries of ``datasets`` and the data keys: whether descriptions of files and lists of entries make sense."""

from __future__ import annotations

from collections.abc import Iterator

from musket.config import declared
from musket.config.declared import Problem
from musket.config.schema import ExperimentSpec
from musket.config.tree import Loc, closest, describe
from musket.config.values import DatasetForm, Declared, Portions


def problems(spec: ExperimentSpec) -> Iterator[Problem]:
    """Everything wrong with the datasets of a spec that are described by files, composed of others, or given in parts.

    An entry of ``datasets`` that nothing uses may name others that do not exist (see :func:`remarks`).
    """
    used = _used(spec)
    for loc, form in _forms(spec):
        if isinstance(form, Portions) and not form.train:
            yield (*loc, "train"), "missing; name the training data here, or use the plain form", False
        if not isinstance(form, Declared):
            continue
        if isinstance(form.form, list):
            if loc[-1] in used or len(loc) == 1:
                yield from _missing(form.form, loc, spec)
            continue
        yield from (((*loc, *inner), message, key) for inner, message, key in declared.problems(form.form))
    for name in spec.datasets:
        if name in _reached(spec, name):
            yield ("datasets", name), "is composed of itself, by way of its entries", True


def remarks(spec: ExperimentSpec) -> Iterator[Problem]:
    """Lists of entries that cannot be used; no harm as long as nothing does."""
    used = _used(spec)
    for name, form in spec.datasets.items():
        if isinstance(form, Declared) and isinstance(form.form, list) and name not in used:
            for loc, message, key in _missing(form.form, ("datasets", name), spec):
                yield loc, f"{message}; nothing uses this list", key


def _forms(spec: ExperimentSpec) -> Iterator[tuple[Loc, DatasetForm | str | None]]:
    yield ("dataset",), spec.dataset
    yield ("extra_train_data",), spec.extra_train_data
    for name, form in spec.datasets.items():
        yield ("datasets", name), form


def _missing(names: list[str], loc: Loc, spec: ExperimentSpec) -> Iterator[Problem]:
    if not [name for name in names if name != loc[-1]]:
        yield loc, "an empty list makes no dataset; name entries of datasets", True
    for position, name in enumerate(names):
        if name not in spec.datasets:
            near = closest(name, list(spec.datasets))
            hint = f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(spec.datasets)}"
            yield (*loc, position), f"no such entry of datasets {describe(name)}; {hint}", False


def _parts(form: DatasetForm | str | None, own: str = "") -> list[str]:
    """Names of the entries a form is made of. An entry that names itself is as if it did not."""
    if isinstance(form, str):
        return [form]
    inner = form.form if isinstance(form, Declared) and isinstance(form.form, list) else []
    return [name for name in inner if name != own]


def _reached(spec: ExperimentSpec, start: str) -> set[str]:
    """Entries that an entry is made of, directly or not."""
    found: set[str] = set()
    ahead = _parts(spec.datasets.get(start), start)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += _parts(spec.datasets.get(name), name)
    return found


def _used(spec: ExperimentSpec) -> set[str]:
    """Entries that training uses."""
    first = {name for form in (spec.dataset, spec.extra_train_data) for name in _parts(form)}
    return first.union(*(_reached(spec, name) for name in first))
