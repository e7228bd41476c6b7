"""What a fit must not lose, ignore or stumble over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import toy
import yaml

import musket
from musket.artifacts.checkpoint import load_state, load_weights, read_metadata
from musket.artifacts.records import read_rows
from musket.core.errors import ArtifactError, ConfigChanged, DataError, MusketError, TrainingError
from musket.experiment.state.changes import config_changes
from musket.metrics.final import ByOneMetric

ONE = [{"epochs": 1}]


class Unwilling(musket.Hook):
    def __init__(self) -> None:
        raise TrainingError("not today")


@pytest.fixture(autouse=True)
def _register() -> None:
    musket.callback(Unwilling)
    for metric in (hole_brightness, hole_darkness, hole_stumbling, HoleFalling):
        musket.final_metric(metric)


def fitted(folder: Path, **changes: Any) -> musket.Experiment:
    cfg = toy.experiment(folder, **{"stages": ONE, **changes})
    cfg.fit(toy.Drawn())
    return cfg


def again(folder: Path, *, accept: bool = False, **changes: Any) -> musket.Experiment:
    """The experiment of a folder to be resumed, its summary deleted."""
    cfg = toy.experiment(folder, **{"stages": ONE, **changes})
    cfg.layout.summary.unlink(missing_ok=True)
    cfg.setAllowResume(True, accept_changes=accept)
    return cfg


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("error.yaml", "config.yaml")
    }


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"shape": [32, 32, 1]}, DataError, "3 channels, shape in the config says 1"),
        ({"stages": [{"epochs": 1}, {"epochs": 1, "initial_weights": "junk.weights"}]}, ArtifactError, "safetensors"),
        ({"stages": [{"epochs": 1, "initial_weights": "weights"}]}, ArtifactError, "no such file"),
        ({"callbacks": {"Unwilling": {}}}, TrainingError, "not today"),
    ],
)
def test_a_rerun_that_cannot_begin_leaves_what_is_there(
    tmp_path: Path, changes: dict[str, Any], error: type[MusketError], words: str
) -> None:
    fitted(tmp_path)
    (tmp_path / "junk.weights").write_bytes(b"junk")
    before = files(tmp_path)
    with pytest.raises(error, match=words):
        toy.experiment(tmp_path, **{"stages": ONE, **changes}).fit(toy.Drawn(), rerun=True)
    assert files(tmp_path) == before


def test_initial_weights_of_another_network_are_refused_before_the_stage_before(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(3)}, tmp_path / "other.weights")
    stages = [{"epochs": 1}, {"epochs": 1, "initial_weights": "other.weights"}]
    with pytest.raises(ArtifactError, match="belong to another network"):
        toy.experiment(tmp_path, stages=stages).fit(toy.Drawn())
    assert not (tmp_path / "weights").exists()


def hole_brightness(model: Any, dataset: Any) -> float:
    return float(np.mean([item.prediction.mean() for item in dataset]))


def hole_darkness(model: Any, dataset: Any) -> float:
    return 1 - hole_brightness(model, dataset)


def hole_stumbling(model: Any, dataset: Any) -> float:
    return [0.0][len(dataset)]


class HoleFalling(ByOneMetric):
    def onItem(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        raise KeyError("item")

    def commit(self, results: dict[str, Any]) -> None: ...


def with_finals(folder: Path, *names: str) -> musket.Experiment:
    finals = [{name: {"for_validation": True}} for name in names]
    return toy.experiment(folder, stages=ONE, final_metrics=finals)


def test_two_functions_may_look_at_every_epoch(tmp_path: Path) -> None:
    cfg = with_finals(tmp_path, "hole_brightness", "hole_darkness")
    cfg.fit(toy.Drawn())
    (row,) = read_rows(cfg.layout.metrics(0, 0))
    assert row["val_hole_brightness"] + row["val_hole_darkness"] == pytest.approx(1)
    assert not list(cfg.layout.predictions.glob("tmp-*"))


@pytest.mark.parametrize(("name", "cause"), [("hole_stumbling", "IndexError"), ("HoleFalling", "KeyError: 'item'")])
def test_an_error_of_a_metric_of_every_epoch_is_told_with_its_name(tmp_path: Path, name: str, cause: str) -> None:
    with pytest.raises(TrainingError, match=f"final metric {name} failed: {cause}"):
        with_finals(tmp_path, name).fit(toy.Drawn())


def test_another_primary_metric_judges_the_epochs_whose_weights_are_there(tmp_path: Path) -> None:
    """Rows are forged so that the former best is the worst by the new metric; the last epoch's weights take over."""
    cfg = fitted(tmp_path, folds_count=1, stages=[{"epochs": 3}], primary_metric="val_loss")
    path = cfg.layout.state(0, 0)
    state = load_state(path)
    stored = read_metadata(cfg.layout.weights(0, 0))["epoch"]
    for row in state["rows"]:
        row["val_dice"] = 2.0 if row["epoch"] == 2 else 1.0
    state["best"] = -1.0
    torch.save(state, path)
    changes = {"folds_count": 1, "stages": [{"epochs": 4}], "primary_metric": "val_dice"}
    again(tmp_path, accept=True, **changes).fit(toy.Drawn())
    now = read_metadata(cfg.layout.weights(0, 0))
    assert now["epoch"] == 2 or stored == 2
    assert load_state(path)["best"] == 2.0
    assert load_state(path)["monitor"] == ["val_dice", "max"]
    weights, _ = load_weights(cfg.layout.weights(0, 0))
    assert all(torch.equal(weights[name], tensor) for name, tensor in state["model"].items())


def test_a_metric_that_was_not_logged_lets_the_last_epoch_be_beaten_by_any(tmp_path: Path) -> None:
    cfg = fitted(tmp_path, folds_count=1, metrics=["dice"])
    changes = {"folds_count": 1, "stages": [{"epochs": 2}], "metrics": ["dice", "iou"], "primary_metric": "val_iou"}
    again(tmp_path, accept=True, **changes).fit(toy.Drawn())
    assert read_metadata(cfg.layout.weights(0, 0))["epoch"] == 1
    assert load_state(cfg.layout.state(0, 0))["best"] == read_rows(cfg.layout.metrics(0, 0))[1]["val_iou"]


def test_other_normalisation_is_refused_even_when_accepted(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, stages=ONE, normalize={"mean": [0.5], "std": [0.25]})
    cfg.fit(toy.Drawn(), foldsToExecute=[0])
    other = {"normalize": {"mean": [0.1], "std": [0.9]}, "stages": [{"epochs": 2}]}
    with pytest.raises(TrainingError, match=r"normalize\.mean: was .* cannot be accepted: .*trained on images normal"):
        again(tmp_path, accept=True, **other).fit(toy.Drawn())
    again(tmp_path, normalize={"mean": [0.5], "std": [0.25]}).fit(toy.Drawn())
    means = {tuple(read_metadata(cfg.layout.weights(fold, 0))["mean"]) for fold in (0, 1)}
    assert means == {(0.5, 0.5, 0.5)}
    assert yaml.safe_load(cfg.layout.run_record.read_text())["config"]["normalize"]["mean"] == [0.5]


def test_files_of_the_user_among_the_predictions_stay(tmp_path: Path) -> None:
    cfg = fitted(tmp_path)
    store = cfg.predictions("validation0")
    assert len(store)
    folder = cfg.layout.predictions
    (folder / "submission.csv").write_text("mine")
    (folder / "validation0.0-gt.csv").write_text("a table of before")
    (folder / "notes").mkdir()
    np.savez(folder / "notes" / "0.npy.npz", mine=np.zeros(2))
    (folder / "tmp-validation0.0.npy").mkdir()
    again(tmp_path, stages=[{"epochs": 2}]).fit(toy.Drawn())
    assert {path.name for path in folder.iterdir()} == {"submission.csv", "notes"}
    assert (folder / "notes" / "0.npy.npz").exists()


def test_keys_without_influence_on_training_do_not_hinder_a_resume(tmp_path: Path) -> None:
    fitted(tmp_path)
    again(tmp_path, stages=[{"epochs": 2}], cache=False, testTimeAugmentation="Horizontal").fit(toy.Drawn())


def test_only_datasets_that_are_trained_on_are_compared() -> None:
    def config(**datasets: Any) -> dict[str, Any]:
        entries = {"main": ["a"], "a": {"f": [1]}, "other": {"f": [2]}, "more.x": {"g": []}}
        return {"dataset": "main", "extra_train_data": "more.x", "datasets": entries | datasets}

    assert not config_changes(config(), config(other={"f": [3]}, new={"f": []}), may_grow=False)
    assert [c.key for c in config_changes(config(), config(a={"f": [9]}), may_grow=False)] == ["datasets.a.f"]
    assert config_changes(config(), config(**{"more.x": {"g": [1]}}), may_grow=False)
    assert config_changes({"num_seeds": 2}, {"num_seeds": 3}, may_grow=False)
    for key in ("tasks", "run_tasks", "import_tasks", "max_evals", "separatePredictions"):
        assert not config_changes({key: 1}, {key: 2}, may_grow=False)


@pytest.mark.parametrize("stage", [0, 1])
def test_lost_weights_are_trained_again(tmp_path: Path, stage: int) -> None:
    stages = [{"epochs": 1}, {"epochs": 1}]
    cfg = fitted(tmp_path, stages=stages)
    path = cfg.layout.weights(1, stage)
    before, other = path.read_bytes(), cfg.layout.weights(0, stage).stat().st_mtime_ns
    path.unlink()
    assert again(tmp_path, stages=stages).fit(toy.Drawn())["folds"] == [0, 1]
    assert path.read_bytes() == before
    assert cfg.layout.weights(0, stage).stat().st_mtime_ns == other


@pytest.mark.parametrize("changes", [{}, {"noTrain": True}])
def test_a_fold_without_validation_samples_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    dataset: Any = toy.Drawn()
    dataset.folds = [(range(10), [])]
    with pytest.raises(MusketError, match="fold 0 has no validation samples"):
        toy.experiment(tmp_path, stages=ONE, testSplit=0, **changes).fit(dataset)
    assert not (tmp_path / "weights").exists()


def test_no_training_needs_no_training_samples(tmp_path: Path) -> None:
    dataset: Any = toy.Drawn()
    dataset.folds = [([], range(10))]
    assert toy.experiment(tmp_path, stages=ONE, testSplit=0, noTrain=True).fit(dataset)["completed"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"foldsToExecute": []}, "foldsToExecute is empty"),
        ({"foldsToExecute": ["a"]}, r"list of fold numbers; found \['a'\]"),
        ({"foldsToExecute": 1.5}, "list of fold numbers; found 1.5"),
        ({"foldsToExecute": [2]}, "there is no fold 2"),
        ({"start_from_stage": "a"}, "there is no stage 'a'"),
        ({"subsample": "a"}, "share above 0, up to 1; found 'a'"),
    ],
)
def test_what_fit_cannot_do_is_said_before_anything_is_touched(
    tmp_path: Path, asked: dict[str, Any], words: str
) -> None:
    fitted(tmp_path)
    before = files(tmp_path)
    with pytest.raises(MusketError, match=words):
        toy.experiment(tmp_path, stages=ONE).fit(toy.Drawn(), rerun=True, **asked)
    assert files(tmp_path) == before


@pytest.mark.parametrize("folds", [1, np.int64(1), np.array([1]), [np.int64(1)]])
def test_a_fold_may_be_given_as_any_whole_number(tmp_path: Path, folds: Any) -> None:
    cfg = toy.experiment(tmp_path, stages=ONE)
    assert cfg.fit(toy.Drawn(), foldsToExecute=folds, subsample=np.float32(1))["folds"] == [1]
    assert yaml.safe_load(cfg.layout.run_record.read_text())["subsample"] == 1.0


class Growing(toy.Drawn):
    """Discs whose size depends on the index."""

    def __getitem__(self, index: int) -> musket.PredictionItem:
        image, mask = toy.draw_disc(index, 40 + 4 * (index % 3), 48 + 8 * (index % 2))
        return musket.PredictionItem(f"disc-{index:02}", image, mask[..., None].astype(bool))


def test_images_of_any_size_one_by_one(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, stages=ONE, manualResize=True, batch=1, showDataExamples=True)
    assert cfg.fit(Growing(), foldsToExecute=0)["folds"] == [0]
    assert cv2.imread(str(cfg.layout.example(0, 0, 0, 0))) is not None


def test_a_change_that_is_not_accepted_lists_every_key(tmp_path: Path) -> None:
    fitted(tmp_path)
    with pytest.raises(ConfigChanged, match="normalize"):
        again(tmp_path, normalize={"mean": [0.1], "std": [0.9]}).fit(toy.Drawn())
