"""Several experiments, several processes: the same results, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from toy_project import CONFIG, write_project

from musket.cli.main import main
from musket.core.errors import ConfigWarning
from musket.experiment.facade import parse

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def musket(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does."""
    command = [sys.executable, "-m", "musket", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=ENVIRONMENT | more, check=False)


def weights(root: Path, name: str) -> dict[str, bytes]:
    """The weight files of an experiment."""
    folder = root / "experiments" / name / "weights"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.weights"))}


def with_trouble(what: str, marker: Path, fold: int) -> str:
    """A config whose training meets trouble in the second epoch of a fold."""
    callback = {"callbacks": {"Trouble": {"what": what, "marker": str(marker), "fold": fold}}}
    return CONFIG + yaml.safe_dump(callback)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Weights of the toy experiment, trained in one process without trouble."""
    root = write_project(tmp_path_factory.mktemp("alone"), "a")
    assert musket("fit", "--project", root).returncode == 0
    return weights(root, "a")


def test_i3_two_workers_train_all_unfinished_experiments_as_one_process_does(
    tmp_path: Path, alone: dict[str, bytes]
) -> None:
    root = write_project(tmp_path / "p", "a", "b/c")
    done = musket("fit", "--project", root, "--num_workers", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert [(one["experiment"], one["state"]) for one in json.loads(done.stdout)] == [("a", "done"), ("b/c", "done")]
    for name in ("a", "b/c"):
        assert weights(root, name) == alone
        file = root / "experiments" / name / "weights" / "best-0.0.weights"
        assert file.stat().st_mode == file.with_name("last-0.0.state").stat().st_mode  # others may read it, too
        assert yaml.safe_load((root / "experiments" / name / "summary.yaml").read_text())["folds"] == [0, 1]
        assert not (root / "experiments" / name / "inProgress.yaml").exists()


def test_a_failing_fold_stops_neither_its_siblings_nor_other_experiments(
    tmp_path: Path, alone: dict[str, bytes]
) -> None:
    root = write_project(tmp_path / "p", "b", a=with_trouble("raise", tmp_path / "marker", fold=0))
    done = musket("fit", "--project", root, "--num_workers", "2")
    assert done.returncode == 1
    folder = root / "experiments" / "a"
    (error,) = yaml.safe_load((folder / "error.yaml").read_text())["errors"]
    assert (error["job"], error["type"], error["value"]) == ("a/fold 0", "ValueError", "trouble in the callback")
    assert "on_epoch_start" in error["trace"]
    assert "Traceback" not in done.stdout + done.stderr
    assert f"a/fold 0: ValueError: trouble in the callback (where: {folder / 'error.yaml'})" in done.stderr
    assert not (folder / "summary.yaml").exists()
    assert not (folder / "inProgress.yaml").exists()
    assert weights(root, "a")["best-1.0.weights"] == alone["best-1.0.weights"]
    assert weights(root, "b") == alone
    # The trouble is over: what is left is one fold, from its second epoch.
    again = musket("fit", "--project", root, "--allow_resume")
    assert again.returncode == 0, again.stderr
    assert "fold 1/2  goes on after epoch 1" in again.stdout
    assert weights(root, "a") == alone
    assert not (folder / "error.yaml").exists()


def test_a_killed_worker_is_told_and_others_go_on(tmp_path: Path, alone: dict[str, bytes]) -> None:
    root = write_project(tmp_path / "p", "b", a=with_trouble("kill", tmp_path / "marker", fold=1))
    done = musket("fit", "--project", root, "--num_workers", "2")
    assert done.returncode == 1
    assert "SIGKILL" in done.stderr
    assert "memory" in done.stderr
    (error,) = yaml.safe_load((root / "experiments" / "a" / "error.yaml").read_text())["errors"]
    assert error["job"] == "a/fold 1"
    assert weights(root, "b") == alone
    half = root / "experiments" / "a" / "weights" / ".best-1.0.weights.4711.part"
    half.touch()  # as a kill while it is written leaves it
    assert musket("fit", "--project", root, "--allow_resume").returncode == 0
    assert not half.exists()
    assert weights(root, "a") == alone


def test_a_fold_is_tried_again_only_when_asked(tmp_path: Path, alone: dict[str, bytes]) -> None:
    root = write_project(tmp_path / "p", "b", a=with_trouble("kill", tmp_path / "marker", fold=1))
    done = musket("fit", "--project", root, "--num_workers", "2", "--retries", "1")
    assert done.returncode == 0, done.stderr
    assert weights(root, "a") == alone


@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted_once_it_finishes_the_epoch_and_goes_on_later(
    workers: str, tmp_path: Path, alone: dict[str, bytes]
) -> None:
    long = CONFIG.replace("epochs: 2", "epochs: 2000")
    root = write_project(tmp_path / "p", a=long)
    command = [sys.executable, "-m", "musket", "fit", "--project", str(root), "--num_workers", workers]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
        # whoever started the tests may have them ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    rows = root / "experiments" / "a" / "metrics" / "metrics-0.0.csv"
    until = time.monotonic() + 120
    while not rows.exists() and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert "--allow_resume" in out
    assert (root / "experiments" / "a" / "inProgress.yaml").exists()
    assert rows.exists()


def test_time_over_is_an_interruption(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", a=CONFIG.replace("epochs: 2", "epochs: 2000"))
    done = musket("fit", "--project", root, "--time", "1")
    assert done.returncode == 130
    folder = root / "experiments" / "a"
    assert (folder / "inProgress.yaml").exists()
    assert not (folder / "summary.yaml").exists()


def test_overrides_are_recorded(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", "a")
    assert main(["fit", "--project", str(root), "--name", "a", "--folds", "1", "lr=0.003", "stages[0].epochs=1"]) == 0
    record = yaml.safe_load((root / "experiments" / "a" / "run.yaml").read_text())
    assert record["overrides"] == ["lr=0.003", "stages[0].epochs=1"]
    assert (record["config"]["lr"], record["config"]["stages"][0]["epochs"]) == (0.003, 1)


def test_a_dataset_function_that_fails_is_told_with_its_file(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", a=CONFIG.replace("discs: []", "broken_discs: []"))
    done = musket("fit", "--project", root)
    assert done.returncode == 1
    assert "no discs today" in done.stderr
    assert "discs_module.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_only_report_judges_what_is_there(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", "a")
    assert main(["fit", "--project", str(root)]) == 0
    summary = root / "experiments" / "a" / "summary.yaml"
    first = summary.read_text()
    before = weights(root, "a")
    summary.unlink()
    assert main(["fit", "--project", str(root), "--name", "a", "--only_report", "--force_recalc"]) == 0
    assert summary.read_text() == first
    assert weights(root, "a") == before


def test_python_is_told_of_values_from_the_command_line(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", "a")
    assert main(["fit", "--project", str(root), "--folds", "0", "shape=[16,16,3]", "gpus=1"]) == 0
    folder = root / "experiments" / "a"
    with pytest.warns(ConfigWarning, match=r"trained with shape=\[16,16,3\] gpus=1 on the command line"):
        parse(folder)
    assert parse(folder, shape=[16, 16, 3]).predictions("validation0")[0].prediction.shape == (32, 32, 1)


def test_a_resumed_run_is_told_of_code_that_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_project(tmp_path / "p", "a")
    assert main(["fit", "--project", str(root), "--folds", "0"]) == 0
    module = root / "modules" / "discs_module.py"
    module.write_text(module.read_text().replace("count: int = 12", "count: int = 12 + 0"))
    capsys.readouterr()
    assert main(["fit", "--project", str(root), "--name", "a", "--allow_resume"]) == 0
    captured = capsys.readouterr()
    assert "modules/discs_module.py changed since this run began" in captured.out + captured.err
