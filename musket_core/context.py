"""The current project under its former import path."""

from __future__ import annotations

from musket.experiment.projects.context import (
    csv_from_data,
    get_current_project_data_path,
    get_current_project_path,
    image_from_data,
)

__all__ = ["csv_from_data", "get_current_project_data_path", "get_current_project_path", "image_from_data"]
