"""Promises about judging: the README's evaluation loop, keys of the summary, stored predictions, what tasks get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import yaml

import musket
from musket.core.rle import rle_decode, rle_encode
from musket.data.tables import BinarySegmentationDataSet
from musket.experiment.connected import FoldsAndStages

THRESHOLDS = "iou_with_custom_treshold_true_negative_is_zero"


class Documented(toy.Drawn):
    """Discs with the method the README's snippet calls."""

    def get_masks(self, name: str) -> np.ndarray:
        return self[int(name.removeprefix("disc-"))].y


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> musket.Experiment:
    cfg = toy.experiment(
        tmp_path_factory.mktemp("judged"),
        folds_count=3,
        augmentation={},
        stages=[{"epochs": 1}],
        final_metrics=[THRESHOLDS],
    )
    cfg.fit(Documented(20))
    return cfg


def test_s40_the_evaluation_loop_of_the_readme(fitted: musket.Experiment) -> None:
    ds = Documented(20)
    overlaps: dict[str, float] = {}
    for batch in fitted.evaluateAll(ds, 2):
        for i in range(len(batch.data)):
            masks = ds.get_masks(batch.data[i])
            predicted = batch.predicted_maps_aug[i].arr > 0.5
            assert predicted.shape == masks.shape
            overlaps[batch.data[i]] = float((predicted & masks).sum())
    part = fitted.validation(ds, 2)
    assert sorted(overlaps) == sorted(part[index].id for index in range(len(part)))


@pytest.mark.parametrize(("limit", "expected"), [(16, 6), (4, 4), (-1, 6)])
def test_evaluate_gives_the_first_samples_with_their_maps(fitted: musket.Experiment, limit: int, expected: int) -> None:
    batches = list(fitted.evaluate(Documented(20), 0, 0, limit=limit))
    assert sum(len(batch) for batch in batches) == expected
    batch = batches[0]
    assert len(batch.heatmaps_aug) == len(batch.segmentation_maps) == len(batch.data)
    assert batch.heatmaps_aug[0].arr.shape == batch.segmentation_maps[0].arr.shape


def test_evaluate_all_takes_views_and_negatives(fitted: musket.Experiment) -> None:
    class Marked(Documented):
        def isPositive(self, index: int) -> bool:
            return index % 2 == 0

    data = Marked(20)
    everything = {name: r for b in fitted.evaluateAll(data, 0) for name, r in zip(b.data, b.results, strict=True)}
    positive = [name for b in fitted.evaluateAll(data, 0, negatives="none") for name in b.data]
    assert sorted(positive) == sorted(name for name in everything if int(name[-2:]) % 2 == 0)
    views = fitted.evaluateAll(data, 0, ttflips="Horizontal")
    flipped = {name: r for b in views for name, r in zip(b.data, b.results, strict=True)}
    assert flipped.keys() == everything.keys()
    assert any(not np.array_equal(flipped[name], everything[name]) for name in flipped)


def test_keys_of_the_summary(fitted: musket.Experiment) -> None:
    summary = yaml.safe_load(fitted.layout.summary.read_text())
    assert summary["completed"] is True
    assert set(summary["allStages"]) == {
        f"{name}{end}"
        for name in ("binary_accuracy", "dice", THRESHOLDS, f"{THRESHOLDS}_treshold")
        for end in ("", "_holdout")
    }
    for name, value in summary["allStages"].items():
        assert isinstance(value, float) if name.endswith("_holdout") else set(value) == {"mean", "max", "min", "std"}
    assert len(summary["stages"]) == 1
    assert fitted.result() == summary["allStages"]["dice_holdout"]


def test_predictions_lie_beside_the_config(fitted: musket.Experiment) -> None:
    fitted.predictions("validation1")
    fitted.predictions("holdout")
    assert (fitted.layout.folder / "predictions" / "validation[0]1.npy" / "0.npy.npz").is_file()
    assert (fitted.layout.folder / "predictions" / "holdout[0][0, 1, 2].npy").is_dir()


def test_s3_what_a_task_is_given_offers_predictions(fitted: musket.Experiment) -> None:
    for model in (fitted, FoldsAndStages(fitted, [0, 2], 0)):
        holdout = model.predictions("holdout")
        assert {holdout[i].id for i in range(len(holdout))} == set(fitted.holdout(Documented(20)).sample_ids())
        assert all(holdout[i].prediction.shape == holdout[i].y.shape for i in range(len(holdout)))
    ids = [name for batch in FoldsAndStages(fitted, 0, 0).predict_on_dataset(Documented(2)) for name in batch.data]
    assert ids == ["disc-00", "disc-01"]


def test_tables_of_an_rle_dataset_decode_to_the_predicted_masks(tmp_path: Path) -> None:
    import pandas as pd

    images, _ = toy.write_discs(tmp_path / "data", 8)
    rows = [{"ImageId": f"disc-{i:02}.jpg", "Pixels": rle_encode(toy.draw_disc(i)[1])} for i in range(8)]
    data = BinarySegmentationDataSet(images, pd.DataFrame(rows), "ImageId", "Pixels")
    cfg = toy.experiment(
        tmp_path / "run", augmentation={}, stages=[{"epochs": 1}], testSplit=0, dumpPredictionsToCSV=True
    )
    cfg.fit(data)
    for fold in (0, 1):
        found = cfg.predictions(f"validation{fold}")
        for kind in ("gt", "pt"):
            path = cfg.layout.folder / "predictions" / f"validation{fold}.0-{kind}.csv"
            table = pd.read_csv(path, keep_default_na=False)
            assert table["ImageId"].tolist() == found.sample_ids()
            for index, text in enumerate(table["Pixels"]):
                item: Any = found[index]
                mask = item.y if kind == "gt" else item.prediction > 0.5
                np.testing.assert_array_equal(rle_decode(text, (40, 48)).astype(bool), mask[..., 0])


def test_former_import_path_of_final_metrics() -> None:
    from musket_core import metrics

    @metrics.final_metric
    def own(model: Any, predictions: Any) -> float:
        return 0.0

    assert callable(own)
    assert metrics.SimpleMetric(own).name == "own"
