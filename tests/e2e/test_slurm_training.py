"""An experiment trained by the scripts for SLURM: what one process would have trained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_slurm import install, submissions
from toy_project import CONFIG, write_project


def musket(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "musket", *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


def weights(root: Path) -> dict[str, bytes]:
    folder = root / "experiments" / "deep" / "unet" / "weights"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.weights"))}


@pytest.mark.slow
def test_scripts_train_what_one_process_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    alone = write_project(tmp_path / "alone", "deep/unet")
    spread = write_project(tmp_path / "on 'many' machines", "deep/unet")
    assert musket("fit", "--project", alone, "--one_process", OMP_NUM_THREADS="3").returncode == 0
    done = musket("fit", "--project", spread, "--engine", "slurm", "--sbatch", "partition=cpu")
    assert done.returncode == 0, done.stderr
    assert [(one["name"], one["codes"]) for one in submissions(tmp_path)] == [
        ("deep_unet-prepare", [0]),
        ("deep_unet-train", [0, 0]),
        ("deep_unet-evaluate", [0]),
    ]
    assert weights(spread) == weights(alone)
    assert len(weights(spread)) == 2
    home = spread / "experiments" / "deep" / "unet"
    assert (home / "summary.yaml").exists()
    assert not (home / "inProgress.yaml").exists()


@pytest.mark.slow
def test_scripts_train_several_seeds_and_sum_them_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    several = CONFIG.replace("folds_count: 2", "folds_count: 1").replace("epochs: 2", "epochs: 1") + "num_seeds: 2\n"
    alone = write_project(tmp_path / "alone", unet=several)
    spread = write_project(tmp_path / "spread", unet=several)
    assert musket("fit", "--project", alone, "--one_process", OMP_NUM_THREADS="3").returncode == 0
    done = musket("fit", "--project", spread, "--engine", "slurm")
    assert done.returncode == 0, done.stderr
    assert submissions(tmp_path)[-1]["name"] == "unet-evaluate"
    assert all(one["ok"] for one in submissions(tmp_path))
    summaries = [(root / "experiments" / "unet" / "summary.yaml").read_text() for root in (alone, spread)]
    assert summaries[0] == summaries[1]
    assert "seeds:" in summaries[0]


def test_a_dry_run_submits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    root = write_project(tmp_path / "ships", "deep/unet")
    done = musket("fit", "--project", root, "--engine", "slurm", "--dry-run", "--cpus", "2")
    assert done.returncode == 0, done.stderr
    [folder] = (root / ".slurm").iterdir()
    assert str(folder / "train.sbatch") in done.stdout
    assert "#SBATCH --cpus-per-task=2\n" in (folder / "train.sbatch").read_text()
    assert not (tmp_path / "state.json").exists()
    assert not (root / "experiments" / "deep" / "unet" / "weights").exists()
