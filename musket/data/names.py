"""A list of texts in one block of memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np


class Names(Sequence[str]):
    """Immutable texts held as one block of UTF-8 and their bounds.

    A hundred thousand file names take a few megabytes, cost no objects (forked workers share the pages) and pickle as
    two arrays.
    """

    __slots__ = ("_block", "_bounds")

    def __init__(self, names: Iterable[str] = ()):
        texts = [name.encode("utf-8", "surrogatepass") for name in names]
        self._block = b"".join(texts)
        self._bounds = np.cumsum([0, *map(len, texts)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, index: int, /) -> str: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[str]: ...
    def __getitem__(self, index: int | slice, /) -> str | list[str]:
        if isinstance(index, slice):
            return [self._at(i) for i in range(len(self))[index]]
        return self._at(range(len(self))[index])

    def __iter__(self) -> Iterator[str]:
        return map(self._at, range(len(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} names)"

    def take(self, indexes: Iterable[int]) -> Names:
        """The names at ``indexes``, in that order."""
        return Names(self[int(index)] for index in indexes)

    def _at(self, index: int) -> str:
        return self._block[self._bounds[index] : self._bounds[index + 1]].decode("utf-8", "surrogatepass")
