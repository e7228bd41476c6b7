from __future__ import annotations

from pathlib import Path

import pytest

from musket.cli.main import main
from musket.experiment.projects.project import open_project

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "musket" / "templates"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A new project, which is the working directory."""
    assert main(["new", str(tmp_path / "cells")]) == 0
    capsys.readouterr()
    monkeypatch.chdir(tmp_path / "cells")
    return tmp_path / "cells"


@pytest.mark.parametrize("kind", ["segmentation", "classification"])
def test_a_new_project_is_complete_and_its_config_good(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my cells"
    assert main(["new", str(folder), "--kind", kind]) == 0
    out = capsys.readouterr().out
    there = {".gitignore", "README.md", "common.yaml", "data", "experiments", "modules"}
    assert {path.name for path in folder.iterdir()} == there
    assert f"cd '{folder}'\n  musket check first\n  musket fit\n" in out
    assert "CC0" in (folder / "data" / "README.md").read_text("utf-8")
    monkeypatch.chdir(folder)
    assert main(["check", "first", "--quick"]) == 0
    assert list((folder / "data" / "new").iterdir())


@pytest.mark.parametrize("kind", ["segmentation", "classification"])
def test_a_new_project_trains_offline(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["new", str(tmp_path / "own"), "--kind", kind]) == 0
    monkeypatch.chdir(tmp_path / "own")
    assert main(["fit", "stages[0].epochs=1", "shape=[32,32,3]", "verbose=0", "folds_count=2"]) == 0
    assert (tmp_path / "own" / "experiments" / "first" / "summary.yaml").exists()


def test_what_is_shipped_is_small() -> None:
    files = [path for path in TEMPLATES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 320_000


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    assert main(["new", str(tmp_path)]) == 2
    assert "is there already, and not empty" in capsys.readouterr().err
    assert main(["new", str(tmp_path / "mine.txt")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert main(["new", str(tmp_path / "empty")]) == 0


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["a", "--from", "b"], ["a", "--project", "b"]])
def test_a_call_that_says_too_little_or_too_much(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", *arguments]) == 2
    assert not list(tmp_path.iterdir())


def test_a_project_inside_another_one_is_told_of(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "nuclei"]) == 0
    said = (
        f"note: nuclei lies inside the project {project}; musket new --experiment NAME makes an experiment of that one"
    )
    assert capsys.readouterr().err == f"{said}\n"
    assert (project / "nuclei" / "experiments" / "first" / "config.yaml").is_file()


def test_another_dataset_is_given_as_a_whole(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "modules" / "own.py").write_text("def Nuclei():\n    return []\n")
    assert main(["new", "--experiment", "second", "--from", "first", "dataset.Nuclei=[]"]) == 2
    said = capsys.readouterr().err
    assert "command line  dataset.Nuclei" in said
    assert "'dataset={Nuclei: []}' replaces the whole" in said
    assert main(["new", "--experiment", "second", "--from", "first", "dataset={Nuclei: []}"]) == 0


def test_an_experiment_from_another_one_keeps_its_comments(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "experiments" / "first" / "summary.yaml").write_text("{}")
    assert main(["new", "--experiment", "rate/low", "--from", "first", "lr=1e-4", "clipnorm=1"]) == 0
    first = (project / "experiments" / "first" / "config.yaml").read_text("utf-8")
    made = project / "experiments" / "rate" / "low" / "config.yaml"
    assert made.read_text("utf-8") == first.replace("lr: 0.003", "lr: 0.0001") + "clipnorm: 1\n"
    assert [path.name for path in made.parent.iterdir()] == ["config.yaml"]
    assert "musket fit --name rate/low" in capsys.readouterr().out
    assert open_project(project).experiment_names() == ["first", "rate/low"]


def test_an_experiment_from_nothing_is_the_first_of_a_new_project(project: Path) -> None:
    assert main(["new", "--experiment", "second", "lr=0.5"]) == 0
    first, second = (
        (project / "experiments" / name / "config.yaml").read_text("utf-8") for name in ("first", "second")
    )
    assert second == first.replace("lr: 0.003", "lr: 0.5")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("first", "is an experiment already"),
        ("first/inner", "experiments do not contain others"),
        ("deep", "a folder that is not empty already"),
        ("../outside", "cannot be the name"),
        ("/absolute", "cannot be the name"),
        ("a,b", "cannot be the name"),
        (".hidden", "cannot be the name"),
        ("", "cannot be the name"),
    ],
)
def test_names_that_are_taken_or_none(name: str, said: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "--experiment", "deep/one", "--from", "first"]) == 0
    assert main(["new", "--experiment", name, "--from", "first"]) == 2
    assert said in capsys.readouterr().err
    assert open_project(project).experiment_names() == ["deep/one", "first"]


def test_values_that_would_be_refused_are_refused_at_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "--experiment", "second", "--from", "first", "bacth=3", "lr=fast"]) == 2
    err = capsys.readouterr().err
    assert "nearest: batch" in err
    assert "found 'fast'" in err
    assert main(["new", "--experiment", "second", "bacth=3"]) == 2
    assert "nearest: batch" in capsys.readouterr().err
    assert main(["new", "--experiment", "second", "--from", "frist"]) == 2
    assert "no such experiment 'frist'" in capsys.readouterr().err
    assert not (project / "experiments" / "second").exists()


def test_an_experiment_of_a_project_elsewhere(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "--experiment", "second", "--from", "first", "--project", str(project)]) == 0
    assert f"cd {project}\n  musket check second" in capsys.readouterr().out
    assert main(["new", "--experiment", "third"]) == 2
    assert "is no project" in capsys.readouterr().err
