"""torch's schedules as hooks, against torch itself."""

from __future__ import annotations

import pytest
import torch
from stages import Stage, rates
from torch.optim import lr_scheduler

from musket.core.errors import TrainingError
from musket.training.catalogue import CALLBACKS

EPOCHS, STEPS = 6, 3

# name, options of the hook, options of the torch class over the same stage
CASES = [
    ("ConstantLR", {"factor": 0.5, "total_iters": 2}, None),
    ("LinearLR", {"total_iters": 4}, None),
    ("ExponentialLR", {"gamma": 0.5}, None),
    ("StepLR", {"step_size": 2}, None),
    ("MultiStepLR", {"milestones": [1, 4], "gamma": 0.5}, None),
    ("PolynomialLR", {"power": 2.0}, {"power": 2.0, "total_iters": EPOCHS}),
    ("CosineAnnealingLR", {}, {"T_max": EPOCHS}),
    ("CosineAnnealingLR", {"interval": "step", "eta_min": 0.01}, {"T_max": EPOCHS * STEPS, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 3}, None),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 2}, None),
    ("OneCycleLR", {"max_lr": 1.0}, {"max_lr": 1.0, "total_steps": EPOCHS * STEPS}),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 7, "steps_per_epoch": 3}, None),
    ("OneCycleLR", {"max_lr": 1.0, "interval": "epoch"}, {"max_lr": 1.0, "total_steps": EPOCHS}),
    ("TorchCyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 4}, None),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (epoch + 1)}, None),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 0.9}, None),
]


def by_torch(name, options, interval):
    """Rate and momentum of every batch, by torch alone."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05, momentum=0.5)
    schedule = getattr(lr_scheduler, name.removeprefix("Torch"))(optimizer, **options)
    found = []
    for batch in range(EPOCHS * STEPS):
        found.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        if interval == "step" or batch % STEPS == STEPS - 1:
            schedule.step()
    return found


def stage_of(name, options):
    return Stage(CALLBACKS.load(name)(**options), steps=STEPS, epochs=EPOCHS, momentum=0.5)


@pytest.mark.parametrize(("name", "options", "of_torch"), CASES)
def test_rates_are_those_of_torch(name, options, of_torch):
    interval = options.get("interval", "step" if name in ("OneCycleLR", "TorchCyclicLR") else "epoch")
    plain = {key: value for key, value in options.items() if key != "interval"}
    expected = by_torch(name, of_torch or plain, interval)
    stage = stage_of(name, options).start().epochs(EPOCHS)
    assert list(zip(stage.rates, stage.momenta, strict=True)) == expected
    assert len(set(stage.rates)) > 1


def nested(interval):
    parts = [{"LinearLR": {"total_iters": 3, "start_factor": 0.1}}, {"CosineAnnealingLR": {"T_max": 10}}]
    return {"schedulers": parts, "milestones": [3], "interval": interval}


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_warm_up_then_cosine(interval):
    found = rates(CALLBACKS.load("SequentialLR")(**nested(interval)), 18, steps=3)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    warm = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, 10)
    schedule = lr_scheduler.SequentialLR(optimizer, [warm, cosine], [3])
    expected = []
    for batch in range(18):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if interval == "step" or batch % 3 == 2:
            schedule.step()
    assert found == expected


def test_chained_schedules_multiply():
    parts = [{"ConstantLR": {"factor": 0.1, "total_iters": 2}}, {"ExponentialLR": {"gamma": 0.9}}]
    found = rates(CALLBACKS.load("ChainedScheduler")(schedulers=parts), 3, steps=1)
    assert found == pytest.approx([0.005, 0.0045, 0.0405])


RESUMED = [
    *((name, options) for name, options, _ in CASES),
    ("SequentialLR", nested("epoch")),
    ("SequentialLR", nested("step")),
    ("ChainedScheduler", {"schedulers": [{"StepLR": {"step_size": 2}}, {"ExponentialLR": {"gamma": 0.9}}]}),
    ("TorchReduceLROnPlateau", {"patience": 1, "cooldown": 1}),
]


@pytest.mark.parametrize(("name", "options"), RESUMED)
@pytest.mark.parametrize("done", [1, 2, 4])
def test_resumed_run_goes_on_as_if_never_stopped(name, options, done):
    losses = [5.0, 4, 4, 4, 4, 4]
    whole = stage_of(name, options).start().epochs(EPOCHS, val_loss=losses)
    first = stage_of(name, options).start().epochs(done, val_loss=losses)
    second = stage_of(name, options).resume(first.state(), first.run.step)
    second.epochs(EPOCHS - done, val_loss=losses[done:])
    assert [*first.rates, *second.rates] == whole.rates
    assert [*first.momenta, *second.momenta] == whole.momenta


GROWING = [("CosineAnnealingLR", {"eta_min": 1e-4}), ("CosineAnnealingLR", {}), ("PolynomialLR", {"power": 2.0})]
GROWING.append(("OneCycleLR", {"max_lr": 1.0}))


@pytest.mark.parametrize("interval", ["epoch", "step"])
@pytest.mark.parametrize(("name", "options"), GROWING)
@pytest.mark.parametrize("done", [2, 4])
def test_a_stage_that_grows_goes_on_like_one_that_was_long_from_the_beginning(name, options, interval, done):
    def stage(epochs):
        return Stage(CALLBACKS.load(name)(**options, interval=interval), steps=STEPS, epochs=epochs, momentum=0.5)

    whole = stage(12).start().epochs(12)
    short = stage(4).start().epochs(done)
    grown = stage(12).resume(short.state(), short.run.step).epochs(3)
    again = stage(12).resume(grown.state(), grown.run.step).epochs(12 - done - 3)
    assert [*grown.rates, *again.rates] == whole.rates[done * STEPS :]
    assert [*grown.momenta, *again.momenta] == whole.momenta[done * STEPS :]
    assert short.rates != whole.rates[: done * STEPS]
    assert all(rate > 0 for rate in whole.rates)


def test_a_length_of_its_own_may_grow_and_shrink_too():
    def stage(length):
        return Stage(CALLBACKS.load("OneCycleLR")(max_lr=1.0, total_steps=length), steps=STEPS, momentum=0.5)

    short, whole = stage(5).start().epochs(3), stage(18).start().epochs(6)
    assert stage(18).resume(short.state(), short.run.step).epochs(3).rates == whole.rates[9:]
    shrunk = stage(5).resume(whole.state(), whole.run.step).epochs(1)
    assert shrunk.rates == [short.rates[-1]] * STEPS


def test_edited_options_win_over_a_stored_state():
    stage = Stage(CALLBACKS.load("StepLR")(step_size=1, gamma=0.5), lr=1.0).start().epochs(2)
    again = Stage(CALLBACKS.load("StepLR")(step_size=1, gamma=0.1)).resume(stage.state(), stage.run.step).epochs(1)
    assert again.rates[0] == 0.25
    assert again.run.lr == pytest.approx(0.025)


def test_next_stage_begins_at_the_rate_of_the_moment():
    stage = Stage(CALLBACKS.load("StepLR")(step_size=1, gamma=0.5), lr=1.0)
    stage.start().epochs(2)
    stage.start().epochs(2)
    assert stage.rates[::4] == [1, 0.5, 0.25, 0.125]


def test_one_cycle_that_is_over_stays_at_its_end():
    found = rates(CALLBACKS.load("OneCycleLR")(max_lr=1.0, total_steps=5, anneal_strategy="linear"), 9)
    assert found[4:] == [pytest.approx(1 / 25 / 1e4)] * 5


def test_plateau_of_torch_watches_a_figure():
    hook = CALLBACKS.load("TorchReduceLROnPlateau")(monitor="val_dice", patience=0, factor=0.5)
    stage = Stage(hook, lr=1.0, steps=1).start().epochs(4, val_dice=[0.1, 0.2, 0.1, 0.3])
    assert stage.rates == [1, 1, 1, 0.5]
    with pytest.raises(TrainingError, match="TorchReduceLROnPlateau monitors val_dice, which is not logged"):
        stage.epochs(1)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("StepLR", {}, "StepLR: missing a required argument: 'step_size'"),
        ("StepLR", {"step": 1}, "StepLR: "),
        ("StepLR", {"step_size": 1, "interval": "batch"}, "interval is 'batch'; allowed are epoch and step"),
        ("TorchReduceLROnPlateau", {"monitor": "val_mine"}, "cannot tell whether a higher val_mine"),
        ("StepLR", {"step_size": 0}, "StepLR: step_size is 0; it must be 1 or more"),
        ("CosineAnnealingLR", {"T_max": 0}, "CosineAnnealingLR: T_max is 0; it must be 1 or more"),
        ("CosineAnnealingLR", {"T_max": "3"}, "CosineAnnealingLR: T_max is '3'; it must be 1 or more"),
        (
            "TorchCyclicLR",
            {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 0},
            "TorchCyclicLR: step_size_up is 0; it must",
        ),
        (
            "TorchCyclicLR",
            {"base_lr": 0.1, "max_lr": 1.0, "step_size_down": -4},
            "step_size_down is -4; it must be 0 or",
        ),
        ("OneCycleLR", {"max_lr": 1.0, "div_factor": 0}, "OneCycleLR: div_factor is 0; it must be above 0"),
        ("ConstantLR", {"factor": 0.0}, r"ConstantLR: factor is 0\.0; it must be above 0"),
        ("PolynomialLR", {"power": -1}, "PolynomialLR: power is -1; it must be 0 or more"),
    ],
)
def test_options_are_checked(name, options, told):
    with pytest.raises(TrainingError, match=told):
        CALLBACKS.load(name)(**options)


def test_what_torch_refuses_is_told_when_the_stage_starts():
    with pytest.raises(TrainingError, match="LinearLR with"):
        Stage(CALLBACKS.load("LinearLR")(start_factor=2.0)).start()
    adagrad = torch.optim.Adagrad([torch.nn.Parameter(torch.zeros(1))])
    stage = Stage(CALLBACKS.load("OneCycleLR")(max_lr=1.0))
    stage.run.optimizer = adagrad
    with pytest.raises(TrainingError, match=r"OneCycleLR with .*momentum"):
        stage.start()


def test_a_division_by_zero_inside_torch_is_told_when_the_stage_starts():
    parts = [{"LinearLR": {}}, {"StepLR": 0}]
    with pytest.raises(TrainingError, match=r"^StepLR: step_size is 0; it must be 1 or more"):
        Stage(CALLBACKS.load("SequentialLR")(schedulers=parts, milestones=[2])).start()
    with pytest.raises(TrainingError, match=r"OneCycleLR with .*; pct_start times the steps must not be exactly 1"):
        Stage(CALLBACKS.load("OneCycleLR")(max_lr=1.0, pct_start=0.25), steps=2, epochs=2, momentum=0.5).start()
