from __future__ import annotations

import io

import pytest
import torch

from musket.training.ema import WeightMean


def scalar(value: float = 0.0) -> torch.nn.Linear:
    module = torch.nn.Linear(1, 1, bias=False)
    put(module, value)
    return module


def put(module: torch.nn.Linear, value: float) -> None:
    with torch.no_grad():
        module.weight.fill_(value)


def value_of(mean: WeightMean, module: torch.nn.Linear) -> float:
    with mean.in_place():
        return module.weight.item()


def test_values_worked_by_hand() -> None:
    """d = 1/10, 2/11, 3/12, ... until it is 0.25: (0, 1) 0.9; (0.9, 2) 1.8; (1.8, 3) 2.7; then d stays: 3.675."""
    module = scalar()
    mean = WeightMean(module, 0.25)
    found = [value_of(mean, module)]
    for weight in (1.0, 2.0, 3.0, 4.0):
        put(module, weight)
        mean.update()
        found.append(value_of(mean, module))
        assert module.weight.item() == weight
    assert found == pytest.approx([0.0, 0.9, 1.8, 2.7, 3.675])


def test_a_mean_of_equal_weights_is_equal_to_them() -> None:
    module = torch.nn.Conv2d(3, 4, 3)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    mean = WeightMean(module, 0.999)
    for _ in range(5):
        mean.update()
    with mean.in_place():
        assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_statistics_are_averaged_and_counts_copied() -> None:
    module = torch.nn.BatchNorm1d(1, momentum=1.0)
    mean = WeightMean(module, 0.9)
    module(torch.tensor([[4.0], [6.0]]))  # running mean 5, unbiased variance 2
    mean.update()
    with mean.in_place():
        assert module.running_mean is not None
        assert module.running_var is not None
        assert float(module.running_mean) == pytest.approx(0.1 * 0 + 0.9 * 5)
        assert float(module.running_var) == pytest.approx(0.1 * 1 + 0.9 * 2)
        assert module.num_batches_tracked == 1


def test_own_weights_come_back_after_an_error() -> None:
    module = scalar(1.0)
    mean = WeightMean(module, 0.5)
    put(module, 2.0)

    def look() -> None:
        with mean.in_place():
            assert module.weight.item() == 1.0
            raise KeyError

    with pytest.raises(KeyError):
        look()
    assert module.weight.item() == 2.0
    assert value_of(mean, module) == 1.0


def test_a_tensor_under_two_names_is_averaged_once() -> None:
    first, second = scalar(), scalar()
    second.weight = first.weight
    module = torch.nn.Sequential(first, second)
    mean = WeightMean(module, 0.5)
    put(first, 1.0)
    mean.update()
    with mean.in_place():
        assert second.weight.item() == pytest.approx(0.9)
    assert second.weight.item() == 1.0
    assert len(mean.state_dict()["weights"]) == 1


def test_goes_on_from_a_state_of_plain_things() -> None:
    def some_steps(mean: WeightMean, module: torch.nn.Linear, *weights: float) -> float:
        for weight in weights:
            put(module, weight)
            mean.update()
        return value_of(mean, module)

    module = scalar()
    whole = some_steps(WeightMean(module, 0.5), module, 1, 2, 3, 4)
    module = scalar()
    mean = WeightMean(module, 0.5)
    some_steps(mean, module, 1, 2)
    buffer = io.BytesIO()
    torch.save(mean.state_dict(), buffer)
    buffer.seek(0)
    again = WeightMean(module, 0.5)
    again.load_state_dict(torch.load(buffer, weights_only=True))
    assert some_steps(again, module, 3, 4) == whole


def test_optimizer_and_mean_do_not_disturb_each_other() -> None:
    """The optimizer's path is the same with a mean beside it that is looked at after every step."""

    def path(decay: float | None) -> torch.Tensor:
        torch.manual_seed(3)
        module = torch.nn.Linear(4, 2)
        optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
        mean = None if decay is None else WeightMean(module, decay)
        for _ in range(4):
            optimizer.zero_grad()
            module(torch.ones(3, 4)).square().sum().backward()
            optimizer.step()
            if mean is not None:
                mean.update()
                with mean.in_place(), torch.inference_mode():
                    module(torch.ones(3, 4))
        return module.weight.detach()

    assert torch.equal(path(None), path(0.9))
