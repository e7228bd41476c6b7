"""What classes and scaled numbers stand for stays with the weights: other data are refused, whatever the way in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import toy_labels
import yaml

import musket
from musket.artifacts import checkpoint
from musket.core.errors import ConfigChanged, DataError, TrainingError
from musket.data.dataset import CompositeDataSet
from musket.data.label_tables import MultiOutputClassClassificationDataSet
from musket.experiment.label_meaning import difference, labels_fingerprint, number_scales

SHORT = {"augmentation": {}, "stages": [{"epochs": 1}]}


class Renamed(toy_labels.Thirds):
    """The discs, under other names or with classes moved on by some."""

    def __init__(self, classes: tuple[str, ...] = ("left", "middle", "right"), shift: int = 0):
        super().__init__(20, "index")
        self.classes = classes  # type: ignore[assignment]
        self.shift = shift

    def get_target(self, index: int) -> int:
        return (index + self.shift) % 3


ROTATED = ("a right", "left", "middle")


def fitted(folder: Path, **asked: Any) -> musket.Experiment:
    cfg = toy_labels.experiment(folder, **SHORT)
    cfg.fit(Renamed(), **asked)
    return cfg


def again(folder: Path, dataset: Any, **changes: Any) -> musket.Experiment:
    cfg = toy_labels.experiment(folder, **{**SHORT, **changes})
    cfg._prepare(dataset)
    return cfg


def test_names_are_kept_with_weights_and_run(tmp_path: Path) -> None:
    cfg = fitted(tmp_path)
    names = [["left", "middle", "right"]]
    assert checkpoint.read_metadata(cfg.layout.weights(1, 0))["labels"] == {"class_names": names}
    data = yaml.safe_load(cfg.layout.run_record.read_text())["data"]
    assert data["class_names"] == names
    assert len(data["labels"]) == 32


SAID = "classes were left, middle, right, and are a right, left, middle"


def test_renamed_classes_end_a_resume_even_when_changes_are_accepted(tmp_path: Path) -> None:
    fitted(tmp_path)
    cfg = toy_labels.experiment(tmp_path, **{**SHORT, "stages": [{"epochs": 2}]})
    for accept in (False, True):
        cfg.setAllowResume(True, accept_changes=accept)
        with pytest.raises(TrainingError, match=SAID):
            cfg.fit(Renamed(ROTATED, 1))


def test_renamed_classes_end_a_fit_of_further_folds(tmp_path: Path) -> None:
    fitted(tmp_path, foldsToExecute=[0])
    with pytest.raises(TrainingError, match=SAID):
        toy_labels.experiment(tmp_path, **SHORT).fit(Renamed(ROTATED, 1), foldsToExecute=[1])
    toy_labels.experiment(tmp_path, **SHORT).fit(Renamed(ROTATED, 1), rerun=True)  # afresh anything goes


def test_other_labels_under_the_same_names_are_a_change_that_may_be_accepted(tmp_path: Path) -> None:
    fitted(tmp_path)
    cfg = toy_labels.experiment(tmp_path, **{**SHORT, "stages": [{"epochs": 2}]})
    cfg.setAllowResume(True)
    with pytest.raises(ConfigChanged, match="labels"):
        cfg.fit(Renamed(shift=1))
    cfg.setAllowResume(True, accept_changes=True)
    assert cfg.fit(Renamed(shift=1))["folds"] == [0, 1]


def test_renamed_classes_are_not_judged(tmp_path: Path) -> None:
    fitted(tmp_path)
    with pytest.raises(DataError, match=SAID):
        again(tmp_path, Renamed(ROTATED, 1)).createSummary()
    assert again(tmp_path, Renamed()).createSummary()["folds"] == [0, 1]


def test_older_runs_and_weights_without_names_stay_usable(tmp_path: Path) -> None:
    cfg = fitted(tmp_path)
    for fold in (0, 1):
        path = cfg.layout.weights(fold, 0)
        weights, metadata = checkpoint.load_weights(path)
        checkpoint.save_weights(path, weights, {key: metadata[key] for key in metadata if key != "labels"})
    run = yaml.safe_load(cfg.layout.run_record.read_text())
    run["data"] = {key: run["data"][key] for key in ("samples", "fingerprint")}
    cfg.layout.run_record.write_text(yaml.safe_dump(run))
    assert again(tmp_path, Renamed(ROTATED)).createSummary()["folds"] == [0, 1]
    longer = toy_labels.experiment(tmp_path, **{**SHORT, "stages": [{"epochs": 2}]})
    longer.setAllowResume(True)
    assert longer.fit(Renamed(ROTATED))["folds"] == [0, 1]


def test_a_digest_of_labels_goes_by_sample_and_value() -> None:
    class Told:
        def __init__(self, *targets: Any):
            self.told = targets

        def __len__(self) -> int:
            return len(self.told)

        def get_target(self, index: int) -> Any:
            return self.told[index]

    ids = ["a", "b"]
    digest = labels_fingerprint(Told(0, 1), ids)
    assert digest == labels_fingerprint(Told(True, 0.0), ids[::-1])
    assert digest != labels_fingerprint(Told(1, 0), ids)
    assert labels_fingerprint(Told([0, 1], 2), ids) != labels_fingerprint(Told(0, [1, 2]), ids)
    assert labels_fingerprint(CompositeDataSet([Told(0), Told(1)]), ids) == digest
    assert labels_fingerprint([1, 2], ids) is None  # would have to be read


def test_differences_are_said_of_many_classes_from_where_they_begin() -> None:
    names = [f"class {number}" for number in range(1000)]
    other = [*names[:500], "new", *names[500:]]
    said = difference({"class_names": [["x"], names]}, {"class_names": [["x"], other]})
    assert said == (
        "the classes of head 1 were 1000, from number 500 on class 500, class 501, class 502, ..., "
        "and are 1001, from number 500 on new, class 500, class 501, ..."
    )
    assert not difference({"class_names": [[], names]}, {"class_names": [["x"], names]})  # as far as both are known


# ----------------------------------------------------------------------------------------------------- scaled numbers

NUMBERS = {"classes": 1, "activation": "sigmoid", "loss": "mse", "metrics": ["mae"], "primary_metric": "val_loss"}


def priced(folder: Path, prices: list[float]) -> Any:
    """A table of pictures and prices, which are scaled to 0..1."""
    folder.mkdir(parents=True)
    for number in range(len(prices)):
        cv2.imwrite(str(folder / f"{number}.png"), toy_labels.draw(number))
    table = pd.DataFrame({"image": [f"{number}.png" for number in range(len(prices))], "price": prices})
    return MultiOutputClassClassificationDataSet(folder, table, "image", {"price": "normalized_number"})


def test_scaled_numbers_of_parts_must_be_scaled_alike(tmp_path: Path) -> None:
    whole = priced(tmp_path / "a", [2.0, 4.0, 10.0])
    assert number_scales(whole) == {"price": [2.0, 8.0]}
    with pytest.raises(DataError, match=r"'price' differently, from (2 to 10|0 to 4) and from"):
        number_scales(CompositeDataSet([whole, priced(tmp_path / "b", [0.0, 4.0])]))


def test_scaled_numbers_of_another_range_are_written_by_the_range_trained_on_and_not_judged(tmp_path: Path) -> None:
    cfg = toy_labels.experiment(tmp_path / "exp", **SHORT, **NUMBERS)
    cfg.fit(priced(tmp_path / "a", [float(number) for number in range(20)]))
    test = priced(tmp_path / "test", [0.0, 1.0, 0.5])
    scores = cfg.predict_all_to_array(test, stage=-1)
    np.testing.assert_allclose(cfg.submit(test, tmp_path / "x.csv")["price"], scores[:, 0] * 19, rtol=1e-5)
    other = again(tmp_path / "exp", priced(tmp_path / "b", [float(number) for number in range(1, 21)]), **NUMBERS)
    with pytest.raises(DataError, match="'price' went from 0 to 19, and goes from 1 to 20"):
        other.createSummary()
    with pytest.raises(DataError, match="'price' went from 0 to 19, and goes from 1 to 20"):
        other.submit(tmp_path / "test", tmp_path / "x.csv")
