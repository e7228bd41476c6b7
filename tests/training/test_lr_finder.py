from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from musket.core.errors import TrainingError
from musket.core.types import Batch, StepResult
from musket.training.loop import Clipping
from musket.training.lr_finder import LRFinder, loss_changes, search, smoothed, suggest

CPU = Fabric(accelerator="cpu", devices=1)


class Losses:
    """A pipeline whose losses are given; the model's only weight is what they depend on."""

    def __init__(self, losses: list[float]):
        self.losses = iter(losses)

    def step(self, model: torch.nn.Module, batch: Batch) -> StepResult:
        loss = model.weight.sum() * 0 + next(self.losses)
        return StepResult(loss, {}, batch.images)


def searched(losses: list[float], start: float = 1e-5, end: float = 1.0, count: int | None = None) -> LRFinder:
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=3.0)
    batches = [Batch(torch.zeros(1, 1), None, (f"s{i}",)) for i in range(len(losses))]
    return search(CPU, model, optimizer, Losses(losses), batches, count or len(losses), start, end, Clipping())


def curve(count: int, noise: float, start: float = 1e-6, best: float = 1e-2) -> tuple[list[float], list[float]]:
    """Losses of a descent whose speed grows with the rate up to ``best``, and that diverges above five times that."""
    random = np.random.default_rng(count)
    lrs = [start * (1 / start) ** (i / count) for i in range(count)]
    losses, loss = [], 1.0
    for lr in lrs:
        loss = max(0.05, loss * (1 - 9 / count * min(1.0, lr / best))) if lr < 5 * best else loss * 1.4
        losses.append(float(max(1e-3, loss + random.normal(0, noise))))
        if losses[-1] > 4 * min(losses):
            break
    return lrs[: len(losses)], losses


def test_g15_factor() -> None:
    lrs = searched([1.0] * 10).lrs
    assert lrs[0] == 1e-5
    factors = [after / before for before, after in itertools.pairwise(lrs)]
    assert factors == pytest.approx([3.162278] * 9, abs=1e-6)


def test_the_optimizer_has_the_rate_of_the_batch() -> None:
    seen = []
    model = torch.nn.Linear(1, 1)
    groups = [{"params": [model.weight]}, {"params": [model.bias], "lr_scale": 0.1}]
    optimizer = torch.optim.SGD(groups, lr=3.0)
    optimizer.register_step_pre_hook(lambda own, *_: seen.append([group["lr"] for group in own.param_groups]))
    batches = [Batch(torch.zeros(1, 1), None, ("s",))] * 4
    search(CPU, model, optimizer, Losses([1.0] * 4), batches, 4, 1e-4, 1.0, Clipping())
    np.testing.assert_allclose(seen, [[1e-4 * 10**i, 1e-5 * 10**i] for i in range(4)])


def test_it_ends_above_four_times_the_best_loss() -> None:
    found = searched([1.0, 0.5, 1.9, 2.01, 0.1])
    assert found.losses == pytest.approx([1.0, 0.5, 1.9, 2.01])
    assert found.best_loss == 0.5
    assert "more than four times the best" in found.stopped


def test_losses_below_zero_are_no_explosion() -> None:
    assert len(searched([-0.1, -0.5, -0.4, -0.2, 0.9]).losses) == 5
    assert len(searched([-0.1, -0.5, 1.1, 0.0]).losses) == 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_it_ends_at_a_loss_that_is_no_number(bad: float) -> None:
    found = searched([1.0, 0.9, bad, 0.8])
    assert found.losses == pytest.approx([1.0, 0.9])
    assert "became" in found.stopped


def test_a_first_loss_that_is_no_number_names_the_samples() -> None:
    with pytest.raises(TrainingError, match="before the first step, with samples s0"):
        searched([math.nan, 1.0])


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("count", [15, 30, 100, 1000])
@pytest.mark.parametrize("start", [1e-6, 1e-8])
def test_the_suggestion_is_where_training_is_fast_and_holds(count: int, noise: float, start: float) -> None:
    assert 1e-3 <= suggest(*curve(count, noise, start)) <= 3e-2


def test_a_single_bad_batch_does_not_move_the_suggestion() -> None:
    lrs, losses = curve(60, 0.0)
    calm = suggest(lrs, losses)
    losses[20] *= 3
    losses[30] *= 3
    assert calm / 2 < suggest(lrs, losses) < calm * 2


def test_where_nothing_can_be_suggested() -> None:
    with pytest.raises(TrainingError, match=r"saw 5 batches, too few"):
        suggest([1, 2, 3, 4, 5], [5, 4, 3, 2, 1])
    with pytest.raises(TrainingError, match="fell at no rate from 1 to 20"):
        suggest([float(i) for i in range(1, 21)], [1 + 0.1 * i for i in range(20)])


def test_the_trend_has_no_lag_and_keeps_lines() -> None:
    line = [10.0 - i for i in range(60)]
    np.testing.assert_allclose(smoothed(line)[12:-12], line[12:-12])


def test_changes_follow_their_formula() -> None:
    assert loss_changes([5, 4, 2, 3], 1) == [0, -1, -2, 1]
    assert loss_changes([5, 4, 2, 3], 2) == [0, 0, -1.5, -0.5]
    assert loss_changes([5, 4], 20) == [0, 0]
    with pytest.raises(TrainingError, match="1 or more; found 0"):
        loss_changes([1, 2], 0)


@pytest.fixture
def finder() -> LRFinder:
    return LRFinder(*curve(60, 0.02))


def test_curves_are_drawn_on_the_current_figure(finder: LRFinder) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    count = len(finder.lrs)
    figure = plt.figure()
    finder.plot_loss()
    [line] = figure.gca().lines
    np.testing.assert_array_equal(line.get_xdata(), finder.lrs[10 : count - 5])
    np.testing.assert_array_equal(line.get_ydata(), finder.losses[10 : count - 5])
    assert figure.gca().get_xscale() == "log"

    figure = plt.figure()
    finder.plot_loss_change(sma=3, n_skip_beginning=4, n_skip_end=0, y_lim=(-0.02, 0.03))
    [line] = figure.gca().lines
    expected = [(finder.losses[i] - finder.losses[i - 3]) / 3 for i in range(4, count)]
    np.testing.assert_allclose(line.get_ydata(), expected)
    assert figure.gca().get_ylim() == (-0.02, 0.03)
    assert figure.gca().get_xscale() == "log"
    plt.close("all")


def test_too_few_batches_for_a_curve(finder: LRFinder) -> None:
    with pytest.raises(TrainingError, match="no curve is left"):
        finder.plot_loss(n_skip_beginning=len(finder.lrs) - 3, n_skip_end=2)


def test_the_picture_is_written_whole_and_names_unknown_formats(finder: LRFinder, tmp_path: Path) -> None:
    import cv2

    finder.save_picture(tmp_path / "found.png")
    picture = cv2.imread(str(tmp_path / "found.png"))
    assert picture is not None
    assert picture.shape[1] > 2 * picture.shape[0]
    with pytest.raises(TrainingError, match=r"no such format of pictures; there are .*png"):
        finder.save_picture(tmp_path / "found.xyz")
    assert [path.name for path in tmp_path.iterdir()] == ["found.png"]
