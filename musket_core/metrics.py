"""Metrics under their former import path."""

from __future__ import annotations

from musket.experiment.custom import final_metric
from musket.experiment.custom import metric as keras_metric
from musket.metrics.final import ByOneMetric, SimpleMetric, WithTreshold

__all__ = ["ByOneMetric", "SimpleMetric", "WithTreshold", "final_metric", "keras_metric"]
