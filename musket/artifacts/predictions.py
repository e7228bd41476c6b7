"""Predictions on disk, found by sample id. Never stale, never partial, read as arrays only.

A store is a folder with ``<position>.npy.npz`` for every sample, or ``vectors.npy.npz`` for all of them where they are
vectors, and ``index.json``, which names the ids in order and what the predictions came from (the digest). The index is
written last, so a folder without one holds nothing that counts, and a folder whose digest is another one is that of
other weights or settings. It also names the size of every file, without which nothing counts either, and what each
prediction's image looked like.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from filelock import FileLock

from musket.artifacts.files import in_words, write_atomic
from musket.core.errors import ArtifactError

INDEX = "index.json"
FORMAT = 2
LOCK = ".lock"
_SUFFIX = ".npy.npz"
_PACKED = f"vectors{_SUFFIX}"


def digest(facts: Mapping[str, Any], weights: Sequence[Path]) -> str:
    """What predictions depend on, as 64 characters: plain facts (JSON data) and the content of the weights files.

    Raises:
        ArtifactError: a weights file cannot be read.
    """
    total = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for path in weights:
        try:
            with open(path, "rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise ArtifactError(f"cannot be read: {in_words(error)}", path) from error
    return total.hexdigest()


def image_mark(image: np.ndarray) -> str:
    """What an image is recognised by: a digest of its shape, depth and pixels, as 16 characters."""
    total = hashlib.blake2b(f"{image.shape} {image.dtype}".encode(), digest_size=8)
    total.update(np.ascontiguousarray(image).data)
    return total.hexdigest()


def scale_of(as_integers: bool, scale: int | None) -> int | None:
    """What a score of 1.0 is stored as (config keys compressPredictionsAsInts, compressScale); None = as float32."""
    return (scale or 255) if as_integers else None


def encode(scores: np.ndarray, scale: int | None) -> np.ndarray:
    """Scores as they are stored: whole numbers of 8 bits, or 16 for a scale above 255; float32 for None.

    Rounded to the nearest number, halves down: for an odd scale (255, 65535) ``score > 0.5`` is the same before and
    after. Scores outside 0..1 (logits) stay float32.
    """
    scores = np.asarray(scores, dtype=np.float32)
    return scores if scale is None or not _shares(scores) else _as_integers(scores, scale)


def _shares(scores: np.ndarray) -> bool:
    """Whether there are scores, all from 0 to 1."""
    return bool(scores.size and scores.min() >= 0 and scores.max() <= 1)


def _as_integers(scores: np.ndarray, scale: int) -> np.ndarray:
    return np.ceil(scores * np.float32(scale) - np.float32(0.5)).astype(np.uint8 if scale <= 255 else np.uint16)


def decode(stored: np.ndarray, scale: int | None) -> np.ndarray:
    """Scores as float32 from what :func:`encode` gave."""
    if scale is None or stored.dtype.kind == "f":
        return stored.astype(np.float32, copy=False)
    scores = stored.astype(np.float32)
    scores /= np.float32(scale)
    return scores


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Inside, no other process predicts into a folder; it waits, and then finds what it wanted.

    Where the folder cannot be written, nobody predicts into it: whoever tries is told.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(folder / LOCK, thread_local=False))
        yield


class PredictionWriter:
    """Writes a store sample by sample; it counts from the moment the ``with`` block ends without an error.

    Maps are written as they come, a file each. Vectors are gathered and written as one array, number of samples x
    length, when the block ends: a file each would take longer than predicting them. Until then they take 4 bytes
    a score, 400 MB for 100,000 samples of 1,000 classes.

    Args:
        folder: where; stored predictions of before go, other files stay.
        digest: what the predictions come from.
        scale: see :func:`scale_of`.

    Raises:
        ArtifactError: a file cannot be written.
    """

    def __init__(self, folder: Path, digest: str, scale: int | None = 255):
        self.folder = folder
        self.digest = digest
        self.scale = scale
        self._ids: list[str] = []
        self._sizes: list[int] = []
        self._images: list[str | None] = []
        self._vectors: list[np.ndarray] = []

    def __enter__(self) -> PredictionWriter:
        try:
            (self.folder / INDEX).unlink(missing_ok=True)  # first: without it the rest counts for nothing
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in self.folder.glob(f"*{_SUFFIX}"):
                path.unlink()
        except OSError as error:
            raise ArtifactError(f"cannot be written: {in_words(error)}", self.folder) from error
        return self

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, sample: str, scores: np.ndarray, image: np.ndarray | str | None = None) -> None:
        """Store the scores of a sample: a vector, or H x W x classes (any other shape will do).

        All vectors of a store have one length, and there are no maps beside them.

        Args:
            image: what was predicted, or its :func:`image_mark`. Read back for another image the scores are refused.
        """
        scores = np.asarray(scores)
        if scores.ndim == 1:
            self._vectors.append(scores.astype(np.float32))
        else:
            self._save(_file(self.folder, len(self._ids)), encode(scores, self.scale), np.savez_compressed)
        self._ids.append(sample)
        self._images.append(image_mark(image) if isinstance(image, np.ndarray) else image)

    def _save(self, path: Path, encoded: np.ndarray, save: Callable[..., None]) -> None:
        """Write an array file. Random digits gain nothing from compression, maps do."""
        try:
            # The index vouches for the file, so it need not be synced: what a power cut left of it fails its checksum.
            save(path, scores=encoded, digest=np.array(self.digest))
            self._sizes.append(path.stat().st_size)
        except OSError as error:
            raise ArtifactError(f"cannot be written: {in_words(error)}", path) from error

    def _encoded_vectors(self) -> np.ndarray:
        """What :func:`encode` gives of all vectors together, one by one: as floats they would fill memory once more."""
        if self.scale is None or not all(map(_shares, self._vectors)):
            return np.stack(self._vectors)
        return np.stack([_as_integers(vector, self.scale) for vector in self._vectors])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for path in self.folder.glob(f"*{_SUFFIX}"):
                path.unlink(missing_ok=True)
            return
        if self._vectors:
            self._save(self.folder / _PACKED, self._encoded_vectors(), np.savez)
            self._vectors.clear()
        index = {"format": FORMAT, "digest": self.digest, "scale": self.scale, "ids": self._ids}
        write_atomic(self.folder / INDEX, json.dumps(index | {"sizes": self._sizes, "images": self._images}))


class StoredPredictions:
    """A complete store. Maps are read when they are asked for, vectors all at once the first time one is.

    Attributes:
        ids: sample ids, in the order they were predicted.
        digest: what the predictions came from.
        packed: the scores are vectors, in one file.
    """

    def __init__(
        self,
        folder: Path,
        digest: str,
        scale: int | None,
        ids: Sequence[str],
        images: Sequence[str | None],
        packed: bool = False,
    ):
        self.folder = folder
        self.packed = packed
        self.digest = digest
        self.scale = scale
        self.ids = tuple(ids)
        self._images = tuple(images)
        self._positions = {sample: position for position, sample in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, sample: object) -> bool:
        return sample in self._positions

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, sample: str | int) -> np.ndarray:
        """Scores (float32) by sample id, or by position. Raises as :meth:`read`."""
        return self.read(sample)

    def read(self, sample: str | int, image: np.ndarray | None = None) -> np.ndarray:
        """Scores (float32) of a sample.

        Args:
            sample: its id, or its position.
            image: the sample's image of today.

        Raises:
            ArtifactError: there is no such sample here; its file is damaged, gone or of other weights; or the image is
                another one than that which was predicted.
        """
        if isinstance(sample, str):
            if sample not in self._positions:
                raise ArtifactError(f"there is no prediction of sample {sample!r}", self.folder)
            position = self._positions[sample]
        else:
            position = range(len(self.ids))[sample]
        mark = None if image is None else self._images[position]
        if mark is not None and image is not None and image_mark(image) != mark:
            raise ArtifactError(
                f"the image of sample {self.ids[position]!r} is not the one that was predicted; the data changed under "
                "the same ids. Delete the folder, then it is predicted anew",
                self.folder,
            )
        return self.vectors[position].copy() if self.packed else self._load(_file(self.folder, position))

    @cached_property
    def vectors(self) -> np.ndarray:
        """Scores of all samples of a packed store, float32, samples x length; in the order of ``ids``. To be read only.

        Raises:
            ArtifactError: as :meth:`read`.
        """
        return self._load(self.folder / _PACKED)

    def _load(self, path: Path) -> np.ndarray:
        """The scores of an array file, float32."""
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                digest, stored = str(arrays["digest"]), arrays["scores"]
        except FileNotFoundError:
            raise ArtifactError(
                "is gone since it was asked for, as predictions are when their networks are trained anew; ask for the "
                "predictions again",
                path,
            ) from None
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ArtifactError(f"not readable as a stored prediction ({error}); delete the folder", path) from error
        if digest != self.digest:
            raise ArtifactError(
                "was overwritten by predictions of other weights, settings or data; ask for them again", path
            )
        return decode(stored, self.scale)


def stored(folder: Path, digest: str, ids: Sequence[str] | None = None) -> StoredPredictions | None:
    """The predictions of a folder; None when it holds none, or not of this digest or these samples (in any order).

    None as well when a file is gone or has not the size it was written with.
    """
    try:
        index = json.loads((folder / INDEX).read_text("utf-8"))
        with os.scandir(folder) as files:
            sizes = {file.name: file.stat().st_size for file in files}
        packed = _PACKED in sizes
        found = StoredPredictions(folder, str(index["digest"]), index["scale"], index["ids"], index["images"], packed)
        names = [_PACKED] if packed else [_file(folder, position).name for position in range(len(found))]
        whole = [sizes.get(name) for name in names] == index["sizes"]
    except (OSError, ValueError, KeyError, TypeError):  # none, or none of ours: predicted anew
        return None
    known = whole and index.get("format") == FORMAT and len(found.ids) == len(index["images"])
    same = found.digest == digest and (ids is None or set(ids) == set(found.ids))
    return found if known and same else None


def _file(folder: Path, position: int) -> Path:
    """Named by position: fit for any sample id, whatever characters it has."""
    return folder / f"{position}{_SUFFIX}"
