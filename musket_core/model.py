"""Models that tasks and final metrics are given, under their former import path."""

from __future__ import annotations

from musket.experiment.connected import AverageBlend, ConnectedModel, FoldsAndStages, Model

__all__ = ["AverageBlend", "ConnectedModel", "FoldsAndStages", "Model"]
