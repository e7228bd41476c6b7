from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes_left import wait_until_gone
from recording import job
from workers import wait_for

from musket.core.jobs import Job
from musket.launch.stopping import finishing, stop_signals

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"


class Driver:
    """The process of engine_driver.py, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]):
        self.process = process
        self.said: list[list[Any]] = []

    def until(self, *beginning: Any) -> list[Any]:
        """Read on to a line that begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            if self.said[-1][: len(beginning)] == list(beginning):
                return self.said[-1]
        raise AssertionError(f"never said {beginning}: {self.said}")

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)


@contextmanager
def driver(engine: str, *jobs: Job, places: int = 1) -> Iterator[Driver]:
    paths = os.pathsep.join((str(ROOT), str(SUPPORT)))
    arguments = [engine, str(places), json.dumps([one.as_data() for one in jobs])]
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / "engine_driver.py"), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,
    )
    hung = threading.Timer(60, process.kill)
    hung.start()
    try:
        yield Driver(process)
    finally:
        hung.cancel()
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("engine", ["local", "inline"])
def test_told_once_training_ends_after_the_epoch_and_nothing_begins(engine: str, number: int, tmp_path: Path) -> None:
    jobs = [job("a/fold 0", "train", file=str(tmp_path / "pid")), job("a/fold 1"), job("a/e", "nothing", "a/fold 0")]
    with driver(engine, *jobs) as run:
        run.until("progress", "a/fold 0")
        run.send(number)
        again = "again " if number == signal.SIGINT else ""
        run.until("line", None, f"told to stop: finishing the epoch under way; Ctrl-C {again}stops at once")
        assert run.until("over")[1:] == [True, {"a/fold 0": ["Stopped", "told to stop", True]}, []]
        assert ["dropped", "a/e", "a/fold 0"] in run.said
        assert [said[1] for said in run.said if said[0] == "started"] == ["a/fold 0"]
        assert run.process.wait() == 0


def test_ctrl_c_of_a_terminal_reaches_no_worker(tmp_path: Path) -> None:
    with driver("local", job("a/fold 0", "train", file=str(tmp_path / "pid"))) as run:
        run.until("progress", "a/fold 0")
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.until("over")[2] == {"a/fold 0": ["Stopped", "told to stop", True]}


def test_told_twice_all_ends_at_once(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    jobs = [
        job("a/fold 0", "hang", file=str(file)),
        job("b/fold 0", "meet", folder=str(tmp_path), name="b", others=["pids"]),
        job("b/fold 1"),
    ]
    with driver("local", *jobs, places=2) as run:
        run.until("done", "b/fold 1")
        run.send(signal.SIGINT)
        run.until("line", None)
        run.send(signal.SIGINT)
        said = ["Stopped", "stopped at once", True]
        assert run.until("over")[1:] == [True, {"a/fold 0": said}, ["b/fold 0", "b/fold 1"]]
        assert run.process.wait() == 0
    wait_until_gone(*json.loads(file.read_text()))


def test_told_twice_a_job_in_this_process_is_interrupted(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    with driver("inline", job("a/fold 0", "hang", file=str(file)), job("b/fold 0")) as run:
        run.until("started", "a/fold 0")
        wait_for(file)
        run.send(signal.SIGINT)
        run.until("line", None)
        run.send(signal.SIGINT)
        assert run.until("over")[1:] == [True, {"a/fold 0": ["KeyboardInterrupt", "stopped at once", True]}, []]
    for pid in json.loads(file.read_text())[1:]:
        os.kill(pid, signal.SIGKILL)  # in one process, nobody ends what a job started


@pytest.mark.parametrize("times", [2, 3])
def test_told_again_a_process_whose_thread_hangs_ends(times: int, tmp_path: Path) -> None:
    with driver("inline", job("a/fold 0", "wait_for_thread", file=str(tmp_path / "file"))) as run:
        wait_for(tmp_path / "file")
        run.send(signal.SIGINT)
        run.until("line", None)
        for _ in range(times - 1):
            run.send(signal.SIGINT)
            time.sleep(0.2)  # two signals at once are one
        # The third one may come when the run is over and only Python itself waits for the thread: then it ends that.
        assert run.process.wait() in ((130,) if times == 2 else (0, 130))


@pytest.mark.parametrize("engine", ["local", "inline"])
def test_what_is_finished_is_told_by_its_kind(engine: str, tmp_path: Path) -> None:
    file = tmp_path / "go"
    meeting = job("a/evaluate", "meet", folder=str(tmp_path), name="here", others=["go"])
    with driver(engine, meeting) as run:
        wait_for(tmp_path / "here")
        run.send(signal.SIGINT)
        run.until("line", None, "told to stop: finishing the evaluation under way; Ctrl-C again stops at once")
        file.touch()
        run.until("line", None, "a/evaluate: evaluation finished")
        assert run.until("over")[1:] == [False, {}, ["a/evaluate"]]


def test_several_kinds_are_named_once() -> None:
    words = finishing("time is up", ["prepare", "train", "train"], again=False)
    assert words == "time is up: finishing the epoch and the preparation under way; Ctrl-C stops at once"


@pytest.mark.parametrize("ended", [False, True])
def test_a_terminal_shows_no_control_keys_meanwhile(ended: bool) -> None:
    code = (
        "import os, termios\n"
        "os.open(os.ttyname(0), os.O_RDWR)  # it becomes the terminal of this session\n"
        "from musket.launch.stopping import end_at_once, stop_signals\n"
        "shown = lambda: int(bool(termios.tcgetattr(0)[3] & termios.ECHOCTL))\n"
        "with stop_signals(print):\n"
        f"    print('inside', shown(), flush=True) or ({ended} and end_at_once())\n"
    )
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            arguments, stdin=theirs, stdout=subprocess.PIPE, env=environment, start_new_session=True, timeout=60
        )
        shown = termios.tcgetattr(theirs)[3] & termios.ECHOCTL
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.returncode, done.stdout) == (130 if ended else 0, b"inside 0\n")
    assert shown


def test_a_second_sigterm_is_no_ctrl_c(tmp_path: Path) -> None:
    file = tmp_path / "go"
    meeting = job("a/fold 0", "meet", folder=str(tmp_path), name="here", others=["go"])
    with driver("local", meeting, job("a/fold 1")) as run:
        wait_for(tmp_path / "here")
        run.send(signal.SIGTERM)
        run.until("line", None)
        run.send(signal.SIGTERM)
        file.touch()
        assert run.until("over")[1:] == [True, {}, ["a/fold 0"]]


def test_a_run_told_to_stop_that_was_over_anyway_was_not_stopped(tmp_path: Path) -> None:
    file = tmp_path / "go"
    with driver("local", job("a/fold 0", "meet", folder=str(tmp_path), name="here", others=["go"])) as run:
        wait_for(tmp_path / "here")
        run.send(signal.SIGINT)
        run.until("line", None)
        file.touch()
        assert run.until("over")[1:] == [False, {}, ["a/fold 0"]]


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    files = [tmp_path / "first", tmp_path / "second"]
    hanging = [job(f"{file.name}/fold 0", "hang", file=str(file)) for file in files]
    with driver("local", *hanging, places=2) as run:
        wait_for(*files)
        run.send(signal.SIGKILL)
        run.process.wait()
    wait_until_gone(*(pid for file in files for pid in json.loads(file.read_text())))


def test_handlers_are_there_for_the_time_of_a_run_only() -> None:
    told: list[int] = []
    found = signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may be told to ignore it
    before = signal.default_int_handler, signal.getsignal(signal.SIGTERM)
    try:
        with stop_signals(told.append):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    finally:
        signal.signal(signal.SIGINT, found)
    assert told == [signal.SIGINT, signal.SIGTERM]


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    told: list[int] = []
    try:
        with stop_signals(told.append):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert told == []


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def run() -> None:
        with stop_signals(lambda number: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


def test_sigterm_to_all_processes_lets_all_finish_their_epoch(tmp_path: Path) -> None:
    files = [tmp_path / "first", tmp_path / "second"]
    training = [job(f"{file.name}/fold 0", "train", file=str(file)) for file in files]
    with driver("local", *training, places=2) as run:
        for one in training:
            run.until("progress", one.key)
        for pid in (*(int(file.read_text()) for file in files), run.process.pid):
            os.kill(pid, signal.SIGTERM)
        told = ["Stopped", "told to stop", True]
        assert run.until("over")[1:] == [True, {"first/fold 0": told, "second/fold 0": told}, []]


def test_pools_of_a_job_can_be_ended(tmp_path: Path) -> None:
    with driver("local", job("a/fold 0", "pool")) as run:
        assert run.until("over")[1:] == [False, {}, ["a/fold 0"]]
