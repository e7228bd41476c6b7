"""CSV datasets under their former import path."""

from __future__ import annotations

from musket.data.label_folders import FolderClassificationDataSet, FolderDataSet
from musket.data.label_tables import (
    BinaryClassificationDataSet,
    CategoryClassificationDataSet,
    MultiClassClassificationDataSet,
    MultiOutputClassClassificationDataSet,
)
from musket.data.tables import BinarySegmentationDataSet, MultiClassSegmentationDataSet

__all__ = [
    "BinaryClassificationDataSet",
    "BinarySegmentationDataSet",
    "CategoryClassificationDataSet",
    "FolderClassificationDataSet",
    "FolderDataSet",
    "MultiClassClassificationDataSet",
    "MultiClassSegmentationDataSet",
    "MultiOutputClassClassificationDataSet",
]
