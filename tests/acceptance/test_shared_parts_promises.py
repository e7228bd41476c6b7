"""Parts written once in a project's modules serve all its experiments."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import toy

import musket

MODULE = """\
import numpy as np

import musket


def get_train():
    return musket.SimplePNGMaskDataSet("train/images", "train/masks")


@musket.loss
def squared(truth, prediction):
    return ((truth - prediction) ** 2).mean()


@musket.augmenter
def darker(image, share: float = 0.5):
    return (image * share).astype(image.dtype)
"""


def test_x4_modules_of_a_project_serve_several_experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setitem(sys.modules, "shared_parts", None)
    monkeypatch.delitem(sys.modules, "shared_parts")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "shared_parts.py").write_text(MODULE)
    (tmp_path / "common.yaml").write_text("datasets:\n  all: {get_train: []}\n")
    toy.write_discs(tmp_path / "data" / "train", 8)
    shared = {"dataset": "all", "loss": "squared", "augmentation": {"darker": 0.8}, "testSplit": 0}
    found = []
    for name in ("one", "two"):
        folder = tmp_path / "experiments" / name
        folder.mkdir(parents=True)
        toy.register_small_net()
        (folder / "config.yaml").write_text(toy.CONFIG)
        experiment = musket.parse(folder, **shared)
        assert experiment.fit()["completed"]
        found.append(experiment.spec.dump())
    assert found[0] == found[1]
