"""What the documentation promises about config files alone; nothing is trained here."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from musket.config.check import check_text, unavailable
from musket.config.schema import SegmentationSpec
from musket.config.values import Part
from musket.core.errors import ConfigError
from musket.experiment.projects.project import load_spec
from musket.experiment.vocabulary import vocabulary
from musket.models.catalogue import README_BACKBONES

# The keys of the minimal config of the documentation (acceptance.md, S7): weights, callbacks and all.
MINIMAL = """\
backbone: mobilenetv2
architecture: DeepLabV3
augmentation:
  Fliplr: 0.5
  Flipud: 0.5
classes: 1
activation: sigmoid
encoder_weights: pascal_voc
shape: [320, 320, 3]
testSplit: 0.4
optimizer: Adam
batch: 16
metrics:
  - binary_accuracy
  - iou
primary_metric: val_binary_accuracy
callbacks:
  EarlyStopping:
    patience: 15
    monitor: val_binary_accuracy
    verbose: 1
  ReduceLROnPlateau:
    patience: 4
    factor: 0.5
    monitor: val_binary_accuracy
    mode: auto
    cooldown: 5
    verbose: 1
loss: binary_crossentropy
stages:
  - epochs: 100
"""
NEEDED = {
    "backbone": "resnet34",
    "architecture": "Unet",
    "classes": "1",
    "loss": "binary_crossentropy",
    "metrics": "[binary_accuracy]",
    "stages": "[{epochs: 1}]",
}


def spec(text: str) -> SegmentationSpec:
    found = check_text(text, vocabulary=vocabulary())
    assert isinstance(found, SegmentationSpec)
    return found


def with_keys(**keys: str) -> str:
    return "\n".join(f"{key}: {value}" for key, value in keys.items())


def test_s7_every_key_of_the_minimal_config_is_accepted_without_complaint() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = spec(MINIMAL)
    assert unavailable(found) == []
    assert found.notices == ()
    assert found.augmentation == (Part("Fliplr", {"p": 0.5}), Part("Flipud", {"p": 0.5}))
    assert found.callbacks[1].options == {
        "patience": 4,
        "factor": 0.5,
        "monitor": "val_binary_accuracy",
        "mode": "auto",
        "cooldown": 5,
        "verbose": 1,
    }


def test_s8_five_folds_are_the_default() -> None:
    assert spec(MINIMAL).folds_count == 5


def test_s10_seeds_of_the_splits_are_fixed() -> None:
    found = spec(MINIMAL)
    assert (found.random_state, found.testSplitSeed) == (33, 123)


@pytest.mark.parametrize("key", ["backbone", "architecture", "classes"])
def test_s18_a_required_key_that_is_missing_is_named(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        spec(with_keys(**{name: value for name, value in NEEDED.items() if name != key}))
    assert [(problem.key, problem.message.partition(";")[0]) for problem in caught.value.problems] == [(key, "missing")]


def test_s18_activation_shape_and_encoder_weights_may_be_absent() -> None:
    found = spec(with_keys(**NEEDED))
    assert found.activation == "sigmoid"
    assert found.encoder_weights == "imagenet"
    assert len(found.shape) == 3


def test_s23_s24_freezing_keys_stand_in_root_and_stage() -> None:
    found = spec(
        with_keys(**NEEDED | {"stages": "[{epochs: 1}, {epochs: 1, unfreeze_encoder: true}]", "freeze_encoder": "true"})
    )
    assert found.freeze_encoder
    assert found.stages[1].unfreeze_encoder
    assert spec(with_keys(**NEEDED, unfreeze_encoder="true")).unfreeze_encoder
    assert unavailable(found) == []


def test_s26_s27_datasets_by_function_and_by_name() -> None:
    def getTrain() -> None: ...

    text = with_keys(**NEEDED, dataset="{getTrain: []}", datasets="{test: {getTrain: []}}")
    found = check_text(text, vocabulary=vocabulary({"getTrain": getTrain}))
    assert unavailable(found) == []
    text = with_keys(**NEEDED, dataset="test", datasets="{test: {getTrain: []}}")
    assert check_text(text, vocabulary=vocabulary({"getTrain": getTrain})).dataset == "test"


def test_s28_s29_stages_with_overrides_are_accepted() -> None:
    stages = """
  - epochs: 100
    negatives: none
    validation_negatives: real
  - epochs: 100
    lr: 0.0001
  - epochs: 100
    loss: lovasz_loss
    lr: 0.00001
    initial_weights: /initial.weights
"""
    found = spec(with_keys(**NEEDED | {"stages": stages}))
    assert [(stage.lr, stage.loss, stage.negatives) for stage in found.stages] == [
        (None, None, "none"),
        (1e-4, None, "real"),
        (1e-5, "lovasz_loss", "real"),
    ]
    assert unavailable(found) == []


def test_s32_s58_schedules_stand_among_the_callbacks() -> None:
    stages = (
        "[{epochs: 1}, {epochs: 1, extra_callbacks: "
        "{CyclicLR: {base_lr: 0.00006, max_lr: 0.0006, mode: triangular2, step_size: 300}}}]"
    )
    found = spec(with_keys(**NEEDED | {"stages": stages, "callbacks": "{EarlyStopping: {patience: 5}}"}))
    assert found.stages[1].extra_callbacks[0].options["mode"] == "triangular2"


@pytest.mark.parametrize("spelling", ["Unet", "Linknet", "PSP", "FPN", "DeeplabV3", "UNet", "Linkenet", "PSPNet"])
def test_s45_architectures_by_every_documented_spelling(spelling: str) -> None:
    found = spec(with_keys(**NEEDED | {"architecture": spelling}))
    assert found.architecture in ("Unet", "Linknet", "PSPNet", "FPN", "DeepLabV3")


@pytest.mark.parametrize("backbone", README_BACKBONES)
@pytest.mark.parametrize("architecture", ["Unet", "FPN", "Linknet", "PSPNet"])
def test_s46_backbones_of_the_documentation_fit_the_four_architectures(backbone: str, architecture: str) -> None:
    keys = NEEDED | {"architecture": architecture, "backbone": backbone, "encoder_weights": "null"}
    assert spec(with_keys(**keys)).backbone == backbone


@pytest.mark.parametrize(
    ("keys", "fine"),
    [
        ({"architecture": "DeepLabV3", "backbone": "mobilenetv2", "encoder_weights": "pascal_voc"}, True),
        ({"architecture": "DeepLabV3", "backbone": "xception", "encoder_weights": "pascal_voc"}, True),
        ({"architecture": "Unet", "backbone": "resnet34", "encoder_weights": "pascal_voc"}, False),
        ({"architecture": "DeepLabV3", "backbone": "vgg16"}, False),
    ],
)
def test_s48_deeplab_has_its_own_backbones_and_weights(keys: dict[str, str], fine: bool) -> None:
    if fine:
        spec(with_keys(**NEEDED | keys))
    else:
        with pytest.raises(ConfigError):
            spec(with_keys(**NEEDED | keys))


def test_x3_the_architecture_is_one_key_and_nothing_else_changes(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(with_keys(**NEEDED))
    first = load_spec(config).dump()
    second = load_spec(config, overrides=["architecture=FPN"]).dump()
    assert {key for key in first if first[key] != second[key]} == {"architecture"}


def test_a_typo_never_trains_silently() -> None:
    for typo in ("optimiser: Adam", "callback: {}", "encoder_weight: null", "stage: []", "Batch: 3"):
        with pytest.raises(ConfigError, match="nearest"):
            spec(with_keys(**NEEDED) + f"\n{typo}")


def test_checking_refuses_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(with_keys(**NEEDED) + "\nbatch: 0\n")
    code = (
        "import sys, musket\n"
        f"try: musket.parse({str(tmp_path / 'config.yaml')!r})\n"
        "except musket.ConfigError as error: print(error.problems[0].key, 'torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "batch False\n"
