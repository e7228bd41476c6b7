"""What a person sees while training: a bar on a terminal, plain lines elsewhere; and the logs a tool reads."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.artifacts.records import BatchLog
from musket.core.jobs import Progress as Standing
from musket.training.hooks import Hook, Run

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from musket.training.monitor import Monitor

# Where nobody sees a bar, a long epoch still says how far it is this often (seconds).
_PLAIN_EVERY = 30.0
_WATCHED_EVERY = 0.2


class ProgressDisplay(Hook):
    """A bar with rate and time left on a terminal, and one line per epoch.

    Args:
        console: where to draw; not a terminal means plain lines.
        monitor: the figure that decides the best epoch; its best value gets a star.
        folds, stages: how many there are, for the captions.
        bar: False draws lines on a terminal too.
        watch: is told how far training is instead, several times a second at most; nothing is drawn then.
    """

    def __init__(
        self,
        console: Console,
        monitor: Monitor,
        folds: int,
        stages: int,
        bar: bool = True,
        watch: Callable[[Standing], None] | None = None,
    ):
        self.console = console
        self.watch = watch
        self.with_bar = watch is None and bar and console.is_terminal and not console.quiet
        self.monitor = monitor
        self.folds = folds
        self.stages = stages
        self.best = monitor.worst
        self._last = math.nan
        self._bar: Progress | None = None
        self._task: Any = None
        self._epoch_began = 0.0
        self._stage_began = 0.0
        self._first_epoch: int | None = None
        self._said = 0.0

    def on_stage_start(self, run: Run) -> None:
        self._stage_began = self._said = time.monotonic()
        self._first_epoch = None
        if self.with_bar:
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.completed}/{task.total}"),
                TextColumn("{task.fields[state]}"),
                console=self.console,
                transient=True,
                expand=True,
            )
            self._bar.start()

    def on_epoch_start(self, run: Run) -> None:
        self._epoch_began = time.monotonic()
        if self._first_epoch is None:
            self._first_epoch = run.epoch
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            total = run.steps_per_epoch + run.validation_steps
            self._task = self._bar.add_task(self._caption(run), total=total, state="")

    def on_batch_end(self, run: Run) -> None:
        now = time.monotonic()
        if self.watch is not None:
            if now - self._said > _WATCHED_EVERY:
                self._said = now
                self.watch(self._standing(run, self._batches(run), run.logs.get("loss", math.nan)))
        elif self._bar is not None:
            if now - self._said > 0.1:
                self._said = now
                self._bar.update(self._task, completed=self._batches(run), state=self._state(run, now))
        elif now - self._said > _PLAIN_EVERY:
            self._said = now
            done = f"{self._batches(run)}/{run.steps_per_epoch}"
            self.console.print(f"{self._caption(run)}  batch {done}  {self._state(run, now)}", highlight=False)

    def on_validation_batch_end(self, run: Run) -> None:
        if self._bar is not None:
            self._bar.advance(self._task)

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        now = time.monotonic()
        value, star = self.monitor.read(row), ""
        if self.monitor.better(value, self.best):
            self.best, star = value, " *"
        self._last = value
        if self.watch is not None:
            self.watch(self._standing(run, run.steps_per_epoch + run.validation_steps, row.get("loss", math.nan)))
            if run.stop:
                self.console.print(f"{self._caption(run)}  stopped: {run.stop}", highlight=False)
            return
        names = [name for name in ("loss", "val_loss", self.monitor.name) if name in row]
        told = [self._caption(run), *(f"{name} {row[name]:.4f}" for name in dict.fromkeys(names))]
        told[-1] += star
        left = (run.epochs - run.epoch - 1) * (now - self._stage_began) / (run.epoch + 1 - (self._first_epoch or 0))
        if seconds := now - self._epoch_began:
            told.append(f"{run.images_per_epoch / seconds:.1f} images/s")
        if left and run.stop is None:
            told.append(f"{clock(left)} left")
        if self.with_bar:  # which tells of rate and time as well
            while len("  ".join(told)) > self.console.width and len(told) > len(dict.fromkeys(names)) + 1:
                told.pop()
        self.console.print("  ".join(told), highlight=False)
        if run.stop:
            self.console.print(f"{self._caption(run)}  stopped: {run.stop}", highlight=False)

    def on_stage_end(self, run: Run) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: Any) -> None:
        self.best = state["best"]

    def _caption(self, run: Run) -> str:
        stage = f" stage {run.stage + 1}/{self.stages}" if self.stages > 1 else ""
        width = len(str(run.epochs))
        return f"fold {run.fold + 1}/{self.folds}{stage}  epoch {run.epoch + 1:>{width}}/{run.epochs}"

    def _standing(self, run: Run, batch: int, loss: float) -> Standing:
        now = time.monotonic()
        spent = now - self._epoch_began
        done = min(batch, run.steps_per_epoch) / max(1, run.steps_per_epoch)
        epochs = run.epoch + done - (self._first_epoch or 0)
        return Standing(
            fold=run.fold,
            stage=run.stage,
            stages=self.stages,
            epoch=run.epoch,
            epochs=run.epochs,
            batch=batch,
            batches=run.steps_per_epoch + run.validation_steps,
            loss=loss,
            metric=self.monitor.name,
            value=self._last,
            best=self.best if math.isfinite(self.best) else math.nan,
            rate=done * run.images_per_epoch / max(1e-9, spent),
            left=(run.epochs - run.epoch - done) * (now - self._stage_began) / epochs if epochs > 0 else math.nan,
        )

    def _batches(self, run: Run) -> int:
        return run.step - run.epoch * run.steps_per_epoch

    def _state(self, run: Run, now: float) -> str:
        done = self._batches(run)
        rate = done * (run.images_per_epoch / max(1, run.steps_per_epoch)) / max(1e-9, now - self._epoch_began)
        left = (run.steps_per_epoch - done) * (now - self._epoch_began) / max(1, done)
        return f"loss {run.logs.get('loss', float('nan')):.4f}  {rate:.1f} images/s  {clock(left)} left"


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _ToConsole(logging.Handler):
    def __init__(self, console: Console):
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        self.console.print(record.getMessage(), highlight=False)


@contextlib.contextmanager
def logged_to(console: Console) -> Iterator[None]:
    """Show what callbacks with ``verbose: 1`` tell, while a fit runs."""
    logger, handler = logging.getLogger("musket"), _ToConsole(console)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class TensorBoardLog(Hook):
    """Every logged number by epoch, under the names of the CSV."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._writer: Any = None

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # What a killed run logged of epochs that are now repeated is hidden, so curves stay single lines.
            self._writer = SummaryWriter(str(self.folder), purge_step=run.epoch, flush_secs=30)
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, run.epoch)

    def on_stage_end(self, run: Run) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class EveryBatchLog(Hook):
    """``logAll``: every batch's loss and rate as CSV."""

    def __init__(self, path: Path):
        self.path = path
        self._log: BatchLog | None = None

    def on_epoch_start(self, run: Run) -> None:
        if self._log is None:
            self._log = BatchLog(self.path, keep_epochs=run.epoch)

    def on_batch_end(self, run: Run) -> None:
        assert self._log is not None
        batch = run.step - 1 - run.epoch * run.steps_per_epoch
        self._log.write(run.epoch, batch, {"loss": run.logs["loss"], "lr": run.lr})

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        assert self._log is not None
        self._log.flush()

    def on_stage_end(self, run: Run) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
