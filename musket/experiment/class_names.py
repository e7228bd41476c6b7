"""What the classes of every head are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    if told is None:
        return None
    sizes = spec.head_sizes
    each = [told] if len(sizes) == 1 and not any(isinstance(entry, list | tuple) for entry in told) else told
    if len(each) != len(sizes):
        return None
    found = [_fitting(names, size) for names, size in zip(each, sizes, strict=True)]
    return found if any(found) else None


def _fitting(names: Any, size: int) -> list[str]:
    fits = isinstance(names, list | tuple) and (len(names) == size or (size == 1 and len(names) == 2))
    return [str(name) for name in names] if fits else []
