"""Learning-rate schedules of torch: built from plain options, their state as plain numbers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from numbers import Real
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from musket.core.errors import TrainingError
from musket.optim.catalogue import SCHEDULES

# What changes while a schedule runs. Everything else comes from the config, which may have been edited since.
_PROGRESS = ("last_epoch", "_step_count", "_last_lr", "T_cur", "T_i", "best", "num_bad_epochs", "cooldown_counter")

# Where torch takes other values, and divides by zero later.
_ALLOWED = {
    "StepLR": {"step_size": "1 or more"},
    "CosineAnnealingLR": {"T_max": "1 or more"},
    "CyclicLR": {"step_size_up": "1 or more", "step_size_down": "0 or more"},
    "OneCycleLR": {"div_factor": "above 0", "final_div_factor": "above 0"},
    "ConstantLR": {"factor": "above 0"},
    "PolynomialLR": {"power": "0 or more"},
}


def check_options(name: str, options: Mapping[str, Any], called: str | None = None) -> None:
    """Refuse values that torch takes and divides by zero with later.

    Args:
        called: the schedule's name in the config, where it is another one.

    Raises:
        RegistryError: no such schedule; names the nearest.
        TrainingError: an option that must be a number of 1 or more, say, is not; names it.
    """
    name = SCHEDULES.get(name).name
    for option, allowed in _ALLOWED.get(name, {}).items():
        value = options.get(option)
        if value is not None and not (isinstance(value, Real) and _is(float(value), allowed)):
            raise TrainingError(f"{called or name}: {option} is {value!r}; it must be {allowed}")


def _is(value: float, allowed: str) -> bool:
    return {"1 or more": value >= 1, "0 or more": value >= 0, "above 0": value > 0}[allowed]


def build_schedule(name: str, optimizer: Optimizer, options: Mapping[str, Any]) -> LRScheduler:
    """A torch schedule. Building it sets the optimizer to the schedule's first rate.

    Args:
        options: of the torch class. ``schedulers`` (of SequentialLR and ChainedScheduler) is a list of one-key maps in
            the form of a config: name to options, to the first option alone, or to nothing.

    Raises:
        RegistryError: no such schedule; names the nearest.
        TrainingError: an option or its value is refused.
    """
    entry = SCHEDULES.get(name)
    given = dict(options)
    if "schedulers" in given:
        given["schedulers"] = [_inner(entry.name, optimizer, part) for part in given["schedulers"]]
    check_options(entry.name, given)
    try:
        return entry.load()(optimizer=optimizer, **given)
    except ZeroDivisionError as error:
        hint = "; pct_start times the steps must not be exactly 1" if entry.name == "OneCycleLR" else ""
        raise TrainingError(f"{entry.name} with {dict(options)}: {error}{hint}") from error
    except (TypeError, ValueError, KeyError) as error:
        raise TrainingError(f"{entry.name} with {dict(options)}: {error}") from error


def _inner(owner: str, optimizer: Optimizer, part: Any) -> LRScheduler:
    if not isinstance(part, Mapping) or len(part) != 1:
        raise TrainingError(f"{owner}: {part!r} under schedulers is no schedule; write - LinearLR: {{total_iters: 3}}")
    [(name, options)] = part.items()
    if options is not None and not isinstance(options, Mapping):
        parameters = inspect.signature(SCHEDULES.load(name)).parameters
        options = {next(option for option in parameters if option != "optimizer"): options}
    return build_schedule(name, optimizer, options or {})


def schedule_state(schedule: LRScheduler) -> dict[str, Any]:
    """How far a schedule has run: numbers and lists only."""
    state = {key: value for key, value in vars(schedule).items() if key in _PROGRESS}
    inner = getattr(schedule, "_schedulers", None)
    return state if inner is None else {**state, "schedulers": [schedule_state(part) for part in inner]}


def restore_schedule(schedule: LRScheduler, state: Mapping[str, Any]) -> None:
    """Take up a state from :func:`schedule_state`. Leaves the optimizer alone."""
    vars(schedule).update({key: value for key, value in state.items() if key != "schedulers"})
    for part, inner in zip(getattr(schedule, "_schedulers", ()), state.get("schedulers", ()), strict=True):
        restore_schedule(part, inner)
