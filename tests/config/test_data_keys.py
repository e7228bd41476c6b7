"""Datasets described by their files, composed of others or given in parts: what is wrong is told before files open."""

from __future__ import annotations

import pytest

from musket.config.check import check_text, unavailable
from musket.config.schema import ExperimentSpec
from musket.config.vocabulary import Vocabulary
from musket.core.errors import ConfigError, ConfigWarning

MINIMUM = """\
architecture: Unet
backbone: resnet18
classes: 1
loss: dice_loss
metrics: [binary_accuracy]
stages: [{epochs: 1}]
"""
ARRAY = "dataset: {inputs: [{bindings: [{reader: RGBA, path: a}]}], outputs: [{bindings: [%s]}]}"


def read(text: str, words: Vocabulary) -> ExperimentSpec:
    return check_text(f"{MINIMUM}{text}\n", vocabulary=words)


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (
            "dataset: {input_path: a, output_pth: b}",
            "dataset.output_pth",
            "no such key; nearest: output_path",
        ),
        ("dataset: {input_path: 3}", "dataset.input_path", "found 3; must be text"),
        ("dataset: {output_path: a}", "dataset.input_path", "missing; give the folder of images here, or inputs"),
        (
            "dataset: {input_path: a, inputs: [{bindings: [{reader: RGBA, path: b}]}]}",
            "dataset.input_path",
            "given beside inputs; keep one of them",
        ),
        ("dataset: {inputs: 3}", "dataset.inputs", "found 3; must be a list"),
        ("dataset: {inputs: [{name: a}]}", "dataset.inputs[0].bindings", None),
        ("dataset: {inputs: [{bindings: [{path: b}]}]}", "dataset.inputs[0].bindings[0].reader", "missing"),
        (
            ARRAY % "{reader: RGB, path: b}",
            "dataset.outputs[0].bindings[0].reader",
            "found 'RGB'; must be RGBA, monochrome or CSV; nearest: RGBA",
        ),
        (
            ARRAY % "{reader: monochrome, path: b, bind: [1]}",
            "dataset.outputs[0].bindings[0].bind",
            "takes channel 1; there is 0",
        ),
        (ARRAY % "{reader: RGBA, path: b, bind: [x]}", "dataset.outputs[0].bindings[0].bind[0]", None),
        (
            ARRAY % "{reader: RGBA, path: b, treat: binary}",
            "dataset.outputs[0].bindings[0].treat.type",
            "found 'binary'; must be as_is or binary_mask",
        ),
        (
            ARRAY % "{reader: RGBA, path: b, treat: {threshhold: 3}}",
            "dataset.outputs[0].bindings[0].treat.threshhold",
            None,
        ),
        (
            ARRAY % "{reader: RGBA, path: b, treat: {colors: [[1, 2, 3]]}}",
            "dataset.outputs[0].bindings[0].treat.colors",
            "no effect on values as_is; write type: binary_mask",
        ),
        (
            ARRAY % "{reader: RGBA, path: b, treat: {type: binary_mask, colors: [[1, 2]]}}",
            "dataset.outputs[0].bindings[0].treat.colors[0]",
            None,
        ),
        (
            ARRAY % "{reader: RGBA, path: b, bind: 1, treat: {type: binary_mask, colors: [[1, 2, 3]]}}",
            "dataset.outputs[0].bindings[0].bind",
            "takes channel 1; there is 0",
        ),
        (
            ARRAY % "{reader: monochrome, path: b, headers: [a]}",
            "dataset.outputs[0].bindings[0].headers",
            "columns of a table; only reader: CSV has them",
        ),
        (ARRAY % "{reader: RGBA, path: b}, {reader: CSV, path: c}", "dataset.outputs[0].bindings", None),
        ("dataset: {input_path: a, scores_range: [0, 1]}", "dataset.scores_range", None),
        ("dataset: {input_path: a, scores_path: b, scores_range: [1, 0]}", "dataset.scores_range", None),
        ("dataset: {input_path: a, output_path: b, negative: 1}", "dataset.negative", None),
        ("dataset: {input_path: a, negative: -1}", "dataset.negative", None),
        ("datasets: {one: {input_path: a, negatives: 1}}", "datasets.one.negatives", "no such key; nearest: negative"),
        ("extra_train_data: {input_path: a, output: b}", "extra_train_data.output", None),
        ("dataset: [two]\ndatasets: {one: {input_path: a}}", "dataset[0]", None),
        ("dataset: both\ndatasets: {one: {input_path: a}, both: [one, oen]}", "datasets.both[1]", None),
        ("dataset: a\ndatasets: {a: [a]}", "datasets.a", "an empty list makes no dataset; name entries of datasets"),
        ("datasets: {a: [b, c], b: [a], c: {input_path: x}}", "datasets.a", None),
        ("dataset: {validation: {get_train: []}}", "dataset.train", None),
        ("extra_train_data: people", "extra_train_data", None),
        ("dataset_augmenter: {times: 3}", "dataset_augmenter.name", None),
        (
            "dataset_augmenter: {name: get_trian}",
            "dataset_augmenter.name",
            "no such function 'get_trian'; nearest: get_train",
        ),
        ("dataset_augmenter: {name: get_train, sise: 1}", "dataset_augmenter.sise", None),
    ],
)
def test_one_problem(text: str, key: str, message: str | None, words: Vocabulary) -> None:
    words.dataset_augmenters.add("get_train", words.datasets.load("get_train"), replace=True)
    with pytest.raises(ConfigError) as caught:
        read(text, words)
    found = {problem.key: problem for problem in caught.value.problems}
    assert key in found
    assert found.keys() <= {key, "datasets.b"}
    assert found[key].line > 6
    assert message is None or found[key].message == message


def test_all_problems_of_an_entry_at_once(words: Vocabulary) -> None:
    text = "datasets:\n  one:\n    inputs:\n      - data_type: uint9\n        bindings:\n          - reader: RGB\n"
    with pytest.raises(ConfigError) as caught:
        read(text, words)
    places = [(problem.line, problem.key.rpartition("one.")[2]) for problem in caught.value.problems]
    assert places == [
        (10, "inputs[0].data_type"),
        (12, "inputs[0].bindings[0].path"),
        (12, "inputs[0].bindings[0].reader"),
    ]


def test_nothing_of_this_is_unavailable(words: Vocabulary) -> None:
    spec = read(
        "dataset: one\ndatasets: {one: {input_path: a, output_path: b}, two: [one]}\nextra_train_data: two", words
    )
    assert unavailable(spec) == []


def test_a_list_that_nothing_uses_may_name_what_is_not_there(words: Vocabulary) -> None:
    with pytest.warns(
        ConfigWarning, match=r"no such entry of datasets 'default'; there are: .*; nothing uses this list"
    ):
        read("dataset: one\ndatasets: {one: {input_path: a}, composite: [default]}", words)
