"""Hooks that end training or write files, by the names and options of Keras."""

from __future__ import annotations

import logging
import math
import string
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from musket.core.errors import TrainingError
from musket.training.hooks import Hook, Run
from musket.training.monitor import AnyMode, Monitor
from musket.training.schedules import Resumable, check_range

_log = logging.getLogger(__name__)


class EarlyStopping(Resumable):
    """End the stage when a figure stops improving.

    Args:
        monitor: column watched, read once an epoch.
        min_delta: less than this is no improvement.
        patience: epochs without improvement before the end.
        verbose: above 0 tells of the end.
        mode: "min", "max" or "auto" (the metric's own direction).
        baseline: the figure that must be beaten at all.
        restore_best_weights: put the best epoch's weights back into the network at the end. The next stage and all
            predictions start from the best weights by ``primary_metric`` in any case.

    Raises:
        TrainingError: ``patience`` is below 0, or the direction of ``monitor`` is unknown.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: AnyMode = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
    ):
        check_range("EarlyStopping", "patience", patience, least=0)
        self.monitor = Monitor("EarlyStopping", monitor, mode, min_delta)
        self.patience = patience
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.level = logging.INFO if verbose else logging.DEBUG

    def begin(self, run: Run, stored: Mapping[str, Any] | None) -> None:
        start = self.monitor.worst if self.baseline is None else self.baseline
        state = stored or {"wait": 0, "best": start, "weights": None}
        self.wait, self.best, self.weights = state["wait"], state["best"], state["weights"]

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        value = self.monitor.read(row)
        if self.monitor.better(value, self.best):
            self.best, self.wait = value, 0
            if self.restore_best_weights:
                self.weights = {name: tensor.to("cpu", copy=True) for name, tensor in run.model.state_dict().items()}
            return
        self.wait += 1
        if self.wait >= self.patience:
            run.stop = f"{self.monitor.name} did not improve on {self.best:g} in {self.wait} epochs (EarlyStopping)"
            _log.log(self.level, "epoch %d: %s", run.epoch + 1, run.stop)

    def on_stage_end(self, run: Run) -> None:
        # Not before: the checkpoint of the last epoch must hold that epoch's own weights.
        if run.stop is not None and self.weights is not None:
            run.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"wait": self.wait, "best": self.best, "weights": self.weights}


class TerminateOnNaN(Hook):
    """End the stage when the loss of an epoch is no number.

    A training loss that is no number is an error in any case; this adds the validation loss.
    """

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        for name in ("loss", "val_loss"):
            if not math.isfinite(row.get(name, 0.0)):
                run.stop = f"{name} became {row[name]} (TerminateOnNaN)"


class ModelCheckpoint(Resumable):
    """Write weights to files of your own, beside the best ones that are always kept.

    Args:
        filepath: may hold ``{fold}``, ``{stage}``, ``{epoch:02d}`` (from 1) and ``{val_loss:.2f}`` or another column.
        monitor: column that decides with ``save_best_only``.
        verbose: above 0 tells of each file.
        save_best_only: only epochs better than all before.
        save_weights_only: weights alone are written in any case.
        mode: "min", "max" or "auto" (the metric's own direction).
        period: look every so many epochs, 1 or more.

    Raises:
        TrainingError: ``filepath`` cannot be filled in; ``period`` is out of range; the direction of ``monitor`` is
            unknown and needed.
    """

    def __init__(
        self,
        filepath: str,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: AnyMode = "auto",
        period: int = 1,
    ):
        check_range("ModelCheckpoint", "period", period, least=1)
        _check_template(filepath)
        self.filepath = filepath
        self.monitor = Monitor("ModelCheckpoint", monitor, mode) if save_best_only else None
        self.period = period
        self.level = logging.INFO if verbose else logging.DEBUG

    def begin(self, run: Run, stored: Mapping[str, Any] | None) -> None:
        worst = math.nan if self.monitor is None else self.monitor.worst
        self.best: float = stored["best"] if stored else worst

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        if (run.epoch + 1) % self.period:
            return
        if self.monitor is not None:
            value = self.monitor.read(row)
            if not self.monitor.better(value, self.best):
                return
            self.best = value
        if run.rank > 0:
            return
        fields = {**row, "fold": run.fold, "stage": run.stage, "epoch": run.epoch + 1}
        try:
            path = Path(self.filepath.format(**fields))
        except (KeyError, ValueError, IndexError) as error:
            raise TrainingError(
                f"ModelCheckpoint: filepath {self.filepath!r} cannot be filled in ({type(error).__name__}: {error}); "
                f"there are {', '.join(sorted(fields))}"
            ) from error
        from musket.artifacts.checkpoint import save_weights

        save_weights(path, run.model.state_dict(), {"fold": run.fold, "stage": run.stage, "epoch": run.epoch})
        _log.log(self.level, "epoch %d: weights written to %s", run.epoch + 1, path)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}


class _Figures(dict[str, float]):
    """Some number for every column there may be."""

    def __missing__(self, name: str) -> float:
        return 0.5


def _check_template(filepath: str) -> None:
    """Refuse a ``filepath`` that no row of figures could fill in; which columns there are is known later."""
    try:
        string.Formatter().vformat(filepath, (), _Figures(fold=0, stage=0, epoch=1))
    except (ValueError, IndexError, AttributeError, TypeError) as error:
        raise TrainingError(
            f"ModelCheckpoint: filepath is {filepath!r}; it cannot be filled in ({error}). Braces hold a name and a "
            "format: {epoch:02d}, {val_loss:.2f}"
        ) from error


class TensorBoard(Hook):
    """Log to a folder of your own, one sub-folder ``fold.stage`` each, beside the log that is always written.

    Args:
        log_dir: the folder.
        histogram_freq: every so many epochs also histograms of the weights; 0 for none.
        update_freq: "epoch"; "batch", or a number of samples after which the running loss and the rate are logged too.
        batch_size, write_graph, write_grads, write_images, embeddings_freq, embeddings_layer_names,
            embeddings_metadata, embeddings_data: of Keras; accepted, without effect here.

    Raises:
        TrainingError: ``update_freq`` is none of these; ``histogram_freq`` is below 0.
    """

    def __init__(
        self,
        log_dir: str = "./logs",
        histogram_freq: int = 0,
        batch_size: int = 32,
        write_graph: bool = True,
        write_grads: bool = False,
        write_images: bool = False,
        embeddings_freq: int = 0,
        embeddings_layer_names: Any = None,
        embeddings_metadata: Any = None,
        embeddings_data: Any = None,
        update_freq: Literal["epoch", "batch"] | int = "epoch",
    ):
        if update_freq not in ("epoch", "batch") and (isinstance(update_freq, str) or update_freq < 1):
            raise TrainingError(
                f"TensorBoard: update_freq is {update_freq!r}; allowed are epoch, batch and a number of samples"
            )
        check_range("TensorBoard", "histogram_freq", histogram_freq, least=0)
        asked = {"write_grads": write_grads, "write_images": write_images, "embeddings_freq": embeddings_freq}
        idle = [name for name, value in asked.items() if value]
        if idle:
            warnings.warn(f"TensorBoard: {', '.join(idle)} had a meaning in Keras only; ignored", stacklevel=2)
        self.folder = Path(log_dir)
        self.histogram_freq = histogram_freq
        self.update_freq = update_freq
        self._writer: Any = None
        self._every = 0

    def on_epoch_start(self, run: Run) -> None:
        if self._writer is not None or run.rank > 0:
            return
        from torch.utils.tensorboard import SummaryWriter

        # What a killed run logged of epochs that are now repeated is hidden, so curves stay single lines.
        self._writer = SummaryWriter(str(self.folder / f"{run.fold}.{run.stage}"), purge_step=run.epoch)
        if self.update_freq != "epoch":
            batch = max(1, run.images_per_epoch // max(1, run.steps_per_epoch))
            self._every = 1 if self.update_freq == "batch" else max(1, int(self.update_freq) // batch)

    def on_batch_end(self, run: Run) -> None:
        if self._every and run.step % self._every == 0:
            self._writer.add_scalar("batch_loss", run.logs["loss"], run.step)
            self._writer.add_scalar("batch_lr", run.lr, run.step)

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        if self._writer is None:
            return
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, run.epoch)
        if self.histogram_freq and (run.epoch + 1) % self.histogram_freq == 0:
            for name, weights in run.model.named_parameters():
                self._writer.add_histogram(name, weights, run.epoch)

    def on_stage_end(self, run: Run) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
