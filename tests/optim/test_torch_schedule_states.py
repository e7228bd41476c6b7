from __future__ import annotations

import pytest
import torch

from musket.core.errors import MusketError
from musket.optim.catalogue import SCHEDULES
from musket.optim.schedules import build_schedule


@pytest.fixture
def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def test_every_schedule_of_torch_has_its_name():
    from torch.optim import lr_scheduler

    known = {
        name
        for name, found in vars(lr_scheduler).items()
        if isinstance(found, type) and issubclass(found, lr_scheduler.LRScheduler) and not name.startswith("_")
    }
    assert set(SCHEDULES.names()) == known - {"LRScheduler"}


def test_nested_schedules_are_built_from_maps(optimizer):
    parts = [{"LinearLR": {"total_iters": 2}}, {"ConstantLR": None}, {"StepLR": 3}]
    schedule = build_schedule("sequentiallr", optimizer, {"schedulers": parts, "milestones": [2, 4]})
    assert [type(part).__name__ for part in schedule._schedulers] == ["LinearLR", "ConstantLR", "StepLR"]
    assert schedule._schedulers[2].step_size == 3


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("StepLR", {}, "StepLR with .*step_size"),
        ("StepLR", {"step_size": 2, "gama": 1}, "unexpected keyword argument 'gama'"),
        ("LinearLR", {"start_factor": 2}, "LinearLR with .*[Ss]tarting"),
        ("OneCycleLR", {"max_lr": 1.0}, "OneCycleLR with .*total_steps"),
        ("ChainedScheduler", {"schedulers": ["StepLR"]}, "ChainedScheduler: 'StepLR' under schedulers is no schedule"),
        ("ChainedScheduler", {"schedulers": [{"StepLT": 1}]}, "no such schedule 'StepLT'; nearest: StepLR"),
        ("SequentialLR", {"schedulers": [{"LinearLR": {}}], "milestones": [1]}, "SequentialLR with .*milestone"),
    ],
)
def test_what_torch_refuses_is_told(optimizer, name, options, told):
    with pytest.raises(MusketError, match=told):
        build_schedule(name, optimizer, options)
