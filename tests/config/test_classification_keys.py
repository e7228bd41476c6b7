"""Keys of classification as the real vocabulary understands them: heads, figures, networks of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from musket.config.check import check_text
from musket.config.read import to_yaml
from musket.config.schema import ClassificationSpec
from musket.core.errors import ConfigError, ConfigWarning
from musket.experiment.vocabulary import vocabulary
from musket.models.classifier_catalogue import CLASSIFIERS

HEADS: dict[str, Any] = {
    "classes": [3, 1],
    "activation": ["softmax", "sigmoid"],
    "loss": ["categorical_crossentropy", "binary_crossentropy"],
    "head_names": ["kind", "kids"],
    "metrics": ["accuracy", "per_class_f1"],
}


def plain_network(in_channels: int, classes: int) -> None: ...


def open_network(**options: Any) -> None: ...


@pytest.fixture(autouse=True)
def networks() -> Iterator[None]:
    for network in (plain_network, open_network):
        CLASSIFIERS.add(network.__name__, network)
    yield
    for network in (plain_network, open_network):
        CLASSIFIERS.remove(network.__name__)


def parsed(**changes: Any) -> ClassificationSpec:
    keys: dict[str, Any] = {
        "architecture": "plain_network",
        "classes": 3,
        "activation": "softmax",
        "loss": "categorical_crossentropy",
        "primary_metric": "val_loss",
        "stages": [{"epochs": 1}],
    }
    found = check_text(to_yaml(keys | changes), dialect="Classification", vocabulary=vocabulary())
    assert isinstance(found, ClassificationSpec)
    return found


def told(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        parsed(**changes)
    return [(problem.key, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize("key", ["pooling", "dropout", "copyWeights", "weights"])
def test_what_an_own_network_does_not_take_is_said(key: str) -> None:
    value = {"pooling": "max", "dropout": 0.5, "copyWeights": True, "weights": "mine"}[key]
    with pytest.warns(ConfigWarning, match=f"{key}: no effect: plain_network takes no "):
        parsed(**{key: value})
    parsed(architecture="open_network", **{key: value})


def test_an_own_network_leaves_defaults_alone() -> None:
    parsed(weights="imagenet", dropout=0, copyWeights=False, pooling=None)
    assert parsed(weights=None).weights is None
    spec = parsed()
    assert parsed(**spec.dump()) == spec


def test_one_mistake_in_options_is_told_once() -> None:
    ((key, message),) = told(architecture="VGG16", drop_path_rate=0.1)
    assert key == "drop_path_rate"
    assert "VGG16 takes no such option" in message


@pytest.mark.parametrize(
    ("names", "metrics", "words"),
    [
        (["holdout", "kids"], ["accuracy"], "accuracy_holdout would read as figures of the holdout"),
        (["kind", "my_holdout"], [], "accuracy_my_holdout would read as figures of the holdout"),
        (["loss", "kids"], ["f1"], "the column f1_loss would read as a figure of f1_loss"),
        (["loss_0", "kids"], ["dice"], "the column dice_loss_0 would read as a figure of dice_loss"),
        (["A", "a"], ["accuracy"], "classes asks for 2 different names, one per head"),
    ],
)
def test_names_of_heads_that_read_as_other_figures(names: list[str], metrics: list[str], words: str) -> None:
    ((key, message),) = told(**HEADS | {"head_names": names, "metrics": metrics})
    assert key == "head_names"
    assert words in message


def test_a_single_head_may_have_any_name() -> None:
    parsed(head_names="holdout", metrics=["accuracy"])


@pytest.mark.parametrize("changes", [{"head_names": ["kind"]}, {"activation": ["softmax", "sigmoid", "sigmoid"]}])
def test_heads_that_do_not_match_are_told_once(changes: dict[str, Any]) -> None:
    figures = {"primary_metric": "val_accuracy_kids", "experiment_result": "accuracy_kids"}
    assert [key for key, _ in told(**HEADS | figures | changes)] == list(changes)


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("val_accuracy_kids", "val_accuracy_kids"),
        ("val_acc_kids", "val_accuracy_kids"),
        ("val_loss_kind", "val_loss_kind"),
        ("val_per_class_f1_kind_red fox", "val_per_class_f1_kind_red fox"),
    ],
)
def test_figures_of_heads_may_decide(given: str, means: str) -> None:
    callbacks = {"EarlyStopping": {"monitor": given}}
    spec = parsed(**HEADS | {"primary_metric": given, "callbacks": callbacks})
    assert spec.primary_metric == means
    assert spec.callbacks[0].options["monitor"] == means


@pytest.mark.parametrize("figure", ["accuracy_kids", "acc_kids_holdout", "per_class_f1_kids_yes", "loss"])
def test_figures_of_heads_may_be_the_result(figure: str) -> None:
    assert parsed(**HEADS | {"experiment_result": figure}).experiment_result == figure


def test_figures_of_single_classes_may_decide_where_they_are_logged() -> None:
    primary = {"primary_metric": "val_per_class_f1_x"}
    assert parsed(metrics=["per_class_f1"], **primary).primary_metric == "val_per_class_f1_x"
    assert [key for key, _ in told(metrics=["per_class_recall"], **primary)] == ["primary_metric"]
    assert [key for key, _ in told(**HEADS | primary)] == ["primary_metric"]  # of which head?


def test_overlaps_judge_classes() -> None:
    numbers = {"classes": 1, "activation": "none", "loss": "mse"}
    found = told(**numbers, metrics=["dice", "iou", "iot"])
    assert [key for key, _ in found] == ["metrics[0]", "metrics[1]", "metrics[2]"]
    assert all("judges classes, and no head has any" in message for _, message in found)


def test_cross_entropies_need_an_output_of_shares() -> None:
    ((key, message),) = told(activation="none", loss="binary_crossentropy")
    assert key == "loss"
    assert "Use activation sigmoid" in message


def test_a_stage_may_switch_the_sampler_off() -> None:
    spec = parsed(sampler="balanced", stages=[{"epochs": 1}, {"epochs": 1, "sampler": "none"}])
    assert [stage.sampler for stage in spec.stages] == [None, "none"]
    assert [key for key, _ in told(sampler="none")] == ["sampler"]


@pytest.mark.parametrize(("activation", "effect"), [("hard_sigmoid", True), ("sigmoid", True), ("tanh", False)])
def test_smoothing_moves_whatever_gives_labels(activation: str, effect: bool) -> None:
    keys = {"activation": activation, "loss": "mse", "label_smoothing": 0.1}
    if effect:
        assert not parsed(**keys).notices
    else:
        with pytest.warns(UserWarning, match="no output has sigmoid or softmax"):
            parsed(**keys)


@pytest.mark.parametrize("key", ["mixup", "cutmix"])
def test_a_batch_of_one_has_nothing_to_mix_with(key: str) -> None:
    with pytest.warns(UserWarning, match=f"{key}: no effect: batch is 1"):
        parsed(batch=1, **{key: 0.2})
    assert not parsed(batch=2, **{key: 0.2}).notices


@pytest.mark.parametrize(
    ("loss", "activation", "warned"),
    [
        ("categorical_crossentropy", "sigmoid", True),
        ("categorical_crossentropy", "softmax", False),
        ("binary_crossentropy", "sigmoid", False),
        ("categorical_crossentropy+dice_loss", "sigmoid", False),
    ],
)
def test_classes_on_their_own_with_a_loss_of_exclusive_ones_are_warned_of(
    loss: str, activation: str, warned: bool
) -> None:
    with pytest.warns(ConfigWarning, match="loss: .*with sigmoid") if warned else nullcontext():
        parsed(activation=activation, loss=loss)


def test_a_warm_up_that_outlasts_its_stage_is_warned_of() -> None:
    stages = [{"epochs": 3}, {"epochs": 9}]
    told = r"WarmupCosine warms up for 5 epochs, and stages\[0\] has 3: the full rate is never reached"
    with pytest.warns(ConfigWarning, match=told) as issued:
        parsed(callbacks={"WarmupCosine": {"warmup": 5}}, stages=stages)
    assert len(issued) == 1
    with pytest.warns(ConfigWarning, match=r"stages\[0\].callbacks: WarmupCosine warms up for 3 epochs"):
        parsed(stages=[{"epochs": 3, "callbacks": {"WarmupCosine": 3}}, {"epochs": 9}])
    parsed(callbacks={"WarmupCosine": {"warmup": 2}}, stages=stages)
