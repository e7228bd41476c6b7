"""Processes that do one thing together: what they say, how they fail, and that none is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import together

from musket.core.errors import DataError, MusketError, TrainingError
from musket.core.process_group import refuse_in_main_import, run_together


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def all_gone(pids: list[int]) -> bool:
    latest = time.monotonic() + 60
    while any(map(is_there, pids)):
        if time.monotonic() > latest:
            return False
        time.sleep(0.05)
    return True


def test_what_they_tell_and_ask() -> None:
    told: list[Any] = []
    asked: list[Any] = []

    def answer(rank: int) -> str:
        asked.append(rank)
        return f"to {rank}"

    assert run_together(together.report, b"work", 3, told=told.append, answer=answer) == (0, "to 0")
    assert sorted(told) == [(0, "work"), (1, "work"), (2, "work")]
    assert sorted(asked) == [0, 1, 2]


def test_the_first_error_counts_with_its_traceback() -> None:
    with pytest.raises(DataError, match="sample 'a': no such file") as caught:
        run_together(together.fail, b"ours", 2)
    assert caught.value.sample == "a"
    (note,) = caught.value.__notes__
    assert note.startswith("in process 2 of 2:\n")
    assert "together.py" in note


def test_an_error_that_cannot_travel_comes_in_words() -> None:
    with pytest.raises(MusketError, match=r"^Unportable: what I say"):
        run_together(together.fail, b"unportable", 2)


def test_a_killed_process_is_told_of_and_not_what_followed_from_it() -> None:
    with pytest.raises(TrainingError, match=r"^process 2 of 2 .* was killed \(SIGKILL\)\. .* lower batch"):
        run_together(together.fail, b"killed", 2)
    with pytest.raises(TrainingError, match=r"^process 2 of 2 .* ended without a word \(exit code 3\)"):
        run_together(together.fail, b"gone", 2)
    assert not multiprocessing.active_children()


def test_an_error_here_ends_them() -> None:
    pids: list[int] = []

    def told(pid: int) -> None:
        pids.append(pid)
        if len(pids) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together(together.stay, b"", 2, told=told)
    assert all_gone(pids)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="of POSIX")
def test_they_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    places = os.pathsep.join(entry for entry in sys.path if entry)
    with subprocess.Popen(
        [sys.executable, together.__file__, str(tmp_path)], env={**os.environ, "PYTHONPATH": places}
    ) as p:
        try:
            while p.poll() is None and len(list(tmp_path.iterdir())) < 2:
                time.sleep(0.05)
        finally:
            p.kill()
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert len(pids) == 2
    assert all_gone(pids)


def test_a_script_that_trains_when_it_is_imported(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import together\nfrom musket.core.process_group import run_together\nrun_together(together.stay, b'', 2)\n"
    )
    places = os.pathsep.join(entry for entry in sys.path if entry)
    ended = subprocess.run(
        [sys.executable, script], env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, timeout=120
    )
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("musket.core.errors.TrainingError: process ")
    assert 'must stand below `if __name__ == "__main__":` there' in last


def test_training_is_refused_while_the_script_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_in_main_import()
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(TrainingError, match="each of them reads your script first"):
        refuse_in_main_import()
