"""Every name a config may use, handed in, and what the checks of a config find."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from musket.config.schema import (
    ClassificationSpec,
    ExperimentSpec,
)
from musket.config.tree import Loc, Map, closest, describe, dotted, place_of
from musket.core.errors import Problem
from musket.core.registry import Entry, Registry


class Term(Protocol):
    """One loss of a sum: its name and weight."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float: ...


def _no_problem(*_: object, **__: object) -> None:
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
        check_loss: (text, activation, classes=, vectors=) -> anything; raises ValueError or MusketError when such a
            loss cannot be meant.
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
    check_loss: Callable[..., object] = _no_problem
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
        figure, rest = self.figure_of(name.removeprefix("val_"))
        if f"{figure}{rest}" == "loss" or rest.startswith("loss_"):
            return "min"
        for registry in (self.metrics, self.losses, self.final_metrics):
            if figure in registry and (mode := registry.get(figure).facts.get("mode")) in ("min", "max"):
                return str(mode)
        return None

    def figure_of(self, column: str) -> tuple[str, str]:
        """The longest figure a column begins with, and what follows: nothing, or ``_<head>``, or ``_<class>``.

        Args:
            column: without ``val_``. Of one that begins with no figure all follows.
        """
        ends = [len(column), *(place for place in reversed(range(len(column))) if column[place] == "_")]
        registries = (self.metrics, self.losses, self.final_metrics)
        known = (end for end in ends if any(column[:end] in registry for registry in registries))
        end = next(known, 0)
        return column[:end], column[end:]


@dataclass(frozen=True)
class Finding:
    """Something wrong at ``loc``. ``key``: point at the key, not at its value."""

    loc: Loc
    message: str
    key: bool = False

    def at(self, root: Map) -> Problem:
        """The problem it is in a config."""
        place = place_of(root, self.loc, key=self.key)
        return Problem(place.line, place.column, dotted(self.loc), self.message, place.origin)


Findings = Iterator[Finding]


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
