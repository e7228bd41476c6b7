"""What the numbers of targets and predictions stand for: kept with the weights, and compared with the data of today.

A network knows its classes by number. Which name has which number is the dataset's to say, often from the sorted values
of a table, so that a renamed class moves the others; and which number of a table a scaled target of 0..1 is, the least
and the largest value of its column say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.core.errors import DataError, MusketError
from musket.core.identity import examples
from musket.data.labels import targets
from musket.data.sources import INNER, chain
from musket.experiment.class_names import class_names

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec

Meaning = dict[str, Any]
"""Plain data: ``class_names``, a list per head, and ``number_scales``, column -> [least, span]; each if known."""


def label_meaning(dataset: Any, spec: NetworkSpec) -> Meaning:
    """What a dataset says its labels stand for; nothing of masks.

    Raises:
        DataError: the parts of a composite dataset have different classes, or scale a column differently.
    """
    if spec.gives_maps:
        return {}
    found = {"class_names": class_names(dataset, spec), "number_scales": number_scales(dataset)}
    return {key: value for key, value in found.items() if value}


def number_scales(dataset: Any) -> dict[str, list[float]]:
    """Column -> ``[least, span]`` of what a dataset is made of; a number of the table is least + target * span.

    Raises:
        DataError: two parts scale a column differently, so that equal targets mean different numbers.
    """
    found: dict[str, list[float]] = {}
    for each in chain(dataset):
        for name, scale in getattr(each, "number_scales", {}).items():
            if found.setdefault(name, scale) != scale:
                raise DataError(
                    f"the parts of the dataset scale the column {name!r} differently, {_range(found[name])} and "
                    f"{_range(scale)}, so that equal targets mean different numbers; take the numbers as they are "
                    "(type number), or join the tables"
                )
    return found


def difference(stored: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Where two meanings differ, in words; empty where they agree as far as both are known."""
    both = zip(stored.get("class_names") or (), current.get("class_names") or (), strict=False)
    for head, (then, now) in enumerate(both):
        if then and now and then != now:
            which = f" of head {head}" if len(stored["class_names"]) > 1 else ""
            return f"the classes{which} were {_listed(then, now)}, and are {_listed(now, then)}"
    for name, now in current.get("number_scales", {}).items():
        then = stored.get("number_scales", {}).get(name, now)
        if then != now:
            return f"the column {name!r} went {_range(then)}, and goes {_range(now)}"
    return ""


def stored_class_names(paths: Sequence[Path]) -> list[list[str]] | None:
    """Names of the classes of every head, as the first of some weights files tells them; None in older ones."""
    from musket.artifacts import checkpoint

    return checkpoint.read_metadata(paths[0]).get("labels", {}).get("class_names") if paths else None


def refuse_other_labels(paths: Iterable[Path], dataset: Any, spec: NetworkSpec) -> None:
    """What networks say must mean what a dataset means; weights that do not tell, older ones, may mean anything.

    Args:
        paths: files of their weights.

    Raises:
        DataError: classes or scales are others than those the weights were trained on; says both.
        ArtifactError: a file is missing or damaged.
    """
    from musket.artifacts import checkpoint

    current = label_meaning(dataset, spec)
    for path in paths if current else ():
        found = difference(checkpoint.read_metadata(path).get("labels", {}), current)
        if found:
            raise DataError(
                f"{found} in {type(dataset).__name__}, so what the network says would go by wrong names. Restore the "
                "labels it was trained on (a table takes classes=[...]), or train again",
                path=path,
            )


def labels_fingerprint(dataset: Any, ids: Sequence[str]) -> str | None:
    """A digest of the targets of all samples, in whatever order they come.

    Args:
        ids: of the samples, in dataset order.

    Returns:
        None where telling the targets would mean reading every item.
    """
    leaves = [each for each in chain(dataset) if not any(hasattr(each, name) for name in (*INNER, "components"))]
    if not leaves or not all(hasattr(each, "get_target") for each in leaves):
        return None
    total = hashlib.blake2b(digest_size=16)
    try:
        for target in targets(dataset, sorted(range(len(ids)), key=ids.__getitem__)):
            _feed(total, target)
    except MusketError:  # told with the sample's id by whoever needs the target
        return None
    return total.hexdigest()


def _feed(total: Any, target: Any) -> None:
    """A target into a digest: numbers by their value, whatever their type, parts apart from each other."""
    if isinstance(target, list | tuple):
        total.update(f"({len(target)} ".encode())
        for part in target:
            _feed(total, part)
        return
    try:
        array = np.asarray(target, np.float64)
    except (TypeError, ValueError, RuntimeError):
        total.update(repr(target).encode())
    else:
        total.update(f"{array.shape} ".encode() + array.tobytes())


def _listed(names: list[str], others: list[str]) -> str:
    """Names for a message: all of a few, of many those from the first that differs on."""
    if len(names) <= 10:
        return ", ".join(names)
    shared = min(len(names), len(others))
    first = next((at for at in range(shared) if names[at] != others[at]), shared)
    return f"{len(names)}, from number {first} on {examples(names[first:]) or 'none'}"


def _range(scale: list[float]) -> str:
    least, span = scale
    return f"from {least:g} to {least + span:g}"
