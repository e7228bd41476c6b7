"""What training would take on this machine, from one or two trial steps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from musket.core.errors import MusketError, TrainingError
from musket.core.runtime import make_fabric, memory_format, seed_torch
from musket.data.loader import auto_workers, collate
from musket.experiment import build, reading, run
from musket.experiment.plan import training_samples, validation_samples
from musket.experiment.unit import set_frozen
from musket.report.check_facts import Estimate

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.core.types import Batch
    from musket.experiment.prepare_data import PreparedData

_READ = 16
"""Samples read to learn how long one takes."""
_SMALL_BATCH = 2
"""Samples of a trial step on a processor: the least that batch norm takes; time and memory grow with the batch."""
_LONG = 5.0
"""Seconds of a step from which on no second one is tried."""
_FORWARD = 1 / 3
"""Share of the forward pass in a training step: the backward pass multiplies matrices twice as often."""


def estimate(spec: NetworkSpec, data: PreparedData, folders: Sequence[Path]) -> Estimate | None:
    """Read some samples of the first fold and train on a batch of them, with random weights that are thrown away.

    On an accelerator memory is measured. On a processor a small batch is tried first, and memory extrapolated from the
    arrays it kept for the backward pass; work space is left out. Time is that of the whole batch unless it is long.

    Args:
        data: what is trained on.
        folders: where relative paths of the config may begin.

    Returns:
        None when nothing is trained.

    Raises:
        MusketError: a sample, the network, the loss or the step fails as it would in training.
    """
    sampler, _ = training_samples(spec, data, 0, 0)
    if not len(sampler):
        return None
    fabric = make_fabric()
    device = fabric.device
    make = reading.training_maker(spec, data.dataset, data.ids, spec.random_state, folders)
    began = time.perf_counter()
    samples = [make(position, 0) for position in sampler.part[: max(spec.batch, _READ)]]
    read = (time.perf_counter() - began) / len(samples)

    seed_torch(spec.random_state, "estimate")
    module = build.build_model(spec, pretrained=False)
    module.to(memory_format=memory_format(device))  # type: ignore[call-overload]
    set_frozen(module, True if spec.freeze_encoder else None, spec.unfreeze_encoder)
    set_frozen(module, spec.stages[0].freeze_encoder, spec.stages[0].unfreeze_encoder)
    wrapped = fabric.setup_module(module)
    optimizer = build.build_optimizer(spec, module, spec.lr)
    wrapped_optimizer: Any = fabric.setup_optimizers(optimizer)
    loss = spec.stages[0].loss or spec.loss
    pipeline = build.build_pipeline(spec, build.normalization(spec, module), loss, device)

    def step(size: int) -> None:
        result = pipeline.step(wrapped, _moved(collate(samples[:size]), device))
        wrapped_optimizer.zero_grad(set_to_none=True)
        fabric.backward(result.loss)
        wrapped_optimizer.step()

    try:
        size, kept, seconds = _tried(step, spec.batch, module, device)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"a batch of {spec.batch} does not fit into the memory of {run.device_name(fabric)}; lower batch or shape"
        ) from error
    except MusketError:
        raise
    except Exception as error:
        raise TrainingError(
            f"a training step fails: {type(error).__name__}: {error} ({reading.place_of(error)})"
        ) from error
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device)
    else:
        memory = _weights(module, optimizer) + kept * spec.batch // size
    epoch, total, waited = _times(spec, data, seconds, read, overlapping=device.type != "cpu")
    return Estimate(run.device_name(fabric), spec.batch, memory, _memory_of(device), epoch, total, waited)


def _tried(
    step: Callable[[int], None], batch: int, module: torch.nn.Module, device: torch.device
) -> tuple[int, int, float]:
    """Samples of the first step, bytes it kept for the backward pass, and seconds per sample of later steps."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    first = batch if device.type == "cuda" else min(batch, _SMALL_BATCH)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        seconds = _timed(step, first, device)
    size = batch if seconds * batch / first < _LONG else first
    if seconds < _LONG:
        seconds = min(_timed(step, size, device) for _ in range(2))
    else:
        size = first
    return first, sum(kept.values()), seconds / size


def _timed(step: Callable[[int], None], size: int, device: torch.device) -> float:
    began = time.perf_counter()
    step(size)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def _weights(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Bytes of weights, gradients and what the optimizer remembers."""
    tensors = [*module.parameters(), *module.buffers()]
    tensors += [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    for state in optimizer.state.values():
        tensors += [value for value in state.values() if isinstance(value, torch.Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _times(
    spec: NetworkSpec, data: PreparedData, step: float, read: float, *, overlapping: bool
) -> tuple[tuple[float, float], float, float]:
    """Seconds of the shortest and the longest epoch, of all epochs of all folds, and the share of waiting for samples.

    Args:
        step, read: seconds per sample.
        overlapping: samples are read while the device computes.
    """
    read /= max(1, auto_workers())
    epochs = []
    share = 0.0
    for fold in range(len(data.folds)):
        for number, stage in enumerate(spec.stages):
            trained = training_samples(spec, data, fold, number)[1] * spec.batch
            validated = len(validation_samples(spec, data, fold, number))
            computing = trained * step + validated * step * _FORWARD
            taken = (trained + validated) * read
            seconds = max(computing, taken) if overlapping else computing + taken
            waiting = max(0.0, taken - computing) if overlapping else taken
            epochs.append((seconds, stage.epochs))
            share = share or waiting / seconds
    each = [seconds for seconds, _ in epochs]
    return (min(each), max(each)), sum(seconds * count for seconds, count in epochs), share


def _moved(batch: Batch, device: torch.device) -> Batch:
    targets = None if batch.targets is None else batch.targets.to(device)
    return type(batch)(batch.images.to(device), targets, batch.ids)


def _memory_of(device: torch.device) -> int:
    """Bytes of memory a device has; 0 where that cannot be told."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
