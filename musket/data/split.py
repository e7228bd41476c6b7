"""Which samples are held out, trained on and validated on: pure functions of counts, classes and settings.

The rules are those of the former framework, so that a config gives the folds it always gave: the holdout is shuffled by
Python's generator, the folds are scikit-learn's.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from musket.core.errors import DataError
from musket.core.identity import examples, fingerprint
from musket.core.types import Split, Splits
from musket.data.dataset import teller
from musket.data.iterative_stratification import iterative_parts
from musket.data.strata import Strata, stratify_classes

FEWER_THAN_FOLDS = "fewer samples than there are folds"
"""In the warning about classes that cannot be in every fold."""


@dataclass(frozen=True)
class SplitSettings:
    """Keys of the config that decide about splits, under their names there.

    Attributes:
        folds_count: number of folds; 1 = one cut of the size ``validationSplit``.
        random_state: seed of the folds.
        stratified: keep the shares of the classes in every part.
        validationSplit: share of validation samples when there is one fold, 0..1.
        testSplit: share of the holdout, 0..1; 0 = none.
        testSplitSeed: seed of the holdout.
    """

    folds_count: int = 5
    random_state: int = 33
    stratified: bool = False
    validationSplit: float = 0.2
    testSplit: float = 0.0
    testSplitSeed: int = 123


def splits_of(
    dataset: Any,
    settings: SplitSettings,
    *,
    group_function: Callable[[Any], Any] | None = None,
    of_targets: Callable[[Any], Any] | None = None,
    holdout: Iterable[int] | None = None,
) -> Splits:
    """Splits of a dataset: :func:`make_splits` with the classes, groups, folds and holdout the dataset itself tells.

    Args:
        group_function: the function behind the config key ``groupFunc``.
        of_targets: see :func:`stratify_classes`.
        holdout: holdout set by hand; wins over the dataset's ``holdoutArr``.

    Raises:
        DataError: see :func:`make_splits`.
    """
    return make_splits(
        len(dataset),
        settings,
        labels=lambda: stratify_classes(dataset, group_function, of_targets),
        groups=groups_of(dataset),
        given_folds=getattr(dataset, "folds", None),
        given_holdout=getattr(dataset, "holdoutArr", None) if holdout is None else holdout,
    )


def holdout_of(
    dataset: Any,
    settings: SplitSettings,
    *,
    group_function: Callable[[Any], Any] | None = None,
    of_targets: Callable[[Any], Any] | None = None,
    holdout: Iterable[int] | None = None,
) -> Split | None:
    """The holdout cut of :func:`splits_of` alone."""
    given = getattr(dataset, "holdoutArr", None) if holdout is None else holdout
    count = len(dataset)
    if given is not None or settings.testSplit <= 0:
        return cut_holdout(count, settings, given=given)
    groups = groups_of(dataset)
    return cut_holdout(
        count,
        settings,
        Strata.of(stratify_classes(dataset, group_function, of_targets), count) if settings.stratified else None,
        None if groups is None else Strata.of(groups, count).codes,
    )


def split_record(dataset: Any, settings: SplitSettings, *, holdout: Iterable[int] | None = None) -> dict[str, Any]:
    """What the splits of a dataset depend on, as plain data: the settings that matter, and digests of what is given."""
    given_folds = getattr(dataset, "folds", None)
    given_holdout = getattr(dataset, "holdoutArr", None) if holdout is None else holdout
    record: dict[str, Any] = asdict(settings)
    if given_holdout is not None:
        record |= {"holdout": _digest([given_holdout]), "testSplit": None, "testSplitSeed": None}
    elif not settings.testSplit:
        record["testSplitSeed"] = None
    if given_folds is not None:
        record |= {"folds": _digest([part for fold in given_folds for part in fold])}
        record |= {"folds_count": None, "random_state": None, "validationSplit": None}
    elif settings.folds_count != 1:
        record["validationSplit"] = None
    if teller(dataset, "get_group") is not None:
        record["groups"] = True
    return {key: value for key, value in record.items() if value is not None}


def make_splits(
    count: int,
    settings: SplitSettings,
    *,
    labels: Callable[[], Any] | None = None,
    groups: Any = None,
    given_folds: Sequence[Any] | None = None,
    given_holdout: Iterable[int] | None = None,
) -> Splits:
    """Holdout and folds of ``count`` samples.

    Args:
        labels: gives the class of every sample (values of any kind), rows of 0/1 for several labels at a time, or
            :class:`Strata`; called only when the settings ask for stratification.
        groups: group of every sample; samples of one group stay together.
        given_folds: (train, validation) positions per fold, instead of drawing them; those of the holdout are left out.
        given_holdout: positions, instead of drawing them.

    Returns:
        positions in the dataset.

    Raises:
        DataError: too few samples, classes or groups; positions outside the dataset; not one label per sample.
    """
    if count == 0:
        raise DataError("the dataset is empty; there is nothing to split")
    drawn = given_folds is None or (given_holdout is None and settings.testSplit > 0)
    classes = Strata.of(labels(), count) if settings.stratified and drawn and labels is not None else None
    if classes is not None and classes.codes.ndim == 1 and len(classes.counts) == 1:
        only = next(iter(classes.counts))
        warnings.warn(
            f"stratified: all samples are of one class ({only}); there is nothing to keep alike", stacklevel=3
        )
    owners = None if groups is None else Strata.of(groups, count).codes
    holdout = cut_holdout(count, settings, classes, owners, given_holdout)
    rest = np.arange(count) if holdout is None else np.asarray(holdout.train)
    if given_folds is not None:
        return Splits(holdout, tuple(_given(given_folds, count, () if holdout is None else holdout.validation)))
    folds = cut_folds(
        len(rest), settings, None if classes is None else classes[rest], None if owners is None else owners[rest]
    )
    return Splits(holdout, tuple(Split(rest[fold.train].tolist(), rest[fold.validation].tolist()) for fold in folds))


def cut_holdout(
    count: int,
    settings: SplitSettings,
    classes: Strata | None = None,
    groups: np.ndarray | None = None,
    given: Iterable[int] | None = None,
) -> Split | None:
    """The holdout (``validation`` of the result) and the rest (``train``), or None when nothing is held out.

    Plain: 0..n-1 shuffled by Python's generator, the first ``round(n - n * testSplit)`` are the rest. Stratified: first
    cut of scikit-learn's StratifiedShuffleSplit(4); for several labels, and where not every class fits into both parts,
    iterative stratification. Groups: GroupShuffleSplit, a share of the groups. Given: the rest is everything else, in
    order.

    Args:
        classes: None = not stratified.
        groups: codes; None = none.
        given: positions of the holdout.

    Raises:
        DataError: a part would be empty, a position is outside the dataset.
    """
    if given is not None:
        held = _positions(given, count, "the holdout")
        if not held:
            return None
        kept = set(held)
        split = Split([index for index in range(count) if index not in kept], held)
    elif settings.testSplit <= 0:
        return None
    elif classes is None and groups is None:
        order = list(range(count))
        random.Random(settings.testSplitSeed).shuffle(order)
        size = round(count - count * settings.testSplit)
        split = Split(order[:size], order[size:])
    else:
        split = _shuffled_cut(count, settings.testSplit, settings.testSplitSeed, classes, groups, "testSplit")
    if not split.train or not split.validation:
        raise DataError(
            f"testSplit {settings.testSplit} of {count} samples gives {len(split.validation)} held out and "
            f"{len(split.train)} left; both must have some: change testSplit, or add images"
        )
    return split


def cut_folds(
    count: int, settings: SplitSettings, classes: Strata | None = None, groups: np.ndarray | None = None
) -> list[Split]:
    """Folds of the positions 0..count-1 that are left after the holdout.

    KFold or StratifiedKFold, shuffled; GroupKFold and StratifiedGroupKFold for groups; iterative stratification for
    several labels, and where no class has a sample for every fold. One fold: train_test_split of the size
    ``validationSplit``, rounded up; stratified, cut as :func:`cut_holdout` does where that cannot be.

    Args:
        classes: None = not stratified.
        groups: codes; None = none.

    Raises:
        DataError: too few samples or groups; groups with several labels, or with rare classes alone.
    """
    if settings.folds_count == 1:
        seed = settings.random_state
        return [_shuffled_cut(count, settings.validationSplit, seed, classes, groups, "validationSplit", plain=True)]
    if count < settings.folds_count:
        raise DataError(f"{settings.folds_count} folds need as many samples, there are {count}; lower folds_count")
    model_selection = _sklearn()
    options = {"n_splits": settings.folds_count, "shuffle": True, "random_state": settings.random_state}
    if classes is None:
        splitter = (model_selection.KFold if groups is None else model_selection.GroupKFold)(**options)
    elif classes.codes.ndim == 2 or (groups is None and max(classes.counts.values()) < settings.folds_count):
        _refuse_groups(groups)
        splitter = None
    else:
        kind = model_selection.StratifiedKFold if groups is None else model_selection.StratifiedGroupKFold
        splitter = kind(**options)
    if classes is not None:
        _warn_rare(classes, settings.folds_count)
    if splitter is None:
        assert classes is not None, "only classes are spread iteratively"
        shares = [1 / settings.folds_count] * settings.folds_count
        numbers = _iterative(classes, count, shares, settings.random_state)
        parts = [(np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold)) for fold in range(len(shares))]
    else:
        with _explained("folds_count"):
            parts = list(splitter.split(np.zeros((count, 1)), None if classes is None else classes.codes, groups))
    return [Split(train.tolist(), validation.tolist()) for train, validation in parts]


def with_extra_train(folds: Iterable[Split], start: int, count: int) -> list[Split]:
    """Folds with the positions start..start+count-1, extra data behind the main dataset, in every train part."""
    extra = range(start, start + count)
    return [Split([*fold.train, *extra], fold.validation) for fold in folds]


def groups_of(dataset: Any) -> list[Any] | None:
    """Group of every sample (samples of one patient, one video), if the dataset has a method ``get_group(i)``."""
    tell = teller(dataset, "get_group")
    return None if tell is None else [tell(index) for index in range(len(dataset))]


def _shuffled_cut(
    count: int,
    share: float,
    seed: int,
    classes: Strata | None,
    groups: np.ndarray | None,
    key: str,
    *,
    plain: bool = False,
) -> Split:
    """One random cut: by train_test_split if ``plain``, else the first of four shuffles, as documented for holdouts."""
    model_selection = _sklearn()
    rows = np.zeros((count, 1))
    with _explained(key):
        if groups is not None:
            if classes is not None:
                warnings.warn(f"{key} keeps groups together and is not stratified", stacklevel=4)
            cut = model_selection.GroupShuffleSplit(1, test_size=share, random_state=seed)
            train, held = next(cut.split(rows, None, groups))
        elif classes is not None and not _in_both_parts(classes, count, share):
            _warn_lonely(classes, key)
            size = math.ceil(count * share)
            numbers = _iterative(classes, count, [(count - size) / count, size / count], seed)
            train, held = np.flatnonzero(numbers == 0), np.flatnonzero(numbers == 1)
            if not len(train) or not len(held):
                raise ValueError(_too_small(classes, count, size, "left" if len(held) else "held out"))
        elif plain:
            codes = None if classes is None else classes.codes
            train, held = model_selection.train_test_split(
                np.arange(count), test_size=share, random_state=seed, shuffle=True, stratify=codes
            )
        else:
            assert classes is not None, "the plain cut of a holdout is made elsewhere"
            cut = model_selection.StratifiedShuffleSplit(4, test_size=share, random_state=seed)
            train, held = next(cut.split(rows, classes.codes))
    return Split(train.tolist(), held.tolist())


def _iterative(classes: Strata, count: int, shares: Sequence[float], seed: int) -> np.ndarray:
    """Number of the part of every sample, by iterative stratification."""
    samples, labels = classes.pairs()
    return iterative_parts(samples, labels, count, len(classes.names), shares, seed)


def _in_both_parts(classes: Strata, count: int, share: float) -> bool:
    """Whether scikit-learn can put every class into both parts of a cut; several labels at a time it does not take."""
    held = math.ceil(count * share)
    counts = classes.counts.values()
    return classes.codes.ndim == 1 and min(counts) >= 2 and min(held, count - held) >= len(counts)


def _sklearn() -> Any:
    """scikit-learn's splitters; imported when something is drawn, which is once in the life of an experiment."""
    from sklearn import model_selection

    return model_selection


def _too_small(classes: Strata, count: int, size: int, what: str) -> str:
    counts = sorted(classes.counts.values())
    each = f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
    return (
        f"none would be {what}: {len(counts)} classes of {each} samples ({examples(list(classes.counts))}) are too "
        f"small to be cut into {count - size} and {size}"
    )


@contextmanager
def _explained(key: str) -> Iterator[None]:
    """Turn the splitter's refusals into ours."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            yield
    except ValueError as error:
        raise DataError(
            f"the samples cannot be split ({error}); change {key}, add or merge rare classes, or set stratified: false"
        ) from error


def _warn_rare(classes: Strata, folds: int) -> None:
    counts = classes.counts
    rare = {name: count for name, count in counts.items() if count < folds}
    if rare:
        named = examples([f"{name} ({count})" for name, count in rare.items()], 10)
        warnings.warn(
            f"{len(rare)} of {len(counts)} classes have {FEWER_THAN_FOLDS} ({folds}): {named}; "
            "some folds validate without them",
            stacklevel=4,
        )


def _warn_lonely(classes: Strata, key: str) -> None:
    counts = classes.counts
    lonely = [name for name, count in counts.items() if count == 1]
    if lonely:
        warnings.warn(
            f"{len(lonely)} of {len(counts)} classes have a single sample, which is in one part of the cut by {key} "
            f"alone: {examples(lonely, 10)}",
            stacklevel=5,
        )


def _refuse_groups(groups: np.ndarray | None) -> None:
    if groups is not None:
        raise DataError("several labels at a time cannot be stratified while keeping groups; set stratified: false")


def _given(folds: Sequence[Any], count: int, held: Iterable[int]) -> Iterator[Split]:
    """Folds a dataset brings along, checked, without the samples of the holdout."""
    held = set(held)
    if not len(folds):
        raise DataError("the dataset's folds are an empty list; give (train, validation) positions, or no folds at all")
    for number, fold in enumerate(folds):
        train, validation = (
            [index for index in _positions(part, count, f"fold {number}") if index not in held] for part in fold
        )
        both = set(train) & set(validation)
        if both:
            warnings.warn(
                f"fold {number} validates {len(both)} samples it trains on; its scores will look better than they are",
                stacklevel=4,
            )
        yield Split(train, validation)


def _positions(values: Iterable[Any], count: int, what: str) -> list[int]:
    positions = [int(value) for value in values]
    outside = [index for index in positions if not 0 <= index < count]
    if outside:
        raise DataError(f"{what} names position {outside[0]}, but the dataset has {count} samples (0..{count - 1})")
    return positions


def _digest(parts: Iterable[Iterable[int]]) -> str:
    texts = [" ".join(str(int(index)) for index in part) for part in parts]
    return f"given ({fingerprint([f'{number}: {text}' for number, text in enumerate(texts)])[:12]})"
