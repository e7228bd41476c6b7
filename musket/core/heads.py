"""What the outputs of a network that gives vectors are. Imports no torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

HeadKind = Literal["exclusive", "labels", "values"]
"""What a head gives: exclusive classes, classes each on its own, or plain values."""

_VALUES = frozenset(
    ("", "linear", "none", "tanh", "relu", "elu", "selu", "softplus", "softsign", "exponential")  # by their ranges
)


def kind_of(activation: str) -> HeadKind:
    """What a head of this activation gives. A user's own activation is taken for one that gives 0..1, as sigmoid."""
    folded = activation.lower()
    return "exclusive" if folded == "softmax" else "values" if folded in _VALUES else "labels"


_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("softmax", "sigmoid", "hard_sigmoid"), (0.0, 1.0)),
    **dict.fromkeys(("tanh", "softsign"), (-1.0, 1.0)),
    **dict.fromkeys(("relu", "softplus", "exponential"), (0.0, math.inf)),
    "elu": (-1.0, math.inf),
    "selu": (-1.7581, math.inf),  # minus its scale times its alpha, arXiv:1706.02515
}


def range_of(activation: str) -> tuple[float, float]:
    """Least and greatest value an activation gives. Of those that are linear, or a user's own, any number may come."""
    return _RANGES.get(activation.lower(), (-math.inf, math.inf))


def distinct(names: Sequence[str]) -> list[str]:
    """Names of which none is like another: those that repeat an earlier one get a number, ``cat``, ``cat_2``."""
    found: list[str] = []
    for name in names:
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        taken = {*found, *names}
        found.append(name if name not in found else next(each for each in numbered if each not in taken))
    return found


@dataclass(frozen=True)
class Heads:
    """Heads side by side on the class axis.

    Attributes:
        sizes: classes of each head.
        activations: of each head, by name.
        names: of each head, in logs; unused for a single one.
        classes: names of the classes of each head; empty, or empty for a head: their numbers, from 0. A head of one
            class may have two, for its absence and its presence.
        listed: a single head whose targets come in a list of one all the same.
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    names: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...] = ()
    listed: bool = False

    @property
    def kinds(self) -> tuple[HeadKind, ...]:
        """What the values of each head are."""
        return tuple(map(kind_of, self.activations))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where each head lies on the class axis."""
        return tuple(itertools.starmap(slice, itertools.pairwise(itertools.accumulate(self.sizes, initial=0))))
