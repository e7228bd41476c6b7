from __future__ import annotations

import pytest
import torch

from musket.core.errors import ModelError
from musket.models.input_channels import adapt_kernel, adapt_state, adapt_values

KERNEL = torch.arange(1.0, 7.0).view(2, 3, 1, 1)  # filters (1, 2, 3) and (4, 5, 6)


@pytest.mark.parametrize(
    ("channels", "copy", "expected"),
    [
        (1, False, [[6], [15]]),
        (2, False, [[1, 2], [4, 5]]),
        (3, False, [[1, 2, 3], [4, 5, 6]]),
        (4, False, [[1, 2, 3, 0], [4, 5, 6, 0]]),
        (4, True, [[1, 2, 3, 3], [4, 5, 6, 6]]),
        (6, True, [[1, 2, 3, 3, 3, 3], [4, 5, 6, 6, 6, 6]]),
        (2, True, [[1, 2], [4, 5]]),
    ],
)
def test_kernels(channels, copy, expected):
    assert adapt_kernel(KERNEL, channels, copy=copy).flatten(1).tolist() == expected


def test_one_grey_channel_is_seen_as_three_equal_ones():
    grey = torch.rand(1, 1, 5, 5)
    kernel = torch.rand(4, 3, 3, 3)
    of_one = torch.nn.functional.conv2d(grey, adapt_kernel(kernel, 1))
    of_three = torch.nn.functional.conv2d(grey.expand(1, 3, 5, 5), kernel)
    torch.testing.assert_close(of_one, of_three)


def test_further_channels_do_not_disturb_at_first():
    images = torch.rand(1, 5, 6, 6)
    kernel = torch.rand(4, 3, 3, 3)
    of_five = torch.nn.functional.conv2d(images, adapt_kernel(kernel, 5))
    torch.testing.assert_close(of_five, torch.nn.functional.conv2d(images[:, :3], kernel))


@pytest.mark.parametrize(
    ("channels", "expected"),
    [(1, (2.0,)), (2, (1.0, 2.0)), (3, (1.0, 2.0, 3.0)), (5, (1.0, 2.0, 3.0, 2.0, 2.0))],
)
def test_values(channels, expected):
    assert adapt_values((1.0, 2.0, 3.0), channels) == expected


def test_a_normalisation_before_the_first_layer_gets_the_mean_of_three():
    state = {"bn.weight": torch.tensor([1.0, 2.0, 6.0]), "conv.weight": KERNEL, "deep.weight": torch.ones(2, 2)}
    wanted = {"bn.weight": torch.empty(4), "conv.weight": torch.empty(2, 4, 1, 1), "deep.weight": torch.empty(2, 2)}
    adapted = adapt_state(state, wanted, 4)
    assert adapted["bn.weight"].tolist() == [1.0, 2.0, 6.0, 3.0]
    assert adapted["conv.weight"].shape == (2, 4, 1, 1)
    assert adapted["deep.weight"] is state["deep.weight"]


def test_a_first_layer_of_another_kind_is_refused():
    with pytest.raises(ModelError, match=r"stem is \(2, 48\) in them and \(2, 64\) in this network for 4 channels"):
        adapt_state({"stem": torch.ones(2, 48)}, {"stem": torch.ones(2, 64)}, 4)
