"""Base of the datasets of images that have labels instead of masks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from musket.core.errors import DataError
from musket.core.types import PredictionItem
from musket.data.columns import Column, NumberColumn, split_scores
from musket.data.dataset import FileDataSet
from musket.data.images import read_image
from musket.data.names import Names


class LabelledImages(FileDataSet):
    """Images and the columns of their labels. Targets, positivity and ids are told without reading an image.

    Attributes:
        ids: name of every image, as its rows of a submission call it.
        columns: what ``y`` is made of; its vectors come one behind the other.
        classes: names of the classes.
        imColumn: column of the image names in tables written by :meth:`encode`.
        imagePath: the folders.
        absent: columns that nothing is known about; what is said of them, and their classes, stands for nothing.
    """

    classes: list[Any]
    absent: Collection[str] = ()

    def __init__(
        self,
        ids: Iterable[str],
        folders: Sequence[str],
        places: Sequence[tuple[int, str]],
        columns: Sequence[Column],
        image_column: str,
    ):
        self.ids = Names(ids)
        self.imagePath = list(folders)
        self._folder = np.array([number for number, _ in places], dtype=np.int16)
        self._files = Names(name for _, name in places)
        self.columns = tuple(columns)
        self.classes = [name for column in self.columns for name in column.classes]
        self.imColumn = image_column

    def __len__(self) -> int:
        return len(self.ids)

    def get_id(self, index: int) -> str:
        return self.ids[index]

    def source_files(self) -> list[str]:
        """The images; of the labels, what was read counts."""
        return [self._path(index) for index in range(len(self))]

    @property
    def number_scales(self) -> dict[str, list[float]]:
        """Column of numbers -> ``[least, span]``: the table's number is least + target * span."""
        return scales_of(self.columns)

    def isPositive(self, index: int) -> bool:
        """Whether a sample has any class; with one column of two values, the second one."""
        index = range(len(self))[index]
        return any(column.is_positive(index) for column in self.columns)

    def get_target(self, index: int) -> Any:
        """``y`` of an item; no image is read."""
        index = range(len(self))[index]
        return np.concatenate([column.vector(index) for column in self.columns])

    def writes_for(self, other: LabelledImages) -> bool:
        """Whether this dataset knows how to write the rows of another one: it has the columns and classes of it."""
        same = self.imColumn == other.imColumn and len(self.columns) == len(other.columns)
        return same and all(
            own.name == theirs.name and (theirs.name in other.absent or set(theirs.classes) <= set(own.classes))
            for own, theirs in zip(self.columns, other.columns, strict=True)
        )

    def _path(self, index: int) -> str:
        return f"{self.imagePath[self._folder[index]]}/{self._files[index]}"

    def _read(self, index: int) -> PredictionItem:
        return PredictionItem(self.ids[index], self.decode(read_image, self._path(index)), self.get_target(index))

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> Any:
        """One row: the image and a cell per column. Scores above ``treshold`` count where classes do not compete."""
        scores = item.y if encode_y else item.prediction
        if scores is None:
            raise DataError(f"there is no {'truth' if encode_y else 'prediction'} to encode", sample=str(item.id))
        vectors = split_scores(scores, self.columns, str(item.id))
        cells = {
            column.name: column.cell(vector, treshold) for column, vector in zip(self.columns, vectors, strict=True)
        }
        return {self.imColumn: item.id, **cells}


def scales_of(columns: Iterable[Column]) -> dict[str, list[float]]:
    """Column of numbers -> ``[least, span]``, see :class:`musket.data.columns.NumberColumn`."""
    return {each.name: [float(each.least), float(each.span)] for each in columns if isinstance(each, NumberColumn)}
