"""Whatever the batches, the figure of the epoch is the same; states of processes add up."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musket.losses.catalogue import LOSSES
from musket.metrics.build import MetricSet
from musket.metrics.catalogue import METRICS, adopt

N = 9


@pytest.fixture(scope="module", autouse=True)
def losses_are_metrics():
    adopt(LOSSES)


def epoch(seed):
    generator = torch.Generator().manual_seed(seed)
    truth = (torch.rand(N, 3, 4, 5, generator=generator) < 0.3).to(torch.uint8)
    prediction = torch.rand(N, 3, 4, 5, generator=generator)
    if seed % 2:
        truth[: N // 2] = 0
        prediction[0] = 0
    return truth, prediction


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.lists(st.integers(1, N), min_size=1, max_size=N), st.booleans())
def test_any_cut_into_batches_gives_the_same_figures(seed, sizes, evaluation):
    truth, prediction = epoch(seed)
    names = [name for name in METRICS.names() if not name.startswith("sparse")]
    whole, parts = MetricSet(names, evaluation=evaluation), MetricSet(names, evaluation=evaluation)
    others = MetricSet(names, evaluation=evaluation)
    whole.update(truth, prediction)
    start = 0
    for position, size in enumerate([*sizes, N]):
        batch = slice(start, min(start + size, N))
        start = batch.stop
        if batch.stop > batch.start:
            (others if position % 2 else parts).update(truth[batch], prediction[batch])
    parts.merge(others.state())
    assert parts.compute() == pytest.approx(whole.compute(), rel=2e-5, abs=1e-6)
