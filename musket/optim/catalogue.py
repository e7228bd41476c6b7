"""Names of optimizers and learning-rate schedules. Imports no torch: the code stands behind "module:attribute".

Facts of an optimizer:
    defaults: options whose default here is not torch's. Old names keep the defaults of Keras 2.
    fused: torch has a fused form of it, for CUDA and CPUs.

Facts of a schedule, all optional:
    interval: "step" when its natural unit is the batch; an epoch otherwise.
    length: option that is the length of the schedule; the whole stage where it is not given.
"""

from __future__ import annotations

from typing import Any

from musket.core.registry import Registry

OPTIMIZERS = Registry("optimizer")
SCHEDULES = Registry("schedule")


def _fill() -> None:
    keras = {"eps": 1e-7}
    for name, summary, fused, defaults in (
        ("SGD", "Plain gradient descent, with momentum if asked.", True, {"lr": 0.01}),
        ("RMSprop", "Steps divided by a running mean of gradients.", False, {"lr": 0.001, "alpha": 0.9} | keras),
        ("Adagrad", "Steps divided by the sum of all past gradients.", False, {"lr": 0.01} | keras),
        ("Adadelta", "Adagrad that forgets, without a rate to tune.", False, {"lr": 1.0, "rho": 0.95} | keras),
        ("Adam", "Momentum and per-weight steps; the usual choice.", True, {"lr": 0.001} | keras),
        ("Adamax", "Adam with the largest gradient in place of the mean.", False, {"lr": 0.002} | keras),
        ("Nadam", "Adam with Nesterov momentum.", False, {"lr": 0.002, "momentum_decay": 0.004} | keras),
        ("AdamW", "Adam with true weight decay (0.01).", True, {"lr": 0.001}),
        ("RAdam", "Adam that warms up by itself.", False, {"lr": 0.001}),
        ("ASGD", "Gradient descent that averages the weights.", False, {"lr": 0.01}),
    ):
        target = "NAdam" if name == "Nadam" else name
        OPTIMIZERS.add(name, f"torch.optim:{target}", summary, fused=fused, defaults=defaults)

    schedules: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("ConstantLR", "The rate times factor for total_iters epochs, then the full rate.", {}),
        ("LinearLR", "From start_factor to end_factor of the rate over total_iters epochs; warm-up.", {}),
        ("ExponentialLR", "The rate times gamma after every epoch.", {}),
        ("StepLR", "The rate times gamma after every step_size epochs.", {}),
        ("MultiStepLR", "The rate times gamma at each milestone.", {}),
        ("PolynomialLR", "Down to 0 over the stage along a power.", {"length": "total_iters"}),
        ("CosineAnnealingLR", "Down to eta_min over the stage along a half cosine.", {"length": "T_max"}),
        ("CosineAnnealingWarmRestarts", "Half cosines of T_0 epochs, each T_mult times as long as the last.", {}),
        (
            "OneCycleLR",
            "Up to max_lr and far down again once over the stage.",
            {"interval": "step", "length": "total_steps"},
        ),
        ("CyclicLR", "Up and down between base_lr and max_lr, torch's form.", {"interval": "step"}),
        ("ReduceLROnPlateau", "The rate times factor when a figure stops improving, torch's form.", {}),
        ("LambdaLR", "The rate times a function of the epoch; from Python only.", {}),
        ("MultiplicativeLR", "The rate times a function of the epoch, again and again; from Python only.", {}),
        ("SequentialLR", "Schedules one after another, changing at milestones.", {}),
        ("ChainedScheduler", "Schedules on top of one another.", {}),
    )
    for name, summary, facts in schedules:
        SCHEDULES.add(name, f"torch.optim.lr_scheduler:{name}", summary, **facts)


_fill()
