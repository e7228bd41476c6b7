"""Seconds before anything happens: the command's help, the import, and all up to the first training step.

Each figure is the best of three fresh processes.

    python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CONFIG = Path(__file__).parents[1] / "examples" / "nuclei" / "experiments" / "unet" / "config.yaml"

FIRST_STEP = """
import shutil, sys, tempfile, time
from pathlib import Path
from time import perf_counter as now
marks = [("", now())]
def mark(name): marks.append((name, now()))
import musket
mark("import musket")
folder = Path(tempfile.mkdtemp()) / "nuclei"
shutil.copytree(sys.argv[1], folder)
mark("(copy of the project)")
cfg = musket.parse(folder / "experiments" / "unet" / "config.yaml", verbose=0)
mark("musket.parse")
import torch
mark("import torch")
import segmentation_models_pytorch
mark("import segmentation_models_pytorch and timm")
import lightning_fabric
mark("import lightning_fabric")
import musket.experiment.run, musket.experiment.summary, musket.models.segmenters
mark("import the rest")
from musket.training import loop
from musket.experiment import unit as engine
original = loop.Averages.add
train_one_stage = engine._train_one_stage
def stage(*arguments, **keywords):
    mark("dataset, splits, network")
    return train_one_stage(*arguments, **keywords)
engine._train_one_stage = stage
class Done(BaseException): pass
def first(*arguments):
    mark("first batch and step")
    raise Done
loop.Averages.add = first
try:
    cfg.fit()
except Done:
    pass
finally:
    shutil.rmtree(folder.parent)
for (_, before), (name, after) in zip(marks, marks[1:]):
    print(f"{name}\\t{after - before}")
"""


def best(run: Callable[[], float]) -> float:
    return min(run() for _ in range(3))


def wall(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def first_step() -> dict[str, float]:
    command = [sys.executable, "-c", FIRST_STEP, str(CONFIG.parents[2])]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name: float(seconds) for name, seconds in (line.split("\t") for line in lines) if "copy" not in name}


def main() -> None:
    bare = best(lambda: wall(sys.executable, "-c", "pass"))
    print(f"{'python -c pass':<44} {bare:6.2f} s")
    shown = best(lambda: wall(sys.executable, "-m", "musket", "--help"))
    print(f"{'musket --help':<44} {shown:6.2f} s (wanted: under 0.25)")
    imported = best(lambda: wall(sys.executable, "-c", "import musket")) - bare
    print(f"{'import musket':<44} {imported:6.2f} s (wanted: under 0.3)")
    runs = sorted((first_step() for _ in range(3)), key=lambda parts: sum(parts.values()))
    for name, seconds in runs[0].items():
        print(f"  {name:<42} {seconds:6.2f} s")
    print(f"{'from the start to the first training step':<44} {sum(runs[0].values()):6.2f} s")


if __name__ == "__main__":
    main()
