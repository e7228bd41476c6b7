"""Datasets under their former import path. Setting a knob here (``AUGMENTER_QUEUE_LIMIT = 3``) takes effect."""

from __future__ import annotations

from musket.core.types import PredictionItem
from musket.data.folders import (
    ConstrainedDirectory,
    DirectoryDataSet,
    NegativeDataSet,
    NotzeroSimplePNGMaskDataSet,
    SimplePNGMaskDataSet,
)
from musket.data.queue_settings import forward_knobs
from musket.data.views import CompositeDataSet, DataSet, SubDataSet

__all__ = [
    "CompositeDataSet",
    "ConstrainedDirectory",
    "DataSet",
    "DirectoryDataSet",
    "NegativeDataSet",
    "NotzeroSimplePNGMaskDataSet",
    "PredictionItem",
    "SimplePNGMaskDataSet",
    "SubDataSet",
]

forward_knobs(__name__)
