"""Folds on the machines of a Ray cluster, one of them lost: the result is that of one process, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray_nodes import environment, two_nodes
from recording import Record
from toy_project import CONFIG, write_project

from musket.experiment.jobs.schedule import Schedule, job_arguments, run_of
from musket.experiment.projects.project import load_spec, open_project
from musket.launch import ray_cluster
from musket.launch.bundle import Bundle

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")

EPOCHS = 6
SLOW = """\

import time


@musket.callback
class Slow(musket.Hook):
    def on_epoch_end(self, run, row):
        time.sleep(0.4)
"""


def project(root: Path) -> Path:
    """Two folds of a network with dropout, whose epochs take their time."""
    text = CONFIG.replace("epochs: 2", f"epochs: {EPOCHS}") + "callbacks:\n  Slow: {}\n"
    write_project(root, unet=text)
    module = root / "modules" / "discs_module.py"
    module.write_text(
        module.read_text().replace("torch.nn.ReLU(),", "torch.nn.ReLU(), torch.nn.Dropout2d(0.5),") + SLOW
    )
    return root


def results(root: Path) -> dict[str, Any]:
    """Weight files as they are, and metrics less what depends on the clock."""
    home = root / "experiments" / "unet"
    weights = {path.name: path.read_bytes() for path in (home / "weights").glob("*.weights")}
    metrics = {path.name: pd.read_csv(path).to_csv() for path in (home / "metrics").glob("*.csv")}
    return weights | metrics


@pytest.fixture(autouse=True, scope="module")
def surroundings() -> Iterator[None]:
    with environment():
        yield


@pytest.fixture
def cluster() -> Iterator[Any]:
    with two_nodes() as made:
        yield made


def train_here(root: Path) -> None:
    """As a user does who has one machine."""
    command = [sys.executable, "-m", "musket", "fit", "--project", str(root), "--one_process"]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def schedule(root: Path) -> Schedule:
    opened = open_project(root)
    config = opened.config("unet")
    spec = load_spec(config, project=opened)
    return Schedule([run_of(spec, "unet", job_arguments(config, root), project=opened)])


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_a_lost_machine_changes_nothing(shared: bool, cluster: Any, tmp_path: Path) -> None:
    alone, spread = project(tmp_path / "alone"), project(tmp_path / "spread")
    train_here(alone)
    [victim] = cluster.worker_nodes
    reached: set[str] = set()
    lost: list[str] = []

    def kill(*said: Any) -> None:
        """End one machine as soon as both folds have finished their second epoch: one of them is there."""
        if said[0] != "progress" or said[2].epoch < 2 or lost:
            return
        reached.add(said[1])
        if len(reached) == 2:
            lost.append(victim.node_id)
            cluster.remove_node(victim, allow_graceful=False)

    bundle = Bundle(
        spread, ("modules/**/*", "experiments/**/config.yaml"), lambda job: Path(job.arguments["config"]).parent
    )
    record = Record(kill)
    stopped = ray_cluster.run(
        schedule(spread),
        "musket.experiment.jobs.worker:Worker",
        record,
        address=cluster.address,
        bundle=None if shared else bundle,
    )
    assert not stopped
    assert record.of("failed") == []
    lines = [text for _, text in record.of("line")]
    assert any("its machine is lost; goes on elsewhere" in text for text in lines), lines
    assert any("goes on after epoch" in text for text in lines), lines
    home = spread / "experiments" / "unet"
    assert (home / "summary.yaml").exists()
    assert not (home / "inProgress.yaml").exists()
    assert f"results in {home}" in lines
    assert results(spread) == results(alone)
