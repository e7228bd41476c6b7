"""S61: several devices for one network. Here they are processes on the CPU, which talk by gloo as GPUs do by NCCL."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from shared_training import everything_in

Found = dict[str, Any]


@pytest.fixture(scope="module")
def one() -> Found:
    return everything_in(1)[0]


@pytest.fixture(scope="module")
def two() -> list[Found]:
    return everything_in(2)


@pytest.mark.parametrize("how", ["trained", "clipped", "accumulated"])
def test_s61_two_processes_step_as_one_with_the_doubled_batch(how: str, one: Found, two: list[Found]) -> None:
    """Weights and their mean after ten steps, a layer thawed and held still, with parameters that nothing reaches."""
    first, second = (found[how]["weights"] for found in two)
    assert first.keys() == one[how]["weights"].keys()
    for name, weights in one[how]["weights"].items():
        torch.testing.assert_close(first[name], weights)
        assert torch.equal(first[name], second[name])


def test_s61_losses_and_what_hooks_see(one: Found, two: list[Found]) -> None:
    for how in ("trained", "accumulated"):
        assert two[0][how]["row"] == two[1][how]["row"] == pytest.approx(one[how]["row"])
        assert two[0][how]["seen"] == two[1][how]["seen"]
        for ours, alone in zip(two[0][how]["seen"], one[how]["seen"], strict=True):
            assert ours == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("count", [17, 16, 11, 1])
def test_s61_figures_are_those_of_one_process(count: int, one: Found, two: list[Found]) -> None:
    """The last batches have 1, 8, 3 and 1 samples: a process with fewer than the other, and one with none."""
    alone = one["judged"][count]["figures"]
    loss = alone.pop("val_loss")
    for found in two:
        figures = dict(found["judged"][count]["figures"])
        assert figures.pop("val_loss") == pytest.approx(loss)
        assert figures == alone
    assert set(alone) == {"val_binary_accuracy", "val_iou", "val_roc_auc", "val_own"}
    one["judged"][count]["figures"]["val_loss"] = loss


@pytest.mark.parametrize("count", [17, 1])
def test_s61_every_process_has_the_samples_of_pictures(count: int, one: Found, two: list[Found]) -> None:
    for found in two:
        for ours, alone in zip(found["judged"][count]["samples"], one["judged"][count]["samples"], strict=True):
            assert len(ours) == len(alone) == min(16, count)
            assert all((a == b).all() for a, b in zip(ours, alone, strict=True))


def test_s61_values_of_any_type_come_together_in_order(one: Found, two: list[Found]) -> None:
    for found in two:
        for ours, alone in zip(found["gathered"], one["gathered"], strict=True):
            assert ours.dtype == alone.dtype
            assert ours.stride() == alone.stride()
            assert torch.equal(ours, alone)


def test_s61_a_loss_that_is_no_number_names_the_samples_of_the_whole_batch(one: Found, two: list[Found]) -> None:
    names = ", ".join(f"s{position}" for position in range(16, 24))
    assert one["error"].startswith(f"the loss became nan at batch 2 with samples {names}.")
    assert [found["error"] for found in two] == [one["error"]] * 2
