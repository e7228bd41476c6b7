"""Tasks under their former import path: ``from musket_core import tasks``, ``@tasks.task``."""

from __future__ import annotations

from musket.experiment.tasks.image_tasks import ImageWriter, MetricsWriter
from musket.experiment.tasks.tasks import task

__all__ = ["ImageWriter", "MetricsWriter", "task"]
