"""Example pictures after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from musket.core.types import Sample
from musket.data.loader import collate
from musket.experiment.class_names import class_names
from musket.experiment.targets import heads_of
from musket.training.hooks import Hook, Run

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec

Draw = Callable[[Path, tuple[Any, Any, Any]], None]
"""(file, (images, truths, predictions)) -> a picture in that file."""


def drawer(spec: NetworkSpec, dataset: Any) -> Draw:
    """How samples with their predictions are drawn: masks laid over images, or labels beneath them.

    Args:
        dataset: may know the names of the classes.
    """
    from musket.report.label_samples import draw_labels
    from musket.report.samples import draw_triples, write_jpg

    heads = heads_of(spec)
    if heads is None:
        return lambda path, samples: write_jpg(path, draw_triples(*samples))
    names = class_names(dataset, spec)
    return lambda path, samples: write_jpg(path, draw_labels(*samples, heads, names))


class ExamplePictures(Hook):
    """Draws the first validation samples of each epoch: image, truth, prediction.

    Args:
        path: epoch -> file.
        draw: see :func:`drawer`.
    """

    def __init__(self, path: Callable[[int], Path], draw: Draw):
        self.path = path
        self.draw = draw

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        if run.samples is not None:
            self.draw(self.path(run.epoch), run.samples)


class TrainingPictures(Hook):
    """Draws augmented training samples after each epoch: image, truth, and what the network makes of it by then.

    Args:
        path: epoch -> file.
        draw: see :func:`drawer`.
        samples: epoch -> samples as they were trained on.
        predict: network and images N x C x H x W -> scores N x classes x H x W or N x classes.
    """

    def __init__(
        self,
        path: Callable[[int], Path],
        draw: Draw,
        samples: Callable[[int], list[Sample]],
        predict: Callable[[torch.nn.Module, torch.Tensor], torch.Tensor],
    ):
        self.path = path
        self.draw = draw
        self.samples = samples
        self.predict = predict

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        samples = self.samples(run.epoch)
        if not samples:
            return
        device = next(run.model.parameters()).device
        run.model.eval()
        with torch.inference_mode():  # one by one: it takes little memory, and their sizes may differ
            scores = [self.predict(run.model, collate([sample]).images.to(device))[0] for sample in samples]
        last = [score.permute(1, 2, 0) if score.ndim == 3 else score for score in scores]
        predictions = [score.float().cpu().numpy() for score in last]
        images, truths = [sample.image for sample in samples], [sample.target for sample in samples]
        self.draw(self.path(run.epoch), (images, truths, predictions))
