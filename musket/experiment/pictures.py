"""Example pictures after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from musket.core.types import Sample
from musket.data.loader import collate
from musket.training.hooks import Hook, Run


class ExamplePictures(Hook):
    """Draws the first validation samples of each epoch: image, truth, prediction.

    Args:
        path: epoch -> file.
        draw: (file, (images, truths, predictions)) writes the picture.
    """

    def __init__(self, path: Callable[[int], Path], draw: Callable[[Path, tuple[Any, Any, Any]], None]):
        self.path = path
        self.draw = draw

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        if run.samples is not None:
            self.draw(self.path(run.epoch), run.samples)


class TrainingPictures(Hook):
    """Draws augmented training samples after each epoch: image, truth, and what the network makes of it by then.

    Args:
        path: epoch -> file.
        draw: (file, (images, truths, predictions)) writes the picture.
        samples: epoch -> samples as they were trained on.
        predict: network and images N x C x H x W -> scores N x classes x H x W.
    """

    def __init__(
        self,
        path: Callable[[int], Path],
        draw: Callable[[Path, tuple[Any, Any, Any]], None],
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
        predictions = [score.permute(1, 2, 0).float().cpu().numpy() for score in scores]
        images, truths = [sample.image for sample in samples], [sample.target for sample in samples]
        self.draw(self.path(run.epoch), (images, truths, predictions))
