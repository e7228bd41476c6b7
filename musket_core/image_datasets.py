"""CSV datasets under their former import path."""

from __future__ import annotations

from musket.data.tables import BinarySegmentationDataSet, MultiClassSegmentationDataSet

__all__ = ["BinarySegmentationDataSet", "MultiClassSegmentationDataSet"]
