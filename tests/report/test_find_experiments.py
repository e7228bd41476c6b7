from __future__ import annotations

from pathlib import Path

import pytest
from trained import write_experiment

from musket.report.find_experiments import Found, find_experiments, state_of


def names(folder: Path) -> list[str]:
    troubles: list[str] = []
    found = [one.name for one in find_experiments(folder, troubles)]
    assert troubles == []
    return found


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_which_files_are_experiments(tmp_path: Path) -> None:
    touch(
        tmp_path / "experiments" / "a" / "config.yaml",
        tmp_path / "experiments" / "a" / "metrics" / "config.yaml",
        tmp_path / "experiments" / "deep" / "b" / "config.yaml",
        tmp_path / "experiments" / "people" / "ship_config.yaml",
        tmp_path / "experiments" / "people" / "inner" / "config.yaml",
        tmp_path / "experiments" / "seeds" / "0" / "config_concrete.yaml",
        tmp_path / "experiments" / "notes" / "config.txt",
        tmp_path / ".cache" / "config.yaml",
        tmp_path / "data" / "config.yaml",
        tmp_path / "common.yaml",
    )
    assert names(tmp_path) == [
        "experiments/a",
        "experiments/deep/b",
        "experiments/people/inner",
        "experiments/people/ship_config.yaml",
    ]
    assert names(tmp_path / "experiments" / "deep") == ["b"]


def test_trials_of_a_search_are_experiments_of_the_search_alone(tmp_path: Path) -> None:
    search = tmp_path / "experiments" / "search"
    touch(search / "config.yaml", search / "trial0" / "config.yaml", search / "trial10" / "config.yaml")
    assert names(tmp_path) == ["experiments/search"]
    assert names(search) == ["search", "trial0", "trial10"]


def test_a_link_to_a_folder_above_is_not_followed_for_ever(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "config.yaml", tmp_path / "other" / "x.txt")
    (tmp_path / "other" / "up").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    assert names(tmp_path) == ["a"]


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    touch(tmp_path / "a" / "config.yaml", tmp_path / "closed" / "config.yaml")
    scandir = os.scandir

    def refuse(folder: Path) -> object:
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr("os.scandir", refuse)
    troubles: list[str] = []
    assert [one.name for one in find_experiments(tmp_path, troubles)] == ["a"]
    assert troubles == [f"{tmp_path / 'closed'}: cannot be read: Permission denied"]


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({}, "never trained"),
        ({"run.yaml": ""}, "unfinished"),
        ({"inProgress.yaml": "true"}, "unfinished"),
        ({"metrics/metrics-0.0.csv": ""}, "unfinished"),
        ({"error.yaml": "errors: []", "metrics/metrics-0.0.csv": ""}, "failed"),
        ({"summary.yaml": "Error"}, "failed"),
        ({"summary.yaml": "Cancelled"}, "unfinished"),
        ({"summary.yaml": "completed: true"}, "finished"),
        ({"summary.yaml": "completed: true", "error.yaml": "errors: []"}, "finished"),
        ({"summary.yaml": "cfgName: config.yaml"}, "finished"),
        ({"summary.yaml": "cfgName: moved_config.yaml"}, "finished"),
        ({"summary.yaml": "cfgName: ship_config.yaml", "ship_config.yaml": ""}, "never trained"),
        ({"summary.yaml": ""}, "never trained"),
    ],
)
def test_how_far_an_experiment_has_come(tmp_path: Path, files: dict[str, str], state: str) -> None:
    config = tmp_path / "config.yaml"
    touch(config)
    for name, text in files.items():
        touch(tmp_path / name)
        (tmp_path / name).write_text(text)
    troubles: list[str] = []
    assert state_of(Found("x", config), troubles)[0] == state
    assert troubles == []


def test_a_summary_that_cannot_be_read_says_finished_and_nothing_more(tmp_path: Path) -> None:
    write_experiment(tmp_path)
    (tmp_path / "summary.yaml").write_bytes(b"dice: \xff")
    troubles: list[str] = []
    assert state_of(Found("x", tmp_path / "config.yaml"), troubles) == ("finished", {})
    assert troubles == [f"{tmp_path / 'summary.yaml'}: byte 0xff is not UTF-8"]
