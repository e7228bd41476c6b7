"""One stage of one fold: epochs, best weights, rows, and a state from which it goes on exactly."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from musket.artifacts import checkpoint, records
from musket.artifacts.layout import Layout
from musket.core.errors import Stopped
from musket.core.runtime import seed_torch
from musket.core.types import Batch
from musket.metrics.catalogue import find_column
from musket.training.ema import WeightMean
from musket.training.hooks import Hooks, Run
from musket.training.loop import Clipping, Metrics, Pipeline, train_epoch, validate
from musket.training.monitor import Monitor
from musket.training.ranks import Ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from lightning_fabric import Fabric

    class Batches(Protocol):
        """Epochs of batches."""

        def epoch(self, epoch: int, /) -> Iterable[Batch]: ...

        def prefetch(self, epoch: int, /) -> None:
            """Begin to read an epoch in the background."""
            ...


@dataclass(frozen=True)
class StagePlan:
    """What a stage is told.

    Attributes:
        seed: with fold, stage and epoch it decides every random number of training.
        epochs: how many epochs the stage has in all, those of an earlier run included.
        monitor: the logged figure whose best epoch is kept.
        accumulate: batches for one step of the optimizer.
        ema: share of the old mean of weights that stays in every step. The mean then is what is validated, what hooks
            see at the end of an epoch, and what is kept as the best weights. None: no mean.
        metadata: goes into the weights file (architecture, classes, normalisation ...).
        stopping: asked after every epoch: a reason to stop there, or None.
    """

    layout: Layout
    fold: int
    stage: int
    seed: int
    epochs: int
    monitor: Monitor
    clipping: Clipping = field(default_factory=Clipping)
    accumulate: int = 1
    ema: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    stopping: Callable[[], str | None] = lambda: None


@dataclass
class Progress:
    """Where a stage stands after its last whole epoch. Everything here is in the state file."""

    rows: list[records.Row] = field(default_factory=list)
    best: float | None = None
    step: int = 0
    stopped: str | None = None

    @property
    def epochs_done(self) -> int:
        return len(self.rows)

    def finished(self, epochs: int) -> bool:
        return self.stopped is not None or self.epochs_done >= epochs


def improves(monitor: Monitor, value: float, best: float | None) -> bool:
    """Whether this epoch is the best so far; anything beats nothing, and any number beats nan."""
    if best is None or math.isnan(best):
        return best is None or not math.isnan(value)
    return monitor.better(value, best)


def read_progress(state: dict[str, Any]) -> Progress:
    """The readable part of a state file."""
    return Progress(list(state["rows"]), state["best"], state["step"], state["stopped"])


def train_stage(
    fabric: Fabric,
    module: torch.nn.Module,
    wrapped: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    wrapped_optimizer: torch.optim.Optimizer,
    pipeline: Pipeline,
    train: Batches,
    validation: Batches,
    train_metrics: Metrics,
    validation_metrics: Metrics,
    hooks: Hooks,
    plan: StagePlan,
    run: Run,
    state: dict[str, Any] | None = None,
    *,
    keep_parts: bool = True,
) -> Progress:
    """Train the epochs that are still missing.

    After every epoch, in this order: hooks see the row, the best weights are written if this epoch is the best, then
    the state, then the CSV. A kill between two of these makes the resumed run repeat the epoch and write the same
    bytes again.

    Where several processes train the network, all of them do this together. Rank 0 judges, decides and writes.

    Args:
        module, optimizer: the plain objects; ``wrapped`` and ``wrapped_optimizer`` their Fabric faces.
        state: a stored state to go on from; network, optimizer and hooks become what they were then. When it was
            judged by another monitor, the best so far is judged anew.
        keep_parts: False leaves optimizer and hooks new: they are not those the state was stored with.

    Returns:
        where the stage stands now: finished, or stopped early.

    Raises:
        TrainingError: a loss that is no number; ``monitor`` is not logged.
        Stopped: it was asked to stop; everything up to the last epoch is saved.
        ArtifactError: a file cannot be written.
    """
    layout, fold, stage = plan.layout, plan.fold, plan.stage
    records_path = layout.metrics(fold, stage)
    ranks = Ranks(fabric)
    own_draws = (ranks.rank,) if ranks.rank else ()  # else all would drop the same of different samples
    progress = Progress()
    if state is not None:
        progress = read_progress(state)
        checkpoint.load_into(module, state["model"], layout.state(fold, stage))
        if keep_parts:
            optimizer.load_state_dict(state["optimizer"])
            hooks.load_state_dict(state["hooks"])
    mean = _mean(plan, module, state)
    if state is not None:
        if state.get("monitor", _identity(plan.monitor) if keep_parts else None) != _identity(plan.monitor):
            with _judged(mean):
                _judge_anew(progress, plan, module, ranks)
        if ranks.leads:
            records.write_rows(records_path, progress.rows)
    run.rank = ranks.rank
    run.step = progress.step
    hooks.on_stage_start(run)
    try:
        for epoch in range(progress.epochs_done, plan.epochs):
            if progress.stopped is not None:
                break
            run.epoch = epoch
            run.logs.clear()
            seed_torch(plan.seed, fold, stage, epoch, *own_draws)
            hooks.on_epoch_start(run)
            row: records.Row = {"epoch": float(epoch)}
            row |= train_epoch(
                fabric,
                wrapped,
                wrapped_optimizer,
                pipeline,
                train.epoch(epoch),
                train_metrics,
                hooks,
                run,
                plan.clipping,
                plan.accumulate,
                mean,
            )
            row["lr"] = run.lr
            with _judged(mean):
                row |= validate(fabric, wrapped, pipeline, validation.epoch(epoch), validation_metrics, hooks, run)
                train.prefetch(epoch + 1)
                hooks.on_epoch_end(run, row)
                row = {name: float(number) for name, number in row.items()}  # hooks may have added numpy numbers
                row, run.stop = ranks.agree((row, run.stop))
                value = plan.monitor.read(row)
                if improves(plan.monitor, value, progress.best):
                    progress.best = value
                    if ranks.leads:
                        _write_best(plan, module, epoch, value)
            progress.rows.append(row)
            progress.step = run.step
            progress.stopped = run.stop
            if ranks.leads:
                state = _state(progress, plan.monitor, module, mean, optimizer, hooks)
                checkpoint.save_state(layout.state(fold, stage), state)
                records.write_rows(records_path, progress.rows)
            if reason := ranks.agree(plan.stopping() if ranks.leads else None):
                raise Stopped(reason)
    finally:
        hooks.on_stage_end(run)
    return progress


def _mean(plan: StagePlan, module: torch.nn.Module, state: dict[str, Any] | None) -> WeightMean | None:
    """The mean a stage goes on with: the stored one, or one that begins with the weights of ``module``."""
    if plan.ema is None:
        return None
    mean = WeightMean(module, plan.ema)
    if state is not None and state.get("mean") is not None:
        mean.load_state_dict(state["mean"])
    return mean


def _judged(mean: WeightMean | None) -> contextlib.AbstractContextManager[None]:
    """Inside, the network has the weights it is judged by."""
    return contextlib.nullcontext() if mean is None else mean.in_place()


def _write_best(plan: StagePlan, module: torch.nn.Module, epoch: int, value: float) -> None:
    metadata = {**plan.metadata, "fold": plan.fold, "stage": plan.stage, "epoch": epoch, plan.monitor.name: value}
    checkpoint.save_weights(plan.layout.weights(plan.fold, plan.stage), module.state_dict(), metadata)


def _judge_anew(progress: Progress, plan: StagePlan, module: torch.nn.Module, ranks: Ranks) -> None:
    """The best so far by another monitor than that of the epochs done.

    Only two of them still have weights: the stored best, and the last one, in ``module``. The better one stays.
    """
    weights = plan.layout.weights(plan.fold, plan.stage)
    epoch = ranks.agree(checkpoint.read_metadata(weights).get("epoch") if ranks.leads else None)
    last = len(progress.rows) - 1
    kept = next((row for row in progress.rows if row["epoch"] == epoch), {})
    progress.best = _figure(plan.monitor, kept)
    value = _figure(plan.monitor, progress.rows[last])
    # A stop may have put other weights into the network than those of its last epoch.
    if progress.stopped is None and value is not None and improves(plan.monitor, value, progress.best):
        progress.best = value
        if ranks.leads:
            _write_best(plan, module, last, value)


def _figure(monitor: Monitor, row: records.Row) -> float | None:
    """The figure of an epoch; None when it was not logged then."""
    column = find_column(monitor.name, row)
    return None if column is None else row[column]


def _identity(monitor: Monitor) -> list[str]:
    return [monitor.name, monitor.mode]


def _state(
    progress: Progress,
    monitor: Monitor,
    module: torch.nn.Module,
    mean: WeightMean | None,
    optimizer: torch.optim.Optimizer,
    hooks: Hooks,
) -> dict[str, Any]:
    return {
        "rows": progress.rows,
        "best": progress.best,
        "monitor": _identity(monitor),
        "step": progress.step,
        "stopped": progress.stopped,
        "model": module.state_dict(),
        "mean": None if mean is None else mean.state_dict(),
        "optimizer": optimizer.state_dict(),
        "hooks": hooks.state_dict(),
    }
