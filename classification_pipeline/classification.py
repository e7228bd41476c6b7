"""Former import path of classification experiments: ``from classification_pipeline import classification``."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from musket.data.catalogue import dataset_augmenters, extra_train
from musket.experiment.facade import Experiment
from musket.experiment.facade import parse as _parse
from musket.models.classifier_catalogue import classifier_models as custom_models

__all__ = ["custom", "custom_models", "dataset_augmenters", "extra_train", "parse"]

custom = SimpleNamespace(models=custom_models)
"""The other former spelling: ``classification.custom.models["MyNet"] = build``."""


def parse(path: str | Path) -> Experiment:
    """Read and check a classification experiment. Raises ConfigError with every problem of the file."""
    return _parse(path, dialect="classification")
