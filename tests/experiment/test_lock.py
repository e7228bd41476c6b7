from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError, TrainingError
from musket.experiment.state import lock
from musket.experiment.state.lock import Holder, holder, locked

ROOT = Path(__file__).parents[2]
HOLDING = """
import sys
from pathlib import Path
from musket.artifacts.layout import Layout
from musket.experiment.state.lock import locked
with locked(Layout(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "config.yaml")


@pytest.fixture
def other(layout: Layout) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(layout.config)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait(timeout=60)
    process.stdin.close()
    process.stdout.close()


def test_held_within_and_free_after(layout: Layout) -> None:
    assert holder(layout) is None
    assert list(layout.folder.iterdir()) == [], "looking leaves nothing behind"
    with locked(layout):
        found = holder(layout)
        assert found is not None
        assert (found.pid, found.host) == (os.getpid(), socket.gethostname())
    assert holder(layout) is None
    assert not layout.lock_holder.exists()
    with locked(layout):
        pass


def test_the_second_is_told_who_has_it(layout: Layout, other: subprocess.Popen[str]) -> None:
    told = rf"being trained already, by process {other.pid} on {socket.gethostname()} since \d{{4}}-\d\d-\d\d \d\d:"
    with pytest.raises(TrainingError, match=told), locked(layout):
        pass
    found = holder(layout)
    assert found is not None
    assert found.pid == other.pid


def test_a_killed_process_leaves_no_lock(layout: Layout, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait(timeout=60)
    assert layout.lock_holder.exists(), "nobody could tidy up"
    assert holder(layout) is None
    with locked(layout):
        assert holder(layout) is not None


def test_threads_of_one_process_keep_each_other_out(layout: Layout) -> None:
    refused: list[str] = []

    def again() -> None:
        try:
            with locked(layout):
                pass
        except TrainingError as error:
            refused.append(str(error))

    with locked(layout):
        thread = threading.Thread(target=again)
        thread.start()
        thread.join(timeout=60)
        again()
    assert len(refused) == 2
    assert all(f"process {os.getpid()}" in said for said in refused)


def test_it_is_released_when_the_fit_fails(layout: Layout) -> None:
    with pytest.raises(ZeroDivisionError), locked(layout):
        raise ZeroDivisionError
    assert holder(layout) is None


def test_who_only_looks_makes_no_fit_fail(layout: Layout) -> None:
    looking = FileLock(layout.lock, thread_local=False)
    looking.acquire()
    timer = threading.Timer(0.1, looking.release)
    timer.start()
    with locked(layout):
        pass
    timer.join(timeout=60)


def test_a_folder_that_cannot_be_written(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    class ReadOnly:
        def __init__(self, *_: object, **__: object): ...

        def acquire(self, **_: object) -> None:
            raise PermissionError(13, "Permission denied")

    with locked(layout):
        pass
    monkeypatch.setattr(lock, "FileLock", ReadOnly)
    with pytest.raises(ArtifactError, match="no permission to write here"), locked(layout):
        pass
    assert holder(layout) is None
    layout.lock_holder.write_text('{"pid": 1, "host": "elsewhere", "since": 0.0}')
    assert holder(layout) == Holder(1, "elsewhere", 0.0)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(timeout=60)
    layout.lock_holder.write_text(f'{{"pid": {gone.pid}, "host": "{socket.gethostname()}", "since": 0.0}}')
    assert holder(layout) is None
    layout.lock_holder.write_text("{")
    assert holder(layout) is None
