from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from musket.config.check import Vocabulary
from musket.config.export import field_docs, json_schema
from musket.config.read import parse, read
from musket.config.schema import DIALECTS, StageSpec
from musket.config.tree import plain
from musket.core.errors import ConfigError
from musket.experiment.vocabulary import vocabulary

ROOT = Path(__file__).parents[2]
YAMLS = (path for folder in ("examples", "docs") for path in (ROOT / folder).rglob("*.yaml"))
CONFIGS = sorted(path for path in YAMLS if path.name != "common.yaml")
MINIMUM = "architecture: Unet\nbackbone: resnet34\nclasses: 1\nloss: binary_crossentropy\nstages: [{epochs: 2}]\n"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema(vocabulary())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def wrong(validator: jsonschema.Draft202012Validator, text: str) -> list[str]:
    return [".".join(map(str, error.absolute_path)) for error in validator.iter_errors(plain(parse(text).root))]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_config_we_ship_is_valid(path: Path, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(plain(read(path).root))


@pytest.mark.parametrize(
    "text",
    [
        "callbacks: {EarlyStopping: {patience: 3}, ReduceLROnPlateau: {factor: 0.5}}",
        "callbacks: [{EarlyStopping: {patience: 3}}, TerminateOnNaN]",
        "callbacks: {MyOwn: {anything: 1}}",
        "callbacks:",
        "augmentation: {Fliplr: 0.5, Flipud: {p: 0.5}, Rotate90: true}",
        "decoder_filters: [8, 8]",
        "metrics: dice",
        "metrics: [dice, my_own]",
        "primary_metric: val_my_own",
        "loss: binary_crossentropy+0.1*dice_loss",
        "architecture: MyUnet",
        "encoder_weights: null",
        "negatives_are: none",
        "dataset: {getTrain: []}",
        "dataset: ds_1",
        "datasets: {ds_1: {getTrain: [1]}}",
        "stages: [{epochs: 1, negatives: none, validation_negatives: 2, callbacks: {CyclicLR: {base_lr: 0.1}}}]",
        "verbose: 0",
        "saveLast: true",
        "fit_with: ds_1",
    ],
)
def test_valid(text: str, validator: jsonschema.Draft202012Validator) -> None:
    key = text.partition(":")[0]
    base = "\n".join(line for line in MINIMUM.splitlines() if not line.startswith(f"{key}:"))
    assert wrong(validator, f"{base}\n{text}") == ([""] if key == "negatives_are" else [])


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("batch: 0", "batch"),
        ("batch: 1.5", "batch"),
        ("batch: many", "batch"),
        ("lr: 0", "lr"),
        ("lr: [1]", "lr"),
        ("optimizer: Adamm", "optimizer"),
        ("stages: []", "stages"),
        ("stages: [{lr: 1}]", "stages.0"),
        ("stages: [{epochs: 1, lrr: 1}]", "stages.0"),
        ("stages: [{epochs: 0}]", "stages.0.epochs"),
        ("primary_metric_mode: lowest", "primary_metric_mode"),
        ("stratified: 3", "stratified"),
        ("shape: 64", "shape"),
        ("callbacks: 3", "callbacks"),
        ("callbacks: {EarlyStopping: {patience: x}}", "callbacks"),
        ("callbacks: {EarlyStopping: {patince: 1}}", "callbacks"),
        ("augmentation: {Fliplr: x}", "augmentation"),
        ("metrics: [3]", "metrics"),
        ("testSplit: 1", "testSplit"),
        ("encoder_wieghts: null", ""),
        ("decoder_filters: x", "decoder_filters"),
        ("groups: 3", ""),
    ],
)
def test_invalid(text: str, at: str, validator: jsonschema.Draft202012Validator) -> None:
    key = text.partition(":")[0]
    base = "\n".join(line for line in MINIMUM.splitlines() if not line.startswith(f"{key}:"))
    assert at in wrong(validator, f"{base}\n{text}")


@pytest.mark.parametrize("key", ["architecture", "classes", "stages"])
def test_what_is_missing_is_told(key: str, validator: jsonschema.Draft202012Validator) -> None:
    assert wrong(validator, "\n".join(line for line in MINIMUM.splitlines() if not line.startswith(key)))


def test_names_come_from_the_registries(words: Vocabulary) -> None:
    properties = json_schema(words)["properties"]
    assert properties["optimizer"]["enum"] == ["Adam", "SGD"]
    assert {"enum": ["own_net", "Unet", "unet-old"]} in properties["architecture"]["anyOf"]
    assert {"enum": ["binary_crossentropy", "dice_loss", "lovasz_loss"]} in properties["loss"]["anyOf"]
    assert properties["decoder_filters"] == {
        "type": "array",
        "items": {"type": "integer"},
        "default": [256, 128],
        "description": "Option of Unet.",
    }
    assert properties["width"]["type"] == "integer"


def test_every_key_of_every_dialect_is_described(words: Vocabulary) -> None:
    schema = json_schema(words)
    described: dict[str, Any] = schema["properties"] | schema["$defs"]["stage"]["properties"]
    assert all(own.get("description") for own in described.values())
    for model in (*DIALECTS.values(), StageSpec):
        docs = field_docs(model)
        for field in model.model_fields:
            assert docs[field].endswith((".", "].")), f"{model.__name__}.{field} has no sentence below it"


def test_bounds_are_json_schema_words(words: Vocabulary) -> None:
    properties = json_schema(words)["properties"]
    assert (properties["batch"]["minimum"], properties["batch"]["maximum"]) == (1, 65_536)
    assert {"type": "number", "exclusiveMinimum": 0, "maximum": 100} in properties["lr"]["anyOf"]


def test_the_schema_and_the_check_agree_on_unknown_keys(words: Vocabulary) -> None:
    from musket.config.check import check_text

    with pytest.raises(ConfigError, match="no such"):
        check_text(MINIMUM + "nonsense: 1", vocabulary=words)
    schema = json_schema(words)
    assert not jsonschema.Draft202012Validator(schema).is_valid(plain(parse(MINIMUM + "nonsense: 1").root))
    assert jsonschema.Draft202012Validator(schema).is_valid(plain(parse(MINIMUM).root))
