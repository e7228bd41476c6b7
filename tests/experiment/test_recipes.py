"""Recipes of training as a whole: accumulation, means of weights, mixtures, smoothing, warm-up and cosine."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
import toy_labels
import yaml

import musket
from musket.artifacts.checkpoint import load_state, load_weights, read_metadata
from musket.artifacts.records import read_rows
from musket.core.errors import ConfigChanged, ConfigError, ModelError
from musket.experiment import build
from musket.experiment.network import compiled
from musket.pipelines.image import Normalization
from musket.pipelines.mixing import Mixing

WEIGHT, COUNT = "network.0.weight", "network.1.num_batches_tracked"
DRIVER = Path(__file__).parents[1] / "e2e" / "resume_driver.py"

RECIPE: dict[str, Any] = {
    "batch": 2,  # three batches an epoch: a step of two, and one of the one that is left
    "accumulate": 2,
    "ema": 0.8,
    "weight_decay": 0.01,
    "mixup": 0.4,
    "cutmix": 1.0,
    "label_smoothing": 0.1,
    "folds_count": 1,
    "validationSplit": 0.5,
    "callbacks": {
        "WarmupCosine": {"warmup": 0.5, "min_lr": 0.0001},
        "EarlyStopping": {"monitor": "val_loss", "patience": 9, "restore_best_weights": True},
    },
}


def fitted(folder: Path, stages: int | list[dict[str, Any]] = 2, **changes: Any) -> musket.Experiment:
    """The toy experiment, fitted: in one stage of so many epochs, or in these stages."""
    cfg = toy.experiment(
        folder, **RECIPE | {"stages": [{"epochs": stages}] if isinstance(stages, int) else stages} | changes
    )
    cfg.fit(toy.Drawn())
    return cfg


def run(folder: Path, *kills: str) -> dict[str, bytes]:
    """Bytes of what a run is judged by, after it was killed so often."""
    folder.mkdir()
    stages = [{"epochs": 3}, {"epochs": 2, "loss": "binary_crossentropy"}]
    config = yaml.safe_load(toy.CONFIG.partition("\n")[2]) | RECIPE | {"stages": stages}
    (folder / "config.yaml").write_text("#%Musket Segmentation 1.0\n" + yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-W", "error", str(DRIVER), str(folder), *kills]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": killed") == len(kills)
    found = sorted([*folder.glob("weights/best-*"), *folder.glob("metrics/*.csv"), folder / "summary.yaml"])
    return {path.name: path.read_bytes() for path in found}


def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    assert len(whole) == 2 + 2 + 1
    assert run(tmp_path / "killed", "batch:5", "batch:6", "stage:2") == whole


def test_the_mean_is_judged_and_kept_and_the_state_has_both(tmp_path: Path) -> None:
    cfg = fitted(tmp_path, 1)
    state = load_state(cfg.layout.state(0, 0))
    weights, _ = load_weights(cfg.layout.weights(0, 0))
    assert state["mean"]["steps"] == 2
    assert state["mean"]["weights"].keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in state["mean"]["weights"].items())
    assert not torch.equal(state["model"][WEIGHT], weights[WEIGHT])
    assert state["model"][COUNT] == weights[COUNT] == 3


WATCHED: list[tuple[str, float]] = []


class Watched(musket.Hook):
    """Notes one weight at every occasion."""

    def note(self, occasion: str, run: Any) -> None:
        WATCHED.append((occasion, next(run.model.parameters()).flatten()[0].item()))

    def on_stage_start(self, run: Any) -> None:
        self.note("start", run)

    def on_batch_end(self, run: Any) -> None:
        self.note("batch", run)

    def on_epoch_end(self, run: Any, row: dict[str, float]) -> None:
        self.note("epoch", run)

    def on_stage_end(self, run: Any) -> None:
        self.note("end", run)


def watched(folder: Path, epochs: int, **callbacks: Any) -> tuple[dict[str, Any], list[str], list[float]]:
    """State of a fit, and what was noted in it."""
    musket.callback(Watched)
    WATCHED.clear()
    cfg = fitted(folder, epochs, callbacks=callbacks | {"Watched": {}})
    occasions, weights = zip(*WATCHED, strict=True)
    return load_state(cfg.layout.state(0, 0)), list(occasions), list(weights)


def first_weight(tensors: dict[str, torch.Tensor]) -> float:
    return tensors[WEIGHT].flatten()[0].item()


def test_hooks_see_the_mean_at_the_end_of_an_epoch_only(tmp_path: Path) -> None:
    state, occasions, weights = watched(tmp_path, 2)
    assert occasions == ["start", *["batch", "batch", "batch", "epoch"] * 2, "end"]
    start, first, second, third = weights[:4]
    assert start == first != second != third  # the first step comes with the second batch
    assert weights[-1] == weights[-3] == first_weight(state["model"])
    assert weights[-2] == first_weight(state["mean"]["weights"])


def test_early_stopping_puts_the_best_mean_back(tmp_path: Path) -> None:
    """After the first epoch nothing is an improvement."""
    stopping = {"monitor": "val_loss", "patience": 1, "min_delta": 1000, "restore_best_weights": True}
    state, occasions, weights = watched(tmp_path, 5, EarlyStopping=stopping)
    means = [weight for occasion, weight in zip(occasions, weights, strict=True) if occasion == "epoch"]
    assert len(means) == 2
    assert "EarlyStopping" in state["stopped"]
    assert weights[-1] == means[0] != means[1] == first_weight(state["mean"]["weights"])
    assert first_weight(state["model"]) == weights[-3]


def test_a_stage_begins_with_the_best_mean_of_the_one_before_and_a_mean_of_its_own(tmp_path: Path) -> None:
    """A stage of a hair's rate keeps what it began with."""
    cfg = fitted(tmp_path, [{"epochs": 3}, {"epochs": 1, "lr": 1e-12}], primary_metric="val_loss", callbacks={})
    best, _ = load_weights(cfg.layout.weights(0, 0))
    state = load_state(cfg.layout.state(0, 1))
    for weights in (state["model"], state["mean"]["weights"]):
        torch.testing.assert_close(weights[WEIGHT], best[WEIGHT])
    assert state["mean"]["steps"] == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ema": 0.9}, r"ema: was 0\.8"),
        ({"accumulate": 3}, "accumulate: was 2"),
        ({"weight_decay": 0.1}, r"weight_decay: was 0\.01"),
        ({"mixup": 0.2}, r"mixup: was 0\.4"),
        ({"cutmix": None}, r"cutmix: was 1\.0"),
        ({"label_smoothing": 0.2}, r"label_smoothing: was 0\.1"),
    ],
)
def test_another_recipe_is_another_run(trained: Path, changes: dict[str, Any], words: str) -> None:
    cfg = toy.experiment(trained, **RECIPE | {"stages": [{"epochs": 2}]} | changes)
    cfg.setAllowResume(True)
    with pytest.raises(ConfigChanged, match=words):
        cfg.fit(toy.Drawn())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted(tmp_path_factory.mktemp("trained"), 1).layout.folder


@pytest.mark.parametrize(("before", "after"), [(None, 0.8), (0.8, None), (0.5, 0.8)])
def test_a_mean_may_come_and_go_when_the_change_is_accepted(
    tmp_path: Path, before: float | None, after: float | None
) -> None:
    cfg = fitted(tmp_path, 2, ema=before)
    cfg = toy.experiment(tmp_path, **RECIPE | {"stages": [{"epochs": 3}], "ema": after})
    cfg.setAllowResume(True, accept_changes=True)
    cfg.fit(toy.Drawn())
    state = load_state(cfg.layout.state(0, 0))
    assert len(state["rows"]) == 3
    steps = {None: None, 0.8: 2 if before is None else 6}[after]
    assert (state["mean"] and state["mean"]["steps"]) == steps


def test_the_best_is_judged_anew_with_the_mean(tmp_path: Path) -> None:
    cfg = fitted(tmp_path, 3, primary_metric="val_loss")
    path = cfg.layout.state(0, 0)
    state = load_state(path)
    for row in state["rows"]:
        row["val_dice"] = float(row["epoch"])
    torch.save(state, path)
    cfg = toy.experiment(tmp_path, **RECIPE | {"stages": [{"epochs": 4}], "lr": 1e-12, "callbacks": {}})
    cfg.setAllowResume(True, accept_changes=True)
    cfg.fit(toy.Drawn())
    assert read_metadata(cfg.layout.weights(0, 0))["epoch"] == 2
    weights, _ = load_weights(cfg.layout.weights(0, 0))
    assert torch.equal(weights[WEIGHT], state["mean"]["weights"][WEIGHT])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label_smoothing": 0.1}, "lovasz_loss understands targets of 0 and 1 only, label_smoothing makes others"),
        ({"mixup": 1, "label_smoothing": 0.1}, "mixup and label_smoothing make others; leave one of them out"),
        ({"cutmix": 1}, None),
        ({"ema": 1}, "ema"),
        ({"accumulate": 0}, "accumulate"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, Any], words: str | None) -> None:
    given = {"loss": "lovasz_loss + binary_crossentropy"} | changes
    if words is None:
        toy.experiment(tmp_path, **given)
        return
    with pytest.raises(ConfigError, match=words):
        toy.experiment(tmp_path, **given)


def test_several_heads_with_all_of_it(tmp_path: Path) -> None:
    class Two(toy.Drawn):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            item = super().__getitem__(index)
            return musket.PredictionItem(item.id, item.x, item.y.repeat(3, axis=2) & [True, True, False])

    cfg = toy.experiment(
        tmp_path,
        **RECIPE | {"classes": [1, 2], "activation": ["sigmoid", "sigmoid"], "loss": "binary_crossentropy"},
    )
    cfg.fit(Two())
    (row, *_) = read_rows(cfg.layout.metrics(0, 0))
    assert row["loss"] == pytest.approx(row["loss_0"] + row["loss_1"])


def test_outputs_of_every_kind_are_mixed_and_smoothed(tmp_path: Path) -> None:
    several = {
        "classes": [3, 1, 1],
        "activation": ["softmax", "sigmoid", "none"],
        "loss": ["categorical_crossentropy", "binary_crossentropy", "mse"],
        "metrics": ["mae"],
        "primary_metric": "val_loss",
    }
    cfg = toy_labels.experiment(tmp_path, **RECIPE | several)
    cfg.fit(toy_labels.Thirds(target="several"))
    rows = read_rows(cfg.layout.metrics(0, 0))
    assert len(rows) == 2
    assert all(math.isfinite(value) for row in rows for value in row.values())
    pipeline = build.build_pipeline(cfg.spec, Normalization((0.0,) * 3, (1.0,) * 3), None, torch.device("cpu"))
    assert pipeline.mixing == Mixing(0.4, 1.0, 0.1, ((3, "softmax"), (1, "sigmoid"), (1, "linear")))


def test_nothing_is_mixed_by_itself(tmp_path: Path) -> None:
    spec = toy.experiment(tmp_path).spec
    inputs = Normalization((0.0,) * 3, (1.0,) * 3)
    assert build.build_pipeline(spec, inputs, "dice_loss", torch.device("cpu")).mixing is None


def test_a_rate_is_searched_with_the_recipe(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, **RECIPE)
    found = cfg.lr_find(toy.Drawn(), start_lr=1e-4, end_lr=1e-1, epochs=4)
    assert len(found.lrs) == 12


def test_decay_and_rates_by_layer_reach_the_optimizer(tmp_path: Path) -> None:
    real = {"architecture": "Unet", "backbone": "resnet18", "encoder_weights": None, "lr": 0.5}
    spec = toy.experiment(tmp_path, **real, weight_decay=0.1, layer_decay=0.5).spec
    groups = compiled(spec).optimizer.param_groups
    assert groups[0]["lr"] == 0.5
    assert {group["weight_decay"] for group in groups} == {0.0, 0.1}
    rates = sorted({group["lr"] for group in groups}, reverse=True)
    assert rates == pytest.approx([0.5**power for power in range(1, len(rates) + 1)])
    assert len(rates) > 5
    plain = compiled(toy.experiment(tmp_path, **real).spec).optimizer.param_groups
    assert [(group["lr"], group["weight_decay"]) for group in plain] == [(0.5, 0)]


def test_rates_by_layer_without_an_encoder_are_refused_before_anything_is_touched(trained: Path) -> None:
    (trained / "summary.yaml").unlink(missing_ok=True)
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file() and path.suffix != ".yaml"}
    with pytest.raises(ModelError, match=r"small_net has no part named encoder .* no layer for layer_decay"):
        fitted(trained, 1, layer_decay=0.8)
    assert {path: path.read_bytes() for path in before} == before
