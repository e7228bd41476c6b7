"""Promises of README and of the former one that need a real network: imports, the five-line program, whole projects."""

from __future__ import annotations

import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pages
import pytest
import toy
import yaml

import musket
from musket.artifacts.checkpoint import load_weights
from musket.cli.main import main
from musket.data.queue_settings import QUEUE
from segmentation_pipeline import segmentation
from segmentation_pipeline.impl import datasets
from segmentation_pipeline.impl.datasets import SimplePNGMaskDataSet

MODULES = """\
from musket.data.folders import DirectoryDataSet, SimplePNGMaskDataSet


def getTrain(extension="jpg"):
    return SimplePNGMaskDataSet("images", "masks", in_ext=extension)


def getTest():
    return DirectoryDataSet("images")
"""


def readme(language: str, word: str) -> str:
    """The block of README.md with this info string."""
    found = [one for one in pages.blocks(pages.ROOT / "README.md") if (one.language, one.word) == (language, word)]
    assert len(found) == 1
    return found[0].text


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of discs: one module, one experiment."""
    toy.register_small_net()
    root = tmp_path / "discs"
    toy.write_discs(root / "data", 10)
    (root / "modules").mkdir()
    (root / "modules" / "discs_of_a_project.py").write_text(MODULES)
    folder = root / "experiments" / "small"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(toy.CONFIG + "dataset: {getTrain: []}\ndatasets: {test: {getTest: []}}\n")
    return root


def test_s1_imports_and_command() -> None:
    code = "from segmentation_pipeline import segmentation; from segmentation_pipeline.impl import datasets, rle"
    done = subprocess.run([sys.executable, "-c", code], cwd=pages.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = subprocess.run([sys.executable, "-m", "musket"], cwd=pages.ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0
    assert told.stdout.startswith("usage: musket")
    scripts = tomllib.loads((pages.ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert scripts["musket"] == f"{main.__module__}:{main.__name__}"


def test_s7_minimal_config_complete_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The config and the program of README, real network and all, on little images."""
    pages.write_images(tmp_path)
    monkeypatch.chdir(tmp_path)
    whole = readme("yaml", "config.yaml")
    (tmp_path / "config.yaml").write_text(pages.smaller(whole))
    exec(compile(readme("python", "afresh"), "README.md", "exec"), {})

    keys = yaml.safe_load(whole)
    assert keys["stages"] == [{"epochs": 50}]
    assert (keys["testSplit"], keys["batch"], keys["encoder_weights"]) == (0.4, 16, None)
    spec = segmentation.parse("config.yaml").spec
    assert spec.notices == ()
    assert (spec.architecture, spec.backbone) == ("DeepLabV3", "mobilenetv2")
    assert [(part.name, part.options) for part in spec.augmentation] == [("Fliplr", {"p": 0.5}), ("Flipud", {"p": 0.5})]
    assert [part.name for part in spec.callbacks] == ["EarlyStopping", "ReduceLROnPlateau"]
    for fold in range(2):
        weights, told = load_weights(tmp_path / "weights" / f"best-{fold}.0.weights")
        assert len(weights) > 100
        assert (told["architecture"], told["backbone"]) == ("DeepLabV3", "mobilenetv2")
    header = (tmp_path / "metrics" / "metrics-0.0.csv").read_text().splitlines()[0].split(",")
    assert {"binary_accuracy", "iou", "loss", "lr", "val_binary_accuracy", "val_iou", "val_loss"} <= set(header)
    scores = yaml.safe_load((tmp_path / "summary.yaml").read_text())["allStages"]
    assert {"binary_accuracy", "binary_accuracy_holdout", "iou", "iou_holdout"} == set(scores)
    with pytest.raises(musket.MusketError, match="already finished"):
        segmentation.parse("config.yaml").fit(SimplePNGMaskDataSet("pics/train", "pics/train_mask"))


def test_s26_dataset_function_of_a_project_module(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function is found by name, gets the positional list, and relative paths start at the project's data."""
    monkeypatch.chdir(project.parent)
    config = project / "experiments" / "small" / "config.yaml"
    experiment = musket.parse(config, dataset={"getTrain": ["jpg"]}, stages=[{"epochs": 1}])
    experiment.fit()
    assert (config.parent / "summary.yaml").exists()
    with pytest.raises(musket.MusketError, match="no \\.tif files"):
        musket.parse(config, dataset={"getTrain": ["tif"]}).get_dataset()


def test_s26_an_unknown_dataset_function_is_refused_by_name(project: Path) -> None:
    config = project / "experiments" / "small" / "config.yaml"
    with pytest.raises(musket.ConfigError, match="getTrain"):
        musket.parse(config, dataset={"getTrian": []})


def test_s27_named_datasets(project: Path) -> None:
    experiment = musket.parse(project / "experiments" / "small" / "config.yaml")
    named = experiment.get_dataset("test")
    assert len(named) == 10
    assert named[0].y is None
    assert len(experiment.get_dataset()) == 10
    assert experiment.get_dataset()[0].y.shape == (40, 48, 1)
    held, trained = (experiment.get_dataset(part).sample_ids() for part in ("holdout", "train"))
    assert held
    assert not set(held) & set(trained)
    with pytest.raises(musket.ConfigError, match="entries of datasets: test"):
        experiment.get_dataset("tset")


def test_s53_queue_limit_is_honoured_by_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a real fit reads ahead stays within the limit set by the old name; by itself it would be six batches."""
    for name in ("AUGMENTER_QUEUE_LIMIT", "NB_WORKERS"):
        monkeypatch.setattr(QUEUE, name, getattr(QUEUE, name))
    datasets.NB_WORKERS = 4

    def most_ahead(limit: int, folder: Path) -> int:
        datasets.AUGMENTER_QUEUE_LIMIT = limit
        dataset = Watched()
        cfg = toy.experiment(folder, folds_count=1, batch=1, testSplit=0, callbacks={"CountConsumed": {}})
        CountConsumed.dataset = dataset
        cfg.fit(dataset)
        return dataset.most

    class Watched(toy.Drawn):
        def __init__(self) -> None:
            super().__init__(20)
            self.read, self.consumed, self.most = 0, 0, 0
            self.lock = threading.Lock()

        def item(self, index: int, is_train: bool) -> musket.PredictionItem:
            if is_train:
                with self.lock:
                    self.read += 1
                    self.most = max(self.most, self.read - self.consumed)
            return self[index]

    @musket.callback
    class CountConsumed(musket.Hook):
        dataset: Any = None

        def on_batch_start(self, run: musket.Run) -> None:
            with self.dataset.lock:
                self.dataset.consumed += 1

    assert most_ahead(1, tmp_path / "one") <= 1 + 1  # the batch in hand, and the one that waits
    assert most_ahead(3, tmp_path / "three") <= 3 + 1


@pytest.mark.parametrize("architecture", ["Unet", "FPN"])
def test_x3_architecture_swapped_by_one_key(architecture: str, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(pages.smaller(readme("yaml", "config.yaml")))
    experiment = musket.parse(config, architecture=architecture, folds_count=1, shape=[64, 64, 3], verbose=0)
    experiment.fit(toy.Drawn(10))
    _, told = load_weights(experiment.layout.weights(0, 0))
    assert told["architecture"] == architecture
    assert experiment.load_model().predict(np.stack([toy.draw_disc(0)[0]])).shape == (1, 40, 48, 1)


def test_x5_fit_and_predict_with_a_single_modules_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    assert main(["fit", "--project", "discs", "--name", "small", "stages[0].epochs=1"]) == 0
    experiment = musket.parse("discs/experiments/small")
    experiment.predict_to_directory("discs/data/images", "found", fold=None)
    found = sorted(Path("found").iterdir())
    assert [path.name for path in found] == [f"disc-{index:02}.png" for index in range(10)]
    assert cv2.imread(str(found[0]), cv2.IMREAD_UNCHANGED).shape == (40, 48)
    assert main(["fit", "--project", "discs"]) == 0
