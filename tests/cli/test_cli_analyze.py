from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from trained import FOUR_EPOCHS, write_experiment

from musket.cli.main import main

REPO = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "ships"
    (root / "modules").mkdir(parents=True)
    (root / "modules" / "never_imported.py").write_text("raise RuntimeError\n")
    (root / "common.yaml").write_text("lr: 0.1\n")
    write_experiment(root / "experiments" / "a", "frozen: true\n")
    write_experiment(root / "experiments" / "b", "frozen: false\nlr: 0.1\n")
    return root


@pytest.mark.parametrize("place", ["", "experiments", "experiments/a", "modules"])
def test_the_report_lies_in_the_project_one_is_in(
    project: Path, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project / place)
    assert main(["analyze"]) == 0
    assert f"written: {project / 'report.csv'}" in capsys.readouterr().out
    head, *rows = (project / "report.csv").read_text().splitlines()
    assert head.startswith("path,fold_count,frozen,epoch,")
    assert [row.split(",")[:3] for row in rows] == [["experiments/a", "1", "true"], ["experiments/b", "1", "false"]]


def test_outside_of_projects_it_lies_in_the_working_directory(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    assert main(["analyze", "--input-folder", str(project)]) == 0
    assert (tmp_path / "desk" / "report.csv").exists()
    assert not (project / "report.csv").exists()


def test_json(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "experiments" / "b" / "metrics" / "metrics-1.0.csv").write_text("rubbish\n")
    write_experiment(project / "experiments" / "c" / "1", "frozen: 0.5\n", summary=None)
    monkeypatch.chdir(project)
    assert main(["analyze", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["rows"][1] == {
        "path": "experiments/b",
        "fold_count": 1,
        "frozen": False,
        "epoch": 1.0,
        "loss": 0.7,
        "stage": 0.0,
        "val_dice": 0.6,
        "val_loss": 0.5,
    }
    assert found["sorted_by"] == "val_loss"
    assert found["left_out"] == {"unfinished": 1}
    assert found["report"] == str(project / "report.csv")
    assert "metrics-1.0.csv" in found["warnings"][0]
    assert err.startswith("warning: ")
    assert main(["analyze", "--json", "--all"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["path"]: row["state"] for row in rows}["experiments/c/1"] == "unfinished"


def test_json_knows_no_infinity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_experiment(tmp_path / "a", tables={(0, 0): {"epoch": [0], "val_loss": ["inf"], "loss": ["NA"]}})
    assert main(["analyze", "--inputFolder", str(tmp_path), "--output", str(tmp_path / "r.csv"), "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["rows"]
    assert row["val_loss"] is None


@pytest.mark.parametrize("prepared", ["nothing", "untrained"])
def test_nothing_to_compare(
    prepared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if prepared == "untrained":
        write_experiment(tmp_path / "experiments" / "a", tables={}, summary=None)
    (tmp_path / "report.csv").write_text("an older report")
    assert main(["analize", "--onlyMetric", "val_dice"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"no finished experiment in {tmp_path}; nothing written\n")
    assert ("left out: 1 never trained" in out) == (prepared == "untrained")
    assert err == ""
    assert (tmp_path / "report.csv").read_text() == "an older report"
    assert main(["analize", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--inputFolder", "absent"], "--inputFolder: absent is no folder"),
        (["--inputFolder", "common.yaml"], "--inputFolder: common.yaml is no folder"),
        (["--output", "modules"], "--output: modules is a folder; name a file"),
        (["--sortBy", "val_los"], "--sortBy: no column 'val_los'; nearest: val_loss"),
        (["--onlyMetric", "frozen"], "--onlyMetric: no column 'frozen'; "),
        (["--all", "perhaps"], "found 'perhaps'; write true or false"),
        (["--output", "common.yaml/report.csv"], "cannot be written"),
    ],
)
def test_wrong_arguments(
    project: Path,
    arguments: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project)
    assert main(["analyze", *arguments]) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert "Traceback" not in err
    assert out == ""
    assert not (project / "report.csv").exists()


def test_comparing_imports_no_torch_and_no_modules_of_the_project(project: Path) -> None:
    program = (
        "import sys\nfrom musket.cli.main import main\nassert main(['analyze']) == 0\n"
        "heavy = ('torch', 'timm', 'cv2', 'pandas', 'never_imported')\n"
        "print('heavy:', *(name for name in heavy if name in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=project, env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "heavy:"


def test_a_search_is_compared_by_its_own_folder(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = project / "experiments" / "search"
    write_experiment(search, "hyperparameters: {lr: [0, 1]}\n", {})
    for number in range(2):
        write_experiment(search / f"trial{number}", f"lr: 0.{number}\n", {(0, 0): FOUR_EPOCHS})
    output = ["--output", str(project / "report.csv")]
    assert main(["analyze", "--inputFolder", str(project), *output]) == 0
    assert "left out: 1 search (--inputFolder with its folder" in capsys.readouterr().out
    assert main(["analyze", "--inputFolder", str(search), *output]) == 0
    assert [line.split(",")[0] for line in (project / "report.csv").read_text().splitlines()] == [
        "path",
        "trial0",
        "trial1",
    ]
