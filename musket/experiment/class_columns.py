"""Columns of single classes: whether those a config goes by are there, once the data says what the classes are."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from musket.core.errors import ConfigError, Problem
from musket.core.heads import Heads, distinct
from musket.core.identity import examples
from musket.experiment.class_names import class_names
from musket.experiment.targets import heads_of
from musket.metrics.catalogue import METRICS, class_columns, columns_of, find_column, split_figure

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec


def check_class_columns(spec: NetworkSpec, dataset: Any) -> None:
    """Figures of single classes that decide something are logged, each under a name of its own.

    Classes of one name are warned of.

    Raises:
        ConfigError: one is not, or two columns have one name; names those there are.
        DataError: the parts of a composite dataset have different classes.
    """
    if not any(name in METRICS and METRICS.get(name).facts.get("per_class") for name in spec.metrics):
        return
    heads = heads_of(spec)
    if heads is None:
        heads = Heads((spec.output_channels,), ("sigmoid",), ("0",))
    else:
        heads = replace(heads, classes=tuple(map(tuple, class_names(dataset, spec) or ())))
    for names in heads.classes:
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            warnings.warn(
                f"several classes are called {repeated[0]}; in the columns of single classes the others have numbers: "
                f"{', '.join(distinct(names))}",
                stacklevel=2,
            )
    columns = class_columns(spec.metrics, heads)
    others = [column for name in spec.metrics for column in columns_of(name, heads.activations, heads.names)]
    problems = []
    twice = [column for column, count in Counter([*columns, *others]).items() if count > 1]
    if twice:
        place = spec.place("metrics")
        message = f"two columns would be called {twice[0]}; call classes or heads otherwise"
        problems.append(Problem(place.line, place.column, "metrics", message, place.origin))
    for key, name in _going_by(spec):
        bare = name.removeprefix("val_").removesuffix("_holdout")
        figure, rest = split_figure(bare)
        of_class = figure in METRICS and METRICS.get(figure).facts.get("per_class") and rest
        if of_class and find_column(bare, [*columns, *others]) is None:
            place = spec.place(key)
            there = examples([column for column in columns if column.startswith(figure)], most=20)
            message = f"{name} will not be logged: the data has no such class. There are {there}"
            problems.append(Problem(place.line, place.column, key, message, place.origin))
    if problems:
        raise ConfigError(spec.source, problems)


def _going_by(spec: NetworkSpec) -> Iterator[tuple[str, str]]:
    """Keys that name a figure, and the figure."""
    yield "primary_metric", spec.primary_metric
    if spec.experiment_result is not None:
        yield "experiment_result", spec.experiment_result
    stages = [(f"stages[{number}].", stage) for number, stage in enumerate(spec.stages)]
    parts = [("callbacks", part) for part in spec.callbacks]
    for before, stage in stages:
        parts += [(f"{before}callbacks", part) for part in stage.callbacks or ()]
        parts += [(f"{before}extra_callbacks", part) for part in stage.extra_callbacks]
    for key, part in parts:
        yield from ((key, name) for name in _monitors(part.options))


def _monitors(options: Any) -> Iterator[str]:
    """What callbacks watch, those inside others too."""
    if isinstance(options, Mapping):
        for name, value in options.items():
            if name == "monitor" and isinstance(value, str):
                yield value
            else:
                yield from _monitors(value)
    elif isinstance(options, list | tuple):
        for value in options:
            yield from _monitors(value)
