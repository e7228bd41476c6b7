"""What every registered callback promises: it can be read about, built from plain options, run, stored and resumed."""

from __future__ import annotations

import inspect

import pytest
from stages import Stage

from musket.training.catalogue import CALLBACKS
from musket.training.hooks import Hook

# The smallest options of those that have no default for everything.
OPTIONS = {
    "ModelCheckpoint": {"filepath": "best.weights"},
    "TensorBoard": {"log_dir": "logs"},
    "LRVariator": {"absSize": 5},
    "CallbackModule": {"absSize": 5},
    "LearningRateScheduler": {"schedule": lambda epoch: 0.1},
    "ExponentialLR": {"gamma": 0.9},
    "StepLR": {"step_size": 1},
    "MultiStepLR": {"milestones": [1, 2]},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "OneCycleLR": {"max_lr": 0.1},
    "TorchCyclicLR": {"base_lr": 0.01, "max_lr": 0.1},
    "LambdaLR": {"lr_lambda": lambda epoch: 0.5},
    "MultiplicativeLR": {"lr_lambda": lambda epoch: 0.5},
    "SequentialLR": {"schedulers": [{"LinearLR": {}}, {"StepLR": 1}], "milestones": [2]},
    "ChainedScheduler": {"schedulers": [{"LinearLR": None}, {"StepLR": {"step_size": 1}}]},
}
NAMES = CALLBACKS.names()


def make(name):
    return CALLBACKS.load(name)(**OPTIONS.get(name, {}))


@pytest.mark.parametrize("name", NAMES)
def test_describes_itself_and_its_options(name):
    entry = CALLBACKS.get(name)
    assert entry.summary.endswith(".")
    signature = entry.signature()
    needed = {
        option for option, parameter in signature.parameters.items() if parameter.default is inspect.Parameter.empty
    }
    assert needed <= OPTIONS.get(name, {}).keys()
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())
    assert all(not isinstance(parameter.annotation, str) for parameter in signature.parameters.values())


@pytest.mark.parametrize("name", NAMES)
def test_runs_and_resumes_with_a_state_of_plain_things(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    figures = {"val_loss": [3.0, 2.0]}
    stage = Stage(make(name), steps=2, epochs=4, momentum=0.5)
    assert isinstance(stage.hooks.hooks[0], Hook)
    stage.start().epochs(2, **figures)
    assert all(rate >= 0 for rate in stage.rates)
    state = stage.state()  # stored and loaded as tensors only
    stage.hooks.on_stage_end(stage.run)
    again = Stage(make(name), steps=2, epochs=4, momentum=0.5).resume(state, stage.run.step).epochs(2, **figures)
    again.hooks.on_stage_end(again.run)
    assert again.hooks.state_dict().keys() == state["hooks"].keys()


@pytest.mark.parametrize("name", NAMES)
def test_one_object_serves_stage_after_stage(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hook = make(name)
    runs = []
    for _ in range(2):
        stage = Stage(hook, steps=2, epochs=3, momentum=0.5).start().epochs(3, val_loss=[3.0, 2.0, 2.5])
        stage.hooks.on_stage_end(stage.run)
        runs.append((stage.rates, stage.momenta))
    assert runs[0] == runs[1]
