"""Datasets under their former import path. Setting a knob here (``AUGMENTER_QUEUE_LIMIT = 3``) takes effect."""

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
from musket.data.queue_settings import forward_knobs
from musket.data.text_masks import TextMaskGenerator

__all__ = [
    "AspectRatioDataSet",
    "BlendedDataSet",
    "CompositeDataSet",
    "ConstrainedDirectory",
    "CropAndSplit",
    "DataSet",
    "DirectoryDataSet",
    "DropItemsDataset",
    "NegativeDataSet",
    "NotzeroSimplePNGMaskDataSet",
    "PredictionItem",
    "SimplePNGMaskDataSet",
    "SubDataSet",
    "TextMaskGenerator",
    "dataset_provider",
]

forward_knobs(__name__)
