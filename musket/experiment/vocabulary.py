"""Every name a config may use, from the rooms that own them. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musket.augment.catalogue import AUGMENTERS
from musket.config.check import Vocabulary
from musket.core.registry import Registry
from musket.data.catalogue import DATASETS, PREPROCESSORS, dataset_augmenters, extra_train
from musket.losses.catalogue import ACTIVATIONS, LOSSES
from musket.losses.compose import check_loss, parse_loss
from musket.metrics.catalogue import FINAL_METRICS, METRICS, adopt, columns_of
from musket.models.architectures import OPTIONS
from musket.models.catalogue import ARCHITECTURES, ROOT_NAMES, check_encoder, check_weights, encoders
from musket.models.classifier_catalogue import CLASSIFIERS, check_network, check_network_weights
from musket.optim.catalogue import OPTIMIZERS, SCHEDULES
from musket.training.catalogue import CALLBACKS

REGISTRIES: tuple[Registry, ...] = (
    ARCHITECTURES,
    CLASSIFIERS,
    LOSSES,
    ACTIVATIONS,
    METRICS,
    FINAL_METRICS,
    OPTIMIZERS,
    SCHEDULES,
    CALLBACKS,
    AUGMENTERS,
    DATASETS,
    PREPROCESSORS,
)


def vocabulary(functions: Mapping[str, Any] | None = None) -> Vocabulary:
    """The names that may be used now, those registered by user code included.

    Args:
        functions: dataset functions and classes of a project, by name; they come before built-in ones.
    """
    adopt(LOSSES)
    return Vocabulary(
        architectures=ARCHITECTURES,
        losses=LOSSES,
        metrics=METRICS,
        optimizers=OPTIMIZERS,
        callbacks=CALLBACKS,
        augmenters=AUGMENTERS,
        activations=ACTIVATIONS,
        datasets=_with(DATASETS, functions or {}),
        dataset_augmenters=_with(Registry("dataset augmenter"), {**(functions or {}), **dataset_augmenters}),
        extra_train=frozenset(extra_train),
        preprocessors=PREPROCESSORS,
        parse_loss=parse_loss,
        schedules=SCHEDULES,
        final_metrics=_with(FINAL_METRICS, functions or {}),
        check_loss=check_loss,
        check_encoder=check_encoder,
        check_weights=check_weights,
        networks=CLASSIFIERS,
        check_network=check_network,
        check_network_weights=check_network_weights,
        metric_columns=columns_of,
        supplied=ROOT_NAMES,
        option_docs=OPTIONS,
    )


def listing() -> dict[str, list[tuple[str, str, list[str]]]]:
    """What can be named, by kind (plural): name, one line of explanation, other spellings."""
    adopt(LOSSES)
    kinds = {
        registry.plural: [(entry.name, entry.summary, registry.aliases(entry.name)) for entry in registry.entries()]
        for registry in REGISTRIES
    }
    kinds["backbones"] = [(name, "" if name == known else f"is {known}", []) for name, known in encoders().items()]
    return kinds


def _with(registry: Registry, functions: Mapping[str, Any]) -> Registry:
    joined = Registry(registry.kind, registry.plural)
    for entry in registry.entries():
        if entry.name.lower() not in {name.lower() for name in functions}:
            aliases = tuple(registry.aliases(entry.name))
            joined.add(entry.name, entry.target, entry.summary, aliases=aliases, **entry.facts)
    for name, function in functions.items():
        registered = name in registry and registry.get(name).target is function
        joined.add(name, function, replace=True, **(registry.get(name).facts if registered else {}))
    return joined
