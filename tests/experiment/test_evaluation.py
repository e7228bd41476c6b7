"""Judging: what reaches summary.yaml, what is stored on the way, and what happens when a user's metric fails."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
import yaml

import musket
from musket.artifacts import checkpoint
from musket.core.errors import ArtifactError, ConfigError, DataError, MusketError, TrainingError
from musket.experiment import inference
from musket.experiment.connected import FoldsAndStages
from musket.experiment.predictions import PredictionDataSet
from musket.metrics.final import ByOneMetric, SimpleMetric

DICE = "dice_true_negative_is_one"
CUSTOM = "dice_with_custom_treshold_true_negative_is_one"


def dice_of(truth: np.ndarray, found: np.ndarray) -> float:
    return 2 * float((truth & found).sum()) / float(truth.sum() + found.sum())


def build(folder: Path, **changes: Any) -> musket.Experiment:
    return toy.experiment(folder, **{"augmentation": {}, "stages": [{"epochs": 1}], **changes})


class Counted(toy.Drawn):
    """Discs that count how often each is read."""

    def __init__(self, count: int = 14):
        super().__init__(count)
        self.reads: dict[int, int] = {}

    def __getitem__(self, index: int) -> musket.PredictionItem:
        self.reads[index] = self.reads.get(index, 0) + 1
        return super().__getitem__(index)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> musket.Experiment:
    """Two folds, two stages, a holdout; one metric with thresholds."""
    cfg = build(
        tmp_path_factory.mktemp("fitted"),
        final_metrics=[CUSTOM, {DICE: {"for_validation": True}}],
        stages=[{"epochs": 1}, {"epochs": 1}],
    )
    cfg.fit(toy.Drawn())
    return cfg


def reparsed(cfg: musket.Experiment, **changes: Any) -> musket.Experiment:
    """The experiment of the same folder under other settings, knowing its data."""
    other = build(
        cfg.layout.folder, **{"stages": [{"epochs": 1}, {"epochs": 1}], "final_metrics": [CUSTOM, DICE], **changes}
    )
    other._prepare(toy.Drawn())
    return other


def mean_over_items(items: Any, threshold: float = 0.5) -> float:
    return sum(dice_of(item.y, item.prediction > threshold) for item in items) / len(items)


def items_of(dataset: Any) -> list[Any]:
    return [dataset[index] for index in range(len(dataset))]


def test_final_metrics_agree_with_the_stored_predictions(fitted: musket.Experiment) -> None:
    summary = yaml.safe_load(fitted.layout.summary.read_text())
    for number, block in enumerate([*summary["stages"], summary["allStages"]]):
        stage = number if number < 2 else None
        folds = [items_of(fitted.predictions(f"validation{fold}", stage=stage)) for fold in (0, 1)]
        assert block[DICE]["mean"] == pytest.approx(np.mean([mean_over_items(items) for items in folds]), abs=1e-6)
        holdout = items_of(fitted.predictions("holdout", stage=stage))
        assert block[f"{DICE}_holdout"] == pytest.approx(mean_over_items(holdout), abs=1e-6)
        tried = [mean_over_items(holdout, i / 100) for i in range(100)]
        assert block[f"{CUSTOM}_holdout"] == pytest.approx(max(tried), abs=0.02)  # 8 bits on disk
        threshold = block[f"{CUSTOM}_treshold_holdout"]
        assert tried[round(threshold * 100)] == pytest.approx(block[f"{CUSTOM}_holdout"], abs=0.02)


def test_the_holdout_is_judged_by_all_folds_together(fitted: musket.Experiment) -> None:
    alone = [fitted.predictions("holdout", fold=fold) for fold in (0, 1)]
    together = fitted.predictions("holdout")
    for sample in together.sample_ids():
        mean = (alone[0].prediction(sample) + alone[1].prediction(sample)) / 2
        assert np.abs(together.prediction(sample) - mean).max() <= 1.5 / 255
    assert not np.allclose(alone[0][0].prediction, alone[1][0].prediction)


def test_a_metric_of_every_epoch_is_logged_and_exact(fitted: musket.Experiment) -> None:
    header = fitted.layout.metrics(0, 0).read_text().partition("\n")[0].split(",")
    assert f"val_{DICE}" in header
    assert f"val_{CUSTOM}" not in header
    assert DICE not in header


def test_what_failed_before_is_over_when_it_is_judged(fitted: musket.Experiment) -> None:
    """A fold that failed on a cluster may have been trained since, and only then the experiment was judged."""
    fitted.layout.error.write_text("errors: []")
    fitted.createSummary()
    assert not fitted.layout.error.exists()


def test_every_image_is_read_once_per_evaluation(fitted: musket.Experiment) -> None:
    data = Counted()
    cfg = reparsed(fitted)
    cfg._prepare(data)
    cfg.createSummary()
    assert data.reads == dict.fromkeys(range(14), 1)


def test_the_best_epoch_may_be_chosen_by_a_final_metric(tmp_path: Path) -> None:
    cfg = build(tmp_path, final_metrics=[DICE], primary_metric=f"val_{DICE}", folds_count=1, stages=[{"epochs": 3}])
    assert cfg.spec.final_metrics[0].for_validation
    cfg.fit(toy.Drawn())
    rows = cfg.layout.metrics(0, 0).read_text().splitlines()
    column = rows[0].split(",").index(f"val_{DICE}")
    values = [float(row.split(",")[column]) for row in rows[1:]]
    metadata = checkpoint.read_metadata(cfg.layout.weights(0, 0))
    assert metadata["epoch"] == int(np.argmax(values))
    assert metadata[f"val_{DICE}"] == max(values)


# ------------------------------------------------------------------------------------------------ users' own metrics


def test_users_metrics_of_every_form(tmp_path: Path) -> None:
    seen: list[tuple[Any, list[str]]] = []

    @musket.final_metric(mode="max")
    def agreement(model: Any, predictions: Any) -> dict[str, Any]:
        seen.append((model, [item.id for item in items_of(predictions)]))
        assert all(item.prediction.shape == item.y.shape for item in items_of(predictions))
        return {"items": len(predictions), "nested": {"dice": mean_over_items(items_of(predictions))}}

    @musket.final_metric
    class Count(ByOneMetric):
        def __init__(self) -> None:
            self.items = 0

        def onItem(self, prediction: np.ndarray, truth: np.ndarray) -> None:
            assert prediction.dtype == np.float32
            assert truth.dtype == bool
            self.items += 1

        def commit(self, results: dict[str, float]) -> None:
            results[self.name] = self.items

    musket.final_metric(SimpleMetric(dice_of))
    names = [{"agreement": {"for_validation": True}}, {"Count": {"for_validation": True}}, "dice_of"]
    cfg = build(tmp_path, final_metrics=[*names, DICE])
    summary = cfg.fit(toy.Drawn())["allStages"]
    assert summary["agreement_items"] == {"mean": 6, "max": 6, "min": 6, "std": 0}
    assert summary["agreement_items_holdout"] == 2
    assert summary["Count"]["max"] == 6  # nothing of the fold before
    assert summary["Count_holdout"] == 2
    assert summary["dice_of"]["mean"] == pytest.approx(summary[DICE]["mean"])
    assert summary["agreement_nested_dice_holdout"] == pytest.approx(summary[f"{DICE}_holdout"])
    header = cfg.layout.metrics(0, 0).read_text().partition("\n")[0].split(",")
    assert {"val_agreement_items", "val_agreement_nested_dice", "val_Count"} <= set(header)
    model = seen[-1][0]
    assert isinstance(model, FoldsAndStages)
    assert (model.name, model.folds, model.stages, model.wrapped) == (tmp_path.name, [0, 1], 0, cfg)
    assert seen[-1][1] == cfg.predictions("holdout").sample_ids()
    assert not list(cfg.layout.predictions.glob("tmp-*"))


def test_a_failing_metric_comes_last_and_costs_nothing_else(tmp_path: Path) -> None:
    @musket.final_metric
    def broken(model: Any, predictions: Any) -> float:
        raise ValueError("no such luck")

    @musket.final_metric
    class Worse(ByOneMetric):
        def onItem(self, prediction: np.ndarray, truth: np.ndarray) -> None:
            raise KeyError("x")

        def commit(self, results: dict[str, float]) -> None:
            results[self.name] = 1

    cfg = build(tmp_path, final_metrics=["broken", "Worse", DICE], folds_count=1)
    with pytest.raises(MusketError, match=r"final metric \w+ failed: .*createSummary\(\) adds it") as caught:
        cfg.fit(toy.Drawn())
    assert isinstance(caught.value.__cause__, ValueError | KeyError)
    summary = yaml.safe_load(cfg.layout.summary.read_text())
    assert summary["failed"] == {"broken": "ValueError: no such luck", "Worse": "KeyError: 'x'"}
    assert {"dice", DICE, f"{DICE}_holdout"} <= set(summary["allStages"])
    assert not {"broken", "Worse"} & set(summary["allStages"])
    assert not cfg.layout.in_progress.exists()

    def mended(model: Any, predictions: Any) -> float:
        return 1.0

    mended.__name__ = "broken"
    musket.final_metric(mended)
    cfg = build(tmp_path, final_metrics=["broken", DICE], folds_count=1)
    cfg._prepare(toy.Drawn())
    assert cfg.createSummary()["allStages"]["broken"]["mean"] == 1


def test_unknown_names_are_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such final metric 'dice_true_negative_is_won'; nearest: dice_true_neg"):
        build(tmp_path, final_metrics=["dice_true_negative_is_won"])
    with pytest.raises(ConfigError, match="no such metric 'dise'; nearest: dice"):
        build(tmp_path, experiment_result="val_dise")
    with pytest.raises(ConfigError, match=r"compressScale .*65535"):
        build(tmp_path, compressScale=65536)


def test_a_final_metric_without_direction_cannot_choose_the_best_epoch_unsaid(tmp_path: Path) -> None:
    @musket.final_metric
    def mine(model: Any, predictions: Any) -> float:
        return 1.0

    with pytest.raises(ConfigError, match="nobody says whether val_mine is better high or low"):
        build(tmp_path, final_metrics=["mine"], primary_metric="val_mine")
    assert build(tmp_path, final_metrics="val_mine", primary_metric="val_mine", primary_metric_mode="max")


# ---------------------------------------------------------------------------------------------- experiment_result


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (None, "dice_holdout"),
        ("val_dice", "dice"),
        ("dice", "dice"),
        ("dice_holdout", "dice_holdout"),
        ("iou", "iou"),  # computed for this
        ("iou_coef_holdout", "iou_coef_holdout"),
        ("map10_true_negative_is_one", "map10_true_negative_is_one"),
        (f"{CUSTOM}_holdout", f"{CUSTOM}_holdout"),
        (f"{CUSTOM}_treshold", f"{CUSTOM}_treshold"),
        ("val_loss", "val_loss"),  # the log's
    ],
)
def test_the_figure_an_experiment_is_judged_by(fitted: musket.Experiment, asked: str | None, name: str) -> None:
    cfg = reparsed(fitted, **({} if asked is None else {"experiment_result": asked}))
    summary = cfg.createSummary()
    assert summary["experiment_result"]["name"] == name
    value = summary["allStages"].get(name)
    if value is not None:
        assert cfg.result() == (value["mean"] if isinstance(value, dict) else value)
    assert math.isfinite(cfg.result())


def test_a_holdout_that_is_not_there_is_missed_before_training(tmp_path: Path) -> None:
    cfg = build(tmp_path, experiment_result="dice_holdout", testSplit=0)
    with pytest.raises(
        ArtifactError, match="experiment_result is dice_holdout, but there is no holdout; set testSplit"
    ):
        cfg.fit(toy.Drawn())
    assert not cfg.layout.metrics(0, 0).exists()
    with pytest.raises(ArtifactError, match="no such file"):
        cfg.result()


def test_create_summary_takes_trained_folds_only(fitted: musket.Experiment, tmp_path: Path) -> None:
    cfg = reparsed(fitted)
    assert cfg.generateReports([1])["folds"] == [1]
    with pytest.raises(ArtifactError, match="fold 5 is not trained to its end"):
        cfg.createSummary([5])
    untrained = build(tmp_path)
    untrained._prepare(toy.Drawn())
    with pytest.raises(ArtifactError, match="no fold is trained to its end"):
        untrained.createSummary()


# --------------------------------------------------------------------------------------------- stored predictions


@pytest.fixture
def predicted(fitted: musket.Experiment, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry per ensemble that was loaded to predict."""
    made: list[int] = []
    load = inference.TrainedModel.__init__

    def counting(self: Any, *args: Any, **kwargs: Any) -> None:
        made.append(1)
        load(self, *args, **kwargs)

    monkeypatch.setattr(inference.TrainedModel, "__init__", counting)
    return made


def test_predictions_are_made_once(fitted: musket.Experiment, predicted: list[int]) -> None:
    cfg = reparsed(fitted, compressScale=1000)
    first = cfg.predictions("validation1", stage=0)
    assert (cfg.layout.folder / "predictions" / "validation[0]1.npy" / "0.npy.npz").exists()
    assert len(predicted) == 1
    again = cfg.predictions("validation", 1, 0)
    assert len(predicted) == 1
    assert np.array_equal(first[2].prediction, again[2].prediction)
    item = first[0]
    assert item.prediction.shape == item.y.shape
    assert item.prediction.dtype == np.float32


def test_other_weights_settings_or_images_predict_anew(
    fitted: musket.Experiment, predicted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = reparsed(fitted)
    before = cfg.predictions("holdout", 0, 0)[0].prediction
    path = cfg.layout.weights(0, 0)
    kept = path.read_bytes()
    try:
        weights, metadata = checkpoint.load_weights(path)
        checkpoint.save_weights(path, {name: torch.zeros_like(w) for name, w in weights.items()}, metadata)
        assert not np.allclose(cfg.predictions("holdout", 0, 0)[0].prediction, before)
    finally:
        path.write_bytes(kept)
    assert np.array_equal(cfg.predictions("holdout", 0, 0)[0].prediction, before)
    predicted.clear()
    cfg.predictions("holdout", 0, 0)
    assert not predicted
    reparsed(fitted, testTimeAugmentation="Horizontal").predictions("holdout", 0, 0)
    reparsed(fitted, compressPredictionsAsInts=False).predictions("holdout", 0, 0)
    assert len(predicted) == 2
    monkeypatch.setattr(toy, "draw_disc", lambda seed, draw=toy.draw_disc: draw(seed + 100))
    reparsed(fitted, compressPredictionsAsInts=False).predictions("holdout", 0, 0)
    assert len(predicted) == 3


def test_out_of_fold_predictions_come_from_the_fold_that_did_not_train(fitted: musket.Experiment) -> None:
    oof = fitted.predictions("oof")
    data = fitted._prepare()
    assert oof.sample_ids() == [data.ids[i] for i in range(14) if i not in data.holdout]
    for fold in range(2):
        part = fitted.predictions(f"validation{fold}")
        assert len(part) == 6
        for sample in part.sample_ids():
            assert np.array_equal(oof.prediction(sample), part.prediction(sample))


def test_parts_by_name(fitted: musket.Experiment) -> None:
    assert fitted.predictions("validation").name == "validation0"
    assert fitted.predictions("train", 1).sample_ids() == fitted.predictions("train1").sample_ids()
    assert len(fitted.predictions(None)) == 14
    assert fitted.predictions(toy.Drawn(3)).name == "Drawn"
    with pytest.raises(MusketError, match="validation of several folds: name the part, as validation0"):
        fitted.predictions("validation", [0, 1])
    with pytest.raises(ArtifactError, match="there is no fold 7; this experiment has folds 0 to 1"):
        fitted.predictions("validation7")
    with pytest.raises(ConfigError, match="there is no such entry"):
        fitted.predictions("nothing")
    with pytest.raises(DataError, match="no prediction of it in holdout"):
        fitted.predictions("holdout").prediction("elsewhere")


def test_items_of_the_dataset_are_left_alone(fitted: musket.Experiment) -> None:
    items = items_of(toy.Drawn(4))
    found = fitted.predict_all_to_dataset(items, 0, 0, limit=3, dsPath=fitted.layout.folder / "own", verbose=0)
    assert len(found) == 3
    assert found[1].prediction is not None
    assert all(item.prediction is None for item in items)
    assert (fitted.layout.folder / "own" / "2.npy.npz").exists()
    assert [item.id for item in items_of(found[1:])] == ["disc-01", "disc-02"]
    assert found.get_target(0).shape == (40, 48, 1)


def test_views_reach_the_stored_predictions(fitted: musket.Experiment) -> None:
    data = toy.Drawn(2)
    plain = fitted.predict_all_to_dataset(data, 0, 0)[0].prediction
    flipped = fitted.predict_all_to_dataset(data, 0, 0, ttflips="Horizontal")[0].prediction
    assert not np.array_equal(plain, flipped)


def test_blending_goes_by_id(fitted: musket.Experiment, tmp_path: Path) -> None:
    first, second = fitted.predictions("oof", stage=0), fitted.predictions("oof", stage=1)
    turned = PredictionDataSet(first.ds, first.sample_ids()[::-1], second.prediction, "turned")
    sample = first.sample_ids()[3]
    mixed = first.blend(turned, 0.25)
    assert np.allclose(
        mixed.prediction(sample), 0.25 * first.prediction(sample) + 0.75 * second.prediction(sample), atol=1e-6
    )
    assert mixed[3].id == sample
    with pytest.raises(DataError, match="2 of 2 samples have no prediction in oof"):
        fitted.predictions("holdout").blend(first)
    with pytest.raises(MusketError, match="share from 0 to 1; found 2"):
        first.blend(second, 2)
    with pytest.raises(MusketError, match="belong to no experiment"):
        turned.blend(tmp_path)


def test_blending_with_another_experiment(fitted: musket.Experiment, tmp_path: Path) -> None:
    build(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(toy.CONFIG.replace("folds_count: 2", "folds_count: 3").replace("epochs: 2", "epochs: 1"))
    other = musket.parse(config)
    other.fit(toy.Drawn())
    ours, theirs = fitted.predictions("oof"), other.predictions("oof")
    blended = ours.blend(tmp_path, 0.5)
    for sample in ours.sample_ids():
        mean = (ours.prediction(sample) + theirs.prediction(sample)) / 2
        assert np.allclose(blended.prediction(sample), mean, atol=1e-6)


class Rows(toy.Drawn):
    """Discs that can be written as rows."""

    def encode(self, item: Any, encode_y: bool = False, treshold: float = 0.5) -> dict[str, Any]:
        mask = item.y if encode_y else item.prediction > treshold
        return {"image": item.id, "pixels": int(mask.sum())}


def test_tables_of_predictions(tmp_path: Path) -> None:
    import pandas as pd

    cfg = build(tmp_path, dumpPredictionsToCSV=True)
    cfg.fit(Rows())
    names = {
        f"{part}{fold}.0-{kind}.csv" for part in ("validation", "holdout-") for fold in (0, 1) for kind in ("gt", "pt")
    }
    assert names <= {path.name for path in cfg.layout.predictions.iterdir()}
    table = pd.read_csv(cfg.layout.predictions / "holdout-1.0-pt.csv")
    found = cfg.predictions("holdout", 1, 0)
    assert table["image"].tolist() == found.sample_ids()
    assert table["pixels"].tolist() == [int((item.prediction > 0.5).sum()) for item in items_of(found)]
    truth = pd.read_csv(cfg.layout.predictions / "validation0.0-gt.csv")
    assert truth["pixels"].tolist() == [int(item.y.sum()) for item in items_of(cfg.predictions("validation0"))]
    found.dump(tmp_path / "own.csv", treshold=1.0)
    assert pd.read_csv(tmp_path / "own.csv")["pixels"].sum() == 0


def test_tables_of_a_dataset_without_rows_are_refused_before_training(tmp_path: Path) -> None:
    cfg = build(tmp_path, dumpPredictionsToCSV=True)
    with pytest.raises(DataError, match="dumpPredictionsToCSV: Drawn cannot write its items as table rows"):
        cfg.fit(toy.Drawn())
    assert not cfg.layout.metrics(0, 0).exists()


# ------------------------------------------------------------------------------------------------------ thresholds


def test_thresholds_are_the_best_of_a_hundred(fitted: musket.Experiment) -> None:
    model = fitted.load_model(0, 0)
    part = items_of(fitted.validation(toy.Drawn(), 0))
    scores = [model.predict(item.x[None])[0] for item in part]
    means = [
        np.mean([dice_of(item.y, score > np.float32(i / 100)) for item, score in zip(part, scores, strict=True)])
        for i in range(100)
    ]
    found = fitted.find_treshold(toy.Drawn(), 0, dice_of)
    assert found["score"] == pytest.approx(max(means), abs=1e-6)
    assert means[round(found["treshold"] * 100)] == pytest.approx(max(means), abs=1e-6)
    both = [fitted.find_treshold(toy.Drawn(), fold, dice_of, stage=1)["treshold"] for fold in (0, 1)]
    assert fitted.find_optimal_treshold_by_validation(dice_of, stages=1) == pytest.approx(np.mean(both))
    assert 0 <= fitted.find_optimal_treshold_by_holdout(dice_of) < 1


def test_thresholds_of_nothing(fitted: musket.Experiment, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="says nothing of any of the 6 items of validation0"):
        fitted.find_treshold(toy.Drawn(), 0, lambda truth, found: None)
    without = build(tmp_path, testSplit=0)
    without._prepare(toy.Drawn())
    with pytest.raises(ArtifactError, match="no holdout; set testSplit"):
        without.find_optimal_treshold_by_holdout(dice_of)


def test_metrics_that_gather_on_their_own_say_so_on_several_devices() -> None:
    from musket.metrics.final import build_final

    metric = build_final("mine", SimpleMetric(dice_of))
    with pytest.raises(TrainingError, match="cannot be computed on several devices"):
        metric.state()  # type: ignore[union-attr]
