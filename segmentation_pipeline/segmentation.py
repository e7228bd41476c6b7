"""Former import path of segmentation experiments: ``from segmentation_pipeline import segmentation``."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from musket.data.catalogue import dataset_augmenters, extra_train
from musket.experiment.facade import Experiment
from musket.experiment.facade import parse as _parse
from musket.models.catalogue import custom_models
from musket.predict.ensemble import ansemblePredictions, ensemble_predictions

__all__ = [
    "ansemblePredictions",
    "custom",
    "custom_models",
    "dataset_augmenters",
    "ensemble_predictions",
    "extra_train",
    "parse",
]

custom = SimpleNamespace(models=custom_models)
"""The other former spelling: ``segmentation.custom.models["MyUnet"] = build``."""


def parse(path: str | Path) -> Experiment:
    """Read and check a segmentation experiment. Raises ConfigError with every problem of the file."""
    return _parse(path, dialect="segmentation")
