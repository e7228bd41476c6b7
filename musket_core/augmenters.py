"""The decorator of own augmenters under its former import path."""

from __future__ import annotations

from musket.experiment.custom import augmenter

__all__ = ["augmenter"]
