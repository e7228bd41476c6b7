"""How much each class counts in the loss of a fold: the key ``class_weights``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from musket.data.class_balance import balanced_class_weights
from musket.experiment.sampling_shares import known_targets

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.prepare_data import PreparedData


def asks_to_balance(spec: NetworkSpec) -> bool:
    """Whether samples must be counted for the weights of some output."""
    given = spec.class_weights
    return given == "balanced" or (given is not None and "balanced" in given)


def class_weights_of(
    spec: NetworkSpec, data: PreparedData | None = None, positions: Sequence[int] = ()
) -> list[Any] | None:
    """The weights a config asks for, as :func:`musket.losses.heads.build_heads_loss` takes them.

    Args:
        data, positions: the training part of the fold; what ``balanced`` counts.

    Returns:
        a number per class, or of several outputs such a list (None for numbers) per output; None without the key.

    Raises:
        DataError: ``balanced``, and a target cannot be read or used.
    """
    given = spec.class_weights
    if given is None:
        return None
    several = isinstance(spec.classes, tuple)
    asked = [given] * len(spec.head_sizes) if given == "balanced" or not several else list(given)
    if not asks_to_balance(spec):
        each = [list(weights) for weights in asked]
        return each if several else each[0]
    assert not spec.gives_maps, "the config check refuses to balance masks"
    assert data is not None, "to balance, samples must be counted"
    counted = balanced_class_weights(known_targets(spec, data, positions))
    balanced = [None if weights is None else weights.tolist() for weights in counted]
    each = [own if one == "balanced" else list(one) for one, own in zip(asked, balanced, strict=True)]
    return each if several else each[0]
