"""What the former import paths of datasets give: one list for all of them."""

from __future__ import annotations

from musket.core.types import PredictionItem
from musket.data.aspect import AspectRatioDataSet
from musket.data.blending import BlendedDataSet, DropItemsDataset
from musket.data.catalogue import dataset_provider
from musket.data.crops import CropAndSplit
from musket.data.dataset import CompositeDataSet, DataSet, SubDataSet
from musket.data.folders import (
    ConstrainedDirectory,
    DirectoryDataSet,
    NegativeDataSet,
    NotzeroSimplePNGMaskDataSet,
    SimplePNGMaskDataSet,
)
from musket.data.generic_tables import CSVDataSet, FromArrays, GenericCSVDataSet, from_array, from_csv
from musket.data.text_masks import TextMaskGenerator

__all__ = [
    "AspectRatioDataSet",
    "BlendedDataSet",
    "CSVDataSet",
    "CompositeDataSet",
    "ConstrainedDirectory",
    "CropAndSplit",
    "DataSet",
    "DirectoryDataSet",
    "DropItemsDataset",
    "FromArrays",
    "GenericCSVDataSet",
    "NegativeDataSet",
    "NotzeroSimplePNGMaskDataSet",
    "PredictionItem",
    "SimplePNGMaskDataSet",
    "SubDataSet",
    "TextMaskGenerator",
    "dataset_provider",
    "from_array",
    "from_csv",
]
