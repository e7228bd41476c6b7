"""Training and judging by the loop alone, in one process or in one of several, on numbers that depend on nothing."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from musket.core.process_group import Link, run_together
from musket.core.runtime import join_ranks, make_fabric, meeting_point
from musket.core.types import Batch, Sample, StepResult
from musket.data.loader import BatchLoader
from musket.metrics.build import MetricSet
from musket.metrics.metric import FunctionMetric
from musket.training.ema import WeightMean
from musket.training.hooks import Hook, Hooks, Run
from musket.training.loop import Clipping, train_epoch, validate
from musket.training.ranks import Ranks

if TYPE_CHECKING:
    from lightning_fabric import Fabric

BATCH = 8


class Regression:
    """Squared error of a network of vectors; a loss that is no number where a target is none."""

    def step(self, model: torch.nn.Module, batch: Batch) -> StepResult:
        found = model(batch.images)
        error = (found - batch.targets).square().mean()
        return StepResult(error, {"half": error.detach() / 2}, found.detach())


class Given:
    """Predicts the first channel of the images."""

    def step(self, model: torch.nn.Module, batch: Batch) -> StepResult:
        scores = batch.images[:, :1].float() / 255
        assert batch.targets is not None
        return StepResult((scores - batch.targets).square().mean(), {}, scores)


class Seen(Hook):
    """What a hook can see after every batch."""

    def __init__(self) -> None:
        self.all: list[tuple[int, float, float]] = []

    def on_batch_end(self, run: Run) -> None:
        self.all.append((run.step, run.lr, run.logs["loss"]))


class NoMetrics:
    def update(self, truth: torch.Tensor, prediction: torch.Tensor) -> None: ...

    def compute(self) -> dict[str, float]:
        return {}

    def reset(self) -> None: ...


class PartlyUsed(torch.nn.Module):
    """Its last layer has no influence on what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.used = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
        self.unused = torch.nn.Linear(4, 1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.used(values)


def trained(fabric: Fabric, clipping: Clipping, accumulate: int = 1, *, spoilt: bool = False) -> dict[str, Any]:
    """One epoch of five batches, with a mean of weights; then one more with the first layer held still."""
    ranks = Ranks(fabric)
    data = torch.rand(5 * BATCH, 6, generator=torch.Generator().manual_seed(1))
    if spoilt:
        data[2 * BATCH + 3] = torch.nan  # sample 3 of the third batch
    torch.manual_seed(2)
    model = PartlyUsed()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    own: Any = fabric.setup_optimizers(optimizer)
    mean, seen, row = WeightMean(model, 0.5), Seen(), {}
    for frozen in (False, True):
        model.used[0].requires_grad_(not frozen)
        wrapped = ranks.join(model, torch.zeros(1, 5))
        batches = []
        for number in range(5):
            part = range(number * BATCH, (number + 1) * BATCH)[ranks.rank :: ranks.world]
            ids = tuple(f"s{position}" for position in part)
            batches.append(Batch(data[list(part), :5], data[list(part), 5:], ids, BATCH))
        run = Run(0, 0, 1, len(batches), model, optimizer)
        row |= {
            f"{name}, frozen {frozen}": value
            for name, value in train_epoch(
                fabric, wrapped, own, Regression(), batches, NoMetrics(), Hooks([seen]), run, clipping, accumulate, mean
            ).items()
        }
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    with mean.in_place():
        means = {f"mean of {name}": value.clone() for name, value in model.state_dict().items()}
    return {"weights": weights | means, "row": row, "seen": seen.all}


def read(position: int, epoch: int | None) -> Sample:
    random = np.random.default_rng(position)
    image = random.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Sample(f"s{position}", image, random.integers(0, 2, (4, 6, 1), dtype=np.uint8))


def judged(fabric: Fabric, count: int) -> dict[str, Any]:
    """Figures of ``count`` samples in batches of eight, a ranking and one that depends on the batch among them."""

    def own(truth: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        return (truth * prediction).amax() + prediction.std()

    metrics = MetricSet(["binary_accuracy", "iou", "roc_auc"], also=[FunctionMetric("own", own)])
    model = torch.nn.Linear(1, 1)
    run = Run(0, 0, 1, 1, model, torch.optim.SGD(model.parameters()))
    loader = BatchLoader(
        read, lambda epoch: list(range(count)), BATCH, workers=0, rank=fabric.global_rank, world=fabric.world_size
    )
    figures = validate(fabric, model, Given(), loader.epoch(0), metrics, Hooks([]), run)
    return {"figures": figures, "samples": run.samples}


def gathered(fabric: Fabric) -> list[torch.Tensor]:
    """Five samples of every type, shape and layout a batch may have."""
    ranks = Ranks(fabric)
    maps = torch.arange(5 * 2 * 3 * 4).view(5, 2, 3, 4)
    wholes = [maps.to(kind) for kind in (torch.uint8, torch.uint16, torch.int64, torch.float64)]
    wholes += [
        maps % 3 == 0,
        maps.float().contiguous(memory_format=torch.channels_last),
        maps[:, 0, 0].clone(),
        maps[:, 0, 0, 0].clone(),
    ]
    return [ranks.gather(whole[ranks.rank :: ranks.world], 5) for whole in wholes]


def everything(fabric: Fabric) -> dict[str, Any]:
    found: dict[str, Any] = {
        "trained": trained(fabric, Clipping()),
        "clipped": trained(fabric, Clipping(norm=0.05, value=0.02)),
        "accumulated": trained(fabric, Clipping(), 2),
        "judged": {count: judged(fabric, count) for count in (17, 16, 11, 1)},
        "gathered": gathered(fabric),
    }
    try:
        trained(fabric, Clipping(), spoilt=True)
    except Exception as error:  # noqa: BLE001 (its words are looked at)
        found["error"] = str(error)
    return found


def _in_a_rank(rank: int, link: Link, payload: bytes) -> None:
    port, count = pickle.loads(payload)
    torch.set_num_threads(1)
    file = io.BytesIO()
    torch.save(everything(join_ranks(rank, count, port)), file)
    link.tell((rank, file.getvalue()))
    torch.distributed.destroy_process_group()


def everything_in(count: int) -> list[dict[str, Any]]:
    """What each of ``count`` processes finds; of one: what this process finds."""
    if count == 1:
        return [everything(make_fabric("cpu"))]
    meeting = meeting_point()
    found: dict[int, dict[str, Any]] = {}

    def told(message: tuple[int, bytes]) -> None:
        found[message[0]] = torch.load(io.BytesIO(message[1]), weights_only=False)

    run_together(_in_a_rank, pickle.dumps((meeting.port, count)), count, told=told)
    return [found[rank] for rank in range(count)]
