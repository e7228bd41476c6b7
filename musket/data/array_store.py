"""Arrays in append-only files that any number of threads and processes fill together, without a lock between them.

A process writes files of its own and reads everybody's, so no two ever write one file:

    decoded-NAME.arrays   header, bytes, header, bytes, ...
    decoded-NAME.index    16 bytes per array: the first half of its key, and where its header stands

The index is written after the array, so it names nothing that a kill cut short. Nobody relies on it either: the header,
which carries key, shape, type and two checksums, says whether what stands there is what was asked for. What is cut off,
overwritten, half on disk after a power cut, or of an older layout is not found, and is written anew elsewhere.

What the checksum of the values (the sum of their 64-bit words) sees: every change that stays within one word, missing
pages, zeros in place of pages. What it does not see: words that changed places, and changes that cancel out. It takes
0.04 ms for 3 MB, crc32 takes 1.5.
"""

from __future__ import annotations

import os
import secrets
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

KEY_BYTES = 16

_MAGIC = b"musket-1"
_HEADER = struct.Struct(f"<8s{KEY_BYTES}s3sB4IQ")  # magic, key, type, dimensions, shape, sum; then crc32 of all that
_CHECK = struct.Struct("<I")
_HEADER_BYTES = _HEADER.size + _CHECK.size
_RECORD = np.dtype([("key", "<u8"), ("offset", "<u8")])
_FILE_SHIFT = 44  # a place: number of the file above these bits, offset in it (up to 16 TB) below
_OFFSET = (1 << _FILE_SHIFT) - 1
_DIMENSIONS = 4
_KINDS = (b"b", b"i", b"u", b"f")
_RECENT = 1024


def is_storable(array: object) -> bool:
    """Whether this is a non-empty array of plain numbers with up to four axes."""
    return (
        type(array) is np.ndarray
        and array.dtype.kind.encode() in _KINDS
        and len(array.dtype.str) == 3
        and 1 <= array.ndim <= _DIMENSIONS
        and array.size > 0
        and max(array.shape) < 2**32
    )


def stored_files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The files of a store; none where there is no folder.

    Raises:
        OSError: the folder is there and cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            yield from (each for each in entries if each.name.startswith("decoded-") and _ours(each.name))
    except FileNotFoundError:
        return


def stored_bytes(folder: Path) -> int:
    """Bytes the files of a store take.

    Raises:
        OSError: the folder is there and cannot be listed.
    """
    total = 0
    for entry in stored_files(folder):
        try:
            total += Path(entry.path).stat().st_size  # the entry's own size may be old on Windows
        except FileNotFoundError:
            continue
    return total


def _ours(name: str) -> bool:
    return name.endswith((".arrays", ".index"))


class ArrayStore:
    """The arrays of a folder, for the threads of one process. A forked process must make a store of its own.

    Args:
        folder: where the files lie; made by the first :meth:`put`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._writing = threading.Lock()
        self._refreshing = threading.Lock()
        self._places = _Places()
        self._files: dict[str, int] = {}
        self._paths: list[str] = []
        self._taken: list[int] = []  # bytes of each index that were read
        self._bad: set[int] = set()
        self._own: str | None = None

    def get(self, key: bytes) -> np.ndarray | None:
        """A stored array, as a new one that may be changed; None when there is none that is intact.

        Args:
            key: 16 bytes.
        """
        array = self._known(key)
        if array is None and self._refresh():
            array = self._known(key)
        return array

    def put(self, key: bytes, array: np.ndarray) -> None:
        """Keep an array, unless another thread or process did meanwhile.

        Raises:
            OSError: it cannot be written; what is stored already stays readable.
        """
        with self._writing:
            self._refresh()
            if any(place not in self._bad for place in self._places.find(_half(key))):
                return
            try:
                offset = self._append(key, array)
            except FileNotFoundError:  # somebody cleared the folder; a new name, since offsets of the old one are known
                self._own = None
                offset = self._append(key, array)
            with open(self.folder / f"{self._own}.index", "ab") as file:
                file.write(np.array([(_half(key), offset)], dtype=_RECORD).tobytes())
        self._refresh()

    def _append(self, key: bytes, array: np.ndarray) -> int:
        """Write header and values at the end of this process's file; where the header stands."""
        if self._own is None:
            name = f"decoded-{secrets.token_hex(8)}"
            self.folder.mkdir(parents=True, exist_ok=True)
            mode = "xb"
        else:
            name, mode = self._own, "r+b"
        values = _flat(np.ascontiguousarray(array))
        with open(self.folder / f"{name}.arrays", mode, buffering=0) as file:
            self._own = name
            offset = file.seek(0, os.SEEK_END)
            try:
                for part in (_header(key, array, _sum(values)), values.data):
                    rest = memoryview(part)
                    while rest:
                        rest = rest[file.write(rest) or 0 :]
            except OSError:
                file.truncate(offset)
                raise
        return offset

    def _known(self, key: bytes) -> np.ndarray | None:
        for place in self._places.find(_half(key)):
            if place in self._bad:
                continue
            array = _load(self._paths[place >> _FILE_SHIFT], place & _OFFSET, key)
            if array is not None:
                return array
            self._bad.add(place)
        return None

    def _refresh(self) -> bool:
        """Take over what was added to the index files since; whether there was anything."""
        found = False
        with self._refreshing:
            try:
                names = [entry.name for entry in stored_files(self.folder) if entry.name.endswith(".index")]
            except OSError:
                return False
            for name in names:
                number = self._number(name)
                try:
                    if (self.folder / name).stat().st_size < self._taken[number] + _RECORD.itemsize:
                        continue
                    with open(self.folder / name, "rb") as file:
                        file.seek(self._taken[number])
                        data = file.read()
                except OSError:
                    continue
                whole = len(data) // _RECORD.itemsize
                if whole:
                    records = np.frombuffer(data, _RECORD, whole)
                    fitting = records[records["offset"] <= _OFFSET]
                    self._places.add(fitting["key"], fitting["offset"] + np.uint64(number << _FILE_SHIFT))
                    self._taken[number] += whole * _RECORD.itemsize
                    found = True
        return found

    def _number(self, index: str) -> int:
        number = self._files.setdefault(index, len(self._paths))
        if number == len(self._paths):
            self._taken.append(0)
            self._paths.append(f"{self.folder / index.removesuffix('.index')}.arrays")
        return number


class _Places:
    """Where arrays may lie, by the first half of their key: 16 bytes each in sorted arrays, the latest in a dictionary.

    :meth:`find` may run beside :meth:`add`; of the latter only one at a time.
    """

    def __init__(self) -> None:
        nothing = np.zeros(0, np.uint64)
        self._sorted = (nothing, nothing)
        self._recent: dict[int, tuple[int, ...]] = {}

    def find(self, half: int) -> Iterable[int]:
        recent = self._recent  # looked at first: a merge fills the sorted arrays before it empties this
        latest = recent.get(half, ())
        keys, places = self._sorted
        first = int(np.searchsorted(keys, np.uint64(half)))
        found = []
        while first < len(keys) and keys[first] == half:
            found.append(int(places[first]))
            first += 1
        return dict.fromkeys((*found, *latest))

    def add(self, keys: np.ndarray, places: np.ndarray) -> None:
        if len(keys) + len(self._recent) <= max(_RECENT, len(self._sorted[0]) // 16):
            for key, place in zip(keys.tolist(), places.tolist(), strict=True):
                self._recent[key] = (*self._recent.get(key, ()), place)
            return
        latest = [(key, place) for key, each in self._recent.items() for place in each]
        recent = np.array(latest, np.uint64).reshape(-1, 2)
        all_keys = np.concatenate([self._sorted[0], recent[:, 0], keys])
        all_places = np.concatenate([self._sorted[1], recent[:, 1], places])
        order = np.argsort(all_keys, kind="stable")
        self._sorted = (all_keys[order], all_places[order])
        self._recent = {}


def _half(key: bytes) -> int:
    return int.from_bytes(key[:8], "little")


def _flat(array: np.ndarray) -> np.ndarray:
    """The bytes of a contiguous array, without a copy."""
    return array.reshape(-1).view(np.uint8)


def _sum(values: np.ndarray) -> int:
    """Sum of the 64-bit words of some bytes, the last word filled up with zeros; modulo 2 ** 64."""
    whole = len(values) // 8 * 8
    rest = int.from_bytes(values[whole:].tobytes(), "little")
    return (int(np.add.reduce(values[:whole].view("<u8"), dtype=np.uint64)) + rest) % 2**64


def _header(key: bytes, array: np.ndarray, total: int) -> bytes:
    shape = (*array.shape, *(0,) * (_DIMENSIONS - array.ndim))
    packed = _HEADER.pack(_MAGIC, key, array.dtype.str.encode(), array.ndim, *shape, total)
    return packed + _CHECK.pack(zlib.crc32(packed))


def _load(path: str, offset: int, key: bytes) -> np.ndarray | None:
    """The array whose header stands at ``offset``; None when it is not that of ``key``, or not whole."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            head = file.read(_HEADER_BYTES)
            if len(head) < _HEADER_BYTES or _CHECK.unpack_from(head, _HEADER.size)[0] != zlib.crc32(head[:-4]):
                return None
            magic, own, kind, dimensions, *shape, total = _HEADER.unpack_from(head)
            if magic != _MAGIC or own != key or kind[1:2] not in _KINDS:
                return None
            array = np.empty(shape[:dimensions], np.dtype(kind.decode()))
            values = _flat(array)
            if file.readinto(values.data) != len(values) or _sum(values) != total:
                return None
    except OSError:
        return None
    return array
