"""Datasets over folders of images."""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from musket.core.errors import DataError
from musket.core.geometry import with_channels
from musket.core.identity import examples
from musket.core.rle import rle_encode
from musket.core.types import PredictionItem
from musket.data.dataset import FileDataSet
from musket.data.images import IMAGE_EXTENSIONS, read_image, read_mask
from musket.data.names import Names

FilePath = str | Path

_LITTER = frozenset({"thumbs.db", "desktop.ini"})


def list_files(folder: FilePath) -> list[str]:
    """File names of a folder, sorted; hidden files, sub-folders and the litter of file managers left out.

    Raises:
        DataError: there is no such folder, it cannot be read, or it holds no file.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file()]
    except FileNotFoundError:
        raise DataError("no such folder; correct the path in the dataset", path=Path(folder).absolute()) from None
    except NotADirectoryError:
        raise DataError("this is a file; give the folder it lies in", path=folder) from None
    except OSError as error:
        raise DataError(f"the folder cannot be listed: {error.strerror or error}", path=folder) from error
    names = sorted(name for name in names if not name.startswith(".") and name.lower() not in _LITTER)
    if not names:
        raise DataError("the folder holds no files; correct the path in the dataset", path=Path(folder).absolute())
    return names


@dataclass(frozen=True)
class ConstrainedDirectory:
    """A folder limited to the file names in ``filters``. Stands wherever a folder of images is asked for."""

    path: FilePath
    filters: Sequence[str]

    def files(self) -> list[str]:
        """The names, sorted.

        Raises:
            DataError: a name is not in the folder.
        """
        missing = sorted(set(self.filters) - set(list_files(self.path)))
        if missing:
            raise DataError(f"{len(missing)} of the listed files are not here ({examples(missing)})", path=self.path)
        return sorted(set(self.filters))


class DirectoryDataSet(FileDataSet):
    """Every file of a folder as an unlabelled image; ids are file names.

    Args:
        path: folder, or :class:`ConstrainedDirectory`.

    Raises:
        DataError: the folder cannot be listed or is empty.
    """

    def __init__(self, path: FilePath | ConstrainedDirectory):
        limited = isinstance(path, ConstrainedDirectory)
        self.path = str(Path(path.path if limited else path).absolute())
        self.ids = Names(path.files() if limited else list_files(path))

    def __len__(self) -> int:
        return len(self.ids)

    def get_id(self, index: int) -> str:
        return self.ids[index]

    def get_target(self, index: int) -> None:
        return None

    def source_files(self) -> list[str]:
        return [f"{self.path}/{name}" for name in self.ids]

    def _read(self, index: int) -> PredictionItem:
        return PredictionItem(self.ids[index], self.decode(read_image, f"{self.path}/{self.ids[index]}"), None)


class SimplePNGMaskDataSet(FileDataSet):
    """Images in one folder, masks of the same name in another; all items count as positive.

    An id is the file name up to its first dot (up to the last one where the first would give two files one id). Letter
    case of extensions does not matter. Pairs are matched by name when the dataset is made, without opening a file.

    Args:
        path: folder of images.
        mask: folder of masks; may be the same one. Grey or colour: above half of a mask's maximum is object.
        detect_exts: take images of every kind, not only ``in_ext``.
        in_ext: extension of images.
        out_ext: extension of masks.
        generate: unlabelled data; all masks are empty, ``mask`` is not read.
        list: ids or file names to take, in this order, instead of all of them sorted.

    Raises:
        DataError: a folder cannot be listed, no image fits, images lack a mask, an entry of ``list`` has no image.
    """

    def __init__(
        self,
        path: FilePath,
        mask: FilePath | None = None,
        detect_exts: bool = False,
        in_ext: str = "jpg",
        out_ext: str = "png",
        generate: bool = False,
        list: Iterable[str] | None = None,  # noqa: A002 - the documented name
    ):
        if mask is None and not generate:
            raise DataError("give the folder of masks as second argument, or generate=True for empty masks", path=path)
        self.path = str(Path(path).absolute())
        self.mask = None if generate or mask is None else str(Path(mask).absolute())
        files = list_files(path)
        if detect_exts:
            files = pictures(files, path, besides=out_ext if self.path == self.mask else None)
        else:
            files = _of_type(files, in_ext, path, "in_ext", warn=self.path != self.mask)
        ids = ids_of_files(files, self.path)
        if list is not None:
            files, ids = _chosen(files, ids, list, self.path)
        self.ids = Names(ids)
        self._images = Names(files)
        self._masks = Names([] if self.mask is None else _partners(files, ids, self.mask, out_ext))

    def __len__(self) -> int:
        return len(self.ids)

    def get_id(self, index: int) -> str:
        return self.ids[index]

    def source_files(self) -> list[str]:
        masks = [f"{self.mask}/{name}" for name in self._masks]
        return [f"{self.path}/{name}" for name in self._images] + masks

    def isPositive(self, index: int) -> bool:
        return True

    def get_target(self, index: int) -> np.ndarray:
        """Mask H x W x 1, bool; the image is not read unless masks are generated."""
        return self[index].y if self.mask is None else self.decode(read_mask, f"{self.mask}/{self._masks[index]}")

    def _read(self, index: int) -> PredictionItem:
        image = self.decode(read_image, f"{self.path}/{self._images[index]}")
        if self.mask is None:
            return PredictionItem(self.ids[index], image, np.zeros((*image.shape[:2], 1), dtype=bool))
        mask = self.get_target(index)
        if mask.shape[:2] != image.shape[:2]:
            raise DataError(
                f"the mask {self._masks[index]} is {_size(mask)}, the image {self._images[index]} {_size(image)} "
                f"(width x height){_TURNED if mask.shape[1::-1] == image.shape[:2] else ''}; "
                "make a mask of the image's size, or leave the sample out",
                sample=self.ids[index],
                path=self.mask,
            )
        return PredictionItem(self.ids[index], image, mask)

    def _encode_item(self, item: PredictionItem, encode_y: bool = False, treshold: float = 0.5) -> dict[str, str]:
        """Row of a submission: ``image``, ``rle_mask``."""
        return mask_rows(item, encode_y, treshold)[0]


def mask_rows(item: PredictionItem, encode_y: bool, treshold: float) -> list[dict[str, Any]]:
    """Rows of a submission: ``image``, ``rle_mask``; with several classes one row for each, told by ``class``.

    Raises:
        DataError: the item has no truth, or no prediction.
    """
    mask = item.y if encode_y else item.prediction
    if mask is None:
        raise DataError(f"there is no {'truth' if encode_y else 'prediction'} to encode", sample=str(item.id))
    found = with_channels(np.asarray(mask)) > treshold
    if found.shape[2] == 1:
        return [{"image": item.id, "rle_mask": rle_encode(found)}]
    return [{"image": item.id, "class": i, "rle_mask": rle_encode(found[..., i])} for i in range(found.shape[2])]


class NotzeroSimplePNGMaskDataSet(SimplePNGMaskDataSet):
    """Like :class:`SimplePNGMaskDataSet`, limited to items whose mask is not empty. Reads every mask once.

    Raises:
        DataError: as there; and all masks are empty.
    """

    def __init__(
        self,
        path: FilePath,
        mask: FilePath,
        detect_exts: bool = False,
        in_ext: str = "jpg",
        out_ext: str = "png",
        list: Iterable[str] | None = None,  # noqa: A002 - the documented name
    ):
        super().__init__(path, mask, detect_exts, in_ext, out_ext, list=list)
        kept = [index for index in range(len(self)) if self.get_target(index).any()]
        if not kept:
            raise DataError(f"all {len(self)} masks are empty; there is nothing to train on", path=self.mask)
        self.ids, self._images, self._masks = (names.take(kept) for names in (self.ids, self._images, self._masks))


class NegativeDataSet(SimplePNGMaskDataSet):
    """Images of any kind that show no object: masks are empty, no item counts as positive.

    Raises:
        DataError: the folder cannot be listed, or holds no image.
    """

    def __init__(self, path: FilePath):
        super().__init__(path, detect_exts=True, generate=True)

    def isPositive(self, index: int) -> bool:
        return False


_TURNED = ": they would match if one were turned, so the image may carry a camera orientation (EXIF) its mask ignores"


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"


def _has_type(name: str, extension: str) -> bool:
    return name.lower().endswith("." + extension.lower().lstrip("."))


def is_picture(name: str) -> bool:
    """Whether a file has the extension of an image."""
    return Path(name).suffix.lower() in IMAGE_EXTENSIONS


def pictures(files: list[str], folder: FilePath, *, besides: str | None = None) -> list[str]:
    """Files with the extension of an image format, those of the type ``besides`` left out.

    Raises:
        DataError: there is none.
    """
    fitting = [name for name in files if is_picture(name) and not (besides and _has_type(name, besides))]
    if not fitting:
        raise DataError(f"none of the {len(files)} files here is an image ({examples(files)})", path=folder)
    return fitting


def _of_type(files: list[str], extension: str, folder: FilePath, argument: str, *, warn: bool = False) -> list[str]:
    """Files of one extension; an error when there are none, which names those there are."""
    fitting = [name for name in files if _has_type(name, extension)]
    others = [name for name in files if not _has_type(name, extension) and is_picture(name)]
    if not fitting:
        found = Counter(Path(name).suffix.lower().lstrip(".") or "no extension" for name in others or files)
        there = ", ".join(f"{count} {kind}" for kind, count in found.most_common(3))
        raise DataError(f"no .{extension.lstrip('.')} files here, but {there}; set {argument}", path=folder)
    if others and warn:
        warnings.warn(
            f"{folder}: {len(others)} images are left out because they are not .{extension.lstrip('.')} "
            f"({examples(others)}); detect_exts=True takes every extension",
            stacklevel=4,
        )
    return fitting


def _stem(name: str) -> str:
    """Name up to the last dot, in composed Unicode: archives made on a Mac spell accented letters apart."""
    return unicodedata.normalize("NFC", name.rpartition(".")[0] or name)


def ids_of_files(files: list[str], folder: str) -> list[str]:
    """Names up to the first dot, or up to the last one where that would give two files one id.

    Raises:
        DataError: two files have one name up to the last dot.
    """
    ids = [unicodedata.normalize("NFC", name.partition(".")[0]) for name in files]
    if len(set(ids)) < len(ids):
        ids = [_stem(name) for name in files]
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        pair = [name for name, own in zip(files, ids, strict=True) if own == twice[0]]
        raise DataError(
            f"two images have one name: {examples(pair)}; rename or remove one", sample=twice[0], path=folder
        )
    return ids


def _chosen(files: list[str], ids: list[str], wanted: Iterable[str], folder: str) -> tuple[list[str], list[str]]:
    """The listed ids or file names, in the order of the list."""
    places = {name: index for index, name in enumerate(ids)} | {name: index for index, name in enumerate(files)}
    names = [str(name) for name in wanted]
    missing = [name for name in names if name not in places]
    if missing or not names:
        what = (
            f"{len(missing)} of {len(names)} entries have no image here ({examples(missing)})"
            if names
            else "it is empty"
        )
        raise DataError(f"list: {what}; correct the list or the folder", path=folder)
    return [files[places[name]] for name in names], [ids[places[name]] for name in names]


def _partners(files: list[str], ids: list[str], folder: str, extension: str) -> list[str]:
    """Mask file of every image, by id or by the whole name."""
    masks = {_stem(name): name for name in reversed(_of_type(list_files(folder), extension, folder, "out_ext"))}
    partners = [masks.get(own) or masks.get(_stem(name)) for own, name in zip(ids, files, strict=True)]
    lonely = [index for index, partner in enumerate(partners) if partner is None]
    if lonely:
        wanted = [f"{ids[index]}.{extension.lstrip('.')} for {files[index]}" for index in lonely]
        found = f"; the folder holds {examples(sorted(masks.values()))}" if len(lonely) == len(files) else ""
        raise DataError(
            f"{len(lonely)} of {len(files)} images have no mask here, missing: {examples(wanted)}{found}. "
            "Add the masks, correct the folder, or name the images to take (list=)",
            sample=ids[lonely[0]],
            path=folder,
        )
    return [partner for partner in partners if partner is not None]
