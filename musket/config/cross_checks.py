"""What values mean beyond their type: optimizer, data, freezing and images, and how keys fit each other.

Every function looks at a spec whose values have the right types; keys that were refused before hold None or their
default and are named in ``absent``, so that one mistake is reported once. Outputs are checked in
:mod:`musket.config.output_checks`, metrics in :mod:`musket.config.logged_figures`, parts in
:mod:`musket.config.bind_parts`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from musket.config import data_keys
from musket.config.bind import bind
from musket.config.logged_figures import canonical_finals, logged_as, plain_metrics
from musket.config.schema import (
    ClassificationSpec,
    ExperimentSpec,
    ImageSpec,
    NetworkSpec,
    StageSpec,
)
from musket.config.tree import Loc, closest, describe
from musket.config.values import Call, Portions
from musket.config.vocabulary import Finding, Findings, Vocabulary, architecture_entry, architectures_of, missing_entry
from musket.core.heads import kind_of

Network = TypeVar("Network", bound=NetworkSpec)


def check_optimizer(spec: ExperimentSpec, vocabulary: Vocabulary) -> Findings:
    """The optimizer exists."""
    if spec.optimizer not in vocabulary.optimizers:
        yield Finding(("optimizer",), missing_entry(vocabulary.optimizers, spec.optimizer))


def check_data(spec: ExperimentSpec, vocabulary: Vocabulary) -> Findings:
    """Datasets and functions that are named exist, and take their arguments."""
    for key in ("dataset", "extra_train_data"):
        form = getattr(spec, key)
        if key == "extra_train_data" and isinstance(form, str) and form in vocabulary.extra_train:
            continue
        if isinstance(form, str) and form not in spec.datasets:
            hint = "" if key == "dataset" else "; datasets made in Python: segmentation.extra_train[name], before parse"
            yield Finding((key,), _no_dataset(form, spec, vocabulary) + hint)
        elif isinstance(form, Call):
            yield from _call(form, (key,), vocabulary)
        elif isinstance(form, Portions):
            for part, calls in (("train", form.train), ("validation", form.validation), ("holdout", form.holdout)):
                for call in calls:
                    yield from _call(call, (key, part), vocabulary)
    for name, form in spec.datasets.items():
        if isinstance(form, Call):
            yield from _call(form, ("datasets", name), vocabulary)
    for key in ("groupFunc", "pretrain_transform"):
        name = getattr(spec, key)
        if name is not None and name not in vocabulary.datasets:
            yield Finding((key,), f"no such function {describe(name)} in modules/ of the project or in imports")
    if spec.dataset_augmenter is not None:
        yield from _augmenter(spec.dataset_augmenter, vocabulary)
    yield from (Finding(*problem) for problem in data_keys.problems(spec))


def _augmenter(form: Mapping[str, Any], vocabulary: Vocabulary) -> Findings:
    """The factory of a dataset augmenter exists, and takes the keys beside its name."""
    loc = ("dataset_augmenter",)
    name = form.get("name")
    if not isinstance(name, str):
        yield Finding((*loc, "name"), "missing; name a function of the project, or of segmentation.dataset_augmenters")
    elif name not in vocabulary.dataset_augmenters:
        near = closest(name, list(vocabulary.dataset_augmenters.spellings()))
        hint = f"nearest: {', '.join(near)}" if near else "none like it in the project or in dataset_augmenters"
        yield Finding((*loc, "name"), f"no such function {describe(name)}; {hint}")
    else:
        options = {key: value for key, value in form.items() if key != "name"}
        _, faults = bind(vocabulary.dataset_augmenters.get(name), (), options)
        yield from (Finding((*loc, fault.option) if fault.option else loc, fault.message) for fault in faults)


def _no_dataset(name: str, spec: ExperimentSpec, vocabulary: Vocabulary) -> str:
    if name in vocabulary.datasets:
        return f"{name} is a function, not an entry of datasets; write {{{name}: []}}"
    near = closest(name, list(spec.datasets))
    hint = f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(spec.datasets) or 'none'}"
    return f"no such entry of datasets {describe(name)}; {hint}"


def _call(call: Call, loc: Loc, vocabulary: Vocabulary) -> Findings:
    at = (*loc, call.name)
    if call.name not in vocabulary.datasets:
        near = closest(call.name, list(vocabulary.datasets.spellings()))
        hint = f"nearest: {', '.join(near)}" if near else "none like it in modules/ of the project or in imports"
        yield Finding(at, f"no such dataset function; {hint}", key=True)
        return
    _, faults = bind(vocabulary.datasets.get(call.name), call.args, call.kwargs)
    yield from (Finding((*at, fault.option) if fault.option else at, fault.message) for fault in faults)


def check_freezing(spec: ImageSpec, vocabulary: Vocabulary) -> Findings:
    """Nothing is frozen and unfrozen at once, or frozen that cannot be."""
    known = isinstance(spec, NetworkSpec)
    entry = architecture_entry(spec.architecture, architectures_of(type(spec), vocabulary)) if known else None
    unfreezable = entry.name if entry is not None and entry.facts.get("freezable") is False else ""
    places: list[tuple[Loc, ImageSpec | StageSpec]] = [((), spec)]
    places += [(("stages", i), stage) for i, stage in enumerate(spec.stages)]
    for loc, holder in places:
        if holder.freeze_encoder and holder.unfreeze_encoder:
            yield Finding((*loc, "unfreeze_encoder"), "contradicts freeze_encoder: true beside it; keep one of them")
        elif unfreezable and (holder.freeze_encoder or holder.unfreeze_encoder is False):
            key = "freeze_encoder" if holder.freeze_encoder else "unfreeze_encoder"
            yield Finding((*loc, key), f"the encoder of {unfreezable} cannot be frozen; leave this out")


def frozen_at_random(spec: NetworkSpec, vocabulary: Vocabulary) -> Findings:
    """The first stage freezes an encoder that nobody has trained. Of networks of the user's own nobody knows."""
    entry = architecture_entry(spec.architecture, architectures_of(type(spec), vocabulary))
    key = "weights" if isinstance(spec, ClassificationSpec) else "encoder_weights"
    ours = entry is not None and isinstance(entry.target, str)
    if not ours or getattr(spec, key) is not None or any(stage.initial_weights for stage in spec.stages):
        return
    places: list[tuple[Loc, ImageSpec | StageSpec]] = [(("stages", 0), spec.stages[0]), ((), spec)]
    for loc, holder in places:
        if holder.freeze_encoder or holder.unfreeze_encoder is False:
            named = "freeze_encoder" if holder.freeze_encoder else "unfreeze_encoder"
            words = f"freezes an encoder of random weights, as {key} is null and no stage has initial_weights"
            yield Finding((*loc, named), f"{words}; give weights, or leave this out", key=True)
            return
        if holder.unfreeze_encoder or (loc and holder.freeze_encoder is False):
            return


VIEWS = {"horizontal": "Horizontal", "horizontal_and_vertical": "Horizontal_and_vertical", "all": "All"}
"""Named sets of views an image is predicted in, folded -> canonical."""


def check_images(spec: ImageSpec, absent: Collection[str]) -> Findings:
    """Cells, views, normalisation and transforms fit the network's input."""
    views = spec.testTimeAugmentation
    if isinstance(views, str) and views.lower() not in VIEWS:
        allowed = ", ".join(VIEWS.values())
        yield Finding(("testTimeAugmentation",), f"found {describe(views)}; must be {allowed}, true or false")
    shape = getattr(spec, "shape", None)
    if isinstance(spec, NetworkSpec) and shape is not None and "shape" not in absent:
        if spec.crops is not None and any(side % spec.crops.cells for side in shape[:2]):
            n = spec.crops.cells
            near = [max(1, round(side / n)) * n for side in shape[:2]]
            advice = f"use {near}" if min(near) >= 16 * n else "lower crops, or enlarge shape"
            yield Finding(("shape",), f"{shape[0]} x {shape[1]} cannot be cut into {n} x {n} cells; {advice}")
        if spec.normalize is not None and len(spec.normalize.mean) not in (1, shape[2]):
            found = f"{len(spec.normalize.mean)} numbers for {shape[2]} channels"
            yield Finding(("normalize", "mean"), f"found {found}; give one, or one per channel of shape")
    replacers = [i for i, part in enumerate(spec.augmentation) if part.name.lower() == "backgroundreplacer"]
    for position in replacers[1:]:
        place: Loc = ("augmentation", position, spec.augmentation[position].name)
        yield Finding(place, "stands there already; an image has one background, so keep one", key=True)
    for position, part in enumerate(spec.transforms):
        if part.name.lower() == "backgroundreplacer":
            at: Loc = ("transforms", part.name) if len(spec.transforms) == 1 else ("transforms", position, part.name)
            yield Finding(at, "changes training images only; put it under augmentation", key=True)


def check_shares(spec: NetworkSpec) -> Findings:
    """Several devices share every batch equally."""
    if words := unfit_shares(spec):
        yield Finding(("gpus",), words)


def unfit_shares(spec: NetworkSpec) -> str | None:
    """Why batches cannot be shared by the devices, and what would do; None: they can."""
    batch, count = spec.batch, spec.gpus
    if batch % count:
        sizes = " or ".join(str(size) for size in (batch // count * count, (batch // count + 1) * count) if size)
        counts = [number for number in range(1, count) if batch % number == 0]
        return (
            f"batch is that of all devices together, and {batch} cannot be shared by {count} of them equally; set "
            f"batch to {sizes}, or gpus to {' or '.join(map(str, counts[-2:]))}"
        )
    if batch == count > 1 and (spec.mixup or spec.cutmix):
        return (
            f"batch: {batch} leaves each of {count} devices a single sample, and mixup and cutmix mix samples of one "
            f"device; set batch to {2 * count}"
        )
    return None


def without_effect(spec: ExperimentSpec) -> Findings:
    """Keys that are fine but do nothing here."""
    if isinstance(spec, ClassificationSpec):
        for part in spec.augmentation:
            if part.name.lower() == "backgroundreplacer":
                words = "no effect: which part of an image is background only masks tell, and labels are no masks"
                yield Finding(("augmentation", part.name), words, key=True)
    if isinstance(spec, NetworkSpec) and spec.label_smoothing and not any(map(_shares, spec.head_activations)):
        yield Finding(("label_smoothing",), "no effect: no output has sigmoid or softmax", key=True)
    if isinstance(spec, NetworkSpec) and spec.batch == 1:
        for key in ("mixup", "cutmix"):
            if getattr(spec, key):
                yield Finding((key,), "no effect: batch is 1, and images are mixed within a batch", key=True)
    if "validationSplit" in spec.model_fields_set and spec.validationSplit != 0.2 and spec.folds_count != 1:
        yield Finding(("validationSplit",), f"no effect: folds_count is {spec.folds_count}, not 1", key=True)
    if spec.groupFunc is not None and not spec.stratified:
        yield Finding(("groupFunc",), "no effect without stratified: true", key=True)
    yield from (Finding(*remark) for remark in data_keys.remarks(spec))


def long_warmups(spec: NetworkSpec) -> Findings:
    """Warm-ups that a stage ends before. For callbacks whose options are bound to their names."""
    for number, stage in enumerate(spec.stages):
        inherited = [] if stage.callbacks is not None else [(("callbacks",), part) for part in spec.callbacks]
        own = [(("stages", number, "callbacks"), part) for part in stage.callbacks or ()]
        own += [(("stages", number, "extra_callbacks"), part) for part in stage.extra_callbacks]
        for loc, part in [*inherited, *own]:
            warmup = part.options.get("warmup") if part.name == "WarmupCosine" else None
            if isinstance(warmup, int | float) and warmup >= stage.epochs > 0:
                words = f"WarmupCosine warms up for {warmup:g} epochs, and stages[{number}] has {stage.epochs}"
                yield Finding(loc, f"{words}: the full rate is never reached; lower warmup, or raise epochs")


def _shares(activation: str) -> bool:
    """Whether an output gives shares from 0 to 1; by default it does."""
    return not activation or kind_of(activation) != "values"


def canonical(spec: Network, columns: Sequence[str], vocabulary: Vocabulary) -> Network:
    """The spec with canonical names, and with what follows from other keys filled in. For a spec without problems."""
    views = spec.testTimeAugmentation
    own_validation = isinstance(spec.dataset, Portions) and bool(spec.dataset.validation)
    return spec.model_copy(
        update={
            "folds_count": 1 if own_validation else spec.folds_count,
            "testTimeAugmentation": VIEWS[views.lower()] if isinstance(views, str) else views or None,
            "architecture": architectures_of(type(spec), vocabulary).get(spec.architecture).name,
            "optimizer": vocabulary.optimizers.get(spec.optimizer).name,
            "metrics": plain_metrics(spec.metrics),
            "final_metrics": canonical_finals(spec, vocabulary),
            "primary_metric": logged_as(spec.primary_metric, columns, vocabulary) or spec.primary_metric,
            "dataset": _canonical_call(spec.dataset, vocabulary),
            "datasets": {name: _canonical_call(form, vocabulary) for name, form in spec.datasets.items()},
        }
    )


def _canonical_call(form: Any, vocabulary: Vocabulary) -> Any:
    return replace(form, name=vocabulary.datasets.get(form.name).name) if isinstance(form, Call) else form
