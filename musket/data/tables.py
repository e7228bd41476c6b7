"""Datasets over a table: a CSV file or a DataFrame names images and holds their masks as run-length text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from musket.core.errors import DataError
from musket.core.geometry import resize_mask
from musket.core.rle import Order, is_run_text, rle_decode, rle_encode
from musket.core.types import PredictionItem
from musket.data.dataset import FileDataSet
from musket.data.images import read_image
from musket.data.names import Names
from musket.data.table_reading import (
    FilePath,
    ImageFolders,
    packed_row,
    path_of_table,
    read_table,
    sorted_names,
    unpack,
)


class _MaskTable(FileDataSet):
    """Images and the runs of their classes. Ids are the sorted different values of the image column."""

    def __init__(
        self,
        images: FilePath | Sequence[FilePath],
        table: FilePath | pd.DataFrame,
        image_column: str,
        run_column: str | None,
        class_column: str | None,
        mask_shape: Sequence[int] | None,
        order: Order,
        relative: bool,
        limit: int,
    ):
        self.source = path_of_table(table)
        self.imColumn, self.rleColumn, self.clazzColumn = image_column, run_column, class_column
        self.maskShape = None if mask_shape is None else (int(mask_shape[0]), int(mask_shape[1]))
        self._codec: dict[str, Any] = {"order": order, "relative": relative}
        frame = read_table(table)
        wanted = [name for name in (image_column, run_column, class_column) if name is not None]
        self._packed = unpack(frame, wanted, self.source)
        self._check_rows(frame)
        ids = sorted(set(frame[image_column]))
        self.ids = Names(ids if limit < 0 else ids[:limit])
        self.classes: list[str] = [] if class_column is None else sorted_names(set(frame[class_column]) - {""})
        self._hold_runs(frame)
        folders = ImageFolders(images)
        places = folders.find(self.ids)
        self.imagePath = folders.paths
        self._folder = np.array([number for number, _ in places], dtype=np.int16)
        self._files = Names(name for _, name in places)

    def _check_rows(self, frame: pd.DataFrame) -> None:
        if frame.empty:
            raise DataError("the table has a header and no rows", path=self.source)
        nameless = np.flatnonzero(frame[self.imColumn] == "")
        if len(nameless):
            raise DataError(f"row {nameless[0] + 2} has no image in column {self.imColumn!r}", path=self.source)
        if self.rleColumn is None or self.clazzColumn is None:
            return
        classless = np.flatnonzero((frame[self.clazzColumn] == "") & frame[self.rleColumn].map(is_run_text))
        if len(classless):
            raise DataError(
                f"row {classless[0] + 2} has a mask and no class in column {self.clazzColumn!r}",
                sample=frame[self.imColumn][classless[0]],
                path=self.source,
            )

    def _hold_runs(self, frame: pd.DataFrame) -> None:
        """Keep the run-length texts sorted by image; ``_texts[_bounds[i]:_bounds[i + 1]]`` are those of image i."""
        cells = [""] * len(frame) if self.rleColumn is None else frame[self.rleColumn].tolist()
        self._no_object = "-1" if "-1" in cells else ""
        image_of = {name: index for index, name in enumerate(self.ids)}
        class_of = {name: index for index, name in enumerate(self.classes)}
        owners = ["" for _ in cells] if self.clazzColumn is None else frame[self.clazzColumn].tolist()
        runs = sorted(
            (image_of[name], class_of.get(owner, 0), text)
            for name, owner, text in zip(frame[self.imColumn], owners, cells, strict=True)
            if name in image_of and is_run_text(text)
        )
        self._bounds = np.searchsorted([image for image, _, _ in runs], np.arange(len(self.ids) + 1))
        self._class = np.array([number for _, number, _ in runs], dtype=np.int32)
        self._texts = Names(text for _, _, text in runs)

    def __len__(self) -> int:
        return len(self.ids)

    def get_id(self, index: int) -> str:
        return self.ids[index]

    def source_files(self) -> list[str]:
        """The images; of the table, the runs that were read count."""
        return [f"{self.imagePath[folder]}/{name}" for folder, name in zip(self._folder, self._files, strict=True)]

    def isPositive(self, index: int) -> bool:
        """Whether the table has a run for this image."""
        index = range(len(self))[index]
        return bool(self._bounds[index] < self._bounds[index + 1])

    def get_target(self, index: int) -> bool:
        """Same as :meth:`isPositive`: the table alone answers."""
        return self.isPositive(index)

    def _read(self, index: int) -> PredictionItem:
        image = self.decode(read_image, f"{self.imagePath[self._folder[index]]}/{self._files[index]}")
        mask = None if self.rleColumn is None else self._mask(index, (image.shape[0], image.shape[1]))
        return PredictionItem(self.ids[index], image, mask)

    def _mask(self, index: int, image_shape: tuple[int, int]) -> np.ndarray:
        shape = self.maskShape or image_shape
        planes = np.zeros((max(1, len(self.classes)), *shape), dtype=np.uint8)
        for row in range(self._bounds[index], self._bounds[index + 1]):
            try:
                planes[self._class[row]] |= rle_decode(self._texts[row], shape, **self._codec)
            except DataError as error:
                raise DataError(
                    f"column {self.rleColumn!r}: {error}", sample=self.ids[index], path=self.source
                ) from error
        return resize_mask(np.moveaxis(planes, 0, 2), *image_shape).astype(bool)

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> Any:
        scores = item.y if encode_y else item.prediction
        if scores is None:
            raise DataError(f"there is no {'truth' if encode_y else 'prediction'} to encode", sample=str(item.id))
        scores = np.atleast_3d(np.asarray(scores))
        names = self.classes or [None]
        if scores.shape[2] != len(names):
            raise DataError(f"{scores.shape[2]} channels, but {len(names)} classes to encode", sample=str(item.id))
        mask = resize_mask(scores > treshold, *(self.maskShape or scores.shape[:2]))
        rows = []
        for number, name in enumerate(names):
            row = {self.imColumn: item.id}
            if self.clazzColumn is not None and name is not None:
                row[self.clazzColumn] = name
            row[self.rleColumn or "rle"] = rle_encode(mask[..., number], **self._codec) or self._no_object
            rows.append(packed_row(row, self._packed))
        return rows if self.clazzColumn is not None else rows[0]


class BinarySegmentationDataSet(_MaskTable):
    """One class; y is H x W x 1, bool. All rows of an image are joined.

    Args:
        imagePath: folder, or list of folders.
        csvPath: CSV file, or DataFrame.
        imColumn: column of image names, with or without extension.
        rleColumn: column of run-length texts; blank, NaN or ``-1`` = no object. None: unlabelled, y is None.
        maskShape: (H, W) the masks were encoded with, where it differs from the image; they are resized to the image.
        rMask: runs go down the columns (the usual form); False: along the rows.
        isRel: pairs ``gap length`` instead of ``start length``.
        len: most images to take, in order of their names; -1 = all.

    Raises:
        DataError: the table or a folder cannot be read, a column is missing, an image is not on disk.
    """

    def __init__(
        self,
        imagePath: FilePath | Sequence[FilePath],
        csvPath: FilePath | pd.DataFrame,
        imColumn: str,
        rleColumn: str | None = None,
        maskShape: Sequence[int] | None = None,
        rMask: bool = True,
        isRel: bool = False,
        len: int = -1,  # noqa: A002 - the documented name
    ):
        order: Order = "columns" if rMask else "rows"
        super().__init__(imagePath, csvPath, imColumn, rleColumn, None, maskShape, order, isRel, len)


class MultiClassSegmentationDataSet(_MaskTable):
    """One row per image and class; y is H x W x classes, bool. Rows of one image and class are joined.

    ``classes`` holds the class names, sorted (as numbers, if all are). A row without class and mask says that the image
    has no object.

    Args:
        imagePath: folder, or list of folders.
        csvPath: CSV file, or DataFrame.
        imColumn: column of image names, with or without extension.
        rleColumn: column of run-length texts; blank, NaN or ``-1`` = no object.
        clazzColumn: column of class names; ``Name:0`` = what stands before the first ``_`` in column ``Name``.
        maskShape: (H, W) the masks were encoded with, where it differs from the image; they are resized to the image.
        rMask: runs go down the columns (the usual form); False: along the rows.
        isRel: pairs ``gap length`` instead of ``start length``.
        len: most images to take, in order of their names; -1 = all.

    Raises:
        DataError: as for :class:`BinarySegmentationDataSet`; a row has a mask and no class; there is no class at all.
    """

    def __init__(
        self,
        imagePath: FilePath | Sequence[FilePath],
        csvPath: FilePath | pd.DataFrame,
        imColumn: str,
        rleColumn: str,
        clazzColumn: str,
        maskShape: Sequence[int] | None = None,
        rMask: bool = True,
        isRel: bool = False,
        len: int = -1,  # noqa: A002 - the documented name
    ):
        order: Order = "columns" if rMask else "rows"
        super().__init__(imagePath, csvPath, imColumn, rleColumn, clazzColumn, maskShape, order, isRel, len)
        if not self.classes:
            raise DataError(f"column {clazzColumn!r} names no class", path=self.source)
