"""Weights that learn at a share of the rate keep it, whatever sets the rate."""

from __future__ import annotations

import pytest
from stages import Stage, rates

from musket.training.catalogue import CALLBACKS

EPOCHS = 8
WORSE = {"val_loss": [1.0, 1, 1, 0.5, 1, 1, 1, 1]}

# every callback that sets rates, with rates of its own among the options where it has such
CASES = [
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.1, "min_lr": 1e-3}),
    ("CyclicLR", {"base_lr": 1e-3, "max_lr": 0.1, "step_size": 5}),
    ("LRVariator", {"fromVal": 0.01, "toVal": 0.2, "relSize": 3}),
    ("LRVariator", {"toVal": 0.0, "relSize": 3}),
    ("LearningRateScheduler", {"schedule": lambda epoch, lr: lr * 0.8}),
    ("WarmupCosine", {"warmup": 2, "min_lr": 1e-3}),
    ("ExponentialLR", {"gamma": 0.5}),
    ("LinearLR", {"total_iters": 4}),
    ("CosineAnnealingLR", {"eta_min": 0.01, "interval": "step"}),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": 1.0}),
    ("TorchCyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 4}),
    ("TorchReduceLROnPlateau", {"patience": 1, "factor": 0.1, "min_lr": 0.01}),
    ("SequentialLR", {"schedulers": [{"LinearLR": {}}, {"CosineAnnealingLR": {"T_max": 5}}], "milestones": [3]}),
]


def stage_of(name, options, **more):
    return Stage(CALLBACKS.load(name)(**options), epochs=EPOCHS, momentum=0.5, **more)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_schedule_keeps_shares(name, options):
    """That the second weight learns at its share of the rate of every batch is asserted by the stage."""
    shared = stage_of(name, options, share=0.3).start().epochs(EPOCHS, **WORSE)
    alike = stage_of(name, options).start().epochs(EPOCHS, **WORSE)
    assert shared.rates == pytest.approx(alike.rates, rel=1e-12)
    assert len(set(alike.rates)) > 1


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_resumed_run_keeps_shares(name, options):
    whole = stage_of(name, options, share=0.3).start().epochs(EPOCHS, **WORSE)
    first = stage_of(name, options, share=0.3).start().epochs(3, **WORSE)
    rest = {"val_loss": WORSE["val_loss"][3:]}
    second = stage_of(name, options, share=0.3).resume(first.state(), first.run.step).epochs(EPOCHS - 3, **rest)
    assert [*first.rates, *second.rates] == whole.rates


def test_a_longer_run_keeps_shares():
    state = stage_of("CosineAnnealingLR", {}, share=0.3).start().epochs(2).state()
    longer = (
        Stage(CALLBACKS.load("CosineAnnealingLR")(), epochs=20, momentum=0.5, share=0.3).resume(state, 8).epochs(18)
    )
    assert longer.rates == pytest.approx(rates(CALLBACKS.load("CosineAnnealingLR")(), 80, epochs=20)[8:], rel=1e-12)


def test_the_logged_rate_is_the_one_of_the_config():
    stage = stage_of("ExponentialLR", {"gamma": 1.0}, lr=0.2, share=0.1).start().epochs(1)
    assert stage.rows[0]["lr"] == 0.2
    assert [group["lr"] for group in stage.run.optimizer.param_groups] == pytest.approx([0.2, 0.02])
