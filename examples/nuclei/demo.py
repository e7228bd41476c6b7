"""Train on images of nuclei, judge the result on images that were kept away, and say where to look.

Run it with ``make demo``. It works on a copy of this project in ``runs/demo`` and starts afresh every time.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

import musket
from musket.report.samples import draw_grid, write_jpg

SOURCE = Path(__file__).resolve().parent
PROJECT = SOURCE.parents[1] / "runs" / "demo"


def main() -> None:
    started = time.monotonic()
    shutil.rmtree(PROJECT, ignore_errors=True)
    shutil.copytree(SOURCE, PROJECT, ignore=shutil.ignore_patterns("demo.py", "__pycache__"))

    experiment = musket.parse(PROJECT / "experiments" / "unet" / "config.yaml")
    experiment.fit()

    heldout, predictions = PROJECT / "data" / "heldout", PROJECT / "predictions"
    folds = list(range(experiment.spec.folds_count))
    experiment.predict_to_directory(heldout / "images", predictions, fold=folds)

    names = sorted(path.stem for path in (heldout / "images").glob("*.png"))
    images = [cv2.imread(str(heldout / "images" / f"{name}.png"))[..., ::-1] for name in names]
    truths = [read_grey(heldout / "masks" / f"{name}.png") > 0.5 for name in names]
    scores = [read_grey(predictions / f"{name}.png") for name in names]
    found = [dice(truth, score > 0.5) for truth, score in zip(truths, scores, strict=True)]
    constant = [dice(truth, np.ones_like(truth)) for truth in truths]

    grid = PROJECT / "heldout.jpg"
    captions = [f"{name}   Dice {value:.2f}" for name, value in zip(names, found, strict=True)]
    write_jpg(grid, draw_grid(images, truths, scores, captions, across=2))

    console = Console(soft_wrap=True)
    console.print()
    console.print(heldout_table(names, found, constant))
    console.print(f"Done in {time.monotonic() - started:.0f} s. Where to look:")
    console.print(f"  pictures     {shown(grid)}")
    console.print(f"  masks        {shown(predictions)}")
    console.print(f"  summary      {shown(experiment.layout.summary)}")
    console.print(f"  every epoch  {shown(experiment.layout.metrics(0, 0).parent)}")
    tensorboard = Path(sys.executable).with_name("tensorboard")
    console.print(f"  curves       {shown(tensorboard)} --logdir {shown(experiment.layout.tensorboard(0, 0).parent)}")


def read_grey(path: Path) -> np.ndarray:
    """A grey picture as H x W floats, 0..1."""
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) / 255


def dice(truth: np.ndarray, found: np.ndarray) -> float:
    """Overlap of two masks: 2 |A and B| / (|A| + |B|), 1 when both are empty."""
    total = truth.sum() + found.sum()
    return float(2 * (truth & found).sum() / total) if total else 1.0


def heldout_table(names: list[str], found: list[float], constant: list[float]) -> Table:
    """Dice on every held-out image, beside what a mask that is nucleus everywhere would get."""
    table = Table("image", "Dice", "constant mask", title="Held-out images, all folds blended", show_footer=True)
    for name, value, baseline in zip(names, found, constant, strict=True):
        table.add_row(name, f"{value:.3f}", f"{baseline:.3f}")
    for column, footer in zip(
        table.columns, ("mean", f"{np.mean(found):.3f}", f"{np.mean(constant):.3f}"), strict=True
    ):
        column.footer = footer
    return table


def shown(path: Path) -> str:
    """A path as short as the current folder allows."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    main()
