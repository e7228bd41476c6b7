"""What the classes of a dataset are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from musket.data.dataset import CompositeDataSet

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec


def class_names(dataset: Any, spec: NetworkSpec) -> list[list[str]] | None:
    """Names of the classes of every head, from the attribute ``classes`` of the dataset or of what it shows.

    A dataset with one head has a list of names, one with several a list of such lists. A head of one class may have
    one name, or two: for its absence and its presence.

    Returns:
        one list per head, empty where the names do not fit the head; None when there are none at all.
    """
    told = told_names(dataset)
    sizes = spec.head_sizes
    if told is None:
        return None
    nested = [isinstance(entry, list | tuple) for entry in told]
    each = told if any(nested) or len(sizes) > 1 else [told]
    if len(each) != len(sizes) or not all(entry is None or isinstance(entry, list | tuple) for entry in each):
        return None
    found = [_fitting(entry, size) for entry, size in zip(each, sizes, strict=True)]
    return found if any(found) else None


def _fitting(names: Any, size: int) -> list[str]:
    fits = names is not None and (len(names) == size or (size == 1 and len(names) == 2))
    return [str(name) for name in names] if fits else []


def told_names(dataset: Any) -> list[Any] | None:
    """The attribute ``classes`` as it is: of the dataset, else of what it is a view of; of a composite that of all."""
    told = getattr(dataset, "classes", None)
    if told is not None and not isinstance(told, str | int | float) and hasattr(told, "__iter__"):
        return [list(entry) if _is_list(entry) else entry for entry in told]
    if isinstance(dataset, CompositeDataSet):
        each = [told_names(part) for part in dataset.components]
        return each[0] if all(names == each[0] for names in each) else None
    for member in ("ds", "child", "parent"):
        inner = getattr(dataset, member, None)
        if inner is not None and hasattr(inner, "__len__"):
            return told_names(inner)
    return None


def _is_list(entry: Any) -> bool:
    return not isinstance(entry, str) and hasattr(entry, "__iter__")
