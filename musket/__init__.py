"""Musket: one YAML file trains, compares and blends image segmentation and classification models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from musket.core.version import VERSION

if TYPE_CHECKING:
    from musket.core.errors import ConfigError, ConfigWarning, MusketError
    from musket.core.types import PredictionItem
    from musket.data.catalogue import dataset_augmenters, dataset_provider, extra_train
    from musket.data.dataset import CompositeDataSet, DataSet, SubDataSet
    from musket.data.folders import DirectoryDataSet, NotzeroSimplePNGMaskDataSet, SimplePNGMaskDataSet
    from musket.data.generic_tables import CSVDataSet, FromArrays, GenericCSVDataSet
    from musket.data.label_folders import ClassFolders, FolderClassificationDataSet
    from musket.data.label_tables import (
        BinaryClassificationDataSet,
        CategoryClassificationDataSet,
        MultiClassClassificationDataSet,
        MultiOutputClassClassificationDataSet,
        RegressionDataSet,
    )
    from musket.data.preprocessing import dataset_preprocessor, dataset_transformer
    from musket.data.tables import BinarySegmentationDataSet, MultiClassSegmentationDataSet
    from musket.experiment.custom import (
        activation,
        architecture,
        augmenter,
        callback,
        custom_objects,
        final_metric,
        loss,
        metric,
        network,
    )
    from musket.experiment.facade import Experiment, parse
    from musket.experiment.projects.dependencies import after_download
    from musket.experiment.tasks.fit_callbacks import after_fit
    from musket.experiment.tasks.tasks import task
    from musket.training.hooks import Hook, Run

__version__ = VERSION

# Public name -> module that has it. Imported when first asked for, so that `import musket` costs nothing.
_HOMES = {
    **dict.fromkeys(("ConfigError", "ConfigWarning", "MusketError"), "musket.core.errors"),
    "PredictionItem": "musket.core.types",
    **dict.fromkeys(
        (
            "activation",
            "architecture",
            "augmenter",
            "callback",
            "custom_objects",
            "final_metric",
            "loss",
            "metric",
            "network",
        ),
        "musket.experiment.custom",
    ),
    **dict.fromkeys(("Experiment", "parse"), "musket.experiment.facade"),
    "after_download": "musket.experiment.projects.dependencies",
    "after_fit": "musket.experiment.tasks.fit_callbacks",
    "task": "musket.experiment.tasks.tasks",
    **dict.fromkeys(("dataset_augmenters", "dataset_provider", "extra_train"), "musket.data.catalogue"),
    **dict.fromkeys(("DirectoryDataSet", "NotzeroSimplePNGMaskDataSet", "SimplePNGMaskDataSet"), "musket.data.folders"),
    **dict.fromkeys(("CSVDataSet", "FromArrays", "GenericCSVDataSet"), "musket.data.generic_tables"),
    **dict.fromkeys(("ClassFolders", "FolderClassificationDataSet"), "musket.data.label_folders"),
    **dict.fromkeys(
        (
            "BinaryClassificationDataSet",
            "CategoryClassificationDataSet",
            "MultiClassClassificationDataSet",
            "MultiOutputClassClassificationDataSet",
            "RegressionDataSet",
        ),
        "musket.data.label_tables",
    ),
    **dict.fromkeys(("dataset_preprocessor", "dataset_transformer"), "musket.data.preprocessing"),
    **dict.fromkeys(("BinarySegmentationDataSet", "MultiClassSegmentationDataSet"), "musket.data.tables"),
    **dict.fromkeys(("CompositeDataSet", "DataSet", "SubDataSet"), "musket.data.dataset"),
    **dict.fromkeys(("Hook", "Run"), "musket.training.hooks"),
}

__all__ = [
    "BinaryClassificationDataSet",
    "BinarySegmentationDataSet",
    "CSVDataSet",
    "CategoryClassificationDataSet",
    "ClassFolders",
    "CompositeDataSet",
    "ConfigError",
    "ConfigWarning",
    "DataSet",
    "DirectoryDataSet",
    "Experiment",
    "FolderClassificationDataSet",
    "FromArrays",
    "GenericCSVDataSet",
    "Hook",
    "MultiClassClassificationDataSet",
    "MultiClassSegmentationDataSet",
    "MultiOutputClassClassificationDataSet",
    "MusketError",
    "NotzeroSimplePNGMaskDataSet",
    "PredictionItem",
    "RegressionDataSet",
    "Run",
    "SimplePNGMaskDataSet",
    "SubDataSet",
    "__version__",
    "activation",
    "after_download",
    "after_fit",
    "architecture",
    "augmenter",
    "callback",
    "custom_objects",
    "dataset_augmenters",
    "dataset_preprocessor",
    "dataset_provider",
    "dataset_transformer",
    "extra_train",
    "final_metric",
    "loss",
    "metric",
    "network",
    "parse",
    "task",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'musket' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
