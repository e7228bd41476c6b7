"""Promises about stages, sampling, freezing, rates and callbacks, each seen in a real fit and named by its id.

S15 (a loss per output) is about networks with several heads, which segmentation has none of.
"""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy

import musket
from musket.artifacts.checkpoint import load_weights
from musket.core.errors import ConfigError
from musket.data.sampling import part_order

UNET: dict[str, Any] = {
    "architecture": "Unet",
    "backbone": "resnet18",
    "encoder_weights": None,
    "encoder_depth": 3,
    "decoder_channels": [16, 8, 4],
    "augmentation": {},
    "folds_count": 1,
    "testSplit": 0,
    "batch": 2,
}


def rows(cfg: musket.Experiment, stage: int = 0, fold: int = 0) -> list[dict[str, float]]:
    with open(cfg.layout.metrics(fold, stage), newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


class Marked(toy.Drawn):
    """Discs of which every fourth shows an object by its own word; remembers what was read for what, by stage."""

    def __init__(self, count: int = 30):
        super().__init__(count)
        self.stage = 0
        self.asked: Counter[Any] = Counter()
        self.read: defaultdict[tuple[int, bool], Counter[int]] = defaultdict(Counter)

    def isPositive(self, index: Any) -> bool:
        self.asked[index] += 1
        return index % 4 == 0

    def item(self, index: int, is_train: bool) -> musket.PredictionItem:
        self.read[self.stage, is_train][index] += 1
        return self[index]


def tell_stage(dataset: Marked) -> None:
    """A callback TellStage that tells the dataset which stage is on."""

    @musket.callback
    class TellStage(musket.Hook):
        def on_stage_start(self, run: Any) -> None:
            dataset.stage = run.stage

        def on_stage_end(self, run: Any) -> None:
            dataset.stage = -1  # the summary reads whole parts


# --------------------------------------------------------------------------------------------------------- freezing


class Changes:
    """Which parts of the network each stage changed: {stage: {part: names}}."""

    def __init__(self) -> None:
        self.of: dict[int, dict[str, set[str]]] = {}
        changes = self

        @musket.callback
        class Compare(musket.Hook):
            def on_stage_start(self, run: Any) -> None:
                self.before = {name: value.clone() for name, value in run.model.state_dict().items()}

            def on_stage_end(self, run: Any) -> None:
                found: dict[str, set[str]] = defaultdict(set)
                for name, value in run.model.state_dict().items():
                    part = "encoder" if "encoder." in name else "rest"
                    if not torch.equal(value, self.before[name]):
                        found[part].add(name.rpartition(".")[2])
                changes.of[run.stage] = found


def fit_unet(folder: Path, **changes: Any) -> Changes:
    seen = Changes()
    cfg = toy.experiment(folder, **{**UNET, **changes}, callbacks={"Compare": {}})
    cfg.fit(toy.Drawn(6))
    return seen


@pytest.mark.filterwarnings("ignore:.*freezes an encoder of random weights")
def test_s22_a_frozen_encoder_stays_until_a_stage_frees_it(tmp_path: Path) -> None:
    seen = fit_unet(tmp_path, freeze_encoder=True, stages=[{"epochs": 2}, {"epochs": 1, "unfreeze_encoder": True}])
    assert not seen.of[0]["encoder"]  # neither weights nor the statistics of its normalisations
    assert {"weight", "bias", "running_mean", "running_var"} <= seen.of[0]["rest"]
    assert {"weight", "bias", "running_mean", "running_var"} <= seen.of[1]["encoder"]


@pytest.mark.filterwarnings("ignore:.*freezes an encoder of random weights")
def test_s23_unfreeze_encoder_makes_a_stage_trainable_and_false_freezes(tmp_path: Path) -> None:
    stages = [{"epochs": 1, "unfreeze_encoder": False}, {"epochs": 1}, {"epochs": 1, "unfreeze_encoder": True}]
    seen = fit_unet(tmp_path, stages=stages)
    assert [bool(seen.of[stage]["encoder"]) for stage in range(3)] == [False, False, True]


def test_s24_both_keys_stand_in_the_root_and_in_stages(tmp_path: Path) -> None:
    stages = [{"epochs": 1}, {"epochs": 1, "freeze_encoder": True}, {"epochs": 1, "freeze_encoder": False}]
    seen = fit_unet(tmp_path, unfreeze_encoder=True, stages=stages)
    assert [bool(seen.of[stage]["encoder"]) for stage in range(3)] == [True, False, True]


@pytest.mark.parametrize(
    "changes",
    [{"freeze_encoder": True}, {"stages": [{"epochs": 1, "freeze_encoder": True}]}, {"unfreeze_encoder": False}],
    ids=["root", "stage", "unfreeze"],
)
def test_s24_deeplab_refuses_with_a_message(changes: dict[str, Any], tmp_path: Path) -> None:
    deeplab = {key: value for key, value in UNET.items() if key not in ("encoder_depth", "decoder_channels")}
    deeplab |= {"architecture": "DeepLabV3", "backbone": "mobilenetv2"}
    toy.experiment(tmp_path, **deeplab)
    with pytest.raises(ConfigError, match=r"freeze_encoder.*DeepLabV3"):
        toy.experiment(tmp_path, **deeplab, **changes)


# ------------------------------------------------------------------------------------------- overrides of stages


def test_s29_stages_override_samples_rate_loss_and_weights(tmp_path: Path) -> None:
    start = tmp_path / "start.weights"
    source = toy.experiment(tmp_path / "source", folds_count=1, stages=[{"epochs": 1}])
    source.fit(toy.Drawn())
    start.write_bytes(source.layout.weights(0, 0).read_bytes())

    began: dict[int, dict[str, torch.Tensor]] = {}

    @musket.callback
    class LookAtStart(musket.Hook):
        def on_stage_start(self, run: Any) -> None:
            began[run.stage] = {name: value.clone() for name, value in run.model.state_dict().items()}

    dataset = Marked()
    tell_stage(dataset)
    cfg = toy.experiment(
        tmp_path / "run",
        folds_count=1,
        batch=2,
        testSplit=0,
        callbacks={"LookAtStart": {}, "TellStage": {}},
        stages=[
            {"epochs": 1, "negatives": "none", "validation_negatives": "real"},
            {"epochs": 1, "lr": 0.0001, "negatives": "real"},
            {"epochs": 1, "loss": "lovasz_loss", "lr": 0.00001, "initial_weights": str(start)},
        ],
    )
    cfg.fit(dataset)
    [fold] = cfg._prepare(dataset).folds
    positives = {i for i in fold.train if i % 4 == 0}
    assert set(dataset.read[0, True]) <= positives
    assert len(dataset.read[0, True]) >= len(positives) - 1  # less an incomplete batch
    assert set(dataset.read[0, False]) == set(fold.validation)
    assert any(i % 4 for i in fold.validation)
    assert any(i % 4 for i in dataset.read[1, True])
    assert [rows(cfg, stage)[0]["lr"] for stage in (1, 2)] == [0.0001, 0.00001]
    assert "dice_loss" in rows(cfg, 1)[0]
    assert "dice_loss" not in rows(cfg, 2)[0]
    given, _ = load_weights(start)
    assert all(torch.equal(began[2][name], given[name]) for name in given)


@pytest.mark.parametrize(("negatives", "per_positive"), [("none", 0), ("real", math.inf), (1, 1), (2, 2), (0.5, 0.5)])
def test_s30_epochs_have_the_negatives_that_were_asked_for(negatives: Any, per_positive: float, tmp_path: Path) -> None:
    dataset = Marked()
    tell_stage(dataset)
    stages = [{"epochs": 2, "negatives": negatives}]
    cfg = toy.experiment(tmp_path, folds_count=1, testSplit=0, batch=1, stages=stages, callbacks={"TellStage": {}})
    cfg.fit(dataset)
    [fold] = cfg._prepare(dataset).folds
    for part, read in ((fold.train, dataset.read[0, True]), (fold.validation, dataset.read[0, False])):
        positives = [i for i in part if i % 4 == 0]
        others = [i for i in part if i % 4]
        wanted = min(len(others), round(len(positives) * per_positive) if per_positive < math.inf else len(others))
        assert sum(i in positives for i in read) == len(positives)
        assert sum(i in others for i in read) == wanted
        assert set(read) == set(part_order(part, negatives, lambda i: i % 4 == 0))
    times = list(dataset.read[0, True].values())  # the same samples in both epochs; the first one is tried before
    assert sorted(times) == [2] * (len(times) - 1) + [3]


def test_s31_is_positive_is_called_by_index_and_once(tmp_path: Path) -> None:
    dataset = Marked()
    stages = [{"epochs": 1, "negatives": "none"}, {"epochs": 1, "negatives": 1}, {"epochs": 1, "negatives": "real"}]
    toy.experiment(tmp_path, stages=stages, testSplit=0, batch=1).fit(dataset)
    assert set(dataset.asked) == set(range(30))
    assert set(dataset.asked.values()) == {1}
    assert all(isinstance(index, int) for index in dataset.asked)


def test_s31_is_positive_is_not_asked_where_all_negatives_are_wanted(tmp_path: Path) -> None:
    dataset = Marked(12)
    toy.experiment(tmp_path, folds_count=1).fit(dataset)
    assert not dataset.asked


# ------------------------------------------------------------------------------------------------ rates, callbacks


class Trace:
    """The rate of every batch, by stage, and what happened at all."""

    def __init__(self) -> None:
        self.rates: defaultdict[int, list[float]] = defaultdict(list)
        self.called: Counter[tuple[str, int]] = Counter()
        trace = self

        @musket.callback
        class Rates(musket.Hook):
            def on_batch_start(self, run: Any) -> None:
                trace.rates[run.stage].append(run.lr)

        @musket.callback
        class Global(musket.Hook):
            def on_epoch_end(self, run: Any, row: dict[str, float]) -> None:
                trace.called["Global", run.stage] += 1

        @musket.callback
        class Own(musket.Hook):
            def on_epoch_end(self, run: Any, row: dict[str, float]) -> None:
                trace.called["Own", run.stage] += 1


CYCLIC = {"base_lr": 0.0001, "max_lr": 0.0011, "mode": "triangular2", "step_size": 3}


def triangular2(iteration: int) -> float:
    """The formula of the vocabulary for CYCLIC."""
    cycle = math.floor(1 + iteration / 6)
    x = abs(iteration / 3 - 2 * cycle + 1)
    return 0.0001 + 0.001 * max(0.0, 1 - x) / 2 ** (cycle - 1)


def test_s32_the_rate_of_a_fit_follows_cyclic_lr(tmp_path: Path) -> None:
    trace = Trace()
    stopping = {"EarlyStopping": {"patience": 40, "monitor": "val_binary_accuracy", "verbose": 0}}
    cfg = toy.experiment(
        tmp_path,
        folds_count=1,
        batch=2,
        stages=[{"epochs": 4}],
        callbacks={**stopping, "CyclicLR": CYCLIC, "Rates": {}},
    )
    cfg.fit(toy.Drawn(16))
    found = trace.rates[0]
    assert len(found) >= 18
    np.testing.assert_allclose(found, [triangular2(i) for i in range(len(found))], rtol=1e-6)
    assert found[0] == 0.0001
    assert max(found[:6]) == pytest.approx(0.0011)
    assert max(found[6:12]) == pytest.approx(0.0006)
    steps = len(found) // 4
    assert [row["lr"] for row in rows(cfg)] == pytest.approx([triangular2(steps * epoch) for epoch in (1, 2, 3, 4)])


def test_s33_plateaus_and_variations_control_the_rate(tmp_path: Path) -> None:
    @musket.callback
    class Stuck(musket.Hook):
        def on_epoch_end(self, run: Any, row: dict[str, float]) -> None:
            row["mine"] = 1.0

    trace = Trace()
    plateau = {"ReduceLROnPlateau": {"monitor": "mine", "mode": "min", "patience": 1, "factor": 0.5}}
    variator = {"LRVariator": {"fromVal": 0.001, "toVal": 0.005, "relSize": 2, "style": "linear"}}
    with pytest.raises(ConfigError, match="mine"):  # the check knows what is logged
        toy.experiment(tmp_path / "unknown", callbacks={"Stuck": {}, **plateau})
    plateau["ReduceLROnPlateau"] |= {"monitor": "val_loss", "min_delta": 1000.0}
    cfg = toy.experiment(
        tmp_path / "run",
        folds_count=1,
        lr=0.01,
        stages=[{"epochs": 4, "callbacks": plateau}, {"epochs": 2, "callbacks": {**variator, "Rates": {}}}],
    )
    cfg.fit(toy.Drawn(16))
    assert [row["lr"] for row in rows(cfg)] == pytest.approx([0.01, 0.01, 0.005, 0.0025])
    found = trace.rates[1]
    steps = len(found)
    np.testing.assert_allclose(found, [0.001 + 0.004 * i / (steps - 1) for i in range(steps)], rtol=1e-6)


def test_s58_extra_callbacks_join_the_global_ones_in_their_stage(tmp_path: Path) -> None:
    trace = Trace()
    cfg = toy.experiment(
        tmp_path,
        folds_count=1,
        lr=0.01,
        callbacks={"Global": {}, "Rates": {}},
        stages=[{"epochs": 1}, {"epochs": 2, "extra_callbacks": {"CyclicLR": CYCLIC}}],
    )
    cfg.fit(toy.Drawn())
    assert set(trace.rates[0]) == {0.01}
    np.testing.assert_allclose(trace.rates[1], [triangular2(i) for i in range(len(trace.rates[1]))], rtol=1e-6)
    assert trace.called == {("Global", 0): 1, ("Global", 1): 2}


def test_s59_callbacks_of_a_stage_silence_the_global_ones(tmp_path: Path) -> None:
    trace = Trace()
    cfg = toy.experiment(
        tmp_path,
        folds_count=1,
        callbacks={"Global": {}},
        stages=[{"epochs": 1}, {"epochs": 1, "callbacks": {"Own": {}}}, {"epochs": 1}],
    )
    cfg.fit(toy.Drawn())
    assert trace.called == {("Global", 0): 1, ("Own", 1): 1, ("Global", 2): 1}


# ------------------------------------------------------------------------------------------------- custom models


@pytest.mark.parametrize("spelling", ["custom_models", "custom.models"])
def test_s51_a_custom_model_gets_its_parameters_from_the_config_and_is_trained(spelling: str, tmp_path: Path) -> None:
    from segmentation_pipeline import segmentation

    got: list[tuple[Any, ...]] = []

    def my_unet(classes: int, shape: tuple[int, int, int], width: int = 8) -> torch.nn.Module:
        got.append((classes, tuple(shape), width))
        return torch.nn.Sequential(
            torch.nn.Conv2d(shape[2], width, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(width, classes, 1)
        )

    models = segmentation.custom_models if spelling == "custom_models" else segmentation.custom.models
    models["MyUnet"] = my_unet
    cfg = toy.experiment(tmp_path, architecture="MyUnet", width=6, folds_count=1, stages=[{"epochs": 4}])
    cfg.fit(toy.Drawn())
    assert set(got) == {(1, (32, 32, 3), 6)}
    losses = [row["loss"] for row in rows(cfg)]
    assert losses[-1] < losses[0]
    with pytest.raises(ConfigError, match="wdth"):
        toy.experiment(tmp_path, architecture="MyUnet", wdth=6)
