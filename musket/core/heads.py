"""What the outputs of a network that gives vectors are. Imports no torch."""

from __future__ import annotations

import itertools
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


@dataclass(frozen=True)
class Heads:
    """Heads side by side on the class axis.

    Attributes:
        sizes: classes of each head.
        activations: of each head, by name.
        names: of each head, in logs; unused for a single one.
        classes: names of the classes of each head; empty, or empty for a head: their numbers, from 0. A head of one
            class may have two, for its absence and its presence.
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    names: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...] = ()

    @property
    def kinds(self) -> tuple[HeadKind, ...]:
        """What the values of each head are."""
        return tuple(map(kind_of, self.activations))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where each head lies on the class axis."""
        return tuple(itertools.starmap(slice, itertools.pairwise(itertools.accumulate(self.sizes, initial=0))))
