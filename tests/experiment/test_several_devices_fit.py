"""Fits on several devices, which are processes on the CPU here: files, figures, stops, resumption, errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import several_parts
import torch
import toy
from rich.console import Console

import musket
from musket.artifacts import records
from musket.core.errors import ConfigError, ConfigWarning, MusketError, Stopped, TrainingError
from musket.core.jobs import Progress
from musket.core.runtime import make_fabric
from musket.core.types import Unit
from musket.experiment import run
from musket.experiment.several_devices import check_devices
from musket.experiment.unit import FitOptions, train_unit

DATA = toy.Drawn(20)
FOR_TRYING_OUT = pytest.mark.filterwarnings("ignore:gpus. 2, and no GPU here")
COUNT = 2


def experiment(folder: Path, gpus: int, **changes: Any) -> musket.Experiment:
    several_parts.register()
    changes = {
        "architecture": "plain_net",
        "imports": ["several_parts"],
        "batch": 4,
        "optimizer": "SGD",
        "lr": 0.1,
        "loss": "binary_crossentropy",
        "metrics": ["binary_accuracy", "dice", "spread"],
        "callbacks": {"Witness": {"folder": str(folder)}},
        "folds_count": 2,
        "verbose": 2,
        **changes,
    }
    made = toy.experiment(folder, **changes)
    made.gpus = gpus
    return made


def rows(folder: Path) -> list[dict[str, float]]:
    return records.read_rows(folder / "metrics" / "metrics-0.0.csv")


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {"logs" if path.parts[0] == "logs" else str(path) for path in found if "witness" not in path.name}


def seen(folder: Path, rank: int) -> list[Any]:
    return [json.loads(line) for line in (folder / f"witness-{rank}.json").read_text().splitlines()]


def assert_close(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    experiment(folder, 1).fit(DATA, foldsToExecute=0)
    return folder


@FOR_TRYING_OUT
def test_s61_a_fit_on_two_devices_gives_the_files_and_figures_of_one(
    tmp_path: Path, alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = experiment(tmp_path, COUNT)
    summary = ours.fit(DATA, foldsToExecute=0)
    assert len(ours.validation(DATA, 0)) % 4 % COUNT  # the last batch of validation is shared unevenly
    assert files(tmp_path) == files(alone)
    assert_close(rows(tmp_path), rows(alone))
    assert seen(tmp_path, 0) == seen(tmp_path, 1)
    assert len(seen(tmp_path, 0)) == 2
    printed = capsys.readouterr().out
    assert "; 2 x cpu, 32-true" in printed
    assert printed.count("fold 1/2  epoch 1/2  loss") == printed.count("fold 1/2  epoch 2/2  loss") == 1
    stored = records.read_yaml(alone / "summary.yaml")
    assert summary["allStages"].keys() == stored["allStages"].keys()
    net, theirs = ours.createNetForInference(0), experiment(alone, 1).createNetForInference(0)
    for one, other in zip(net.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@FOR_TRYING_OUT
def test_s61_a_stop_is_heard_by_all_and_one_device_goes_on(tmp_path: Path, alone: Path) -> None:
    lines, progress = (tmp_path / "lines.txt").open("w"), list[Progress]()
    ours = experiment(tmp_path, COUNT)
    context = ours._context(ours._prepare(DATA), FitOptions(), make_fabric(), Console(file=lines), lambda *_: None)
    run.begin(context)
    stopped = replace(context, stopping=lambda: "enough", watch=progress.append)
    with pytest.raises(Stopped, match=r"^enough"):
        train_unit(stopped, Unit(0, (0,), ours.spec.random_state))
    lines.close()
    assert len(rows(tmp_path)) == 1
    assert (progress[-1].epoch, progress[-1].batch) == (0, progress[-1].batches)
    (tmp_path / "lines.txt").unlink()

    ours.gpus = 1
    ours.setAllowResume(True)
    ours.fit(DATA, foldsToExecute=0)
    assert_close(rows(tmp_path), rows(alone))
    assert files(tmp_path) == files(alone)


@FOR_TRYING_OUT
def test_an_error_in_one_process_is_the_error_of_the_fit(tmp_path: Path) -> None:
    ours = experiment(tmp_path, COUNT, callbacks={"Witness": {"folder": str(tmp_path), "fail": 1}})
    with pytest.raises(LookupError, match="the witness is gone"):
        ours.fit(DATA, foldsToExecute=0)
    (entry,) = records.read_yaml(tmp_path / "error.yaml")["errors"]
    assert (entry["type"], entry["value"]) == ("LookupError", "the witness is gone")
    assert "in process 2 of 2:" in entry["trace"]


@FOR_TRYING_OUT
def test_a_dataset_that_cannot_be_handed_over(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="needs the dataset too, and Locked cannot be handed over"):
        experiment(tmp_path, COUNT).fit(several_parts.Locked())


@pytest.mark.parametrize(
    ("batch", "gpus", "said"),
    [
        (10, 4, "10 cannot be shared by 4 of them equally; set batch to 8 or 12, or gpus to 1 or 2"),
        (3, 4, "3 cannot be shared by 4 of them equally; set batch to 4, or gpus to 1 or 3"),
        (9, 2, "9 cannot be shared by 2 of them equally; set batch to 8 or 10, or gpus to 1"),
    ],
)
def test_a_batch_that_cannot_be_shared(batch: int, gpus: int, said: str, tmp_path: Path) -> None:
    ours = experiment(tmp_path, gpus, batch=batch)
    with pytest.raises(TrainingError, match=said):
        ours.fit(toy.Drawn(60))
    assert not ours.layout.in_progress.exists()
    with pytest.raises(ConfigError, match=rf"gpus +batch is that of all devices together, and {said}"):
        toy.experiment(tmp_path, batch=batch, gpus=gpus)


def test_mixtures_need_two_samples_of_a_device(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"a single sample, and mixup and cutmix mix .*; set batch to 8"):
        check_devices(experiment(tmp_path, 4, mixup=0.2).spec)


def test_devices_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = experiment(tmp_path, 4).spec
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.warns(ConfigWarning, match="no GPU here: 4 processes share the cores. That is for trying out only"):
        check_devices(spec)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(MusketError, match=r"a network on Apple's GPU \(MPS\) has one device. Set gpus: 1"):
        check_devices(spec)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for count, said in ((2, "there are 2 here. Set gpus to 2 or fewer"), (1, "there is 1 here. Set gpus to 1")):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        with pytest.raises(MusketError, match=f"gpus: found 4; {said}"):
            check_devices(spec)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    check_devices(spec)


@pytest.mark.gpu
def test_two_gpus(tmp_path: Path) -> None:
    if torch.cuda.device_count() < COUNT:
        pytest.skip("needs two CUDA devices")
    for gpus, name in ((COUNT, "two"), (1, "one")):
        (tmp_path / name).mkdir()
        experiment(tmp_path / name, gpus, architecture="normed_net").fit(DATA, foldsToExecute=0)
    assert files(tmp_path / "two") == files(tmp_path / "one")
    for ours, alone in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
        assert ours == pytest.approx(alone, rel=0.05)  # in bfloat16, where there are units for it
