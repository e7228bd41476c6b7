"""musket ls experiments: of those that are trained with several seeds, or searched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import toy_project
import yaml

from musket.cli.main import main

CONFIG = toy_project.CONFIG.replace("epochs: 2", "epochs: 1")
SEEDS = CONFIG + "num_seeds: 2\n"
SEARCH = CONFIG.replace("lr: 0.01", "lr: 0.5 * rate") + "max_evals: 2\nhyperparameters:\n  rate: [0.1, 0.3]\n"


def fit(root: Path, *arguments: str) -> None:
    assert main(["fit", "--project", str(root), "--one_process", "--quiet", *arguments]) == 0


def standing(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    capsys.readouterr()
    assert main(["ls", "experiments", "--project", str(root), "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    return found["state"], found["reasons"]


def edit(root: Path, old: str, new: str) -> None:
    config = root / "experiments" / "one" / "config.yaml"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))


def record(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "experiments" / "one" / "run.yaml").read_text())


def test_seeds_with_an_override_are_finished_until_the_config_is_edited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = toy_project.write_project(tmp_path / "project", one=SEEDS)
    fit(root, "lr=0.5")
    assert record(root)["overrides"] == ["lr=0.5"]
    assert standing(root, capsys) == ("finished", [])
    edit(root, "lr: 0.01", "lr: 0.02")
    assert standing(root, capsys) == ("finished", [])  # the override goes before it
    edit(root, "batch: 3", "batch: 2")
    assert standing(root, capsys) == ("stale", ["batch: was 3, now 2"])


def test_a_search_with_an_override_is_stale_when_its_space_or_what_it_decides_was_edited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = toy_project.write_project(tmp_path / "project", one=SEARCH)
    fit(root, "batch=2")
    assert standing(root, capsys) == ("finished", [])
    edit(root, "[0.1, 0.3]", "[0.1, 0.5]")
    assert standing(root, capsys) == (
        "stale",
        ["hyperparameters.rate: was [0.1, 0.3], now [0.1, 0.5]"],
    )
    edit(root, "[0.1, 0.5]", "[0.1, 0.3]")
    assert standing(root, capsys) == ("finished", [])
    edit(root, "0.5 * rate", "0.25 * rate")
    state, [reason] = standing(root, capsys)
    assert (state, reason.partition(":")[0]) == ("stale", "lr")


def test_a_search_without_a_record_is_compared_by_its_trials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = toy_project.write_project(tmp_path / "project", one=SEARCH)
    fit(root)
    (root / "experiments" / "one" / "run.yaml").unlink()
    assert standing(root, capsys) == ("finished", [])
    edit(root, "batch: 3", "batch: 2")
    assert standing(root, capsys) == ("stale", ["batch: was 3, now 2"])
