"""What fit leaves behind and what can be asked of it afterwards."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
import yaml

import musket
from musket.artifacts.checkpoint import load_weights
from musket.core.errors import AlreadyFinished, ConfigError, DataError


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> musket.Experiment:
    """Three stages, five folds (the default), holdout."""
    cfg = toy.experiment(
        tmp_path_factory.mktemp("fitted"),
        folds_count=5,
        testSplit=0.4,
        batch=2,
        stages=[{"epochs": 3}, {"epochs": 1, "lr": 0.0005}, {"epochs": 2, "loss": "binary_crossentropy"}],
    )
    cfg.fit(toy.Drawn(20))
    return cfg


def test_s8_five_folds_leave_five_weights(fitted: musket.Experiment) -> None:
    assert all((fitted.layout.folder / "weights" / f"best-{fold}.0.weights").exists() for fold in range(5))


def test_s9_results_lie_beside_the_config(fitted: musket.Experiment) -> None:
    folder = fitted.layout.folder
    assert {"weights", "metrics", "examples", "summary.yaml", "config.yaml"} <= {path.name for path in folder.iterdir()}
    assert not (folder / "inProgress.yaml").exists()


def test_s11_example_pictures_have_three_columns(fitted: musket.Experiment) -> None:
    import cv2

    picture = cv2.imread(str(fitted.layout.folder / "examples" / "0" / "0" / "t_epoch_0.0.jpg"))
    assert picture is not None
    height, width = picture.shape[:2]
    assert width > height or width >= 3 * 32


def test_s13_metrics_and_their_val_twins_are_logged(fitted: musket.Experiment) -> None:
    found = rows(fitted.layout.metrics(0, 0))
    assert next(iter(found[0])) == "epoch"
    assert {"binary_accuracy", "dice", "loss", "lr", "val_binary_accuracy", "val_dice", "val_loss"} <= set(found[0])
    assert list(found[0])[1:] == sorted(list(found[0])[1:])
    assert [row["epoch"] for row in found] == ["0", "1", "2"]


def test_s13_holdout_is_in_no_fold(fitted: musket.Experiment) -> None:
    holdout = {item.id for item in items(fitted.holdout(toy.Drawn(20)))}
    assert len(holdout) == 8
    for fold in range(5):
        train = {item.id for item in items(fitted.train(toy.Drawn(20), fold))}
        validation = {item.id for item in items(fitted.validation(toy.Drawn(20), fold))}
        assert not holdout & (train | validation)
        assert not train & validation
        assert len(train | validation) == 12


def items(dataset: Any) -> list[musket.PredictionItem]:
    return [dataset[index] for index in range(len(dataset))]


def test_s14_stored_weights_are_those_of_the_best_epoch(fitted: musket.Experiment) -> None:
    found = rows(fitted.layout.metrics(2, 0))
    best = max(range(len(found)), key=lambda epoch: float(found[epoch]["val_dice"]))
    _, metadata = load_weights(fitted.layout.weights(2, 0))
    assert metadata["epoch"] == best
    assert metadata["val_dice"] == float(found[best]["val_dice"])


def test_s16_parts_of_a_composite_loss_are_logged(fitted: musket.Experiment) -> None:
    row = rows(fitted.layout.metrics(0, 0))[0]
    whole = float(row["binary_crossentropy"]) + 0.5 * float(row["dice_loss"])
    assert float(row["loss"]) == pytest.approx(whole, rel=1e-6)
    assert float(row["val_loss"]) == pytest.approx(
        float(row["val_binary_crossentropy"]) + 0.5 * float(row["val_dice_loss"]), rel=1e-6
    )


def test_s28_every_stage_has_its_files_and_rate(fitted: musket.Experiment) -> None:
    for stage, epochs in enumerate((3, 1, 2)):
        assert len(rows(fitted.layout.metrics(1, stage))) == epochs
        assert fitted.layout.weights(1, stage).exists()
    assert {row["lr"] for row in rows(fitted.layout.metrics(1, 1))} == {"0.0005"}
    assert "dice_loss" not in rows(fitted.layout.metrics(1, 2))[0]


def test_s28_a_stage_starts_from_the_best_weights_of_the_one_before(tmp_path: Path) -> None:
    started: list[dict[str, torch.Tensor]] = []

    @musket.callback
    class LookAtStart(musket.Hook):
        def on_batch_start(self, run: Any) -> None:
            if run.step == 0:
                started.append({name: value.clone() for name, value in run.model.state_dict().items()})

    # A rate this large makes later epochs worse, so best and last differ.
    cfg = toy.experiment(
        tmp_path, folds_count=1, lr=0.5, stages=[{"epochs": 4}, {"epochs": 1}], callbacks={"LookAtStart": {}}
    )
    cfg.fit(toy.Drawn())
    best, metadata = load_weights(cfg.layout.weights(0, 0))
    assert all(torch.equal(started[1][name], best[name]) for name in best)
    assert metadata["stage"] == 0


def test_s36_predict_in_directory_calls_once_per_file_at_original_size(
    fitted: musket.Experiment, tmp_path: Path
) -> None:
    images, _ = toy.write_discs(tmp_path, 3)
    seen: list[tuple[str, tuple[int, ...], Any]] = []

    def on_predict(name: str, found: Any, data: Any) -> None:
        assert found.arr.dtype == np.float32
        assert 0 <= found.arr.min() <= found.arr.max() <= 1
        seen.append((name, found.arr.shape, data))

    marker = {"passed": "through"}
    fitted.predict_in_directory(images, 0, 0, on_predict, marker)
    assert [(name, shape) for name, shape, _ in seen] == [(f"disc-{index:02}.jpg", (40, 48, 1)) for index in range(3)]
    assert all(data is marker for _, _, data in seen)


def test_s38_folds_are_averaged_and_the_stage_may_be_left_out(fitted: musket.Experiment, tmp_path: Path) -> None:
    images, _ = toy.write_discs(tmp_path, 2)

    def predicted(*where: Any) -> np.ndarray:
        found: list[np.ndarray] = []
        fitted.predict_in_directory(images, *where, lambda name, one, data: data.append(one.arr), found)
        return np.stack(found)

    single = [predicted(fold, -1) for fold in range(5)]
    np.testing.assert_allclose(predicted([0, 1, 2, 3, 4]), np.mean(single, axis=0), atol=1e-6)


def test_s40_evaluate_all_sees_the_whole_validation_part_once(fitted: musket.Experiment) -> None:
    dataset = toy.Drawn(20)
    wanted = {item.id for item in items(fitted.validation(dataset, 2))}
    seen: list[str] = []
    for batch in fitted.evaluateAll(dataset, 2):
        for index, sample in enumerate(batch.data):
            assert batch.predicted_maps_aug[index].arr.shape == (40, 48, 1)
            assert batch.segmentation_maps[index].arr.sum() > 0
            seen.append(sample)
    assert sorted(seen) == sorted(wanted)


def test_s42_load_model_predicts_and_lists_make_an_ensemble(fitted: musket.Experiment) -> None:
    images = np.stack([toy.draw_disc(seed)[0] for seed in range(3)])
    one, other, both = (fitted.load_model(fold, 2) for fold in (0, 1, [0, 1]))
    assert one.predict(images).shape == (3, 40, 48, 1)
    np.testing.assert_allclose(both.predict(images), (one.predict(images) + other.predict(images)) / 2, atol=1e-6)


def test_s57_info_has_a_record_per_fold_and_stage(fitted: musket.Experiment) -> None:
    found = fitted.info()
    assert [(record["fold"], record["stage"]) for record in found] == [(f, s) for f in range(5) for s in range(3)]
    for record in found:
        logged = [float(row["val_dice"]) for row in rows(fitted.layout.metrics(record["fold"], record["stage"]))]
        assert record["best"] == max(logged)
    losses = fitted.info("val_loss")
    assert losses[0]["best"] == min(float(row["val_loss"]) for row in rows(fitted.layout.metrics(0, 0)))


def test_summary_has_statistics_over_folds_and_the_holdout(fitted: musket.Experiment) -> None:
    summary = yaml.safe_load(fitted.layout.summary.read_text())
    assert summary["completed"] is True
    assert summary["folds"] == [0, 1, 2, 3, 4]
    assert len(summary["stages"]) == 3
    block = summary["allStages"]
    assert set(block) == {"binary_accuracy", "binary_accuracy_holdout", "dice", "dice_holdout"}
    assert set(block["dice"]) == {"mean", "max", "min", "std"}
    assert block["dice"]["min"] <= block["dice"]["mean"] <= block["dice"]["max"]


def test_holdout_score_is_that_of_the_mean_prediction(fitted: musket.Experiment) -> None:
    """Dice of the folds' mean at 0.5, pooled over the holdout, worked out with numpy alone."""
    dataset = toy.Drawn(20)
    holdout = items(fitted.holdout(dataset))
    scores = fitted.load_model(None, 1).predict([item.x for item in holdout])
    truth = np.stack([item.y for item in holdout])
    found = np.stack(scores) > 0.5
    dice = 2 * (truth & found).sum() / (truth.sum() + found.sum())
    summary = yaml.safe_load(fitted.layout.summary.read_text())
    assert summary["stages"][1]["dice_holdout"] == pytest.approx(dice, abs=1e-6)


def test_x2_a_copied_folder_stays_readable(fitted: musket.Experiment, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "elsewhere"
    shutil.copytree(fitted.layout.folder, folder)
    moved = musket.parse(folder / "config.yaml", folds_count=5)
    assert moved.info()[0]["best"] == fitted.info()[0]["best"]
    images = np.stack([toy.draw_disc(1)[0]])
    assert moved.load_model(0, 0).predict(images).shape == (1, 40, 48, 1)


def test_x6_a_finished_experiment_refuses_fit(fitted: musket.Experiment) -> None:
    with pytest.raises(AlreadyFinished, match="already finished"):
        fitted.fit(toy.Drawn(20))


def test_x1_same_config_data_and_seed_give_the_same_run(tmp_path: Path) -> None:
    for name in ("a", "b"):
        toy.experiment(tmp_path / name, folds_count=1).fit(toy.Drawn())
    for file in ("weights/best-0.0.weights", "metrics/metrics-0.0.csv", "config.yaml.folds_split", "summary.yaml"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_s10_two_configs_share_their_splits(tmp_path: Path) -> None:
    toy.experiment(tmp_path / "a").fit(toy.Drawn(), foldsToExecute=[0])
    toy.experiment(tmp_path / "b", lr=0.2, batch=2).fit(toy.Drawn(), foldsToExecute=[0])
    for suffix in ("folds_split", "holdout_split"):
        files = [tmp_path / name / f"config.yaml.{suffix}" for name in ("a", "b")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_s6_five_line_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.write_discs(tmp_path, 14)
    (tmp_path / "config.yaml").write_text(toy.CONFIG)
    toy.register_small_net()
    monkeypatch.chdir(tmp_path)
    # The README's program, unchanged but for the folders.
    from segmentation_pipeline import segmentation
    from segmentation_pipeline.impl.datasets import SimplePNGMaskDataSet

    ds = SimplePNGMaskDataSet("images", "masks")
    cfg = segmentation.parse("config.yaml")
    cfg.fit(ds)

    assert (tmp_path / "summary.yaml").exists()


def test_s20_scalar_is_the_first_argument(tmp_path: Path) -> None:
    """Fliplr: 0.5 flips about half of the samples (400 draws; the bound is five deviations)."""
    from musket.experiment.reading import evaluation_maker, training_maker

    spec = toy.experiment(tmp_path, augmentation={"Fliplr": 0.5}).spec
    dataset = toy.Drawn()
    make = training_maker(spec, dataset, dataset.sample_ids(), 0, [tmp_path])
    plain = evaluation_maker(spec, dataset, dataset.sample_ids())(3, None)
    flipped = 0
    for epoch in range(400):
        sample = make(3, epoch)
        mirrored = np.array_equal(sample.image, plain.image[:, ::-1])
        assert mirrored or np.array_equal(sample.image, plain.image)
        assert sample.target is not None
        assert plain.target is not None
        assert np.array_equal(sample.target, plain.target[:, ::-1] if mirrored else plain.target)
        flipped += mirrored
    assert abs(flipped - 200) < 5 * 10


def test_s50_a_users_loss_and_metric_are_nameable_and_see_predictions(tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []

    def my_loss(truth: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        seen.append((float(prediction.detach().min()), float(prediction.detach().max())))
        return ((truth - prediction) ** 2).mean()

    def my_metric(truth: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        return (truth - prediction).abs().mean()

    musket.custom_objects["my_loss"] = my_loss
    musket.custom_objects["my_metric"] = my_metric
    cfg = toy.experiment(
        tmp_path,
        folds_count=1,
        loss="my_loss",
        metrics=["my_metric"],
        primary_metric="val_my_metric",
        primary_metric_mode="min",
    )
    cfg.fit(toy.Drawn())
    assert all(0 <= low <= high <= 1 for low, high in seen)
    row = rows(cfg.layout.metrics(0, 0))[0]
    assert {"my_metric", "val_my_metric"} <= set(row)
    assert "my_metric" in yaml.safe_load(cfg.layout.summary.read_text())["allStages"]


def test_an_unknown_primary_metric_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="primary_metric"):
        toy.experiment(tmp_path, primary_metric="val_f_measure")


def test_fit_without_a_dataset_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset"):
        toy.experiment(tmp_path).fit()


def test_predict_to_directory_writes_a_file_per_image(fitted: musket.Experiment, tmp_path: Path) -> None:
    import cv2

    images, _ = toy.write_discs(tmp_path, 2)
    fitted.predict_to_directory(images, tmp_path / "png", [0, 1], 0)
    fitted.predict_to_directory(images, tmp_path / "npy", [0, 1], 0, binaryArray=True)
    assert sorted(path.name for path in (tmp_path / "png").iterdir()) == ["disc-00.png", "disc-01.png"]
    picture = cv2.imread(str(tmp_path / "png" / "disc-01.png"), cv2.IMREAD_UNCHANGED)
    array = np.load(tmp_path / "npy" / "disc-01.npy")
    assert picture is not None
    assert picture.shape == (40, 48)
    assert array.shape == (40, 48, 1)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(picture, np.rint(array[..., 0] * 255).astype(np.uint8))


def test_two_images_of_one_name_are_not_written_over_each_other(fitted: musket.Experiment, tmp_path: Path) -> None:
    images, _ = toy.write_discs(tmp_path, 1)
    (images / "disc-00.png").write_bytes((images / "disc-00.jpg").read_bytes())
    with pytest.raises(musket.MusketError, match=r"disc-00\.jpg and disc-00\.png would both"):
        fitted.predict_to_directory(images, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_predict_on_directory_gives_batches(fitted: musket.Experiment, tmp_path: Path) -> None:
    images, _ = toy.write_discs(tmp_path, 3)
    batches = list(fitted.predict_on_directory(images, 0, 0, batch_size=2))
    assert [batch.data for batch in batches] == [["disc-00.jpg", "disc-01.jpg"], ["disc-02.jpg"]]
    assert batches[0].segmentation_maps_aug[0].arr.shape == (40, 48, 1)


def test_images_that_cannot_be_predicted_are_reported_after_the_others(
    fitted: musket.Experiment, tmp_path: Path
) -> None:
    images, _ = toy.write_discs(tmp_path, 3)
    (images / "disc-01.jpg").write_bytes(b"no picture")
    seen: list[str] = []
    with pytest.raises(DataError, match=r"1 of 3 images.*\n.*disc-01\.jpg"):
        fitted.predict_in_directory(images, 0, 0, lambda name, found, data: seen.append(name), None)
    assert seen == ["disc-00.jpg", "disc-02.jpg"]
