"""What a look at the labels of a classification means for training, in figures and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from musket.data.inspection import Inspection
from musket.data.split import FEWER_THAN_FOLDS
from musket.experiment.checks.findings import Found
from musket.report.check_facts import NONE, ChannelFacts, ClassFacts, HeadFacts
from musket.report.labels import ClassNames, flag_names, names_of, parts_of, truth_in_words

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.core.heads import Heads
    from musket.experiment.prepare_data import PreparedData

_UNEVEN = 20
"""Samples of the most frequent class for one of the rarest from which on something should be done about it."""
_FAR = 100.0
"""Size of numbers from which on a network, which starts near 0, is slow to get there."""


@dataclass(frozen=True)
class HeadLabels:
    """Which samples are of which class of one head.

    Attributes:
        before: begins what is said of it; empty where there is only one head.
        several: a sample may be of several classes, or of none.
        names: of the classes; a head of one class has two, its absence and its presence.
        member: N x classes, bool; False for samples that cannot be used.
        numbers: N x size for a head that gives numbers, usable samples only; ``member`` has no columns then.
    """

    before: str
    several: bool
    names: Sequence[str]
    member: np.ndarray
    numbers: np.ndarray | None = None


def labels_of(heads: Heads, class_names: ClassNames, inspection: Inspection) -> list[HeadLabels]:
    """The labels that were read, by head."""
    assert inspection.vectors is not None, "the targets are masks"
    usable = inspection.rows["usable"][:, None]
    found = []
    for head, values in enumerate(parts_of(inspection.vectors, heads)):
        before = f"{heads.names[head]}: " if len(heads.sizes) > 1 else ""
        kind, names = heads.kinds[head], names_of(heads, class_names, head)
        if kind == "values":
            none = np.zeros((len(values), 0), bool)
            found.append(HeadLabels(before, False, names, none, values[inspection.usable].astype(np.float64)))
        elif kind == "labels" and len(names) == 1:
            member = usable & np.concatenate([values <= 0.5, values > 0.5], axis=1)
            found.append(HeadLabels(before, False, flag_names(heads, class_names, head), member))
        elif kind == "labels":
            found.append(HeadLabels(before, True, names, usable & (values > 0.5)))
        else:
            member = usable & (values.argmax(axis=1)[:, None] == np.arange(len(names)))
            found.append(HeadLabels(before, False, names, member))
    return found


def head_facts(labels: Sequence[HeadLabels], inspection: Inspection, data: PreparedData | None) -> list[HeadFacts]:
    """Figures of every head; of the folds too where the data could be split."""
    folds, holdout = ((), ()) if data is None else (data.folds, data.holdout)
    facts = []
    for head in labels:
        name = head.before.removesuffix(": ")
        if head.numbers is not None:
            columns = [(low, high, mean, std) for low, high, mean, std in zip(*_moments(head.numbers), strict=True)]
            facts.append(
                HeadFacts(
                    name,
                    numbers=tuple(
                        ChannelFacts(title, *map(float, column))
                        for title, column in zip(head.names, columns, strict=True)
                    ),
                )
            )
            continue
        member, names = head.member, list(head.names)
        if head.several:
            nothing = inspection.rows["usable"] & ~member.any(axis=1)
            if nothing.any():
                member, names = np.column_stack([member, nothing]), [*names, NONE]
        counts = member.sum(axis=0)
        train = [member[np.asarray(fold.train, np.int64)].sum(axis=0) for fold in folds]
        validation = [member[np.asarray(fold.validation, np.int64)].sum(axis=0) for fold in folds]
        held = member[np.asarray(holdout, np.int64)].sum(axis=0)
        classes = tuple(
            ClassFacts(
                title,
                int(counts[number]),
                tuple(int(part[number]) for part in train),
                tuple(int(part[number]) for part in validation),
                int(held[number]),
            )
            for number, title in enumerate(names)
        )
        facts.append(HeadFacts(name, head.several, classes))
    return facts


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return values.min(axis=0), values.max(axis=0), values.mean(axis=0), values.std(axis=0)


def say_labels(spec: NetworkSpec, labels: Sequence[HeadLabels], inspection: Inspection, found: Found) -> None:
    """Labels that nothing can be learnt from, or little."""
    for head in labels:
        if head.numbers is not None:
            _say_numbers(head, found)
        else:
            _say_classes(spec, head, inspection, found)


def _say_numbers(head: HeadLabels, found: Found) -> None:
    assert head.numbers is not None
    low, high, mean, std = _moments(head.numbers)
    for number in np.flatnonzero(low == high).tolist():
        found.warn(f"{head.before}number {head.names[number]} is {low[number]:g} everywhere; there is nothing to learn")
    for number in np.flatnonzero((low < high) & (np.maximum(abs(mean), std) > _FAR)).tolist():
        found.warn(
            f"{head.before}number {head.names[number]} goes from {low[number]:g} to {high[number]:g}; a network starts "
            "near 0 and is slow to get there: scale the targets to about -1 to 1"
        )


def _say_classes(spec: NetworkSpec, head: HeadLabels, inspection: Inspection, found: Found) -> None:
    counts, usable, before = head.member.sum(axis=0), len(inspection.usable), head.before
    absent = [head.names[number] for number in np.flatnonzero(counts == 0).tolist()]
    everywhere = [head.names[number] for number in np.flatnonzero(counts == usable).tolist()]
    if not counts.any():
        found.warn(f"{before}no sample has a label; there is nothing to learn. Check the labels")
        return
    if everywhere and not head.several:
        found.warn(f"{before}all {usable} samples are of class {everywhere[0]}; there is nothing to learn")
        return
    if everywhere:
        found.warn(f"{before}{_classes(everywhere)} {_is(everywhere)} in every sample; there is nothing to learn of it")
    if absent:
        found.warn(f"{before}no sample is of {_classes(absent)}; check classes and the labels", absent[1:] and absent)
    folds = spec.folds_count
    rare = np.flatnonzero((counts > 0) & (counts < folds))
    if len(rare):
        found.warnings[:] = [warning for warning in found.warnings if FEWER_THAN_FOLDS not in warning.message]
        some = f"{len(rare)} of {len(counts)} classes have" if len(rare) > 1 else f"1 of {len(counts)} classes has"
        found.warn(
            f"{before}{some} fewer samples than there are folds ({folds}); some folds validate without them",
            [f"{head.names[number]} ({counts[number]})" for number in rare.tolist()],
        )
    shown = counts[counts > 0]
    evened = spec.class_weights or spec.sampler or any(stage.sampler not in (None, "none") for stage in spec.stages)
    if shown.max() >= _UNEVEN * shown.min() and not evened:
        most, least = (
            head.names[int(counts.argmax())],
            head.names[int(np.where(counts > 0, counts, usable + 1).argmin())],
        )
        found.warn(
            f"{before}class {most} has {shown.max()} samples, class {least} only {shown.min()}; class_weights: "
            "balanced or sampler: balanced makes rare classes count, and macro_f1 shows them where accuracy does not"
        )


def say_soft(heads: Heads, inspection: Inspection, found: Found) -> None:
    """Labels between yes and no, which may be meant."""
    assert inspection.vectors is not None
    for head, values in enumerate(parts_of(inspection.vectors, heads)):
        if heads.kinds[head] != "values":
            soft = np.flatnonzero(((values != 0) & (values != 1)).any(axis=1))
            if len(soft):
                found.warn(
                    f"{len(soft)} sample{'s have' if len(soft) > 1 else ' has'} targets between 0 and 1; they are "
                    "trained towards as they are, and count as the class where they are highest or above 0.5",
                    [inspection.ids[position] for position in soft.tolist()],
                )


def say_unevenly_split(spec: NetworkSpec, labels: Sequence[HeadLabels], data: PreparedData, found: Found) -> None:
    """Classes a fold is not trained on, or not validated on though there are enough samples for all folds."""
    advice = "add samples of them, or merge classes" if spec.stratified else "set stratified: true"
    train, validation = [fold.train for fold in data.folds], [fold.validation for fold in data.folds]
    for head in labels:
        counts = head.member.sum(axis=0)
        if lacking := _lacking(head, counts > 0, train):
            found.warn(
                f"{head.before}{_some(lacking)} not in the training part of every fold, and cannot be learnt where "
                f"{'it is' if len(lacking) == 1 else 'they are'} not; {advice}, or use fewer folds",
                lacking,
            )
        if lacking := _lacking(head, counts >= len(data.folds), validation):
            found.warn(
                f"{head.before}{_some(lacking)} not in the validation part of every fold, where nothing can be said of "
                f"{'it' if len(lacking) == 1 else 'them'}; {advice}",
                lacking,
            )


def _lacking(head: HeadLabels, asked: np.ndarray, parts: Sequence[Sequence[int]]) -> list[str]:
    """The classes ``asked`` for that a fold's part has no sample of, and those folds."""
    folds: dict[int, list[str]] = {}
    for number, part in enumerate(parts):
        lost = asked & ~head.member[np.asarray(part, np.int64)].any(axis=0)
        for which in np.flatnonzero(lost).tolist():
            folds.setdefault(which, []).append(str(number))
    return [
        f"{head.names[which]} (fold{'s' if len(numbers) > 1 else ''} {', '.join(numbers)})"
        for which, numbers in sorted(folds.items())
    ]


def _some(names: Sequence[str]) -> str:
    return f"{len(names)} classes are" if len(names) > 1 else "1 class is"


def say_label_contradictions(heads: Heads, class_names: ClassNames, inspection: Inspection, found: Found) -> None:
    """Copies of an image with another label."""
    contradictions, vectors = inspection.contradictions(), inspection.vectors
    if not contradictions:
        return
    assert vectors is not None

    def told(position: int) -> str:
        return f"{inspection.ids[position]} ({truth_in_words(vectors[position], heads, class_names)})"

    found.warn(
        f"{len(contradictions)} image{'s have' if len(contradictions) > 1 else ' has'} a copy with another label; "
        "keep the one with the right label",
        [f"{told(one)} = {told(other)}" for one, other in contradictions],
    )


def _classes(names: Sequence[str]) -> str:
    return f"class{'es' if len(names) > 1 else ''} {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
