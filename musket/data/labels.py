"""Labels of any dataset: its targets without its images, and the names of its classes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Set
from typing import Any

from musket.core.errors import DataError, MusketError
from musket.data.dataset import CompositeDataSet, shown_by, target_of


def targets(dataset: Any, positions: Iterable[int]) -> Iterator[Any]:
    """``y`` of some items, as the dataset gives it, one after another.

    ``get_target(i)`` tells it where there is one; views, composites and derived datasets ask those they are made of.
    Only datasets without that method are read item by item.

    Args:
        dataset: any object with ``__len__`` and ``__getitem__``.
        positions: of the items, in the order wanted.

    Raises:
        DataError: the target of an item cannot be told; names its position and the cause.
    """
    for position in positions:
        try:
            target = target_of(dataset, int(position))
        except MusketError:
            raise
        except Exception as error:
            raise DataError(
                f"the target of item {position} of {type(dataset).__name__} cannot be told: {type(error).__name__}: "
                f"{error}; mend the item, or leave it out of the dataset"
            ) from error
        yield target


def class_names(dataset: Any) -> list[Any] | None:
    """Names of the classes: ``classes`` of the dataset, or of what it is made of; None where it does not say.

    ``classes`` is a list in the order of the targets, or a map: name -> number, or number -> name, from 0.

    Returns:
        a list of names, or for several outputs a list of such lists. Of an output of one number with two values
        (yes or no) both are named.

    Raises:
        DataError: the parts of a composite dataset have different classes, so that their targets mean different things;
            ``classes`` has no order that could be told.
    """
    own = getattr(dataset, "classes", None)
    if _holds_several(own):
        return [_in_order(entry) if _holds_several(entry) else entry for entry in _in_order(own)]
    if isinstance(dataset, CompositeDataSet):
        names = [found for part in dataset.components if (found := class_names(part)) is not None]
        if any(each != names[0] for each in names):
            other = next(each for each in names if each != names[0])
            raise DataError(
                f"the parts of the dataset have different classes, {names[0]} and {other}; give all of them the same "
                "list: classes=[...]"
            )
        return names[0] if names else None
    inner = shown_by(dataset)
    return None if inner is None else class_names(inner)


def _holds_several(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str)


def _in_order(names: Any) -> list[Any]:
    """Names in the order of their numbers. Raises DataError where there is none."""
    if isinstance(names, Mapping):
        for numbered in (names, {number: name for name, number in names.items() if isinstance(number, Hashable)}):
            if set(numbered) == set(range(len(names))):
                return [numbered[number] for number in range(len(names))]
    elif not isinstance(names, Set):
        return list(names)
    raise DataError(
        f"classes of the dataset is a {type(names).__name__}, {names!r:.200}, which says no order of the classes; "
        "give a list of names in the order of the targets"
    )
