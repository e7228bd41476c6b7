"""Parts of an experiment that is trained by several processes: each of them imports this module."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import torch
from toy import Drawn

import musket
from musket.metrics.catalogue import METRICS
from musket.models.catalogue import ARCHITECTURES
from musket.training.catalogue import CALLBACKS
from musket.training.hooks import Run


def plain_net(shape: tuple[int, int, int], classes: int) -> torch.nn.Sequential:
    """Nothing in it depends on other samples of the batch, or on random numbers."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(shape[2], 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, classes, 3, padding=1)
    )


def normed_net(shape: tuple[int, int, int], classes: int) -> torch.nn.Sequential:
    """The same with statistics of the batch."""
    first, *rest = plain_net(shape, classes)
    return torch.nn.Sequential(first, torch.nn.BatchNorm2d(4), *rest)


def spread(truth: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
    """A figure that depends on how samples are batched."""
    return (prediction.amax() - prediction.amin()) * truth.mean()


class Witness(musket.Hook):
    """Writes down what a hook sees at the end of each epoch, by process."""

    def __init__(self, folder: str, fail: int = -1):
        self.folder = Path(folder)
        self.fail = fail

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        assert run.samples is not None
        if run.rank == self.fail:
            raise LookupError("the witness is gone")
        weights = sum(float(value.double().sum()) for value in run.model.state_dict().values())
        pictured = [sum(float(array.sum()) for array in arrays) for arrays in run.samples]
        seen = [run.epoch, run.step, run.lr, run.logs["loss"], run.steps_per_epoch, row, weights, pictured]
        with open(self.folder / f"witness-{run.rank}.json", "a") as file:
            file.write(json.dumps(seen) + "\n")


class Locked(Drawn):
    """Cannot be handed to another process."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = lambda: None


def register() -> None:
    for registry, name, part in (
        (ARCHITECTURES, "plain_net", plain_net),
        (ARCHITECTURES, "normed_net", normed_net),
        (METRICS, "spread", spread),
        (CALLBACKS, "Witness", Witness),
    ):
        if name not in registry:
            registry.add(name, part, "of a test")


if multiprocessing.parent_process() is not None:  # in the process of the tests, each test does, and forgets them
    register()
