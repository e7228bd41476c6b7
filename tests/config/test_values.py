from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from musket.config.schema import DIALECTS, ExperimentSpec, SegmentationSpec, StageSpec
from musket.config.values import (
    Call,
    Declared,
    FinalMetric,
    Part,
    Portions,
    read_dataset,
    read_parts,
    show_parts,
)

MINIMUM = {"architecture": "Unet", "classes": 1, "stages": [{"epochs": 1}]}


def spec(**changes: Any) -> SegmentationSpec:
    return SegmentationSpec.model_validate({**MINIMUM, **changes})


def test_defaults_are_those_of_the_documentation() -> None:
    # experiment-yaml.md, sections 2 to 5; where documentation and former code disagree (section 10), the documentation
    found = spec()
    expected = {
        "batch": 16,
        "optimizer": "Adam",
        "lr": None,
        "metrics": (),
        "primary_metric": "val_binary_accuracy",
        "primary_metric_mode": "auto",
        "random_state": 33,
        "verbose": 1,
        "gpus": 1,
        "max_evals": 200,
        "inference_batch": 32,
        "separatePredictions": True,
        "folds_count": 5,
        "validationSplit": 0.2,
        "testSplit": 0,
        "testSplitSeed": 123,
        "stratified": False,
        "copyWeights": False,
        "encoder_weights": "imagenet",
        "compressPredictionsAsInts": True,
        "freeze_encoder": False,
        "unfreeze_encoder": None,
    }
    assert {key: getattr(found, key) for key in expected} == expected
    stage = found.stages[0]
    assert (stage.negatives, stage.validation_negatives, stage.callbacks, stage.logAll) == ("real", None, None, False)
    assert DIALECTS["InstanceSegmentation"].model_fields["folds_count"].default == 1


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("batch", "32", 32),
        ("batch", 32.0, 32),
        ("lr", "1e-3", 0.001),
        ("lr", 1, 1.0),
        ("stratified", "on", True),
        ("stratified", "No", False),
        ("verbose", True, 1),
        ("metrics", "dice", ("dice",)),
        ("metrics", ["dice", "iou"], ("dice", "iou")),
        ("metrics", None, ()),
        ("encoder_weights", None, None),
        ("encoder_weights", "none", None),
        ("shape", [64, "32", 4], (64, 32, 4)),
        ("callbacks", None, ()),
        ("augmentation", {"Fliplr": 0.5}, (Part("Fliplr", {}, (0.5,)),)),
        ("final_metrics", ["a", {"b": {"for_validation": True}}], (FinalMetric("a"), FinalMetric("b", True))),
        ("final_metrics", "a", (FinalMetric("a"),)),
        ("testTimeAugmentation", "Horizontal", "Horizontal"),
        ("testTimeAugmentation", True, True),
    ],
)
def test_values_are_read(key: str, value: object, read: object) -> None:
    found = getattr(spec(**{key: value}), key)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch", True),
        ("batch", 3.5),
        ("batch", 0),
        ("batch", 10**9),
        ("batch", None),
        ("batch", "many"),
        ("batch", [1]),
        ("batch", float("inf")),
        ("batch", 10**400),
        ("lr", 0),
        ("lr", -1),
        ("lr", True),
        ("lr", "nan"),
        ("lr", "inf"),
        ("lr", 101),
        ("lr", 10**400),
        ("optimizer", 3),
        ("optimizer", ""),
        ("metrics", {"dice": 1}),
        ("metrics", ["dice", 3]),
        ("primary_metric_mode", "lowest"),
        ("stratified", 1),
        ("stratified", "perhaps"),
        ("testSplit", 1),
        ("testSplit", -0.1),
        ("validationSplit", 0),
        ("folds_count", 0),
        ("random_state", -1),
        ("random_state", 2**32),
        ("verbose", 3),
        ("gpus", 0),
        ("shape", [64, 64]),
        ("shape", [64, 64, 0]),
        ("shape", "64x64x3"),
        ("shape", [64, 64.5, 3]),
        ("classes", []),
        ("classes", [1, 0]),
        ("activation", None),
        ("callbacks", 3),
        ("callbacks", [3]),
        ("callbacks", [{"a": 1, "b": 2}]),
        ("dataset", {"f": [], "g": []}),
        ("dataset", {}),
        ("dataset", 3),
        ("datasets", {"x": "name"}),
        ("datasets", {"x": {"f": [], "g": []}}),
        ("datasets", []),
        ("stages", []),
        ("stages", {"epochs": 1}),
        ("stages", [{"epochs": 0}]),
        ("stages", [{}]),
        ("stages", [3]),
        ("final_metrics", [{"a": {"often": True}}]),
        ("final_metrics", [{"a": 3}]),
        ("final_metrics", 3),
        ("hyperparameters", []),
        ("nothing_like_this", 1),
    ],
)
def test_values_are_never_bent(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        spec(**{key: value})


@pytest.mark.parametrize(
    ("value", "read"),
    [("none", "none"), ("real", "real"), ("all", "real"), (0, 0), (3, 3), ("2", 2), (0.5, 0.5)],
)
def test_negatives(value: object, read: object) -> None:
    assert StageSpec.model_validate({"epochs": 1, "negatives": value}).negatives == read


@pytest.mark.parametrize("value", ["some", -1, True, [1], "nan", None])
def test_negatives_that_mean_nothing(value: object) -> None:
    with pytest.raises(ValidationError):
        StageSpec.model_validate({"epochs": 1, "negatives": value})


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        ({"A": None}, (Part("A"),)),
        ({"A": 0.5}, (Part("A", {}, (0.5,)),)),
        ({"A": {"x": 1}, "B": [1, 2]}, (Part("A", {"x": 1}), Part("B", {}, ([1, 2],)))),
        (["A", {"A": {"x": 1}}], (Part("A"), Part("A", {"x": 1}))),
    ],
)
def test_parts_and_back(form: object, parts: tuple[Part, ...]) -> None:
    assert read_parts(form) == parts
    assert read_parts(show_parts(parts)) == parts


@pytest.mark.parametrize(
    ("form", "dataset"),
    [
        ("name", "name"),
        ({"f": None}, Call("f")),
        ({"f": []}, Call("f")),
        ({"f": ["a", 2]}, Call("f", ("a", 2))),
        ({"f": {"path": "a"}}, Call("f", (), {"path": "a"})),
        ({"f": "a"}, Call("f", ("a",))),
        ({"train": {"f": []}, "validation": {"g": [1]}}, Portions((Call("f"),), (Call("g", (1,)),))),
        ({"train": {"f": [], "g": []}}, Portions((Call("f"), Call("g")))),
        ({"input_path": "a", "output_path": "b"}, Declared({"input_path": "a", "output_path": "b"})),
        (["ds_1", "ds_2"], Declared(["ds_1", "ds_2"])),
    ],
)
def test_forms_of_datasets_and_back(form: object, dataset: object) -> None:
    assert read_dataset(form) == dataset
    if not isinstance(dataset, str):
        assert read_dataset(dataset.show()) == dataset  # type: ignore[attr-defined]


def test_specs_are_frozen_and_compare_by_content() -> None:
    assert spec() == spec()
    assert spec() != spec(batch=3)
    with pytest.raises(ValidationError):
        spec().batch = 3  # type: ignore[misc]
    assert isinstance(spec(), ExperimentSpec)
    assert spec().place("batch").line == 0


def test_classification_and_instances() -> None:
    heads = {"architecture": "resnet34", "classes": [4, 4], "activation": ["softmax", "softmax"], "loss": ["a", "b"]}
    found = DIALECTS["Classification"].model_validate({**heads, "stages": [{"epochs": 1}], "pooling": "avg"})
    assert found.dump()["classes"] == [4, 4]
    assert found.dump()["loss"] == ["a", "b"]
    instances = {"configPath": "x.py", "classes": 1, "stages": [{"epochs": 1}]}
    model = DIALECTS["InstanceSegmentation"]
    assert model.model_validate({**instances, "shape": [800, 1333, 3]}).dump()["shape"] == [[800, 1333]]
    assert model.model_validate({**instances, "shape": [[8, 9], [10, 11]]}).dump()["shape"] == [[8, 9], [10, 11]]
    with pytest.raises(ValidationError):
        model.model_validate({**instances, "shape": [8]})
