"""What values mean beyond their type: names that must exist, and keys that must fit each other.

Every function looks at a spec whose values have the right types; keys that were refused before hold None or their
default and are named in ``absent``, so that one mistake is reported once.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from pydantic_core import PydanticCustomError

from musket.config import data_keys
from musket.config.bind import bind, is_ours, options_of, refusal
from musket.config.schema import (
    ClassificationSpec,
    ExperimentSpec,
    ImageSpec,
    NetworkSpec,
    SegmentationSpec,
    StageSpec,
)
from musket.config.tree import Loc, closest, describe
from musket.config.values import Call, FinalMetric, Part, Portions, read_parts, show_parts
from musket.core.errors import MusketError
from musket.core.registry import Entry, Registry

Spec = TypeVar("Spec", bound=ExperimentSpec)
Network = TypeVar("Network", bound=NetworkSpec)


class Term(Protocol):
    """One loss of a sum: its name and weight."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float: ...


def _no_problem(*_: object) -> None:
    return None


@dataclass(frozen=True)
class Vocabulary:
    """Every name a config may use. Handed in, because configs are read below the rooms that own the names.

    Attributes:
        architectures: segmentation architectures; parameters of their targets are the options at the root of the file.
        networks: networks of classification; likewise.
        callbacks: learning-rate schedules among them.
        schedules: torch's schedules by their own names, for callbacks that combine several.
        datasets: functions that make datasets; those of the project included.
        dataset_augmenters: functions that make dataset augmenters; those of the project included.
        extra_train: datasets handed over in Python for extra_train_data, by name.
        final_metrics: functions and classes of the project included.
        parse_loss: text of a loss -> its terms; raises ValueError with a sentence.
        check_loss: (text, activation) -> anything; raises ValueError or MusketError when such a loss cannot be meant.
        check_encoder: (encoder, architecture, its options) -> what is wrong with the encoder, or None.
        check_weights: (weights, encoder, architecture, its options) -> what is wrong with the weights, or None.
        check_network: (network, its options, pooling) -> what is wrong with a network of classification, or None.
        check_network_weights: (weights, network) -> what is wrong with the weights, or None.
        metric_columns: (metric, activations of the heads, their names) -> the columns it is logged in; none where it
            makes no sense.
        supplied: parameters of architectures that the program fills in; the others are options.
        option_docs: what options of architectures mean, by name.
    """

    architectures: Registry
    losses: Registry
    metrics: Registry
    optimizers: Registry
    callbacks: Registry
    augmenters: Registry
    activations: Registry
    datasets: Registry
    parse_loss: Callable[[str], Sequence[Term]]
    preprocessors: Registry = field(default_factory=lambda: Registry("preprocessor"))
    schedules: Registry = field(default_factory=lambda: Registry("schedule"))
    dataset_augmenters: Registry = field(default_factory=lambda: Registry("dataset augmenter"))
    extra_train: Collection[str] = frozenset()
    final_metrics: Registry = field(default_factory=lambda: Registry("final metric", "final_metrics"))
    check_loss: Callable[[str, str], object] = _no_problem
    check_encoder: Callable[[str, str, Mapping[str, Any]], str | None] = _no_problem
    check_weights: Callable[[str | None, str, str, Mapping[str, Any]], str | None] = _no_problem
    networks: Registry = field(default_factory=lambda: Registry("network"))
    check_network: Callable[[str, Mapping[str, Any], str | None], str | None] = _no_problem
    check_network_weights: Callable[[str | None, str], str | None] = _no_problem
    metric_columns: Callable[[str, Sequence[str], Sequence[str]], Sequence[str]] = lambda name, *_: (name,)
    supplied: frozenset[str] = frozenset()
    option_docs: Mapping[str, str] = field(default_factory=dict)

    def direction(self, name: str) -> str | None:
        """``min`` or ``max`` for a logged value (with or without ``val_``), None when nobody has said."""
        bare = name.removeprefix("val_")
        if bare == "loss":
            return "min"
        for registry in (self.metrics, self.losses, self.final_metrics):
            if bare in registry and (mode := registry.get(bare).facts.get("mode")) in ("min", "max"):
                return str(mode)
        return None


@dataclass(frozen=True)
class Finding:
    """Something wrong at ``loc``. ``key``: point at the key, not at its value."""

    loc: Loc
    message: str
    key: bool = False


Findings = Iterator[Finding]
_PATH_LIKE = re.compile(r"[/\\]|\.(pt|pth|ckpt|h5|hdf5|weights|safetensors|onnx|pkl)$", re.IGNORECASE)


def missing_entry(registry: Registry, name: str) -> str:
    """The sentence for an unknown name."""
    near = closest(name, list(registry.spellings()))
    hint = f"nearest: {', '.join(near)} " if near else ""
    return f"no such {registry.kind} {describe(name)}; {hint}(all: musket ls {registry.plural})"


def architectures_of(model: type[ExperimentSpec], vocabulary: Vocabulary) -> Registry:
    """Where the names of ``architecture`` are, for a kind of experiment."""
    return vocabulary.networks if issubclass(model, ClassificationSpec) else vocabulary.architectures


def architecture_entry(name: Any, registry: Registry) -> Entry | None:
    """The entry of an architecture, None when there is none of that name."""
    return registry.get(name) if isinstance(name, str) and name in registry else None


def default_activation(classes: int | Sequence[int]) -> str | tuple[str, ...]:
    """Sigmoid for one class, softmax for several; for every output on its own."""
    if isinstance(classes, int):
        return "sigmoid" if classes == 1 else "softmax"
    return tuple("sigmoid" if count == 1 else "softmax" for count in classes)


@dataclass(frozen=True)
class Head:
    """One output of the network. ``position`` is None when it is the only one."""

    position: int | None
    classes: int
    activation: str
    listed: frozenset[str]

    def at(self, key: str, *before: str | int) -> Loc:
        """Where this head's value of a key stands."""
        return (*before, key, self.position) if key in self.listed and self.position is not None else (*before, key)


def heads(spec: NetworkSpec) -> list[Head]:
    """The outputs of the network as far as they fit together; see :func:`check_heads`."""
    listed = frozenset(key for key in ("activation", "loss") if isinstance(getattr(spec, key), tuple))
    if not isinstance(spec.classes, tuple):
        text = spec.activation if isinstance(spec.activation, str) else ""
        return [Head(None, spec.classes, text, frozenset())]
    names = spec.activation if isinstance(spec.activation, tuple) else (spec.activation,) * len(spec.classes)
    return [
        Head(position, count, name, listed)
        for position, (count, name) in enumerate(zip(spec.classes, names, strict=False))
    ]


def check_heads(spec: NetworkSpec, absent: Collection[str]) -> Findings:
    """Lists of classes, activations and losses are equally long."""
    if "classes" in absent:
        return
    count = len(spec.classes) if isinstance(spec.classes, tuple) else None
    given = {("activation",): spec.activation, ("loss",): spec.loss}
    given |= {("stages", i, "loss"): stage.loss for i, stage in enumerate(spec.stages)}
    for loc, value in given.items():
        if isinstance(value, tuple) and len(value) != count:
            wanted = "classes is one number; give one" if count is None else f"classes lists {count} outputs"
            yield Finding(loc, f"found a list of {len(value)}; {wanted}")
    if spec.class_weights is not None and "class_weights" not in absent:
        yield from _check_class_weights(spec)
    if isinstance(spec, ClassificationSpec) and spec.head_names and "head_names" not in absent:
        wrong = len(spec.head_names) != len(spec.head_sizes)
        if wrong or len(set(spec.head_names)) < len(spec.head_names):
            wanted = f"{len(spec.head_sizes)} different name{'s' if len(spec.head_sizes) != 1 else ''}, one per head"
            yield Finding(("head_names",), f"found {', '.join(spec.head_names)}; classes asks for {wanted}")


def _check_class_weights(spec: NetworkSpec) -> Findings:
    """A weight per class, of every output."""
    given = spec.class_weights
    if spec.gives_maps and (given == "balanced" or "balanced" in given):
        yield Finding(("class_weights",), "balanced counts labels; for masks give a number per class")
    if given == "balanced":
        return
    nested = isinstance(given[0], tuple | str)
    if isinstance(spec.classes, tuple) and (not nested or len(given) != len(spec.classes)):
        found = f"{len(given)} {'lists' if nested else 'numbers'}"
        yield Finding(("class_weights",), f"found {found}; classes lists {len(spec.classes)} outputs: give a list each")
        return
    for position, (size, weights) in enumerate(zip(spec.head_sizes, given if nested else [given], strict=False)):
        loc: Loc = ("class_weights", position) if nested else ("class_weights",)
        if not isinstance(weights, str) and len(weights) != size:
            yield Finding(loc, f"found {len(weights)} numbers; there are {size} classes")
        elif not isinstance(weights, str) and not any(weights):
            yield Finding(loc, "found only zeros; nothing would be learned")


def check_network(
    spec: NetworkSpec, options: Mapping[str, Any], absent: Collection[str], vocabulary: Vocabulary
) -> Findings:
    """Architecture, encoder, activation, and how they fit."""
    registry = architectures_of(type(spec), vocabulary)
    name = spec.architecture if "architecture" not in absent else None
    entry = architecture_entry(name, registry)
    if name is not None and _PATH_LIKE.search(name):
        advice = "architecture is a name; weights go to initial_weights in a stage"
        yield Finding(("architecture",), f"found the path {describe(name)}; {advice}")
    elif name is not None and entry is None:
        yield Finding(("architecture",), missing_entry(registry, name))
    if isinstance(spec, SegmentationSpec):
        yield from _check_encoder(spec, entry, options, absent, vocabulary)
    elif isinstance(spec, ClassificationSpec) and entry is not None and isinstance(entry.target, str):
        pooling = None if "pooling" in absent else spec.pooling
        problem = vocabulary.check_network(entry.name, options, pooling)
        if problem:
            yield Finding(("architecture",), problem)
        elif "weights" not in absent and (problem := vocabulary.check_network_weights(spec.weights, entry.name)):
            yield Finding(("weights",), problem)
    if "activation" in absent:
        return
    for head in heads(spec):
        if head.activation and head.activation not in vocabulary.activations:
            yield Finding(head.at("activation"), missing_entry(vocabulary.activations, head.activation))
        elif head.activation and vocabulary.activations.get(head.activation).name == "softmax" and head.classes == 1:
            message = "softmax over one class is 1 everywhere; use sigmoid, or classes: 2 or more"
            yield Finding(head.at("activation"), message)


def _check_encoder(
    spec: SegmentationSpec,
    entry: Entry | None,
    options: Mapping[str, Any],
    absent: Collection[str],
    vocabulary: Vocabulary,
) -> Findings:
    if spec.backbone is None and "backbone" not in absent and _needs_encoder(entry):
        yield Finding(("backbone",), "missing; name an encoder, for example backbone: resnet34")
    if spec.backbone is not None and entry is not None and isinstance(entry.target, str):
        problem = vocabulary.check_encoder(spec.backbone, entry.name, options)
        if problem:
            yield Finding(("backbone",), problem)
        elif "encoder_weights" not in absent:
            problem = vocabulary.check_weights(spec.encoder_weights, spec.backbone, entry.name, options)
            if problem:
                yield Finding(("encoder_weights",), problem)


def _needs_encoder(entry: Entry | None) -> bool:
    """Built-in architectures do; a user's own one does when it cannot be called without."""
    if entry is None or isinstance(entry.target, str):
        return True
    named = options_of(entry).named
    return any(named[name].required for name in ("backbone", "encoder") if name in named)


def check_optimizer(spec: ExperimentSpec, vocabulary: Vocabulary) -> Findings:
    """The optimizer exists."""
    if spec.optimizer not in vocabulary.optimizers:
        yield Finding(("optimizer",), missing_entry(vocabulary.optimizers, spec.optimizer))


def check_losses(spec: NetworkSpec, absent: Collection[str], vocabulary: Vocabulary) -> Findings:
    """Every stage has a loss that can be read and trained with."""
    stated: dict[Loc, Any] = {(): spec.loss, **{("stages", i): stage.loss for i, stage in enumerate(spec.stages)}}
    outputs = [Head(None, 1, "", frozenset())] if "classes" in absent else heads(spec)
    for before, loss in stated.items():
        listed = isinstance(loss, tuple)
        texts = loss if listed else (loss,)  # one loss for all outputs is looked at once
        for position, (head, text) in enumerate(zip(outputs, texts, strict=False)):
            if text is not None:
                at: Loc = (*before, "loss", position) if listed else (*before, "loss")
                problems = _loss_problems(text, head.activation, vocabulary) or _of_soft_targets(spec, text, vocabulary)
                yield from (Finding(at, message) for message in problems)
    yield from _check_recipe(spec, stated, outputs, absent, vocabulary)
    if spec.loss is None and "loss" not in absent:
        without = [i for i, stage in enumerate(spec.stages) if stage.loss is None]
        if without:
            missing = "" if len(without) == len(spec.stages) else f" (stages {', '.join(map(str, without))} have none)"
            yield Finding(("loss",), f"missing; give one here or in every stage{missing}")


def _check_recipe(
    spec: NetworkSpec,
    stated: Mapping[Loc, Any],
    outputs: Sequence[Head],
    absent: Collection[str],
    vocabulary: Vocabulary,
) -> Findings:
    """Losses understand weights of classes and targets between 0 and 1 where the config makes such."""
    softening = [key for key in ("mixup", "cutmix", "label_smoothing") if getattr(spec, key) and key not in absent]
    weights = None if "class_weights" in absent else spec.class_weights
    each = weights if isinstance(weights, tuple) and isinstance(weights[0], tuple | str) else (weights,) * len(outputs)
    for before, loss in stated.items():
        texts = loss if isinstance(loss, tuple) else (loss,) * len(outputs)
        terms = [_known_terms(text, vocabulary) for text in texts]
        for key in softening:
            hard = [name for names in terms for name in names if vocabulary.losses.get(name).facts.get("hard")]
            if hard:
                words = f"needs targets of 0 and 1 alone, which {key} moves between; use another loss, or drop {key}"
                yield Finding((*before, "loss"), f"{hard[0]} {words}")
                break
        weighing = [any(vocabulary.losses.get(name).facts.get("class_weights") for name in names) for names in terms]
        plain = [i for i, own in enumerate(each[: len(weighing)]) if own not in (None, "balanced") and not weighing[i]]
        if all(terms) and (plain or ("balanced" in each and not any(weighing))):
            text = texts[plain[0] if plain else 0]
            words = "has no term that weighs classes; add binary_crossentropy, categorical_crossentropy or focal_loss"
            yield Finding(("class_weights",), f"the loss {text} {words}")


def _known_terms(text: str | None, vocabulary: Vocabulary) -> list[str]:
    """Losses of a sum, as far as it can be read."""
    try:
        return [term.name for term in vocabulary.parse_loss(text or "") if term.name in vocabulary.losses]
    except ValueError:
        return []


def _loss_problems(text: str, activation: str, vocabulary: Vocabulary) -> list[str]:
    try:
        names = [term.name for term in vocabulary.parse_loss(text)]
    except ValueError as error:
        return [str(error)]
    unknown = [missing_entry(vocabulary.losses, name) for name in dict.fromkeys(names) if name not in vocabulary.losses]
    if unknown or activation not in vocabulary.activations:
        return unknown
    try:
        vocabulary.check_loss(text, activation)
    except (ValueError, MusketError) as error:
        return [str(error)]
    return []


def _of_soft_targets(spec: NetworkSpec, text: str, vocabulary: Vocabulary) -> list[str]:
    """What losses of 0 and 1 do not understand: targets between, as mixtures and smoothing make them."""
    making = {
        "mixup": spec.mixup,
        "cutmix": spec.cutmix and not spec.gives_maps,  # windows of masks stay 0 and 1
        "label_smoothing": spec.label_smoothing,
    }
    asked = [key for key, value in making.items() if value]
    names = dict.fromkeys(term.name for term in vocabulary.parse_loss(text))
    hard = [name for name in names if vocabulary.losses.get(name).facts.get("hard")]
    if not (asked and hard):
        return []
    makes = f"{' and '.join(asked)} make{'s' if len(asked) == 1 else ''}"
    return [f"{name} understands targets of 0 and 1 only, {makes} others; leave one of them out" for name in hard]


def check_metrics(spec: ExperimentSpec, absent: Collection[str], vocabulary: Vocabulary) -> Findings:
    """Metrics exist, and say something of one head at least."""
    unfit = {*absent} & {"classes", "activation", "head_names"}
    for position, name in enumerate(spec.metrics):
        bare = name.removeprefix("val_")
        if bare not in vocabulary.metrics:
            yield Finding(("metrics", position), missing_entry(vocabulary.metrics, name))
        elif isinstance(spec, ClassificationSpec) and not unfit and not _judged(spec, bare, vocabulary):
            words = "judges classes, and no head has any (activation: none gives numbers); use mae, rmse or r2"
            yield Finding(("metrics", position), f"{describe(bare)} {words}")


def _judged(spec: ClassificationSpec, metric: str, vocabulary: Vocabulary) -> bool:
    """Whether a metric says something of one of the heads."""
    return bool(vocabulary.metric_columns(metric, spec.head_activations, spec.named_heads))


def check_final_metrics(spec: ExperimentSpec, vocabulary: Vocabulary) -> Findings:
    """Final metrics exist, and so does the figure the experiment is judged by."""
    for position, metric in enumerate(spec.final_metrics):
        if bare_figure(metric.name) not in vocabulary.final_metrics:
            yield Finding(("final_metrics", position), missing_entry(vocabulary.final_metrics, metric.name))
    if spec.experiment_result is None:
        return
    bare = bare_figure(spec.experiment_result)
    if bare == "loss" and spec.experiment_result.endswith("_holdout"):
        message = "the loss is logged on validation parts alone; on the holdout name a metric, or a loss by its name"
        yield Finding(("experiment_result",), f"found {describe(spec.experiment_result)}; {message}")
    if bare in vocabulary.metrics or bare in vocabulary.final_metrics or bare == "loss":
        return
    own = [bare_figure(metric.name) for metric in spec.final_metrics]
    if not any(_further_figure(bare, name, vocabulary) for name in own):
        known = [*vocabulary.metrics.spellings(), *vocabulary.final_metrics.spellings()]
        near = closest(bare, known)
        hint = f"nearest: {', '.join(near)}" if near else "name a metric, with val_ before it or _holdout after it"
        yield Finding(("experiment_result",), f"no such metric {describe(bare)}; {hint}")


def _further_figure(bare: str, name: str, vocabulary: Vocabulary) -> bool:
    """Whether ``<name>_<key>`` may be a figure of a final metric. Which keys a user's own one gives is not known."""
    facts = vocabulary.final_metrics.get(name).facts if name in vocabulary.final_metrics else {}
    if "figure" in facts:
        return bool(facts.get("best_threshold")) and bare == f"{name}_treshold"
    return bare.startswith(f"{name}_")


def bare_figure(name: str) -> str:
    """The metric of a figure: ``val_dice`` and ``dice_holdout`` are figures of ``dice``."""
    return name.removeprefix("val_").removesuffix("_holdout")


def canonical_finals(spec: ExperimentSpec, vocabulary: Vocabulary) -> tuple[FinalMetric, ...]:
    """Final metrics under their own names; what the best epoch is chosen by is computed after every epoch."""
    finals: dict[str, FinalMetric] = {}
    for metric in spec.final_metrics:
        bare = bare_figure(metric.name)
        name = vocabulary.final_metrics.get(bare).name if bare in vocabulary.final_metrics else bare
        each_epoch = metric.for_validation or spec.primary_metric == f"val_{name}"
        finals[name] = FinalMetric(name, each_epoch or (name in finals and finals[name].for_validation))
    return tuple(finals.values())


def plain_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """Metrics are computed on both parts anyway: ``val_dice`` in the list means ``dice``."""
    return tuple(dict.fromkeys(name.removeprefix("val_") for name in names))


def logged(spec: NetworkSpec, vocabulary: Vocabulary, stages: Iterable[StageSpec] | None = None) -> list[str]:
    """Names of the values that are logged after every epoch of all these stages, by default of every stage."""
    each = [_logged_in(spec, stage, vocabulary) for stage in (spec.stages if stages is None else stages)]
    return [name for name in each[0] if all(name in names for names in each)]


def _logged_in(spec: NetworkSpec, stage: StageSpec, vocabulary: Vocabulary) -> list[str]:
    text = stage.loss or spec.loss
    if isinstance(spec.classes, tuple):
        names = spec.named_heads if isinstance(spec, ClassificationSpec) else range(len(spec.classes))
        return _columns(["loss", *_metric_columns(spec, vocabulary), *(f"loss_{name}" for name in names)], spec)
    text = None if isinstance(text, tuple) else text
    try:
        terms = vocabulary.parse_loss(text) if text else ()
    except ValueError:
        terms = ()
    known = [term.name for term in terms if term.name in vocabulary.losses]
    names = list(dict.fromkeys(["loss", *_metric_columns(spec, vocabulary), *(known if len(terms) > 1 else ())]))
    return _columns(names, spec)


def _metric_columns(spec: NetworkSpec, vocabulary: Vocabulary) -> list[str]:
    """What metrics are logged as: of several heads each one's figure, and their mean."""
    names = plain_metrics(spec.metrics)
    if not isinstance(spec, ClassificationSpec):
        return list(names)
    return [
        column for name in names for column in vocabulary.metric_columns(name, spec.head_activations, spec.named_heads)
    ]


def _columns(names: Sequence[str], spec: NetworkSpec) -> list[str]:
    finals = {bare_figure(metric.name): metric.for_validation for metric in spec.final_metrics}
    each_epoch = [f"val_{name}" for name, each in finals.items() if each or spec.primary_metric == f"val_{name}"]
    return [*names, *(f"val_{name}" for name in names), *each_epoch]


def logged_as(name: str, columns: Sequence[str], vocabulary: Vocabulary) -> str | None:
    """The logged name that ``name`` means, by any alias of its metric; None when it is not logged."""
    if name in columns:
        return name
    prefix = "val_" if name.startswith("val_") else ""
    bare = name.removeprefix("val_")
    if bare not in vocabulary.metrics:
        return None
    own = vocabulary.metrics.get(bare).name
    for column in columns:
        other = column.removeprefix("val_")
        if (
            column.startswith("val_") == bool(prefix)
            and other in vocabulary.metrics
            and vocabulary.metrics.get(other).name == own
        ):
            return column
    return None


def check_primary(spec: NetworkSpec, columns: Sequence[str], vocabulary: Vocabulary) -> Findings:
    """The value that decides is logged, and its direction is known."""
    known = logged_as(spec.primary_metric, columns, vocabulary)
    if known is None:
        yield Finding(("primary_metric",), _not_logged(spec.primary_metric, columns, vocabulary))
    elif spec.primary_metric_mode == "auto" and vocabulary.direction(known) is None:
        message = f"nobody says whether {known} is better high or low; give primary_metric_mode: min or max"
        yield Finding(("primary_metric",), message)


def _not_logged(name: str, columns: Sequence[str], vocabulary: Vocabulary) -> str:
    if name.removeprefix("val_") == "lr":
        return "the learning rate is no measure of success; name a metric or val_loss"
    bare = name.removeprefix("val_")
    if bare in vocabulary.metrics:
        return f"{describe(name)} will not be logged; add {bare} to metrics"
    near = closest(name, list(columns))
    hint = f"nearest: {', '.join(near)}" if near else f"logged are: {', '.join(columns)}"
    return f"{describe(name)} will not be logged; {hint}"


def bind_parts(
    parts: tuple[Part, ...],
    registry: Registry,
    loc: Loc,
    columns: Sequence[str],
    vocabulary: Vocabulary,
    supplied: Collection[str] = (),
) -> tuple[tuple[Part, ...], list[Finding]]:
    """Look the parts up and hold their options to the signatures.

    Args:
        parts: as read.
        registry: where their names are.
        loc: the key they stand under.
        columns: what will be logged, for options named ``monitor``.
        supplied: parameters that are not options.

    Returns:
        the parts with canonical names and options by name, and what is wrong.
    """
    repeated = len({part.name for part in parts}) < len(parts)
    bound: list[Part] = []
    findings: list[Finding] = []
    for position, part in enumerate(parts):
        at: Loc = (*loc, position, part.name) if repeated else (*loc, part.name)
        if part.name not in registry:
            findings.append(Finding(at, _missing_part(registry, part.name), key=True))
            bound.append(part)
            continue
        entry = registry.get(part.name)
        if (place := entry.facts.get("only_in")) and loc != (place,):
            findings.append(Finding(at, f"stands directly under {place}, nowhere else", key=True))
            bound.append(part)
            continue
        part, nested = _nested(entry, part, at, columns, vocabulary)
        findings += nested
        options, faults = bind(entry, part.args, part.options, supplied=supplied)
        found = [Finding((*at, fault.option) if fault.option else at, fault.message) for fault in faults]
        if not faults:
            options, message = _monitored(entry, options, columns, vocabulary)
            found = [Finding((*at, "monitor"), message)] if message else [*_filled_in(entry, options, at, columns)]
        if not found and not nested and (made := _made(entry, options, vocabulary)) is not None:
            message = refusal(entry, made)
            found = [Finding(at, message)] if message else []
        findings += found
        bound.append(Part(entry.name, options))
    return tuple(bound), findings


def _nested(
    entry: Entry, part: Part, at: Loc, columns: Sequence[str], vocabulary: Vocabulary
) -> tuple[Part, list[Finding]]:
    """The part with the parts its options hold bound in their turn, as plain lists of one-name maps.

    Where all a part takes is other parts, they may stand for its options: ``OneOf: {Fliplr: 1, Flipud: 1}``.
    """
    named = options_of(entry).named
    inner = {"then": vocabulary.callbacks, "schedulers": vocabulary.schedules}
    inner |= dict.fromkeys(entry.facts.get("nested", ()), vocabulary.augmenters)
    held = [name for name in inner if name in named]
    if not held:
        return part, []
    options: dict[str, Any] = dict(part.options)
    args = part.args
    direct = held[0] in entry.facts.get("nested", ())
    if direct and options and not options.keys() & named.keys():
        options = {held[0]: options}
    elif direct and len(args) == 1 and next(iter(named)) != held[0] and isinstance(args[0], list):
        options, args = {held[0]: args[0]}, ()
    findings: list[Finding] = []
    for name in held:
        by_position = not options and len(args) == 1 and next(iter(named)) == name
        if name not in options and not by_position:
            continue
        value = args[0] if by_position else options[name]
        inside = (*at, name) if name in part.options else at
        try:
            parts = read_parts(value)
        except PydanticCustomError as error:
            findings.append(Finding(inside, f"found {describe(value)}; {error.message()}"))
            continue
        supplied = ("optimizer", "last_epoch") if name == "schedulers" else ()
        parts, found = bind_parts(parts, inner[name], inside, columns, vocabulary, supplied)
        findings += found
        options[name] = show_parts(parts) if name == "then" else [{part.name: part.show()} for part in parts]
        args = () if by_position else args
    return Part(part.name, options, args), findings


def _made(entry: Entry, options: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Any] | None:
    """Options with the augmenters they hold made, as the part itself wants them; None when one is the user's own."""
    made = dict(options)
    for name in entry.facts.get("nested", ()):
        children = []
        for shown in options.get(name, ()):
            ((child_name, inner),) = shown.items()
            child = vocabulary.augmenters.get(child_name)
            inner = _made(child, dict(inner), vocabulary)
            if inner is None or not is_ours(child):
                return None
            children.append(child.load()(**inner))
        if name in options:
            made[name] = tuple(children)
    return made


def _missing_part(registry: Registry, name: str) -> str:
    near = closest(name, list(registry.spellings()))
    hint = f"nearest: {', '.join(near)} " if near else ""
    return f"no such {registry.kind}; {hint}(all: musket ls {registry.plural}){registry.advice(name)}"


def _monitored(
    entry: Entry, options: dict[str, Any], columns: Sequence[str], vocabulary: Vocabulary
) -> tuple[dict[str, Any], str]:
    """Options with ``monitor`` in the name it is logged under, and what is wrong with it, if anything is."""
    named = options_of(entry).named
    monitor = options.get("monitor", named["monitor"].default if "monitor" in named else None)
    if not columns or not isinstance(monitor, str):
        return options, ""
    known = logged_as(monitor, columns, vocabulary)
    if known is None:
        return options, _not_logged(monitor, columns, vocabulary)
    mode = options.get("mode", named["mode"].default if "mode" in named else None)
    if mode == "auto" and vocabulary.direction(known) is None:
        return options, f"nobody says whether {known} is better high or low; give mode: min or max"
    return ({**options, "monitor": known} if "monitor" in options else options), ""


def _filled_in(entry: Entry, options: Mapping[str, Any], at: Loc, columns: Sequence[str]) -> Findings:
    """A file name that holds figures in braces holds such as are logged. How they are written the part checks."""
    option, others = entry.facts.get("filled_in", ("", ()))
    if not columns or not isinstance(options.get(option), str):
        return
    try:
        fields = [re.split(r"[.\[]", name)[0] for _, name, _, _ in string.Formatter().parse(options[option]) if name]
    except ValueError:
        return
    known = [*others, *columns]
    for name in dict.fromkeys(fields):
        if not name.isdecimal() and name not in known:
            near = closest(name, known)
            hint = f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(known)}"
            yield Finding((*at, option), f"{{{name}}} cannot be filled in: it will not be logged; {hint}")


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


def _channel_problems(
    parts: Sequence[Part], loc: Loc, channels: int, vocabulary: Vocabulary, inside: Loc | None = None
) -> Findings:
    """WithChannels, wherever it stands in bound augmenters, names channels that the image has.

    Args:
        parts: with options by name.
        loc: the key they stand under.
        channels: of the images.
        inside: where the part stands that holds these, if one does: problems are told there.
    """
    repeated = len({part.name for part in parts}) < len(parts)
    for position, part in enumerate(parts):
        at: Loc = inside or ((*loc, position, part.name) if repeated else (*loc, part.name))
        if part.name not in vocabulary.augmenters:
            continue
        count = channels
        if part.name == "WithChannels" and (chosen := part.options.get("channels")) is not None:
            numbers = (chosen,) if isinstance(chosen, int) else tuple(chosen)
            count = len(numbers)
            if max(numbers) >= channels:
                message = f"WithChannels: channels must lie from 0 to {channels - 1} here; found {max(numbers)}"
                yield Finding(at, message)
        for name in vocabulary.augmenters.get(part.name).facts.get("nested", ()):
            children = [Part(*item) for shown in part.options.get(name, ()) for item in shown.items()]
            yield from _channel_problems(children, loc, count, vocabulary, at)


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


def without_effect(spec: ExperimentSpec) -> Findings:
    """Keys that are fine but do nothing here."""
    if isinstance(spec, ClassificationSpec):
        for part in spec.augmentation:
            if part.name.lower() == "backgroundreplacer":
                words = "no effect: which part of an image is background only masks tell, and labels are no masks"
                yield Finding(("augmentation", part.name), words, key=True)
    if isinstance(spec, NetworkSpec) and spec.label_smoothing and not any(map(_shares, spec.head_activations)):
        yield Finding(("label_smoothing",), "no effect: no output has sigmoid or softmax", key=True)
    if "validationSplit" in spec.model_fields_set and spec.validationSplit != 0.2 and spec.folds_count != 1:
        yield Finding(("validationSplit",), f"no effect: folds_count is {spec.folds_count}, not 1", key=True)
    if spec.groupFunc is not None and not spec.stratified:
        yield Finding(("groupFunc",), "no effect without stratified: true", key=True)
    yield from (Finding(*remark) for remark in data_keys.remarks(spec))


def _shares(activation: str) -> bool:
    """Whether an output gives shares from 0 to 1; by default it does."""
    return activation.lower() in ("", "softmax", "sigmoid")


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


def bind_all(
    spec: Spec, vocabulary: Vocabulary, columns: Callable[[Iterable[StageSpec]], Sequence[str]]
) -> tuple[Spec, list[Finding]]:
    """Every named part of the spec bound to its signature.

    Args:
        spec: the spec.
        vocabulary: the names.
        columns: what will be logged in all of some stages; empty where that is not known.
    """
    findings: list[Finding] = []

    def bound(parts: tuple[Part, ...], loc: Loc, registry: Registry, names: Sequence[str] = ()) -> tuple[Part, ...]:
        result, found = bind_parts(parts, registry, loc, names, vocabulary)
        findings.extend(found)
        return result

    hooks = vocabulary.callbacks
    stages = []
    for position, stage in enumerate(spec.stages):
        own: dict[str, Any] = {}
        for key in ("callbacks", "extra_callbacks"):
            parts = getattr(stage, key)
            own[key] = None if parts is None else bound(parts, ("stages", position, key), hooks, columns([stage]))
        stages.append(stage.model_copy(update=own))
    using_root = [stage for stage in spec.stages if stage.callbacks is None] or spec.stages
    callbacks = bound(spec.callbacks, ("callbacks",), hooks, columns(using_root))
    update: dict[str, Any] = {"callbacks": callbacks, "stages": tuple(stages)}
    if isinstance(spec, ImageSpec):
        update["augmentation"] = bound(spec.augmentation, ("augmentation",), vocabulary.augmenters)
        update["transforms"] = bound(spec.transforms, ("transforms",), vocabulary.augmenters)
        if isinstance(spec, NetworkSpec) and spec.shape is not None and not findings:
            for key in ("augmentation", "transforms"):
                findings += _channel_problems(update[key], (key,), spec.shape[2], vocabulary)
    return spec.model_copy(update=update), findings
