"""The decorator of functions called after training, under its former import path."""

from __future__ import annotations

from musket.experiment.tasks.fit_callbacks import after_fit

__all__ = ["after_fit"]
