"""Samples that show the same picture: equal to the last pixel, or nearly so.

A picture is known by two numbers: a digest of its pixels, and a perceptual hash that stays nearly the same when it is
scaled, recoded, made brighter or shifted by a little, as consecutive frames of a video are.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

NEAR = 6
"""Most bits by which the hashes of one picture differ.

Tried on real sets: at 6 only views of one object and neighbouring frames were found, at 8 the first pairs of different
objects, while the nearest pair of unrelated photographs differed in 18.
"""

_SIDE, _KEPT = 32, 8
_FLAT = 0.01
_MOST = 2_000_000


def digest(array: np.ndarray) -> int:
    """64 bits that are equal for arrays of equal shape, type and values, and for practical purposes only then."""
    found = hashlib.blake2b(repr((array.shape, array.dtype.str)).encode(), digest_size=8)
    found.update(np.ascontiguousarray(array).data)
    return int.from_bytes(found.digest(), "little")


def perceptual_hash(image: np.ndarray) -> int | None:
    """64-bit hash of what a picture shows; hashes of like pictures differ in few bits.

    The signs, against their median, of the 63 lowest frequencies of the picture's cosine transform at 32 x 32 pixels,
    without its brightness (C. Zauner, Implementation and benchmarking of perceptual image hash functions, 2010).

    Args:
        image: H x W x C, uint8, uint16 or float32; the first four channels count.

    Returns:
        None for a picture without structure (blank, or noise that averages out): its hash would mean nothing.
    """
    colours = np.ascontiguousarray(image[..., :4])
    small = cv2.resize(colours, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = small.reshape(_SIDE, _SIDE, -1).mean(axis=2)
    if not np.isfinite(grey).all() or grey.std() <= _FLAT * np.abs(grey).max():
        return None
    waves = cv2.dct(grey)[:_KEPT, :_KEPT].ravel()[1:]
    bits = np.append(waves > np.median(waves), False)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_pairs(hashes: np.ndarray, distance: int = NEAR) -> np.ndarray:
    """Which of some different hashes differ in at most ``distance`` bits.

    Two of them agree in at least one of ``distance + 1`` bands of bits, so only hashes that share a band are compared.

    Args:
        hashes: N, uint64, all different.

    Returns:
        P x 2 positions. In a set where nearly everything is alike the search ends after two million pairs.
    """
    count = distance + 1
    edges = [64 * number // count for number in range(count + 1)]
    masks = [np.uint64((1 << high) - (1 << low)) for low, high in itertools.pairwise(edges)]
    found: list[np.ndarray] = []
    total = 0
    for number, mask in enumerate(masks):
        bands = hashes & mask
        order = np.argsort(bands, kind="stable")
        bands, step = bands[order], 0
        first = np.arange(len(hashes))
        while True:
            step += 1
            first = first[first < len(hashes) - step]
            first = first[bands[first] == bands[first + step]]
            if not len(first) or total > _MOST:
                break
            one, other = order[first], order[first + step]
            differing = hashes[one] ^ hashes[other]
            near = np.bitwise_count(differing) <= distance
            for earlier in masks[:number]:
                near &= (differing & earlier) != 0  # equal there: found in that band already
            if near.any():
                found.append(np.stack([one[near], other[near]], axis=1))
                total += int(near.sum())
    return np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class Twin:
    """A sample, and one elsewhere that shows the same: ``exact`` to the last pixel, or nearly."""

    sample: int
    like: int
    exact: bool


@dataclass(frozen=True)
class Likeness:
    """Which samples of a dataset show the same.

    Attributes:
        exact: N numbers, equal for equal pictures; -1 where nothing is known.
        near: N numbers, equal for equal hashes; -1 where there is none.
        pairs: P x 2 numbers of ``near`` that differ in few bits.
    """

    exact: np.ndarray
    near: np.ndarray
    pairs: np.ndarray

    def twins(self, part: Sequence[int], other: Sequence[int]) -> list[Twin]:
        """The samples of ``part`` that have a twin in ``other``, each with one of those; an exact one is preferred."""
        asked, there = np.asarray(part, dtype=np.int64), np.asarray(other, dtype=np.int64)
        exact = _owners(self.exact, there)[self.exact[asked]]
        near = _owners(self.near, there)
        spread = near.copy()
        for one, two in (self.pairs.T, self.pairs.T[::-1]):
            known = (near[one] >= 0) & (near[two] < 0)
            spread[two[known]] = near[one[known]]
        near = spread[self.near[asked]]
        like = np.where(exact >= 0, exact, near)
        return [
            Twin(int(asked[place]), int(like[place]), bool(exact[place] >= 0)) for place in np.flatnonzero(like >= 0)
        ]

    def repeated(self) -> int:
        """How many samples show exactly what an earlier one shows."""
        known = self.exact[self.exact >= 0]
        return len(known) - len(np.unique(known))


def likeness(digests: np.ndarray, hashes: np.ndarray, known: np.ndarray, structured: np.ndarray) -> Likeness:
    """Find the samples that show the same.

    Args:
        digests, hashes: N, uint64.
        known: N, bool: the sample was read.
        structured: N, bool: its hash means something.
    """
    exact, near = np.full((2, len(digests)), -1, dtype=np.int64)
    exact[known] = np.unique(digests[known], return_inverse=True)[1]
    different, near[structured] = np.unique(hashes[structured], return_inverse=True)
    return Likeness(exact, near, near_pairs(different))


def _owners(numbers: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The first of ``positions`` that has each number, -1 where none; one more entry, at -1, for the number -1."""
    owners = np.full(numbers.max(initial=-1) + 2, -1, dtype=np.int64)
    owners[numbers[positions[::-1]]] = positions[::-1]
    owners[-1] = -1
    return owners
