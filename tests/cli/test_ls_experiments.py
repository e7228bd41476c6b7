from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from musket.artifacts.layout import Layout
from musket.cli import ls_experiments
from musket.cli.main import main
from musket.experiment.projects.project import load_spec, open_project
from musket.experiment.state.lock import locked
from musket.experiment.state.run_record import config_record

CONFIG = """\
architecture: Unet
backbone: resnet18
classes: 1
loss: binary_crossentropy
metrics: [binary_accuracy]
primary_metric: val_binary_accuracy
stages: [{epochs: 2}]
"""
MODULE = '''\
import musket


def getTrain() -> musket.DataSet:
    """Ships seen from above."""


class Harbour:
    """Ships at rest."""

    def __len__(self):
        return 0

    def __getitem__(self, index):
        raise IndexError


class Anchor:
    """No dataset."""


class Fleet(musket.DataSet):
    """Ships together."""


@musket.loss
def own_ship_loss(truth, prediction):
    """A loss for ships."""


def _hidden():
    """Not for configs."""
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One experiment each that is finished, new, refused, failed and stale."""
    root = tmp_path / "ships"
    for name in ("new", "deep/done", "failed", "broken", "outdated"):
        folder = root / "experiments" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(CONFIG + ("lr: fast\n" if name == "broken" else ""))
    project = open_project(root)
    for name in ("deep/done", "outdated"):
        folder = root / "experiments" / name
        (folder / "weights").mkdir()
        for fold in range(5):
            Layout(folder / "config.yaml").weights(fold, 0).touch()
        record = config_record(load_spec(folder / "config.yaml", project=project), project)
        (folder / "run.yaml").write_text(yaml.safe_dump(record))
        summary = {"folds": [0, 1, 2, 3, 4], "experiment_result": {"name": "binary_accuracy", "value": 0.75}}
        (folder / "summary.yaml").write_text(yaml.safe_dump(summary))
    (root / "experiments" / "outdated" / "config.yaml").write_text(CONFIG + "lr: 0.5\n")
    (root / "experiments" / "failed" / "error.yaml").write_text("errors: [{type: DataError, value: no mask}]\n")
    return root


def listed(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["ls", "experiments", "--project", str(root), "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_state_as_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(root, capsys)
    assert [(one["name"], one["state"]) for one in found] == [
        ("broken", "refused"),
        ("deep/done", "finished"),
        ("failed", "failed"),
        ("new", "new"),
        ("outdated", "stale"),
    ]
    refused, done, failed, _, stale = found
    assert refused["reasons"] == ["line 8 lr found 'fast'; must be a number"]
    assert (done["folds_done"], done["folds"], done["result"]) == (5, 5, {"name": "binary_accuracy", "value": 0.75})
    assert failed["reasons"] == ["DataError: no mask"]
    assert stale["reasons"] == ["lr: was not set, now 0.5"]
    assert stale["affected"] == "everything"


def test_plain_lines_where_there_is_no_terminal(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "experiments", "--project", str(root), "--state", "stale,finished"]) == 0
    head, done, stale = capsys.readouterr().out.splitlines()
    assert head.split() == ["experiment", "state", "folds", "result", "age"]
    assert done.split() == ["deep/done", "finished", "5/5", "binary_accuracy", "0.7500", "now"]
    assert stale.split("  ")[-1] == "lr: was not set, now 0.5"


def test_folds_left_out_and_values_of_the_command_line_are_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root / "experiments" / "deep" / "done"
    for name, more in (("run.yaml", {"overrides": ["stages[0].epochs=2"]}), ("summary.yaml", {"folds": [0, 3]})):
        (folder / name).write_text(yaml.safe_dump(yaml.safe_load((folder / name).read_text()) | more))
    [found] = listed(root, capsys, "--state", "finished")
    assert (found["missing_folds"], found["overrides"]) == ([1, 2, 4], ["stages[0].epochs=2"])
    assert main(["ls", "experiments", "--project", str(root), "--state", "finished"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("now  folds 1, 2, 4 not trained; with stages[0].epochs=2")


def test_a_table_fits_a_narrow_terminal(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(ls_experiments.sys.stdout, "isatty", lambda: True)
    assert main(["ls", "experiments", "--project", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines) <= 80
    assert any("refused" in line for line in lines)


def test_only_some_states(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [one["name"] for one in listed(root, capsys, "--state", "new, failed")] == ["failed", "new"]
    assert main(["ls", "experiments", "--project", str(root), "--state", "running"]) == 0
    assert "no experiments running in" in capsys.readouterr().out
    with locked(Layout(root / "experiments" / "new" / "config.yaml")):
        assert [one["name"] for one in listed(root, capsys, "--state", "running")] == ["new"]
    assert main(["ls", "experiments", "--project", str(root), "--state", "runing"]) == 2
    assert "no such state 'runing'; nearest: running" in capsys.readouterr().err


def test_a_module_that_fails_is_told_where_a_config_needs_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "modules").mkdir()
    (root / "modules" / "broken.py").write_text("\nimport nothing_of_that_name\n")
    found = {one["name"]: one for one in listed(root, capsys, "--no-data")}
    assert found["deep/done"]["state"] == "finished"
    assert "broken.py, line 2: ModuleNotFoundError" in found["new"]["reasons"][0]
    assert main(["ls", "datasets", "--project", str(root)]) == 2
    assert "broken.py, line 2" in capsys.readouterr().err


def test_a_folder_without_experiments_and_one_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["ls", "experiments"]) == 0
    assert "no experiments in" in capsys.readouterr().out
    assert main(["ls", "experiments", "--project", "nowhere"]) == 2
    assert main(["ls", "--state", "new"]) == 2


def test_names_of_the_project_come_first(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from musket.losses.catalogue import LOSSES

    (root / "modules").mkdir()
    (root / "modules" / "own_ships.py").write_text(MODULE)
    monkeypatch.chdir(root / "experiments" / "new")
    try:
        assert main(["ls", "datasets"]) == 0
        first, *rest = capsys.readouterr().out.splitlines()
        assert first.split() == ["getTrain", "Ships", "seen", "from", "above.", "(modules/own_ships.py)"]
        assert {"Harbour", "Fleet"} < {line.split()[0] for line in rest}
        assert "Anchor" not in {line.split()[0] for line in rest}
        assert main(["ls", "loss", "--json"]) == 0
        losses = [entry["name"] for entry in json.loads(capsys.readouterr().out)]
        assert losses[0] == "own_ship_loss"
        assert losses.count("own_ship_loss") == 1
        assert main(["ls"]) == 0
        assert "_hidden" not in capsys.readouterr().out
    finally:
        LOSSES.remove("own_ship_loss")
