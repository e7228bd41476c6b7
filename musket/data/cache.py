"""Decode once: arrays read from files are kept on disk, for all folds, stages, workers and experiments.

An array is found by the absolute path, size and modification time of its file, the function that read it (one of the
user's also by what it was compiled to, though not by that of functions it calls), and the versions of the decoders. So
a file that was replaced is decoded anew; what stood there before is left where it is until :func:`clear`. A file that
changed without a change of size or time is not noticed.

Arrays are copied into memory of the caller and their checksums compared every time: 0.22 ms for 3 MB, of which a memory
map would save 0.1 (shrinking such an image by four takes 1.4). It would cost more than that: arrays that nobody may
write to, a process killed when somebody cuts a file short, resident memory that grows with the dataset.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL

from musket.core.errors import MusketError, SampleFailure
from musket.data.array_store import ArrayStore, is_storable, stored_bytes, stored_files
from musket.data.dataset import FileDataSet, read_item
from musket.data.identity import sample_ids
from musket.data.sources import chain, compiled_digest

FilePath = str | Path
Reader = Callable[[Any], np.ndarray]

LIMIT_BYTES = 20 * 10**9
"""What a cache may take when nothing is said: 5,000 images of 1024 x 1024 pixels with masks."""
KEEP_FREE = 0.1
"""Share of the disk that is left free."""

_FILL_CHUNK = 64
_READING = 1  # raise it when a change of musket.data.images changes the arrays that come out
_DECODERS = f"{_READING} {cv2.__version__} {PIL.__version__}"


class DecodeCache:
    """Arrays decoded from files, kept in a folder. Any number of caches, threads and processes may share the folder.

    It may be pickled and forked. When it cannot keep more (limit, full disk, no permission) one warning says so, what
    it has is still used, and the rest is decoded every time.

    Args:
        folder: where the files lie; made when the first array is kept.
        limit_bytes: most bytes the folder may hold, passed by one image per thread at most; None: no limit but
            ``keep_free``.
        keep_free: share of the disk, 0..1, below which nothing more is written.

    Raises:
        MusketError: an option is out of range.
    """

    def __init__(self, folder: FilePath, limit_bytes: int | None = LIMIT_BYTES, keep_free: float = KEEP_FREE):
        if limit_bytes is not None and limit_bytes < 0:
            raise MusketError(f"DecodeCache: limit_bytes is a number of bytes, or None; found {limit_bytes}")
        if not 0 <= keep_free <= 1:
            raise MusketError(f"DecodeCache: keep_free is a share of the disk from 0 to 1; found {keep_free}")
        self.folder = Path(folder).absolute()
        self.limit_bytes = limit_bytes
        self.keep_free = keep_free
        self.is_full = False
        self._token = secrets.token_hex(8)
        self._stores: dict[int, ArrayStore] = {}
        weakref.finalize(self, _remove_marker, self._marker(), os.getpid())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stores": {}}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    def read(self, read: Reader, path: FilePath) -> np.ndarray:
        """What ``read(path)`` gives, from the cache if it is there. The array is the caller's own.

        Args:
            read: function of a module, which gives the same array for the same file every time. Errors it raises pass.
            path: of the file.

        Raises:
            MusketError: ``read`` has no name that tells it from others (a lambda, a method, a function in a function).
        """
        reader = _name(read)
        before = _state(path)
        if before is None:
            return read(path)
        key = _key(reader, path, before)
        store = self._store()
        array = store.get(key)
        if array is None:
            array = read(path)
            if not self.is_full and is_storable(array) and _state(path) == before:
                self._keep(store, key, array)
        return array

    def _store(self) -> ArrayStore:
        """The store of this process: a fork inherits one whose lock may be held and whose file another one writes."""
        process = os.getpid()
        return self._stores.get(process) or self._stores.setdefault(process, ArrayStore(self.folder))

    def _keep(self, store: ArrayStore, key: bytes, array: np.ndarray) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            reason = self._no_room(array.nbytes)
            if reason is None:
                store.put(key, array)
        except OSError as error:
            reason = error.strerror or str(error)
        if reason is not None:
            self.is_full = True
            self._tell(reason)

    def _no_room(self, size: int) -> str | None:
        if self.limit_bytes is not None and stored_bytes(self.folder) + size > self.limit_bytes:
            return f"the limit of {self.limit_bytes / 1e9:.3g} GB is reached"
        disk = shutil.disk_usage(self.folder)
        if disk.free - size < self.keep_free * disk.total:
            return (
                f"{disk.free / 1e9:.3g} of {disk.total / 1e9:.3g} GB of the disk are free, {self.keep_free:.0%} stay so"
            )
        return None

    def _marker(self) -> Path:
        """The file that says to all processes of a run that the warning was given; it goes with this cache."""
        return Path(tempfile.gettempdir(), f"musket-told-{self._token}")

    def _tell(self, reason: str) -> None:
        """Warn once, whichever process of a run is the first to see it."""
        try:
            self._marker().touch(exist_ok=False)
        except FileExistsError:
            return
        except OSError:
            pass  # nowhere to note it: rather told twice
        warnings.warn(
            f"decoded images are not kept from here on: {reason}; the others are decoded every epoch, which is slower. "
            f"Clear the cache ({self.folder}), name a folder on another disk, or raise its limit",
            stacklevel=5,
        )


def _remove_marker(marker: Path, process: int) -> None:
    """In the process that made the cache: forked ones carry a copy of it."""
    if os.getpid() == process:
        with contextlib.suppress(OSError):
            marker.unlink(missing_ok=True)


def attach_cache(dataset: Any, cache: DecodeCache | None) -> int:
    """Give a cache to every built-in dataset that reads files: to the dataset and to those it is a view of.

    Datasets of the user's own are passed through by their attributes ``ds``, ``child``, ``parent`` and the list
    ``components``, and otherwise left alone.

    Args:
        cache: None takes the present one away.

    Returns:
        How many datasets got it.
    """
    readers = [each for each in chain(dataset) if isinstance(each, FileDataSet)]
    for reader in readers:
        reader.cache = cache
    return len(readers)


def fill(
    dataset: Any, on_progress: Callable[[int, int], None] | None = None, workers: int | None = None
) -> list[SampleFailure]:
    """Read every item once, so that the caches attached to the dataset hold it. Ends early when they are full.

    Args:
        on_progress: told how many items are done, and how many there are.
        workers: reader threads; default one per core, eight at most.

    Returns:
        The samples that cannot be read.
    """
    ids = sample_ids(dataset)
    caches = [each.cache for each in chain(dataset) if isinstance(each, FileDataSet) and each.cache is not None]
    failures = []
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1), thread_name_prefix="musket-fill") as pool:
        for start in range(0, len(ids), _FILL_CHUNK):
            if all(cache.is_full for cache in caches):
                break
            part = range(start, min(start + _FILL_CHUNK, len(ids)))
            for position, failure in zip(
                part, pool.map(lambda at: _read_once(dataset, at, ids[at]), part), strict=True
            ):
                if failure is not None:
                    failures.append(failure)
                if on_progress is not None:
                    on_progress(position + 1, len(ids))
    return failures


def _read_once(dataset: Any, position: int, sample_id: str) -> SampleFailure | None:
    try:
        read_item(dataset, position, is_train=False)
    except MusketError as error:
        return SampleFailure(sample_id, str(error), getattr(error, "path", None))
    except Exception as error:  # noqa: BLE001 - code of the user's own
        return SampleFailure(sample_id, f"{type(error).__name__}: {error}")
    return None


def default_cache_folder(project_root: FilePath | None) -> Path:
    """``.cache`` of a project; without one, ``musket`` in the user's cache folder. Nothing is created.

    That folder is ``XDG_CACHE_HOME`` or ``~/.cache``, ``~/Library/Caches`` on macOS, ``LOCALAPPDATA`` on Windows.
    """
    if project_root is not None:
        return Path(project_root, ".cache")
    if sys.platform == "win32":
        base, usual = os.environ.get("LOCALAPPDATA"), Path("AppData", "Local")
    elif sys.platform == "darwin":
        base, usual = None, Path("Library", "Caches")
    else:
        base, usual = os.environ.get("XDG_CACHE_HOME"), Path(".cache")
    return Path(base, "musket") if base and Path(base).is_absolute() else Path.home() / usual / "musket"


def cache_size(folder: FilePath) -> int:
    """Bytes the decoded arrays in a folder take; 0 where there is none.

    Raises:
        OSError: the folder cannot be listed.
    """
    return stored_bytes(Path(folder))


def clear(folder: FilePath) -> int:
    """Delete the decoded arrays in a folder, and nothing else; training that uses them goes on and decodes.

    Returns:
        Bytes freed.

    Raises:
        OSError: the folder cannot be listed, or a file cannot be deleted.
    """
    before = stored_bytes(Path(folder))
    for entry in list(stored_files(Path(folder))):
        Path(entry.path).unlink(missing_ok=True)
    return before


def _name(read: Reader) -> str:
    name = getattr(read, "__qualname__", "")
    code = getattr(read, "__code__", None)
    if code is None or not name.isidentifier():
        raise MusketError(
            f"a cache cannot tell {read!r} from other functions; give it a function defined in a module by def, "
            "neither a lambda nor a method nor a function within a function"
        )
    module = read.__module__
    if module.startswith("musket."):
        return f"{module}:{name}"
    return f"{code.co_filename if module == '__main__' else module}:{name} {compiled_digest(read)}"


def _state(path: FilePath) -> tuple[int, int] | None:
    """Size and modification time of a file; None when there is no such file to ask."""
    try:
        found = os.stat(path)  # noqa: PTH116 - it runs for every sample, and making a Path takes longer
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _key(reader: str, path: FilePath, state: tuple[int, int]) -> bytes:
    name = os.fspath(path)
    name = name if name.startswith("/") else str(Path(name).absolute())
    parts = "\0".join((_DECODERS, reader, name, *map(str, state)))
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()
