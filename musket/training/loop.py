"""The only training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import torch

from musket.core.errors import TrainingError
from musket.core.types import Batch, StepResult
from musket.training.ema import WeightMean
from musket.training.hooks import Hook, Run
from musket.training.ranks import Ranks

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from musket.training.hooks import Pictured

# Losses on an accelerator are looked at this often (seconds): each look waits for the device.
_LOOK_EVERY = 0.5
# Several processes look together, so not by their clocks but after so many batches.
_LOOK_EACH = 20
# Validation samples of each epoch that pictures are made of.
PICTURED = 16


class Pipeline(Protocol):
    """A kind of problem, as the loop sees it."""

    def step(self, model: torch.nn.Module, batch: Batch, /) -> StepResult: ...


class Metrics(Protocol):
    """Metrics that are exact over everything they were shown since the last reset."""

    def update(self, truth: torch.Tensor, prediction: torch.Tensor, /) -> None: ...

    def compute(self) -> dict[str, float]: ...

    def reset(self) -> None: ...


@dataclass(frozen=True)
class Clipping:
    """Gradient clipping: by global norm, or every element to [-value, value]."""

    norm: float | None = None
    value: float | None = None


@dataclass(frozen=True)
class Turn:
    """Where a batch stands among those whose gradients are added up for one step of the optimizer.

    Attributes:
        count: batches of that step.
        first, last: whether this batch begins, or ends it.
    """

    count: int = 1
    first: bool = True
    last: bool = True

    @classmethod
    def of(cls, batch: int, batches: int, accumulate: int) -> Turn:
        """Of a batch, counted from 0, in an epoch of ``batches``: its last step may have fewer than the others."""
        position = batch % accumulate
        count = min(accumulate, batches - batch + position)
        return cls(count, position == 0, position == count - 1)


@dataclass
class Averages:
    """Sample-weighted means of the loss and its parts, summed on the device; looked at rarely."""

    total: int = 0
    sums: dict[str, torch.Tensor] = field(default_factory=dict)

    def add(self, result: StepResult, count: int) -> None:
        """Take in a batch of ``count`` samples; with none of them that count only the names of its parts."""
        self.total += count
        for name, value in (("loss", result.loss.detach()), *result.parts.items()):
            value = value.double() if value.device.type != "mps" else value
            weighted = value * count if count else torch.zeros_like(value)
            self.sums[name] = self.sums[name] + weighted if name in self.sums else weighted

    def compute(self, ranks: Ranks) -> dict[str, float]:
        """The means over the samples of all processes."""
        if not self.sums:
            return {}
        values = [value.to(ranks.fabric.device) for value in self.sums.values()]
        *sums, total = ranks.sum(torch.stack([*values, torch.full_like(values[0], self.total)])).tolist()
        return {name: value / total for name, value in zip(self.sums, sums, strict=True)}


class LossWatch:
    """Finds the first loss that is no number, without waiting for the device at every step.

    Of several processes each adds the loss of its share of a batch; the mean of them is what is looked at.
    """

    def __init__(self, ranks: Ranks):
        self.ranks = ranks
        self.at_once = ranks.fabric.device.type == "cpu"
        self.waiting: list[tuple[torch.Tensor, int, tuple[str, ...]]] = []
        self.looked = time.monotonic()
        self.last = math.nan

    def add(self, loss: torch.Tensor, step: int, ids: tuple[str, ...]) -> None:
        self.waiting.append((loss.detach(), step, ids))
        if self.at_once or self._is_time():
            self.look()

    def _is_time(self) -> bool:
        if self.ranks.world > 1:
            return len(self.waiting) >= _LOOK_EACH
        return time.monotonic() - self.looked > _LOOK_EVERY

    def look(self) -> None:
        """Raises TrainingError naming the batch whose loss is nan or infinite."""
        if not self.waiting:
            return
        values = (self.ranks.sum(torch.stack([loss for loss, _, _ in self.waiting])) / self.ranks.world).tolist()
        for value, (_, step, ids) in zip(values, self.waiting, strict=True):
            if not math.isfinite(value):
                names = [name for turn in zip(*self.ranks.of_all(ids), strict=True) for name in turn]
                raise TrainingError(
                    f"the loss became {value} at batch {step} with samples {', '.join(names)}. Training stopped; "
                    "weights and state of the last whole epoch are kept. Lower lr, set clipnorm, or look at these "
                    "samples"
                )
        self.last = values[-1]
        self.waiting.clear()
        self.looked = time.monotonic()


def train_epoch(
    fabric: Fabric,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    pipeline: Pipeline,
    batches: Iterable[Batch],
    metrics: Metrics,
    hooks: Hook,
    run: Run,
    clipping: Clipping,
    accumulate: int = 1,
    mean: WeightMean | None = None,
) -> dict[str, float]:
    """Train on every batch once.

    Of several processes each takes its share of every batch. Gradients are the means of theirs, as are the losses;
    metrics see whole batches in rank 0, and what it finds is returned in all of them.

    Steps, rates and logs count batches, whatever ``accumulate`` is: the optimizer steps with the rate its last batch
    has.

    Args:
        model, optimizer: as set up by ``fabric``.
        batches: exactly ``run.steps_per_epoch`` of them.
        accumulate: batches for one step of the optimizer, down the mean of their gradients. What is left at the end of
            the epoch makes a step of its own.
        mean: takes in the weights after every step.

    Returns:
        ``loss``, its parts and the metrics, exact over the epoch as the network was when it saw each batch. Of mixed
        samples the loss is that of the mixture; metrics compare what the network makes of it with the sample's own
        truth.

    Raises:
        TrainingError: a loss is nan or infinite; names the samples.
    """
    model.train()
    metrics.reset()
    ranks = Ranks(fabric)
    averages = Averages()
    watch = LossWatch(ranks)
    for number, batch in enumerate(on_device(batches, fabric.device)):
        hooks.on_batch_start(run)
        turn = Turn.of(number, run.steps_per_epoch, accumulate)
        with fabric.no_backward_sync(model, enabled=not turn.last):  # type: ignore[arg-type]
            result = pipeline.step(model, batch)
            watch.add(result.loss, run.step, batch.ids)
            descend(fabric, model, optimizer, result.loss, clipping, turn)
        if mean is not None and turn.last:
            mean.update()
        averages.add(result, len(batch))
        if batch.targets is not None:
            _measure(metrics, ranks, batch, result)
        run.step += 1
        run.logs["loss"] = watch.last
        hooks.on_batch_end(run)
    watch.look()
    ranks.even_out(run.model.named_buffers())
    if mean is not None:
        ranks.even_out(mean.tensors())
    return _figures(averages, metrics, ranks)


def _measure(metrics: Metrics, ranks: Ranks, batch: Batch, result: StepResult) -> tuple[torch.Tensor, torch.Tensor]:
    """Show the metrics of rank 0 a whole batch: its truth and predictions, which are returned."""
    assert batch.targets is not None
    truth, predictions = ranks.gather(batch.targets, batch.whole), ranks.gather(result.predictions, batch.whole)
    if ranks.leads:
        metrics.update(truth, predictions)
    return truth, predictions


def _figures(averages: Averages, metrics: Metrics, ranks: Ranks) -> dict[str, float]:
    """Means and metrics, the same in all processes."""
    means = averages.compute(ranks)
    return ranks.agree({**means, **metrics.compute()} if ranks.leads else means)


def descend(
    fabric: Fabric,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: torch.Tensor,
    clipping: Clipping,
    turn: Turn = Turn(),
) -> None:
    """Add a batch's share to the gradient; with the last share clip it, and step down it."""
    if turn.first:
        optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss / turn.count)
    if not turn.last:
        return
    if clipping.norm is not None:
        fabric.clip_gradients(model, optimizer, max_norm=clipping.norm, error_if_nonfinite=False)
    if clipping.value is not None:
        fabric.clip_gradients(model, optimizer, clip_val=clipping.value)
    optimizer.step()


def validate(
    fabric: Fabric,
    model: torch.nn.Module,
    pipeline: Pipeline,
    batches: Iterable[Batch],
    metrics: Metrics,
    hooks: Hook,
    run: Run,
) -> dict[str, float]:
    """Score the network on every batch, the last incomplete one included; names get the prefix ``val_``.

    Several processes share the batches as in training. Keeps the first samples with their predictions in
    ``run.samples``, for pictures.
    """
    model.eval()
    metrics.reset()
    ranks = Ranks(fabric)
    averages = Averages()
    pictured: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    taken = 0
    with torch.inference_mode():
        for batch in on_device(batches, fabric.device):
            result = pipeline.step(model, batch)
            averages.add(result, ranks.own(batch.whole))
            truth, predictions = _measure(metrics, ranks, batch, result)
            if taken < PICTURED:
                first = slice(PICTURED - taken)
                images = ranks.gather(batch.images, batch.whole)
                pictured.append((images[first], truth[first], predictions[first]))
                taken += batch.whole
            hooks.on_validation_batch_end(run)
    run.samples = _one_by_one(pictured) if pictured else None
    return {f"val_{name}": value for name, value in _figures(averages, metrics, ranks).items()}


def _one_by_one(parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> Pictured:
    images, truths, predictions = (
        [sample for part in column for sample in _channels_last(part).cpu().numpy()]
        for column in zip(*parts, strict=True)
    )
    return images, truths, predictions


def _channels_last(batch: torch.Tensor) -> torch.Tensor:
    """Images and maps as N x H x W x C; vectors as they are."""
    return batch.permute(0, 2, 3, 1) if batch.ndim == 4 else batch


def on_device(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Batches on the device; from pinned memory the copy does not make the caller wait."""
    for batch in batches:
        images = batch.images.to(device, non_blocking=True)
        targets = None if batch.targets is None else batch.targets.to(device, non_blocking=True)
        yield replace(batch, images=images, targets=targets)
