"""Search for a learning rate: train while the rate grows from batch to batch, and look where the loss falls.

After L. N. Smith, "Cyclical learning rates for training neural networks" (2017), section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musket.artifacts.files import write_atomic
from musket.core.errors import TrainingError
from musket.core.types import Batch
from musket.optim.rates import set_rate
from musket.training.loop import Clipping, Pipeline, Turn, descend, on_device

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric
    from matplotlib.axes import Axes


FEWEST = 10
"""Batches below which a curve says nothing."""


@dataclass
class LRFinder:
    """What a search saw.

    Attributes:
        lrs: the rate of every batch, growing by one factor.
        losses: the loss of every batch before its step; the last one may be the one that ended the search.
        best_loss: the lowest of them.
        stopped: why the search ended before its last batch; empty when it did not.
    """

    lrs: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    stopped: str = ""

    @property
    def best_loss(self) -> float:
        return min(self.losses, default=math.inf)

    @property
    def suggestion(self) -> float:
        """A good rate to train with; see :func:`suggest`."""
        return suggest(self.lrs, self.losses)

    def plot_loss(self, n_skip_beginning: int = 10, n_skip_end: int = 5) -> None:
        """Draw the loss over the rate (log scale) on matplotlib's current figure.

        Args:
            n_skip_beginning, n_skip_end: batches left out at both ends.

        Raises:
            TrainingError: that leaves fewer than two batches.
        """
        import matplotlib.pyplot as plt

        self.draw_loss(plt.gca(), n_skip_beginning, n_skip_end)

    def plot_loss_change(
        self,
        sma: int = 1,
        n_skip_beginning: int = 10,
        n_skip_end: int = 5,
        y_lim: tuple[float, float] | None = (-0.01, 0.01),
    ) -> None:
        """Draw how fast the loss changes, over the rate (log scale), on matplotlib's current figure.

        Args:
            sma: batches over which the change is averaged, 1 or more.
            n_skip_beginning, n_skip_end: batches left out at both ends.
            y_lim: bounds of the vertical axis; None fits them to the curve.

        Raises:
            TrainingError: ``sma`` is out of range, or fewer than two batches are left.
        """
        import matplotlib.pyplot as plt

        self.draw_loss_change(plt.gca(), sma, n_skip_beginning, n_skip_end, y_lim)

    def draw_loss(self, axes: Axes, n_skip_beginning: int = 10, n_skip_end: int = 5) -> None:
        """:meth:`plot_loss` on axes of your own."""
        shown = self._shown(n_skip_beginning, n_skip_end)
        _draw(axes, self.lrs[shown], self.losses[shown], "loss")

    def draw_loss_change(
        self,
        axes: Axes,
        sma: int = 1,
        n_skip_beginning: int = 10,
        n_skip_end: int = 5,
        y_lim: tuple[float, float] | None = (-0.01, 0.01),
    ) -> None:
        """:meth:`plot_loss_change` on axes of your own."""
        shown = self._shown(n_skip_beginning, n_skip_end)
        _draw(axes, self.lrs[shown], loss_changes(self.losses, sma)[shown], "rate of loss change")
        if y_lim is not None:
            axes.set_ylim(*y_lim)

    def _shown(self, n_skip_beginning: int, n_skip_end: int) -> slice:
        end = len(self.lrs) - n_skip_end
        if end - n_skip_beginning < 2 or n_skip_beginning < 0 or n_skip_end < 0:
            raise TrainingError(
                f"the search saw {len(self.lrs)} batches; without the first {n_skip_beginning} and the last "
                f"{n_skip_end} no curve is left. Skip fewer, or search for more epochs"
            )
        return slice(n_skip_beginning, end)

    def save_picture(self, path: str | Path) -> None:
        """Write both curves side by side, the suggested rate marked. The ending of the name decides the format.

        Raises:
            TrainingError: the search saw too few batches for a curve; the format is not known, or the folder missing.
            ArtifactError: the file cannot be written.
        """
        from matplotlib.figure import Figure

        kind = check_picture(path)
        figure = Figure(figsize=(11, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        first = min(10, len(self.lrs) // 10)
        last = 1 if self.stopped else 0
        self.draw_loss(left, first, last)
        smooth = smoothed(self.losses)
        shown = slice(first, len(self.lrs) - last)
        left.lines[0].set_alpha(0.5)
        left.plot(self.lrs[shown], smooth[shown], color="tab:red", linewidth=2, label="trend")
        sma = max(1, len(self.lrs) // 20)
        self.draw_loss_change(right, sma, max(first, sma), last, y_lim=None)
        right.axhline(0, color="grey", linewidth=0.8)
        rate = self.suggestion
        for axes in (left, right):
            axes.axvline(rate, color="tab:green", linestyle="--", label=f"suggested: {rate:.2g}")
            axes.grid(alpha=0.3)
        left.legend()
        write_atomic(path, lambda beside: figure.savefig(beside, format=kind, dpi=120))


def check_picture(path: str | Path) -> str:
    """The format a picture's name asks for, PNG without an ending.

    Raises:
        TrainingError: there is no such format, or no folder to write into.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    kind = Path(path).suffix.lstrip(".").lower() or "png"
    known = FigureCanvasBase.get_supported_filetypes()
    if kind not in known:
        raise TrainingError(f"{path}: no such format of pictures; there are {', '.join(sorted(known))}")
    folder = Path(path).parent
    if not folder.is_dir():
        raise TrainingError(f"{path}: there is no folder {folder}; make it first")
    if Path(path).is_dir():
        raise TrainingError(f"{path}: this is a folder; name a file in it")
    return kind


def _draw(axes: Axes, lrs: Sequence[float], values: Sequence[float], label: str) -> None:
    axes.plot(lrs, values)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate (log scale)")
    axes.set_ylabel(label)


def loss_changes(losses: Sequence[float], sma: int = 1) -> list[float]:
    """``(loss[i] - loss[i - sma]) / sma`` for every batch; 0 for the first ``sma`` ones.

    Raises:
        TrainingError: ``sma`` is below 1.
    """
    if sma < 1:
        raise TrainingError(f"sma is a number of batches, 1 or more; found {sma}")
    start = min(sma, len(losses))
    return [0.0] * start + [(losses[i] - losses[i - sma]) / sma for i in range(start, len(losses))]


def smoothed(losses: Sequence[float]) -> np.ndarray:
    """The trend of the losses: a running median, which single bad batches do not move, and of it a running mean.

    Both reach a tenth of all batches to either side (the mean with triangular weights), so the curve means the same for
    short and long searches, and lags behind in neither.
    """
    reach = max(1, round(len(losses) / 10))
    bounds = [(max(0, i - reach), i + reach + 1) for i in range(len(losses))]
    medians = np.array([np.median(losses[first:last]) for first, last in bounds])
    weights = np.bartlett(2 * reach + 3)[1:-1]
    present = np.convolve(np.ones(len(losses)), weights)
    return (np.convolve(medians, weights) / present)[reach:-reach]


def suggest(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """The rate at which the smoothed loss falls most steeply over the logarithm of the rate, before its minimum.

    This is fastai's rule ``steep`` (``Learner.lr_find``), on a trend without lag (:func:`smoothed`). Its usual rule,
    ``valley``, takes the middle of the longest descent, which moves with the rate a search begins at.

    Args:
        lrs: rates, growing. losses: as many.

    Raises:
        TrainingError: too few batches, or the loss never fell: there is nothing to suggest.
    """
    kept = len(losses) - int(len(losses) > 0 and _exploded(losses[-1], min(losses)))
    if kept < FEWEST:
        raise TrainingError(
            f"the search saw {len(losses)} batches, too few to tell a rate from (at least {FEWEST}); search for more "
            "epochs, or from a lower rate"
        )
    curve = smoothed(losses[:kept])
    end = int(curve.argmin()) + 1
    if end < 2:
        raise TrainingError(
            f"the loss fell at no rate from {lrs[0]:g} to {lrs[-1]:g}; search lower rates, or for more epochs"
        )
    return lrs[int(np.gradient(curve, np.log(lrs[:kept]))[:end].argmin())]


def _exploded(loss: float, best: float) -> bool:
    """Above four times the best; below 0, where that means nothing, above it by three times its size."""
    return loss > best + 3 * abs(best)


def search(
    fabric: Fabric,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    pipeline: Pipeline,
    batches: Iterable[Batch],
    count: int,
    start_lr: float,
    end_lr: float,
    clipping: Clipping,
    watch: Callable[[float, float], object] = lambda lr, loss: None,
    accumulate: int = 1,
) -> LRFinder:
    """Train with a rate that grows by the same factor after every batch, until the loss explodes.

    The factor is ``(end_lr / start_lr) ** (1 / count)``, so that ``end_lr`` is what the rate would be after the last
    batch. The search ends early on a loss that is no finite number (which is not kept) and on one above four times the
    best (for losses below 0: above the best by three times its size).

    Args:
        model, optimizer: as set up by ``fabric``; both are changed.
        count: batches there will be, over all epochs.
        watch: called with rate and loss after every batch.
        accumulate: batches for one step of the optimizer.

    Raises:
        TrainingError: the very first loss is no finite number.
    """
    found = LRFinder()
    factor = (end_lr / start_lr) ** (1 / count)
    best = math.inf
    lr = start_lr
    model.train()
    for number, batch in enumerate(on_device(batches, fabric.device)):
        set_rate(optimizer, lr)
        result = pipeline.step(model, batch)
        loss = float(result.loss.detach())
        if not math.isfinite(loss):
            if not found.losses:
                raise TrainingError(
                    f"the loss is {loss} before the first step, with samples {', '.join(batch.ids)}: look at these"
                )
            found.stopped = f"the loss became {loss} at lr {lr:.2g}"
            break
        found.lrs.append(lr)
        found.losses.append(loss)
        watch(lr, loss)
        if _exploded(loss, best):
            found.stopped = f"the loss rose to {loss:.4g} at lr {lr:.2g}, more than four times the best"
            break
        best = min(best, loss)
        descend(fabric, model, optimizer, result.loss, clipping, Turn.of(number, count, accumulate))
        lr *= factor
    return found
