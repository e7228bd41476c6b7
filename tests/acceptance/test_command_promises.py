"""Promises about commands, on a project whose only code is one file of modules."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import toy

from musket.cli.main import main

MODULE = """\
import toy

import musket
from musket.data.folders import SimplePNGMaskDataSet


def discs() -> SimplePNGMaskDataSet:
    return SimplePNGMaskDataSet("images", "masks")


@musket.architecture
def net_of_one_file(shape, classes):
    return toy.small_net(shape, classes)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "discs"
    toy.write_discs(root / "data", 10)
    (root / "modules").mkdir()
    (root / "modules" / "single_file_of_discs.py").write_text(MODULE)
    (root / "experiments" / "net").mkdir(parents=True)
    config = toy.CONFIG.replace("small_net", "net_of_one_file").replace("epochs: 2", "epochs: 1")
    (root / "experiments" / "net" / "config.yaml").write_text(f"{config}dataset: {{discs: []}}\n")
    return root


def test_x5_fit_predict_and_clean_by_command(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--project", str(project)]
    assert main(["fit", *where, "--one_process"]) == 0
    images, masks = project / "data" / "images", project / "found"
    assert main(["predict", *where, "--name", "net", "--input", str(images), "--output", str(masks)]) == 0
    found = sorted(masks.iterdir())
    assert [path.name for path in found] == [f"disc-{index:02}.png" for index in range(10)]
    picture = cv2.imread(str(found[0]), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert (picture.shape, picture.dtype) == ((40, 48), np.uint8)
    capsys.readouterr()
    assert main(["clean", *where, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert any(path.endswith("summary.yaml") for path in told[0]["files"])
    assert main(["clean", *where, "--yes"]) == 0
    left = [path.name for path in (project / "experiments" / "net").iterdir() if path.name != ".fit.lock"]
    assert left == ["config.yaml"]
    assert len(list(images.iterdir())) == 10
    assert len(list(masks.iterdir())) == 10
