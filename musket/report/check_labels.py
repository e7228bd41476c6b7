"""What a check found in the labels of a classification, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from musket.report.check_facts import NONE, ChannelFacts, ClassFacts, HeadFacts
from musket.report.words import classes, columns, count, in_digits, told_apart

_CLASSES = 12
_FOLDS = 6
_LONGEST_NAME = 24


def describe_labels(head: HeadFacts, *, with_holdout: bool, explained: bool) -> str:
    """How many samples every class has in all, in the holdout and in the validation part of every fold.

    Args:
        explained: say what the columns of the folds are.
    """
    before = f"{head.name}: " if head.name else ""
    if head.numbers:
        table = columns([["", "lowest", "highest", "mean", "deviation"], *map(channel_row, head.numbers)])
        return "\n".join([f"{before}{count(len(head.numbers), 'number')}", *table])
    known = [facts.samples for facts in head.classes if facts.name != NONE or not head.several]
    span = f"{min(known)}" if min(known) == max(known) else f"{min(known)} to {max(known)}"
    per_sample = "any number" if head.several else "one"
    text = f"{before}{classes(len(known))}, {per_sample} per sample; {span} samples each"
    names = told_apart([facts.name for facts in head.classes], _LONGEST_NAME)
    shown, left_out = _most_and_least(
        [replace(facts, name=name) for facts, name in zip(head.classes, names, strict=True)]
    )
    folds = len(head.classes[0].validation)
    table = columns([_heads(folds, with_holdout), *(_row(facts, with_holdout) for facts in shown)], left=1)
    if left_out:
        table.insert(1 + len(shown) // 2, f" ... {classes(left_out)} in between ...")
    if folds and explained:
        text += " (folds: validation parts)"
    return "\n".join([text, *table])


def _heads(folds: int, with_holdout: bool) -> list[str]:
    parts = [f"fold {fold}" for fold in range(folds)] if folds <= _FOLDS else ["each fold"]
    return ["class", "samples", *["holdout"] * with_holdout, *parts]


def _row(facts: ClassFacts, with_holdout: bool) -> list[str]:
    parts = [str(samples) for samples in facts.validation]
    if len(parts) > _FOLDS:
        low, high = min(facts.validation), max(facts.validation)
        parts = [f"{low}" if low == high else f"{low}..{high}"]
    return [facts.name, str(facts.samples), *[str(facts.holdout)] * with_holdout, *parts]


def _most_and_least(found: Sequence[ClassFacts]) -> tuple[Sequence[ClassFacts], int]:
    """All classes if they are few, else the most frequent and the rarest ones, and how many are left out."""
    if len(found) <= _CLASSES + 2:
        return found, 0
    order = sorted(found, key=lambda facts: -facts.samples)
    half = _CLASSES // 2
    return [*order[:half], *order[-half:]], len(found) - 2 * half


def channel_row(facts: ChannelFacts) -> list[str]:
    """A row of a table: name, lowest and highest value, mean and deviation."""
    return [facts.name, *(in_digits(value) for value in (facts.low, facts.high, facts.mean, facts.std))]
