"""Iterative stratification: parts that keep the share of every label, of samples that have several at a time.

Sechidis, Tsoumakas, Vlahavas 2011, On the Stratification of Multi-Label Data (doi:10.1007/978-3-642-23808-6_10). Draws
are made in the order of the package iterative-stratification, so that the parts are those it gives; it counts all
labels anew before it spreads one, which takes minutes where there are a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def iterative_parts(
    samples: np.ndarray, labels: np.ndarray, count: int, classes: int, shares: Sequence[float], seed: int
) -> np.ndarray:
    """Part of every sample.

    The label with the fewest samples left comes first: each of its samples goes to the part that wants most of that
    label yet, then to the one that wants most samples, then to one by chance. Samples without labels come last.

    Args:
        samples, labels: which sample has which label, as pairs of numbers, each pair once.
        count: how many samples there are.
        classes: how many labels there are.
        shares: of the parts; they sum up to 1.
        seed: of the order of the samples, and of what is left to chance.

    Returns:
        numbers of parts, N.
    """
    random = np.random.RandomState(seed)
    order = np.arange(count)
    random.shuffle(order)
    places = np.empty(count, np.int64)
    places[order] = np.arange(count)
    places = places[samples]  # everything below counts in the shuffled order
    left = np.bincount(labels, minlength=classes)
    wanted = np.outer(left, shares)
    room = (np.asarray(shares) * count).tolist()
    labels_of = _grouped(places, labels, count)
    places_of = _grouped(labels, places, classes)
    parts = np.full(count, -1)

    def choose(among: Sequence[int], wants: Sequence[float]) -> int:
        best = _greatest(among, wants)
        if len(best) > 1 and wants is not room:
            best = _greatest(best, room)
        return best[random.choice(len(best))] if len(best) > 1 else best[0]

    every = range(len(shares))
    while left.any():
        rarest = np.flatnonzero(left == left[left > 0].min())
        label = rarest[random.choice(len(rarest))] if len(rarest) > 1 else rarest[0]
        for place in places_of[label]:
            if parts[place] < 0:
                parts[place] = part = choose(every, wanted[label].tolist())
                wanted[labels_of[place], part] -= 1
                left[labels_of[place]] -= 1
                room[part] -= 1
    for place in np.flatnonzero(parts < 0):
        parts[place] = part = choose(every, room)
        room[part] -= 1
    found = np.empty(count, np.int64)
    found[order] = parts
    return found


def _greatest(among: Sequence[int], values: Sequence[float]) -> list[int]:
    most = max(values[one] for one in among)
    return [one for one in among if values[one] == most]


def _grouped(keys: np.ndarray, values: np.ndarray, count: int) -> list[np.ndarray]:
    """The values of every key 0..count-1, in ascending order."""
    order = np.lexsort((values, keys))
    return np.split(values[order], np.cumsum(np.bincount(keys, minlength=count))[:-1])
