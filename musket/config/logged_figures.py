"""Metrics, and the figures that are logged after every epoch: which there will be, and which one decides."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from musket.config.schema import (
    ClassificationSpec,
    ExperimentSpec,
    NetworkSpec,
    StageSpec,
)
from musket.config.tree import closest, describe
from musket.config.values import FinalMetric
from musket.config.vocabulary import Finding, Findings, Vocabulary, missing_entry

OF_HEADS = frozenset({"classes", "activation", "head_names"})
"""Keys that must be right before anything can be said of the figures of heads."""


def check_metrics(spec: ExperimentSpec, absent: Collection[str], vocabulary: Vocabulary) -> Findings:
    """Metrics exist, and say something of one head at least."""
    unfit = {*absent} & OF_HEADS
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


def check_head_names(spec: ClassificationSpec, vocabulary: Vocabulary) -> Findings:
    """No column of a head reads as another figure."""
    if len(spec.head_sizes) == 1:
        return
    metrics = [name for name in plain_metrics(spec.metrics) if name in vocabulary.metrics]
    said: set[str] = set()
    for head in spec.named_heads:
        if f"_{head}".endswith("_holdout"):
            words = f"columns such as accuracy_{head} would read as figures of the holdout; call the head otherwise"
            yield Finding(("head_names",), f"found {describe(head)}; {words}")
            said.add(head)
    heads = {name: vocabulary.metric_columns(name, spec.head_activations, spec.named_heads) for name in metrics}
    for figure, columns in (("loss", [f"loss_{head}" for head in spec.named_heads]), *heads.items()):
        for column in columns:
            head, other = column.removeprefix(f"{figure}_"), vocabulary.figure_of(column)[0]
            if column != figure and other not in ("", figure) and head not in said:
                words = f"the column {column} would read as a figure of {other}; call the head otherwise"
                yield Finding(("head_names",), f"found {describe(head)}; {words}")
                said.add(head)


def check_final_metrics(spec: ExperimentSpec, absent: Collection[str], vocabulary: Vocabulary) -> Findings:
    """Final metrics exist, and so does the figure the experiment is judged by."""
    for position, metric in enumerate(spec.final_metrics):
        bare = bare_figure(metric.name)
        if bare not in vocabulary.final_metrics:
            yield Finding(("final_metrics", position), missing_entry(vocabulary.final_metrics, metric.name))
        elif isinstance(spec, ClassificationSpec) and "figure" in vocabulary.final_metrics.get(bare).facts:
            words = "judges the pixels of masks; for labels name metrics, such as macro_f1 or roc_auc, under metrics"
            yield Finding(("final_metrics", position), f"{describe(metric.name)} {words}")
    if spec.experiment_result is None:
        return
    bare = bare_figure(spec.experiment_result)
    if bare == "loss" and spec.experiment_result.endswith("_holdout"):
        message = "the loss is logged on validation parts alone; on the holdout name a metric, or a loss by its name"
        yield Finding(("experiment_result",), f"found {describe(spec.experiment_result)}; {message}")
    if bare in vocabulary.metrics or bare in vocabulary.final_metrics or bare == "loss":
        return
    if isinstance(spec, ClassificationSpec) and (
        {*absent} & {"metrics", *OF_HEADS} or logged_as(bare, _metric_columns(spec, vocabulary), vocabulary)
    ):
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
        parts = [f"loss_{name}" for name in spec.named_heads]
        return _columns(["loss", *_metric_columns(spec, vocabulary), *parts], spec)
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
    known = [name for name in names if name in vocabulary.metrics]
    heads = (spec.head_activations, spec.named_heads)
    return [column for name in known for column in vocabulary.metric_columns(name, *heads)]


def _columns(names: Sequence[str], spec: NetworkSpec) -> list[str]:
    finals = {bare_figure(metric.name): metric.for_validation for metric in spec.final_metrics}
    each_epoch = [f"val_{name}" for name, each in finals.items() if each or spec.primary_metric == f"val_{name}"]
    return [*names, *(f"val_{name}" for name in names), *each_epoch]


def logged_as(name: str, columns: Sequence[str], vocabulary: Vocabulary) -> str | None:
    """The logged name that ``name`` means, by any alias of its metric; None when it is not logged.

    What classes there are only the data says: ``<metric>_<anything>`` is a figure of a metric of single classes.
    """
    if name in columns:
        return name
    figure, rest = vocabulary.figure_of(name.removeprefix("val_"))
    if figure not in vocabulary.metrics:
        return None
    metric = vocabulary.metrics.get(figure)
    same: dict[str, str] = {}  # what follows the metric -> the column
    for column in columns:
        other, tail = vocabulary.figure_of(column.removeprefix("val_"))
        alike = column.startswith("val_") == name.startswith("val_") and other in vocabulary.metrics
        if alike and vocabulary.metrics.get(other).name == metric.name:
            same.setdefault(tail, column)
    if rest in same or not metric.facts.get("per_class"):
        return same.get(rest)
    heads = [tail for tail in same if tail] or list(same)  # only heads have columns of single classes, if there are any
    of_head = max((tail for tail in heads if rest.startswith(f"{tail}_")), key=len, default=None)
    return None if of_head is None else same[of_head] + rest.removeprefix(of_head)


def check_primary(spec: NetworkSpec, columns: Sequence[str], vocabulary: Vocabulary) -> Findings:
    """The value that decides is logged, and its direction is known."""
    known = logged_as(spec.primary_metric, columns, vocabulary)
    if known is None:
        yield Finding(("primary_metric",), not_logged(spec.primary_metric, columns, vocabulary))
    elif spec.primary_metric_mode == "auto" and vocabulary.direction(known) is None:
        message = f"nobody says whether {known} is better high or low; give primary_metric_mode: min or max"
        yield Finding(("primary_metric",), message)


def not_logged(name: str, columns: Sequence[str], vocabulary: Vocabulary) -> str:
    """The sentence for a figure that is not among the logged ones."""
    if name.removeprefix("val_") == "lr":
        return "the learning rate is no measure of success; name a metric or val_loss"
    bare = name.removeprefix("val_")
    if bare in vocabulary.metrics:
        return f"{describe(name)} will not be logged; add {bare} to metrics"
    near = closest(name, list(columns))
    hint = f"nearest: {', '.join(near)}" if near else f"logged are: {', '.join(columns)}"
    return f"{describe(name)} will not be logged; {hint}"
