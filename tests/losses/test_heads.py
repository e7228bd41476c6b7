"""Several outputs: every head by its own activation and loss, against losses built one by one."""

from __future__ import annotations

import pytest
import torch

from musket.losses.compose import build_loss
from musket.losses.heads import build_heads_activation, build_heads_loss

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]]).reshape(2, 3, 1, 1)
TRUTH = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]).reshape(2, 3, 1, 1)


def test_a_head_is_activated_on_its_own() -> None:
    scores = build_heads_activation(("sigmoid", "softmax"), (1, 2))(LOGITS)
    assert torch.allclose(scores[:, :1], LOGITS[:, :1].sigmoid())
    assert torch.allclose(scores[:, 1:], LOGITS[:, 1:].softmax(dim=1))


def test_the_total_is_the_sum_and_the_parts_are_told() -> None:
    loss = build_heads_loss(
        ("binary_crossentropy", "categorical_crossentropy+0.5*dice_loss"), ("sigmoid", "softmax"), (1, 2)
    )
    total, parts = loss(LOGITS, TRUTH)
    first, _ = build_loss("binary_crossentropy", "sigmoid")(LOGITS[:, :1], TRUTH[:, :1])
    second, _ = build_loss("categorical_crossentropy+0.5*dice_loss", "softmax")(LOGITS[:, 1:], TRUTH[:, 1:])
    assert total.item() == pytest.approx((first + second).item())
    assert {name: value.item() for name, value in parts.items()} == {
        "loss_0": pytest.approx(first.item()),
        "loss_1": pytest.approx(second.item()),
    }


def test_one_loss_and_one_activation_serve_all_heads() -> None:
    total, parts = build_heads_loss("binary_crossentropy", "sigmoid", (2, 1))(LOGITS, TRUTH)
    assert len(parts) == 2
    assert total.item() == pytest.approx(sum(part.item() for part in parts.values()))


def test_a_single_head_is_the_plain_loss() -> None:
    total, parts = build_heads_loss("binary_crossentropy", "sigmoid", 3)(LOGITS, TRUTH)
    assert parts == {}
    assert total.item() == pytest.approx(build_loss("binary_crossentropy", "sigmoid")(LOGITS, TRUTH)[0].item())


def test_parts_are_called_as_the_heads() -> None:
    loss = build_heads_loss("binary_crossentropy", "sigmoid", (2, 1), names=("kids", "label"))
    assert list(loss(LOGITS, TRUTH)[1]) == ["loss_kids", "loss_label"]
