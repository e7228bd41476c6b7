"""Sample ids of any dataset, in dataset order."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any

from musket.core.errors import DataError
from musket.core.identity import examples


def sample_ids(dataset: Any) -> list[str]:
    """One id per item, all different, in dataset order.

    A dataset tells its ids by ``sample_ids()`` or ``get_id(i)``; otherwise every item is read once. Of items that share
    an id the second is called ``id#2``, the third ``id#3``, in dataset order, with one warning.

    Raises:
        DataError: an item cannot be read, or its id cannot be told; names its position and the cause.
    """
    names = own_ids(dataset)
    counts = Counter(names)
    repeated = [name for name, count in counts.items() if count > 1]
    if not repeated:
        return names
    warnings.warn(
        f"{len(repeated)} of the {len(counts)} sample ids occur more than once ({examples(repeated)}); "
        "later ones are told apart as id#2, id#3, ... in dataset order",
        stacklevel=2,
    )
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        other = name
        while seen[name] > 1 and (other := f"{name}#{seen[name]}") in counts:
            seen[name] += 1
        unique.append(other)
    return unique


def own_ids(dataset: Any) -> list[str]:
    """Ids as the dataset tells them, repeated ones included. Raises as :func:`sample_ids`."""
    if hasattr(dataset, "sample_ids"):
        return [str(name) for name in dataset.sample_ids()]
    return read_ids(dataset, range(len(dataset)))


def read_ids(dataset: Any, positions: Iterable[int]) -> list[str]:
    """Ids of some items, each asked for or read. Raises as :func:`sample_ids`."""
    tell = dataset.get_id if hasattr(dataset, "get_id") else lambda index: dataset[index].id
    return [_told(dataset, tell, index) for index in positions]


def _told(dataset: Any, tell: Any, index: int) -> str:
    try:
        return str(tell(index))
    except Exception as error:
        raise DataError(
            f"item {index} of {type(dataset).__name__} cannot be read: {type(error).__name__}: {error}; "
            "mend it or leave it out of the dataset (a method sample_ids() spares reading every item)"
        ) from error
