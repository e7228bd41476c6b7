"""A project trained from the command line: one module with code, one config per experiment."""

from __future__ import annotations

from pathlib import Path

import pytest
import toy

from musket.cli.main import main

MODULE = """\
import toy

toy.register_small_net()

def getTrain(count):
    return toy.Drawn(count)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    (root / "modules").mkdir()
    (root / "modules" / "toy_getters.py").write_text(MODULE)
    (root / "common.yaml").write_text("dataset:\n  getTrain: [12]\n")
    for name, changes in {"first": "", "deep/second": "lr: 0.002\n"}.items():
        folder = root / "experiments" / name
        folder.mkdir(parents=True)
        text = toy.CONFIG.replace("lr: 0.01\n", changes).replace("  - epochs: 2", "  - epochs: 1")
        (folder / "config.yaml").write_text(text)
    assert main(["fit", "--project", str(root)]) == 0
    return root


@pytest.mark.parametrize("name", ["first", "deep/second"])
def test_s2_x4_x5_experiments_of_a_project_are_trained_with_one_modules_file(project: Path, name: str) -> None:
    folder = project / "experiments" / name
    assert {"weights", "metrics", "summary.yaml"} <= {path.name for path in folder.iterdir()}
    assert not (folder / "inProgress.yaml").exists()


def test_x6_finished_experiments_are_skipped_without_a_name(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--project", str(project)]) == 0
    assert "nothing to do" in capsys.readouterr().out
