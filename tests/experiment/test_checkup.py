from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy

import musket
from musket.core.errors import ConfigError
from musket.report.check_report import CheckReport, duration

GOOD = "training would start"


class Changed(toy.Drawn):
    """The toy data with some items exchanged: values by position, or errors."""

    def __init__(self, changes: dict[int, Any], count: int = 14):
        super().__init__(count)
        self.changes = changes

    def __getitem__(self, index: int) -> musket.PredictionItem:
        change: Any = self.changes.get(index)
        if isinstance(change, Exception):
            raise change
        if index in self.changes and not isinstance(change, tuple):
            return change
        item = super().__getitem__(index)
        return item if change is None else musket.PredictionItem(item.id, *change)


def checked(folder: Path, dataset: Any, *, estimate: bool = False, **changes: Any) -> CheckReport:
    return toy.experiment(folder, **changes).check(dataset, estimate=estimate)


def disc(seed: int) -> tuple[np.ndarray, np.ndarray]:
    image, mask = toy.draw_disc(seed)
    return image, mask[..., None].astype(bool)


IMAGE, MASK = disc(100)


def test_good_data(tmp_path: Path) -> None:
    report = checked(tmp_path, toy.Drawn())
    assert report.ok
    assert (report.problems, report.warnings) == ((), ())
    assert report.data is not None
    assert (report.data.samples, report.data.usable, report.data.empty) == (14, 14, 0)
    assert report.data.sizes == ((48, 40, 14),)
    assert report.data.depths == {"uint8": 14}
    assert [channel.name for channel in report.data.channels] == ["red", "green", "blue"]
    assert report.holdout == 2
    assert [(fold.train, fold.validation, fold.steps) for fold in report.folds] == [(6, 6, (2,)), (6, 6, (2,))]
    assert str(report).endswith(GOOD)
    assert str(report).startswith(f"config ok  {tmp_path / 'config.yaml'}: segmentation, small_net, 1 class (sigmoid)")


def test_nothing_is_written(tmp_path: Path) -> None:
    checked(tmp_path, toy.Drawn(), estimate=True)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (ZeroDivisionError("my own mistake"), "item 5 of Changed cannot be read: ZeroDivisionError: my own mistake"),
        ((IMAGE, MASK[:30]), "image and mask differ in size: 48 x 40 and 48 x 30"),
        ((IMAGE, None), "there is no mask"),
        ((IMAGE[..., :2], MASK), "the image has 2 channels, shape in the config says 3"),
        ((IMAGE, np.repeat(MASK, 4, axis=2)), "the mask has 4 channels, the config says classes: 1"),
        ((IMAGE, MASK.astype(np.uint8) * 255), "other than 0 and 1 (from 0 to 255); give mask > threshold"),
        ((IMAGE, "no array"), "the mask has shape (); expected height x width x channels"),
        ("no item", "the dataset gave str in place of a PredictionItem"),
        ((None, MASK), "found NoneType; could the file be read?"),
    ],
)
def test_an_unusable_sample_is_named_and_stops_nothing(change: Any, said: str, tmp_path: Path) -> None:
    report = checked(tmp_path, Changed({5: change}))
    assert not report.ok
    [problem] = report.problems
    assert problem.message.startswith("disc-05: ")
    assert said in problem.message
    assert report.data is not None
    assert report.data.usable == 13
    assert len(report.folds) == 2


def test_samples_with_the_same_trouble_are_told_together(tmp_path: Path) -> None:
    report = checked(tmp_path, Changed({1: (IMAGE, MASK[:30]), 4: (IMAGE, MASK[:20]), 7: (IMAGE, None)}))
    sizes, no_mask = report.problems
    assert sizes.message.startswith("2 samples, the first: image and mask differ in size: 48 x 40 and 48 x 30")
    assert sizes.names == ("disc-01", "disc-04")
    assert no_mask.message.startswith("disc-07: there is no mask")


def test_no_sample_can_be_used(tmp_path: Path) -> None:
    report = checked(tmp_path, Changed(dict.fromkeys(range(14), (IMAGE, None))))
    assert [problem.message.partition(";")[0] for problem in report.problems] == [
        "14 samples: there is no mask (y is None)"
    ]
    assert "training would stop: 1 problem" in str(report)


def test_a_dataset_that_cannot_tell_its_ids(tmp_path: Path) -> None:
    class NoIds:
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> musket.PredictionItem:
            if index in (2, 4):
                raise OSError(f"disk {index} is gone")
            return musket.PredictionItem(f"s{index}", *disc(index))

    report = checked(tmp_path, NoIds())
    [problem] = report.problems
    assert problem.message.startswith("2 samples, the first: item 2 of NoIds cannot be read: OSError: disk 2 is gone")
    assert problem.names == ("item 2", "item 4")
    assert report.folds == ()


def test_an_empty_dataset(tmp_path: Path) -> None:
    [problem] = checked(tmp_path, toy.Drawn(0)).problems
    assert problem.message == "Drawn is empty; there is nothing to train on"


def test_too_few_samples_for_the_folds(tmp_path: Path) -> None:
    report = checked(tmp_path, toy.Drawn(3), folds_count=5, testSplit=0)
    assert [p.message for p in report.problems] == ["5 folds need as many samples, there are 3; lower folds_count"]


def test_fewer_samples_than_a_batch_are_told_once(tmp_path: Path) -> None:
    [problem] = checked(tmp_path, toy.Drawn(), batch=12).problems
    assert problem.message.startswith("0 iterations: fold 0 has 6 training samples, fewer than one batch of 12")
    assert problem.message.endswith("(also fold 1)")


def test_mixed_depths(tmp_path: Path) -> None:
    deep = IMAGE.astype(np.uint16) * 200
    report = checked(tmp_path, Changed({3: (deep, MASK), 9: (deep, MASK)}))
    [problem] = report.problems
    assert problem.message.startswith("the images differ in depth: 12 are uint8, 2 are uint16")
    assert problem.names == ("disc-03", "disc-09")


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    def floats(seed: int, bad: bool) -> tuple[np.ndarray, np.ndarray]:
        image = disc(seed)[0].astype(np.float32) / 255
        image[0, 0, 0] = np.nan if bad else 0
        return image, disc(seed)[1]

    report = checked(tmp_path, Changed({number: floats(number, number == 3) for number in range(14)}))
    assert [problem.message for problem in report.problems] == [
        "1 values of float32 images are nan or infinite; the loss would be too"
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda image: image.astype(np.uint16) * 4, "uint16 images are taken as 0 to 65535, these end at"),
        (lambda image: image // 8, "uint8 images are taken as 0 to 255, these end at"),
        (lambda image: image * np.array([1, 0, 1], np.uint8), "channel green: one value everywhere"),
    ],
)
def test_values_a_network_hardly_sees(change: Any, said: str, tmp_path: Path) -> None:
    changes = {number: (change(disc(number)[0]), disc(number)[1]) for number in range(14)}
    report = checked(tmp_path, Changed(changes))
    assert report.ok
    [warning] = report.warnings
    assert warning.message.startswith(said)


def test_floats_outside_0_to_1(tmp_path: Path) -> None:
    report = checked(tmp_path, Changed({5: (disc(5)[0].astype(np.float32), disc(5)[1])}))
    [problem] = report.problems
    assert problem.message.startswith("disc-05: the image holds floats from 0 to ")


def test_masks_without_objects(tmp_path: Path) -> None:
    half = {number: (disc(number)[0], np.zeros_like(MASK)) for number in range(0, 14, 2)}
    report = checked(tmp_path / "half", Changed(half))
    assert report.data is not None
    assert (report.ok, report.data.empty, report.warnings) == (True, 7, ())
    assert sum(fold.validation_filled for fold in report.folds) <= 7
    everything = {number: (disc(number)[0], np.zeros_like(MASK)) for number in range(14)}
    [warning] = checked(tmp_path / "all", Changed(everything)).warnings
    assert warning.message.startswith("all 14 masks are empty; there is nothing to learn")


def test_masks_full_of_objects(tmp_path: Path) -> None:
    everything = {number: (disc(number)[0], np.ones_like(MASK)) for number in range(14)}
    [warning] = checked(tmp_path, Changed(everything)).warnings
    assert warning.message.startswith("every pixel of every mask is object")


def classes(seed: int, shown: int) -> tuple[np.ndarray, np.ndarray]:
    """A disc of one of three classes."""
    image, mask = disc(seed)
    masks = np.zeros((*mask.shape[:2], 3), bool)
    masks[..., shown] = mask[..., 0]
    return image, masks


def test_a_class_nobody_shows_and_one_that_cannot_be_learnt(tmp_path: Path) -> None:
    changes = {number: classes(number, 1 if number == 5 else 0) for number in range(14)}
    report = checked(tmp_path, Changed(changes), classes=3, activation="sigmoid", testSplit=0)
    absent, lost = (warning.message for warning in report.warnings)
    assert absent.startswith("no mask shows class 2;")
    assert lost.startswith("class 1 occurs only in the validation part of fold ")


def test_softmax_wants_one_class_per_pixel(tmp_path: Path) -> None:
    changes = {number: classes(number, number % 3) for number in range(14)}
    options = {"classes": 3, "activation": "softmax", "loss": "categorical_crossentropy", "metrics": ["dice"]}
    [warning] = checked(tmp_path / "none", Changed(changes), **options).warnings
    assert "% of the pixels are in none" in warning.message
    both = {number: (image, masks | masks[..., [1, 2, 0]]) for number, (image, masks) in changes.items()}
    messages = [warning.message for warning in checked(tmp_path / "both", Changed(both), **options).warnings]
    assert any("pixels in several" in message for message in messages)


def test_copies_across_folds_and_holdout(tmp_path: Path) -> None:
    copies = {number: disc(0) for number in range(4)}
    report = checked(tmp_path, Changed(copies), testSplit=0)
    assert report.data is not None
    assert report.data.repeated == 3
    [warning] = report.warnings
    assert "training images of the same fold" in warning.message
    assert all(" = " in name for name in warning.names)
    held = checked(tmp_path / "held", Changed({number: disc(0) for number in range(14)}), testSplit=0.2)
    messages = [warning.message for warning in held.warnings]
    assert any(message.startswith("3 holdout images copy images of the folds") for message in messages)


def test_copies_with_another_mask(tmp_path: Path) -> None:
    image, mask = disc(0)
    report = checked(tmp_path, Changed({1: (image, ~mask)}))
    assert report.warnings[0].message == "1 image has a copy with another mask; keep the one with the right mask"
    assert report.warnings[0].names == ("disc-00 = disc-01",)


def test_negatives(tmp_path: Path) -> None:
    stages = [{"epochs": 1, "negatives": "none"}]
    [problem] = checked(tmp_path / "cannot", toy.Drawn(), stages=stages).problems
    assert "Drawn has no method isPositive(index)" in problem.message

    class Telling(Changed):
        def isPositive(self, index: int) -> bool:
            return index < 8

    report = checked(tmp_path / "can", Telling({}), stages=stages, batch=2)
    assert report.ok
    assert sum(seen for fold in report.folds for seen in fold.seen if seen is not None) <= 8
    [problem] = checked(tmp_path / "few", Telling({}), stages=stages, batch=6).problems
    assert "after negatives" in problem.message


def test_data_that_changed_since_the_splits_were_drawn(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path)
    cfg.train(toy.Drawn())
    stored = cfg.layout.folds_split.read_bytes()
    report = toy.experiment(tmp_path).check(toy.Drawn(15), estimate=False)
    [problem] = report.problems
    assert "the splits were drawn from other data: 1 sample added (disc-14)" in problem.message
    assert cfg.layout.folds_split.read_bytes() == stored


def test_weights_to_start_from(tmp_path: Path) -> None:
    [problem] = checked(tmp_path, toy.Drawn(), stages=[{"epochs": 1, "initial_weights": "absent.weights"}]).problems
    assert problem.message.endswith("absent.weights: stages[0].initial_weights: no such file")


def test_what_a_dataset_warns_of_is_in_the_report(tmp_path: Path) -> None:
    class Repeating(toy.Drawn):
        def sample_ids(self) -> list[str]:
            return ["same", "same", *(f"s{number}" for number in range(12))]

    [warning] = checked(tmp_path, Repeating()).warnings
    assert "1 of the 13 sample ids occur more than once (same)" in warning.message


def test_only_the_config_is_checked_without_a_dataset(tmp_path: Path) -> None:
    report = toy.experiment(tmp_path).check()
    assert report.ok
    assert report.data is None
    assert "only the config was checked" in str(report)


def test_a_dataset_the_config_lacks(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such entry"):
        toy.experiment(tmp_path).check("absent")


def test_the_estimate_comes_from_a_step(tmp_path: Path) -> None:
    report = checked(tmp_path, toy.Drawn(), estimate=True)
    assert report.estimate is not None
    assert report.estimate.batch == 3
    # 32 x 32 x 8 floats are kept three times at least by a convolution, batch norm and ReLU
    assert report.estimate.memory > 3 * 3 * 32 * 32 * 8 * 4
    assert 0 < report.estimate.epoch[0] <= report.estimate.epoch[1] <= report.estimate.total
    assert "memory   about" in str(report)


def test_a_step_that_fails_is_a_problem(tmp_path: Path) -> None:
    def fails(truth: Any, prediction: Any) -> Any:
        raise RuntimeError("shapes do not go together")

    loss = musket.loss(fails)
    assert loss is not None
    [problem] = checked(tmp_path, toy.Drawn(), estimate=True, loss="fails").problems
    assert problem.message.startswith("a training step fails: RuntimeError: shapes do not go together (")
    assert "test_checkup.py, line" in problem.message


def test_no_step_is_tried_on_bad_data(tmp_path: Path) -> None:
    assert checked(tmp_path, Changed({5: (IMAGE, None)}), estimate=True).estimate is None


def test_the_report_as_data(tmp_path: Path) -> None:
    data = checked(tmp_path, Changed({5: (IMAGE, None)})).as_data()
    assert data["ok"] is False
    assert data["problems"][0]["message"].startswith("disc-05: ")
    assert data["data"]["usable"] == 13
    assert data["folds"][0]["train"] == 6


def test_the_time_of_all_seeds_and_trials_is_told(tmp_path: Path) -> None:
    report = checked(tmp_path, toy.Drawn(), estimate=True, num_seeds=2)
    assert (report.trials, report.seeds) == (1, 2)
    assert report.estimate is not None
    whole = duration(2 * report.estimate.total)
    assert f"{duration(report.estimate.total)} a run, {whole} for 2 seeds if nothing stops early" in str(report)
    report = dataclasses.replace(report, trials=30)
    assert f"{duration(60 * report.estimate.total)} for 30 trials x 2 seeds if nothing" in str(report)
