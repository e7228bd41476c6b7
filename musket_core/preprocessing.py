"""Preprocessors under their former import path."""

from __future__ import annotations

from musket.data.preprocessing import dataset_preprocessor, dataset_transformer

__all__ = ["dataset_preprocessor", "dataset_transformer"]
