"""Learning-rate hooks on a dummy optimizer: the rate each batch is trained at."""

from __future__ import annotations

import math

import pytest
from stages import Stage, rates

from musket.core.errors import TrainingError
from musket.core.registry import RegistryError
from musket.training.catalogue import CALLBACKS
from musket.training.hooks import Hook
from musket.training.schedules import CallbackModule, CyclicLR, LearningRateScheduler, LRVariator, ReduceLROnPlateau


def plateau(values, **options):
    """The rate after each epoch."""
    stage = Stage(ReduceLROnPlateau(**options), lr=1.0).start()
    for value in values:
        stage.epochs(1, val_loss=[value], val_dice=[value])
    return [*stage.rates[4::4], stage.run.lr]


def test_plateau_falls_after_patience_epochs_without_improvement():
    assert plateau([5, 4, 4, 4, 3, 3, 3], patience=2, factor=0.5) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_plateau_needs_more_than_min_delta():
    assert plateau([5, 4.95, 4.9, 4.85], patience=2, min_delta=0.12) == pytest.approx([1, 1, 0.1, 0.1])


def test_plateau_does_not_count_while_it_cools():
    assert plateau([5] * 7, patience=1, factor=0.5, cooldown=2) == [1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


def test_plateau_stays_above_min_lr():
    assert plateau([5] * 5, patience=1, min_lr=0.05) == pytest.approx([1, 0.1, 0.05, 0.05, 0.05])


def test_plateau_knows_which_way_is_better():
    rising = [0.1, 0.2, 0.3, 0.2]
    assert plateau(rising, monitor="val_dice", patience=1) == pytest.approx([1, 1, 1, 0.1])
    assert plateau(rising, monitor="val_loss", patience=1) == pytest.approx([1, 0.1, 0.01, 0.001])
    assert plateau(rising, monitor="val_loss", patience=1, mode="max") == pytest.approx([1, 1, 1, 0.1])


def test_plateau_takes_nan_for_no_improvement():
    assert plateau([5, math.nan, 4], patience=1) == pytest.approx([1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"factor": 1.0}, r"factor is 1\.0; it must lie between 0 and 1"),
        ({"factor": 0}, "factor is 0"),
        ({"mode": "up"}, "mode is 'up'; allowed are auto, min and max"),
        ({"monitor": "val_mine"}, "cannot tell whether a higher val_mine is better or worse; add mode"),
    ],
)
def test_plateau_refuses(options, told):
    with pytest.raises(TrainingError, match=told):
        ReduceLROnPlateau(**options)


def test_a_figure_that_is_not_logged_is_told():
    stage = Stage(ReduceLROnPlateau("val_iou")).start()
    with pytest.raises(TrainingError, match=r"monitors val_iou, which is not logged; .*\(logged: loss, lr, val_io\)"):
        stage.epochs(1, val_io=[1.0])


def test_a_figure_is_found_under_its_old_name():
    stage = Stage(ReduceLROnPlateau("val_iou_coef", patience=1)).start()
    stage.epochs(3, val_iou=[0.5, 0.4, 0.6])
    assert stage.run.lr == pytest.approx(0.005)


def test_cyclic_keeps_swinging_over_epochs_and_begins_again_with_the_stage():
    hook = CyclicLR(0.0, 1.0, step_size=3)
    expected = [0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3] * 2
    assert rates(hook, 12) == pytest.approx(expected)
    assert rates(hook, 12) == pytest.approx(expected)


def test_cyclic_with_own_scale():
    hook = CyclicLR(0.0, 1.0, 2, scale_fn=lambda cycle: 1 / cycle)
    assert rates(hook, 8) == pytest.approx([0, 0.5, 1, 0.5, 0, 0.25, 0.5, 0.25])
    hook = CyclicLR(0.0, 1.0, 2, scale_fn=lambda i: 1 / (i + 1), scale_mode="iterations")
    assert rates(hook, 4) == pytest.approx([0, 0.25, 1 / 3, 0.125])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "square"}, "mode is 'square'; allowed are triangular, triangular2, exp_range"),
        ({"step_size": 0}, "step_size is 0"),
        ({"scale_mode": "epochs"}, "scale_mode is 'epochs'"),
    ],
)
def test_cyclic_refuses(options, told):
    with pytest.raises(TrainingError, match=told):
        CyclicLR(**options)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("const", [0, 0, 0]),
        ("linear", [0, 0.5, 1]),
        ("sin", [0, math.sqrt(0.5), 1]),
        ("sin+", [0, math.sqrt(0.5), 1]),
        ("sin-", [1, 1 - math.sqrt(0.5), 0]),
        ("cos", [1, math.sqrt(0.5), 0]),
        ("cos-", [1, math.sqrt(0.5), 0]),
        ("cos+", [0, 1 - math.sqrt(0.5), 1]),
        (3, [0, 0.125, 1]),
        (0.5, [0, math.sqrt(0.5), 1]),
        ("2", [0, 0.25, 1]),
    ],
)
def test_variator_styles(style, expected):
    found = rates(LRVariator(1.0, 3.0, style, absSize=3), 3)
    assert found == pytest.approx([1 + 2 * share for share in expected], abs=1e-12)


def test_variator_begins_at_the_rate_of_the_moment_and_stays_at_its_end():
    assert rates(LRVariator(toVal=0.25, absSize=3), 6) == pytest.approx([0.05, 0.15, 0.25, 0.25, 0.25, 0.25])


def test_variator_counts_epochs_and_halves_round_up():
    assert rates(LRVariator(0.0, 1.0, relSize=1.5), 7, steps=3) == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 1])


def test_variator_of_one_batch_and_never_below_zero():
    assert rates(LRVariator(0.3, 1.0, absSize=1), 3) == pytest.approx([0.3, 0.3, 0.3])
    assert rates(LRVariator(1.0, -1.0, absSize=3), 4) == pytest.approx([1, 0, 0, 0])


def test_variator_in_periods():
    assert rates(LRVariator(0.0, 1.0, absSize=3, periodSteps=4), 9) == pytest.approx([0, 0.5, 1, 1, 0, 0.5, 1, 1, 0])
    assert rates(LRVariator(0.0, 1.0, relSize=1, periodEpochs=2), 8, steps=2) == pytest.approx([0, 1, 1, 1] * 2)


def test_chain_goes_on_where_the_last_link_ended():
    then = {"LRVariator": {"toVal": 0.0, "absSize": 3, "then": {"LRVariator": {"toVal": 0.5, "absSize": 2}}}}
    found = rates(LRVariator(0.0, 1.0, absSize=3, then=then), 10)
    assert found == pytest.approx([0, 0.5, 1, 1, 0.5, 0, 0, 0.5, 0.5, 0.5])


def test_chain_inherits_the_period():
    found = rates(LRVariator(0.0, 1.0, absSize=2, periodSteps=4, then={"LRVariator": {"toVal": 3, "absSize": 2}}), 10)
    assert found == pytest.approx([0, 1, 1, 3, 0, 1, 1, 3, 0, 1])


def test_chain_may_wait_first_and_end_with_any_callback():
    found = rates(CallbackModule(absSize=2, then={"CyclicLR": {"base_lr": 0, "max_lr": 1, "step_size": 2}}), 8)
    assert found == pytest.approx([0.05, 0.05, 0, 0.5, 1, 0.5, 0, 0.5])
    stage = Stage(CallbackModule(relSize=2, then={"ReduceLROnPlateau": {"patience": 1}}), lr=1.0).start()
    stage.epochs(5, val_loss=[1.0] * 5)  # the two epochs of waiting end inside the second: it is the first that counts
    assert stage.rates[::4] == pytest.approx([1, 1, 1, 0.1, 0.01])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "either absSize .* or relSize"),
        ({"absSize": 1, "relSize": 1}, "either absSize .* or relSize"),
        ({"absSize": 0}, "absSize is 0; it must be above 0"),
        ({"relSize": -1.0}, "relSize is"),
        ({"absSize": 1, "periodEpochs": 1, "periodSteps": 3}, "both periodEpochs and periodSteps"),
        ({"absSize": 1, "style": "wavy"}, r"style is 'wavy'; allowed are const, .* numbers above 0"),
        ({"absSize": 1, "style": -2}, "style is -2"),
        ({"absSize": 1, "style": None}, "style is None"),
        ({"absSize": 1, "then": {}}, "then holds 0 callbacks"),
        ({"absSize": 1, "then": {"LRVariator": {"absSize": 1, "periodSteps": 9}}}, "period belongs to the first link"),
        ({"absSize": 1, "then": {"LRVariator": {"absSize": 1, "toval": 9}}}, "then: LRVariator: .*'toval'"),
    ],
)
def test_variator_refuses(options, told):
    with pytest.raises(TrainingError, match=told):
        LRVariator(**options)


def test_chain_names_an_unknown_callback():
    with pytest.raises(RegistryError, match="no such callback 'LRVariater'; nearest: LRVariator"):
        LRVariator(absSize=1, then={"LRVariater": {}})


def test_a_period_that_never_reaches_the_next_link_is_refused():
    hook = LRVariator(absSize=5, periodSteps=5, then={"LRVariator": {"absSize": 1}})
    with pytest.raises(TrainingError, match="the callback under `then` would never run"):
        Stage(hook).start()


def test_scheduler_asks_a_function_each_epoch():
    assert Stage(LearningRateScheduler(lambda epoch: 1 / (epoch + 1))).start().epochs(3).rates[::4] == [1, 0.5, 1 / 3]
    halving = Stage(LearningRateScheduler(lambda epoch, lr: lr / 2), lr=1.0).start().epochs(3)
    assert halving.rates[::4] == [0.5, 0.25, 0.125]
    with pytest.raises(TrainingError, match="schedule is 'cosine'; it must be a function"):
        LearningRateScheduler("cosine")


CHAIN = {"LRVariator": {"toVal": 0.0, "absSize": 6, "then": {"CyclicLR": {"step_size": 3}}}}
RESUMABLE = [
    lambda: ReduceLROnPlateau(patience=2, cooldown=1),
    lambda: CyclicLR(0.1, 1.0, step_size=5, mode="triangular2"),
    lambda: LRVariator(toVal=1.0, absSize=30),
    lambda: LRVariator(toVal=1.0, absSize=5, periodSteps=19, then=CHAIN),
    lambda: CallbackModule(relSize=1.5, then={"ReduceLROnPlateau": {"patience": 1}}),
    lambda: CallbackModule(relSize=1.5, then={"StepLR": {"step_size": 2}}),
]


@pytest.mark.parametrize("make", RESUMABLE)
@pytest.mark.parametrize("done", [1, 2, 3, 5, 7])
def test_resumed_run_goes_on_as_if_never_stopped(make, done):
    losses = [5.0, 4, 4, 4, 4, 3, 3, 3, 3]
    whole = Stage(make()).start().epochs(9, val_loss=losses)
    first = Stage(make()).start().epochs(done, val_loss=losses)
    second = Stage(make()).resume(first.state(), first.run.step).epochs(9 - done, val_loss=losses[done:])
    assert [*first.rates, *second.rates] == whole.rates
    assert len(set(whole.rates)) > 1


def test_own_hook_from_options_and_by_name():
    @CALLBACKS.register("HalvingOnMonday")
    class Halving(Hook):
        """Halve the rate after every epoch."""

        def __init__(self, factor: float = 0.5):
            self.factor = factor

        def on_epoch_end(self, run, row):
            for group in run.optimizer.param_groups:
                group["lr"] *= self.factor

    try:
        entry = CALLBACKS.get("halvingonmonday")
        assert entry.summary == "Halve the rate after every epoch."
        assert list(entry.signature().parameters) == ["factor"]
        assert rates(entry.load()(factor=0.1), 8) == pytest.approx([0.05] * 4 + [0.005] * 4)
    finally:
        CALLBACKS.remove("HalvingOnMonday")
