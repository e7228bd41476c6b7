"""Promises about predictions of classification, kept with networks whose weights are written by hand.

The network of fold f and stage s gives the mean brightness of the four quarters of an image, times a matrix, times
(f + 1) and (s + 1), through a softmax. What it gives is computed a second time with numpy.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

import musket
from classification_pipeline import classification
from musket.artifacts.checkpoint import save_weights
from musket.core.errors import DataError, MusketError

CONFIG = """\
#%Musket Classification 1.0
architecture: quarters
classes: 3
activation: softmax
weights: null
shape: [24, 24, 3]
optimizer: Adam
lr: 0.01
batch: 2
inference_batch: 4
loss: categorical_crossentropy
metrics: [categorical_accuracy]
primary_metric: val_categorical_accuracy
folds_count: 5
verbose: 0
stages:
  - epochs: 1
  - epochs: 1
"""

MATRIX = np.random.default_rng(3).normal(0, 2, (3, 12)).astype(np.float32)
FOLDS, COUNT = 5, 11


def quarters(classes: int | list[int]) -> torch.nn.Module:
    count = classes if isinstance(classes, int) else sum(classes)
    return torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, count, bias=False)
    )


def experiment(folder: Path, **changes: Any) -> musket.Experiment:
    classification.custom_models["quarters"] = quarters
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG)
    cfg = musket.parse(folder / "config.yaml", **changes)
    for fold in range(FOLDS):
        for stage in range(2):
            matrix = torch.from_numpy(MATRIX * (fold + 1) * (stage + 1))
            metadata = {"mean": [0.0] * 3, "std": [1.0] * 3}
            save_weights(cfg.layout.weights(fold, stage), {"network.2.weight": matrix}, metadata)
    return cfg


def picture(number: int, height: int = 24, width: int = 24) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


class Proteins:
    """No base class, as in the README."""

    def __init__(self, count: int = COUNT, labelled: bool = True):
        self.count = count
        self.labelled = labelled

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> musket.PredictionItem:
        label = np.eye(3)[index % 3] if self.labelled else None
        return musket.PredictionItem(f"protein {index}", picture(index), label)

    def get_id(self, index: int) -> str:
        return f"protein {index}"

    def get_label(self, number: int) -> str:
        return ["nucleus", "membrane", "vacuole"][number]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def expected(image: np.ndarray, fold: int = 0, stage: int = 0) -> np.ndarray:
    """What the network of a fold and stage says of an image whose sides are even; without resizing."""
    height, width = (side // 2 for side in image.shape[:2])
    parts = image.astype(np.float64).reshape(2, height, 2, width, 3).mean((1, 3)) / 255  # 2 x 2 x channels
    return softmax(MATRIX.astype(np.float64) @ parts.transpose(2, 0, 1).reshape(-1) * (fold + 1) * (stage + 1))


def all_expected(fold: int = 0, stage: int = 0, count: int = COUNT) -> np.ndarray:
    return np.stack([expected(picture(number), fold, stage) for number in range(count)])


def test_c25_predict_all_to_array_in_dataset_order_and_a_table_of_it(tmp_path: Path) -> None:
    """The README's snippet: folds and stages in order, argmax, get_id, get_label, a CSV."""
    cfg, dataset_test = experiment(tmp_path / "exp"), Proteins(labelled=False)
    predictions = cfg.predict_all_to_array(dataset_test, 0, 0)
    assert predictions.shape == (COUNT, 3)
    assert predictions.dtype == np.float32
    np.testing.assert_allclose(predictions, all_expected(), atol=1e-5)
    np.testing.assert_allclose(predictions.sum(1), 1, atol=1e-5)
    rows = [
        (dataset_test.get_id(number), dataset_test.get_label(int(np.argmax(prediction))))
        for number, prediction in enumerate(predictions)
    ]
    pd.DataFrame(rows, columns=["id", "label"]).to_csv(tmp_path / "table.csv", index=False)
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["id"].tolist() == [f"protein {number}" for number in range(COUNT)]
    assert set(table["label"]) <= {"nucleus", "membrane", "vacuole"}


def test_c25_limit_batch_and_ids_do_what_they_say(tmp_path: Path) -> None:
    cfg = experiment(tmp_path / "exp")
    found, ids = cfg.predict_all_to_array_with_ids(Proteins(), 1, 1, limit=4, batch_size=3)
    assert ids == [f"protein {number}" for number in range(4)]
    np.testing.assert_allclose(found, all_expected(1, 1, count=4), atol=1e-5)
    assert cfg.predict_all_to_array(Proteins(), 0, 0, 0).shape == (0, 3)


def test_c25_labels_of_a_test_set_may_stand_for_nothing(tmp_path: Path) -> None:
    class Dummies(Proteins):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            return musket.PredictionItem(f"protein {index}", picture(index), "unknown")

    cfg = experiment(tmp_path / "exp")
    np.testing.assert_allclose(cfg.predict_all_to_array(Dummies(), 0, 0), all_expected(), atol=1e-5)


def test_c25_failed_samples_are_named_together_and_no_array_has_gaps(tmp_path: Path) -> None:
    class Holed(Proteins):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            if index in (2, 5):
                raise OSError(f"no file {index}")
            return super().__getitem__(index)

    cfg = experiment(tmp_path / "exp")
    with pytest.raises(DataError, match=r"2 of 11 images could not be predicted(.|\n)*no file 2(.|\n)*no file 5"):
        cfg.predict_all_to_array(Holed(), 0, 0)


@pytest.mark.parametrize("promise", ["c26", "o8"])
def test_c26_and_o8_folds_are_averaged(tmp_path: Path, promise: str) -> None:
    cfg, dataset = experiment(tmp_path / promise), Proteins()
    alone = [cfg.predict_all_to_array(dataset, fold, 0) for fold in range(FOLDS)]
    together = cfg.predict_all_to_array(dataset, [0, 1, 2, 3, 4], 0)
    np.testing.assert_allclose(together, np.mean(alone, axis=0), atol=1e-6)
    np.testing.assert_allclose(together, np.mean([all_expected(fold) for fold in range(FOLDS)], axis=0), atol=1e-5)


def test_c26_without_folds_and_stages_all_are_averaged(tmp_path: Path) -> None:
    cfg = experiment(tmp_path / "exp")
    every = [all_expected(fold, stage) for fold in range(FOLDS) for stage in range(2)]
    np.testing.assert_allclose(cfg.predict_all_to_array(Proteins()), np.mean(every, axis=0), atol=1e-5)


def test_c27_and_o8_views_are_averaged(tmp_path: Path) -> None:
    cfg = experiment(tmp_path / "exp")
    plain = [picture(number) for number in range(COUNT)]
    turned = [np.rot90(image, turns) for image in plain for turns in range(4)]
    both = [view for image in turned for view in (image, image[:, ::-1])]
    found = cfg.predict_all_to_array(Proteins(), 0, 0, ttflips=True)
    wanted = np.stack([expected(np.ascontiguousarray(view)) for view in both]).reshape(COUNT, 8, 3).mean(1)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    found = cfg.predict_all_to_array(Proteins(), 0, 0, ttflips="Horizontal")
    wanted = np.stack([(expected(image) + expected(image[:, ::-1])) / 2 for image in plain])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_c24_cells_are_averaged(tmp_path: Path) -> None:
    """``crops: 3``: the result is the mean of what the network says of the nine cells."""
    cfg = experiment(tmp_path / "exp", crops=3, shape=[36, 36, 3])

    class Large(Proteins):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            return musket.PredictionItem(f"large {index}", picture(index, 36, 36), None)

    found = cfg.predict_all_to_array(Large(4), 0, 0)
    for number in range(4):
        image = picture(number, 36, 36)
        cells = [image[row : row + 12, column : column + 12] for row in (0, 12, 24) for column in (0, 12, 24)]
        np.testing.assert_allclose(found[number], np.mean([expected(cell) for cell in cells], axis=0), atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


def test_c24_x7_the_consumer_does_not_see_the_cells(tmp_path: Path) -> None:
    cfg, seen = experiment(tmp_path / "exp", crops=2), []
    cfg.predict_in_dataset(Proteins(3), 0, 0, lambda name, vector, data: seen.append((name, vector.shape)), None)
    assert seen == [(f"protein {number}", (3,)) for number in range(3)]


def test_c28_and_o9_evaluate_all_gives_results_and_truth(tmp_path: Path) -> None:
    """The README calls evaluateAll(ds, 2); the stage is the last one then."""
    cfg, dataset = experiment(tmp_path / "exp"), Proteins(20)
    seen: list[str] = []
    for batch in cfg.evaluateAll(dataset, 2):
        assert len(batch.results) == len(batch.ground_truth) == len(batch.images) == len(batch.data) <= 4
        for name, result, truth in zip(batch.data, batch.results, batch.ground_truth, strict=True):
            number = int(name.split()[1])
            np.testing.assert_allclose(result, expected(picture(number), 2, 1), atol=1e-5)
            np.testing.assert_array_equal(truth, np.eye(3)[number % 3])
        seen += batch.data
    assert sorted(seen) == sorted(item.id for item in cfg.validation(dataset, 2))


def test_c28_evaluate_all_to_arrays(tmp_path: Path) -> None:
    cfg, dataset = experiment(tmp_path / "exp"), Proteins(20)
    predictions, labels = cfg.evaluate_all_to_arrays(dataset, 2, 0, "real", None, 3)
    batches = list(cfg.evaluateAll(dataset, 2, 0))
    np.testing.assert_allclose(predictions, [one for batch in batches for one in batch.results], atol=1e-6)
    np.testing.assert_array_equal(labels, [one for batch in batches for one in batch.ground_truth])
    assert predictions.shape == labels.shape == (4, 3)
    assert predictions.dtype == labels.dtype == np.float32


def test_c28_limits_and_negatives(tmp_path: Path) -> None:
    class Told(Proteins):
        def isPositive(self, index: int) -> bool:
            return index % 3 == 1

    cfg = experiment(tmp_path / "exp")
    [batch] = cfg.evaluate(Told(20), 2, 0, limit=3)
    assert len(batch) == 3
    _, labels = cfg.evaluate_all_to_arrays(Told(20), 2, 0, "none")
    assert 0 < len(labels) < 4
    assert (labels.argmax(1) == 1).all()


def test_c29_and_o9_load_model_predicts_arrays_in_memory(tmp_path: Path) -> None:
    cfg = experiment(tmp_path / "exp")
    images = np.stack([picture(number) for number in range(5)])
    np.testing.assert_allclose(cfg.load_model(0, 0).predict(images), all_expected(count=5), atol=1e-5)
    np.testing.assert_allclose(cfg.load_model(0).predict(images), all_expected(0, 1, count=5), atol=1e-5)
    both = cfg.load_model([0, 1], 0)
    wanted = (all_expected(0, 0, count=5) + all_expected(1, 0, count=5)) / 2
    np.testing.assert_allclose(both.predict(list(images)), wanted, atol=1e-5)
    assert both.predict(images[:0]).shape == (0, 3)
    with pytest.raises(DataError, match="expected images x height x width x channels"):
        both.predict(images[0])


def test_several_heads_are_lists_at_every_face(tmp_path: Path) -> None:
    """Heads of two and one: the first softmax, the second whatever number comes."""
    heads = {
        "classes": [2, 1],
        "activation": ["softmax", "none"],
        "loss": ["categorical_crossentropy", "mse"],
        "primary_metric": "val_loss",
    }
    cfg = experiment(tmp_path / "exp", **heads)

    class Pairs(Proteins):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            return musket.PredictionItem(f"protein {index}", picture(index), [index % 2, float(index)])

    def of(image: np.ndarray) -> list[np.ndarray]:
        parts = image.astype(np.float64).reshape(2, 12, 2, 12, 3).mean((1, 3)) / 255
        logits = MATRIX.astype(np.float64) @ parts.transpose(2, 0, 1).reshape(-1)
        return [softmax(logits[:2]), logits[2:]]

    first, second = cfg.predict_all_to_array(Pairs(), 0, 0)
    assert (first.shape, second.shape) == ((COUNT, 2), (COUNT, 1))
    for number in range(COUNT):
        for found, wanted in zip((first[number], second[number]), of(picture(number)), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-4)
    seen: dict[str, Any] = {}
    cfg.predict_in_dataset(Pairs(), 0, 0, lambda name, vectors, data: data.update({name: vectors}), seen)
    np.testing.assert_allclose(seen["protein 3"][0], first[3], atol=1e-6)
    np.testing.assert_allclose(seen["protein 3"][1], second[3], atol=1e-5)
    batch = next(iter(cfg.predict_on_dataset(Pairs(), 0, 0)))
    np.testing.assert_allclose(batch.results[3][1], second[3], atol=1e-5)
    results, labels = cfg.evaluate_all_to_arrays(Pairs(), 0, 0)
    assert [part.shape[1] for part in (*results, *labels)] == [2, 1, 2, 1]
    model = cfg.load_model(0, 0)
    assert [part.shape for part in model.predict(np.stack([picture(0)] * 3))] == [(3, 2), (3, 1)]


# ------------------------------------------------------------------------------------------------------- folders


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"picture-{number}.png"), picture(number)[..., ::-1])
    return folder


def test_predict_in_directory_hands_out_vectors_and_the_stage_may_be_left_out(tmp_path: Path, images: Path) -> None:
    cfg, marker = experiment(tmp_path / "exp"), object()
    found: dict[str, np.ndarray] = {}

    def on_predict(name: str, vector: np.ndarray, data: object) -> None:
        assert data is marker
        found[name] = vector

    cfg.predict_in_directory(str(images), 0, 0, on_predict, marker)
    assert list(found) == ["picture-0.png", "picture-1.png", "picture-2.png"]
    np.testing.assert_allclose(list(found.values()), all_expected(count=3), atol=1e-5)
    cfg.predict_in_directory(images, [0, 1], on_predict, marker)
    wanted = (all_expected(0, 1, count=3) + all_expected(1, 1, count=3)) / 2
    np.testing.assert_allclose(list(found.values()), wanted, atol=1e-5)


def test_predict_to_directory_writes_one_table(tmp_path: Path, images: Path) -> None:
    cfg = experiment(tmp_path / "exp")
    cfg.predict_to_directory(images, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.csv"]
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "score_0", "score_1", "score_2"]
    assert [row["image"] for row in rows] == ["picture-0.png", "picture-1.png", "picture-2.png"]
    found = [[float(row[f"score_{number}"]) for number in range(3)] for row in rows]
    np.testing.assert_allclose(found, all_expected(count=3), atol=1e-5)


def test_predict_to_directory_as_arrays_that_can_be_averaged(tmp_path: Path, images: Path) -> None:
    cfg, found = experiment(tmp_path / "exp"), {}
    for fold in (0, 1):
        cfg.predict_to_directory(images, tmp_path / str(fold), fold, binaryArray=True)
    assert sorted(path.name for path in (tmp_path / "0").iterdir()) == [f"picture-{number}.npy" for number in range(3)]
    from segmentation_pipeline.segmentation import ansemblePredictions

    ansemblePredictions(
        str(images), [tmp_path / "0", tmp_path / "1"], lambda name, vector, data: data.update({name: vector}), found
    )
    wanted = (all_expected(0, count=3) + all_expected(1, count=3)) / 2
    np.testing.assert_allclose(list(found.values()), wanted, atol=1e-5)


def test_predict_to_directory_writes_what_it_can_and_names_the_rest(tmp_path: Path, images: Path) -> None:
    (images / "broken.png").write_bytes(b"no picture")
    cfg = experiment(tmp_path / "exp")
    with pytest.raises(DataError, match="1 of 4 images"):
        cfg.predict_to_directory(images, tmp_path / "out")
    assert len((tmp_path / "out" / "predictions.csv").read_text().splitlines()) == 4


def test_predict_on_directory_gives_batches(tmp_path: Path, images: Path) -> None:
    cfg = experiment(tmp_path / "exp")
    sizes = [len(batch) for batch in cfg.predict_on_directory(images, 0, 0, batch_size=2)]
    assert sizes == [2, 1]
    (batch,) = cfg.predict_on_directory(images, 0, 0)
    assert batch.ground_truth == []
    np.testing.assert_allclose(np.array(batch.results), all_expected(count=3), atol=1e-5)


def test_a_function_to_call_is_asked_for(tmp_path: Path, images: Path) -> None:
    with pytest.raises(MusketError, match="a function to call"):
        experiment(tmp_path / "exp").predict_in_directory(images, 0, 0, None)
