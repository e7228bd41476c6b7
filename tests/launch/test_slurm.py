from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cluster_workers import notes
from fake_slurm import install, submissions

from musket.core.errors import MusketError
from musket.core.jobs import Job
from musket.launch import slurm
from musket.launch.slurm import Options, option_lines, scripts, submit

WORKER = "cluster_workers:Noting"


def plan(folder: Path, name: str = "unet", *, evaluated: bool = True, **changes: dict[str, Any]) -> list[Job]:
    """A preparation, two folds and an evaluation; ``changes`` are arguments of the fold or kind named."""
    common = {"notes": str(folder)}
    prepare = Job(f"{name}/prepare", "prepare", name, {**common, **changes.get("prepare", {})}, devices=0)
    folds = [
        Job(
            f"{name}/fold {fold}",
            "train",
            name,
            {**common, "fold": fold, "changed": False, **changes.get(f"fold{fold}", {})},
            (prepare.key,),
        )
        for fold in (0, 1)
    ]
    evaluate = Job(f"{name}/evaluate", "evaluate", name, common, tuple(fold.key for fold in folds))
    return [prepare, *folds, *([evaluate] if evaluated else [])]


def write(jobs: list[Job], folder: Path, options: Options | None = None) -> list[Path]:
    return scripts(jobs, folder, worker=WORKER, python=sys.executable, options=options)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command ``sbatch`` that runs what it is given, and a folder with an awkward name."""
    install(tmp_path, monkeypatch)
    folder = tmp_path / "my 'ships' & $HOME"
    folder.mkdir()
    return folder


def test_scripts_ask_for_what_jobs_need(tmp_path: Path) -> None:
    jobs = [replace(job, devices=2) if job.kind == "train" else job for job in plan(tmp_path)]
    options = Options(
        cpus=6, parallel=3, notice=300, lines=option_lines("--partition gpu --time=12:00:00"), setup=["module load x"]
    )
    written = write(jobs, tmp_path / "run", options)
    assert [path.name for path in written] == [
        "jobs.json",
        "prepare.sbatch",
        "train.sbatch",
        "evaluate.sbatch",
        "submit.sh",
    ]
    asked = re.findall(r"^#SBATCH (.*)$", written[2].read_text(), re.MULTILINE)
    assert asked == [
        "--job-name=musket-train",
        "--output=logs/%x-%A_%a.txt",
        "--open-mode=append",
        "--ntasks=1",
        "--cpus-per-task=12",
        "--gpus-per-task=2",
        "--requeue",
        "--signal=B:USR1@300",
        "--partition gpu",
        "--time=12:00:00",
    ]
    assert "--gpus" not in written[1].read_text()
    assert "\nmodule load x\n" in written[2].read_text()
    assert "--array=0-1%3" in written[-1].read_text()
    assert (tmp_path / "run" / "logs").is_dir()
    assert [Job.from_data(one) for one in json.loads(written[0].read_text())["jobs"]] == jobs


def test_clusters_without_gpus(tmp_path: Path) -> None:
    for path in write(plan(tmp_path), tmp_path / "run", Options(gpus=False)):
        assert "--gpus" not in path.read_text()


def test_kinds_whose_jobs_need_different_numbers_of_devices_have_several_scripts(tmp_path: Path) -> None:
    jobs = plan(tmp_path, "a") + [replace(job, devices=2) for job in plan(tmp_path, "b")]
    names = {path.name for path in write(jobs, tmp_path / "run")}
    assert {"train-1.sbatch", "train-2.sbatch", "prepare-0.sbatch", "prepare-2.sbatch"} <= names
    calls = [line for line in (tmp_path / "run" / "submit.sh").read_text().splitlines() if line.startswith("submit '")]
    assert [line.split("sbatch ")[0].rsplit()[-1] for line in calls if "b: train" in line] == ["train-2."]


def test_runs_of_one_experiment_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Else a seed whose preparation fails would keep the others from being trained."""
    seeds = [
        replace(job, experiment="unet")
        for name in ("unet/0", "unet/1")
        for job in plan(tmp_path, name, evaluated=False)
    ]
    write(seeds, tmp_path / "scripts")
    lines = [
        line for line in (tmp_path / "scripts" / "submit.sh").read_text().splitlines() if line.startswith("submit '")
    ]
    assert [re.findall(r"'(.*)' --job-name=(\S+) --array=(\S+)", line) for line in lines] == [
        [("unet/0: prepare", "unet_0-prepare", "0-0")],
        [("unet/1: prepare", "unet_1-prepare", "0-0")],
        [("unet/0: train (2 jobs)", "unet_0-train", "0-1")],
        [("unet/1: train (2 jobs)", "unet_1-train", "0-1")],
    ]
    assert "afterok:$array_1" in lines[3]


def test_every_script_is_good_bash(tmp_path: Path) -> None:
    odd = tmp_path / "a \"b\" 'c' $(d) `e` ;f"
    for path in write(plan(odd, "deep/né t"), odd):
        if path.suffix != ".json":
            assert subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False).stderr == ""
            assert os.access(path, os.X_OK)


def test_bodies_run_in_order_by_hand(tmp_path: Path, cluster: Path) -> None:
    write(plan(cluster), cluster / "run")
    for script, first, task in (("prepare", 0, 0), ("train", 1, 0), ("train", 1, 1), ("evaluate", 3, 0)):
        env = {**os.environ, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": "2"}
        subprocess.run(["bash", cluster / "run" / f"{script}.sbatch", str(first)], env=env, check=True, timeout=60)
    assert [(note["key"], note["changed"], note["threads"]) for note in notes(cluster)] == [
        ("unet/prepare", None, "2"),
        ("unet/fold 0", True, "2"),
        ("unet/fold 1", True, "2"),
        ("unet/evaluate", None, "2"),
    ]
    assert json.loads((cluster / "run" / "results" / "1.json").read_text()) == {
        "key": "unet/fold 0",
        "value": {"fold": 0},
        "failure": None,
    }


def test_submitted_jobs_wait_for_those_they_need(tmp_path: Path, cluster: Path) -> None:
    jobs = [*plan(cluster, "a"), *plan(cluster, "deep/b")]
    write(jobs, cluster / "run")
    told = submit(cluster / "run")
    assert told == (cluster / "run" / "submitted.txt").read_text()
    assert "a: train (2 jobs)" in told
    assert sorted(note["key"] for note in notes(cluster)) == sorted(job.key for job in jobs)
    arrays = {one["name"]: one for one in submissions(tmp_path)}
    assert all(one["ok"] for one in arrays.values())
    numbers = {line.partition(" ")[2]: line.partition(" ")[0] for line in told.splitlines()}
    assert f"--dependency=afterok:{numbers['deep/b: prepare']}" in arrays["deep_b-train"]["options"]
    assert f"--dependency=afterany:{numbers['a: train (2 jobs)']}" in arrays["a-evaluate"]["options"]
    assert (
        "a/fold 1 at work" in (cluster / "run" / "logs" / f"a-train-{numbers['a: train (2 jobs)']}_1.txt").read_text()
    )


def test_what_is_submitted_is_not_submitted_again(cluster: Path) -> None:
    write(plan(cluster, evaluated=False), cluster / "run")
    submit(cluster / "run")
    with pytest.raises(MusketError, match="submitted already"):
        submit(cluster / "run")
    assert len(notes(cluster)) == 3


def test_a_fold_that_fails_is_told_by_the_evaluation(tmp_path: Path, cluster: Path) -> None:
    write(plan(cluster, fold1={"do": "fail"}), cluster / "run")
    submit(cluster / "run")
    assert [one["codes"] for one in submissions(tmp_path)] == [[0], [0, 1], [1]]
    assert notes(cluster)[-1] == {"key": "unet/evaluate", "refused": [["unet/fold 1", "DataError"]]}
    failure = json.loads((cluster / "run" / "results" / "3.json").read_text())["failure"]
    assert "unet/fold 1: DataError: sample 'ship 7': no mask" in failure["value"]


def test_a_job_killed_without_a_word_is_told_by_the_evaluation(tmp_path: Path, cluster: Path) -> None:
    write(plan(cluster, fold0={"do": "die"}), cluster / "run")
    submit(cluster / "run")
    assert [one["codes"] for one in submissions(tmp_path)] == [[0], [9, 0], [1]]
    assert notes(cluster)[-1]["refused"] == [["unet/fold 0", "Missing"]]


def test_nothing_is_trained_that_could_not_be_prepared(tmp_path: Path, cluster: Path) -> None:
    write(plan(cluster, prepare={"do": "refuse"}), cluster / "run")
    submit(cluster / "run")
    assert [one["codes"] for one in submissions(tmp_path)] == [[2], [], [1]]
    [log] = (cluster / "run" / "logs").glob("unet-prepare-*")
    assert "line 3" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_fold_that_needs_no_training_is_left_alone(tmp_path: Path, cluster: Path) -> None:
    write(plan(cluster, prepare={"folds": [1]}), cluster / "run")
    submit(cluster / "run")
    assert [note["key"] for note in notes(cluster)] == ["unet/prepare", "unet/fold 1", "unet/evaluate"]


def start_fold(folder: Path, **env: str) -> subprocess.Popen[str]:
    """A fold, alone and needing nothing before it, as a task of an array; it works until it is told to stop."""
    job = replace(plan(folder, fold0={"do": "wait"})[1], after=())
    write([job], folder / "run")
    command = ["bash", str(folder / "run" / "train.sbatch"), "0"]
    env = {**os.environ, "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "0", **env}
    process = subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 60
    while not notes(folder) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    return process


def test_when_the_time_is_nearly_over_training_stops_after_its_epoch_and_goes_back_into_the_queue(
    tmp_path: Path, cluster: Path
) -> None:
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.write_text('#!/bin/bash\necho "$*" > "$(dirname "$FAKE_SLURM")/asked"\n')
    scontrol.chmod(0o755)
    process = start_fold(cluster)
    process.send_signal(signal.SIGUSR1)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (tmp_path / "asked").read_text() == "requeue 77_0\n"
    assert "the time is nearly over; stopping after this epoch" in told
    assert "back in the queue" in told


def test_a_preempted_training_stops_after_its_epoch(cluster: Path) -> None:
    process = start_fold(cluster)
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: told to stop by SIGTERM" in told
    failure = json.loads((cluster / "run" / "results" / "0.json").read_text())["failure"]
    assert failure["interrupted"]
    assert failure["trace"] == ""


def test_a_requeued_training_resumes(cluster: Path) -> None:
    process = start_fold(cluster, SLURM_RESTART_COUNT="1")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert notes(cluster)[0]["resume"] is True


def test_without_scontrol_nothing_is_requeued(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    assert slurm.requeue() is False


def test_no_sbatch_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(plan(tmp_path), tmp_path / "run")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MusketError, match="--dry-run") as caught:
        submit(tmp_path / "run")
    assert "login node" in str(caught.value)


def test_sbatch_refuses(tmp_path: Path, cluster: Path) -> None:
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/bash\necho 'invalid partition' >&2\nexit 1\n")
    write(plan(cluster), cluster / "run")
    with pytest.raises(MusketError, match="invalid partition"):
        submit(cluster / "run")
    assert not (cluster / "run" / "submitted.txt").exists()


def test_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(MusketError, match="no jobs"):
        write([], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    write(plan(tmp_path), tmp_path / "run")
    with pytest.raises(MusketError, match="name a new folder"):
        write(plan(tmp_path), tmp_path / "run")


def test_a_job_that_waits_for_a_stranger(tmp_path: Path) -> None:
    with pytest.raises(MusketError, match=r"unet/fold 0 comes after unet/prepare, which is not among the jobs"):
        write(plan(tmp_path)[1:], tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ()),
        ("--partition=gpu --time 1-00:00:00 -A vision", ("--partition=gpu", "--time 1-00:00:00", "-A vision")),
        ("partition=gpu time=1:00:00 --comment a=b", ("--partition=gpu", "--time=1:00:00", "--comment a=b")),
        ("--comment='two words'", ('"--comment=two words"',)),
        (r"""comment='say "a\b"'""", (r'"--comment=say \"a\\b\""',)),
    ],
)
def test_options_of_sbatch(text: str, lines: tuple[str, ...]) -> None:
    assert option_lines(text) == lines


@pytest.mark.parametrize("text", ["gpu", "--time=1 2", "GPU=1", "--comment='open", "--comment='a\nb'"])
def test_no_options_of_sbatch(text: str) -> None:
    with pytest.raises(MusketError, match="options of sbatch"):
        option_lines(text)


@pytest.mark.parametrize(
    ("content", "place", "told"),
    [
        (None, "0", "cannot be read"),
        ("{}", "0", "is no file of jobs"),
        ('{"worker": "a:b", "jobs": []}', "0", "found 0"),
    ],
)
def test_a_file_of_jobs_that_is_no_good(
    content: str | None, place: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from musket.launch.job import main

    if content is not None:
        (tmp_path / "jobs.json").write_text(content)
    assert main([str(tmp_path / "jobs.json"), place]) == 2
    assert told in capsys.readouterr().err
