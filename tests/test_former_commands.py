"""Modules of the former framework that were commands, and commands that are none any more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import toy
import yaml

from musket.cli.main import COMMANDS, ELSEWHERE, main
from musket_core.export import export

ROOT = Path(__file__).parents[1]
MODULES = {
    "musket_core.fit": "fit",
    "musket_core.task": "task",
    "musket_core.analize": "analize",
    "musket_core.deps_download": "deps_download",
    "musket_core.cleanup": "clean",
    "musket_core.inspectProject": "modules",
    "segmentation_pipeline.analize": "analize",
}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_calls_its_command(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Sequence[str] | None] = []

    def called(argv: Sequence[str] | None = None) -> int:
        calls.append(argv)
        return 7

    monkeypatch.setattr(f"{module}.musket", called)
    start: Callable[..., int] = import_module(module).main
    assert start(["--project", "x"]) == 7
    monkeypatch.setattr(sys, "argv", ["python", "--help"])
    assert start() == 7
    assert calls == [[MODULES[module], "--project", "x"], [MODULES[module], "--help"]]
    assert MODULES[module] in COMMANDS


@pytest.mark.parametrize("module", [*MODULES, "segmentation_pipeline.predict"])
def test_a_module_can_be_run(module: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.startswith(f"usage: musket {MODULES[module]}" if module in MODULES else "usage: python -m")


@pytest.mark.parametrize("command", [*ELSEWHERE, "kaggle-upload"])
@pytest.mark.parametrize("more", [[], ["--host", "x", "file"], ["--help"]])
def test_commands_that_are_none_any_more_tell_what_to_use(
    command: str, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    known = command.replace("-", "_")
    assert err == f"musket {known}: {ELSEWHERE[known]}\n"


@pytest.mark.parametrize(("given", "known"), [("lr_find", "lr-find"), ("deps-download", "deps_download")])
def test_commands_with_dashes_or_underscores(given: str, known: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([given, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: musket {known}")


def test_export_builds_the_network(tmp_path: Path) -> None:
    experiment = toy.experiment(tmp_path)
    for given in (experiment, tmp_path / "config.yaml", str(tmp_path / "config.yaml")):
        assert sum(each.numel() for each in export(given).parameters()) == 3 * 8 * 9 + 8 + 16 + 8 * 9 + 1


MODULE = '''\
import functools

import numpy as np
import torch

import musket
from musket.data.dataset import DataSet
from musket_core.tasks import task


def numbers(count: int = 3, *, names=("a",)) -> DataSet:
    """Some numbers."""


@musket.dataset_provider(name="called_otherwise")
def others():
    ...


@musket.loss
def own_loss_of_listing(truth, prediction):
    return (truth - prediction).abs().mean()


@task
def measure(m, limit=0.5):
    ...


@musket.after_download
def unpack_more():
    ...


class Own(DataSet):
    def __init__(self, path: str):
        ...


class Layer(torch.nn.Module):
    ...


class Helper:
    ...


def plain(x):
    ...


def _hidden():
    ...
'''
KINDS = {
    "numbers": "dataset",
    "others": "dataset",
    "own_loss_of_listing": "loss",
    "measure": "task",
    "unpack_more": "after download",
    "Own": "dataset",
    "Layer": "layer",
    "Helper": "class",
    "plain": "function",
}


def test_what_a_project_defines_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "modules").mkdir()
    file = tmp_path / "modules" / "listed_parts.py"
    file.write_text(MODULE)
    assert main(["modules", "--project", str(tmp_path), "--out", str(tmp_path / "meta.yaml")]) == 0
    found: list[dict[str, Any]] = yaml.safe_load((tmp_path / "meta.yaml").read_text())["elements"]
    assert {each["name"]: each["kind"] for each in found} == KINDS
    lines = MODULE.splitlines()
    assert all(each["name"] in "".join(lines[each["line"] - 1 : each["line"] + 1]) for each in found)
    assert found[0] == {
        "name": "numbers",
        "kind": "dataset",
        "file": "modules/listed_parts.py",
        "line": lines.index('def numbers(count: int = 3, *, names=("a",)) -> DataSet:') + 1,
        "doc": "Some numbers.",
        "parameters": [
            {"name": "count", "type": "int", "default": "3"},
            {"name": "names", "default": "('a',)"},
        ],
    }
    capsys.readouterr()
    assert main(["modules", "--project", str(tmp_path)]) == 0
    assert "task            measure(m, limit)  modules/listed_parts.py:" in capsys.readouterr().out
    assert main(["modules", "--project", str(tmp_path), "--json"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == found
    file.write_text("import absent_module\n")
    del sys.modules["listed_parts"]
    assert main(["modules", "--project", str(tmp_path)]) == 2
    assert f"{file}, line 1: ModuleNotFoundError" in capsys.readouterr().err
