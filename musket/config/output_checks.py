"""Checks of the network and its outputs: names that exist; heads, losses and weights of classes that fit."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musket.config.bind import options_of
from musket.config.schema import (
    ClassificationSpec,
    NetworkSpec,
    SegmentationSpec,
)
from musket.config.tree import Loc, describe
from musket.config.vocabulary import Finding, Findings, Vocabulary, architecture_entry, architectures_of, missing_entry
from musket.core.errors import MusketError
from musket.core.registry import Entry

_PATH_LIKE = re.compile(r"[/\\]|\.(pt|pth|ckpt|h5|hdf5|weights|safetensors|onnx|pkl)$", re.IGNORECASE)


_EXCLUSIVE = "categorical_crossentropy"


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
        if wrong or len({name.lower() for name in spec.head_names}) < len(spec.head_names):
            wanted = f"{len(spec.head_sizes)} different name{'s' if len(spec.head_sizes) != 1 else ''}, one per head"
            yield Finding(("head_names",), f"found {', '.join(spec.head_names)}; classes asks for {wanted}")


def _check_class_weights(spec: NetworkSpec) -> Findings:
    """A weight per class, of every output."""
    given: Any = spec.class_weights
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
        fits = "architecture_options" in absent  # they were refused: nothing can be built with them
        if not fits and (problem := vocabulary.check_network(entry.name, options, pooling)):
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


def not_taken(spec: NetworkSpec, vocabulary: Vocabulary) -> Findings:
    """Keys that a network of the user's own has no parameter for: they do nothing."""
    if not isinstance(spec, ClassificationSpec):
        return
    entry = architecture_entry(spec.architecture, vocabulary.networks)
    if entry is None or isinstance(entry.target, str):
        return
    takes = options_of(entry)
    parameters = {"weights": "weights", "pooling": "pooling", "dropout": "dropout", "copyWeights": "copy_weights"}
    for key, parameter in parameters.items():
        asked = getattr(spec, key) not in (None, type(spec).model_fields[key].default)
        if asked and not takes.open and parameter not in takes.named:
            words = f"no effect: {entry.name} takes no {parameter}; give its function that parameter, or leave this out"
            yield Finding((key,), words, key=True)


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


def check_losses(spec: NetworkSpec, absent: Collection[str], vocabulary: Vocabulary) -> Findings:
    """Every stage has a loss that can be read and trained with."""
    stated: dict[Loc, Any] = {(): spec.loss, **{("stages", i): stage.loss for i, stage in enumerate(spec.stages)}}
    outputs = [Head(None, 0, "", frozenset())] if "classes" in absent else heads(spec)
    for before, loss in stated.items():
        listed = isinstance(loss, tuple)
        texts = loss if listed else (loss,) * len(outputs)
        problems: dict[Finding, None] = {}  # what is wrong with one loss for all outputs is told once
        for position, (head, text) in enumerate(zip(outputs, texts, strict=False)):
            if text is not None:
                at: Loc = (*before, "loss", position) if listed else (*before, "loss")
                found = _loss_problems(text, head, not spec.gives_maps, vocabulary)
                problems |= dict.fromkeys(
                    Finding(at, each) for each in found or _of_soft_targets(spec, text, vocabulary)
                )
        yield from problems
    yield from _check_weighing(spec, stated, outputs, absent, vocabulary)
    if spec.loss is None and "loss" not in absent:
        without = [i for i, stage in enumerate(spec.stages) if stage.loss is None]
        if without:
            missing = "" if len(without) == len(spec.stages) else f" (stages {', '.join(map(str, without))} have none)"
            yield Finding(("loss",), f"missing; give one here or in every stage{missing}")


def doubtful_losses(spec: NetworkSpec, absent: Collection[str], vocabulary: Vocabulary) -> Findings:
    """Losses that can be trained with, but hardly with this activation. For losses without problems."""
    if not {"classes", "activation", "loss"}.isdisjoint(absent):
        return
    stated: dict[Loc, Any] = {(): spec.loss, **{("stages", i): stage.loss for i, stage in enumerate(spec.stages)}}
    for before, loss in stated.items():
        texts = loss if isinstance(loss, tuple) else (loss,) * len(heads(spec))
        for head, text in zip(heads(spec), texts, strict=False):
            alone = {vocabulary.losses.get(name).name for name in _known_terms(text, vocabulary)} == {_EXCLUSIVE}
            known = head.activation in vocabulary.activations and head.classes > 1
            if alone and known and vocabulary.activations.get(head.activation).name == "sigmoid":
                words = f"{_EXCLUSIVE} is for one class of several, with sigmoid every class counts on its own"
                advice = "usually activation: softmax is meant, or the loss binary_crossentropy"
                yield Finding((*before, "loss"), f"{words}; {advice}")


def _check_weighing(
    spec: NetworkSpec,
    stated: Mapping[Loc, Any],
    outputs: Sequence[Head],
    absent: Collection[str],
    vocabulary: Vocabulary,
) -> Findings:
    """Losses weigh classes where the config asks for it."""
    weights = None if "class_weights" in absent else spec.class_weights
    each = weights if isinstance(weights, tuple) and isinstance(weights[0], tuple | str) else (weights,) * len(outputs)
    for loss in stated.values():
        texts = loss if isinstance(loss, tuple) else (loss,) * len(outputs)
        terms = [_known_terms(text, vocabulary) for text in texts]
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


def _loss_problems(text: str, head: Head, vectors: bool, vocabulary: Vocabulary) -> list[str]:
    try:
        names = [term.name for term in vocabulary.parse_loss(text)]
    except ValueError as error:
        return [str(error)]
    unknown = [missing_entry(vocabulary.losses, name) for name in dict.fromkeys(names) if name not in vocabulary.losses]
    if unknown or head.activation not in vocabulary.activations:
        return unknown
    try:
        vocabulary.check_loss(text, head.activation, classes=head.classes or None, vectors=vectors)
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
