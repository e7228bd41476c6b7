from __future__ import annotations

import itertools

import pytest
import torch
from lightning_fabric import Fabric

from musket.core.types import Batch, StepResult
from musket.training.hooks import Hook, Hooks, Run
from musket.training.loop import Clipping, Turn, train_epoch
from musket.training.lr_finder import search
from musket.training.schedules import CyclicLR
from musket.training.torch_schedules import OneCycleLR

CPU = Fabric(accelerator="cpu", devices=1, precision="32-true")
DATA = torch.rand(20, 6, generator=torch.Generator().manual_seed(1))


class Regression:
    """Squared error of a network of vectors."""

    def step(self, model: torch.nn.Module, batch: Batch) -> StepResult:
        found = model(batch.images)
        return StepResult((found - batch.targets).square().mean(), {}, found.detach())


class NoMetrics:
    def update(self, truth: torch.Tensor, prediction: torch.Tensor) -> None: ...

    def compute(self) -> dict[str, float]:
        return {}

    def reset(self) -> None: ...


class Trained:
    """A small network after one epoch; ``steps`` of its optimizer, and the rate of each."""

    def __init__(self, sizes: list[int], accumulate: int = 1, clipping: Clipping | None = None, *hooks: Hook):
        torch.manual_seed(2)
        self.model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.5, momentum=0.9)
        self.rates: list[float] = []
        optimizer.register_step_pre_hook(lambda own, *_: self.rates.append(own.param_groups[0]["lr"]))
        ends = list(itertools.accumulate(sizes))
        parts = [DATA[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        batches = [Batch(part[:, :5], part[:, 5:], tuple(map(str, range(len(part))))) for part in parts]
        wrapped, own = CPU.setup(self.model, optimizer)
        self.run = Run(0, 0, 1, len(batches), self.model, optimizer)
        all_hooks = Hooks(hooks)
        all_hooks.on_stage_start(self.run)
        self.row = train_epoch(
            CPU,
            wrapped,
            own,
            Regression(),
            batches,
            NoMetrics(),
            all_hooks,
            self.run,
            clipping or Clipping(),
            accumulate,
        )

    @property
    def weights(self) -> torch.Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.model.parameters()])


@pytest.mark.parametrize("clipping", [Clipping(), Clipping(norm=0.05), Clipping(value=0.01)], ids=str)
def test_two_batches_of_four_are_one_of_eight(clipping: Clipping) -> None:
    whole, halves = Trained([8, 8], clipping=clipping), Trained([4, 4, 4, 4], 2, clipping)
    assert len(whole.rates) == len(halves.rates) == 2
    torch.testing.assert_close(halves.weights, whole.weights)
    assert not torch.equal(Trained([4, 4, 4, 4], clipping=clipping).weights, halves.weights)


def test_what_is_left_at_the_end_makes_a_step_of_its_own() -> None:
    whole, parts = Trained([8, 8, 4]), Trained([4, 4, 4, 4, 4], 2)
    assert len(parts.rates) == 3
    torch.testing.assert_close(parts.weights, whole.weights)
    assert parts.run.step == 5


def test_more_than_there_are() -> None:
    torch.testing.assert_close(Trained([4, 4, 4], 100).weights, Trained([12]).weights)


def test_losses_are_those_of_the_batches() -> None:
    """With accumulation of the whole epoch no batch sees a changed network, so its loss is that of the beginning."""
    assert Trained([4, 4, 4], 3).row["loss"] == pytest.approx(Trained([12]).row["loss"])


@pytest.mark.parametrize(
    ("batches", "accumulate", "expected"),
    [
        (3, 1, [(1, True, True)] * 3),
        (4, 2, [(2, True, False), (2, False, True)] * 2),
        (5, 3, [(3, True, False), (3, False, False), (3, False, True), (2, True, False), (2, False, True)]),
        (4, 3, [(3, True, False), (3, False, False), (3, False, True), (1, True, True)]),
        (1, 8, [(1, True, True)]),
    ],
)
def test_turns(batches: int, accumulate: int, expected: list[tuple[int, bool, bool]]) -> None:
    assert [Turn.of(batch, batches, accumulate) for batch in range(batches)] == [Turn(*turn) for turn in expected]


def test_schedules_count_batches() -> None:
    """Rates 0.1, 0.2, 0.3, 0.2 of the batches: steps are made at the second and the fourth."""
    schedule = CyclicLR(base_lr=0.1, max_lr=0.3, step_size=2)
    assert Trained([4] * 4, 2, None, schedule).rates == pytest.approx([0.2, 0.2])
    assert Trained([4] * 4, 1, None, schedule).rates == pytest.approx([0.1, 0.2, 0.3, 0.2])


def test_torch_does_not_complain_of_schedules_ahead_of_the_optimizer() -> None:
    plain, summed = Trained([4] * 4, 1, None, OneCycleLR(0.5)), Trained([4] * 4, 2, None, OneCycleLR(0.5))
    assert summed.rates == plain.rates[1::2]


def test_a_search_for_a_rate_steps_as_the_fit_does() -> None:
    steps: list[float] = []
    model = torch.nn.Linear(5, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    optimizer.register_step_pre_hook(lambda own, *_: steps.append(own.param_groups[0]["lr"]))
    batch = Batch(DATA[:4, :5], DATA[:4, 5:], tuple("abcd"))
    found = search(CPU, model, optimizer, Regression(), [batch] * 5, 5, 1e-5, 1.0, Clipping(), accumulate=2)
    assert found.lrs == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
    assert steps == pytest.approx([1e-4, 1e-2, 1e-1])
