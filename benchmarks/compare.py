"""Seconds and memory that a comparison of many experiments takes: every file read, CSV and table written.

Writes as many experiments as asked for into a temporary folder, each with config, run record, summary and epochs of
every fold, as ``fit`` leaves them; then runs ``musket analyze`` there in a fresh process.

    python benchmarks/compare.py [--experiments 1000] [--folds 5] [--epochs 100]
"""

from __future__ import annotations

import argparse
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

METRICS = ("binary_accuracy", "dice", "iou")
CONFIG = """\
#%Musket Segmentation 1.0
architecture: {architecture}
backbone: {backbone}
classes: 1
activation: sigmoid
shape: [320, 320, 3]
augmentation:
  Fliplr: 0.5
  Flipud: 0.5
  Affine: {{rotate: [-20, 20], scale: [0.8, 1.2]}}
optimizer: Adam
lr: {lr}
batch: {batch}
loss: {loss}
metrics: [binary_accuracy, dice, iou]
primary_metric: val_dice
freeze_encoder: {frozen}
folds_count: {folds}
testSplit: 0.1
callbacks:
  EarlyStopping: {{patience: 20, monitor: val_dice}}
  ReduceLROnPlateau: {{patience: 4, factor: 0.5, monitor: val_dice}}
dataset: {{getTrain: []}}
stages:
  - epochs: {first}
  - {{epochs: {second}, lr: 0.0001}}
"""
DEFAULTS = {
    "primary_metric_mode": "auto",
    "random_state": 33,
    "verbose": 1,
    "gpus": 1,
    "max_evals": 200,
    "dumpPredictionsToCSV": False,
    "inference_batch": 32,
    "noTrain": False,
    "separatePredictions": True,
    "validationSplit": 0.2,
    "testSplitSeed": 123,
    "stratified": False,
    "cache": True,
    "manualResize": False,
    "copyWeights": False,
    "showDataExamples": False,
    "encoder_weights": "imagenet",
    "compressPredictionsAsInts": True,
}
VERSIONS = {"python": "3.11.7", "musket": "0.1.0", "torch": "2.15.0", "timm": "1.0.31"}


def write_experiment(folder: Path, number: int, folds: int, epochs: int) -> None:
    """One finished experiment of two stages."""
    draw = random.Random(number)
    text = CONFIG.format(
        architecture=draw.choice(["Unet", "FPN", "Linknet", "PSPNet"]),
        backbone=draw.choice(["resnet18", "resnet34", "mobilenet_v2"]),
        lr=draw.choice([0.01, 0.003, 0.001]),
        batch=draw.choice([8, 16]),
        loss=draw.choice(["binary_crossentropy", "binary_crossentropy+0.5*dice_loss"]),
        frozen=draw.choice(["true", "false"]),
        folds=folds,
        first=epochs // 2,
        second=epochs - epochs // 2,
    )
    (folder / "metrics").mkdir(parents=True)
    (folder / "config.yaml").write_text(text)
    record = {
        "config": {**yaml.load(text, yaml.CSafeLoader), **DEFAULTS},
        "subsample": 1.0,
        "data": {"samples": 1000, "fingerprint": "08a9eae149235379299520efca595f48"},
        "device": "cuda",
        "precision": "bf16-mixed",
        "versions": VERSIONS,
    }
    (folder / "run.yaml").write_text(yaml.dump(record, Dumper=yaml.CSafeDumper, sort_keys=False))
    block: dict[str, float | dict[str, float]] = {}
    for metric in METRICS:
        mean = draw.random()
        block[metric] = {"mean": mean, "max": mean + 0.01, "min": mean - 0.01, "std": 0.005}
        block[f"{metric}_holdout"] = draw.random()
    summary = {
        "completed": True,
        "cfgName": "config.yaml",
        "subsample": 1.0,
        "folds": list(range(folds)),
        "experiment_result": {"name": "dice_holdout", "value": block["dice_holdout"]},
        "stages": [block, block],
        "allStages": block,
    }
    (folder / "summary.yaml").write_text(yaml.dump(summary, Dumper=yaml.CSafeDumper, sort_keys=False))
    names = ["epoch", *sorted(["loss", "lr", *METRICS, "val_loss", *(f"val_{name}" for name in METRICS)])]
    for fold in range(folds):
        for stage, count in enumerate((epochs // 2, epochs - epochs // 2)):
            rows = []
            for epoch in range(count):
                left = draw.random() / math.sqrt(stage * epochs + epoch + 1)  # what there is still to learn
                cells = (
                    left if "loss" in name else 0.001 if name == "lr" else 1 - left * draw.random()
                    for name in names[1:]
                )
                rows.append([str(epoch), *map(repr, cells)])
            lines = [",".join(row) for row in (names, *rows)]
            (folder / "metrics" / f"metrics-{fold}.{stage}.csv").write_text("\n".join(lines) + "\n")


def cpu_seconds() -> float:
    """What ended child processes have worked."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=100)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        for number in range(chosen.experiments):
            folder = Path(root, "experiments", f"group{number % 10}", f"net{number:04}")
            write_experiment(folder, number, chosen.folds, chosen.epochs)
        files = [path for path in Path(root).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        print(f"{chosen.experiments} experiments, {len(files)} files, {size / 1e6:.0f} MB")
        command = [sys.executable, "-m", "musket", "analyze", "--inputFolder", root, "--output", f"{root}/report.csv"]
        for turn in range(3):
            began, used = time.perf_counter(), cpu_seconds()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            took, worked = time.perf_counter() - began, cpu_seconds() - used
            print(f"turn {turn}: {took:.2f} s (wanted: under 5), {worked:.2f} s of one core")
        rows = Path(root, "report.csv").read_text().count("\n") - 1
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{rows} rows, peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
