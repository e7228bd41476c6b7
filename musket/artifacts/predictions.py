"""Predictions on disk: one file per sample, found by sample id. Never stale, never partial, read as arrays only.

A store is a folder with ``<position>.npy.npz`` for every sample and ``index.json``, which names the ids in order and
what the predictions came from (the digest). The index is written last, so a folder without one holds nothing that
counts, and a folder whose digest is another one is that of other weights or settings.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from musket.artifacts.files import in_words, write_atomic
from musket.core.errors import ArtifactError

INDEX = "index.json"
FORMAT = 1
_SUFFIX = ".npy.npz"


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


def scale_of(as_integers: bool, scale: int | None) -> int | None:
    """What a score of 1.0 is stored as (config keys compressPredictionsAsInts, compressScale); None = as float32."""
    return (scale or 255) if as_integers else None


def encode(scores: np.ndarray, scale: int | None) -> np.ndarray:
    """Scores as they are stored: whole numbers of 8 bits, or 16 for a scale above 255; float32 for None.

    Rounded to the nearest number, halves down: for an odd scale (255, 65535) ``score > 0.5`` is the same before and
    after. Scores outside 0..1 (logits) stay float32.
    """
    scores = np.asarray(scores, dtype=np.float32)
    if scale is None or not scores.size or not (scores.min() >= 0 and scores.max() <= 1):
        return scores
    return np.ceil(scores * np.float32(scale) - np.float32(0.5)).astype(np.uint8 if scale <= 255 else np.uint16)


def decode(stored: np.ndarray, scale: int | None) -> np.ndarray:
    """Scores as float32 from what :func:`encode` gave."""
    if scale is None or stored.dtype.kind == "f":
        return stored.astype(np.float32, copy=False)
    return stored.astype(np.float32) / np.float32(scale)


class PredictionWriter:
    """Writes a store sample by sample; it counts from the moment the ``with`` block ends without an error.

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

    def add(self, sample: str, scores: np.ndarray) -> None:
        """Store the scores of a sample, H x W x classes (any shape will do)."""
        path = _file(self.folder, len(self._ids))
        try:
            # The index vouches for the file, so it need not be synced: what a power cut left of it fails its checksum.
            np.savez_compressed(path, scores=encode(scores, self.scale), digest=np.array(self.digest))
        except OSError as error:
            raise ArtifactError(f"cannot be written: {in_words(error)}", path) from error
        self._ids.append(sample)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for position in range(len(self._ids) + 1):
                _file(self.folder, position).unlink(missing_ok=True)
            return
        index = {"format": FORMAT, "digest": self.digest, "scale": self.scale, "ids": self._ids}
        write_atomic(self.folder / INDEX, json.dumps(index))


class StoredPredictions:
    """A complete store. Scores are read when they are asked for; memory holds the ids only.

    Attributes:
        ids: sample ids, in the order they were predicted.
        digest: what the predictions came from.
    """

    def __init__(self, folder: Path, digest: str, scale: int | None, ids: Sequence[str]):
        self.folder = folder
        self.digest = digest
        self.scale = scale
        self.ids = tuple(ids)
        self._positions = {sample: position for position, sample in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, sample: object) -> bool:
        return sample in self._positions

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, sample: str | int) -> np.ndarray:
        """Scores (float32) by sample id, or by position.

        Raises:
            ArtifactError: there is no such sample here, or its file is damaged, gone or of other weights.
        """
        if isinstance(sample, str):
            if sample not in self._positions:
                raise ArtifactError(f"there is no prediction of sample {sample!r}", self.folder)
            position = self._positions[sample]
        else:
            position = range(len(self.ids))[sample]
        path = _file(self.folder, position)
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                digest, stored = str(arrays["digest"]), arrays["scores"]
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ArtifactError(f"not readable as a stored prediction ({error}); delete the folder", path) from error
        if digest != self.digest:
            raise ArtifactError("was overwritten by predictions of other weights; ask for them again", path)
        return decode(stored, self.scale)


def stored(folder: Path, digest: str, ids: Sequence[str] | None = None) -> StoredPredictions | None:
    """The predictions of a folder; None when it holds none, or not of this digest or these samples (in any order)."""
    try:
        index = json.loads((folder / INDEX).read_text("utf-8"))
        found = StoredPredictions(folder, str(index["digest"]), index["scale"], index["ids"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or none of ours: predicted anew
        return None
    same = found.digest == digest and index.get("format") == FORMAT and (ids is None or set(ids) == set(found.ids))
    return found if same else None


def _file(folder: Path, position: int) -> Path:
    """Named by position: fit for any sample id, whatever characters it has."""
    return folder / f"{position}{_SUFFIX}"
