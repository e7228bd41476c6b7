from __future__ import annotations

import math
import warnings

import pytest
import torch
from stages import Stage, rates
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from musket.core.errors import TrainingError
from musket.training.hooks import Run
from musket.training.warmup_cosine import WarmupCosine


def test_values_worked_by_hand() -> None:
    """Four batches up from 0.2, then eight down: 1, ..., half of it in the middle, and 0 would be next."""
    found = rates(WarmupCosine(warmup=1, start_factor=0.2), 12, lr=1.0, steps=4, epochs=3)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[6] == pytest.approx(0.5 + math.sqrt(0.5) / 2)
    assert found[8] == pytest.approx(0.5)
    assert found[10] == pytest.approx(0.5 - math.sqrt(0.5) / 2)
    assert found[11] == pytest.approx((1 + math.cos(math.pi * 7 / 8)) / 2)


@pytest.mark.parametrize(("warmup", "steps", "least"), [(1.5, 4, 0.001), (2, 5, 0.0), (0.25, 8, 0.01)])
def test_against_torch(warmup: float, steps: int, least: float) -> None:
    epochs, first = 6, int(warmup * steps)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        up = LinearLR(optimizer, start_factor=0.01, total_iters=first)
        down = CosineAnnealingLR(optimizer, epochs * steps - first, eta_min=least)
        schedule = SequentialLR(optimizer, [up, down], [first])
        expected = []
        for _ in range(epochs * steps):
            expected.append(optimizer.param_groups[0]["lr"])
            schedule.step()
    hook = WarmupCosine(warmup=warmup, min_lr=least)
    assert rates(hook, epochs * steps, lr=0.1, steps=steps, epochs=epochs) == pytest.approx(expected)


def test_without_a_warm_up() -> None:
    found = rates(WarmupCosine(warmup=0), 4, lr=2.0, steps=2, epochs=2)
    assert found == pytest.approx([1 + math.cos(math.pi * i / 4) for i in range(4)])


def test_warms_up_for_an_eighteenth_by_itself() -> None:
    """Of 36 batches two: 0.01 and half of the way."""
    found = rates(WarmupCosine(), 36, lr=1.0, steps=4, epochs=9)
    assert found[:3] == pytest.approx([0.01, 0.505, 1.0])


def test_a_warm_up_longer_than_the_stage_is_all_of_it() -> None:
    found = rates(WarmupCosine(warmup=4, start_factor=0), 4, lr=1.0, steps=4, epochs=1)
    assert found == pytest.approx([0, 1 / 16, 2 / 16, 3 / 16])


def test_groups_keep_their_ratios() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [weights[0]], "lr_scale": 0.1, "lr": 0.1}, {"params": [weights[1]], "lr": 1.0}]
    optimizer = torch.optim.SGD(groups)
    run = Run(0, 0, 2, 4, torch.nn.Linear(1, 1), optimizer)
    hook = WarmupCosine(warmup=1, min_lr=0.5, start_factor=0.5)
    hook.on_stage_start(run)
    seen = []
    for run.step in range(8):
        hook.on_batch_start(run)
        seen.append([group["lr"] for group in optimizer.param_groups])
    assert [low / high for low, high in seen] == pytest.approx([0.1] * 8)
    assert [high for _, high in seen] == pytest.approx(
        [0.5, 0.625, 0.75, 0.875, *(0.75 + math.cos(math.pi * i / 4) / 4 for i in range(4))]
    )


def test_resumed_it_goes_on_exactly() -> None:
    def hook() -> WarmupCosine:
        return WarmupCosine(warmup=1.5)

    whole = rates(hook(), 24, epochs=6)
    for epoch in range(6):
        first = Stage(hook(), epochs=6).start().epochs(epoch)
        rest = Stage(hook(), epochs=6).resume(first.state(), epoch * 4).epochs(6 - epoch)
        assert first.rates + rest.rates == whole


def test_resumed_with_more_epochs_it_goes_on_as_if_there_had_always_been_as_many() -> None:
    first = Stage(WarmupCosine(1), epochs=3).start().epochs(3)
    rest = Stage(WarmupCosine(1), epochs=8).resume(first.state(), 12).epochs(5)
    assert rest.rates == rates(WarmupCosine(1), 32, epochs=8)[12:]


def test_the_next_stage_begins_with_the_full_rate() -> None:
    stage = Stage(WarmupCosine(1), lr=0.3).start().epochs(100)
    assert stage.run.lr < 0.001
    stage.hooks.on_stage_end(stage.run)
    assert stage.run.lr == 0.3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"warmup": -1}, "warmup is -1; it must be 0 or more"),
        ({"warmup": math.nan}, "warmup is nan"),
        ({"min_lr": -0.1}, "min_lr is -0.1; it must be 0 or more"),
        ({"start_factor": 1.5}, "start_factor is 1.5; it must lie between 0 and 1"),
    ],
)
def test_values_that_make_no_sense_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        WarmupCosine(**options)


@pytest.mark.parametrize(("lr", "least"), [(0.01, 0.02), (0.0, 0.0)])
def test_a_rate_that_cannot_fall_is_refused(lr: float, least: float) -> None:
    with pytest.raises(TrainingError, match="Give the stage an lr of its own"):
        Stage(WarmupCosine(min_lr=least), lr=lr).start()
