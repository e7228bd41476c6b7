"""Operations that hold others, and how they are read from a config."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from musket.augment.catalogue import AUGMENTERS
from musket.augment.colour import Add, Multiply
from musket.augment.compile import Chain
from musket.augment.geometry import Affine, Fliplr, Flipud
from musket.augment.nested import OneOf, Sequential, SomeOf, Sometimes, WithChannels, build_operations
from musket.augment.steps import Operation
from musket.core.errors import MusketError
from musket.core.registry import RegistryError
from musket.core.runtime import generator

ADDS = (Add(1.0), Add(10.0), Add(100.0))


def sums(operation: Operation, draws: int = 200) -> list[int]:
    """What is added to black, over many draws."""
    chain = Chain((operation,), None, None)
    black = np.zeros((1, 1, 1), np.uint8)
    return [int(chain(black, None, generator(seed))[0][0, 0, 0]) for seed in range(draws)]


def test_one_of_runs_each_equally_often() -> None:
    found = sums(OneOf(ADDS), 600)
    assert set(found) == {1, 10, 100}
    assert all(abs(found.count(value) - 200) < 60 for value in (1, 10, 100))


@pytest.mark.parametrize(
    ("n", "counts"), [(2, {2}), ((0, 1), {0, 1}), ((2, None), {2, 3}), (None, {3}), (7, {3}), (0, {0})]
)
def test_some_of_runs_so_many(n: Any, counts: set[int]) -> None:
    digits = {sum(map(int, str(value))) for value in sums(SomeOf(n, ADDS))}
    assert digits == counts


def test_random_order_is_drawn() -> None:
    steps = (Add(10.0), Multiply(2.0))
    image = np.full((1, 1, 1), 5, np.uint8)
    for make in (Sequential(steps, True), SomeOf(None, steps, True)):
        results = {int(Chain((make,), None, None)(image, None, generator(s))[0][0, 0, 0]) for s in range(40)}
        assert results == {30, 20}
    assert set(sums(Sequential(steps), 20)) == {20}


def test_sometimes_takes_one_list_or_the_other() -> None:
    found = sums(Sometimes(0.3, (Add(1.0),), (Add(10.0),)), 600)
    assert set(found) == {1, 10}
    assert abs(found.count(1) - 180) < 60
    assert set(sums(Sometimes(0.0, (Add(1.0),)), 20)) == {0}


def test_nested_in_nested_in_nested() -> None:
    inner = OneOf((SomeOf(1, (Add(1.0), Add(10.0))), Sequential((Add(50.0), Add(50.0)))))
    assert set(sums(inner)) == {1, 10, 100}


@dataclass
class Part:
    """As the config hands them over."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    args: tuple[Any, ...] = ()


@pytest.mark.parametrize(
    ("parts", "made"),
    [
        ({"Fliplr": 0.5}, (Fliplr(0.5),)),
        (["fliplr", {"FLIPUD": {"p": 0.2}}], (Fliplr(), Flipud(0.2))),
        ([Part("Fliplr", {"p": 0.5}), Part("Flipud", {}, (0.1,))], (Fliplr(0.5), Flipud(0.1))),
        ([("Fliplr", 0.5), ("Affine", {"scale": [1, 2]})], (Fliplr(0.5), Affine(scale=(1, 2)))),
        ({"OneOf": {"Fliplr": 0.5, "Flipud": 0.5}}, (OneOf((Fliplr(0.5), Flipud(0.5))),)),
        ({"OneOf": [{"Fliplr": 0.5}, {"Fliplr": 0.1}]}, (OneOf((Fliplr(0.5), Fliplr(0.1))),)),
        ({"OneOf": {"children": {"Fliplr": 0.5}}}, (OneOf((Fliplr(0.5),)),)),
        ({"SomeOf": {"n": [0, None], "children": ["Fliplr"]}}, (SomeOf((0, None), (Fliplr(),)),)),
        (
            {"Sometimes": {"p": 0.3, "then_list": {"Sequential": ["Fliplr", {"Add": 3}]}}},
            (Sometimes(0.3, (Sequential((Fliplr(), Add(3))),)),),
        ),
        ({"WithChannels": {"channels": [0, 1], "children": {"Add": 5}}}, (WithChannels((0, 1), (Add(5),)),)),
        ([Part("OneOf", {"children": (Part("Fliplr", {"p": 0.5}),)})], (OneOf((Fliplr(0.5),)),)),
        (None, ()),
    ],
)
def test_every_form_of_a_config_is_built(parts: Any, made: tuple[Operation, ...]) -> None:
    assert build_operations(parts, AUGMENTERS) == made


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"OneOf": {"Fliplrr": 0.5}}, MusketError, "Fliplrr"),
        ({"OneOf": []}, MusketError, "names no augmenters"),
        ({"Nothing": 1}, RegistryError, "no such augmenter 'Nothing'"),
        ({"Fliplr": {"q": 1}}, MusketError, "takes no option q"),
        ({"Fliplr": 7}, MusketError, "from 0 to 1"),
        ([3], MusketError, "a map or a list of names"),
        ({"Resize": {}}, MusketError, "Resize"),
        ([Part("Fliplr", {}, (1, 2))], MusketError, "at most 1"),
        ({"SomeOf": {"n": -1, "children": ["Fliplr"]}}, MusketError, "SomeOf: n"),
    ],
)
def test_what_cannot_be_built_is_told(parts: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build_operations(parts, AUGMENTERS)


def test_nested_options_are_facts_of_the_catalogue() -> None:
    facts = {name: AUGMENTERS.get(name).facts.get("nested") for name in ("OneOf", "Sometimes", "Fliplr")}
    assert facts == {"OneOf": ("children",), "Sometimes": ("then_list", "else_list"), "Fliplr": None}
