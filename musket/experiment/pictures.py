"""Example pictures after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
