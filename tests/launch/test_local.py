from __future__ import annotations

import json
import math
import os
import signal
import time
from pathlib import Path

import pytest
from processes_left import wait_until_gone
from recording import Listed, Record, job

from musket.core.errors import MusketError
from musket.launch.devices import Slot
from musket.launch.local import run, slots

ONE, TWO = [Slot()], [Slot()] * 2


def do(jobs: Listed, places=ONE, worker="workers:Worker", watcher=None, **options) -> tuple[bool, Record]:
    watcher = watcher or Record()
    return run(jobs, worker, watcher, slots=places, **options), watcher


def test_jobs_of_an_experiment_share_a_process_and_others_get_a_fresh_one() -> None:
    jobs = Listed(job("a/prepare"), job("b/prepare"), follows={"a/prepare": [job("a/fold 0"), job("a/fold 1")]})
    stopped, record = do(jobs)
    assert not stopped
    assert [key for _, key in record.order("started")] == ["a/prepare", "a/fold 0", "a/fold 1", "b/prepare"]
    assert record.of("started")[0] == ("a/prepare", "CPU")
    counts = {key: value["count"] for key, value in jobs.values.items()}
    assert counts == {"a/prepare": 1, "a/fold 0": 2, "a/fold 1": 3, "b/prepare": 1}
    pids = {key: value["pid"] for key, value in jobs.values.items()}
    assert len(set(pids.values())) == 2
    assert os.getpid() not in pids.values()


def test_places_work_at_the_same_time_and_a_free_one_takes_the_next_experiment(tmp_path: Path) -> None:
    together = {"folder": str(tmp_path)}
    jobs = Listed(
        job("a/fold 0", "meet", name="a0", others=["b0"], **together),
        job("a/evaluate", "nothing", "a/fold 0"),
        job("b/fold 0", "meet", name="b0", others=["a0"], **together),
    )
    do(jobs, TWO)
    assert jobs.values.keys() == {"a/fold 0", "a/evaluate", "b/fold 0"}


def test_what_is_not_wanted_any_more_is_not_started() -> None:
    jobs = Listed(job("a/fold 0"), job("a/fold 1"), job("a/evaluate", "nothing", "a/fold 0", "a/fold 1"))
    jobs.unwanted = {"a/fold 1"}
    _, record = do(jobs)
    assert [key for _, key in record.order("started")] == ["a/fold 0", "a/evaluate"]


def test_devices_and_threads_are_told_by_the_environment() -> None:
    jobs = Listed(job("a/fold 0"))
    _, record = do(jobs, [Slot(("1", "3"), 1)])
    assert jobs.values["a/fold 0"]["sees"] == "1,3"
    assert jobs.values["a/fold 0"]["threads"] == "1"
    assert record.of("started") == [("a/fold 0", "GPUs 1, 3")]


def test_a_job_that_needs_more_devices_takes_several_places(tmp_path: Path) -> None:
    both = {"folder": str(tmp_path)}
    jobs = Listed(
        job("a/fold 0", "meet", name="a0", others=["a1"], **both),
        job("a/fold 1", "meet", name="a1", others=["a0"], **both),
        job("b/fold 0", devices=2),
        job("a/fold 2", "meet", name="a2", others=["a3"], **both),
        job("a/fold 3", "meet", name="a3", others=["a2"], **both),
    )
    _, record = do(jobs, [Slot(("0",)), Slot(("1",))])
    assert set(jobs.values["b/fold 0"]["sees"].split(",")) == {"0", "1"}
    order = record.order("started", "done")
    large = order.index(("started", "b/fold 0"))
    assert {key for what, key in order[:large] if what == "done"} == {"a/fold 0", "a/fold 1"}
    assert order[large + 1] == ("done", "b/fold 0")
    assert len(jobs.values) == 5


def test_the_device_with_less_to_do_is_taken(tmp_path: Path) -> None:
    both = {"folder": str(tmp_path)}
    jobs = Listed(
        job("a/fold 0", "meet", name="a0", others=["b0"], **both), job("b/fold 0", "meet", name="b0", others=[], **both)
    )
    do(jobs, [Slot(("0",)), Slot(("0",)), Slot(("1",))])
    assert {value["sees"] for value in jobs.values.values()} == {"0", "1"}


def test_more_devices_than_there_are_to_use_is_the_callers_mistake() -> None:
    jobs = Listed(job("a/fold 0", devices=4), job("a/evaluate", "nothing", "a/fold 0"), job("b/fold 0"))
    stopped, record = do(jobs, [Slot(("0",)), Slot(("1",))])
    failure = jobs.failures["a/fold 0"]
    assert failure.usage
    assert failure.value == "a/fold 0: needs 4 GPUs, and 2 are to be used: say --num_gpus 4"
    assert record.of("dropped") == [("a/evaluate", "a/fold 0")]
    assert jobs.values.keys() == {"b/fold 0"}
    assert not stopped


def test_without_gpus_a_job_of_several_processes_takes_one_place() -> None:
    jobs = Listed(job("a/fold 0", devices=4))
    do(jobs)
    assert jobs.values.keys() == {"a/fold 0"}


def test_everything_printed_in_a_job_is_shown_with_it() -> None:
    record = do(Listed(job("a/fold 0", "print"), job("a/fold 1"), job("a/fold 2", "print")))[1]
    printed = ["from print", "from stderr", "from the file descriptor", "from C", " 100%", "from the workplace"]
    for key in ("a/fold 0", "a/fold 2"):
        assert sorted(text for which, text in record.of("line") if which == key) == sorted([*printed, "no end of line"])
    end = record.said.index(("done", "a/fold 0"))
    assert {said[1] for said in record.said[:end] if said[0] == "line"} == {"a/fold 0"}
    assert len([said for said in record.said[:end] if said[0] == "line"]) == len(printed) + 1


def test_progress_arrives_with_its_nans() -> None:
    [(key, progress)] = do(Listed(job("a/fold 0", "report")))[1].of("progress")
    assert key == "a/fold 0"
    assert math.isnan(progress.loss)
    assert (progress.epochs, progress.metric, progress.best) == (3, "val_dice", 0.8)


@pytest.mark.parametrize(
    ("what", "type_", "value", "flags"),
    [
        ("wrong_config", "ConfigError", "found 'x'", {"usage", "words"}),
        ("bad_data", "DataError", "sample 'a': cannot be read", {"words"}),
        ("bug", "ZeroDivisionError", "by zero", set()),
        ("exit", "SystemExit", "enough", set()),
        ("os_exit", "WorkerDied", "ended by itself, with exit status 3", {"died", "words"}),
        ("kill_itself", "WorkerDied", "killed (SIGKILL): out of memory, or somebody killed it", {"died", "words"}),
        ("crash", "WorkerDied", "crashed (SIGSEGV) in compiled code", {"died", "words"}),
    ],
)
def test_a_failing_job_says_why_and_the_others_go_on(what, type_, value, flags) -> None:
    jobs = Listed(
        job("a/fold 0", what),
        job("a/fold 1"),
        job("a/evaluate", "nothing", "a/fold 0", "a/fold 1"),
        job("b/fold 0"),
    )
    stopped, record = do(jobs)
    [(key, failure)] = jobs.failures.items()
    assert (key, failure.type) == ("a/fold 0", type_)
    assert value in failure.value
    assert {name for name in ("usage", "words", "died", "interrupted") if getattr(failure, name)} == flags
    assert jobs.values.keys() == {"a/fold 1", "b/fold 0"}
    assert jobs.values["a/fold 1"]["count"] == 1, "in a fresh process"
    assert record.of("dropped") == [("a/evaluate", "a/fold 0")]
    assert not stopped


def test_a_crash_leaves_its_last_words() -> None:
    jobs = Listed(job("a/fold 0", "crash"), job("a/fold 1", "os_exit"))
    do(jobs)
    assert "do_crash" in jobs.failures["a/fold 0"].trace
    assert jobs.failures["a/fold 1"].trace == "last words"


def test_a_worker_killed_from_outside_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "pid"

    def kill(what: str, key: str, *rest: object) -> None:
        if what == "progress":
            os.kill(int(file.read_text()), signal.SIGKILL)

    jobs = Listed(job("a/fold 0", "train", file=str(file)), job("a/fold 1"))
    do(jobs, watcher=Record(kill))
    assert jobs.failures["a/fold 0"].died
    assert jobs.values.keys() == {"a/fold 1"}


def test_what_a_dead_worker_started_is_ended_with_it(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    jobs = Listed(
        job("a/fold 0", "hang", file=str(file)),
        job("b/fold 0", "meet", folder=str(tmp_path), name="b", others=["pids"]),
    )

    def kill(what: str, key: str, *rest: object) -> None:
        if (what, key) == ("done", "b/fold 0"):
            os.kill(json.loads(file.read_text())[0], signal.SIGKILL)

    do(jobs, TWO, watcher=Record(kill))
    assert jobs.failures["a/fold 0"].died
    wait_until_gone(*json.loads(file.read_text()))


def test_a_job_is_repeated_when_asked(tmp_path: Path) -> None:
    jobs = Listed(
        job("a/fold 0", "fail_once", file=str(tmp_path / "tried")), job("a/evaluate", "nothing", "a/fold 0"), repeats=1
    )
    _, record = do(jobs)
    assert record.order() == [
        ("started", "a/fold 0"),
        ("failed", "a/fold 0"),
        ("started", "a/fold 0"),
        ("done", "a/fold 0"),
        ("started", "a/evaluate"),
        ("done", "a/evaluate"),
    ]
    assert record.of("dropped") == []


def test_a_worker_that_leaves_a_thread_behind_is_ended() -> None:
    jobs = Listed(job("a/fold 0", "leave_thread"))
    do(jobs)
    wait_until_gone(jobs.values["a/fold 0"]["pid"])


@pytest.mark.parametrize(
    ("worker", "said"),
    [
        ("no_such_module:Worker", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("workers:NoSuchWorker", "AttributeError: module 'workers' has no attribute 'NoSuchWorker'"),
        ("workers:Unmade", "FileNotFoundError: no such library"),
        ("workers:Vanishing", "WorkerDied: the process ended by itself, with exit status 7"),
    ],
)
def test_workers_that_do_not_start_are_told_in_words(worker: str, said: str) -> None:
    with pytest.raises(MusketError, match=f"processes that do jobs do not start: {said}"):
        do(Listed(job("a/fold 0"), job("a/fold 1"), repeats=10**6), worker=worker)


def test_what_is_not_plain_data_fails_the_job() -> None:
    jobs = Listed(job("a/fold 0"))
    do(jobs, worker="workers:Unplain")
    assert "not JSON serializable" in jobs.failures["a/fold 0"].value


def test_time_that_is_up_stops_after_the_epoch(tmp_path: Path) -> None:
    jobs = Listed(
        job("a/fold 0", "train", file=str(tmp_path / "pid")), job("a/fold 1"), job("a/e", "nothing", "a/fold 0")
    )
    stopped, record = do(jobs, deadline=time.time() + 0.5)
    assert stopped
    assert jobs.failures["a/fold 0"].interrupted
    assert jobs.failures["a/fold 0"].value == "time is up"
    assert jobs.values == {}
    assert record.of("line") == [(None, "time is up: finishing the epoch under way; Ctrl-C stops at once")]


def test_a_run_that_is_over_before_its_time_was_not_stopped() -> None:
    stopped, _ = do(Listed(job("a/fold 0")), deadline=time.time() + 3600)
    assert not stopped


def test_jobs_that_wait_for_ever_are_an_error_and_leave_no_process() -> None:
    jobs = Listed(job("a/fold 0"), job("a/fold 1", "nothing", "a/nobody"))
    with pytest.raises(ValueError, match="a/fold 1: wait for ever for a/nobody"):
        do(jobs)
    wait_until_gone(jobs.values["a/fold 0"]["pid"])


def test_a_machine_without_gpus_has_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    places, notices = slots()
    assert [place.devices for place in places] == [()]
    assert notices == []
