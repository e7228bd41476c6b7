"""Exact resume: killed with SIGKILL anywhere, a run ends as the one that was left alone, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import toy

DRIVER = Path(__file__).with_name("resume_driver.py")

CONFIG = (
    toy.CONFIG.partition("stages:")[0]
    + """\
callbacks:
  ReduceLROnPlateau: {monitor: val_loss, factor: 0.5, patience: 0, cooldown: 0}
  EarlyStopping: {monitor: val_dice, patience: 3}
stages:
  - epochs: 4
  - epochs: 3
  - epochs: 2
    lr: 0.001
    loss: binary_crossentropy
"""
)


def run(folder: Path, *kills: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG)
    command = [sys.executable, "-W", "error", str(DRIVER), str(folder), *kills]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outcome(folder: Path) -> dict[str, bytes]:
    """Bytes of everything a run is judged by."""
    found = sorted([*folder.glob("weights/best-*"), *folder.glob("metrics/*.csv"), folder / "summary.yaml"])
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder)
    files = outcome(folder)
    assert len(files) == 2 * 3 * 2 + 1
    return files


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(["batch:7"], id="in-an-epoch"),
        pytest.param(["batch:23", "batch:9", "batch:1"], id="in-epochs-again-and-again"),
        pytest.param(["write:1"], id="first-weights-half-written"),
        pytest.param(["write:4", "write:6"], id="state-half-written"),
        pytest.param(["rename:9", "rename:14"], id="before-a-rename"),
        pytest.param(["file:metrics-0.2.csv:2", "file:metrics-1.2.csv:2"], id="between-last-state-and-csv"),
        pytest.param(["stage:2"], id="between-stages"),
        pytest.param(["stage:3", "stage:2"], id="between-stages-with-new-optimizer"),
        pytest.param(["unit:2"], id="between-folds"),
        pytest.param(["seconds:0.4", "seconds:0.3", "seconds:0.6"], id="at-any-moment"),
    ],
)
def test_s52_killed_run_resumes_bit_for_bit(kills: list[str], undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    said = run(tmp_path, *kills)
    assert "killed" in said
    assert outcome(tmp_path) == undisturbed
    assert not (tmp_path / "inProgress.yaml").exists()
