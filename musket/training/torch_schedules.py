"""Every learning-rate schedule of torch as a hook, by its class name and with its own options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from musket.core.errors import TrainingError
from musket.optim.catalogue import SCHEDULES
from musket.optim.rates import unscaled
from musket.optim.schedules import build_schedule, check_options, restore_schedule, schedule_state
from musket.training.hooks import Run
from musket.training.monitor import Monitor
from musket.training.schedules import Resumable, check_range

Interval = Literal["epoch", "step"]


class TorchSchedule(Resumable):
    """A torch schedule over one stage; see torch's documentation for what it does.

    Options are those of the torch class, and ``interval``: whether the schedule moves on after each "epoch" or each
    "step" (batch). Lengths are counted in that unit; one that is left out is the whole stage. A schedule that is over
    stays at its last rate. Resumed with another length, it goes on as if it had had that length from the beginning.
    Groups of weights that learn at a share of the rate keep it: rates among the options are those of the heads.

    Raises:
        TrainingError: an option or its value is refused.
    """

    schedule: ClassVar[str]

    def __init__(self, *args: Any, **options: Any):
        try:
            bound = inspect.signature(type(self)).bind(*args, **options)
        except TypeError as error:
            raise TrainingError(f"{type(self).__name__}: {error}") from error
        bound.apply_defaults()
        self.options = {name: value for name, value in bound.arguments.items() if value is not None}
        self.interval: Interval = self.options.pop("interval", "epoch")
        if self.interval not in ("epoch", "step"):
            raise TrainingError(f"{type(self).__name__}: interval is {self.interval!r}; allowed are epoch and step")
        check_options(self.schedule, self.options, called=type(self).__name__)
        self._running: Any = None

    def begin(self, run: Run, stored: Mapping[str, Any] | None) -> None:
        groups = run.optimizer.param_groups
        kept = [{key: value for key, value in group.items() if key != "params"} for group in groups]
        with unscaled(run.optimizer):
            self._base = [group["lr"] for group in groups] if stored is None else list(stored["base"])
            for group, base in zip(groups, self._base, strict=True):
                # torch would begin at the first rate it ever noted, also one of an earlier stage.
                group.pop("initial_lr", None)
                group["lr"] = base
            self._running = build_schedule(self.schedule, run.optimizer, self._filled(run))
        # torch warns of schedules that move on before the optimizer's first step; with several batches a step they do.
        run.optimizer._opt_called = True  # type: ignore[attr-defined]
        if stored is None:
            return
        if stored.get("length") != self._length:
            self._go_to(stored["schedule"]["last_epoch"])
            return
        restore_schedule(self._running, stored["schedule"])
        for group, values in zip(groups, kept, strict=True):
            group.update(values)

    def on_batch_end(self, run: Run) -> None:
        if self.interval == "step":
            self.advance()

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        if self.interval == "epoch":
            self.advance()

    def advance(self, *figures: float) -> None:
        """Move on by one unit. Raises TrainingError when torch refuses."""
        end = getattr(self._running, "total_steps", None)
        if end is not None and self._running.last_epoch >= end - 1:
            self._running.last_epoch += 1  # counted all the same: a longer run may resume from here
            return
        try:
            with unscaled(self._running.optimizer):
                self._running.step(*figures)
        except ValueError as error:
            raise TrainingError(f"{type(self).__name__}: {error}") from error

    def state_dict(self) -> dict[str, Any]:
        return {"base": list(self._base), "length": self._length, "schedule": schedule_state(self._running)}

    @property
    def _length(self) -> float | None:
        """What the running schedule was built with, in epochs or steps; None when its kind has no length."""
        option = SCHEDULES.get(self.schedule).facts.get("length")
        return None if option is None else getattr(self._running, option)

    def _go_to(self, unit: int) -> None:
        """Run a new schedule up to an epoch or step. Most formulas of torch go from rate to rate: no way to jump."""
        for _ in range(unit):
            self.advance()

    def _filled(self, run: Run) -> dict[str, Any]:
        length = SCHEDULES.get(self.schedule).facts.get("length")
        if length is None or length in self.options or {"epochs", "steps_per_epoch"} <= self.options.keys():
            return self.options
        return {**self.options, length: run.epochs * (run.steps_per_epoch if self.interval == "step" else 1)}


class TorchReduceLROnPlateau(TorchSchedule):
    """torch's form of ReduceLROnPlateau: its own options, and ``monitor`` with ``mode`` "auto", "min" or "max"."""

    schedule = "ReduceLROnPlateau"

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        for option in ("patience", "cooldown"):
            check_range(type(self).__name__, option, self.options[option], least=0)
        self.monitor = Monitor(type(self).__name__, self.options.pop("monitor"), self.options["mode"])
        self.options["mode"] = self.monitor.mode

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        self.advance(self.monitor.read(row))


def _signature(schedule: str) -> inspect.Signature:
    """The options of a torch schedule, as its hook takes them."""
    entry = SCHEDULES.get(schedule)
    names = {"Callable": Callable, "Iterable": Iterable, "Sequence": Sequence}  # torch imports them for checkers only
    options = {
        name: parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for name, parameter in inspect.signature(entry.load(), locals=names, eval_str=True).parameters.items()
        if name not in ("optimizer", "last_epoch")
    }
    length = entry.facts.get("length")
    if length is not None:
        options[length] = options[length].replace(default=None, annotation=int | None)
    if "schedulers" in options:
        options["schedulers"] = options["schedulers"].replace(annotation=list[dict[str, Any]])
    extra: list[tuple[str, Any, Any]] = [("interval", Interval, entry.facts.get("interval", "epoch"))]
    if schedule == "ReduceLROnPlateau":
        extra = [("monitor", str, "val_loss"), ("mode", Literal["auto", "min", "max"], "auto")]
    for name, annotation, default in extra:
        options[name] = inspect.Parameter(
            name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation
        )
    return inspect.Signature(list(options.values()))


def _hook(schedule: str, name: str | None = None) -> type[TorchSchedule]:
    facts = {"schedule": schedule, "__doc__": SCHEDULES.get(schedule).summary, "__signature__": _signature(schedule)}
    return type(name or schedule, (TorchSchedule,), facts)


TorchReduceLROnPlateau.__signature__ = _signature("ReduceLROnPlateau")

ConstantLR = _hook("ConstantLR")
LinearLR = _hook("LinearLR")
ExponentialLR = _hook("ExponentialLR")
StepLR = _hook("StepLR")
MultiStepLR = _hook("MultiStepLR")
PolynomialLR = _hook("PolynomialLR")
CosineAnnealingLR = _hook("CosineAnnealingLR")
CosineAnnealingWarmRestarts = _hook("CosineAnnealingWarmRestarts")
OneCycleLR = _hook("OneCycleLR")
TorchCyclicLR = _hook("CyclicLR", "TorchCyclicLR")
LambdaLR = _hook("LambdaLR")
MultiplicativeLR = _hook("MultiplicativeLR")
SequentialLR = _hook("SequentialLR")
ChainedScheduler = _hook("ChainedScheduler")
