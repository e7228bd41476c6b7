"""Predictions that would be wrong, stale or silent: what is said, or done, in their place."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import yaml

import musket
from musket.core.errors import ArtifactError, ConfigError, DataError, MusketError
from musket.predict.ensemble import shares


def build(folder: Path, **changes: Any) -> musket.Experiment:
    return toy.experiment(folder, **{"augmentation": {}, "stages": [{"epochs": 1}], **changes})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> musket.Experiment:
    cfg = build(tmp_path_factory.mktemp("fitted"))
    cfg.fit(toy.Drawn())
    return cfg


def share(truth: np.ndarray, found: np.ndarray) -> float:
    return float((truth == found).mean())


def items_of(dataset: Any) -> Iterator[Any]:
    return (dataset[position] for position in range(len(dataset)))


# ------------------------------------------------------------------------------------------------ stored predictions


class Drifting(toy.Drawn):
    """Discs one of which is another picture from some moment on."""

    changed: int | None = None

    def __getitem__(self, index: int) -> musket.PredictionItem:
        item = super().__getitem__(index)
        if index == self.changed:
            return musket.PredictionItem(item.id, 255 - item.x, item.y)
        return item


@pytest.mark.parametrize("blended", [False, True])
def test_an_image_that_changed_under_its_id_has_no_stored_prediction(fitted: musket.Experiment, blended: bool) -> None:
    data = Drifting(13 if blended else 12)
    found = fitted.predictions(data)
    before = [item.prediction for item in items_of(found)]
    data.changed = 3
    found = fitted.predictions(data)
    found = found.blend(found) if blended else found
    assert np.array_equal(found[2].prediction, before[2])
    with pytest.raises(ArtifactError, match=r"image of sample 'disc-03' is not the one that was predicted.*the folder"):
        found[3]
    anew = fitted.predict_all_to_dataset(data, verbose=0)
    assert not np.array_equal(anew[3].prediction, before[3])
    assert np.array_equal(fitted.predictions(data)[3].prediction, anew[3].prediction)


def test_datasets_of_one_class_and_views_are_kept_apart(fitted: musket.Experiment) -> None:
    three, four = fitted.predictions(toy.Drawn(3)), fitted.predictions(toy.Drawn(4))
    plain = fitted.predict_all_to_dataset(toy.Drawn(3), verbose=0)
    flipped = fitted.predict_all_to_dataset(toy.Drawn(3), ttflips=True, verbose=0)
    some = fitted.predict_all_to_dataset("holdout", limit=1, verbose=0)
    assert (len(some), len(fitted.predictions("holdout"))) == (1, 2)
    assert np.array_equal(three[2].prediction, four[2].prediction)
    assert np.array_equal(three[2].prediction, plain[2].prediction)
    assert not np.array_equal(flipped[2].prediction, plain[2].prediction)
    assert some[0].prediction.shape == (40, 48, 1)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:40])])
def test_a_file_that_is_gone_or_cut_short_is_predicted_anew(
    fitted: musket.Experiment, damage: Callable[[Path], object]
) -> None:
    before = fitted.predictions("validation0")[1].prediction
    damage(fitted.layout.predictions / "validation[0]0.npy" / "1.npy.npz")
    assert np.array_equal(fitted.predictions("validation0")[1].prediction, before)


def test_predictions_held_while_the_files_go_say_so(fitted: musket.Experiment) -> None:
    held = fitted.predictions("validation1")
    shutil.rmtree(fitted.layout.predictions / "validation[0]1.npy")
    with pytest.raises(ArtifactError, match=r"is gone since it was asked for.*ask for the predictions again"):
        held[0]


# ------------------------------------------------------------------------------------------------- experiment_result


def registered(name: str, value: Any) -> None:
    def metric(model: Any, predictions: Any) -> Any:
        return value

    metric.__name__ = name
    musket.final_metric(metric)


@pytest.mark.parametrize(
    ("asked", "value"), [("gone_more", 0.5), ("gone_part", 0.125), ("gone_more_holdout", 0.5), ("gone", None)]
)
def test_a_final_metric_is_found_by_its_whole_name_before_figures_of_another(
    fitted: musket.Experiment, asked: str, value: float | None
) -> None:
    registered("gone", {"part": 0.125})
    registered("gone_more", 0.5)
    cfg = build(fitted.layout.folder, final_metrics=["gone"], experiment_result=asked)
    cfg._prepare(toy.Drawn())
    if value is not None:
        assert cfg.createSummary()["experiment_result"] == {"name": asked, "value": value}
        assert cfg.result() == value
        return
    with pytest.raises(
        MusketError, match=r"experiment_result is gone, but there is no such figure; there are: .*gone_p"
    ):
        cfg.createSummary()


def test_a_figure_that_nobody_gave_is_said_when_the_summary_is_safe(fitted: musket.Experiment) -> None:
    registered("gone", 0.25)
    cfg = build(fitted.layout.folder, final_metrics=["gone"], experiment_result="gone_typo")
    cfg._prepare(toy.Drawn())
    cfg.layout.summary.unlink()
    with pytest.raises(MusketError, match=r"gone_typo, but there is no such figure; there are: .*gone.*createSummary"):
        cfg.createSummary()
    summary = yaml.safe_load(cfg.layout.summary.read_text())
    assert (summary["experiment_result"], summary["allStages"]["gone"]["mean"]) == (None, 0.25)
    with pytest.raises(ArtifactError, match=r"experiment_result is gone_typo, but there is no such figure; .*dice"):
        cfg.result()


@pytest.mark.parametrize("asked", ["loss_holdout", "val_loss_holdout"])
def test_the_loss_on_the_holdout_is_refused_with_the_config(tmp_path: Path, asked: str) -> None:
    with pytest.raises(ConfigError, match=f"{asked}'; the loss is logged on validation parts alone"):
        build(tmp_path, experiment_result=asked)


def test_figures_that_a_built_in_metric_has_not_are_refused_with_the_config(tmp_path: Path) -> None:
    plain, custom = "dice_true_negative_is_one", "dice_with_custom_treshold_true_negative_is_one"
    for asked in (f"{plain}_treshold", f"{custom}_typo"):
        with pytest.raises(ConfigError, match=f"no such metric '{asked}'"):
            build(tmp_path, final_metrics=[plain, custom], experiment_result=asked)


# -------------------------------------------------------------------------------------------------- folds and weights


def test_weights_of_a_network_that_is_named_twice_add_up(fitted: musket.Experiment) -> None:
    image = toy.draw_disc(1)[0][None]
    first, second = (fitted.load_model(fold, 0).predict(image) for fold in (0, 1))
    model = fitted.load_model([0, 0, 1], 0, weights=[0, 3, 1])
    assert model.weights == [0, 0.75, 0.25]
    assert np.allclose(model.predict(image), 0.75 * first + 0.25 * second, atol=1e-6)


CALLS: dict[str, Callable[[musket.Experiment, Any], Any]] = {
    "evaluateAll": lambda cfg, fold: list(cfg.evaluateAll(toy.Drawn(), fold)),
    "evaluate": lambda cfg, fold: list(cfg.evaluate(toy.Drawn(), fold, 0)),
    "find_treshold": lambda cfg, fold: cfg.find_treshold(toy.Drawn(), fold, share),
    "validation": lambda cfg, fold: cfg.validation(toy.Drawn(), fold),
    "train": lambda cfg, fold: cfg.train(toy.Drawn(), fold),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_fold_that_is_none_is_refused_with_those_there_are(fitted: musket.Experiment, call: str) -> None:
    for fold in (7, -1):
        with pytest.raises(ArtifactError, match=f"there is no fold {fold}; this experiment has folds 0 to 1"):
            CALLS[call](fitted, fold)
    for several in ([0, 1], np.arange(2), None, "0"):
        with pytest.raises(ArtifactError, match="one fold is needed here, a number from 0 to 1; found"):
            CALLS[call](fitted, several)
    assert CALLS[call](fitted, np.int64(1))


def test_numbers_of_numpy_are_numbers(fitted: musket.Experiment) -> None:
    [key] = fitted.load_model(np.int64(1), np.int64(-1)).keys  # type: ignore[arg-type]
    assert (key.fold, key.stage, type(key.fold)) == (1, 0, int)
    assert len(fitted.load_model(np.arange(2), 0).keys) == 2  # type: ignore[arg-type]
    assert fitted.predictions("validation", fold=np.int64(1)).name == "validation1"  # type: ignore[arg-type]
    assert (fitted.layout.predictions / "validation[0]1.npy").exists()


@pytest.mark.parametrize("fold", [[], "0", 1.5, ["a"], [None]])
def test_choices_that_are_none(fitted: musket.Experiment, fold: Any) -> None:
    with pytest.raises(MusketError, match="fold: give a whole number, a list of some, or None for all; found"):
        fitted.load_model(fold, 0)


@pytest.mark.parametrize("weights", ["ab", 3, [], ["a", "b"], [[1, 2], [3, 4]], {"a": 1}])
def test_weights_that_are_none(weights: Any) -> None:
    with pytest.raises(MusketError, match="weights: a list of numbers, one per member; found"):
        shares(weights, 2)


# ------------------------------------------------------------------------------------------------------------- images


@pytest.mark.parametrize("size", [0, -1, 1.5, "4"])
def test_batches_of_less_than_an_image(fitted: musket.Experiment, size: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: fitted.predict_all_to_array(toy.Drawn(2), 0, 0, batch_size=size),
        lambda: list(fitted.predict_on_dataset(toy.Drawn(2), 0, 0, batch_size=size)),
        lambda: list(fitted.evaluateAll(toy.Drawn(), 0, batchSize=size)),
        lambda: fitted.load_model(0, 0).predict(toy.draw_disc(0)[0][None], batch_size=size),
    ]
    for call in calls:
        with pytest.raises(MusketError, match="batch_size: a whole number of 1 and above, or None for inference_batch"):
            call()


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((10, 12, 3), np.uint8), r"images have shape \(10, 12, 3\); .* single image image\[None\]"),
        (["a.jpg"], "sample '0': an array is needed for an image; found str"),
        ([np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.int64)], "sample '1': images of type int64"),
        ([np.zeros((9, 9, 3, 1), np.uint8)], r"the image has shape \(9, 9, 3, 1\)"),
        ([np.zeros((9, 9, 4), np.uint8)], "the image has 4 channels"),
        ([np.full((9, 9, 3), 200.0)], "sample '0': the image holds floats from 200 to 200; scale them to 0..1"),
    ],
)
def test_arrays_a_network_cannot_take(fitted: musket.Experiment, images: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        fitted.load_model(0, 0).predict(images)


def test_no_images_have_no_scores(fitted: musket.Experiment) -> None:
    model = fitted.load_model(0, 0)
    assert model.predict(np.zeros((0, 10, 12, 3), np.uint8)).shape == (0, 10, 12, 1)
    assert model.predict([]) == []


class Floats(toy.Drawn):
    """Discs as floats from 0 to ``top``."""

    def __init__(self, top: float):
        super().__init__()
        self.top = top

    def __getitem__(self, index: int) -> musket.PredictionItem:
        item = super().__getitem__(index)
        return musket.PredictionItem(item.id, item.x.astype(np.float64) * self.top / 255, item.y)


def test_floats_outside_0_to_1_are_refused_unless_normalize_is_given(fitted: musket.Experiment, tmp_path: Path) -> None:
    said = r"sample 'disc-\d\d': the image holds floats from 0 to \d+.*scale them to 0\.\.1, or give normalize"
    with pytest.raises(DataError, match=r"the image holds floats from 0 to \d+"):
        fitted.predict_all_to_array(Floats(255), 0, 0)
    with pytest.raises(DataError, match=said):
        build(tmp_path / "plain").fit(Floats(255))
    scores = fitted.predict_all_to_array(Floats(1), 0, 0, limit=2)
    assert np.allclose(scores, fitted.predict_all_to_array(toy.Drawn(2), 0, 0), atol=1e-2)
    given = build(tmp_path / "given", normalize={"mean": [128], "std": [64]}, folds_count=1)
    assert given.fit(Floats(255))["completed"]
    assert given.predict_all_to_array(Floats(255), 0, 0, limit=1).shape == (1, 40, 48, 1)


# -------------------------------------------------------------------------------------------------------------- calls


def test_more_than_data_in_order_without_a_stage_is_refused(fitted: musket.Experiment) -> None:
    found: list[Any] = []

    def note(name: str, scores: Any, data: Any) -> None:
        found.append((name, data))

    with pytest.raises(MusketError, match=r"all else by name, as limit=2; found 2 behind them"):
        fitted.predict_in_dataset(toy.Drawn(3), [0, 1], note, "mine", 2)
    fitted.predict_in_dataset(toy.Drawn(3), [0, 1], note, "mine", limit=2)
    assert found == [("disc-00", "mine"), ("disc-01", "mine")]


def test_figures_that_are_not_logged(fitted: musket.Experiment, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"'foo' is not logged; there are .*val_dice"):
        fitted.info("foo")
    assert len(fitted.info("loss")) == 2
    assert build(tmp_path).info("foo") == []
