"""How much of a bare training loop's speed is left in a whole ``fit``.

Both sides train the same network with the same batches, in one process, turn by turn. The bare side has its batches in
memory already and does nothing but forward, backward, optimizer step, and the validation forward. The ``fit`` side
also decodes and augments its images, computes metrics, logs, draws example pictures and writes checkpoints. An epoch of
``fit`` is measured from its beginning to the beginning of the next one; readers then finish what they read ahead before
the clock is stopped, so that reading is charged in full and does not disturb the bare side.

    python benchmarks/fit_floor.py [light] [heavy] [gpu]
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import musket
from musket.core.runtime import derive_seed, memory_format
from musket.experiment import unit
from musket.training.catalogue import CALLBACKS
from musket.training.hooks import Hook, Run
from segmentation_pipeline.impl.datasets import SimplePNGMaskDataSet

DATA = Path(__file__).parents[1] / "examples" / "nuclei" / "data" / "train"


@dataclass(frozen=True)
class Regime:
    """One row of the table. ``images`` is how many samples the dataset is repeated to."""

    name: str
    config: str
    images: int
    rounds: int
    wanted: float


COMMON = """\
#%Musket Segmentation 1.0
architecture: Unet
encoder_weights: null
classes: 1
activation: sigmoid
optimizer: Adam
lr: 0.001
loss: binary_crossentropy
metrics: [binary_accuracy, iou, dice]
primary_metric: val_dice
folds_count: 1
validationSplit: 0.2
verbose: 0
callbacks:
  alternate_with_bare_loop: {}
"""

CHAIN = """\
augmentation:
  Fliplr: 0.5
  Flipud: 0.5
  Affine:
    scale: [0.8, 1.2]
    translate_percent: {x: [-0.1, 0.1], y: [-0.1, 0.1]}
    rotate: [-30, 30]
    shear: [-10, 10]
  Multiply: [0.8, 1.2]
  Add: [-20, 20]
  LinearContrast: [0.8, 1.2]
"""

REGIMES = {
    "light": Regime(
        "light: Unet-mobilenet_v2 64-48-32-24-16, 64 px, batch 16, full chain",
        "backbone: mobilenet_v2\ndecoder_filters: [64, 48, 32, 24, 16]\nshape: [64, 64, 3]\nbatch: 16\n" + CHAIN,
        images=400,
        rounds=5,
        wanted=0.92,
    ),
    "heavy": Regime(
        "heavy: Unet-resnet18, 256 px, batch 4",
        "backbone: resnet18\nshape: [256, 256, 3]\nbatch: 4\naugmentation: {Fliplr: 0.5, Flipud: 0.5}\n",
        images=45,
        rounds=5,
        wanted=0.97,
    ),
    "gpu": Regime(
        "gpu: Unet-resnet34, 512 px, batch 32, bf16",
        "backbone: resnet34\nshape: [512, 512, 3]\nbatch: 32\naugmentation: {Fliplr: 0.5, Flipud: 0.5}\n",
        images=2000,
        rounds=5,
        wanted=0.90,
    ),
}


class Repeated:
    """A dataset as long as wanted: the same files again and again, decoded every time."""

    def __init__(self, child: Any, length: int):
        self.child = child
        self.length = length

    def __len__(self) -> int:
        return self.length

    def sample_ids(self) -> list[str]:
        names = self.child.sample_ids()
        return [f"{names[index % len(names)]}-{index}" for index in range(self.length)]

    def __getitem__(self, index: int) -> musket.PredictionItem:
        return self.child[index % len(self.child)]


LOADERS: list[Any] = []
SECONDS: dict[str, list[float]] = {"fit": [], "bare": []}


class ListedLoader(unit.BatchLoader):
    """The product's loader; only remembered, so that its readers can be waited for."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        LOADERS.append(self)

    def settle(self) -> None:
        for _, _, pending in self._ahead:
            for future in pending.futures:
                future.result()


class AlternateWithBareLoop(Hook):
    """Between two epochs of ``fit``, one epoch of the bare loop on a network and batches of its own."""

    def __init__(self) -> None:
        self.began = 0.0
        self.bare: BareLoop | None = None

    def on_epoch_start(self, run: Run) -> None:
        now_settled(LOADERS)
        if run.epoch >= 2:  # the first epoch warms caches up
            SECONDS["fit"].append(time.perf_counter() - self.began)
        if self.bare is None:
            self.bare = BareLoop(run)
            self.bare.epoch()
        elif run.epoch >= 2:
            SECONDS["bare"].append(self.bare.epoch())
        torch.manual_seed(derive_seed("bench", run.epoch))
        self.began = time.perf_counter()


def now_settled(loaders: list[Any]) -> None:
    for loader in loaders:
        loader.settle()


class BareLoop:
    """Forward, backward, step, on batches in memory; same network, optimizer, precision and memory layout."""

    def __init__(self, run: Run):
        self.model = copy.deepcopy(run.model)
        self.device = next(self.model.parameters()).device
        self.layout = memory_format(self.device)
        self.optimizer = type(run.optimizer)(self.model.parameters(), **run.optimizer.defaults)
        train, validation = LOADERS[-2], LOADERS[-1]
        self.train = [self._floats(batch) for batch in train.epoch(0)]
        self.validation = [self._floats(batch) for batch in validation.epoch(0)]
        for loader in (train, validation):
            loader.close()
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def _floats(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        images = batch.images.float().div_(255).to(self.device).contiguous(memory_format=self.layout)
        return images, batch.targets.contiguous().float().to(self.device)

    def epoch(self) -> float:
        began = time.perf_counter()
        self.model.train()
        for images, truth in self.train:
            with self.autocast:
                logits = self.model(images).float()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        self.model.eval()
        with torch.inference_mode(), self.autocast:
            for images, _ in self.validation:
                self.model(images)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began


def measure(regime: Regime) -> tuple[float, float, float]:
    """Images per second of fit and of the bare loop, and the median of the turn-by-turn ratios."""
    for seconds in SECONDS.values():
        seconds.clear()
    LOADERS.clear()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(
            COMMON + regime.config + f"stages: [{{epochs: {regime.rounds + 3}}}]\ncache: {folder}/cache\n"
        )
        dataset = Repeated(
            SimplePNGMaskDataSet(str(DATA / "images"), str(DATA / "masks"), in_ext="png"),
            regime.images,
        )
        musket.parse(config).fit(dataset)
    ratios = [bare / fit for fit, bare in zip(SECONDS["fit"], SECONDS["bare"], strict=True)]
    fit, bare = (regime.images / statistics.median(SECONDS[side]) for side in ("fit", "bare"))
    return fit, bare, statistics.median(ratios)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "regimes", nargs="*", choices=[*REGIMES, []], help="default: light and heavy, gpu where there is one"
    )
    chosen = parser.parse_args().regimes or (["gpu"] if torch.cuda.is_available() else ["light", "heavy"])
    CALLBACKS.add("alternate_with_bare_loop", AlternateWithBareLoop, "benchmark")
    unit.BatchLoader = ListedLoader  # type: ignore[misc]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {gpu}")
    print(f"{'regime':<66} {'fit img/s':>10} {'bare img/s':>11} {'share':>6} {'wanted':>7}")
    for name in chosen:
        regime = REGIMES[name]
        fit, bare, share = measure(regime)
        print(f"{regime.name:<66} {fit:>10.1f} {bare:>11.1f} {share:>6.3f} {regime.wanted:>7.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
