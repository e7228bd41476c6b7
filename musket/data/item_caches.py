"""Preprocessors that keep what those before them made: in memory, or on disk for every run to come."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import json
import os
import re
import shutil
import threading
import warnings
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from musket.artifacts.files import write_atomic
from musket.core.errors import DataError, MusketError
from musket.core.identity import fingerprint
from musket.core.types import PredictionItem
from musket.data.dataset import CompositeDataSet, DataSet, SubDataSet, read_item
from musket.data.derived import DerivedDataSet
from musket.data.identity import sample_ids
from musket.data.preprocessing import PreprocessedItem, each_component, name_of, recipes
from musket.data.sources import Source, chain, source_of

_FORMAT = 2
_MANIFEST = "manifest.json"
_LONGEST_NAME = 100


class CachingDataSet(DerivedDataSet, ABC):
    """A dataset whose items are made once. Subclasses say where they are kept.

    Items for training come from the cache too, unless the dataset below makes those differently, by augmentation for
    one: they would be the same in every epoch.
    """

    training_differs = False

    def __init__(self, child: Any):
        super().__init__(child)
        self.name = name_of(child)
        self._apart = trains_differently(child)

    def item(self, index: int, is_train: bool) -> PredictionItem:
        index = range(len(self))[index]
        if is_train and self._apart:
            return read_item(self.child, index, True)
        kept = self.kept(index)
        if kept is not None:
            return kept
        item = read_item(self.child, index, False)
        self.keep(index, item)
        return item

    @abstractmethod
    def kept(self, index: int) -> PredictionItem | None:
        """The item from the cache, None when it is not there."""

    @abstractmethod
    def keep(self, index: int, item: PredictionItem) -> None:
        """Put an item into the cache."""


def trains_differently(dataset: Any) -> bool:
    """Whether a dataset makes items for training otherwise than for everything else, as far as can be told."""
    if isinstance(dataset, SubDataSet):
        return trains_differently(dataset.ds)
    if isinstance(dataset, CompositeDataSet):
        return any(map(trains_differently, dataset.components))
    if isinstance(dataset, DerivedDataSet):
        return dataset.training_differs or trains_differently(dataset.child)
    if isinstance(dataset, DataSet):
        own = type(dataset)
        return own.item is not DataSet.item or own.get_train_item is not DataSet.get_train_item
    return hasattr(dataset, "item") or hasattr(dataset, "get_train_item")


class Room:
    """Memory that the caches of one step share.

    Args:
        limit_bytes: how much there is.
        items: how many items there are in all.

    A copy in a worker process begins empty.
    """

    def __init__(self, limit_bytes: int, items: int):
        self.limit_bytes, self.items = limit_bytes, items
        self._empty()

    def _empty(self) -> None:
        self.bytes = self.kept = 0
        self._full = False
        self.lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"limit_bytes": self.limit_bytes, "items": self.items}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._empty()

    def take(self, size: int) -> bool:
        """Whether there is room for so many bytes; if so it is taken. The caller holds the lock.

        The first time there is none a warning says so.
        """
        if self.bytes + size <= self.limit_bytes:
            self.bytes += size
            self.kept += 1
            return True
        if not self._full:
            self._full = True
            warnings.warn(
                f"cache: {self.limit_bytes / 2**20:.0f} MB are full with {self.kept} of {self.items} items; "
                "the others are made anew every time. Raise limit_mb, or use disk-cache",
                stacklevel=3,
            )
        return False


class MemoryCache(CachingDataSet):
    """Items kept in memory as long as there is room; further ones are made anew every time.

    Worker processes begin with an empty cache each.
    """

    def __init__(self, child: Any, room: Room):
        super().__init__(child)
        self.room = room
        self._items: dict[int, PredictionItem] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_items": {}}

    def kept(self, index: int) -> PredictionItem | None:
        item = self._items.get(index)
        return None if item is None else _own_copy(item)

    def keep(self, index: int, item: PredictionItem) -> None:
        own = _own_copy(item)
        with self.room.lock:
            if index not in self._items and self.room.take(_size(item.x) + _size(item.y)):
                self._items[index] = own


def _own_copy(item: PredictionItem) -> PredictionItem:
    """An item whose arrays nobody else can change."""
    own = copy.copy(item)
    own.x, own.y = copy.deepcopy(item.x), copy.deepcopy(item.y)
    return own


def _size(arrays: Any) -> int:
    if isinstance(arrays, list | tuple):
        return sum(map(_size, arrays))
    return np.asarray(arrays).nbytes if arrays is not None else 0


def memory_cache(dataset: Any, limit_mb: float = 4096) -> Any:
    """Keep items in memory once they were made: at most ``limit_mb`` megabytes (2**20 bytes) of them in all."""
    if limit_mb <= 0:
        raise MusketError(f"cache: limit_mb must be above 0; found {limit_mb}")
    room = Room(int(limit_mb * 2**20), len(dataset))
    return each_component(dataset, lambda part: MemoryCache(part, room))


class DiskCache(CachingDataSet):
    """Items kept as files of a folder, one each, named by their ids; filled as they are read, and by any process.

    Args:
        child: the dataset. Its ids, files, and name, arguments and code of its preprocessors, must be those the folder
            was filled with; otherwise the folder is emptied before the first item is kept, with one warning.
        folder: of all datasets; this one gets a folder in it named by the dataset, its source and the arguments of its
            steps.
        source: what the items are made of; see :func:`musket.data.sources.source_of`.

    Attributes:
        writes: whether items are kept; False leaves the disk as it is. See :func:`store_items`.

    Raises:
        DataError: the folder cannot be used.
    """

    def __init__(self, child: Any, folder: Path, source: Source):
        super().__init__(child)
        self._ids = sample_ids(child)
        steps = recipes(child)
        arguments = [step.rpartition(" ")[0] for step in steps]
        own = hashlib.blake2b("\0".join((source.place, *arguments)).encode("utf-8", "surrogatepass"), digest_size=8)
        self.folder = folder / f"{folder_name(self.name)}-{own.hexdigest()}"
        self.writes = True
        self._told = False
        self._manifest: dict[str, Any] = {
            "format": _FORMAT,
            "samples": len(self),
            "ids": fingerprint(self._ids),
            "steps": steps,
            "files": source.content,
        }
        self._forget()
        for each in (folder, self.folder):
            if each.exists() and not each.is_dir():
                raise DataError("disk-cache cannot use this folder: it is a file", path=each)

    def _forget(self) -> None:
        self._fits: bool | None = None
        self._opening = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_opening"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _is_ours(self) -> bool:
        """Whether the folder holds items of this very dataset; made so where it may be written."""
        with self._opening:
            if self._fits is None or (not self._fits and self.writes):
                self._fits = self._opened()
            return self._fits

    def _opened(self) -> bool:
        path = self.folder / _MANIFEST
        stored: Any = None
        with contextlib.suppress(OSError, ValueError):
            stored = json.loads(path.read_text("utf-8"))
        if stored == self._manifest:
            return True
        if not self.writes:
            return False
        try:
            if path.exists():
                known = stored if isinstance(stored, Mapping) else {}
                changed = [key for key, value in self._manifest.items() if known.get(key) != value]
                warnings.warn(
                    f"disk-cache: {self.folder} was filled with other {' and '.join(changed)}; it is filled anew",
                    stacklevel=5,
                )
                shutil.rmtree(self.folder)
            write_atomic(path, json.dumps(self._manifest, indent=1))
        except OSError as error:
            raise DataError(
                f"disk-cache cannot use this folder: {error.strerror or error}", path=self.folder
            ) from error
        return True

    def sample_ids(self) -> list[str]:
        return list(self._ids)

    def _path(self, index: int) -> Path:
        return (
            self.folder
            / f"{hashlib.blake2b(self._ids[index].encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}.npz"
        )

    def kept(self, index: int) -> PredictionItem | None:
        if not self._is_ours():
            return None
        try:
            with open(self._path(index), "rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # not there, or cut short by a kill: it is made anew
        x, y = _unpacked(arrays, "x"), _unpacked(arrays, "y")
        return PreprocessedItem(self._ids[index], x, y, lambda: read_item(self.child, index, False))

    def keep(self, index: int, item: PredictionItem) -> None:
        if not self.writes:
            return
        arrays = _packed("x", item.x) | _packed("y", item.y)
        for name, array in arrays.items():
            if array.dtype.hasobject:
                raise DataError(f"disk-cache keeps arrays of numbers; {name} holds objects", sample=str(item.id))
        path = self._path(index)
        beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            with open(beside, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            os.replace(beside, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            if not self._told:
                self._told = True
                warnings.warn(
                    f"disk-cache: {path} cannot be written ({error.strerror or error}); what is not kept is made anew "
                    "every time",
                    stacklevel=2,
                )


def _packed(name: str, arrays: Any) -> dict[str, np.ndarray]:
    """Arrays by the names they are stored under: ``x``, or ``x.0``, ``x.1`` ... for several; none for None."""
    if arrays is None:
        return {}
    if isinstance(arrays, list | tuple):
        return {f"{name}.{number}": np.asarray(array) for number, array in enumerate(arrays)}
    return {name: np.asarray(arrays)}


def _unpacked(stored: Mapping[str, np.ndarray], name: str) -> Any:
    if name in stored:
        return stored[name]
    several = [stored[f"{name}.{number}"] for number in range(len(stored)) if f"{name}.{number}" in stored]
    return several or None


def folder_name(name: str) -> str:
    """A dataset's name as that of a folder: brackets, slashes, quotes, colons, commas and blanks become ``_``."""
    plain = re.sub(r"""[{\[/\\\]}, ':"<>|?*]""", "_", name).strip(".") or "dataset"
    if len(plain.encode()) <= _LONGEST_NAME:
        return plain
    return f"{plain[: _LONGEST_NAME // 4]}-{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"


def disk_cache(dataset: Any, cache_folder: Path | None = None, made_by: str = "", split: bool = False) -> Any:
    """Keep items on disk once they were made, for this run and all others.

    Args:
        dataset: any dataset.
        cache_folder: given by the program.
        made_by: the same: what made the dataset, and where.
        split: of former configs; items are files of their own in any case, so that they may differ in size.

    Raises:
        DataError: there is no folder to use, or it cannot be written.
    """
    if cache_folder is None:
        raise DataError("disk-cache needs a folder; give cache_folder")
    numbers = itertools.count()

    def kept(part: Any) -> DiskCache:
        return DiskCache(part, cache_folder, source_of(part, f"{made_by} {next(numbers)}" if made_by else ""))

    return each_component(dataset, kept)


def store_items(dataset: Any, store: bool) -> None:
    """Let the disk caches a dataset reads from keep items, or only use what they have."""
    for each in chain(dataset):
        if isinstance(each, DiskCache):
            each.writes = store
