from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musket.config.check import Vocabulary, check_text, load, refuse_unavailable, unavailable
from musket.config.image_values import Crops, InputNormalization
from musket.config.read import parse, to_yaml
from musket.config.schema import AVAILABLE_DIALECTS, NOT_YET, SegmentationSpec
from musket.config.tree import plain
from musket.config.values import Call, Part
from musket.core.errors import ConfigError, ConfigWarning, Problem

MINIMUM = """\
architecture: Unet
backbone: resnet34
classes: 1
loss: binary_crossentropy
metrics: [binary_accuracy, dice]
stages:
  - epochs: 2
"""


def segmentation(text: str, words: Vocabulary, **kwargs: Any) -> SegmentationSpec:
    found = check_text(text, vocabulary=words, **kwargs)
    assert isinstance(found, SegmentationSpec)
    return found


def problems(text: str, words: Vocabulary, **kwargs: Any) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        check_text(text, vocabulary=words, **kwargs)
    return caught.value.problems


def told(text: str, words: Vocabulary, **kwargs: Any) -> dict[str, str]:
    return {problem.key: problem.message for problem in problems(text, words, **kwargs)}


def test_the_smallest_config(words: Vocabulary) -> None:
    found = segmentation(MINIMUM, words)
    assert (found.architecture, found.backbone, found.activation) == ("Unet", "resnet34", "sigmoid")
    assert found.notices == ()
    assert found.place("stages[0].epochs").line == 7
    assert unavailable(found) == []


def test_every_problem_at_once_in_the_order_of_the_file(words: Vocabulary) -> None:
    text = """\
#%Musket Segmentation
architecture: Unet
backbone: vgg
encoder_wieghts: imagenet
classes: true
batch: 0
optimiser: Adam
metrics: [dise]
callbacks:
  EarlyStoping: {patience: 3}
  EarlyStopping: {patince: 3}
loss: dice_los
stages:
  - epochs: 10
  - epochs: 5
    lr: 0
"""
    with pytest.raises(ConfigError) as caught:
        check_text(text, vocabulary=words, source="experiment.yaml")
    assert (
        str(caught.value)
        == """\
experiment.yaml: 10 problems
  line 3   backbone                         no such backbone vgg
  line 4   encoder_wieghts                  Unet takes no such option; nearest: encoder_weights
  line 5   classes                          found true; must be a whole number
  line 6   batch                            found 0; must be at least 1
  line 7   optimiser                        Unet takes no such option; nearest: optimizer
  line 8   metrics[0]                       no such metric 'dise'; nearest: dice (all: musket ls metrics)
  line 10  callbacks.EarlyStoping           no such callback; nearest: EarlyStopping (all: musket ls callbacks)
  line 11  callbacks.EarlyStopping.patince  EarlyStopping takes no such option; nearest: patience
  line 12  loss                             no such loss 'dice_los'; nearest: dice_loss (all: musket ls losses)
  line 16  stages[1].lr                     found 0; must be greater than 0"""
    )


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("stages: []", "stages", "found an empty list; one stage at least is needed: [{epochs: 10}]"),
        ("stages: 3", "stages", "found 3; must be a list"),
        ("stages: [3]", "stages[0]", "found 3; must be a map of keys"),
        ("stages: [{epochs: 1, batch: 3}]", "stages[0].batch", "belongs at the root of the file, not into a stage"),
        ("stages: [{epochs: 1, epoch: 3}]", "stages[0].epoch", "no such key of a stage; nearest: epochs"),
        ("stages: [{lr: 1}]", "stages[0].epochs", "missing; for example epochs: 10"),
        ("stages: [{epochs: 1, negatives: few}]", "stages[0].negatives", None),
        (
            "stages: [{epochs: 1, freeze_encoder: true, unfreeze_encoder: true}]",
            "stages[0].unfreeze_encoder",
            "contradicts freeze_encoder: true beside it; keep one of them",
        ),
        (
            "activation: softmax",
            "activation",
            "softmax over one class is 1 everywhere; use sigmoid, or classes: 2 or more",
        ),
        (
            "activation: sigmoidd",
            "activation",
            "no such activation 'sigmoidd'; nearest: sigmoid (all: musket ls activations)",
        ),
        (
            "activation:",
            "activation",
            "found nothing; write none for a linear output, or leave the key out for the default",
        ),
        ("loss: lovasz_loss\nclasses: 2", "loss", "lovasz_loss contradicts activation softmax"),
        ("loss: binary_crossentropy*dice_loss", "loss", "loss 'binary_crossentropy*dice_loss' cannot be read"),
        ("loss:", "loss", "missing; give one here or in every stage"),
        (
            "loss:\nstages: [{epochs: 1, loss: dice_loss}, {epochs: 1}]",
            "loss",
            "missing; give one here or in every stage (stages 1 have none)",
        ),
        ("architecture: weights/best-0.0.weights", "architecture", None),
        ("architecture: net.pth", "architecture", None),
        (
            "architecture: Unett",
            "architecture",
            "no such architecture 'Unett'; nearest: Unet (all: musket ls architectures)",
        ),
        ("backbone:", "backbone", "missing; name an encoder, for example backbone: resnet34"),
        ("encoder_weights: bad", "encoder_weights", "no weights bad"),
        ("optimizer: Adamm", "optimizer", "no such optimizer 'Adamm'; nearest: Adam (all: musket ls optimizers)"),
        ("primary_metric: val_iou", "primary_metric", "'val_iou' will not be logged; add iou to metrics"),
        ("primary_metric: val_dic", "primary_metric", "'val_dic' will not be logged; nearest: val_dice"),
        (
            "primary_metric: lr",
            "primary_metric",
            "the learning rate is no measure of success; name a metric or val_loss",
        ),
        (
            "metrics: [mine]\nprimary_metric: val_mine",
            "primary_metric",
            "nobody says whether val_mine is better high or low; give primary_metric_mode: min or max",
        ),
        ("primary_metric_mode: lowest", "primary_metric_mode", "found 'lowest'; must be auto, min or max"),
        (
            "callbacks: {EarlyStopping: {monitor: val_iou}}",
            "callbacks.EarlyStopping.monitor",
            "'val_iou' will not be logged; add iou to metrics",
        ),
        (
            "metrics: [mine]\nprimary_metric: val_loss\ncallbacks: {EarlyStopping: {monitor: val_mine}}",
            "callbacks.EarlyStopping.monitor",
            "nobody says whether val_mine is better high or low; give mode: min or max",
        ),
        ("callbacks: {Cycle: {base_lr: 1}}", "callbacks.Cycle", "Cycle needs max_lr"),
        ("callbacks: {Cycle: {base_lr: 1, max_lr: 2, step_size: 0}}", "callbacks.Cycle.step_size", None),
        (
            "callbacks: {Cycle: {base_lr: 1, max_lr: 2, then: {EarlyStopping: {patience: x}}}}",
            "callbacks.Cycle.then.EarlyStopping.patience",
            "found 'x'; must be a whole number",
        ),
        ("callbacks: {Cycle: {base_lr: 1, max_lr: 2, then: 3}}", "callbacks.Cycle.then", None),
        ("callbacks: [EarlyStopping, {EarlyStopping: {mode: up}}]", "callbacks[1].EarlyStopping.mode", None),
        ("augmentation: {Fliplr: [1, 2]}", "augmentation.Fliplr.p", "found [1, 2]; must be a number"),
        ("transforms: {Fliplr: {q: 1}}", "transforms.Fliplr.q", "Fliplr takes no such option"),
        ("decoder_filters: 3", "decoder_filters", "found 3; must be a list, each a whole number"),
        ("kind: other", "kind", "found 'other'; must be one of upsampling, transpose"),
        ("in_channels: 3", "in_channels", "Unet takes no such option"),
        ("architecture_options: {kind: transpose}", "architecture_options", None),
        ("pooling: avg", "pooling", "belongs to Classification experiments, this is Segmentation"),
        ("dataset: ds_1\ndatasets: {ds_2: {get_train: []}}", "dataset", None),
        ("dataset: get_train", "dataset", "get_train is a function, not an entry of datasets; write {get_train: []}"),
        ("dataset: {get_trian: []}", "dataset.get_trian", "no such dataset function; nearest: get_train"),
        ("dataset: {get_train: {sise: 1}}", "dataset.get_train.sise", "get_train takes no such option; nearest: size"),
        ("datasets: {a: {get_train: [1]}}", "datasets.a.get_train.folder", "found 1; must be text"),
        ("dataset: {train: {get_trian: []}}", "dataset.train.get_trian", None),
        ("groupFunc: by_size", "groupFunc", "no such function 'by_size' in modules/ of the project or in imports"),
        ("groups: 3", "groups", "no key of a config; use groupFunc with stratified: true"),
    ],
)
def test_one_problem(text: str, key: str, message: str | None, words: Vocabulary) -> None:
    keys = {line.split(":")[0] for line in text.splitlines()}
    kept, skipping = [], False
    for line in MINIMUM.splitlines():
        if not line.startswith(" "):
            skipping = line.split(":")[0] in keys
        if not skipping:
            kept.append(line)
    found = told("\n".join([*kept, text]), words)
    assert list(found) == [key]
    assert message is None or found[key] == message


def test_an_empty_config_misses_everything_needed(words: Vocabulary) -> None:
    assert told("{}", words) == {
        "architecture": "missing; for example architecture: Unet",
        "backbone": "missing; name an encoder, for example backbone: resnet34",
        "classes": "missing; for example classes: 1",
        "loss": "missing; give one here or in every stage",
        "stages": "missing; for example stages: [{epochs: 10}]",
    }


def test_one_mistake_is_told_once(words: Vocabulary) -> None:
    # nothing about monitors, primary metric, activation or stages that only follows from the mistake
    text = MINIMUM.replace("metrics: [binary_accuracy, dice]", "metrics: 3").replace("classes: 1", "classes: x")
    text += "primary_metric: val_dice\ncallbacks: {EarlyStopping: {monitor: val_dice}}\nactivation: softmax\n"
    assert sorted(told(text, words)) == ["classes", "metrics"]


def test_names_become_canonical(words: Vocabulary) -> None:
    text = MINIMUM.replace("Unet", "unet").replace("dice]", "val_iou]") + (
        "optimizer: adam\nprimary_metric: val_iou_coef\ncallbacks: {earlystopping: {monitor: val_iou_coef}}\n"
        "augmentation: {fliplr: 0.5}\ndataset: {GET_TRAIN: []}\n"
    )
    found = segmentation(text, words)
    assert (found.architecture, found.optimizer) == ("Unet", "Adam")
    assert found.metrics == ("binary_accuracy", "iou")
    assert found.primary_metric == "val_iou"
    assert found.callbacks == (Part("EarlyStopping", {"monitor": "val_iou"}),)
    assert found.augmentation == (Part("Fliplr", {"p": 0.5}),)
    assert found.dataset == Call("get_train")


def test_s20_a_scalar_is_the_first_parameter_and_a_map_names_them(words: Vocabulary) -> None:
    text = MINIMUM + "augmentation:\n  Fliplr: 0.5\n  Affine: {rotate: [-10, 10], scale: 2}\n"
    found = segmentation(text, words)
    assert found.augmentation == (Part("Fliplr", {"p": 0.5}), Part("Affine", {"rotate": (-10.0, 10.0), "scale": 2.0}))


def test_a_list_is_one_value_for_parts_and_positions_for_datasets(words: Vocabulary) -> None:
    found = segmentation(MINIMUM + "augmentation: {Affine: [1, 2]}\ndataset: {get_train: [x]}", words)
    assert found.augmentation == (Part("Affine", {"scale": (1.0, 2.0)}),)
    assert found.dataset == Call("get_train", ("x",))


def test_a_list_of_parts_may_repeat_a_name(words: Vocabulary) -> None:
    text = MINIMUM + "augmentation:\n  - Fliplr: 0.5\n  - Fliplr\n"
    found = segmentation(text, words)
    assert found.augmentation == (Part("Fliplr", {"p": 0.5}), Part("Fliplr"))
    assert segmentation(to_yaml(found.dump()), words) == found


def test_options_of_the_architecture_stand_at_the_root(words: Vocabulary) -> None:
    found = segmentation(MINIMUM + "decoder_filters: [8, 4]\nuse_batchnorm: no\n", words)
    assert found.architecture_options == {"decoder_filters": [8, 4], "use_batchnorm": False}
    assert found.dump()["decoder_filters"] == [8, 4]


def test_a_network_of_the_users_own_needs_its_parameters_and_no_backbone(words: Vocabulary) -> None:
    own = MINIMUM.replace("architecture: Unet\nbackbone: resnet34", "architecture: own_net")
    assert told(own, words) == {"architecture": "own_net needs width"}
    assert segmentation(own + "width: 3\n", words).architecture_options == {"width": 3}


@pytest.mark.parametrize(("classes", "activation"), [(1, "sigmoid"), (4, "softmax")])
def test_activation_follows_the_classes(classes: int, activation: str, words: Vocabulary) -> None:
    assert segmentation(MINIMUM.replace("classes: 1", f"classes: {classes}"), words).activation == activation


def test_without_primary_metric_val_loss_decides_where_binary_accuracy_is_not_tracked(words: Vocabulary) -> None:
    with pytest.warns(ConfigWarning, match="val_loss decides which epoch is the best"):
        found = segmentation(MINIMUM.replace("binary_accuracy, ", ""), words)
    assert (found.primary_metric, found.primary_metric_mode) == ("val_loss", "min")
    assert segmentation(MINIMUM, words).primary_metric == "val_binary_accuracy"


def test_terms_of_a_composite_loss_can_be_monitored(words: Vocabulary) -> None:
    composite = MINIMUM.replace("loss: binary_crossentropy", "loss: binary_crossentropy+0.5*dice_loss")
    assert segmentation(composite + "primary_metric: val_dice_loss", words).primary_metric == "val_dice_loss"
    assert "primary_metric" in told(MINIMUM + "primary_metric: val_dice_loss", words)


def test_what_is_monitored_must_be_logged_in_every_stage_it_is_monitored_in(words: Vocabulary) -> None:
    text = MINIMUM.replace("loss: binary_crossentropy", "loss: binary_crossentropy+dice_loss").replace(
        "  - epochs: 2", "  - {epochs: 2, callbacks: {EarlyStopping: {monitor: val_dice_loss}}}"
    )
    segmentation(text, words)
    second = "  - {epochs: 1, loss: dice_loss, extra_callbacks: {EarlyStopping: {monitor: val_dice_loss}}}\n"
    assert list(told(text + second, words)) == ["stages[1].extra_callbacks.EarlyStopping.monitor"]
    plain_second = "  - {epochs: 1, loss: dice_loss, callbacks: {}}\n"
    assert list(told(text + plain_second + "primary_metric: val_dice_loss", words)) == ["primary_metric"]
    segmentation(text + plain_second + "primary_metric: val_loss\ncallbacks: {EarlyStopping: loss}", words)


def test_keys_without_effect_are_warned_of(words: Vocabulary) -> None:
    text = MINIMUM + "validationSplit: 0.3\ngroupFunc: get_train\nsaveLast: true\n"
    with pytest.warns(ConfigWarning) as issued:
        found = segmentation(text, words, source="x.yaml")
    assert [notice.key for notice in found.notices] == ["saveLast", "validationSplit", "groupFunc"]
    assert str(issued[1].message) == "x.yaml: line 8 validationSplit: no effect: folds_count is 5, not 1"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segmentation(MINIMUM + "validationSplit: 0.3\nfolds_count: 1\n", words)


@pytest.mark.parametrize(
    ("lines", "warned"),
    [
        ("freeze_encoder: true", "freeze_encoder"),
        ("unfreeze_encoder: false", "unfreeze_encoder"),
        ("stages: [{epochs: 1, freeze_encoder: true}]", "stages[0].freeze_encoder"),
        ("freeze_encoder: true\nstages: [{epochs: 1, unfreeze_encoder: true}]", None),
        ("stages: [{epochs: 1}, {epochs: 1, freeze_encoder: true}]", None),
        ("freeze_encoder: true\nstages: [{epochs: 1, initial_weights: a.weights}]", None),
        ("freeze_encoder: true\nencoder_weights: imagenet", None),
        ("freeze_encoder: true\narchitecture: own_net\nwidth: 1", None),
    ],
)
def test_an_encoder_nobody_trained_is_not_frozen_without_a_word(
    lines: str, warned: str | None, words: Vocabulary
) -> None:
    data = parse(f"{MINIMUM}encoder_weights: null\n").root
    for key, entry in parse(lines).root.entries.items():
        data = data.having(key, entry.value)
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always", ConfigWarning)
        found = segmentation(to_yaml(plain(data)), words)
    assert [notice.key for notice in found.notices] == ([] if warned is None else [warned])
    assert all("freezes an encoder of random weights" in str(one.message) for one in issued)


@pytest.mark.parametrize(
    ("key", "called"),
    [
        ("learning_rate", "lr"),
        ("Batch-Size", "batch"),
        ("imgsz", "shape"),
        ("num_epochs", "stages[0].epochs"),
        ("encoder", "backbone"),
        ("model", "architecture"),
        ("num_classes", "classes"),
        ("patience", "callbacks.EarlyStopping.patience"),
    ],
)
def test_names_of_other_tools_are_known(key: str, called: str, words: Vocabulary) -> None:
    said = {key: f"no such key; here it is called {called}"}
    assert told(f"{MINIMUM}{key}: 3\n", words) == said
    assert told(MINIMUM, words, overrides=[f"{key}=3"]) == said
    assert told(MINIMUM.replace("architecture: Unet\n", ""), words, overrides=[f"{key}=3"])[key] == said[key]


def test_names_of_other_tools_in_stages_and_networks(words: Vocabulary) -> None:
    said = told(MINIMUM, words, overrides=["stages[0].learning_rate=3", "stages[0].num_epochs=2"])
    assert said["stages[0].learning_rate"] == "no such key of a stage; here it is called lr"
    assert said["stages[0].num_epochs"] == "no such key of a stage; here it is called epochs"
    text = MINIMUM.replace("architecture: Unet\nbackbone: resnet34\n", "encoder: resnet34\narchitecture: resnet34\n")
    assert "here it is called" not in told("#%Musket Classification 1.0\n" + text, words)["encoder"]


def test_keys_of_stages_on_the_command_line_are_written_out(words: Vocabulary) -> None:
    said = told(MINIMUM, words, overrides=["epochs=3", "negatives=none"])
    assert said["epochs"] == "belongs into a stage: stages[0].epochs=3"
    assert said["negatives"] == "belongs into a stage: stages[0].negatives=none"
    assert told(MINIMUM + "epochs: 3\n", words)["epochs"] == "belongs into a stage: stages: [{epochs: 10}]"


def test_a_second_dataset_function_says_how_to_replace_the_first(words: Vocabulary) -> None:
    [found] = problems(MINIMUM, words, common="dataset:\n  get_train: []\n", overrides=["dataset.own=[3]"])
    assert (found.where, found.key) == ("command line", "dataset.own")
    assert "dataset names 2 functions (get_train, own)" in found.message
    assert found.message.endswith("on the command line 'dataset={own: [3]}' replaces the whole")
    said = told(f"{MINIMUM}datasets: {{one: {{get_train: [], own: []}}}}\n", words)
    assert "'datasets.one={own: []}' replaces" in said["datasets.one.own"]


@pytest.mark.parametrize(
    ("header", "dialect", "expected"),
    [
        ("#%Musket Segmentation 1.0", None, "Segmentation"),
        ("#%Musket segmentation", "generic", "Segmentation"),
        ("", "Segmentation", "Segmentation"),
        ("", None, "Segmentation"),
    ],
)
def test_the_first_line_wins_over_the_caller(
    header: str, dialect: str | None, expected: str, words: Vocabulary
) -> None:
    assert segmentation(f"{header}\n{MINIMUM}", words, dialect=dialect).dialect == expected


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("architecture: net\ndeclarations: {net: [dense]}", "Generic"),
        ("architecture: [dense, dense]", "Generic"),
        ("configPath: x.py\nclasses: 3\nshape: [8, 8]", "InstanceSegmentation"),
    ],
)
def test_without_any_word_the_keys_tell_the_dialect(text: str, dialect: str, words: Vocabulary) -> None:
    found = check_text(f"{text}\nstages: [{{epochs: 1}}]", vocabulary=words)
    assert found.dialect == dialect
    assert [problem.message for problem in unavailable(found)] == [f"not available yet: {dialect} experiments"]
    assert check_text(to_yaml(found.dump(), dialect=dialect), vocabulary=words) == found


def test_keys_of_a_network_tell_a_classification(words: Vocabulary) -> None:
    text = "architecture: resnet34\nclasses: 3\npooling: avg\nloss: binary_crossentropy\n"
    text += "metrics: [binary_accuracy]\nstages: [{epochs: 1}]"
    found = check_text(text, vocabulary=words)
    assert (found.dialect, found.activation, unavailable(found)) == ("Classification", "softmax", [])
    assert check_text(to_yaml(found.dump(), dialect="Classification"), vocabulary=words) == found


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("#%Musket Segmentaton 1.0", "no such kind of experiment 'Segmentaton'; nearest: Segmentation"),
        ("#%Musket", "name a kind: Segmentation, Classification, Generic, InstanceSegmentation"),
    ],
)
def test_an_unknown_dialect_names_the_nearest(header: str, message: str, words: Vocabulary) -> None:
    [problem] = problems(f"{header}\n{MINIMUM}", words)
    assert (problem.line, problem.message) == (1, message)


def test_old_dialect_names(words: Vocabulary) -> None:
    text = "configPath: x.py\nclasses: 3\nshape: [8, 8]\nstages: [{epochs: 1}]"
    assert check_text(f"#%Musket MMDetection 1.0\n{text}", vocabulary=words).dialect == "InstanceSegmentation"


def test_common_yaml(words: Vocabulary) -> None:
    common = "batch: 8\nmetrics: [dice]\ncallbacks:\n  EarlyStopping:\n    patience: 3\npooling: avg\n"
    found = segmentation(MINIMUM + "callbacks: {Snapshot: {}}\n", words, common=common)
    assert found.batch == 8
    assert found.metrics == ("binary_accuracy", "dice")
    assert [part.name for part in found.callbacks] == ["Snapshot", "EarlyStopping"]


def test_problems_of_common_yaml_say_so(words: Vocabulary) -> None:
    with pytest.raises(ConfigError) as caught:
        check_text(
            MINIMUM + "lr: 0", vocabulary=words, common="#\nbatch: x\nfoo: 1\n", overrides=["gpus=no"], source="c.yaml"
        )
    assert (
        str(caught.value)
        == """\
c.yaml: 4 problems
  line 8              lr     found 0; must be greater than 0
  command line        gpus   found 'no'; must be a whole number
  common.yaml line 2  batch  found 'x'; must be a whole number
  common.yaml line 3  foo    Unet takes no such option"""
    )


def test_overrides_by_text_and_by_value(words: Vocabulary) -> None:
    found = segmentation(MINIMUM, words, overrides=["stages[0].epochs=7", "lr=1e-4"])
    assert (found.stages[0].epochs, found.lr) == (7, 1e-4)
    found = segmentation(MINIMUM, words, overrides={"stages": [{"epochs": 3}], "shape": (64, 64, 3)})
    assert (found.stages[0].epochs, found.shape) == (3, (64, 64, 3))
    assert [problem.where for problem in problems(MINIMUM, words, overrides={"lr": 0})] == ["argument"]
    assert told(MINIMUM, words, overrides=["stages.3.lr=1"])["stages.3.lr"].startswith("no item")


def test_files(tmp_path: Path, words: Vocabulary) -> None:
    config, common = tmp_path / "config.yaml", tmp_path / "common.yaml"
    config.write_text(MINIMUM)
    common.write_text("batch: 3")
    found = load(config, vocabulary=words, common=common)
    assert (found.batch, found.source) == (3, config)


# ------------------------------------------------------------------------------------------- what is not there yet

ASKING = {
    "final_metrics": "[dice]",
    "experiment_result": "dice",
    "dumpPredictionsToCSV": "true",
    "declarations": "{a: [b]}",
    "compressPredictionsAsInts": "false",
    "compressScale": "1000",
}


@pytest.mark.parametrize("key", [key for key in NOT_YET if not key.startswith("augmentation.") or key in ASKING])
def test_what_is_not_there_yet_is_refused_by_name(key: str, words: Vocabulary) -> None:
    found = segmentation(f"{MINIMUM}{key.partition('.')[0]}: {ASKING[key]}\n", words)
    [problem] = unavailable(found)
    assert problem.message.startswith(f"not available yet: {key} (")
    assert problem.line == 8
    with pytest.raises(ConfigError, match="1 problem"):
        refuse_unavailable(found)


def test_settings_that_ask_for_nothing_are_fine(words: Vocabulary) -> None:
    off = "\n".join(
        f"{key}: {value}"
        for key, value in {
            **dict.fromkeys(("crops", "num_seeds", "transforms", "preprocessing", "extra_train_data"), "null"),
            **dict.fromkeys(("noTrain", "manualResize", "dumpPredictionsToCSV", "testTimeAugmentation"), "false"),
            **dict.fromkeys(("separatePredictions", "compressPredictionsAsInts"), "true"),
            **dict.fromkeys(("declarations", "hyperparameters"), "{}"),
            "final_metrics": "[]",
        }.items()
    )
    assert unavailable(segmentation(f"{MINIMUM}{off}\n", words)) == []


def test_the_table_of_what_is_missing_names_keys_that_exist() -> None:
    roots = {key.partition(".")[0] for key in NOT_YET}
    assert roots <= set(SegmentationSpec.model_fields)
    assert {"Segmentation"} <= AVAILABLE_DIALECTS


# --------------------------------------------------------------------------------------------------- round trips

RATE = st.floats(1e-6, 99, allow_nan=False)
SPECS = st.fixed_dictionaries(
    {
        "architecture": st.sampled_from(["Unet", "unet"]),
        "backbone": st.sampled_from(["resnet34", "resnet18"]),
        "classes": st.integers(1, 5),
        "loss": st.sampled_from(["binary_crossentropy", "binary_crossentropy+0.5*dice_loss"]),
        "stages": st.lists(
            st.fixed_dictionaries(
                {"epochs": st.integers(1, 10**6)},
                optional={
                    "lr": RATE,
                    "loss": st.just("dice_loss"),
                    "negatives": st.sampled_from(["none", "real", "all", 0, 2, 0.5]),
                    "callbacks": st.sampled_from(
                        [None, {}, {"EarlyStopping": "loss"}, {"EarlyStopping": {"patience": 2}}]
                    ),
                    "unfreeze_encoder": st.booleans(),
                    "initial_weights": st.text("abc/. ", min_size=1).filter(lambda text: text.strip() == text),
                },
            ),
            min_size=1,
            max_size=3,
        ),
    },
    optional={
        "metrics": st.lists(st.sampled_from(["dice", "iou", "val_dice", "binary_accuracy"]), max_size=3),
        "batch": st.integers(1, 65_536),
        "lr": RATE,
        "clipnorm": RATE,
        "encoder_weights": st.sampled_from([None, "imagenet", "none"]),
        "shape": st.tuples(st.integers(1, 9999), st.integers(1, 9999), st.integers(1, 16)).map(list),
        "augmentation": st.sampled_from(
            [None, {"Fliplr": 0.5, "Affine": {"rotate": [1, 2]}}, [{"Fliplr": 1}, "Fliplr"]]
        ),
        "dataset": st.sampled_from([None, "a", {"get_train": ["x"]}, {"get_train": {"size": 3}}]),
        "datasets": st.just({"a": {"get_train": []}, "b": {"input_path": "1e-3"}}),
        "decoder_filters": st.lists(st.integers(1, 512), min_size=1, max_size=3),
        "testSplit": st.floats(0, 0.99),
        "random_state": st.integers(0, 2**32 - 1),
        "stratified": st.booleans(),
        "imports": st.lists(st.sampled_from(["a.b", "yes", "1e3"]), max_size=2),
        "verbose": st.sampled_from([0, 1, 2, True]),
    },
)


@settings(max_examples=60, deadline=None)
@given(data=SPECS)
def test_a_dumped_spec_is_read_back_the_same(data: dict[str, Any], words: Vocabulary) -> None:
    if data.get("dataset") == "a":
        data.setdefault("datasets", {"a": {"get_train": []}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfigWarning)
        first = segmentation(to_yaml(data), words)
        again = segmentation(to_yaml(first.dump(), dialect=first.dialect), words)
    assert again == first
    assert again.dump() == first.dump()
    assert dataclasses.is_dataclass(words)


# ----------------------------------------------------------------------------------------------- several outputs


def test_outputs_get_their_own_activation_and_loss(words: Vocabulary) -> None:
    text = MINIMUM.replace("classes: 1", "classes: [1, 3]").replace("loss: binary_crossentropy\n", "")
    found = segmentation(f"{text}loss: [binary_crossentropy, dice_loss]\n", words)
    assert found.activation == ("sigmoid", "softmax")
    assert found.output_channels == 4
    assert found.dump()["loss"] == ["binary_crossentropy", "dice_loss"]


@pytest.mark.parametrize(
    ("lines", "key", "message"),
    [
        ("classes: [1, 3]\nloss: [dice_loss]\n", "loss", "found a list of 1; classes lists 2 outputs"),
        ("classes: 1\nloss: [dice_loss]\n", "loss", "found a list of 1; classes is one number; give one"),
        ("classes: [1, 3]\nloss: [dice_loss, dice]\n", "loss[1]", "no such loss"),
        ("classes: [1, 1]\nactivation: [sigmoid, softmax]\nloss: dice_loss\n", "activation[1]", "softmax over one"),
    ],
)
def test_outputs_that_do_not_fit(lines: str, key: str, message: str, words: Vocabulary) -> None:
    head = "#%Musket Segmentation 1\narchitecture: Unet\nbackbone: resnet34\nstages: [{epochs: 1}]\n"
    with pytest.raises(ConfigError) as caught:
        segmentation(head + lines, words)
    [problem] = caught.value.problems
    assert problem.key == key
    assert problem.message.startswith(message)


# ------------------------------------------------------------------------------------------- cells, views, inputs


@pytest.mark.parametrize(
    ("line", "key", "message"),
    [
        ("crops: 3", "shape", "256 x 256 cannot be cut into 3 x 3 cells; use [255, 255]"),
        ("crops: {cell: 4}", "crops.cell", "found 4; no such option; crops takes cells, overlap and blend"),
        ("crops: {cells: 4, overlap: 2}", "crops.overlap", "found 2; must be from 0 to 0.9"),
        ("crops: {cells: 4, blend: soft}", "crops.blend", "found 'soft'; must be linear, cosine, none"),
        ("crops: many", "crops", "found 'many'; must be a whole number"),
        ("normalize: {mean: 1}", "normalize", "found a map; must be {mean: [...], std: [...]}"),
        ("normalize: {mean: 1, std: 0}", "normalize.std", "found 0; must be above 0"),
        ("normalize: {mean: [1, 2], std: [1, 2]}", "normalize.mean", "found 2 numbers for 3 channels"),
        ("testTimeAugmentation: rotate", "testTimeAugmentation", "found 'rotate'; must be Horizontal, "),
        ("cache: 3", "cache", "found 3; must be true, false, or a folder"),
    ],
)
def test_keys_of_images_that_cannot_be_meant(line: str, key: str, message: str, words: Vocabulary) -> None:
    with pytest.raises(ConfigError) as caught:
        segmentation(f"{MINIMUM}{line}\n", words)
    [problem] = caught.value.problems
    assert problem.key == key
    assert problem.message.startswith(message)


def test_keys_of_images_read_back_as_they_are(words: Vocabulary) -> None:
    lines = "crops: {cells: 4, overlap: 0.25}\nnormalize: false\ntestTimeAugmentation: horizontal\ncache: decoded\n"
    found = segmentation(MINIMUM + lines, words)
    assert found.crops == Crops(4, 0.25, "linear")
    assert found.normalize == InputNormalization((0.0,), (1.0,))
    assert (found.testTimeAugmentation, found.cache) == ("Horizontal", "decoded")
    assert segmentation(f"{MINIMUM}crops: 4\n", words).dump()["crops"] == 4
