from __future__ import annotations

import json
from pathlib import Path

import pytest
import task_project

from musket.artifacts.layout import Layout
from musket.artifacts.predictions import PredictionWriter
from musket.cli.main import main

QUICK = """\
import musket


@musket.task
def note(word="none"):
    print(f"noting {word}")
    return word


@musket.task
def hesitant(times: int):
    return times


@musket.task
def interrupted():
    raise KeyboardInterrupt
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Experiments that look trained; ``other`` is not finished."""
    root = task_project.write(tmp_path / "discs")
    (root / "modules" / "own_tasks.py").write_text(QUICK)
    (root / "common.yaml").unlink()
    for name in ("small", "other"):
        layout = layout_of(root, name)
        layout.weights(0, 0).parent.mkdir()
        layout.weights(0, 0).touch()
    layout_of(root, "small").summary.write_text("folds: [0]\n")
    return root


def layout_of(root: Path, name: str) -> Layout:
    return Layout(root / "experiments" / name / "config.yaml")


def run(root: Path, *arguments: str) -> int:
    return main(["task", "--project", str(root), "--one_process", *arguments])


def noted(root: Path) -> dict[str, str]:
    """What the task returned, by experiment."""
    found = (root / "experiments").glob("*/note/result.yaml")
    return {path.parent.parent.name: path.read_text().split()[0] for path in found}


def test_finished_experiments_or_those_that_are_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--task", "note") == 0
    assert noted(root) == {"small": "none"}
    assert run(root, "--task", "note,hesitant", "--name", "other , small", "word=here", "hesitant.times=3") == 0
    assert noted(root) == {"small": "here", "other": "here"}
    folder = root / "experiments"
    assert capsys.readouterr().out.splitlines()[-4:] == [
        f"{name}/{task}: done, results in {folder / name / task}"
        for name in ("other", "small")
        for task in ("note", "hesitant")
    ]


def test_an_experiment_is_seen_as_it_was_trained(root: Path) -> None:
    text = "import musket\n\n\n@musket.task\ndef shape(m: musket.Experiment):\n    return list(m.spec.shape)\n"
    (root / "modules" / "shapes.py").write_text(text)
    record = "overrides: ['shape=[64, 64, 3]']\nconfig: {}\n"
    layout_of(root, "small").run_record.write_text(record)
    assert run(root, "--task", "shape", "--name", "small,other") == 0
    found = {name: (root / "experiments" / name / "shape" / "result.yaml").read_text() for name in ("small", "other")}
    assert found == {"small": "- 64\n- 64\n- 3\n", "other": "- 32\n- 32\n- 3\n"}


def test_the_working_directory_chooses(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "experiments" / "other")
    assert main(["task", "--task", "note", "--one-process"]) == 0
    assert noted(root) == {"other": "none"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "smal"], "no such experiment 'smal'; nearest: small; there are: other, small"),
        (["--task", "notes"], "no such task 'notes'; nearest: note; there are: hesitant, interrupted, note"),
        (["--task", "all"], "task hesitant: times needs a value; give it in the config, as tasks: {hesitant: {times"),
        (["--task", "note", "wrod=x"], "wrod=...: no task that is to be run has such a parameter; nearest: word"),
        (["--task", "note", "note.wrod=x"], "task note has no parameter 'wrod'; nearest: word"),
        (["--task", "note", "--force_recalc=maybe"], "found 'maybe'; write true or false"),
        (["--task", "note", "--num_workers", "0"], "found '0'; write a whole number of 1 or more"),
    ],
)
def test_nothing_is_run_when_something_cannot_be(
    arguments: list[str], words: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, *arguments) == 2
    assert words in capsys.readouterr().err
    assert noted(root) == {}


def test_an_untrained_experiment_stops_the_others_before_they_begin(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout_of(root, "other").weights(0, 0).unlink()
    assert run(root, "--name", "small,other", "--task", "note") == 2
    assert "other is not trained: there are no weights" in capsys.readouterr().err
    assert noted(root) == {}


def test_what_was_done_is_left_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--task", "note", "--allow_resume", "True"]
    assert run(root, *arguments) == 0
    capsys.readouterr()
    assert run(root, *arguments, "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == []
    assert told.err == "nothing to do: all tasks were done\n"
    assert run(root, "--task", "note", "--allow_resume", "False", "--launch_tasks", "--json", "-q") == 0
    told = capsys.readouterr()
    assert [one["task"] for one in json.loads(told.out)] == ["note"]
    assert "noting none" in told.err


def test_without_finished_experiments_there_is_nothing_to_do(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout_of(root, "small").summary.unlink()
    assert run(root) == 0
    assert "nothing to do: no experiment with summary.yaml in " in capsys.readouterr().err


def test_a_project_without_tasks(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "modules" / "own_tasks.py").write_text("def note():\n    pass\n")
    assert run(root) == 2
    assert "there is no task: mark a function in modules/ of the project with @tasks.task" in capsys.readouterr().err


def test_stored_predictions_go_when_they_are_not_wanted(root: Path) -> None:
    folder = layout_of(root, "small").predictions / "holdout[0]0.npy"
    for arguments, stays in (([], True), (["--force_recalc", "false"], True), (["--force_recalc"], False)):
        with PredictionWriter(folder, "some weights", None):
            pass
        assert run(root, "--task", "note", *arguments) == 0
        assert folder.exists() == stays


def test_an_interrupted_task_ends_with_130(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--name", "small", "--task", "interrupted", "--json") == 130
    assert "go on with --allow_resume" in capsys.readouterr().err
