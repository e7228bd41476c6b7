"""Trained classifiers where files, options or heads changed since, and calls that leave something out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import toy_labels

import musket
from musket.core.errors import DataError
from musket.core.types import PredictionItem
from musket.data.dataset import SubDataSet
from musket.models.classifier_catalogue import CLASSIFIERS

SHORT = {"augmentation": {}, "stages": [{"epochs": 1}, {"epochs": 1}]}


class Filed(toy_labels.Thirds):
    """Discs in files."""

    def __init__(self, folder: Path):
        super().__init__(20, "one-hot")
        self.folder = folder
        folder.mkdir(exist_ok=True)
        for index in range(20):
            cv2.imwrite(str(folder / f"{index}.png"), toy_labels.draw(index))

    def source_files(self) -> list[str]:
        return [str(self.folder / f"{index}.png") for index in range(20)]

    def __getitem__(self, index: int) -> PredictionItem:
        image = cv2.imread(str(self.folder / f"{index}.png"))
        return PredictionItem(f"third-{index:02}", image, self.get_target(index))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Filed:
    return Filed(tmp_path_factory.mktemp("pictures"))


class Sharpened(torch.nn.Module):
    """Logits times an option of the config."""

    def __init__(self, in_channels: int, classes: int, sharpness: float):
        super().__init__()
        self.inner = toy_labels.small_classifier(in_channels, classes)
        self.sharpness = sharpness

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images) * self.sharpness


def sharpened(in_channels: int, classes: int, sharpness: float = 1.0) -> torch.nn.Module:
    return Sharpened(in_channels, classes, sharpness)


def build(folder: Path, **changes: Any) -> musket.Experiment:
    if not CLASSIFIERS.documents("sharpened"):
        CLASSIFIERS.add("sharpened", sharpened, "logits times an option")
    return toy_labels.experiment(folder, **{**SHORT, "architecture": "sharpened", **changes})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, data: Filed) -> musket.Experiment:
    cfg = build(tmp_path_factory.mktemp("fitted"))
    cfg.fit(data)
    return cfg


@pytest.mark.parametrize("negatives", ["real", "none"])
def test_evaluation_keeps_the_order_of_the_part(fitted: musket.Experiment, data: Filed, negatives: str) -> None:
    part = fitted.predictions("validation0", stage=-1)
    numbers = [number for number in range(len(part)) if negatives == "real" or int(part.ids[number][-2:]) % 3]
    scores, truth = fitted.evaluate_all_to_arrays(data, 0, negatives=negatives)
    np.testing.assert_allclose(scores, part.vectors()[numbers], atol=1e-6)
    np.testing.assert_array_equal(truth, [part.get_target(number) for number in numbers])
    batches = list(fitted.evaluateAll(data, 0, negatives=negatives))
    assert [name for batch in batches for name in batch.data] == [part.ids[number] for number in numbers]


def test_another_option_of_the_network_predicts_anew(fitted: musket.Experiment, data: Filed) -> None:
    other = build(fitted.layout.folder, sharpness=20.0)
    other._prepare(data)
    before, found = (cfg.predictions("validation0", stage=-1).vectors() for cfg in (fitted, other))
    np.testing.assert_allclose(found, other.evaluate_all_to_arrays(data, 0)[0], atol=1e-6)
    assert not np.allclose(found, before)


def test_a_file_that_changed_predicts_vectors_anew(fitted: musket.Experiment, data: Filed) -> None:
    part = fitted.predictions("validation1", stage=-1)
    changed = 2  # neither first, nor middle, nor last
    assert changed not in (0, len(part) // 2, len(part) - 1)
    number = int(part.ids[changed][-2:])
    before = part.vectors()
    try:
        cv2.imwrite(str(data.folder / f"{number}.png"), 255 - toy_labels.draw(number))
        found = fitted.predictions("validation1", stage=-1).vectors()
    finally:
        cv2.imwrite(str(data.folder / f"{number}.png"), toy_labels.draw(number))
    assert [row for row in range(len(part)) if not np.allclose(found[row], before[row])] == [changed]


def test_without_a_dataset_the_one_trained_on_is_predicted(
    fitted: musket.Experiment, data: Filed, tmp_path: Path
) -> None:
    expected, ids = fitted.predict_all_to_array_with_ids(data, stage=-1)
    np.testing.assert_array_equal(fitted.predict_all_to_array(None, stage=-1), expected)
    assert fitted.submit(None, tmp_path / "x.csv")["image"].tolist() == ids


def test_a_submission_is_that_of_the_last_stage(fitted: musket.Experiment, data: Filed, tmp_path: Path) -> None:
    last = fitted.predict_all_to_array(data, stage=-1)
    assert not np.allclose(last, fitted.predict_all_to_array(data))
    table = fitted.submit(data, tmp_path / "x.csv")
    np.testing.assert_allclose(table[["left", "middle", "right"]].astype(float), last, atol=1e-5)


def test_tables_of_heads_that_were_called_otherwise_go(tmp_path: Path) -> None:
    several = {
        "classes": [3, 1, 1],
        "activation": ["softmax", "sigmoid", "none"],
        "loss": ["categorical_crossentropy", "binary_crossentropy", "mse"],
        "metrics": ["accuracy"],
        "primary_metric": "val_loss",
        "architecture": "small_classifier",
        "stages": [{"epochs": 1}],
    }
    pictures = toy_labels.Thirds(20, "several")
    build(tmp_path, **several, head_names=["side", "even", "share"]).fit(pictures)
    cfg = build(tmp_path, **several, head_names=["third", "flag", "part"])
    cfg._prepare(pictures)
    (cfg.layout.evaluation / "mine.csv").write_text("")
    assert list(cfg.layout.evaluation.glob("*_side.csv"))
    cfg.createSummary()
    names = [path.name for path in cfg.layout.evaluation.iterdir()]
    assert "mine.csv" in names
    assert "validation_classes_third.csv" in names
    assert not [name for name in names if any(old in name for old in ("side", "even", "share"))]


def test_an_empty_dataset_has_no_table(fitted: musket.Experiment, data: Filed, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        fitted.submit(SubDataSet(data, []), tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("treshold", [0.4, "best"])
def test_a_threshold_without_effect_is_said(
    fitted: musket.Experiment, data: Filed, tmp_path: Path, treshold: Any
) -> None:
    with pytest.warns(UserWarning, match="no _encode_item.*treshold has no effect"):
        table = fitted.submit(data, tmp_path / "x.csv", treshold=treshold)
    assert table.columns.tolist() == ["image", "left", "middle", "right"]


def test_columns_of_scores_are_called_as_in_training(fitted: musket.Experiment, data: Filed, tmp_path: Path) -> None:
    other = build(fitted.layout.folder)
    renamed = Filed(data.folder)
    renamed.classes = ("one", "two", "three")  # type: ignore[assignment]
    fitted.predict_to_directory(data.folder, tmp_path / "before")
    other.predict_to_directory(data.folder, tmp_path / "alone")  # knows no dataset
    other._prepare(renamed)
    other.predict_to_directory(data.folder, tmp_path / "after")
    texts = [(tmp_path / name / "predictions.csv").read_text() for name in ("before", "alone", "after")]
    assert texts[0].startswith("image,left,middle,right\n")
    assert texts[0] == texts[1] == texts[2]
    with pytest.raises(DataError, match="left, middle, right"):
        other.submit(data.folder, tmp_path / "x.csv")
    with pytest.raises(DataError, match="left, middle, right"):
        other.evaluate_all_to_arrays(renamed, 0)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a", "b"], "names 2 classes, the config says classes: 3; numbers stand in"),
        (["a", "b", "a"], "names several classes alike: a;"),
    ],
)
def test_training_says_that_names_of_classes_do_not_fit(tmp_path: Path, names: list[str], words: str) -> None:
    dataset = toy_labels.Thirds()
    dataset.classes = names
    experiment = toy_labels.experiment(tmp_path, **SHORT)
    with pytest.warns(UserWarning, match=words):
        experiment.fit(dataset, foldsToExecute=[0])


def test_few_numbers_are_split_in_bins_that_every_part_can_have_a_share_of(tmp_path: Path) -> None:
    numbers = {"classes": 1, "activation": "none", "loss": "mse", "metrics": ["mae"], "primary_metric": "val_mae"}
    dataset = toy_labels.Thirds()
    dataset.get_target = float  # type: ignore[method-assign, assignment]
    dataset.classes = None
    data = toy_labels.experiment(tmp_path, **SHORT, **numbers, stratified=True)._prepare(dataset)
    assert len({position // 5 for position in data.holdout}) == len(data.holdout) == 4
    assert [len(fold.validation) for fold in data.folds] == [8, 8]
