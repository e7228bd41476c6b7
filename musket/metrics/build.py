"""From the name of a metric to the metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from musket.core.registry import Entry
from musket.metrics.catalogue import METRICS, direction
from musket.metrics.metric import FunctionMetric, Metric
from musket.metrics.tally import Tally

__all__ = ["MetricSet", "build_metric", "direction"]


def build_metric(name: str, *, evaluation: bool = False, activation: str | None = None) -> Metric:
    """The metric of a name.

    Args:
        name: a built-in metric, any adopted loss, or what the user registered: ``f(truth, prediction)`` returning the
            value of a batch (see :class:`~musket.metrics.metric.FunctionMetric`), or a subclass of ``Metric``.
        evaluation: the form for finished predictions: at 0.5 wherever that makes sense, IoU and Dice per class over
            all images. A user's own function sees 0/1 then, unless it has ``need_threshold = False``.
        activation: of the network's output, for the metrics that depend on it (accuracy).

    Raises:
        RegistryError: no such metric; names the nearest.
    """
    entry = METRICS.get(name)
    facts = entry.facts
    head = str(activation).lower()
    target = (facts.get("evaluation") if evaluation else None) or facts.get("by_activation", {}).get(head, entry.target)
    found = Entry(name, target).load()
    if isinstance(found, type) and issubclass(found, Metric):
        return found(name, facts.get("mode"))
    need_threshold = facts.get("need_threshold", getattr(found, "need_threshold", True))
    return FunctionMetric(
        name,
        found,
        facts.get("mode"),
        reduction=facts.get("reduction", "mean"),
        threshold=evaluation and need_threshold,
        same_shape=facts.get("same_shape", False),
    )


class MetricSet:
    """Several metrics that look at the same batches and share their counts.

    Args:
        names, evaluation, activation: see :func:`build_metric`.
        also: further metrics, made already.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        evaluation: bool = False,
        activation: str | Sequence[str] | None = None,
        also: Iterable[Metric] = (),
    ):
        if activation is not None and not isinstance(activation, str):  # one per output; metrics look at all of them
            activation = activation[0] if len(set(activation)) == 1 else None
        built = (build_metric(name, evaluation=evaluation, activation=activation) for name in names)
        self.metrics: list[Metric] = [*built, *also]

    def update(self, truth: Tensor, prediction: Tensor) -> None:
        """Take a batch in; see :class:`~musket.metrics.tally.Tally` for the shapes."""
        tally = Tally(truth, prediction)
        for metric in self.metrics:
            metric.add(tally)

    def compute(self) -> dict[str, float]:
        """Every figure by name; nan where nothing was shown."""
        return {name: value for metric in self.metrics for name, value in metric.figures().items()}

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
