"""Operations that change values, against their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from musket.augment.colour import Add, GammaContrast, Invert, LinearContrast, LogContrast, Multiply, SigmoidContrast
from musket.augment.compile import Chain
from musket.augment.geometry import Fliplr
from musket.augment.steps import Operation
from musket.core.errors import MusketError
from musket.core.runtime import generator

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)


def run(operation: Operation, image: np.ndarray, seed: int = 0) -> np.ndarray:
    done, _ = Chain((operation,), None, None)(image, None, generator(seed))
    return done


@pytest.mark.parametrize(
    ("operation", "formula"),
    [
        (Add(30.0), lambda v: v + 30),
        (Add(-30.0), lambda v: v - 30),
        (Multiply(1.5), lambda v: v * 1.5),
        (Invert(), lambda v: 255 - v),
        (LinearContrast(0.5), lambda v: 127 + 0.5 * (v - 127)),
        (GammaContrast(2.0), lambda v: 255 * (v / 255) ** 2),
        (LogContrast(0.8), lambda v: 255 * 0.8 * math.log2(1 + v / 255)),
        (SigmoidContrast(6.0, 0.4), lambda v: 255 / (1 + math.exp(6 * (0.4 - v / 255)))),
    ],
)
def test_formulas_at_every_depth(operation: Operation, formula: Callable[[float], float]) -> None:
    wanted = np.array([min(max(formula(v), 0), 255) for v in range(256)]).reshape(RAMP.shape)
    assert np.abs(run(operation, RAMP) - wanted).max() <= 0.5001
    deep = RAMP.astype(np.uint16) * 257
    assert np.abs(run(operation, deep) / 257 - wanted).max() <= 0.003
    floats = RAMP.astype(np.float32) / 255
    assert np.abs(run(operation, floats) * 255 - wanted).max() <= 0.001


@pytest.mark.parametrize("make", [Add, Multiply, LinearContrast, GammaContrast, LogContrast, SigmoidContrast])
def test_per_channel_is_a_probability(make: Any) -> None:
    grey = np.repeat(RAMP, 3, axis=2)

    def differ(per_channel: Any) -> float:
        results = [run(make(per_channel=per_channel), grey, seed) for seed in range(60)]
        return float(np.mean([(result[..., 0] != result[..., 1]).any() for result in results]))

    assert differ(False) == 0
    assert differ(True) > 0.9
    assert 0.2 < differ(0.5) < 0.8


def test_invert_draws_once_or_for_every_channel() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    together = [run(Invert(0.5), black, seed)[0, 0].tolist() for seed in range(60)]
    assert {tuple(colour) for colour in together} == {(0, 0, 0), (255, 255, 255)}
    apart = [tuple(run(Invert(0.5, True), black, seed)[0, 0].tolist()) for seed in range(60)]
    assert len(set(apart)) > 4


def test_ranges_are_filled() -> None:
    black = np.zeros((2, 2, 1), np.uint8)
    values = [int(run(Add((10.0, 50.0)), black, seed)[0, 0, 0]) for seed in range(200)]
    assert min(values) in range(10, 14)
    assert max(values) in range(46, 51)
    assert {int(run(Add((10.0, 20.0, 30.0)), black, seed)[0, 0, 0]) for seed in range(40)} == {10, 20, 30}


@pytest.mark.parametrize(
    "make", [lambda: Add(300), lambda: Multiply(-1), lambda: Invert(2), lambda: GammaContrast(0), lambda: Add(1, 7.0)]
)
def test_options_out_of_range_are_told(make: Any) -> None:
    with pytest.raises(MusketError, match="must lie from"):
        make()


def test_floats_beyond_their_range_are_refused_rather_than_cut_off() -> None:
    image = np.linspace(-2, 3, 48, dtype=np.float32).reshape(4, 4, 3)
    random = np.random.default_rng(0)
    with pytest.raises(MusketError, match="float images as 0 to 1; this one goes from -2 to 3"):
        Chain((Add(10.0),), None, None)(image, None, random)
    moved, _ = Chain((Fliplr(1.0),), None, None)(image, None, random)
    assert np.array_equal(moved, image[:, ::-1])
