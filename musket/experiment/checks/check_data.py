"""Opens the data of an experiment before anything is trained, and says whether training would start."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.artifacts.layout import Layout
from musket.config.search_checks import trials_of
from musket.core.errors import ConfigError, DataError, MusketError, TrainingError
from musket.core.runtime import cores
from musket.data.dataset import check_rows
from musket.data.derived import TrainingView
from musket.data.draws import reading_epoch
from musket.data.identity import sample_ids
from musket.data.inspection import Inspection, Moments, inspect
from musket.data.likeness import Likeness, Twin
from musket.experiment.checks.findings import (
    Found,
    channel_name,
    name_classes,
    say_cells,
    say_contradictions,
    say_failures,
    say_images,
    say_masks,
    say_twins,
)
from musket.experiment.checks.label_findings import (
    HeadLabels,
    head_facts,
    labels_of,
    say_label_contradictions,
    say_labels,
    say_soft,
    say_unevenly_split,
)
from musket.experiment.class_columns import check_class_columns
from musket.experiment.class_names import class_names, unfit_names
from musket.experiment.plan import training_samples, validation_samples
from musket.experiment.prepare_data import PreparedData, prepare, samples_of
from musket.experiment.reading import TargetShape, background_for, checked_arrays, fetch
from musket.experiment.targets import heads_of
from musket.report.check_facts import ChannelFacts, DataFacts, FoldFacts
from musket.report.check_report import CheckReport, essentials

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.projects.project import Project

Progress = Callable[[int, int, int], object]
"""Called with the samples done, how many there are, and how many of those done cannot be used."""


def check_data(
    spec: NetworkSpec,
    layout: Layout,
    project: Project | None,
    open_dataset: Callable[[], Any],
    *,
    holdout: Sequence[int] | None = None,
    with_estimate: bool = True,
    fill_cache: bool = False,
    on_progress: Progress | None = None,
) -> CheckReport:
    """Look at all samples of an experiment, at its splits, and at a trial step. Writes nothing but the cache.

    Args:
        open_dataset: makes the dataset.
        holdout: positions of the holdout, in place of ``testSplit``.
        with_estimate: tell memory and time; needs torch and a step or two.
        fill_cache: keep what is decoded, as the key ``cache`` says, so that training need not decode it.

    Returns:
        the report; nothing that is wrong with the data is raised.

    Raises:
        ConfigError: the config names no such dataset.
    """
    found = Found()
    folders = [layout.base, *([] if project is None else [project.data])]
    with found.listening():
        try:
            dataset = open_dataset()
            count = len(dataset)
        except ConfigError:
            raise
        except MusketError as error:
            found.problem(str(error))
            return _report(spec, found)
        if not count:
            found.problem(f"{type(dataset).__name__} is empty; there is nothing to train on")
            return _report(spec, found)
        data, refusal = _split(spec, layout, project, dataset, holdout, fill_cache)
    if data is not None:
        dataset, ids = data.dataset, data.ids
    else:
        ids = _names(dataset)
    inspection = _inspected(spec, dataset, ids, on_progress=on_progress)
    say_failures(inspection, found)
    if refusal is not None and not any(failure.message in str(refusal) for failure in inspection.failures):
        found.problem(str(refusal))
    if not len(inspection.usable):
        return _report(spec, found, inspection)
    like = inspection.likeness()
    say_images(spec, inspection, found)
    labels = _say_targets(spec, dataset, inspection, found)
    if data is None:
        return _report(spec, found, inspection, like, labels=labels)
    say_unevenly_split(spec, labels, data, found)
    if spec.crops is not None:
        say_cells(spec.crops.cells, inspection, found)
    _say_training_view(spec, data, inspection, found)
    samples = samples_of(spec, data)
    try:
        with found.listening():
            check_class_columns(spec, samples.dataset)
    except ConfigError as error:
        for problem in error.problems:
            found.problem(f"{problem.key}: {problem.message}")
    except DataError as error:
        found.problem(str(error))
    try:
        background_for(spec, folders)
        if spec.dumpPredictionsToCSV:
            check_rows(data.dataset)
    except MusketError as error:
        found.problem(str(error))
    folds = _folds(spec, layout, data, samples, inspection, like, found)
    estimated = None
    if with_estimate and not found.problems:
        from musket.experiment.checks.estimate import estimate

        try:
            estimated = estimate(spec, samples, folders)
        except MusketError as error:
            found.problem(str(error))
        else:
            if estimated is not None and 0 < estimated.memory_there < estimated.memory:
                found.warn("training is likely to need more memory than there is; lower batch or shape")
    return _report(spec, found, inspection, like, labels, data, folds, estimated)


def _say_targets(spec: NetworkSpec, dataset: Any, inspection: Inspection, found: Found) -> list[HeadLabels]:
    """What is odd about the masks or the labels; the labels by head, none of masks."""
    heads = heads_of(spec)
    if heads is None:
        say_masks(spec, inspection, found)
        say_contradictions(inspection, found)
        return []
    try:
        names, unfit = class_names(dataset, spec), unfit_names(dataset, spec)
    except DataError as error:  # parts of other classes: who wanted to split them may have said it
        found.problem(str(error))
        names, unfit = None, ""
    if unfit:
        found.warn(unfit)
    labels = labels_of(heads, names, inspection)
    say_labels(spec, labels, inspection, found)
    say_soft(heads, inspection, found)
    say_label_contradictions(heads, names, inspection, found)
    return labels


def _report(
    spec: NetworkSpec,
    found: Found,
    inspection: Inspection | None = None,
    like: Likeness | None = None,
    labels: Sequence[HeadLabels] = (),
    data: PreparedData | None = None,
    folds: tuple[FoldFacts, ...] = (),
    estimate: Any = None,
) -> CheckReport:
    return CheckReport(
        config=str(spec.source),
        essentials=essentials(spec),
        shape="" if spec.input_size is None else f"{spec.input_size[1]} x {spec.input_size[0]}",
        data=None if inspection is None else _data_facts(inspection, like, labels, data),
        folds=folds,
        holdout=0 if data is None else len(data.holdout),
        estimate=estimate,
        trials=trials_of(spec),
        seeds=spec.num_seeds or 1,
        problems=tuple(found.problems),
        warnings=tuple(found.warnings),
    )


def _split(
    spec: NetworkSpec,
    layout: Layout,
    project: Project | None,
    dataset: Any,
    holdout: Sequence[int] | None,
    fill_cache: bool,
) -> tuple[PreparedData | None, MusketError | None]:
    """Ids and splits as training would have them, or why it would not."""
    try:
        return prepare(spec, layout, dataset, project, store=False, keep=fill_cache, holdout=holdout), None
    except ConfigError:
        raise
    except MusketError as error:
        return None, error


def _names(dataset: Any) -> Sequence[str]:
    """Ids, or positions where the dataset cannot tell all of them."""
    try:
        return sample_ids(dataset)
    except DataError:
        return [f"item {position}" for position in range(len(dataset))]


def _say_training_view(spec: NetworkSpec, data: PreparedData, inspection: Inspection, found: Found) -> None:
    """Training reads what ``dataset_augmenter`` makes of its samples: those must be as usable as they are."""
    if isinstance(data.dataset, TrainingView):
        trained = set[int]().union(*(fold.train for fold in data.folds))
        positions = sorted(trained.intersection(inspection.usable.tolist()))
        say_failures(_inspected(spec, data.dataset, data.ids, positions), found, "as dataset_augmenter gives it: ")


def _inspected(
    spec: NetworkSpec,
    dataset: Any,
    ids: Sequence[str],
    training: Sequence[int] | None = None,
    on_progress: Progress | None = None,
) -> Inspection:
    """What all samples are like, or those at the positions ``training`` as training reads them in its first epoch."""
    shape = TargetShape.of(spec)
    is_train = training is not None
    if training is not None:
        ids = [ids[position] for position in training]

    def read(position: int) -> tuple[np.ndarray, np.ndarray | None]:
        place = position if training is None else training[position]
        try:
            with reading_epoch(0 if is_train else None):
                item = fetch(dataset, place, is_train)
            return checked_arrays(item, ids[position], shape, needs_truth=True)
        except DataError:
            raise
        except Exception as error:
            said = str(error) if isinstance(error, MusketError) else f"{type(error).__name__}: {error}"
            raise DataError(f"cannot be used: {said}", sample=ids[position]) from error

    threads = cores()
    tell = None if on_progress is None else lambda done, failed: on_progress(done, len(ids), failed)
    of_vectors = shape.heads is not None
    return inspect(read, ids, shape.classes, of_vectors=of_vectors, threads=threads, on_progress=tell)


# ----------------------------------------------------------------------------------------------------------- folds


def _folds(
    spec: NetworkSpec,
    layout: Layout,
    data: PreparedData,
    samples: PreparedData,
    inspection: Inspection,
    like: Likeness,
    found: Found,
) -> tuple[FoldFacts, ...]:
    """How every fold is filled; what is wrong with one is said once for all it is wrong with."""
    told: dict[str, tuple[str, list[int]]] = {}
    leaks: dict[Twin, None] = {}
    lacking: dict[tuple[str, ...], list[int]] = {}
    filled = np.asarray(inspection.present.any(axis=1))
    folds = []
    for number, fold in enumerate(data.folds):
        seen, steps = [], []
        for stage in range(len(spec.stages)):
            try:
                sampler, batches = training_samples(spec, samples, number, stage)
                validation_samples(spec, samples, number, stage)
            except (DataError, TrainingError) as error:
                told.setdefault(re.sub(r"\d+", "#", str(error)), (str(error), []))[1].append(number)
                seen.append(None)
                steps.append(None)
            else:
                seen.append(len(sampler))
                steps.append(batches)
        twins = like.twins(fold.validation, fold.train)
        leaks.update(dict.fromkeys(twins))
        lost = inspection.present[fold.validation].any(axis=0) & ~inspection.present[fold.train].any(axis=0)
        if spec.gives_maps and lost.any():
            lacking.setdefault(tuple(map(str, np.flatnonzero(lost))), []).append(number)
        folds.append(
            FoldFacts(
                len(fold.train),
                int(filled[fold.train].sum()),
                len(fold.validation),
                int(filled[fold.validation].sum()),
                tuple(seen),
                tuple(steps),
                len(twins),
            )
        )
    for message, numbers in told.values():
        others = [str(number) for number in dict.fromkeys(numbers)][1:]
        more = f" (also fold{'s' if len(others) > 1 else ''} {', '.join(others)})" if others else ""
        found.problem(message + more)
    for missing, numbers in lacking.items():
        where = f"fold{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
        found.warn(
            f"{name_classes(missing)} occurs only in the validation part of {where}: it cannot be learnt there; "
            "set stratified: true, or fewer folds"
        )
    say_twins("validation", "training images of the same fold", list(leaks), data.ids, found)
    _say_holdout(data, like, found)
    for number, stage in enumerate(spec.stages):
        if stage.initial_weights is not None and not (path := layout.base / stage.initial_weights).exists():
            found.problem(f"{path}: stages[{number}].initial_weights: no such file")
    return tuple(folds)


def _say_holdout(data: PreparedData, like: Likeness, found: Found) -> None:
    if data.holdout:
        held = set(data.holdout)
        rest = [position for position in range(len(data.ids)) if position not in held]
        say_twins("holdout", "images of the folds", like.twins(data.holdout, rest), data.ids, found)


# ----------------------------------------------------------------------------------------------------------- facts


def _data_facts(
    inspection: Inspection, like: Likeness | None, labels: Sequence[HeadLabels], data: PreparedData | None
) -> DataFacts:
    depths = inspection.depths()
    moments = inspection.values[next(iter(depths))] if depths else Moments(0)
    masks, usable = inspection.masks, inspection.usable
    shown = inspection.present[usable].sum(axis=0)
    return DataFacts(
        samples=len(inspection.ids),
        usable=len(usable),
        sizes=tuple(inspection.sizes()),
        depths={depth: len(positions) for depth, positions in depths.items()},
        channels=tuple(
            ChannelFacts(
                channel_name(number, moments.channels),
                float(moments.low[number]),
                float(moments.high[number]),
                float(moments.mean[number]),
                float(moments.std[number]),
            )
            for number in range(moments.channels)
        ),
        classes=()
        if labels
        else tuple(
            (float(pixels) / max(1, masks.pixels), int(samples))
            for pixels, samples in zip(masks.of_class, shown, strict=True)
        ),
        empty=0 if labels else len(inspection.empty),
        repeated=0 if like is None else like.repeated(),
        seconds=inspection.seconds,
        heads=tuple(head_facts(labels, inspection, data)),
    )
