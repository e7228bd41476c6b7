"""Base class of datasets, and datasets made of other datasets."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from musket.artifacts.files import write_atomic
from musket.core.errors import DataError
from musket.core.types import PredictionItem
from musket.data.identity import own_ids, read_ids, sample_ids

if TYPE_CHECKING:
    import pandas as pd

    from musket.data.cache import DecodeCache


class DataSet:
    """Optional base class: gives the secondary members of the dataset protocol.

    A subclass needs ``__len__`` and ``__getitem__``; for CSV dumps ``_encode_item`` too.
    """

    parent: Any = None
    """The dataset this one is a view of."""
    name: str = ""

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} must define __len__")

    def __getitem__(self, index: Any) -> Any:
        raise TypeError(f"{type(self).__name__} must define __getitem__")

    def item(self, index: int, is_train: bool) -> PredictionItem:
        """Item for training or for everything else; wins over the two other ways to read one."""
        return self.get_train_item(index) if is_train else self[index]

    def get_train_item(self, index: int) -> PredictionItem:
        """Item for training. Augmenting datasets override it."""
        return self[index]

    def get_target(self, index: int) -> Any:
        """Target of an item; override it where the image need not be read for that."""
        return self[index].y

    def root(self) -> Any:
        """The dataset at the end of the chain of parents."""
        if self.parent is None:
            return self
        return self.parent.root() if hasattr(self.parent, "root") else self.parent

    def get_name(self) -> str:
        """Name in file names of predictions and caches: ``name``, else the class name."""
        return self.name or type(self).__name__

    def id(self) -> str:
        """Same as :meth:`get_name`."""
        return self.get_name()

    def get_inputs_count(self) -> int:
        """Number of input arrays of an item."""
        return _count(self[0].x)

    def get_outputs_count(self) -> int:
        """Number of target arrays of an item."""
        return _count(self[0].y)

    def encode(self, item: Any, encode_y: bool = False, treshold: float = 0.5) -> Any:
        """Rows of a submission table: of one item a dict (or list of dicts), of a dataset a DataFrame.

        Args:
            item: :class:`PredictionItem`, or a dataset.
            encode_y: encode the truth instead of the prediction.
            treshold: scores above it count as object.

        Raises:
            DataError: this dataset cannot write its items as rows, or there is nothing to encode.
        """
        if isinstance(item, PredictionItem):
            return self._encode_item(item, encode_y, treshold)
        return self._encode_dataset(item, encode_y, treshold)

    def dump(self, path: str | os.PathLike[str], treshold: float = 0.5, encode_y: bool = False) -> None:
        """Encode this dataset and write it as CSV without index.

        Raises:
            DataError: see :meth:`encode`.
            ArtifactError: the file cannot be written.
        """
        write_atomic(os.fspath(path), self.encode(self, encode_y, treshold).to_csv(index=False))

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> Any:
        raise DataError(
            f"{type(self).__name__} does not know how to write an item as table rows; "
            "define _encode_item(self, item, encode_y, treshold) returning a dict"
        )

    def _encode_dataset(self, dataset: Any, encode_y: bool = False, treshold: float = 0.5) -> pd.DataFrame:
        rows: list[dict[str, Any]] = []
        for index in range(len(dataset)):
            row = self._encode_item(dataset[index], encode_y, treshold)
            rows += [row] if isinstance(row, dict) else row
        return self._create_dataframe(rows)

    def _create_dataframe(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(rows)


class IndexedDataSet(DataSet, ABC):
    """Datasets that read one item by position and know its id without reading; slices give views."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def get_id(self, index: int) -> str:
        """Id of an item, without reading an image."""

    @abstractmethod
    def _read(self, index: int) -> PredictionItem:
        """Item at a position 0..len-1."""

    @overload
    def __getitem__(self, index: int) -> PredictionItem: ...
    @overload
    def __getitem__(self, index: slice) -> SubDataSet: ...
    def __getitem__(self, index: int | slice) -> PredictionItem | SubDataSet:
        if isinstance(index, slice):
            return SubDataSet(self, range(len(self))[index])
        return self._read(range(len(self))[index])

    def sample_ids(self) -> list[str]:
        """Ids of all items, in order, without reading an image."""
        return [self.get_id(index) for index in range(len(self))]


class FileDataSet(IndexedDataSet):
    """Datasets that read every image and mask from a file of its own, by :meth:`decode`."""

    cache: DecodeCache | None = None
    """Where decoded files are kept; see :func:`musket.data.cache.attach_cache`."""

    def decode(self, read: Callable[[Any], np.ndarray], path: str | Path) -> np.ndarray:
        """``read(path)``, from the cache if there is one. ``read`` is a function of a module; its errors pass."""
        return read(path) if self.cache is None else self.cache.read(read, path)

    def source_files(self) -> list[str]:
        """Every file the items are made of; empty where the dataset does not say."""
        return []


class SubDataSet(DataSet):
    """A selection of the items of a dataset, in any order; reading goes through to the dataset.

    ``folds`` and ``holdoutArr`` of the dataset are kept as far as their items are selected, ``classes`` as they are.

    Raises:
        DataError: a position is outside the dataset.
    """

    def __init__(self, orig: Any, indexes: Iterable[int]):
        size = len(orig)
        self.parent = self.ds = orig
        self.name = getattr(orig, "name", "")
        self.indexes = np.fromiter((int(index) for index in indexes), dtype=np.int64)
        outside = self.indexes[(self.indexes < -size) | (self.indexes >= size)]
        if len(outside):
            raise DataError(f"position {outside[0]} is outside the dataset of {size} items (0..{size - 1})")
        self.indexes %= max(size, 1)
        if hasattr(orig, "classes"):
            self.classes = orig.classes
        if hasattr(orig, "folds") or hasattr(orig, "holdoutArr"):
            here = {int(there): index for index, there in enumerate(self.indexes)}
            if hasattr(orig, "folds"):
                self.folds = [tuple([here[i] for i in part if i in here] for part in fold) for fold in orig.folds]
            if hasattr(orig, "holdoutArr"):
                self.holdoutArr = [here[i] for i in orig.holdoutArr if i in here]

    def __len__(self) -> int:
        return len(self.indexes)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return SubDataSet(self, range(len(self))[index])
        return self.ds[self._there(index)]

    def item(self, index: int, is_train: bool) -> PredictionItem:
        return read_item(self.ds, self._there(index), is_train)

    def get_train_item(self, index: int) -> PredictionItem:
        return self.item(index, True)

    def sample_ids(self) -> list[str]:
        """Ids the items have in the whole dataset; only the selected ones are read where it cannot tell ids."""
        if not hasattr(self.ds, "sample_ids"):
            return read_ids(self.ds, self.indexes.tolist())
        names = sample_ids(self.ds)
        return [names[index] for index in self.indexes]

    def isPositive(self, index: int) -> bool:
        return is_positive(self.ds, self._there(index))

    def get_target(self, index: int) -> Any:
        return target_of(self.ds, self._there(index))

    def _there(self, index: int) -> int:
        return int(self.indexes[range(len(self))[index]])

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> Any:
        return encoder_of(self.ds, item)(item, encode_y, treshold)


def _plain(names: Any) -> Any:
    """Names of classes as lists, which can be compared."""
    return [_plain(each) for each in names] if isinstance(names, list | tuple | np.ndarray) else names


class CompositeDataSet(DataSet):
    """Datasets one after another. Every item says where it came from by its attribute ``originalDataSet``.

    ``holdoutArr`` of the components is kept; ``folds`` too if all components have equally many, and ``classes`` if
    all that name classes name the same.

    Raises:
        DataError: there is no component.
    """

    def __init__(self, components: Sequence[Any]):
        if not components:
            raise DataError("a composite dataset needs at least one dataset")
        self.components = list(components)
        self.shifts = np.cumsum([0, *map(len, self.components)])
        shifts = self.shifts[:-1].tolist()
        folds = [getattr(part, "folds", None) or [] for part in self.components]
        if len(folds[0]) and len({len(each) for each in folds}) == 1:
            self.folds = [
                tuple(
                    [i + shift for fold, shift in zip(fold_of_each, shifts, strict=True) for i in fold[side]]
                    for side in (0, 1)
                )
                for fold_of_each in zip(*folds, strict=True)
            ]
        classes = [part.classes for part in self.components if getattr(part, "classes", None) is not None]
        if classes and all(_plain(each) == _plain(classes[0]) for each in classes):
            self.classes = classes[0]
        if any(hasattr(part, "holdoutArr") for part in self.components):
            parts = zip(self.components, shifts, strict=True)
            self.holdoutArr = [i + shift for part, shift in parts for i in getattr(part, "holdoutArr", ())]

    def __len__(self) -> int:
        return int(self.shifts[-1])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return SubDataSet(self, range(len(self))[index])
        return self.item(index, False)

    def item(self, index: int, is_train: bool) -> PredictionItem:
        part, inner = self._there(index)
        item: Any = read_item(part, inner, is_train)
        if getattr(item, "originalDataSet", None) is None:  # of nested composites the innermost has said it
            item.originalDataSet = part
        return item

    def get_train_item(self, index: int) -> PredictionItem:
        return self.item(index, True)

    def sample_ids(self) -> list[str]:
        return [name for part in self.components for name in own_ids(part)]

    def isPositive(self, index: int) -> bool:
        return is_positive(*self._there(index))

    def get_target(self, index: int) -> Any:
        return target_of(*self._there(index))

    def _there(self, index: int) -> tuple[Any, int]:
        index = range(len(self))[index]
        which = int(np.searchsorted(self.shifts, index, side="right")) - 1
        return self.components[which], index - int(self.shifts[which])

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> Any:
        return encoder_of(getattr(item, "originalDataSet", None), item)(item, encode_y, treshold)


def read_item(dataset: Any, index: int, is_train: bool) -> PredictionItem:
    """An item of a duck-typed dataset: ``item(i, is_train)`` wins over ``get_train_item(i)`` and ``dataset[i]``."""
    if hasattr(dataset, "item"):
        return dataset.item(index, is_train)
    if is_train and hasattr(dataset, "get_train_item"):
        return dataset.get_train_item(index)
    return dataset[index]


def target_of(dataset: Any, index: int) -> Any:
    """Target of an item: ``get_target(i)`` if there is one, else that of the item read."""
    return dataset.get_target(index) if hasattr(dataset, "get_target") else dataset[index].y


def check_rows(dataset: Any) -> None:
    """Raises DataError for a dataset that cannot write its items as table rows, which dumpPredictionsToCSV asks for."""
    own = getattr(type(dataset), "_encode_item", None)
    if not hasattr(dataset, "encode") or own is DataSet._encode_item:
        raise DataError(
            f"dumpPredictionsToCSV: {type(dataset).__name__} cannot write its items as table rows; give it a method "
            "_encode_item(self, item, encode_y, treshold) that returns a dict, or leave the key out"
        )


def shown_by(dataset: Any) -> Any:
    """The dataset that a view or a derived dataset shows the items of; None for any other."""
    return next((part for member in ("ds", "child") if (part := getattr(dataset, member, None)) is not None), None)


def teller(dataset: Any, member: str) -> Callable[[int], Any] | None:
    """The method ``member`` (position -> value) of a dataset, or of what it is a view of; None when there is none."""
    if hasattr(dataset, member):
        return getattr(dataset, member)
    if isinstance(dataset, SubDataSet):
        inner = teller(dataset.ds, member)
        return None if inner is None else lambda index: inner(dataset._there(index))
    if isinstance(dataset, CompositeDataSet) and all(teller(part, member) for part in dataset.components):
        return lambda index: _tell_part(dataset, member, index)
    if hasattr(dataset, "child_index"):  # derived datasets
        inner = teller(dataset.child, member)
        return None if inner is None else lambda index: inner(dataset.child_index(index))
    return None


def _tell_part(dataset: CompositeDataSet, member: str, index: int) -> Any:
    part, inner = dataset._there(index)
    tell = teller(part, member)
    return None if tell is None else tell(inner)


def is_positive(dataset: Any, index: int) -> bool:
    """Whether an item has an object.

    Raises:
        DataError: the dataset does not say.
    """
    if not hasattr(dataset, "isPositive"):
        raise DataError(
            f"{type(dataset).__name__} has no method isPositive(index), which the stage key negatives asks for; "
            "add it, or use negatives: real"
        )
    return bool(dataset.isPositive(index))


def encoder_of(dataset: Any, item: PredictionItem) -> Any:
    """The method that writes an item as table rows.

    Raises:
        DataError: the dataset has none.
    """
    if not hasattr(dataset, "encode"):
        raise DataError("the dataset of this item does not know how to write it as table rows", sample=str(item.id))
    return dataset.encode


def _count(arrays: Any) -> int:
    return len(arrays) if isinstance(arrays, (list, tuple)) else 1
