"""musket fit --launch_tasks: tasks of a project follow when an experiment is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import toy_project
import yaml

from musket.artifacts.layout import Layout
from musket.cli.main import main

TASKS = """
import musket
from musket_core import model, tasks


@tasks.task
def measure(m: model.ConnectedModel, factor: int = 1):
    return {"lr": m.spec.lr, "factor": factor}


@tasks.task
def together(m: model.AverageBlend):
    return len(m.models)
"""
CONFIG = toy_project.CONFIG.replace("epochs: 2", "epochs: 1") + "tasks: {measure: {factor: 3}}\n"
SEARCH = CONFIG.replace("lr: 0.01", "lr: rate") + "hyperparameters: {rate: {enum: [0.125, 0.25]}}\n"


def project(tmp_path: Path, config: str = CONFIG, tasks: str = TASKS) -> Path:
    root = toy_project.write_project(tmp_path / "project", one=config)
    (root / "modules" / "own_tasks.py").write_text(tasks)
    return root


def fit(root: Path, *arguments: str) -> int:
    return main(["fit", "--project", str(root), "--one_process", "--quiet", "--launch_tasks", *arguments])


def results(root: Path) -> dict[str, Any]:
    """What the tasks returned, by folder below the experiment."""
    folder = root / "experiments" / "one"
    found = folder.glob("**/result.yaml")
    return {path.parent.relative_to(folder).as_posix(): yaml.safe_load(path.read_text()) for path in found}


def test_tasks_of_an_experiment_with_its_overrides(tmp_path: Path) -> None:
    root = project(tmp_path)
    assert fit(root, "lr=0.5") == 0
    assert results(root) == {"measure": {"lr": 0.5, "factor": 3}, "together": 1}


def test_tasks_of_every_seed_or_of_all_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path)
    assert fit(root, "num_seeds=2", "lr=0.5", "--json") == 0
    told = {"lr": 0.5, "factor": 3}
    assert results(root) == {"0/measure": told, "1/measure": told, "together": 2}
    [one] = json.loads(capsys.readouterr().out)
    assert (one["experiment"], one["state"], one["failures"]) == ("one", "done", [])


def test_tasks_of_the_best_trial_of_a_search(tmp_path: Path) -> None:
    root = project(tmp_path, SEARCH)
    assert fit(root) == 0
    best = yaml.safe_load((root / "experiments" / "one" / "summary.yaml").read_text())["best"]
    folder, rate = f"trial{best['trial']}", best["parameters"]["rate"]
    assert results(root) == {f"{folder}/measure": {"lr": rate, "factor": 3}, f"{folder}/together": 1}


def test_a_task_that_fails_leaves_the_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = TASKS.replace('return {"lr": m.spec.lr, "factor": factor}', "raise ValueError('bad luck')")
    root = project(tmp_path, tasks=broken)
    assert fit(root, "--json") == 1
    told = capsys.readouterr()
    [one] = json.loads(told.out)
    assert one["state"] == "failed"
    assert one["result"]["name"] == "binary_accuracy"
    assert "one/task measure: task measure failed: ValueError: bad luck" in told.err
    layout = Layout(root / "experiments" / "one" / "config.yaml")
    assert layout.summary.exists()
    assert not layout.error.exists()
    assert results(root) == {"together": 1}


def test_arguments_are_checked_before_anything_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path, CONFIG.replace("factor: 3", "fcator: 3"))
    assert fit(root) == 2
    assert "config.yaml: task measure has no parameter 'fcator'; nearest: factor" in capsys.readouterr().err
    assert not (root / "experiments" / "one" / "run.yaml").exists()


def test_a_project_without_tasks_is_trained_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path, CONFIG.partition("tasks")[0], tasks="")
    assert fit(root) == 0
    assert "note: there is no task to launch" in capsys.readouterr().err


def test_slurm_cannot_wait_for_experiments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path)
    assert main(["fit", "--project", str(root), "--launch_tasks", "--engine", "slurm", "--dry-run"]) == 2
    assert "--launch_tasks waits for experiments to be done" in capsys.readouterr().err
