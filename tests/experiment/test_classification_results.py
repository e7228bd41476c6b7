"""What trained classifiers leave behind and are asked for: summary, stored vectors, thresholds, submissions."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import toy
import toy_labels
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import musket
from musket.core.errors import ArtifactError, DataError, MusketError
from musket.data.dataset import CompositeDataSet, DataSet
from musket.data.folders import DirectoryDataSet
from musket.experiment.submission import own_encoder
from musket.experiment.thresholds import parted_at_half
from musket.metrics.final import ByOneMetric, SimpleMetric, WithTreshold

MULTI_LABEL = {
    "activation": "sigmoid",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "primary_metric": "val_loss",
    "augmentation": {},
    "stages": [{"epochs": 1}, {"epochs": 1}],
}
SEVERAL = {
    "classes": [3, 1, 1],
    "head_names": ["side", "even", "share"],
    "activation": ["softmax", "sigmoid", "none"],
    "loss": ["categorical_crossentropy", "binary_crossentropy", "mse"],
    "metrics": ["categorical_accuracy", "binary_accuracy", "mae"],
    "primary_metric": "val_loss",
    "augmentation": {},
    "stages": [{"epochs": 1}],
}


class Rows(toy_labels.Thirds, DataSet):
    """Multi-hot labels that can be written as rows: the names of the classes above the threshold."""

    def __init__(self, count: int = 20):
        toy_labels.Thirds.__init__(self, count, "multi-hot")

    def _encode_item(self, item: Any, encode_y: bool = False, treshold: float = 0.5) -> dict[str, str]:
        values = item.y if encode_y else item.prediction
        names = [name for name, value in zip(self.classes, values, strict=True) if value > treshold]
        return {"Id": item.id, "Labels": "|".join(names)}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> musket.Experiment:
    """Multi-label, two folds, two stages, a holdout."""
    cfg = toy_labels.experiment(tmp_path_factory.mktemp("fitted"), **MULTI_LABEL)
    cfg.fit(Rows())
    return cfg


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> musket.Experiment:
    """Three heads: exclusive classes, a flag and a number."""
    cfg = toy_labels.experiment(tmp_path_factory.mktemp("several"), **SEVERAL)
    cfg.fit(toy_labels.Thirds(target="several"))
    return cfg


def reparsed(cfg: musket.Experiment, **changes: Any) -> musket.Experiment:
    """The experiment of the same folder under other settings, knowing its data."""
    other = toy_labels.experiment(cfg.layout.folder, **{**MULTI_LABEL, **changes})
    other._prepare(Rows())
    return other


def stack(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    """Truth and predictions of a dataset of vectors, N x classes."""
    items = [dataset[number] for number in range(len(dataset))]
    return np.array([item.y for item in items], float), np.array([item.prediction for item in items])


# ------------------------------------------------------------------------------------------------------- summary


def test_the_summary_agrees_with_the_stored_predictions(fitted: musket.Experiment) -> None:
    summary = yaml.safe_load(fitted.layout.summary.read_text())
    for number, block in enumerate([*summary["stages"], summary["allStages"]]):
        stage = number if number < 2 else None
        each = [stack(fitted.predictions(f"validation{fold}", stage=stage)) for fold in (0, 1)]
        right = [((truth > 0.5) == (scores > 0.5)).mean() for truth, scores in each]
        assert block["binary_accuracy"]["mean"] == pytest.approx(np.mean(right), abs=1e-6)
        assert block["binary_accuracy"]["max"] == pytest.approx(max(right), abs=1e-6)
        truth, scores = stack(fitted.predictions("holdout", stage=stage))
        assert block["binary_accuracy_holdout"] == pytest.approx(((truth > 0.5) == (scores > 0.5)).mean(), abs=1e-6)


def test_out_of_fold_predictions_are_kept_and_nothing_is_predicted_again(
    fitted: musket.Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = sorted(path.name for path in fitted.layout.predictions.iterdir())
    parts = [f"validation{stages}{fold}" for stages in ("[0]", "[1]", "[0, 1]") for fold in (0, 1)]
    parts += [f"holdout{stages}[0, 1]" for stages in ("[0]", "[1]", "[0, 1]")]
    assert folders == sorted(f"{part}.npy" for part in parts)
    files = {path.name for folder in fitted.layout.predictions.iterdir() for path in folder.iterdir()}
    assert files == {"index.json", "vectors.npy.npz"}
    monkeypatch.setattr(musket.experiment.inference, "TrainedModel", None)
    found = fitted.predictions("oof")
    folds = [fitted.predictions(f"validation{fold}") for fold in (0, 1)]
    assert len(found) == sum(map(len, folds)) == 16
    for part in folds:
        for sample in part.sample_ids():
            np.testing.assert_array_equal(found.prediction(sample), part.prediction(sample))


def test_the_holdout_is_the_mean_of_the_folds(fitted: musket.Experiment) -> None:
    alone = [fitted.predictions("holdout", fold=fold) for fold in (0, 1)]
    together = fitted.predictions("holdout")
    mean = (alone[0].vectors() + alone[1].vectors()) / 2
    np.testing.assert_allclose(together.vectors(), mean, atol=1e-6)


def test_tables_by_class_lie_beside_the_results(fitted: musket.Experiment, several: musket.Experiment) -> None:
    table = pd.read_csv(fitted.layout.evaluation / "validation_classes.csv")
    assert table["class"].tolist() == ["left", "middle", "right"]
    truth, _ = stack(fitted.predictions("oof"))
    assert table["support"].tolist() == truth.sum(0).tolist()
    for part in ("validation", "holdout"):
        for name in (f"{part}_classes.csv", f"{part}_confusion.png"):
            assert (fitted.layout.evaluation / name).stat().st_size
        for head in ("side", "even"):
            assert (several.layout.evaluation / f"{part}_classes_{head}.csv").is_file()


def test_figures_of_several_heads_are_named_by_head(several: musket.Experiment) -> None:
    block = yaml.safe_load(several.layout.summary.read_text())["allStages"]
    oof = [several.predictions(f"validation{fold}") for fold in (0, 1)]
    errors, hits = [], []
    for part in oof:
        items = [part[number] for number in range(len(part))]
        assert [np.shape(one) for one in items[0].prediction] == [(3,), (1,), (1,)]
        errors.append(np.mean([abs(item.prediction[2][0] - item.y[2]) for item in items]))
        hits.append(np.mean([item.prediction[0].argmax() == item.y[0].argmax() for item in items]))
    assert block["mae_share"]["mean"] == pytest.approx(np.mean(errors), abs=1e-5)
    assert block["categorical_accuracy_side"]["mean"] == pytest.approx(np.mean(hits), abs=1e-6)


def test_the_figure_an_experiment_is_judged_by_may_be_the_mean_of_heads(several: musket.Experiment) -> None:
    cfg = toy_labels.experiment(several.layout.folder, **SEVERAL, experiment_result="binary_accuracy_holdout")
    cfg._prepare(toy_labels.Thirds(target="several"))
    block = cfg.createSummary()["allStages"]
    heads = [block[f"binary_accuracy_{head}_holdout"] for head in ("side", "even")]
    assert cfg.result() == pytest.approx(np.mean(heads))


# ------------------------------------------------------------------------------------------------- final metrics


def all_right(truth: np.ndarray, found: np.ndarray) -> float:
    assert truth.dtype == found.dtype == bool
    return float((truth == found).all())


def all_right_at_best(truth: np.ndarray, found: np.ndarray) -> float:
    return all_right(truth, found)


def of_dataset(model: Any, dataset: Any) -> dict[str, float]:
    truth, scores = stack(dataset)
    return {"share": float(((truth > 0.5) == (scores > 0.5)).all(1).mean()), "count": len(dataset)}


def shares_all_right(cfg: musket.Experiment, stage: int | None = None) -> list[float]:
    each = [stack(cfg.predictions(f"validation{fold}", stage=stage)) for fold in (0, 1)]
    return [((truth > 0.5) == (scores > 0.5)).all(1).mean() for truth, scores in each]


def test_metrics_of_items_and_of_datasets_see_vectors(fitted: musket.Experiment) -> None:
    for metric in (SimpleMetric(all_right), WithTreshold(all_right_at_best), of_dataset):
        musket.final_metric(metric)
    names = ["all_right", "all_right_at_best", "of_dataset"]
    block = reparsed(fitted, final_metrics=names).createSummary()["allStages"]
    shares = shares_all_right(fitted)
    assert block["all_right"]["mean"] == pytest.approx(np.mean(shares))
    assert block["of_dataset_share"]["mean"] == pytest.approx(np.mean(shares))
    assert block["all_right_at_best"]["mean"] >= block["all_right"]["mean"]
    assert block["of_dataset_count_holdout"] == 4


def test_a_metric_after_every_epoch_sees_the_predictions_of_that_epoch(tmp_path: Path) -> None:
    musket.final_metric(of_dataset)
    musket.final_metric(SimpleMetric(all_right))
    finals = [{"of_dataset": {"for_validation": True}}, {"all_right": {"for_validation": True}}]
    changes = {**MULTI_LABEL, "stages": [{"epochs": 1}], "folds_count": 1, "final_metrics": finals}
    cfg = toy_labels.experiment(tmp_path, **changes)
    cfg.fit(Rows())
    (row,) = pd.read_csv(cfg.layout.metrics(0, 0)).to_dict("records")
    truth, scores = stack(cfg.predictions("validation0"))
    share = ((truth > 0.5) == (scores > 0.5)).all(1).mean()
    assert row["val_of_dataset_share"] == pytest.approx(share)
    assert row["val_all_right"] == pytest.approx(share)


def test_metrics_of_items_see_all_heads_side_by_side_and_numbers_as_they_are(several: musket.Experiment) -> None:
    shown: list[tuple[np.ndarray, np.ndarray]] = []

    class Errors(ByOneMetric):
        def onItem(self, prediction: np.ndarray, truth: np.ndarray) -> None:
            shown.append((prediction, truth))

        def commit(self, results: dict[str, Any]) -> None:
            results[self.name] = float(np.mean([abs(prediction[4] - truth[4]) for prediction, truth in shown]))

    musket.final_metric(Errors)
    cfg = toy_labels.experiment(several.layout.folder, **SEVERAL, final_metrics=["Errors"])
    cfg._prepare(toy_labels.Thirds(target="several"))
    cfg.createSummary()
    assert len(shown) == 20
    assert {truth.shape for _, truth in shown} == {(5,)}
    assert sorted(round(float(truth[4]) * 20) for _, truth in shown) == list(range(20))


def test_truth_and_predictions_are_dumped_as_tables(fitted: musket.Experiment) -> None:
    cfg = reparsed(fitted, dumpPredictionsToCSV=True)
    cfg.createSummary()
    for fold in (0, 1):
        part = fitted.predictions(f"validation{fold}", stage=1)
        truth, scores = stack(part)
        for kind, values in (("gt", truth), ("pt", scores)):
            table = pd.read_csv(cfg.layout.prediction_table("validation", fold, 1, kind), keep_default_na=False)
            assert table["Id"].tolist() == part.sample_ids()
            assert table["Labels"].tolist() == named(values)
        assert cfg.layout.prediction_table("holdout", fold, 1, "pt").is_file()


# ------------------------------------------------------------------------------------------------ stored vectors


def test_predictions_of_several_heads_are_lists(several: musket.Experiment) -> None:
    found = several.predictions("oof")
    side, even, share = found[0].prediction
    assert (side.shape, even.shape, share.shape) == ((3,), (1,), (1,))
    assert side.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(found.vectors()[0], np.concatenate([side, even, share]))


def test_blended_predictions_are_the_weighted_mean(fitted: musket.Experiment, several: musket.Experiment) -> None:
    first, second = fitted.predictions("holdout", 0), fitted.predictions("holdout", 1)
    mixed = first.blend(second, 0.25)
    np.testing.assert_allclose(mixed.vectors(), 0.25 * first.vectors() + 0.75 * second.vectors(), atol=1e-6)
    with pytest.raises(DataError, match=r"predictions of shapes \(3,\) and \(5,\)"):
        first.blend(several.predictions("holdout"))[0]


def test_a_dataset_is_predicted_anew_into_two_files(fitted: musket.Experiment, tmp_path: Path) -> None:
    found = fitted.predict_all_to_dataset(Rows(7), 0, 0, dsPath=tmp_path / "own", verbose=0)
    names = [path.name for path in (tmp_path / "own").iterdir() if path.name != ".lock"]
    assert sorted(names) == ["index.json", "vectors.npy.npz"]
    np.testing.assert_allclose(found.vectors(), fitted.predict_all_to_array(Rows(7), 0, 0), atol=1e-6)


def test_training_again_forgets_stored_vectors(tmp_path: Path) -> None:
    changes = {**MULTI_LABEL, "stages": [{"epochs": 1}], "folds_count": 1}
    cfg = toy_labels.experiment(tmp_path, **changes)
    cfg.fit(Rows())
    before, never_read = cfg.predictions("validation0"), cfg.predictions("validation0")
    known = before.vectors()
    other = toy_labels.experiment(tmp_path, **changes, lr=0.1)
    own = cfg.layout.evaluation / "notes.txt"
    own.write_text("kept")
    (cfg.layout.evaluation / "holdout_classes_of_before.csv").write_text("stale")
    other.fit(Rows(), rerun=True)
    assert own.is_file()
    assert not (cfg.layout.evaluation / "holdout_classes_of_before.csv").exists()
    assert (cfg.layout.evaluation / "holdout_classes.csv").is_file()
    np.testing.assert_array_equal(before.vectors(), known)
    with pytest.raises(ArtifactError, match="overwritten by predictions of other weights"):
        never_read.vectors()
    assert not np.allclose(other.predictions("validation0").vectors(), known)


# ---------------------------------------------------------------------------------------------------- thresholds


def f1(truth: np.ndarray, decided: np.ndarray) -> float:
    both = float((truth & decided).sum())
    return 2 * both / max(1.0, float(truth.sum() + decided.sum()))


def test_thresholds_by_class_are_the_best_on_out_of_fold_predictions(fitted: musket.Experiment) -> None:
    truth, scores = stack(fitted.predictions("oof", stage=-1))
    found = fitted.find_thresholds()
    assert len(found) == 3
    for number, threshold in enumerate(found):
        reached = f1(truth[:, number] > 0.5, scores[:, number] > threshold)
        cuts = [-1.0, *scores[:, number]]
        assert reached == pytest.approx(max(f1(truth[:, number] > 0.5, scores[:, number] > cut) for cut in cuts))
    assert fitted.find_thresholds(stages=0) != found
    with pytest.raises(MusketError, match="f1 and balanced_accuracy"):
        fitted.find_thresholds("accuracy")  # type: ignore[arg-type]


def test_only_classes_that_count_on_their_own_have_thresholds(several: musket.Experiment, tmp_path: Path) -> None:
    found = several.find_thresholds()
    assert [math.isnan(threshold) for threshold in found] == [True, True, True, False, True]
    exclusive = toy_labels.experiment(tmp_path / "exclusive")
    with pytest.raises(MusketError, match="nothing to threshold"):
        exclusive.find_thresholds()
    with pytest.raises(MusketError, match="find_optimal_treshold_by_validation"):
        toy.experiment(tmp_path / "masks").find_thresholds()


def test_thresholds_are_searched_on_trained_folds_only(tmp_path: Path) -> None:
    cfg = toy_labels.experiment(tmp_path, **{**MULTI_LABEL, "stages": [{"epochs": 1}]})
    cfg._prepare(Rows())
    with pytest.raises(ArtifactError, match="no fold is trained"):
        cfg.find_thresholds()
    cfg.fit(Rows(), foldsToExecute=[1])
    assert len(cfg.find_thresholds()) == 3


def test_one_threshold_for_a_function_of_vectors(fitted: musket.Experiment) -> None:
    truth, scores = stack(fitted.predictions("validation1", stage=0))
    tried = [((truth > 0.5) == (scores > cut / 100)).all(1).mean() for cut in range(100)]
    found = fitted.find_treshold(None, 1, all_right)
    assert found["score"] == pytest.approx(max(tried))
    assert tried[round(found["treshold"] * 100)] == pytest.approx(max(tried))
    assert 0 <= fitted.find_optimal_treshold_by_validation(all_right) < 1
    assert 0 <= fitted.find_optimal_treshold_by_holdout(all_right) < 1


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6),
    st.lists(st.one_of(st.floats(-0.5, 1), st.just(math.nan)), min_size=6, max_size=6),
)
def test_stretched_scores_are_above_a_half_just_where_they_are_above_their_thresholds(
    scores: list[float], thresholds: list[float]
) -> None:
    given, cuts = np.array(scores, np.float32), np.array(thresholds[: len(scores)])
    found = parted_at_half(given, cuts)
    own = ~np.isnan(cuts)
    np.testing.assert_array_equal((found > 0.5)[own], (given > cuts)[own])
    np.testing.assert_array_equal(found[~own], given[~own])
    assert ((found >= 0) & (found <= 1)).all()


# --------------------------------------------------------------------------------------------------- submissions


def named(scores: np.ndarray, thresholds: Any = 0.5) -> list[str]:
    return ["|".join(np.array(Rows.classes)[row > thresholds]) for row in scores]


def test_a_submission_is_written_as_the_dataset_encodes_its_items(fitted: musket.Experiment, tmp_path: Path) -> None:
    frame = fitted.submit(Rows(9), tmp_path / "submission.csv", 0, 0)
    scores = fitted.predict_all_to_array(Rows(9), 0, 0)
    table = pd.read_csv(tmp_path / "submission.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(table, frame)
    assert table["Id"].tolist() == [f"third-{number:02}" for number in range(9)]
    assert table["Labels"].tolist() == named(scores)
    fitted.submit(Rows(9), tmp_path / "low.csv", 0, 0, treshold=0.3)
    assert pd.read_csv(tmp_path / "low.csv", keep_default_na=False)["Labels"].tolist() == named(scores, 0.3)


def test_the_best_thresholds_serve_every_encoder(fitted: musket.Experiment, tmp_path: Path) -> None:
    frame = fitted.submit(Rows(12), tmp_path / "best.csv", treshold="best")
    thresholds = np.array(fitted.find_thresholds())
    assert frame["Labels"].tolist() == named(fitted.predict_all_to_array(Rows(12), stage=-1), thresholds)


def folder_of_images(tmp_path: Path) -> Path:
    folder = tmp_path / "test-images"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), toy_labels.draw(number))
    return folder


@pytest.mark.parametrize("form", ["text", "path", "dataset"])
def test_a_folder_is_written_as_the_data_trained_on(fitted: musket.Experiment, tmp_path: Path, form: str) -> None:
    folder = folder_of_images(tmp_path)
    what = {"text": str(folder), "path": folder, "dataset": DirectoryDataSet(folder)}[form]
    frame = fitted.submit(what, tmp_path / "folder.csv", 0, 0)
    assert frame["Id"].tolist() == [f"{number}.png" for number in range(4)]
    assert frame["Labels"].tolist() == named(fitted.predict_all_to_array(DirectoryDataSet(folder), 0, 0))


def test_a_subset_and_a_part_are_encoded_by_what_they_show(fitted: musket.Experiment, tmp_path: Path) -> None:
    frame = fitted.submit("holdout", tmp_path / "holdout.csv")
    assert frame["Id"].tolist() == [item.id for item in fitted.holdout()]
    part = musket.data.dataset.SubDataSet(Rows(), [5, 2])
    assert fitted.submit(part, tmp_path / "part.csv")["Id"].tolist() == ["third-05", "third-02"]


def test_without_an_encoder_scores_are_columns_named_by_classes(several: musket.Experiment, tmp_path: Path) -> None:
    cfg = toy_labels.experiment(several.layout.folder, **SEVERAL)
    dataset = toy_labels.Thirds(5, "several")
    frame = cfg.submit(dataset, tmp_path / "plain.csv", 0, 0)
    columns = ["side_0", "side_1", "side_2", "even_0", "share_0"]
    assert frame.columns.tolist() == ["image", *columns]
    vectors = np.concatenate(cfg.predict_all_to_array(dataset, 0, 0), axis=1)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "plain.csv")[columns], vectors, rtol=1e-5)


def test_columns_are_called_as_the_classes(tmp_path: Path) -> None:
    cfg = toy_labels.experiment(tmp_path / "exp", stages=[{"epochs": 1}], folds_count=1)
    cfg.fit(toy_labels.Thirds())
    frame = cfg.submit(toy_labels.Thirds(3), tmp_path / "plain.csv")
    assert frame.columns.tolist() == ["image", "left", "middle", "right"]
    cfg.predict_to_directory(folder_of_images(tmp_path), tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "predictions.csv").columns.tolist() == ["image", "left", "middle", "right"]


@pytest.fixture(scope="module")
def of_a_table(tmp_path_factory: pytest.TempPathFactory) -> musket.Experiment:
    """Trained on a table of images with the classes x, y and z."""
    folder = tmp_path_factory.mktemp("table")
    for number in range(12):
        cv2.imwrite(str(folder / f"{number}.png"), toy_labels.draw(number))
    cfg = toy_labels.experiment(folder / "exp", stages=[{"epochs": 3}], testSplit=0, folds_count=1)
    cfg.fit(labelled(folder, "zzxzyzzzzzzz"))  # most are the last class, so that is what it says
    return cfg


def labelled(
    folder: Path, kinds: str | None, kind: Any = musket.CategoryClassificationDataSet, **options: Any
) -> musket.data.dataset.DataSet:
    """The images of the table trained on as far as there are labels; with no labels without that column."""
    names = [f"{number}.png" for number in range(12)][: 12 if kinds is None else len(kinds)]
    columns = {"image": names} | ({} if kinds is None else {"kind": list(kinds)})
    return kind(folder, pd.DataFrame(columns), "image", "kind", **options)


class TestClassesOfASubmission:
    """What rows say are the classes trained on, whatever the table that is given calls its own."""

    def said(self, cfg: musket.Experiment, dataset: Any, tmp_path: Path) -> tuple[list[str], list[str]]:
        """What was written, and the best classes of the network."""
        best = cfg.predict_all_to_array(dataset, 0).argmax(axis=1)
        assert 2 in best
        return cfg.submit(dataset, tmp_path / "x.csv", 0)["kind"].tolist(), ["xyz"[number] for number in best]

    def test_other_classes_are_refused(self, of_a_table: musket.Experiment, tmp_path: Path) -> None:
        dataset = labelled(of_a_table.layout.folder.parent, "wxyw")
        words = r"the table's classes are w, x, y, the network's x, y, z, so .*classes=\[x, y, z\]"
        with pytest.raises(DataError, match=words):
            of_a_table.submit(dataset, tmp_path / "x.csv")
        with pytest.raises(DataError, match=words):
            of_a_table.submit(CompositeDataSet([dataset[:2], dataset[2:]]), tmp_path / "x.csv")
        assert not (tmp_path / "x.csv").exists()

    def test_classes_of_another_form_are_refused(self, of_a_table: musket.Experiment, tmp_path: Path) -> None:
        dataset = Rows(3)
        with pytest.raises(DataError, match=r"classes are left, middle, right, the network's x, y, z"):
            of_a_table.submit(dataset, tmp_path / "x.csv")

    @pytest.mark.parametrize(("kinds", "classes"), [("yz", None), ("xyz", ["z", "y", "x"]), ("xyz", ["x", "y", "z"])])
    def test_some_of_the_classes_or_in_another_order(
        self, of_a_table: musket.Experiment, tmp_path: Path, kinds: str, classes: list[str] | None
    ) -> None:
        dataset = labelled(of_a_table.layout.folder.parent, kinds * 4, classes=classes)
        written, expected = self.said(of_a_table, dataset, tmp_path)
        assert written == expected

    @pytest.mark.parametrize("view", [False, True])
    def test_a_table_without_labels(self, of_a_table: musket.Experiment, tmp_path: Path, view: bool) -> None:
        with pytest.warns(UserWarning, match="no column 'kind'"):
            dataset = labelled(of_a_table.layout.folder.parent, None)
        written, expected = self.said(of_a_table, dataset[:] if view else dataset, tmp_path)
        assert written == expected

    def test_a_table_without_labels_of_other_columns(self, of_a_table: musket.Experiment, tmp_path: Path) -> None:
        folder = of_a_table.layout.folder.parent
        frame = pd.DataFrame({"file": ["0", "1"]})
        with pytest.warns(UserWarning, match="no column 'kind'"):
            dataset = musket.CategoryClassificationDataSet(folder, frame, "file", "kind")
        with pytest.raises(DataError, match=r"no column kind, and its classes are 0, 1, .*classes=\[x, y, z\]"):
            of_a_table.submit(dataset, tmp_path / "x.csv")
        with pytest.warns(UserWarning, match="no column 'kind'"):
            dataset = musket.CategoryClassificationDataSet(folder, frame, "file", "kind", classes=["x", "y", "z"])
        written, expected = self.said(of_a_table, dataset, tmp_path)
        assert written == expected

    def test_the_weights_know_their_classes(self, of_a_table: musket.Experiment, tmp_path: Path) -> None:
        reopened = toy_labels.experiment(of_a_table.layout.folder, testSplit=0, folds_count=1)
        assert reopened.spec.dataset is None
        with pytest.raises(DataError, match=r"classes are y, z, the network's x, y, z"):
            reopened.submit(labelled(of_a_table.layout.folder.parent, "yzyz"), tmp_path / "x.csv", 0)
        assert len(reopened.submit(labelled(of_a_table.layout.folder.parent, "zyx"), tmp_path / "x.csv", 0)) == 3


def test_numbers_are_written_in_the_range_trained_on(several: musket.Experiment, tmp_path: Path) -> None:
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number}.png"), toy_labels.draw(number))

    def ages(*values: float) -> Any:
        frame = pd.DataFrame({"image": [f"{number}.png" for number in range(len(values))], "age": values})
        return musket.MultiOutputClassClassificationDataSet(tmp_path, frame, "image", {"age": "normalized_number"})

    one = {"classes": 1, "activation": "none", "loss": "mse", "metrics": ["mae"], "primary_metric": "val_loss"}
    cfg = toy_labels.experiment(tmp_path / "exp", **one, stages=[{"epochs": 1}], testSplit=0)
    cfg.fit(ages(*range(100, 1300, 100)))
    written = cfg.submit(ages(5, 6), tmp_path / "x.csv")["age"]
    np.testing.assert_allclose(written, 100 + 1100 * cfg.predict_all_to_array(ages(5, 6))[:, 0], rtol=1e-5)


def test_a_failed_sample_leaves_no_table(fitted: musket.Experiment, tmp_path: Path) -> None:
    class Holed(Rows):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            if index == 3:
                raise OSError("no such file")
            return super().__getitem__(index)

    with pytest.raises(DataError, match="1 of 9 images could not be predicted"):
        fitted.submit(Holed(9), tmp_path / "submission.csv")
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_fails_names_the_sample(fitted: musket.Experiment, tmp_path: Path) -> None:
    class Broken(Rows):
        def _encode_item(self, item: Any, encode_y: bool = False, treshold: float = 0.5) -> dict[str, str]:
            raise KeyError("name")

    with pytest.raises(DataError, match="sample 'third-00': it cannot be written as rows: KeyError: 'name'"):
        fitted.submit(Broken(2), tmp_path / "x.csv")


def test_a_folder_is_written_as_the_first_of_joined_datasets(fitted: musket.Experiment, tmp_path: Path) -> None:
    cfg = toy_labels.experiment(fitted.layout.folder, **MULTI_LABEL)
    joined = CompositeDataSet([Rows(12), Rows(3)])
    cfg._prepared = SimpleNamespace(source=joined)  # type: ignore[assignment]
    assert own_encoder(joined) is not None
    frame = cfg.submit(folder_of_images(tmp_path), tmp_path / "x.csv", 0)
    assert frame.columns.tolist() == ["Id", "Labels"]


@pytest.mark.parametrize("treshold", [True, "half", None, 1.5, -0.1, math.nan])
def test_a_threshold_that_is_none_is_refused(fitted: musket.Experiment, tmp_path: Path, treshold: Any) -> None:
    with pytest.raises(MusketError, match="a number from 0 to 1"):
        fitted.submit(Rows(3), tmp_path / "x.csv", treshold=treshold)


def test_a_name_that_is_neither_dataset_nor_folder_is_refused(fitted: musket.Experiment, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'nowhere' is neither a folder of images nor an entry of datasets"):
        fitted.submit("nowhere", tmp_path / "x.csv")


@pytest.mark.parametrize("encodes", [True, False])
def test_masks_are_submitted_too(tmp_path: Path, encodes: bool) -> None:
    images, masks = toy.write_discs(tmp_path / "data", 8)
    cfg = toy.experiment(tmp_path / "exp", augmentation={}, stages=[{"epochs": 1}], folds_count=1, testSplit=0)
    dataset = musket.data.folders.SimplePNGMaskDataSet(str(images), str(masks))
    cfg.fit(dataset)
    what = dataset if encodes else toy.Drawn(3)
    if not encodes:
        cfg = toy.experiment(tmp_path / "exp", augmentation={}, stages=[{"epochs": 1}], folds_count=1, testSplit=0)
    frame = cfg.submit(what, tmp_path / "masks.csv", treshold=0.4)
    maps = cfg.predict_all_to_array(what)
    rows = musket.core.rle.rle_encode(maps[1] > 0.4)
    assert frame.iloc[1].tolist()[-1] == rows
    assert len(frame) == len(what)
    with pytest.raises(MusketError, match="thresholds by class are those of classification"):
        cfg.submit(what, tmp_path / "x.csv", treshold="best")
