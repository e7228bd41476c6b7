"""Promises about what people see of a classification: examples of every epoch, tables per class, the check."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import toy_labels

import musket
from musket.report.samples import as_picture, write_jpg

PICTURES = 8  # validation samples of a fold


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    cfg = toy_labels.experiment(folder, showDataExamples=True)
    cfg.fit(toy_labels.Thirds())
    return folder


def picture(path: Path) -> np.ndarray:
    found = cv2.imread(str(path))
    assert found is not None, path
    return found


def test_c7_example_pictures_after_every_epoch(fitted: Path) -> None:
    names = {f"0/{fold}/t_epoch_{epoch}.0.jpg" for fold in (0, 1) for epoch in (0, 1)}
    names |= {f"0/{fold}/t_epoch_train{epoch}.0.jpg" for fold in (0, 1) for epoch in (0, 1)}
    examples = fitted / "examples"
    assert {path.relative_to(examples).as_posix() for path in examples.rglob("*.jpg")} == names
    for name in names:
        assert picture(examples / name).shape[0] > 300  # two rows of four


def test_c7_examples_show_image_truth_and_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from musket.report import label_samples

    drawn: list[Any] = []
    draw = label_samples.draw_labels

    def record(images: Any, truths: Any, predictions: Any, heads: Any, names: Any) -> np.ndarray:
        drawn.append((images, truths, predictions, heads, names))
        return draw(images, truths, predictions, heads, names)

    monkeypatch.setattr(label_samples, "draw_labels", record)
    cfg = toy_labels.experiment(tmp_path, stages=[{"epochs": 1}])
    dataset = toy_labels.Thirds()
    cfg.fit(dataset, foldsToExecute=[0])
    ((images, truths, predictions, heads, names),) = drawn
    assert names == [["left", "middle", "right"]]
    assert heads.sizes == (3,)
    assert len(images) == len(truths) == len(predictions) == PICTURES
    for image, truth, prediction in zip(images, truths, predictions, strict=True):
        assert image.shape == (24, 24, 3)
        assert image.dtype == np.uint8
        thirds = as_picture(image).reshape(24, 3, 8, 3).max(axis=(0, 2, 3))
        assert thirds.argmax() == truth.argmax()  # the disc is where the label says
        assert prediction.sum() == pytest.approx(1, abs=1e-5)


def test_c7_examples_of_several_heads(tmp_path: Path) -> None:
    cfg = toy_labels.experiment(
        tmp_path,
        classes=[3, 1, 1],
        activation=["softmax", "sigmoid", "none"],
        loss=["categorical_crossentropy", "binary_crossentropy", "mse"],
        head_names=["third", "even", "share"],
        metrics=[],
        primary_metric="val_loss",
        stages=[{"epochs": 1}],
    )
    dataset = toy_labels.Thirds(target="several")
    cfg.fit(dataset, foldsToExecute=[0])
    single = toy_labels.experiment(tmp_path / "single", stages=[{"epochs": 1}])
    single.fit(toy_labels.Thirds(), foldsToExecute=[0])
    several, one = (picture(path / "examples/0/0/t_epoch_0.0.jpg") for path in (tmp_path, tmp_path / "single"))
    assert several.shape[0] > one.shape[0]  # two lines more for each of two more heads


def test_confusion_and_classes_beside_the_results(fitted: Path) -> None:
    tables = {path.name for path in (fitted / "evaluation").iterdir()}
    for part in ("validation", "holdout"):
        assert {f"{part}_{what}.{kind}" for what in ("confusion", "classes") for kind in ("csv", "png")} <= tables
    with (fitted / "evaluation" / "validation_confusion.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["truth", "left", "middle", "right"]
    assert sum(int(cell) for row in rows[1:] for cell in row[1:]) == 16  # all that is not held out, once


def test_augmentation_sheet_of_labels(tmp_path: Path) -> None:
    cfg = toy_labels.experiment(tmp_path)
    sheet = cfg.augmentation_sheet(toy_labels.Thirds(), count=3, columns=2)
    more = cfg.augmentation_sheet(toy_labels.Thirds(), count=4, columns=2)
    assert sheet.dtype == np.uint8
    assert more.shape[1] == sheet.shape[1]
    assert more.shape[0] > sheet.shape[0]
    write_jpg(tmp_path / "sheet.jpg", sheet)


def test_check_of_a_classification_writes_nothing(tmp_path: Path) -> None:
    cfg = toy_labels.experiment(tmp_path)
    report = cfg.check(toy_labels.Thirds())
    assert report.ok
    assert report.estimate is not None
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_check_stays_cheap_for_many_samples(tmp_path: Path) -> None:
    """Labels take no second look at the images: every one is read once, for the picture."""
    read: list[int] = []

    class Counted(toy_labels.Thirds):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            read.append(index)
            return super().__getitem__(index)

    cfg = toy_labels.experiment(tmp_path, stratified=True)
    assert cfg.check(Counted(60), estimate=False).ok
    assert sorted(read) == list(range(60))
