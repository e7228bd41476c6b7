"""Tasks: functions of a project, run on trained experiments from the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pages
import pytest
import task_project
import toy
import yaml

import musket
from musket.cli.main import main
from musket.experiment.projects.project import open_project
from musket.experiment.tasks.tasks import task_names
from musket_core import model, tasks


@pytest.fixture(autouse=True)
def network() -> None:
    toy.register_small_net()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = task_project.write(tmp_path_factory.mktemp("tasks") / "discs")
    musket.parse(root / "experiments" / "small" / "config.yaml").fit()
    return root


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "discs"))


def run(root: Path, *arguments: str) -> int:
    return main(["task", "--project", str(root), "--one_process", *arguments])


def test_s3_a_task_is_found_by_name_and_gets_a_connected_model(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert musket.task is tasks.task
    assert task_names(open_project(root)) == ["broken", "listing", "measure"]
    assert main(["ls", "tasks", "--project", str(root), "--json"]) == 0
    listed = {entry["name"]: entry["summary"] for entry in json.loads(capsys.readouterr().out)}
    assert listed.keys() == {"broken", "listing", "measure"}
    assert listed["measure"] == "How sure the model is of a part. (modules/own_tasks.py)"
    assert isinstance(musket.parse(root / "experiments" / "small" / "config.yaml"), model.ConnectedModel)
    assert run(root, "--name", "small", "--task", "measure") == 0
    result = yaml.safe_load((root / "experiments" / "small" / "measure" / "result.yaml").read_text())
    assert (result["count"], result["kind"]) == (2, "Experiment")  # of 12 samples round(12 - 0.15 * 12) are kept
    assert 0 < result["sure"] < 1


def test_s4_the_former_command_runs_it_once_in_its_own_folder(root: Path) -> None:
    arguments = ["--project", str(root), "--name", "small", "--task", "measure"]
    arguments += ["--num_gpus=1", "--gpus_per_net=1", "--num_workers=1", "--one_process", "--cache", str(root / "kept")]
    there = os.pathsep.join([str(pages.ROOT), str(pages.ROOT / "tests" / "support")])
    done = subprocess.run(
        [sys.executable, "-m", "musket_core.task", *arguments],
        cwd=root.parent,
        env={**os.environ, "PYTHONPATH": there},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = root / "experiments" / "small" / "measure"
    assert (folder / "runs.txt").read_text() == "run\n"
    assert not (root.parent / "runs.txt").exists()


def test_c3_tasks_of_all_finished_experiments(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One fails; the others are run all the same, and the untrained experiment is left alone."""
    assert run(root, "--json", "sentence='as it happens'") == 1
    told = capsys.readouterr()
    assert "small: task broken failed: ValueError: as it happens (" in told.err
    assert "own_tasks.py, line " in told.err
    outcomes = json.loads(told.out)
    folder = root / "experiments" / "small"
    assert [(one["experiment"], one["task"], one["results"]) for one in outcomes] == [
        ("small", name, str(folder / name)) for name in ("broken", "listing", "measure")
    ]
    assert [one["exception"] and one["exception"]["type"] for one in outcomes] == ["ValueError", None, None]
    assert yaml.safe_load((folder / "listing" / "result.yaml").read_text()) == ["disc-00", "disc-01", "disc-02"]
    [error] = yaml.safe_load((folder / "broken" / "error.yaml").read_text())["errors"]
    assert (error["type"], error["value"]) == ("ValueError", "as it happens")
    assert "raise ValueError(sentence)" in error["trace"]
    assert not (folder / "broken" / "task.yaml").exists()
    assert sorted(path.name for path in (root / "experiments" / "other").iterdir()) == ["config.yaml"]


def test_i5_marked_functions_alone_are_tasks(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--name", "small", "--task", "helper") == 2
    assert capsys.readouterr().err == "no such task 'helper'; there are: broken, listing, measure\n"
    assert run(root, "--name", "small", "--task", " listing , measure ") == 0
    assert {path.parent.name for path in (root / "experiments" / "small").glob("*/task.yaml")} == {"listing", "measure"}
