"""From the names of metrics to the metrics, and to the columns of the log."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import Tensor

from musket.core.errors import TrainingError
from musket.core.heads import HeadKind, Heads
from musket.core.registry import Entry
from musket.metrics.catalogue import METRICS, direction, heads_of
from musket.metrics.classes import FigurePerClass
from musket.metrics.metric import FunctionMetric, Metric
from musket.metrics.tally import Tally

__all__ = ["MetricSet", "build_metric", "direction"]


def build_metric(
    name: str, *, evaluation: bool = False, activation: str | None = None, kind: HeadKind = "labels"
) -> Metric:
    """The metric of a name.

    Args:
        name: a built-in metric, any adopted loss, or what the user registered: ``f(truth, prediction)`` returning the
            value of a batch (see :class:`~musket.metrics.metric.FunctionMetric`), or a subclass of ``Metric``.
        evaluation: the form for finished predictions: at 0.5 wherever that makes sense, IoU and Dice per class over
            all images. A user's own function sees decisions, 0/1, then, unless it has ``need_threshold = False`` or
            the head gives plain values.
        activation: of the network's output, for the metrics that depend on it (accuracy).
        kind: what the output gives. The tallies of a metric for exclusive classes must be exclusive too.

    Raises:
        RegistryError: no such metric; names the nearest.
    """
    entry = METRICS.get(name)
    facts = entry.facts
    head = str(activation).lower()
    forms = (
        facts.get("evaluation") if evaluation else None,
        facts.get("exclusive") if kind == "exclusive" else None,
        facts.get("by_activation", {}).get(head),
        entry.target,
    )
    found = Entry(name, next(form for form in forms if form is not None)).load()
    if isinstance(found, type) and issubclass(found, Metric):
        return found(name, facts.get("mode"), **facts.get("options", {}))
    need_threshold = facts.get("need_threshold", getattr(found, "need_threshold", True))
    return FunctionMetric(
        name,
        found,
        facts.get("mode"),
        reduction=facts.get("reduction", "mean"),
        threshold=evaluation and need_threshold and kind != "values",
        same_shape=facts.get("same_shape", False),
    )


class MetricSet:
    """Several metrics that look at the same batches and share their counts.

    Of one head, a metric is logged under its name. Of several, it is logged as ``<metric>_<head>`` for each head it
    makes sense for, and their mean (of those that are numbers) as ``<metric>``; see
    :func:`musket.metrics.catalogue.columns_of`.

    Args:
        names, evaluation, activation: see :func:`build_metric`.
        also: further metrics, made already; they look at all heads at once.
        heads: what the outputs are, in place of ``activation``. None: one output, whose classes are decided at 0.5.

    Raises:
        RegistryError: no such metric; names the nearest.
        TrainingError: a metric makes sense for none of the heads.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        evaluation: bool = False,
        activation: str | Sequence[str] | None = None,
        also: Iterable[Metric] = (),
        heads: Heads | None = None,
    ):
        self._heads = heads
        self._of_heads: list[tuple[str, dict[int, Metric]]] = []
        if heads is None:
            if activation is not None and not isinstance(activation, str):  # one per output; metrics look at all
                activation = activation[0] if len(set(activation)) == 1 else None
            self._of_heads = [
                (name, {0: build_metric(name, evaluation=evaluation, activation=activation)}) for name in names
            ]
        else:
            self._of_heads = [(name, _per_head(name, heads, evaluation)) for name in names]
        self._also = list(also)
        self.metrics: list[Metric] = [metric for _, found in self._of_heads for metric in found.values()] + self._also

    def update(self, truth: Tensor, prediction: Tensor) -> None:
        """Take a batch in; see :class:`~musket.metrics.tally.Tally` for the shapes, with the heads side by side.

        Raises:
            TrainingError: the shapes do not fit.
        """
        tallies = self._tallies(truth, prediction)
        for _, found in self._of_heads:
            for head, metric in found.items():
                metric.add(tallies[head])
        if self._also:
            whole = tallies[0] if len(tallies) == 1 else Tally(truth, prediction)
            for metric in self._also:
                metric.add(whole)

    def _tallies(self, truth: Tensor, prediction: Tensor) -> list[Tally]:
        if self._heads is None:
            return [Tally(truth, prediction)]
        kinds, slices = self._heads.kinds, self._heads.slices
        if len(kinds) == 1:
            return [Tally(truth, prediction, exclusive=kinds[0] == "exclusive")]
        Tally(truth, prediction).require_same_shape(f"of {len(kinds)} heads")
        if prediction.shape[1] != sum(self._heads.sizes):
            sizes = " + ".join(map(str, self._heads.sizes))
            raise TrainingError(f"heads of {sizes} classes were given a prediction of shape {tuple(prediction.shape)}")
        return [
            Tally(truth[:, part], prediction[:, part], exclusive=kind == "exclusive")
            for kind, part in zip(kinds, slices, strict=True)
        ]

    def compute(self) -> dict[str, float]:
        """Every figure by name; nan where nothing was shown."""
        figures: dict[str, float] = {}
        for name, found in self._of_heads:
            if self._heads is None or len(self._heads.sizes) == 1:
                figures |= found[0].figures()
                continue
            of_heads = {f"{name}_{self._heads.names[head]}": metric.figures() for head, metric in found.items()}
            known = [own[name] for own in of_heads.values() if not math.isnan(own[name])]
            figures[name] = sum(known) / len(known) if known else math.nan
            for column, own in of_heads.items():
                figures |= {column + key.removeprefix(name): value for key, value in own.items()}
        return figures | {name: value for metric in self._also for name, value in metric.figures().items()}

    def reset(self) -> None:
        """Forget everything shown."""
        for metric in self.metrics:
            metric.reset()

    def state(self) -> list[Tensor]:
        """The state of each metric, in order."""
        return [metric.state() for metric in self.metrics]

    def merge(self, states: Sequence[Tensor]) -> None:
        """Add what another process gathered (its :meth:`state`)."""
        for metric, state in zip(self.metrics, states, strict=True):
            metric.merge(state)


def _per_head(name: str, heads: Heads, evaluation: bool) -> dict[int, Metric]:
    """The metric for each head it makes sense for, by the head's position."""
    found: dict[int, Metric] = {}
    for position in heads_of(name, heads.activations):
        metric = build_metric(
            name, evaluation=evaluation, activation=heads.activations[position], kind=heads.kinds[position]
        )
        if isinstance(metric, FigurePerClass) and heads.classes:
            metric.classes = heads.classes[position]
        found[position] = metric
    if not found:
        wanted = METRICS.get(name).facts["of"]
        raise TrainingError(
            f"metric {name} is for heads of {wanted}, and activation is {', '.join(heads.activations)}. Name another "
            "metric (musket ls metrics)"
        )
    return found
