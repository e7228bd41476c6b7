"""Base of datasets that show another dataset in another way, and the training view of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from musket.core.errors import DataError
from musket.core.types import PredictionItem
from musket.data.dataset import DataSet, SubDataSet, encoder_of, is_positive, read_item, target_of
from musket.data.identity import own_ids


class DerivedDataSet(DataSet):
    """The items of another dataset, in its order, unchanged; subclasses change them in :meth:`_changed`.

    Ids, folds, holdout, positivity, targets and table rows are the child's.

    Attributes:
        child: the dataset this one shows; also ``parent``.
        training_differs: whether items for training are made otherwise here than those for everything else; False:
            as far as the child's do. Caches behind it then keep them for training too.

    Raises:
        DataError: the child is no dataset.
    """

    training_differs: bool = True

    def __init__(self, child: Any):
        if isinstance(child, str) or not hasattr(child, "__getitem__"):
            raise DataError(f"{type(self).__name__} shows another dataset; found {child!r} in its place")
        self.child = self.parent = child
        self.name = getattr(child, "name", "")
        for member in ("folds", "holdoutArr"):
            if hasattr(child, member):
                setattr(self, member, getattr(child, member))

    def child_index(self, index: int) -> int:
        """Position in the child of the item at a position here."""
        return range(len(self))[index]

    def _changed(self, item: PredictionItem, index: int, is_train: bool) -> PredictionItem:
        """The item of the child as it is shown here. It must not be changed in place: others may hold it."""
        return item

    def __len__(self) -> int:
        return len(self.child)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return SubDataSet(self, range(len(self))[index])
        return self.item(index, False)

    def item(self, index: int, is_train: bool) -> PredictionItem:
        index = range(len(self))[index]
        return self._changed(read_item(self.child, self.child_index(index), is_train), index, is_train)

    def get_train_item(self, index: int) -> PredictionItem:
        return self.item(index, True)

    def sample_ids(self) -> list[str]:
        return own_ids(self.child)

    def isPositive(self, index: int) -> bool:
        return is_positive(self.child, self.child_index(index))

    def get_target(self, index: int) -> Any:
        return target_of(self.child, self.child_index(index))

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> Any:
        return encoder_of(self.child, item)(item, encode_y, treshold)


class TrainingView(DerivedDataSet):
    """A dataset that is read from another one in training.

    Args:
        child: read for validation and prediction; ids and everything else are its own.
        training: read for training: the same samples in the same order.
        ids: of the child; default: as it tells them. Where there are none the order is not checked.

    Raises:
        DataError: they differ in length; when an item is read, that it is another sample of the child.
    """

    def __init__(self, child: Any, training: Any, ids: Sequence[str] | None = None):
        super().__init__(child)
        self.training = training
        if len(training) != len(child):
            raise DataError(
                f"the training view has {len(training)} items, the dataset {len(child)}; both must have the same "
                "samples in the same order (more of them go to extra_train_data)"
            )
        if ids is None and hasattr(child, "sample_ids"):
            ids = own_ids(child)
        self._ids = [] if ids is None else list(ids)
        self._all_ids = frozenset(self._ids)

    def item(self, index: int, is_train: bool) -> PredictionItem:
        index = range(len(self))[index]
        if not is_train:
            return read_item(self.child, index, False)
        item = read_item(self.training, index, True)
        if self._ids:
            found, own = str(getattr(item, "id", None)), self._ids[index]
            if found in self._all_ids and found not in (own, own.rpartition("#")[0]):
                raise DataError(
                    f"item {index} of the training view is sample {found!r}, that of the dataset {own!r}; both must "
                    "have the same samples in the same order, or training sees samples kept for validation"
                )
        return item


def like(item: PredictionItem, x: Any, y: Any, name: Any = None) -> Any:
    """An item with other arrays that knows what the first one knows of itself (id, its dataset)."""
    changed: Any = PredictionItem(item.id if name is None else name, x, y)
    changed.__dict__ = {**item.__dict__, **changed.__dict__}
    return changed


def is_map(target: Any) -> bool:
    """Whether a target is laid over the image as masks are, by rows and columns; labels and numbers are not.

    Of several targets (a list) any.
    """
    if isinstance(target, list | tuple):
        return any(np.ndim(part) > 1 for part in target if not isinstance(part, list | tuple))
    return np.ndim(target) > 1


def is_value(target: Any) -> bool:
    """Whether a target is a single value: a class, a number, or whether there is an object."""
    return target is not None and not isinstance(target, list | tuple) and np.ndim(target) == 0


def in_maps(target: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    """A target with ``change`` done to its masks; labels and numbers, which tell of all pixels, stay as they are."""
    if isinstance(target, list | tuple):
        parts = [in_maps(part, change) for part in target]
        return tuple(parts) if isinstance(target, tuple) else parts
    return change(target) if is_map(target) else target
