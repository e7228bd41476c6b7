"""Who the samples of a dataset are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def fingerprint(ids: Sequence[str]) -> str:
    """Digest of a set of sample ids: equal for equal ids in whatever order they come."""
    digest = hashlib.sha256()
    for name in sorted(ids):
        digest.update(name.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def describe_difference(old_ids: Sequence[str], new_ids: Sequence[str]) -> str:
    """What changed from one list of different sample ids to another, in words; empty text when nothing did.

    Example:
        "3 samples removed (a, b, c) and 1 added (d)"
    """
    old, new = set(old_ids), set(new_ids)
    said = []
    if old - new:
        said.append(f"{_samples(len(old - new))} removed ({examples(sorted(old - new))})")
    if new - old:
        said.append(f"{_samples(len(new - old))} added ({examples(sorted(new - old))})")
    if not said and list(old_ids) != list(new_ids):
        said.append("the same samples in another order")
    return " and ".join(said)


def examples(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and a sign that there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _samples(count: int) -> str:
    return f"{count} sample{'s' if count != 1 else ''}"
