"""Datasets that read the class of an image from the folder it lies in."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musket.core.errors import DataError
from musket.core.identity import examples
from musket.core.registry import nearest
from musket.data.columns import CategoryColumn
from musket.data.folders import list_files
from musket.data.images import IMAGE_EXTENSIONS
from musket.data.labelled import LabelledImages

FilePath = str | Path

_FORMER_KINDS = frozenset({".jpg", ".jpeg", ".png", ".gif"})


class ClassFolders(LabelledImages):
    """A folder per class: ``path/CLASS/*.jpg``. y is one-hot, bool[classes]; ids are ``CLASS/name.jpg``.

    Images of every kind are taken, in the order of classes and names. Hidden files and folders are left out silently;
    images beside the class folders, and files in them that are no images, with a warning.

    Args:
        path: folder of the class folders.
        classes: names of the class folders in order; default: all of them, sorted. A class named here may have no
            folder, or an empty one, so that test data have the classes of the training data.

    Raises:
        DataError: the folder cannot be listed, has no class folders, one of them holds no image, or is not in
            ``classes``.
    """

    def __init__(self, path: FilePath, classes: Sequence[str] | None = None):
        root = str(Path(path).absolute())
        found = _sub_folders(root)
        names = found if classes is None else [str(name) for name in classes]
        _check_folders(root, found, names)
        files = {name: _images(f"{root}/{name}", may_be_empty=classes is not None) for name in names if name in found}
        _warn_beside(root)
        places = [(0, f"{name}/{file}") for name in names for file in files.get(name, ())]
        if not places:
            raise DataError(f"none of the class folders {examples(names)} holds an image", path=root)
        owners = [number for number, name in enumerate(names) for _ in files.get(name, ())]
        column = CategoryColumn("class", names, np.array(owners, dtype=np.int32))
        super().__init__([file for _, file in places], [root], places, [column], "image")


class FolderClassificationDataSet(LabelledImages):
    """Sub-folders of a folder, each of which is a class; y is one-hot, bool[classes], classes sorted.

    Ids are file names; of those that several folders have, ``sub-folder/name``. Files jpg, jpeg, png and gif count.

    Args:
        imagePath: names of the sub-folders.
        folder: where they lie.
        imColumn: column of image names in submissions: ``ImageId``.
        clazzColumn: column of classes in submissions: ``Clazz``.

    Raises:
        DataError: a folder cannot be listed or holds no image; a column has another name.
    """

    def __init__(
        self, imagePath: Sequence[str], folder: FilePath, imColumn: str = "ImageId", clazzColumn: str = "Clazz"
    ):
        if (imColumn, clazzColumn) != ("ImageId", "Clazz"):
            raise DataError(
                f"columns of {type(self).__name__} are called 'ImageId' and 'Clazz'; found {imColumn!r} and "
                f"{clazzColumn!r}",
                path=folder,
            )
        root = str(Path(folder).absolute())
        paths = {Path(each).name: os.path.join(root, each) for each in imagePath}  # noqa: PTH118 - may be absolute
        if len(paths) < len(imagePath) or not paths:
            raise DataError(f"imagePath: give different sub-folders; found {list(imagePath)}", path=root)
        classes = sorted(paths)
        folders = [paths[name] for name in classes]
        places = [(number, file) for number, path in enumerate(folders) for file in _images(path, _FORMER_KINDS)]
        counts = Counter(file for _, file in places)
        ids = [file if counts[file] == 1 else f"{classes[number]}/{file}" for number, file in places]
        self.clazzColumn = clazzColumn
        column = CategoryColumn(clazzColumn, classes, np.array([number for number, _ in places], dtype=np.int32))
        super().__init__(ids, folders, places, [column], imColumn)


class FolderDataSet(FolderClassificationDataSet):
    """Images of one folder, which is their only class.

    Args:
        imagePath: name of the folder.
        folder: where it lies.
        imColumn: column of image names in submissions: ``ImageId``.
        clazzColumn: column of the class in submissions: ``Clazz``.

    Raises:
        DataError: as for :class:`FolderClassificationDataSet`.
    """

    def __init__(self, imagePath: str, folder: FilePath, imColumn: str = "ImageId", clazzColumn: str = "Clazz"):
        super().__init__([imagePath], folder, imColumn, clazzColumn)


def _sub_folders(root: str) -> list[str]:
    try:
        with os.scandir(root) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except FileNotFoundError:
        raise DataError("no such folder; correct the path in the dataset", path=Path(root).absolute()) from None
    except NotADirectoryError:
        raise DataError("this is a file; give the folder of the class folders", path=root) from None
    except OSError as error:
        raise DataError(f"the folder cannot be listed: {error.strerror or error}", path=root) from error
    if not names:
        raise DataError(
            "there are no folders here, one for each class; where a table says the classes, take "
            "CategoryClassificationDataSet",
            path=root,
        )
    return names


def _check_folders(root: str, found: Sequence[str], names: Sequence[str]) -> None:
    """The folders there are against those that are wanted."""
    if len(set(names)) < len(names):
        raise DataError(f"classes: a name occurs twice in {', '.join(names)}", path=root)
    more = [name for name in found if name not in names]
    if more:
        near = nearest(more[0], list(names), 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise DataError(
            f"folder {more[0]!r} is none of the {len(names)} classes{hint}; name it in classes, or move it away",
            path=root,
        )
    if len(names) == 1:
        raise DataError(
            f"there is one class folder only, {names[0]!r}, so nothing can be told apart; add the other classes"
            + _deeper(f"{root}/{names[0]}"),
            path=root,
        )


def _images(folder: str, kinds: frozenset[str] = IMAGE_EXTENSIONS, *, may_be_empty: bool = False) -> list[str]:
    """Image files of a class folder, sorted."""
    try:
        files = list_files(folder)
    except DataError:
        if not Path(folder).is_dir():
            raise
        files = []
    images = [name for name in files if Path(name).suffix.lower() in kinds]
    others = [name for name in files if Path(name).suffix.lower() not in kinds]
    if not images and not may_be_empty:
        there = f", but {len(others)} other files ({examples(others)})" if others else ""
        raise DataError(f"this class has no images{there}; fill the folder or remove it{_deeper(folder)}", path=folder)
    if others:
        warnings.warn(
            f"{folder}: {len(others)} file{'s are' if len(others) != 1 else ' is'} left out, not being of the kinds "
            f"{', '.join(sorted(kind.lstrip('.') for kind in kinds))} ({examples(others)})",
            stacklevel=4,
        )
    return images


def _deeper(folder: str) -> str:
    """A hint at folders below what was taken for a class."""
    inner = sorted(path.name for path in Path(folder).iterdir() if path.is_dir() and not path.name.startswith("."))
    return f". It has folders: {examples(inner)}; if those are the classes, give {folder}" if inner else ""


def _warn_beside(root: str) -> None:
    beside = sorted(path.name for path in Path(root).iterdir() if path.is_file() and not path.name.startswith("."))
    images = [name for name in beside if Path(name).suffix.lower() in IMAGE_EXTENSIONS]
    if images:
        count = len(images)
        warnings.warn(
            f"{root}: {count} image{'s lie' if count != 1 else ' lies'} beside the class folders, of no class, and "
            f"{'are' if count != 1 else 'is'} left out ({examples(images)})",
            stacklevel=4,
        )
