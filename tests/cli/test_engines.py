from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from musket.cli import engines
from musket.core.jobs import Job
from musket.experiment.jobs.schedule import Schedule
from musket.launch import ray_cluster
from musket.launch.bundle import Bundle


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """What travels to machines that do not see the project."""
    given: list[Bundle] = []

    def run(*_: Any, bundle: Bundle, **__: Any) -> bool:
        given.append(bundle)
        return False

    monkeypatch.setattr(ray_cluster, "run", run)
    parser = argparse.ArgumentParser()
    engines.configure(parser)
    arguments = parser.parse_args(["--engine", "ray", "--shared", "false"])
    arguments.quiet, arguments.json = True, False
    engines.run(Schedule([]), arguments, root=tmp_path, single=True, devices=1)
    for name in (
        "holdout.csv",
        "parts/more.csv",
        ".fit.lock",
        ".hidden/best-0.0.weights",
        "0/config_concrete.yaml",
        "0/weights/best-0.0.weights",
        "trial0/weights/best-0.0.weights",
        "trial0/config.yaml",
        "trial1/config.yaml",
        "trial1/0/config_concrete.yaml",
        "config.yaml",
    ):
        path = tmp_path / "experiments" / "unet" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return given[0]


@pytest.mark.parametrize("config", ["trial1/config.yaml", "0/config_concrete.yaml", "trial1/0/config_concrete.yaml"])
def test_of_other_seeds_and_trials_nothing_travels(config: str, bundle: Bundle) -> None:
    """Their weights would, with every fold of every trial."""
    folder = bundle.root / "experiments" / "unet"
    job = Job("unet/fold 0", "train", "unet", {"config": str(folder / config)})
    assert bundle.home(job) == (folder / config).parent
    beside = {path.relative_to(folder).as_posix() for path in bundle.beside(job)}
    assert beside == {"config.yaml", "holdout.csv", "parts/more.csv"}


def test_an_experiment_has_all_of_its_files(bundle: Bundle) -> None:
    """A task on all seeds, for one, needs their weights."""
    folder = bundle.root / "experiments" / "unet"
    job = Job("unet/task", "task", "unet", {"config": str(folder / "config.yaml")})
    assert (bundle.home(job), bundle.beside(job)) == (folder, [])
