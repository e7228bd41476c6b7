from __future__ import annotations

import math
from typing import Any

import pytest

from musket.config.check import Vocabulary, check_text
from musket.config.read import parse
from musket.config.search_checks import result_mode, space_of
from musket.config.search_space import Choice, Range, example_points, read_space, substituted
from musket.config.tree import plain
from musket.core.errors import ConfigError, Problem

TEMPLATE = """\
architecture: Unet
backbone: resnet34
classes: 1
loss: binary_crossentropy+share*dice_loss
lr: rate
batch: 2*n
metrics: [binary_accuracy, dice]
stages:
  - epochs: n
hyperparameters:
  rate: {range: [1e-4, 1e-2], log: true}
  n: {range: [1, 4], type: integer}
  share: [0, 1]
"""


def problems(text: str, words: Vocabulary, **kwargs: Any) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        check_text(text, vocabulary=words, **kwargs)
    return caught.value.problems


def said(text: str, words: Vocabulary) -> list[str]:
    return [f"{problem.line} {problem.key}: {problem.message}" for problem in problems(text, words)]


# ------------------------------------------------------------------------------------------------------ the forms


@pytest.mark.parametrize(
    ("form", "parameter"),
    [
        ([0, 1], Range(0.0, 1.0)),
        (["1e-5", 0.1], Range(1e-5, 0.1)),
        ({"range": [0.5, 2]}, Range(0.5, 2.0)),
        ({"range": [1, 3], "type": "float"}, Range(1.0, 3.0)),
        ({"range": [1, 3], "type": "integer"}, Range(1, 3, is_whole=True)),
        ({"range": [1, 300], "type": "int", "log": True}, Range(1, 300, is_whole=True, log=True)),
        ({"range": [0.1, 1], "log": "yes"}, Range(0.1, 1.0, log=True)),
        ({"enum": ["Adam", "SGD"]}, Choice(("Adam", "SGD"))),
        ({"enum": [8, "16"], "type": "integer"}, Choice((8, 16))),
        ({"enum": [0.5, 2], "type": "float"}, Choice((0.5, 2))),
        ({"enum": [1, True, "1", None, [64, 64]], "type": "other"}, Choice((1, True, "1", None, [64, 64]))),
    ],
)
def test_every_form(form: Any, parameter: Range | Choice) -> None:
    assert read_space({"a": form}) == ({"a": parameter}, [])


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (3, "found 3; write [min, max]"),
        (None, "found nothing; write [min, max]"),
        ([1], "a range is [min, max]"),
        ([1, 2, 3], "to choose one of several values write {enum: [1, 2, 3]}"),
        ([2, 1], "found [2, 1]; the first end must be below the second"),
        ([1, 1], "the first end must be below"),
        (["low", 1], "found 'low'; must be a number"),
        ([True, 2], "found true; must be a number"),
        ([0, math.inf], "must be a finite number"),
        ({}, "give either range or enum"),
        ({"range": [0, 1], "enum": [1]}, "give either range or enum"),
        ({"range": [0, 1], "types": "float"}, "no such key; there are: range, enum, type, log"),
        ({"range": [0, 1], "type": "whole"}, "float or integer"),
        ({"range": [0.5, 2], "type": "integer"}, "found 0.5; must be a whole number"),
        ({"range": [0, 1], "log": True}, "log: true wants numbers above 0, the range begins at 0"),
        ({"range": [1, 2], "log": 3}, "must be true or false"),
        ({"enum": []}, "must be a list of values to choose from"),
        ({"enum": "Adam"}, "must be a list of values to choose from"),
        ({"enum": [1, 2, 1]}, "found 1 twice; keep one"),
        ({"enum": ["x"], "type": "float"}, "found 'x'; must be a number"),
        ({"enum": [1], "type": "text"}, "choices are float, integer or other"),
        ({"enum": [1, 2], "log": True}, "log is for ranges"),
    ],
)
def test_forms_that_are_none(form: Any, words: str) -> None:
    space, [finding] = read_space({"a": form})
    assert space == {}
    assert finding.loc[:2] == ("hyperparameters", "a")
    assert words in finding.message


@pytest.mark.parametrize("name", ["my-rate", "2nd", "lambda", "a b", ""])
def test_names_that_no_expression_can_use(name: str) -> None:
    space, [finding] = read_space({name: [0, 1]})
    assert space == {}
    assert "no name that expressions can use" in finding.message


def test_examples_are_inside_and_at_the_ends() -> None:
    space = {"n": Range(2, 8, is_whole=True), "r": Range(0.0, 10.0), "log": Range(1e-4, 1.0, log=True)}
    points = example_points({**space, "c": Choice(("x", "y", "z", "w"))})
    assert [point["n"] for point in points] == [5, 2, 8, 8]
    assert [point["c"] for point in points] == ["x", "y", "z", "w"]
    assert points[0]["r"] == pytest.approx(4.719)  # about the middle, and no whole number, nor a multiple of one
    assert points[0]["log"] == pytest.approx(10 ** (-4 * (1 - 0.4719)))
    assert [(point["r"], point["log"]) for point in points[1:3]] == [(0.0, 1e-4), (10.0, 1.0)]


# --------------------------------------------------------------------------------------------------- substitution


def test_values_come_to_stand_where_they_are_named() -> None:
    root = parse(
        """\
        lr: rate
        rate: [rate, {deep: 2*n}]
        loss: bce+n*dice
        path: data/n.csv
        plain: [1, true, null, text]
        hyperparameters: {rate: [0, 1], n: [0, 9]}
        """
    ).root
    new, findings, uses = substituted(root, {"rate": 0.25, "n": 3})
    assert findings == []
    assert plain(new) == {
        "lr": 0.25,
        "rate": [0.25, {"deep": 6}],
        "loss": "bce+3*dice",
        "path": "data/n.csv",
        "plain": [1, True, None, "text"],
        "hyperparameters": {"rate": [0, 1], "n": [0, 9]},
    }
    assert set(uses) == {("lr",), ("rate", 0), ("rate", 1, "deep"), ("loss",)}
    assert new.entries["lr"].value.place == root.entries["lr"].value.place


# -------------------------------------------------------------------------------------------------------- the check


def test_a_config_is_checked_with_examples(words: Vocabulary) -> None:
    spec = check_text(TEMPLATE, vocabulary=words)
    assert (spec.lr, spec.batch, spec.stages[0].epochs) == (pytest.approx(10 ** (-4 + 2 * 0.4719)), 4, 2)
    assert spec.place("lr").line == 5
    assert space_of(spec) == {
        "rate": Range(1e-4, 1e-2, log=True),
        "n": Range(1, 4, is_whole=True),
        "share": Range(0.0, 1.0),
    }


def test_problems_stand_where_the_config_has_them(words: Vocabulary) -> None:
    text = TEMPLATE.replace("dice_loss", "dyce_loss").replace("[1, 4], type: integer", "[1, 4]")
    found = said(text, words)
    assert found[0].startswith("4 loss: ")
    assert "dyce_loss" in found[0]
    assert found[0].endswith("(where share=0.4719)")
    assert found[1:] == [
        "6 batch: found 4.8314; must be a whole number (where n=2.4157)",
        "9 stages[0].epochs: found 2.4157; must be a whole number (where n=2.4157)",
    ]


def test_ends_of_ranges_are_checked_too(words: Vocabulary) -> None:
    text = TEMPLATE.replace("[1e-4, 1e-2]", "[0.01, 200]").replace("[1, 4]", "[0, 4]")
    assert said(text, words) == [
        "5 lr: found 200; must be at most 100 (where rate=200)",
        "6 batch: found 0; must be at least 1 (where n=0)",
        "9 stages[0].epochs: found 0; must be at least 1 (where n=0)",
    ]


def test_every_choice_is_checked(words: Vocabulary) -> None:
    text = TEMPLATE.replace("resnet34", "net") + "  net: {enum: [resnet34, 3, ' ']}\n"
    assert said(text, words) == ["2 backbone: found 3; must be text (where net=3)"]


def test_what_is_never_used_is_refused(words: Vocabulary) -> None:
    [found] = said(TEMPLATE + "  decay: [0, 1]\n", words)
    assert found.startswith("14 hyperparameters.decay: never used: no value of the config names it")


def test_expressions_without_a_value(words: Vocabulary) -> None:
    text = TEMPLATE.replace("2*n", "8/(n-1)")
    assert said(text, words) == ["6 batch: '8/(n-1)' has no value: division by zero (where n=1)"]


def test_what_depends_on_a_bad_parameter_is_not_judged(words: Vocabulary) -> None:
    text = TEMPLATE.replace("[1, 4]", "[4, 1]").replace("classes: 1", "classes: none at all")
    found = said(text, words)
    assert found == [
        "3 classes: found 'none at all'; must be a whole number",
        "12 hyperparameters.n.range: found [4, 1]; the first end must be below the second",
    ]


def test_other_problems_are_told_once_and_plainly(words: Vocabulary) -> None:
    assert said(TEMPLATE.replace("classes: 1", "classes: 0"), words) == ["3 classes: found 0; must be from 1 to 100000"]


def test_a_config_may_take_its_parameters_from_elsewhere(words: Vocabulary) -> None:
    text = TEMPLATE.partition("hyperparameters")[0].replace("2*n", "2").replace("epochs: n", "epochs: 1")
    common = "hyperparameters: {rate: [0.1, 0.2], share: [0, 1]}\n"
    assert check_text(text, vocabulary=words, common=common).lr == pytest.approx(0.14719)
    overrides = ["hyperparameters.rate=[0.5, 0.7]", "hyperparameters.share=[0,1]"]
    assert check_text(text, vocabulary=words, overrides=overrides).lr == pytest.approx(0.59438)
    found = problems(text, words, overrides=["hyperparameters.rate=3", "loss=dice_loss"])
    assert [(problem.where, problem.key) for problem in found] == [("command line", "hyperparameters.rate")]


def test_an_empty_map_is_no_search(words: Vocabulary) -> None:
    text = TEMPLATE.partition("hyperparameters")[0]
    plainly = text.replace("rate", "0.1").replace("2*n", "2").replace(": n", ": 1").replace("share", "0.5")
    assert check_text(plainly + "hyperparameters: {}\n", vocabulary=words).hyperparameters == {}


@pytest.mark.parametrize(
    ("keys", "mode"),
    [
        ("", "max"),
        ("primary_metric: val_loss\n", "min"),
        ("primary_metric: val_dice\n", "max"),
        ("primary_metric: val_dice\nprimary_metric_mode: min\n", "min"),
        ("primary_metric: val_loss\nexperiment_result: dice\n", "max"),
        ("primary_metric: val_loss\nprimary_metric_mode: min\nexperiment_result: val_dice_holdout\n", "max"),
        ("primary_metric: val_dice\nprimary_metric_mode: min\nexperiment_result: dice\n", "min"),
    ],
)
def test_which_way_trials_get_better(keys: str, mode: str, words: Vocabulary) -> None:
    assert result_mode(check_text(TEMPLATE + keys, vocabulary=words), words.direction) == mode
