"""A whole ``fit`` beside a plain torch + albumentations script and fastai, doing the same work in the same run.

All train the same network on the same files with the same batch, optimizer, loss and kinds of augmentation (flips,
affine, brightness and contrast), validate on the same share, compute Dice and keep their weights. They take turns epoch
by epoch in one process; the figures are medians. What differs is how each feeds the network: the script uses torch's
DataLoader as its documentation shows, fastai its own. Each runs without workers and with two.

    python benchmarks/fit_peers.py          needs: pip install albumentations==2.0.8 fastai
"""

from __future__ import annotations

import copy
import os
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import cv2
import fit_floor
import numpy as np
import torch
from fit_floor import BareLoop, Repeated

import musket
from musket.experiment import unit
from musket.training.catalogue import CALLBACKS
from musket.training.hooks import Hook, Run
from segmentation_pipeline.impl.datasets import SimplePNGMaskDataSet

ROUNDS = 3
SECONDS: dict[str, list[float]] = {}


def files(count: int) -> list[tuple[Path, Path]]:
    """Image and mask of every sample, the same files again and again."""
    images = sorted((fit_floor.DATA / "images").iterdir())
    masks = [next((fit_floor.DATA / "masks").glob(f"{image.name.partition('.')[0]}.*")) for image in images]
    pairs = list(zip(images, masks, strict=True))
    return [pairs[index % len(pairs)] for index in range(count)]


class PlainDataset(torch.utils.data.Dataset[Any]):
    """Reads, augments by albumentations, normalises: what a script does."""

    def __init__(self, pairs: list[tuple[Path, Path]], train: bool):
        import albumentations as a

        resize = [a.Resize(64, 64), a.Normalize(), a.ToTensorV2()]
        augmented = [
            a.HorizontalFlip(p=0.5),
            a.VerticalFlip(p=0.5),
            a.Affine(scale=(0.8, 1.2), translate_percent=(-0.1, 0.1), rotate=(-30, 30), shear=(-10, 10), p=1),
            a.RandomBrightnessContrast(0.2, 0.2, p=1),
        ]
        self.pairs = pairs
        self.transform = a.Compose([*(augmented if train else ()), *resize])

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self.pairs[index]
        picture = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
        truth = (cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) > 127).astype(np.float32)
        done = self.transform(image=picture, mask=truth)
        return done["image"], done["mask"][None]


class PlainScript:
    """The loop every tutorial shows, with torch's DataLoader and Adam."""

    layout = torch.contiguous_format
    fused = None

    def __init__(self, model: torch.nn.Module, pairs: list[tuple[Path, Path]], workers: int, folder: Path):
        cut = len(pairs) * 4 // 5
        options: dict[str, Any] = {"batch_size": 16, "num_workers": workers, "persistent_workers": workers > 0}
        self.train = torch.utils.data.DataLoader(PlainDataset(pairs[:cut], True), shuffle=True, **options)
        self.validation = torch.utils.data.DataLoader(PlainDataset(pairs[cut:], False), **options)
        self.model = model.to(memory_format=self.layout)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=self.fused)
        self.loss = torch.nn.BCEWithLogitsLoss()
        self.folder = folder

    def epoch(self) -> None:
        self.model.train()
        for images, truth in self.train:
            self.optimizer.zero_grad()
            loss = self.loss(self.model(images.contiguous(memory_format=self.layout)), truth)
            loss.backward()
            self.optimizer.step()
        self.model.eval()
        both = total = 0.0
        with torch.no_grad():
            for images, truth in self.validation:
                found = self.model(images) > 0
                both += float((found & (truth > 0)).sum())
                total += float(found.sum() + truth.sum())
        torch.save(self.model.state_dict(), self.folder / "plain.pt")


class TunedScript(PlainScript):
    """The same with what an expert would add on this machine."""

    layout = torch.channels_last
    fused = True


class Fastai:
    """fastai's DataLoaders and Learner, with its batch transforms."""

    def __init__(self, model: torch.nn.Module, pairs: list[tuple[Path, Path]], workers: int, folder: Path):
        from fastai.vision import all as v

        masks = dict(pairs)
        block = v.DataBlock(
            blocks=(v.ImageBlock, v.MaskBlock),
            get_y=lambda index: masks[pairs[index][0]],
            get_x=lambda index: pairs[index][0],
            splitter=v.IndexSplitter(list(range(len(pairs) * 4 // 5, len(pairs)))),
            item_tfms=v.Resize(64, method="squish"),
            batch_tfms=[
                *v.aug_transforms(flip_vert=True, max_rotate=30, max_zoom=1.2, max_warp=0, max_lighting=0.2),
                v.Normalize.from_stats(*v.imagenet_stats),
            ],
        )
        loaders = block.dataloaders(list(range(len(pairs))), bs=16, num_workers=workers, path=folder)

        def loss(logits: Any, truth: Any) -> torch.Tensor:
            target = (torch.Tensor(truth) > 0).float().unsqueeze(1)
            return torch.nn.functional.binary_cross_entropy_with_logits(torch.Tensor(logits), target)

        def dice(logits: Any, truth: Any) -> torch.Tensor:
            found, target = torch.Tensor(logits)[:, 0] > 0, torch.Tensor(truth) > 0
            return 2 * (found & target).sum() / (found.sum() + target.sum() + 1e-7)

        self.learner = v.Learner(loaders, model, loss_func=loss, metrics=dice, cbs=v.SaveModelCallback(), path=folder)
        self.learner.remove_cb(v.ProgressCallback)
        self.learner.remove_cb(v.Recorder)
        self.learner.add_cb(v.Recorder(train_metrics=False))
        self.learner.logger = v.noop

    def epoch(self) -> None:
        with self.learner.no_logging():
            self.learner.fit(1, 0.001)


PEERS: dict[str, Any] = {
    "torch + albumentations": (PlainScript, (0, 2)),
    "the same, tuned": (TunedScript, (2,)),
    "fastai": (Fastai, (0, 2)),
}


class Alternate(Hook):
    """Between two epochs of ``fit`` one epoch of everything else."""

    def __init__(self) -> None:
        self.began = 0.0
        self.peers: dict[str, Any] = {}

    def on_epoch_start(self, run: Run) -> None:
        fit_floor.now_settled(fit_floor.LOADERS)
        if run.epoch >= 2:
            SECONDS.setdefault("fit", []).append(time.perf_counter() - self.began)
        if not self.peers:
            folder = Path(tempfile.mkdtemp())
            pairs = files(fit_floor.REGIMES["light"].images)
            self.peers = {"bare loop": BareLoop(run)}
            for name, (kind, workers) in PEERS.items():
                for count in workers:
                    model = copy.deepcopy(run.model).to(memory_format=torch.contiguous_format)
                    self.peers[f"{name}, {count} workers"] = kind(model, pairs, count, folder)
        for name, peer in self.peers.items():
            began = time.perf_counter()
            peer.epoch()
            if run.epoch >= 2:
                SECONDS.setdefault(name, []).append(time.perf_counter() - began)
        self.began = time.perf_counter()


def main() -> int:
    warnings.simplefilter("ignore")
    CALLBACKS.add("alternate_with_bare_loop", Alternate, "benchmark")
    unit.BatchLoader = fit_floor.ListedLoader  # type: ignore[misc]
    regime = fit_floor.REGIMES["light"]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(fit_floor.COMMON + regime.config + f"stages: [{{epochs: {ROUNDS + 3}}}]\ncache: {folder}/c\n")
        data = SimplePNGMaskDataSet(str(fit_floor.DATA / "images"), str(fit_floor.DATA / "masks"), in_ext="png")
        musket.parse(config).fit(Repeated(data, regime.images))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {regime.name}")
    fit = SECONDS.pop("fit")
    print(f"{'':<36} {'images/s':>9} {'fit is':>8}")
    print(f"{'fit':<36} {regime.images / statistics.median(fit):>9.1f} {'':>8}")
    for name, seconds in SECONDS.items():
        ratio = statistics.median(peer / own for peer, own in zip(seconds, fit, strict=True))
        print(f"{name:<36} {regime.images / statistics.median(seconds):>9.1f} {ratio:>7.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
