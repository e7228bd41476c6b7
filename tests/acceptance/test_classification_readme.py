"""Programs and configs of the classification README, run as they stand there but for their size."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import toy_labels

import musket
from musket.artifacts import records
from musket.cli.main import main
from musket.core.errors import ConfigWarning
from musket.losses.heads import build_heads_loss

PROTEIN = """\
architecture: resnet10t            # DenseNet201 there
pooling: avg
augmentation:
  Fliplr: 0.5
  Flipud: 0.5
classes: 28
activation: sigmoid
weights: null                      # imagenet there
shape: [32, 32, 4]
testSplit: 0.3
optimizer: Adam
batch: 8
lr: 0.005
copyWeights: true
metrics:
  - binary_accuracy
  - macro_f1
primary_metric: val_macro_f1
callbacks:
  EarlyStopping:
    patience: 3
    monitor: val_macro_f1
    verbose: 1
    mode: max
  ReduceLROnPlateau:
    patience: 2
    factor: 0.3
    monitor: val_binary_accuracy
    mode: max
    cooldown: 1
loss: binary_crossentropy
folds_count: 2
verbose: 0
stages:
  - epochs: 2
"""


class Proteins:
    """Images of four channels with several of 28 labels; nothing but the two methods the README shows."""

    def __init__(self, count: int = 40):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int) -> Any:
        from musket_core.datasets import PredictionItem

        random = np.random.default_rng(item)
        labels = (random.random(28) < 0.2).astype(np.float32)
        image = random.integers(0, 255, (36, 36, 4), dtype=np.uint8)
        return PredictionItem(f"protein-{item}", image, labels)


@pytest.fixture
def protein(tmp_path: Path) -> Any:
    from classification_pipeline import classification

    (tmp_path / "config.yaml").write_text(PROTEIN)
    return classification.parse(tmp_path / "config.yaml")


def test_c1_o1_the_package_has_its_old_name():
    code = "from classification_pipeline import classification; print(callable(classification.parse))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True"


def test_c5_c6_c7_the_whole_program(protein: Any, tmp_path: Path):
    protein.fit(Proteins())
    summary = records.read_yaml(tmp_path / "summary.yaml")
    assert {"binary_accuracy", "binary_accuracy_holdout", "macro_f1", "macro_f1_holdout"} <= set(summary["allStages"])
    assert summary["folds"] == [0, 1]
    scores = protein.predict_all_to_array(Proteins(5), 0, 0)
    assert scores.shape == (5, 28)
    assert scores.min() >= 0
    assert scores.max() <= 1
    with open(tmp_path / "metrics/metrics-0.0.csv") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["lr"]) == 0.005
    best = max(float(row["val_macro_f1"]) for row in rows)
    assert protein.info()[0]["best"] == pytest.approx(best)
    assert (tmp_path / "examples/0/0/t_epoch_0.0.jpg").exists()


def test_o1_without_test_split_there_is_no_holdout(tmp_path: Path):
    text = toy_labels.CONFIG.replace("testSplit: 0.2\n", "")
    toy_labels.register()
    (tmp_path / "config.yaml").write_text(text)
    summary = musket.parse(tmp_path / "config.yaml").fit(toy_labels.Thirds(12))
    assert not any(name.endswith("_holdout") for name in summary["allStages"])
    assert not (tmp_path / "config.yaml.holdout_split").exists()


def test_c2_the_command_line_trains_a_classification_of_a_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, brightness in (("dark", 30), ("light", 200)):
        (tmp_path / "data/train" / kind).mkdir(parents=True)
        for number in range(10):
            noise = np.random.default_rng(number).integers(0, 50, (20, 20, 3))
            cv2.imwrite(str(tmp_path / f"data/train/{kind}/{number}.png"), (noise + brightness).astype(np.uint8))
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/nets.py").write_text(
        "import musket\nimport torch\n\n\n@musket.network\ndef pixels(classes):\n"
        "    layers = torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, classes)\n"
        "    return torch.nn.Sequential(*layers)\n"
    )
    folder = tmp_path / "experiments/shade"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        "#%Musket Classification 1.0\narchitecture: pixels\nclasses: 2\nshape: [16, 16, 3]\nbatch: 4\nlr: 0.05\n"
        "dataset: {ClassFolders: train}\nloss: categorical_crossentropy\nmetrics: [accuracy]\n"
        "primary_metric: val_accuracy\nfolds_count: 2\nverbose: 0\nstages: [{epochs: 8}]\n"
    )
    command = ["fit", "--project", str(tmp_path), "--name", "shade", "--cache", str(tmp_path / "kept")]
    assert main([*command, "--num_gpus", "1", "--gpus_per_net", "1", "--num_workers", "1"]) == 0
    assert records.read_yaml(folder / "summary.yaml")["allStages"]["accuracy"]["mean"] > 0.9
    assert (folder / "weights/best-1.0.weights").exists()
    assert any((tmp_path / "kept").rglob("*"))
    assert main(["check", str(folder / "config.yaml")]) == 0
    assert "10 samples each" in " ".join(capsys.readouterr().out.split())


def test_c10_o6_composite_loss_by_hand():
    logits, truth = torch.tensor([[0.3, -1.2], [2.0, 0.1]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    total, parts = build_heads_loss("binary_crossentropy+0.1*mse", "sigmoid", 2)(logits, truth)
    p = torch.sigmoid(logits)
    entropy = -(truth * p.log() + (1 - truth) * (1 - p).log()).mean()
    squares = ((p - truth) ** 2).mean()
    assert float(total) == pytest.approx(float(entropy + 0.1 * squares))
    assert set(parts) == {"binary_crossentropy", "mse"}


def test_c12_o2_augmentation_leaves_labels_alone(tmp_path: Path):
    affine = {"Affine": {"scale": [0.8, 1.5], "translate_percent": {"x": [-0.2, 0.2], "y": [-0.2, 0.2]}}}
    experiment = toy_labels.experiment(tmp_path, augmentation=affine | {"Fliplr": 0.5})
    dataset = toy_labels.Thirds()
    batches = experiment.kfold(dataset).generator(0, returnBatch=True)
    _, _, batch = next(batches)
    expected = [dataset.get_target(int(name.removeprefix("third-"))).tolist() for name in batch.ids]
    assert batch.targets.tolist() == expected
    plain = experiment.kfold(dataset).load(0, isTrain=False)
    assert batch.images.shape[1:] == plain.images.shape[1:]


def test_c13_backgrounds_need_masks_and_that_is_said(tmp_path: Path):
    with pytest.warns(ConfigWarning, match="BackgroundReplacer.*no effect.*labels are no masks"):
        toy_labels.experiment(tmp_path, augmentation={"BackgroundReplacer": {"path": "backgrounds", "rate": 0.5}}).fit(
            toy_labels.Thirds(12), foldsToExecute=[0]
        )


def test_c18_o3_two_heads_minimise_the_sum(tmp_path: Path):
    experiment = toy_labels.experiment(
        tmp_path,
        classes=[4, 4],
        activation=["softmax", "softmax"],
        loss=["categorical_crossentropy", "categorical_crossentropy"],
        metrics=[],
        primary_metric="val_loss",
        primary_metric_mode="min",
        stages=[{"epochs": 3}],
    )

    class Pairs(toy_labels.Thirds):
        classes = None

        def get_target(self, index: int) -> Any:
            return [np.eye(4)[index % 3], np.eye(4)[3 - index % 3]]

    experiment.fit(Pairs(), foldsToExecute=[0])
    with open(tmp_path / "metrics/metrics-0.0.csv") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    for row in rows:
        assert row["val_loss"] == pytest.approx(row["val_loss_0"] + row["val_loss_1"])
    from musket.artifacts import checkpoint

    kept = int(checkpoint.read_metadata(tmp_path / "weights/best-0.0.weights")["epoch"])
    assert kept == min(range(3), key=lambda epoch: rows[epoch]["val_loss"])
    first, second = experiment.predict_all_to_array(Pairs(), 0, 0)
    assert (first.shape, second.shape) == ((20, 4), (20, 4))
    np.testing.assert_allclose(first.sum(axis=1), 1, rtol=1e-5)


def test_c20_o5_stages_with_negatives_rates_losses_and_weights(tmp_path: Path):
    toy_labels.experiment(tmp_path / "other").fit(toy_labels.Thirds(), foldsToExecute=[0])
    experiment = toy_labels.experiment(
        tmp_path,
        stages=[
            {"epochs": 1, "negatives": "none"},
            {"epochs": 1, "lr": 0.0001, "negatives": "real"},
            {"epochs": 1, "loss": "mse", "lr": 0.00001, "initial_weights": "other/weights/best-0.0.weights"},
        ],
    )
    experiment.fit(toy_labels.Thirds(), foldsToExecute=[0])
    rates = []
    for stage in range(3):
        assert (tmp_path / f"weights/best-0.{stage}.weights").exists()
        with open(tmp_path / f"metrics/metrics-0.{stage}.csv") as file:
            rates += [float(row["lr"]) for row in csv.DictReader(file)]
    assert rates == [0.01, 0.0001, 0.00001]


def test_c21_o4_the_dataset_says_what_is_positive(tmp_path: Path):
    folded = toy_labels.experiment(tmp_path, testSplit=0).kfold(toy_labels.Thirds(18))
    chosen = folded.sampledIndexes(0, True, "none")
    assert chosen
    assert all(index % 3 for index in chosen)


def test_c22_o7_cyclic_rates(tmp_path: Path):
    cyclic = {"CyclicLR": {"base_lr": 0.1, "max_lr": 1.1, "step_size": 2, "mode": "triangular2"}}
    stages = [{"epochs": 2, "logAll": True}]
    experiment = toy_labels.experiment(tmp_path, callbacks=cyclic, optimizer="SGD", stages=stages, testSplit=0)
    experiment.fit(toy_labels.Thirds(32), foldsToExecute=[0])
    with open(tmp_path / "metrics/metrics-0.0.csvall.csv") as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([0.6, 1.1, 0.6, 0.1, 0.35, 0.6, 0.35, 0.1], abs=1e-6)


def test_c23_o7_a_rate_is_searched(tmp_path: Path):
    import matplotlib.pyplot as plt

    finder = toy_labels.experiment(tmp_path).lr_find(toy_labels.Thirds(40), start_lr=1e-5, end_lr=1.0, epochs=4)
    assert finder.lrs[0] == pytest.approx(1e-5)
    steps = np.diff(np.log(finder.lrs))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)
    plt.figure()
    finder.plot_loss(n_skip_beginning=2, n_skip_end=1)
    finder.plot_loss_change(sma=2, n_skip_beginning=2, n_skip_end=1, y_lim=(-0.5, 0.5))
    assert plt.gca().get_xscale() == "log"
    assert len(plt.gca().lines) >= 1
    plt.close("all")
    assert not (tmp_path / "weights").exists()


def test_c32_o11_own_loss_metric_and_activation_by_name(tmp_path: Path):
    def far(truth: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        return (truth - prediction).abs().mean()

    musket.custom_objects["far"] = far
    musket.custom_objects["halved"] = lambda logits: torch.sigmoid(logits) / 2
    experiment = toy_labels.experiment(
        tmp_path, loss="far", metrics=["far"], activation="halved", primary_metric="val_loss", folds_count=1
    )
    experiment.fit(toy_labels.Thirds())
    scores, truth = experiment.evaluate_all_to_arrays(None, 0)
    assert scores.max() <= 0.5
    summary = records.read_yaml(tmp_path / "summary.yaml")
    assert truth.shape == scores.shape
    assert 0 < summary["allStages"]["far"]["mean"] < 1


def test_c33_o11_a_network_of_ones_own_gets_the_options_it_names(tmp_path: Path):
    from classification_pipeline import classification

    given: dict[str, Any] = {}

    def narrow(shape: list[int], classes: int, pooling: str | None, width: int = 3) -> torch.nn.Module:
        given.update(shape=list(shape), classes=classes, pooling=pooling, width=width)
        pooled = torch.nn.AdaptiveMaxPool2d(1) if pooling == "max" else torch.nn.AdaptiveAvgPool2d(1)
        first = torch.nn.Conv2d(shape[2], width, 3)
        return torch.nn.Sequential(first, torch.nn.ReLU(), pooled, torch.nn.Flatten(), torch.nn.Linear(width, classes))

    classification.custom.models["narrow"] = narrow
    experiment = toy_labels.experiment(tmp_path, architecture="narrow", pooling="max", width=5, folds_count=1)
    experiment.fit(toy_labels.Thirds(12))
    assert given == {"shape": [24, 24, 3], "classes": 3, "pooling": "max", "width": 5}


def test_c16_c17_datasets_by_name_in_the_config(tmp_path: Path):
    toy_labels.register()
    folder = tmp_path / "experiments/one"
    folder.mkdir(parents=True)
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/thirds.py").write_text(
        "import toy_labels\nfrom musket_core import datasets\n\n\n"
        "def getTrain() -> datasets.DataSet:\n    return toy_labels.Thirds(14)\n\n\n"
        "def getSome(count) -> datasets.DataSet:\n    return toy_labels.Thirds(count)\n"
    )
    text = toy_labels.CONFIG + "dataset: {getTrain: []}\ndatasets:\n  test: {getSome: [5]}\n"
    (folder / "config.yaml").write_text(text)
    experiment = musket.parse(folder)
    experiment.fit(foldsToExecute=[0])
    assert len(experiment.get_dataset("test")) == 5
    assert experiment.predict_all_to_array("test", 0, 0).shape == (5, 3)
    known = json.loads((folder / "config.yaml.holdout_split").read_text())
    assert known
