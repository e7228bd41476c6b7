"""Hooks that steer the learning rate, by the names and formulas of Keras and of the framework before this one.

States hold plain numbers. A state is handed back before the stage starts, when the optimizer's own state (with the
current rate) is back in place too.
"""

from __future__ import annotations

import inspect
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal

from musket.core.errors import TrainingError
from musket.optim.rates import set_rate
from musket.training.hooks import Hook, Run
from musket.training.monitor import AnyMode, Monitor

_log = logging.getLogger(__name__)


def check_range(owner: str, option: str, value: float, *, least: float) -> None:
    """Refuse a number below the least one that makes sense, and one that is no number.

    Raises:
        TrainingError: names the callback, the option, what was found and what is allowed.
    """
    if not value >= least:
        raise TrainingError(f"{owner}: {option} is {value}; it must be {least:g} or more")


class Resumable(Hook, ABC):
    """A hook that begins each stage afresh, or where a stored state left it."""

    _stored: Mapping[str, Any] | None = None

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._stored = state

    def on_stage_start(self, run: Run) -> None:
        stored, self._stored = self._stored, None
        self.begin(run, stored)

    @abstractmethod
    def begin(self, run: Run, stored: Mapping[str, Any] | None) -> None:
        """Begin a stage; ``stored`` is the state to go on from."""


class ReduceLROnPlateau(Resumable):
    """Multiply the rate by ``factor`` when a figure stops improving.

    Args:
        monitor: column watched, read once an epoch.
        factor: above 0 and below 1.
        patience: epochs without improvement before the rate falls.
        verbose: above 0 tells of each change.
        mode: "min", "max" or "auto" (the metric's own direction).
        min_delta: less than this is no improvement.
        cooldown: epochs after a fall in which nothing is counted.
        min_lr: the rate never falls below.

    Raises:
        TrainingError: an option is out of range, or the direction of ``monitor`` is unknown.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: AnyMode = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        if not 0 < factor < 1:
            raise TrainingError(f"ReduceLROnPlateau: factor is {factor}; it must lie between 0 and 1")
        for option, value in (("patience", patience), ("cooldown", cooldown), ("min_lr", min_lr)):
            check_range("ReduceLROnPlateau", option, value, least=0)
        self.monitor = Monitor("ReduceLROnPlateau", monitor, mode, min_delta)
        self.factor = factor
        self.patience = patience
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.level = logging.INFO if verbose else logging.DEBUG

    def begin(self, run: Run, stored: Mapping[str, Any] | None) -> None:
        state = stored or {"wait": 0, "cooling": 0, "best": self.monitor.worst}
        self.wait, self.cooling, self.best = state["wait"], state["cooling"], state["best"]

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        value = self.monitor.read(row)
        if self.cooling > 0:
            self.cooling -= 1
            self.wait = 0
        if self.monitor.better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooling == 0:
            self.wait += 1
            if self.wait >= self.patience and run.lr > self.min_lr:
                for group in run.optimizer.param_groups:
                    group["lr"] = max(group["lr"] * self.factor, self.min_lr * group.get("lr_scale", 1.0))
                self.cooling, self.wait = self.cooldown, 0
                _log.log(
                    self.level,
                    "epoch %d: %s stays at %g, lr now %g",
                    run.epoch + 1,
                    self.monitor.name,
                    self.best,
                    run.lr,
                )

    def state_dict(self) -> dict[str, Any]:
        return {"wait": self.wait, "cooling": self.cooling, "best": self.best}


class CyclicLR(Resumable):
    """Let the rate swing between two bounds (Smith 2017, arXiv:1506.01186), batch by batch.

    With i batches done: cycle = floor(1 + i / (2 step_size)), x = |i / step_size - 2 cycle + 1|,
    rate = base_lr + (max_lr - base_lr) max(0, 1 - x) k, where k is 1 (triangular), 1 / 2^(cycle - 1) (triangular2) or
    gamma^i (exp_range).

    Args:
        base_lr, max_lr: the bounds, the lower one first; 0 or more.
        step_size: batches of half a cycle.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: of exp_range.
        scale_fn: k as a function, instead of ``mode``; from Python only.
        scale_mode: whether ``scale_fn`` is given the "cycle" or the "iterations".

    Raises:
        TrainingError: an option is out of range.
    """

    def __init__(
        self,
        base_lr: float = 0.001,
        max_lr: float = 0.006,
        step_size: int = 2000,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
    ):
        if step_size < 1:
            raise TrainingError(f"CyclicLR: step_size is {step_size}; it must be at least 1 batch")
        check_range("CyclicLR", "base_lr", base_lr, least=0)
        if not base_lr <= max_lr:
            raise TrainingError(f"CyclicLR: base_lr is {base_lr} and max_lr {max_lr}; base_lr is the lower bound")
        if not gamma > 0:
            raise TrainingError(f"CyclicLR: gamma is {gamma}; it must be above 0")
        if scale_mode not in ("cycle", "iterations"):
            raise TrainingError(f"CyclicLR: scale_mode is {scale_mode!r}; allowed are cycle and iterations")
        scales: dict[str, tuple[Callable[[float], float], str]] = {
            "triangular": (lambda cycle: 1.0, "cycle"),
            "triangular2": (lambda cycle: 0.5 ** (cycle - 1), "cycle"),
            "exp_range": (lambda iterations: gamma**iterations, "iterations"),
        }
        if scale_fn is None and mode not in scales:
            raise TrainingError(f"CyclicLR: mode is {mode!r}; allowed are {', '.join(scales)}")
        self.base_lr = base_lr
        self.max_lr = max_lr
        self.step_size = step_size
        self.scale, self.scale_mode = scales[mode] if scale_fn is None else (scale_fn, scale_mode)
        self.iterations = 0

    def rate(self, iterations: int) -> float:
        """The rate after so many batches."""
        cycle = math.floor(1 + iterations / (2 * self.step_size))
        height = max(0.0, 1 - abs(iterations / self.step_size - 2 * cycle + 1))
        scale = self.scale(cycle if self.scale_mode == "cycle" else iterations)
        return self.base_lr + (self.max_lr - self.base_lr) * height * scale

    def begin(self, run: Run, stored: Mapping[str, Any] | None) -> None:
        self.iterations = stored["iterations"] if stored else 0
        set_rate(run.optimizer, self.rate(self.iterations))

    def on_batch_end(self, run: Run) -> None:
        self.iterations += 1
        set_rate(run.optimizer, self.rate(self.iterations))

    def state_dict(self) -> dict[str, Any]:
        return {"iterations": self.iterations}


class CallbackModule(Resumable):
    """Be active for a number of batches, then hand over to the next callback; all of it once, or again and again.

    By itself it only waits. Links of a chain are counted from the moment they take over.

    Args:
        absSize, relSize: the active length, in batches or in epochs; exactly one.
        periodSteps, periodEpochs: begin again after so many batches or epochs, next callbacks included; at most one.
        then: the next callback, ``{Name: options}``, or a hook.

    Raises:
        TrainingError: options contradict each other.
    """

    def __init__(
        self,
        absSize: int | None = None,
        relSize: float | None = None,
        periodEpochs: float | None = None,
        periodSteps: int | None = None,
        then: Mapping[str, Any] | Hook | None = None,
    ):
        name = type(self).__name__
        if (absSize is None) == (relSize is None):
            raise TrainingError(f"{name} needs its length: either absSize (batches) or relSize (epochs)")
        if periodEpochs is not None and periodSteps is not None:
            raise TrainingError(f"{name} has both periodEpochs and periodSteps; keep one")
        sizes = {"absSize": absSize, "relSize": relSize, "periodEpochs": periodEpochs, "periodSteps": periodSteps}
        for option, size in sizes.items():
            if size is not None and size <= 0:
                raise TrainingError(f"{name}: {option} is {size}; it must be above 0")
        self.size = (absSize, relSize)
        self.period = (periodSteps, periodEpochs)
        self.then = then if then is None or isinstance(then, Hook) else _built(name, then)
        if isinstance(self.then, CallbackModule) and self.then.period != (None, None):
            raise TrainingError(f"{name}: the period belongs to the first link of the chain, not to a later one")
        self.position = 0
        self._length = 1
        self._period: int | None = None

    def begin(self, run: Run, stored: Mapping[str, Any] | None) -> None:
        self._length = _batches(self.size, run.steps_per_epoch) or 1
        self._period = _batches(self.period, run.steps_per_epoch)
        if self.then is not None and self._period is not None and self._period <= self._length:
            raise TrainingError(
                f"{type(self).__name__} begins again after {self._period} batches and is active for {self._length}: "
                "the callback under `then` would never run. Make the period longer"
            )
        if stored is None:
            self.position = 0
            self.enter(run)
            self.apply(run)
            return
        self.position = stored["position"]
        if self._next is not None:
            self._next.load_state_dict(stored["then"])
            self._next.on_stage_start(run)

    def enter(self, run: Run) -> None:
        """Called when this link takes over, but not when a period begins again."""

    def apply(self, run: Run) -> None:
        """Called before each batch of the active length; ``position`` counts from 0."""

    @property
    def _next(self) -> Hook | None:
        """The next callback, while it has taken over."""
        return self.then if self.position >= self._length else None

    def on_epoch_start(self, run: Run) -> None:
        if self._next is not None:
            self._next.on_epoch_start(run)

    def on_batch_start(self, run: Run) -> None:
        if self._next is not None:
            self._next.on_batch_start(run)

    def on_batch_end(self, run: Run) -> None:
        active = self._next
        self.position += 1
        if self.position == self._period:
            self.position = 0
        if self.position < self._length:
            self.apply(run)
        elif active is not None:
            active.on_batch_end(run)
        elif self.then is not None:
            self.then.on_stage_start(run)

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        if self._next is not None:
            self._next.on_epoch_end(run, row)

    def on_stage_end(self, run: Run) -> None:
        if self._next is not None:
            self._next.on_stage_end(run)

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "then": None if self._next is None else self._next.state_dict()}


class LRVariator(CallbackModule):
    """Lead the rate from one value to another.

    Batch n of a length of L is trained at max(0, fromVal + f(n / (L - 1)) (toVal - fromVal)), n counted from 0. After
    the length the rate stays where it is. f by ``style``: const 0; linear x; sin, sin+ sin(pi x / 2);
    sin- 1 - sin(pi x / 2); cos, cos- cos(pi x / 2); cos+ 1 - cos(pi x / 2); a number a above 0: x^a. So cos, cos- and
    sin- run from toVal to fromVal.

    Args:
        fromVal: None begins at the rate of the moment.
        toVal: the other end.
        style: see above.
        absSize, relSize, periodEpochs, periodSteps, then: see :class:`CallbackModule`.

    Raises:
        TrainingError: options contradict each other.
    """

    def __init__(
        self,
        fromVal: float | None = None,
        toVal: float = 0.006,
        style: str | float = "linear",
        absSize: int | None = None,
        relSize: float | None = None,
        periodEpochs: float | None = None,
        periodSteps: int | None = None,
        then: Mapping[str, Any] | Hook | None = None,
    ):
        super().__init__(absSize, relSize, periodEpochs, periodSteps, then)
        self.from_value = fromVal
        self.to_value = toVal
        self.curve = _curve(style)

    def begin(self, run: Run, stored: Mapping[str, Any] | None) -> None:
        if stored is not None:
            self._from = stored["from"]
        super().begin(run, stored)

    def enter(self, run: Run) -> None:
        self._from = run.lr if self.from_value is None else self.from_value

    def apply(self, run: Run) -> None:
        point = self.position / (self._length - 1) if self._length > 1 else 0.0
        set_rate(run.optimizer, max(0.0, self._from + self.curve(point) * (self.to_value - self._from)))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "from": self._from}


class LearningRateScheduler(Hook):
    """Ask a function for the rate of each epoch; from Python only.

    Args:
        schedule: ``f(epoch)`` or ``f(epoch, lr)``, epochs from 0; returns the rate.
        verbose: above 0 tells of each change.

    Raises:
        TrainingError: ``schedule`` is not a function.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        if not callable(schedule):
            raise TrainingError(
                f"LearningRateScheduler: schedule is {schedule!r}; it must be a function. In a config, name a callback "
                "of your own instead, or one of the schedules (all: musket ls callbacks)"
            )
        self.schedule = schedule
        self.level = logging.INFO if verbose else logging.DEBUG

    def on_epoch_start(self, run: Run) -> None:
        arguments = (run.epoch, run.lr)[: 2 if _takes_two(self.schedule) else 1]
        set_rate(run.optimizer, float(self.schedule(*arguments)))
        _log.log(self.level, "epoch %d: lr now %g", run.epoch + 1, run.lr)


_CURVES: dict[str, Callable[[float], float]] = {
    "const": lambda x: 0.0,
    "linear": lambda x: x,
    "sin": lambda x: math.sin(math.pi * x / 2),
    "sin+": lambda x: math.sin(math.pi * x / 2),
    "sin-": lambda x: 1 - math.sin(math.pi * x / 2),
    "cos": lambda x: math.cos(math.pi * x / 2),
    "cos-": lambda x: math.cos(math.pi * x / 2),
    "cos+": lambda x: 1 - math.cos(math.pi * x / 2),
}


def _curve(style: str | float) -> Callable[[float], float]:
    if isinstance(style, str) and style in _CURVES:
        return _CURVES[style]
    try:
        power = float(style)
    except (TypeError, ValueError):
        power = 0.0
    if not power > 0:
        raise TrainingError(f"LRVariator: style is {style!r}; allowed are {', '.join(_CURVES)} and numbers above 0")
    return lambda x: x**power


def _batches(size: tuple[int | None, float | None], steps_per_epoch: int) -> int | None:
    """A length given in batches or in epochs, as batches (halves round up)."""
    steps, epochs = size
    return steps if epochs is None else math.floor(epochs * steps_per_epoch + 0.5)


def _built(owner: str, then: Mapping[str, Any]) -> Hook:
    from musket.training.catalogue import CALLBACKS

    if len(then) != 1:
        raise TrainingError(f"{owner}: then holds {len(then)} callbacks; it must be one, as `then: {{Name: options}}`")
    [(name, options)] = then.items()
    found = CALLBACKS.load(name)
    try:
        if isinstance(options, Mapping):
            return found(**options)
        return found() if options is None else found(options)
    except TypeError as error:
        raise TrainingError(f"{owner}: then: {name}: {error}") from error


def _takes_two(function: Callable[..., float]) -> bool:
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    return True
