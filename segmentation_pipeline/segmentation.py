"""Former import path of segmentation experiments: ``from segmentation_pipeline import segmentation``."""

from __future__ import annotations

from pathlib import Path

from musket.core.registry import RegistryDict
from musket.experiment.facade import Experiment
from musket.experiment.facade import parse as _parse
from musket.models.catalogue import ARCHITECTURES

custom_models = RegistryDict(ARCHITECTURES)


def parse(path: str | Path) -> Experiment:
    """Read and check a segmentation experiment. Raises ConfigError with every problem of the file."""
    return _parse(path, dialect="segmentation")
