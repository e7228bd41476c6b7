from __future__ import annotations

import math

import pytest
import torch

from musket.core.errors import TrainingError
from musket.core.registry import RegistryError
from musket.optim.build import build_optimizer
from musket.optim.catalogue import OPTIMIZERS

KERAS = {
    "SGD": {"lr": 0.01, "momentum": 0, "nesterov": False},
    "RMSprop": {"lr": 0.001, "alpha": 0.9, "eps": 1e-7},
    "Adagrad": {"lr": 0.01, "eps": 1e-7},
    "Adadelta": {"lr": 1.0, "rho": 0.95, "eps": 1e-7},
    "Adam": {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-7},
    "Adamax": {"lr": 0.002, "betas": (0.9, 0.999), "eps": 1e-7},
    "Nadam": {"lr": 0.002, "betas": (0.9, 0.999), "momentum_decay": 0.004, "eps": 1e-7},
}


@pytest.fixture
def weight():
    return torch.nn.Parameter(torch.tensor([2.0]))


@pytest.mark.parametrize("name", KERAS)
def test_defaults_are_those_of_keras(name, weight):
    [group] = build_optimizer(name, [weight]).param_groups
    assert {option: group[option] for option in KERAS[name]} == KERAS[name]


def stepped(name, weight, gradient=0.5, **options):
    optimizer = build_optimizer(name, [weight], **options)
    weight.grad = torch.tensor([gradient])
    optimizer.step()
    return float(weight.detach())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SGD", 2 - 0.01 * 0.5),
        ("RMSprop", 2 - 0.001 * 0.5 / (math.sqrt(0.1 * 0.25) + 1e-7)),
        ("Adagrad", 2 - 0.01 * 0.5 / (0.5 + 1e-7)),
        ("Adadelta", 2 - 0.5 * math.sqrt(1e-7) / math.sqrt(0.05 * 0.25 + 1e-7)),
        ("Adam", 2 - 0.001 * 0.5 / (0.5 + 1e-7)),
        ("Adamax", 2 - 0.002 * 0.5 / (0.5 + 1e-7)),
    ],
)
def test_first_step_by_hand(name, expected, weight):
    assert stepped(name, weight) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_descends_and_describes_itself(name, weight):
    assert OPTIMIZERS.get(name).summary
    assert stepped(name, weight, lr=0.1) < 2
    assert build_optimizer(name.lower(), [weight], lr=0.1).param_groups[0]["lr"] == 0.1


def test_further_options(weight):
    [group] = build_optimizer("sgd", iter([weight]), options={"momentum": 0.9, "nesterov": True}).param_groups
    assert (group["momentum"], group["nesterov"], group["lr"]) == (0.9, True, 0.01)


def test_fused_where_torch_has_it_unless_told_otherwise(weight):
    assert build_optimizer("AdamW", [weight]).param_groups[0]["fused"]
    assert not build_optimizer("AdamW", [weight], fused=False).param_groups[0]["fused"]
    assert "fused" not in build_optimizer("Nadam", [weight], fused=True).param_groups[0]


@pytest.mark.gpu
def test_fused_on_cuda(weight):
    assert build_optimizer("Adam", [torch.nn.Parameter(weight.detach().cuda())]).param_groups[0]["fused"]


def test_what_torch_refuses_is_told(weight):
    with pytest.raises(RegistryError, match="no such optimizer 'Adan'; nearest: Adam"):
        build_optimizer("Adan", [weight])
    with pytest.raises(TrainingError, match=r"optimizer Adam .*unexpected keyword argument 'momentum'"):
        build_optimizer("Adam", [weight], options={"momentum": 0.9})
    with pytest.raises(TrainingError, match=r"optimizer SGD .*Invalid learning rate: -1"):
        build_optimizer("SGD", [weight], lr=-1)
    with pytest.raises(TrainingError, match="Adam has nothing to train"):
        build_optimizer("Adam", [])
