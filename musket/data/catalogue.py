"""Datasets a config can name. User functions and classes are added beside them. Imports no code of the datasets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from musket.core.registry import Registry

DATASETS = Registry("dataset")
PREPROCESSORS = Registry("preprocessor")
"""Steps of the key ``preprocessing``. Fact ``supplied``: parameters that are no options: the program fills them."""

extra_train: dict[str, Any] = {}
"""Datasets handed over in Python for the key ``extra_train_data``, by name."""

dataset_augmenters: dict[str, Callable[..., Any]] = {}
"""Functions the key ``dataset_augmenter`` can name: called with its other keys, they return dataset -> dataset."""


def dataset_provider(
    name: str | Callable[..., Any] | None = None, origin: str | None = None, kind: str | None = None
) -> Any:
    """Decorator: a function that returns a dataset can be named in configs. Parentheses may be left out.

    Args:
        name: name in configs; default the function's own.
        origin: where the data come from, for people.
        kind: what the dataset is made of, for people.
    """
    if callable(name):
        return dataset_provider()(name)

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        own = name or function.__name__
        again = own in DATASETS and DATASETS.get(own).facts.get("custom") is True
        DATASETS.add(own, function, replace=again, custom=True, origin=origin, of=kind)
        return function

    return register


def _fill() -> None:
    for name, module, summary in (
        ("SimplePNGMaskDataSet", "folders", "Images in one folder, masks of the same name in another."),
        ("NotzeroSimplePNGMaskDataSet", "folders", "The same, only items whose mask is not empty."),
        ("DirectoryDataSet", "folders", "Every file of a folder as an unlabelled image."),
        ("NegativeDataSet", "folders", "Images of a folder with empty masks."),
        ("BinarySegmentationDataSet", "tables", "CSV with run-length masks of one class."),
        ("MultiClassSegmentationDataSet", "tables", "CSV with run-length masks, one row per image and class."),
        ("ClassFolders", "label_folders", "A folder of images per class."),
        ("FolderClassificationDataSet", "label_folders", "Listed sub-folders, each of which is a class."),
        ("FolderDataSet", "label_folders", "One folder, which is the only class."),
        ("BinaryClassificationDataSet", "label_tables", "CSV with one of two classes per image."),
        ("CategoryClassificationDataSet", "label_tables", "CSV with one class of several per image."),
        ("MultiClassClassificationDataSet", "label_tables", "CSV with any number of classes per image."),
        ("MultiOutputClassClassificationDataSet", "label_tables", "CSV with classes, flags and numbers per image."),
        ("RegressionDataSet", "label_tables", "CSV with numbers per image."),
        ("GenericCSVDataSet", "generic_tables", "CSV whose columns are inputs and outputs of any type."),
        ("CSVDataSet", "generic_tables", "CSV with an input column and a target column."),
        ("from_csv", "generic_tables", "The same, by a function."),
        ("FromArrays", "generic_tables", "Inputs and targets from arrays."),
        ("from_array", "generic_tables", "The same, by a function."),
        ("CompositeDataSet", "dataset", "Several datasets, one after another."),
        ("CropAndSplit", "crops", "Every image cut into n x n cells."),
        ("BlendedDataSet", "blending", "Half of the training images blended with random pictures."),
        ("DropItemsDataset", "blending", "Objects cut out of other pictures, pasted into training images."),
        ("TextMaskGenerator", "text_masks", "Ten pictures of turned text filled with textures."),
        ("AspectRatioDataSet", "aspect", "Images cropped to one ratio of width to height."),
    ):
        DATASETS.add(name, f"musket.data.{module}:{name}", summary)

    for name, target, summary in (
        ("cache", "item_caches:memory_cache", "Keep items in memory once they were made."),
        ("disk-cache", "item_caches:disk_cache", "Keep items on disk, for this run and all others."),
        ("pass", "preprocessing:unchanged", "Leave the dataset as it is."),
    ):
        supplied = ("dataset", "cache_folder", "made_by") if name == "disk-cache" else ("dataset",)
        PREPROCESSORS.add(name, f"musket.data.{target}", summary, supplied=supplied)


_fill()
