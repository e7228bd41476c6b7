from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from musket.launch.ray_node import folder_of_its_own

KILLED = """
import os, signal
from musket.launch.ray_node import folder_of_its_own
with folder_of_its_own() as folder:
    (folder / "weights").mkdir()
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    other = tmp_path / "musket-of-somebody-else"
    other.mkdir()
    with folder_of_its_own() as mine:
        (mine / "image.png").touch()
        told = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=False).stdout
        left = Path(told.strip())
        assert left.parent == tmp_path.resolve()
        assert (left / "weights").is_dir()
        with folder_of_its_own() as next_one:
            assert {path.name for path in tmp_path.iterdir()} == {mine.name, next_one.name, other.name}
            assert (mine / "image.png").exists()
    assert list(tmp_path.iterdir()) == [other]
