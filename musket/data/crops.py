"""Images cut into cells, each a sample of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from musket.core.cells import Window, spans
from musket.core.errors import DataError
from musket.core.types import PredictionItem
from musket.data.dataset import is_positive, read_item, target_of, teller
from musket.data.derived import DerivedDataSet, in_maps, is_map, is_value, like
from musket.data.draws import current_reading
from musket.data.identity import own_ids


class CropAndSplit(DerivedDataSet):
    """Every image cut into n x n cells of floor(H / n) x floor(W / n) pixels, row by row; remainders are dropped.

    The cell of image i in row r and column c is item ``i * n * n + r * n + c``; its id is ``ID#rRcC``. Items have the
    attributes ``imageId``, ``row`` and ``col``. All cells of an image belong to one group, so they are never parted
    between folds. A mask is cut like its image; labels and numbers are those of the whole image, in every cell. The
    last image read is kept, so that its cells decode it once.

    Args:
        orig: dataset of images with masks or labels (or without).
        n: cells along each side.
        overlap: share of a cell's side that neighbours share, 0 to 0.9; it adds cells (see :mod:`musket.core.cells`),
            and n becomes :attr:`side` in the formula above.
        labels: targets are labels or numbers and no masks, so that a single value a dataset tells is the target; else
            it may be whether there is an object, and the item is read to find out.

    Attributes:
        side: cells along each side; n without overlap.
    """

    training_differs = False

    def __init__(self, orig: Any, n: int, overlap: float = 0.0, labels: bool = False):
        super().__init__(orig)
        self.n, self.overlap, self.labels = n, overlap, labels
        self.side = len(spans(n, n, overlap))
        if hasattr(orig, "folds"):
            self.folds = [tuple(self.cells_of(part) for part in fold) for fold in orig.folds]
        if hasattr(orig, "holdoutArr"):
            self.holdoutArr = self.cells_of(orig.holdoutArr)
        self._last = _Last()

    def cells_of(self, images: Iterable[int]) -> list[int]:
        """Positions of all cells of some images, image by image."""
        count = self.side**2
        return [int(image) * count + cell for image in images for cell in range(count)]

    def place(self, index: int) -> tuple[int, int, int]:
        """Position of the image, row and column of a cell."""
        image, cell = divmod(range(len(self))[index], self.side**2)
        return image, *divmod(cell, self.side)

    def child_index(self, index: int) -> int:
        return self.place(index)[0]

    def __len__(self) -> int:
        return len(self.child) * self.side**2

    def item(self, index: int, is_train: bool) -> PredictionItem:
        image, row, column = self.place(index)
        reading = current_reading() if is_train else None  # train items may be drawn anew every epoch
        whole = self._last.get((image, is_train, reading), lambda: read_item(self.child, image, is_train))
        window = self._window(whole.x, row, column, str(whole.id))
        target = in_maps(whole.y, lambda mask: mask[window.slices])
        cell = like(whole, whole.x[window.slices], target, f"{whole.id}#r{row}c{column}")
        cell.imageId, cell.row, cell.col = whole.id, row, column
        return cell

    def sample_ids(self) -> list[str]:
        places = [f"#r{row}c{column}" for row in range(self.side) for column in range(self.side)]
        return [name + place for name in own_ids(self.child) for place in places]

    def isPositive(self, index: int) -> bool:
        """Whether the cell shows an object; of images without masks whether they are positive themselves."""
        target = self.get_target(index)
        if target is not None and not is_map(target):
            return is_positive(self.child, self.child_index(index))
        return any(np.any(part) for part in (target if isinstance(target, list | tuple) else [target]))

    def get_target(self, index: int) -> Any:
        image, row, column = self.place(index)
        target = self._last.get((image, "target"), lambda: self._whole_target(image))
        return in_maps(target, lambda mask: mask[self._window(mask, row, column, f"item {image}").slices])

    def _whole_target(self, image: int) -> Any:
        """Target of an image; where a dataset of masks tells one value, whether there is an object, it is read."""
        target = target_of(self.child, image)
        return read_item(self.child, image, False).y if is_value(target) and not self.labels else target

    def get_group(self, index: int) -> Any:
        """Group of the image where the dataset has groups, else the image itself."""
        tell = teller(self.child, "get_group")
        image = self.child_index(index)
        return image if tell is None else tell(image)

    def _window(self, array: np.ndarray, row: int, column: int, name: str) -> Window:
        height, width = (side - side % self.n for side in array.shape[:2])
        if not height or not width:
            raise DataError(
                f"{array.shape[1]} x {array.shape[0]} pixels cannot be cut into {self.n} x {self.n} cells; leave the "
                "image out, or lower the number",
                sample=name,
            )
        top, bottom = spans(height, self.n, self.overlap)[row]
        left, right = spans(width, self.n, self.overlap)[column]
        return Window(top, left, bottom - top, right - left)


class _Last:
    """The last value by key. Threads share it without waiting for each other: what two miss at once is made twice."""

    def __init__(self) -> None:
        self._held: tuple[Any, Any] = (None, None)

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        held, value = self._held
        if held != key:
            value = make()
            self._held = (key, value)
        return value

    def __getstate__(self) -> dict[str, Any]:
        """What is held stays behind when a worker process gets a copy."""
        return {"_held": (None, None)}


def cells_of(dataset: Any, positions: Iterable[int], n: int, overlap: float = 0.0) -> tuple[CropAndSplit, list[int]]:
    """A dataset of cells, and the positions in it of all cells of some images.

    Splitting images first and asking for the cells of a part keeps the cells of an image together.

    Args:
        dataset: of whole images.
        positions: images of a part, in order.
        n: cells along each side.
        overlap: see :class:`CropAndSplit`.
    """
    split = CropAndSplit(dataset, n, overlap)
    return split, split.cells_of(positions)
