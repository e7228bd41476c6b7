"""A whole classification fit beside fastai and a plain Lightning + timm script: seconds, and accuracy reached.

All train the same timm network from random weights on the same files: a folder each for training, validation and test,
and in it a folder per class. Input size, batch, epochs, loss, AdamW, one-cycle schedule and kinds of augmentation
(flip, turn, zoom, brightness, contrast) are the same. Each keeps the weights of the epoch with the best accuracy on the
validation part, and these are judged on the test part. Reading and augmenting is each tool's own, as its documentation
shows it.

Every fit is a process of its own, so that none profits by another's caches, and the tools take turns in which goes
first. The clock runs from the listing of the files to the last kept weights; imports are timed apart.

    python benchmarks/classify.py        needs: pip install fastai lightning
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()

NETWORK = "resnet10t"
SIDE = 64
BATCH = 10
EPOCHS = 24
RATE = 0.002
DECAY = 0.01  # of all weights alike: AdamW's own default, which Musket leaves as it is
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The one-cycle schedule in torch's numbers: up to RATE for a quarter of the steps, and down again.
RISE, FIRST, LAST = 0.25, 25.0, 4000.0

Fit = Callable[[Path, Path, int, int, int], Callable[[list[Path]], list[int]]]
"""Train on (data, with results in a folder, seed, epochs, workers); returns what tells the classes of files."""


def pictures(folder: Path) -> tuple[list[str], list[Path], list[int]]:
    """Names of the classes, files, and the class of each file."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [file for name in names for file in sorted((folder / name).iterdir())]
    return names, files, [names.index(file.parent.name) for file in files]


def fit_musket(data: Path, folder: Path, seed: int, epochs: int, workers: int) -> Callable[[list[Path]], list[int]]:
    """Its config, its way. Its decode cache is empty at the start."""
    import musket as tool
    from musket.data.images import read_image

    config = folder / "config.yaml"
    config.write_text(
        f"""\
#%Musket Classification 1.0
architecture: {NETWORK}
weights: null
classes: {len(pictures(data / "train")[0])}
activation: softmax
shape: [{SIDE}, {SIDE}, 3]
normalize: {{mean: {list(MEAN)}, std: {list(DEVIATION)}}}
augmentation:
  Fliplr: 0.5
  Affine: {{rotate: [-15, 15], scale: [0.9, 1.1]}}
  Multiply: [0.8, 1.2]
  LinearContrast: [0.8, 1.2]
dataset:
  train: {{ClassFolders: "{data}/train"}}
  validation: {{ClassFolders: "{data}/validation"}}
batch: {BATCH}
optimizer: AdamW
lr: {RATE}
loss: categorical_crossentropy
metrics: [categorical_accuracy]
primary_metric: val_categorical_accuracy
callbacks:
  OneCycleLR: {{max_lr: {RATE}, interval: step, pct_start: {RISE}, div_factor: {FIRST}, final_div_factor: {LAST}}}
stages: [{{epochs: {epochs}}}]
random_state: {seed}
verbose: 0
cache: "{folder}/cache"
"""
    )
    experiment = tool.parse(config)
    experiment.fit()

    def classes(files: list[Path]) -> list[int]:
        items = [tool.PredictionItem(str(file), read_image(file), None) for file in files]
        return experiment.predict_all_to_array(items).argmax(1).tolist()

    return classes


def fit_fastai(data: Path, folder: Path, seed: int, epochs: int, workers: int) -> Callable[[list[Path]], list[int]]:
    """DataBlock, Learner and fit_one_cycle, with torch's AdamW, which is faster here than fastai's own."""
    import timm
    import torch
    from fastai.vision import all as v

    v.set_seed(seed)
    block = v.DataBlock(
        blocks=(v.ImageBlock, v.CategoryBlock),
        get_items=v.partial(v.get_image_files, folders=["train", "validation"]),
        get_y=v.parent_label,
        splitter=v.GrandparentSplitter(train_name="train", valid_name="validation"),
        item_tfms=v.Resize(SIDE, method="squish"),
        batch_tfms=[
            *v.aug_transforms(max_rotate=15, min_zoom=0.9, max_warp=0, p_affine=1, p_lighting=1),
            v.Normalize.from_stats(MEAN, DEVIATION),
        ],
    )
    loaders = block.dataloaders(data, bs=BATCH, num_workers=workers)
    learner = v.Learner(
        loaders,
        timm.create_model(NETWORK, num_classes=len(loaders.vocab)),
        opt_func=v.partial(v.OptimWrapper, opt=torch.optim.AdamW),
        metrics=v.accuracy,
        wd=DECAY,
        path=folder,
        cbs=v.SaveModelCallback(monitor="accuracy"),
    )
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(epochs, RATE, div=FIRST, div_final=FIRST * LAST, pct_start=RISE)

    def classes(files: list[Path]) -> list[int]:
        with learner.no_bar():
            return learner.get_preds(dl=loaders.test_dl(files))[0].argmax(1).tolist()

    return classes


def fit_lightning(data: Path, folder: Path, seed: int, epochs: int, workers: int) -> Callable[[list[Path]], list[int]]:
    """A LightningModule around the network, torchvision's ImageFolder and transforms, torch's DataLoader."""
    import lightning as pl
    import timm
    import torch
    import torchvision
    from lightning.pytorch.callbacks import ModelCheckpoint
    from torch.nn.functional import cross_entropy
    from torchvision.transforms import v2

    pl.seed_everything(seed, verbose=False)
    resize = [v2.ToImage(), v2.Resize((SIDE, SIDE), antialias=True)]
    floats = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, DEVIATION)]
    augment = [
        v2.RandomHorizontalFlip(),
        v2.RandomAffine((-15, 15), scale=(0.9, 1.1), interpolation=v2.InterpolationMode.BILINEAR),
        v2.ColorJitter(brightness=0.2, contrast=0.2),
    ]
    plain = v2.Compose([*resize, *floats])
    train = torchvision.datasets.ImageFolder(data / "train", v2.Compose([*resize, *augment, *floats]))
    validation = torchvision.datasets.ImageFolder(data / "validation", plain)
    options: dict[str, Any] = {"batch_size": BATCH, "num_workers": workers, "persistent_workers": workers > 0}
    train_loader = torch.utils.data.DataLoader(train, shuffle=True, drop_last=True, **options)
    validation_loader = torch.utils.data.DataLoader(validation, **options)

    class Classifier(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = timm.create_model(NETWORK, num_classes=len(train.classes))

        def _step(self, batch: Any, part: str) -> torch.Tensor:
            images, truth = batch
            logits = self.model(images)
            loss = cross_entropy(logits, truth)
            accuracy = (logits.argmax(1) == truth).float().mean()
            self.log_dict({f"{part}_loss": loss, f"{part}_acc": accuracy}, on_step=False, on_epoch=True)
            return loss

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return self._step(batch, "train")

        def validation_step(self, batch: Any, _: int) -> None:
            self._step(batch, "val")

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), lr=RATE, weight_decay=DECAY)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer,
                RATE,
                total_steps=int(self.trainer.estimated_stepping_batches),
                pct_start=RISE,
                div_factor=FIRST,
                final_div_factor=LAST,
            )
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    best = ModelCheckpoint(monitor="val_acc", mode="max")
    trainer = pl.Trainer(
        max_epochs=epochs,
        callbacks=best,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = Classifier()
    trainer.fit(module, train_loader, validation_loader)

    def classes(files: list[Path]) -> list[int]:
        module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
        images = torch.stack([plain(torchvision.datasets.folder.default_loader(str(file))) for file in files])
        with torch.inference_mode():
            return module.eval().model(images).argmax(1).tolist()

    return classes


TOOLS: dict[str, tuple[Fit, str]] = {
    "musket": (fit_musket, "musket.experiment.run lightning_fabric timm torch.utils.tensorboard matplotlib.figure"),
    "fastai": (fit_fastai, "fastai.vision.all timm"),
    "lightning": (fit_lightning, "lightning.pytorch timm torchvision.transforms.v2 torch.utils.tensorboard"),
}
"""How each fits, and what it imports before the clock starts."""


def one(tool: str, data: Path, seed: int, epochs: int, workers: int) -> dict[str, float]:
    """One fit in this process."""
    warnings.simplefilter("ignore")
    fit, imports = TOOLS[tool]
    for name in imports.split():
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        classes = fit(data, Path(folder), seed, epochs, workers)
        done = time.perf_counter()
        _, files, truth = pictures(data / "test")
        hits = sum(told == true for told, true in zip(classes(files), truth, strict=True))
    return {"seconds": done - began, "imports": began - BEGAN, "accuracy": hits / len(files)}


def apart(tool: str, seed: int, arguments: argparse.Namespace) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--data", str(arguments.data), "--epochs", str(arguments.epochs)]
    command += ["--alone", tool, "--seeds", str(seed), "--workers", str(arguments.workers)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{tool}, seed {seed}: {done.stderr or done.stdout}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "clothing")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--workers", type=int, default=0, help="processes that read for each peer")
    parser.add_argument("--alone", choices=TOOLS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        tool, seed = arguments.alone, arguments.seeds[0]
        print(json.dumps(one(tool, arguments.data.absolute(), seed, arguments.epochs, arguments.workers)))
        return 0
    results: dict[str, list[dict[str, float]]] = {tool: [] for tool in arguments.tools}
    for turn, seed in enumerate(arguments.seeds):
        first = turn % len(arguments.tools)
        for tool in (*arguments.tools[first:], *arguments.tools[:first]):
            results[tool].append(apart(tool, seed, arguments))
            print(tool, seed, results[tool][-1], file=sys.stderr)
    print(f"{NETWORK} from random weights, {SIDE} px, batch {BATCH}, {arguments.epochs} epochs; {os.cpu_count()} cores")
    print(f"{'':<10} {'fit, s':>7} {'each':<20} {'imports, s':>10} {'accuracy':>9} each")
    for tool, runs in results.items():
        seconds, imports, accuracy = ([run[name] for run in runs] for name in ("seconds", "imports", "accuracy"))
        print(
            f"{tool:<10} {statistics.mean(seconds):>7.1f} {' '.join(f'{value:.1f}' for value in seconds):<20}"
            f" {statistics.mean(imports):>10.1f}"
            f" {statistics.mean(accuracy):>9.3f} {' '.join(f'{value:.3f}' for value in accuracy)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
