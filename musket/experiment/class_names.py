"""What the classes of every head are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from musket.core.identity import examples
from musket.data import labels

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec


def class_names(dataset: Any, spec: NetworkSpec) -> list[list[str]] | None:
    """Names of the classes of every head, as the dataset or what it shows tells them by its attribute ``classes``.

    A dataset with one head has a list of names, one with several a list of such lists. A head of one class may have
    one name, or two: for its absence and its presence.

    Returns:
        one list per head, empty where the names do not fit the head; None when there are none at all.

    Raises:
        DataError: the parts of a composite dataset have different classes.
    """
    told = labels.class_names(dataset)
    each = None if told is None else _by_head(told, spec.head_sizes)
    if each is None or len(each) != len(spec.head_sizes):
        return None
    found = [
        [str(name) for name in names] if _fits(names, size) else []
        for names, size in zip(each, spec.head_sizes, strict=True)
    ]
    return found if any(found) else None


def unfit_names(dataset: Any, spec: NetworkSpec) -> str:
    """What is wrong with the names a dataset has for the classes, as a sentence; empty where nothing is.

    Raises:
        DataError: see :func:`class_names`.
    """
    told = labels.class_names(dataset)
    if told is None:
        return ""
    each, sizes = _by_head(told, spec.head_sizes), spec.head_sizes
    if len(each) != len(sizes) or not all(
        not names or _fits(names, size) for names, size in zip(each, sizes, strict=True)
    ):
        nested = [len(entry) for entry in told if isinstance(entry, list | tuple)]
        has = ", ".join(map(str, nested)) if nested else str(len(told))
        return (
            f"the dataset names {has} classes, the config says classes: {', '.join(map(str, sizes))}; numbers stand "
            "in for names that do not fit"
        )
    times = [Counter(map(str, names or ())) for names in each]
    twice = [name for counts in times for name, count in counts.items() if count > 1]
    if not twice:
        return ""
    return f"the dataset names several classes alike: {examples(twice)}; tables and pictures cannot tell them apart"


def _by_head(told: Sequence[Any], sizes: Sequence[int]) -> Sequence[Any]:
    return [told] if len(sizes) == 1 and not any(isinstance(entry, list | tuple) for entry in told) else told


def _fits(names: Any, size: int) -> bool:
    return isinstance(names, list | tuple) and (len(names) == size or (size == 1 and len(names) == 2))
