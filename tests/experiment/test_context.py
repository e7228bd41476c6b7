"""The current project, as code of its modules asks for it."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from musket.core.errors import DataError, MusketError
from musket.experiment.projects.project import open_project
from musket_core import context


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("modules", "data/tables", "experiments/deep/one/statistics"):
        (tmp_path / "project" / name).mkdir(parents=True)
    return tmp_path / "project"


@pytest.mark.parametrize("place", [".", "data", "experiments/deep/one/statistics", "modules"])
def test_the_project_one_is_in(place: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / place)
    assert context.get_current_project_path() == str(project)
    assert context.get_current_project_data_path() == str(project / "data")


def test_elsewhere_it_is_the_one_opened_last(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "modules" / "of_the_context.py").write_text("x = 1\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry).name != "modules"])
    with pytest.raises(MusketError, match="is in no project: no folder above it has modules"):
        context.get_current_project_path()
    open_project(project)
    assert context.get_current_project_path() == str(project)


def test_tables_and_images_of_data(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    (project / "data" / "tables" / "a.csv").write_text("name,value\nx,1\ny,2\n")
    image = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    cv2.imwrite(str(project / "data" / "a.png"), image[..., ::-1])
    assert context.csv_from_data("tables/a.csv")["value"].tolist() == [1, 2]
    assert np.array_equal(context.image_from_data("a.png"), image)
    with pytest.raises(DataError, match=r"none\.csv: cannot be read as CSV"):
        context.csv_from_data("none.csv")
    with pytest.raises(DataError, match="no such file"):
        context.image_from_data("none.png")
