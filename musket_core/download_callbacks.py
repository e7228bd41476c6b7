"""The decorator of functions called after a download, under its former import path."""

from __future__ import annotations

from musket.experiment.projects.dependencies import after_download

__all__ = ["after_download"]
