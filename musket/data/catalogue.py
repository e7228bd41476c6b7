"""Datasets a config can name. User functions and classes are added beside them. Imports no code of the datasets."""

from __future__ import annotations

from musket.core.registry import Registry

DATASETS = Registry("dataset")


def _fill() -> None:
    for name, module, summary in (
        ("SimplePNGMaskDataSet", "folders", "Images in one folder, masks of the same name in another."),
        ("NotzeroSimplePNGMaskDataSet", "folders", "The same, only items whose mask is not empty."),
        ("DirectoryDataSet", "folders", "Every file of a folder as an unlabelled image."),
        ("NegativeDataSet", "folders", "Images of a folder with empty masks."),
        ("BinarySegmentationDataSet", "tables", "CSV with run-length masks of one class."),
        ("MultiClassSegmentationDataSet", "tables", "CSV with run-length masks, one row per image and class."),
        ("CompositeDataSet", "views", "Several datasets, one after another."),
    ):
        DATASETS.add(name, f"musket.data.{module}:{name}", summary)


_fill()
