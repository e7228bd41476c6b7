from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from musket.artifacts.layout import Layout
from musket.cli import engines
from musket.cli.main import main
from musket.core.jobs import Failure, Job, Workplace
from musket.experiment.jobs.schedule import PlainRun, Schedule
from musket.experiment.jobs.worker import Worker
from musket.experiment.state.lock import locked

CONFIG = """\
architecture: Unet
backbone: resnet18
classes: 1
loss: binary_crossentropy
metrics: [binary_accuracy]
stages: [{epochs: 2}]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a", "b", "deep/c"):
        folder = tmp_path / "ships" / "experiments" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(CONFIG)
    return tmp_path / "ships"


reruns: list[bool] = []


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Experiments that were to be trained, and how; nothing is trained. One with a batch of 13 fails."""
    calls: list[Any] = []
    reruns.clear()

    def run(
        schedule: Schedule, arguments: argparse.Namespace, *, root: Path, single: bool, devices: Sequence[int]
    ) -> bool:
        for one in schedule.runs:
            assert isinstance(one, PlainRun)
            options = one.arguments["options"]
            calls.append((one.name, options["resume"], options["folds"], one.spec.batch))
            reruns.append(options.get("rerun", False))
            (job,) = one.first()
            if one.spec.batch == 13:
                one.failed(job, Failure("DataError", f"sample {one.name!r}: no mask", words=True))
            else:
                (root / "experiments" / one.name / "summary.yaml").write_text("completed: true")
        return False

    monkeypatch.setattr(engines, "run", run)
    return calls


def test_all_unfinished_experiments_in_order(root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    (root / "experiments" / "a" / "summary.yaml").write_text("Error")  # of the former framework
    (root / "experiments" / "b" / "summary.yaml").write_text("completed: true")
    assert main(["fit", "--project", str(root)]) == 0
    assert fitted == [("a", False, None, 16), ("deep/c", False, None, 16)]
    capsys.readouterr()
    assert main(["fit", "--project", str(root)]) == 0
    told = capsys.readouterr().out
    assert told == f"nothing to do: 3 finished in {root / 'experiments'}; --name NAME trains one again\n"
    assert main(["fit", "--project", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_folder_that_is_no_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--project", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"this is no project: there is no folder {tmp_path / 'experiments'}; ")
    (tmp_path / "experiments").mkdir()
    assert main(["fit", "--project", str(tmp_path)]) == 0
    assert "musket new --experiment NAME makes one" in capsys.readouterr().out


def test_what_is_there_is_told_before_it_goes(
    root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    summary = "folds: [0, 1, 2, 3, 4]\nexperiment_result: {name: dice_holdout, value: 0.91}\n"
    (root / "experiments" / "a" / "summary.yaml").write_text(summary)
    for arguments, does in (
        ([], "trained again, its results are replaced"),
        (["--folds", "1"], "fold 1 trained again, its results are replaced"),
        (["--allow_resume"], "gone on with, what is trained stays"),
        (["--only_report"], "evaluated again, nothing is trained"),
    ):
        (root / "experiments" / "a" / "summary.yaml").write_text(summary)
        (root / "experiments" / "b" / "summary.yaml").unlink(missing_ok=True)
        assert main(["fit", "--project", str(root), "--name", "a,b", *arguments]) == 0
        assert capsys.readouterr().err == f"a is finished (dice_holdout 0.91): {does}\n"


def test_named_experiments_are_run_again(root: Path, fitted: list[Any]) -> None:
    (root / "experiments" / "b" / "summary.yaml").write_text("completed: true")
    arguments = ["--name", " b , a,b", "--folds", "0,2", "--allow_resume", "yes", "batch=3"]
    assert main(["fit", "--project", str(root), *arguments]) == 0
    assert fitted == [("b", True, [0, 2], 3), ("a", True, [0, 2], 3)]
    assert reruns == [True, True]
    assert main(["fit", "--project", str(root)]) == 0
    assert reruns[2:] == [False]


@pytest.mark.parametrize(
    ("arguments", "resume"),
    [
        ([], False),
        (["--allow_resume"], True),
        (["--allow_resume", "False"], False),
        (["--allow_resume=1"], True),
        (["--allow_resume", "batch=4"], True),
        (["--allow_resume", "--folds", "0"], True),
    ],
)
def test_booleans_mean_what_they_say(arguments: list[str], resume: bool, root: Path, fitted: list[Any]) -> None:
    assert main(["fit", "--project", str(root), "--name", "a", *arguments]) == 0
    assert fitted[0][1] is resume


@pytest.mark.parametrize(
    ("where", "names"),
    [("experiments/deep/c", ["deep/c"]), ("experiments", ["a", "b", "deep/c"]), (".", ["a", "b", "deep/c"])],
)
def test_the_working_directory_chooses(
    where: str, names: list[str], root: Path, fitted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / where)
    assert main(["fit"]) == 0
    assert [call[0] for call in fitted] == names


def test_a_failed_experiment_does_not_stop_the_others(
    root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "experiments" / "a" / "config.yaml").write_text(CONFIG + "batch: 13\n")
    assert main(["fit", "--project", str(root), "--name", "a,b"]) == 1
    assert [call[0] for call in fitted] == ["a", "b"]
    assert capsys.readouterr().err == "a/prepare: sample 'a': no mask\n1 of 2 experiments failed: a\n"


def test_every_config_is_checked_before_anything_is_trained(
    root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "experiments" / "b" / "config.yaml").write_text(CONFIG + "batch: x\n")
    (root / "experiments" / "deep" / "c" / "config.yaml").write_text(CONFIG + "declarations: {x: [y]}\n")
    (root / "experiments" / "b" / "summary.yaml").write_text("kept")
    assert main(["fit", "--project", str(root), "--name", "a,b,deep/c"]) == 2
    assert fitted == []
    err = capsys.readouterr().err
    assert "line 7  batch  found 'x'" in err
    assert "line 7  declarations  not available yet" in err
    assert (root / "experiments" / "b" / "summary.yaml").read_text() == "kept"


def test_unknown_names_and_projects(root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--project", str(root), "--name", "aa"]) == 2
    assert "no such experiment 'aa'; nearest: a; there are: a, b, deep/c" in capsys.readouterr().err
    assert main(["fit", "--project", str(root), "--name", "deep/*", "--plan"]) == 0
    assert capsys.readouterr().out.startswith("deep/c is new: trained\n")
    assert main(["fit", "--project", str(root / "none")]) == 2
    assert fitted == []


def test_interrupting_ends_with_130(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def perform(self: Worker, job: Job, workplace: Workplace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "perform", perform)
    assert main(["fit", "--project", str(root), "--name", "a"]) == 130
    assert "--allow_resume" in capsys.readouterr().err


def test_a_cache_folder_goes_before_that_of_the_configs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caches: list[Any] = []

    def run(schedule: Schedule, *_: object, **__: object) -> bool:
        caches.extend(one.arguments["cache"] for one in schedule.runs if isinstance(one, PlainRun))
        return False

    monkeypatch.setattr(engines, "run", run)
    monkeypatch.chdir(root)
    assert main(["fit", "--name", "a,b", "--cache", "decoded files"]) == 0
    assert caches == [str(root / "decoded files")] * 2
    assert main(["fit", "--name", "a,b", "--cache", ""]) == 0
    assert caches[2:] == [None, None]


@pytest.mark.parametrize("spelling", ["num_gpus", "gpus_per_net", "num_workers", "num-gpus", "gpus-per-net"])
def test_devices_and_workers_are_counted_from_one(
    spelling: str, root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--project", str(root), "--name", "a", f"--{spelling}=1", "batch=4"]) == 0
    assert [call[3] for call in fitted] == [4]
    assert main(["fit", "--project", str(root), "--name", "a", f"--{spelling}", "0"]) == 2
    assert "found '0'; write a whole number of 1 or more" in capsys.readouterr().err
    assert len(fitted) == 1


def test_a_plan_says_what_depends_on_what(root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--project", str(root), "--name", "deep/c", "--folds", "3,1", "--plan"]) == 0
    about, *lines = capsys.readouterr().out.splitlines()
    assert about == "deep/c is new: folds 3, 1 trained"
    assert [line.split() for line in lines] == [
        ["deep/c/prepare"],
        ["deep/c/fold", "3", "after", "deep/c/prepare"],
        ["deep/c/fold", "1", "after", "deep/c/prepare"],
        ["deep/c/evaluate", "after", "deep/c/fold", "3,", "deep/c/fold", "1"],
    ]
    assert main(["fit", "--project", str(root), "--name", "a", "--plan", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["experiments"] == [{"name": "a", "state": "new", "reasons": [], "does": "trained"}]
    jobs = [Job.from_data(job) for job in plan["jobs"]]
    assert [job.kind for job in jobs] == ["prepare", *["train"] * 5, "evaluate"]
    assert main(["fit", "--project", str(root), "--name", "a", "--folds", "7", "--plan"]) == 2
    assert "there is no fold 7; this experiment has folds 0 to 4" in capsys.readouterr().err
    assert fitted == []


def test_the_outcome_as_json(root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    (root / "experiments" / "a" / "config.yaml").write_text(CONFIG + "batch: 13\n")
    assert main(["fit", "--project", str(root), "--name", "a,b", "--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)
    failure = {"job": "a/prepare", "type": "DataError", "value": "sample 'a': no mask"}
    assert first == {"experiment": "a", "state": "failed", "result": None, "failures": [failure]}
    assert (second["experiment"], second["failures"]) == ("b", [])


def test_what_somebody_else_trains_is_left_out(
    root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(Layout(root / "experiments" / "b" / "config.yaml")):
        assert main(["fit", "--project", str(root), "--json"]) == 1
        told = capsys.readouterr()
        assert "left out: " in told.err
        assert "b is being trained already, by process" in told.err
        outcome = {one["experiment"]: one["state"] for one in json.loads(told.out)}
        assert outcome == {"a": "waiting", "deep/c": "waiting", "b": "left out"}
        assert [call[0] for call in fitted] == ["a", "deep/c"]
        assert main(["fit", "--project", str(root), "--name", "b"]) == 1
    assert len(fitted) == 2
    assert main(["fit", "--project", str(root)]) == 0
    assert fitted[2][0] == "b"


def test_an_experiment_named_without_its_flag_is_told(
    root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--project", str(root), "a"]) == 2
    assert capsys.readouterr().err == "found 'a', which is no key=value; experiments are named by --name a\n"
    assert main(["fit", "--project", str(root), "--retries", "-1"]) == 2
    assert "found '-1'; write a whole number of 0 or more" in capsys.readouterr().err
    assert fitted == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--dry-run"], "--dry_run belongs to --engine slurm; found it with --engine local"),
        (["--cpus", "2"], "--cpus belongs to --engine ray or --engine slurm; found it with --engine local"),
        (["--engine", "slurm", "--time", "60"], "--time belongs to --engine local or --engine ray; found it with"),
        (["--engine", "ray", "--one_process"], "--one_process belongs to --engine local; found it with --engine ray"),
    ],
)
def test_options_of_other_engines_are_refused(
    options: list[str], told: str, root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--project", str(root), "--name", "a", *options]) == 2
    assert told in capsys.readouterr().err
    assert fitted == []
