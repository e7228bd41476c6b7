from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from recording import Listed, Record, job

from musket.core.jobs import Job, Workplace
from musket.launch.inline import run


class Drawing:
    """Says where it may draw."""

    consoles: ClassVar[list[Any]] = []

    def perform(self, job: Job, workplace: Workplace) -> Any:
        self.consoles.append(getattr(workplace, "console", None))
        workplace.line("[bold] is no markup")


def test_jobs_are_done_here_in_order_with_a_worker_for_each_experiment() -> None:
    jobs = Listed(job("a/prepare"), job("b/prepare"), follows={"a/prepare": [job("a/fold 0"), job("a/fold 1")]})
    record = Record()
    assert run(jobs, "workers:Worker", record) is False
    assert record.order("started") == [("started", key) for key in ("a/prepare", "a/fold 0", "a/fold 1", "b/prepare")]
    assert record.of("started")[0] == ("a/prepare", "this process")
    assert {value["pid"] for value in jobs.values.values()} == {os.getpid()}
    assert [value["count"] for value in jobs.values.values()] == [1, 2, 3, 1]


@pytest.mark.parametrize(
    ("what", "type_", "flags"),
    [
        ("wrong_config", "ConfigError", {"usage", "words"}),
        ("bad_data", "DataError", {"words"}),
        ("bug", "ZeroDivisionError", set()),
        ("exit", "SystemExit", set()),
    ],
)
def test_a_failing_job_says_why_and_the_others_go_on(what: str, type_: str, flags: set[str]) -> None:
    jobs = Listed(job("a/fold 0", what), job("a/e", "nothing", "a/fold 0"), job("a/fold 1"), job("b/fold 0"))
    record = Record()
    assert run(jobs, "workers:Worker", record) is False
    [(key, failure)] = jobs.failures.items()
    assert (key, failure.type) == ("a/fold 0", type_)
    assert {name for name in ("usage", "words", "died", "interrupted") if getattr(failure, name)} == flags
    assert record.of("dropped") == [("a/e", "a/fold 0")]
    assert {key: value["count"] for key, value in jobs.values.items()} == {"a/fold 1": 1, "b/fold 0": 1}


def test_a_job_is_repeated_when_asked(tmp_path: Path) -> None:
    jobs = Listed(job("a/fold 0", "fail_once", file=str(tmp_path / "tried")), repeats=1)
    run(jobs, "workers:Worker", Record())
    assert jobs.values.keys() == {"a/fold 0"}


def test_time_that_is_up_stops_after_the_epoch(tmp_path: Path) -> None:
    jobs = Listed(job("a/fold 0", "train", file=str(tmp_path / "pid")), job("a/fold 1"))
    record = Record()
    assert run(jobs, "workers:Worker", record, deadline=time.time() + 0.1) is True
    assert jobs.failures["a/fold 0"].interrupted
    assert jobs.failures["a/fold 0"].value == "time is up"
    assert {key for key, _ in record.of("progress")} == {"a/fold 0"}
    assert jobs.values == {}


def test_without_a_watcher_jobs_draw_for_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys
    import types

    monkeypatch.setitem(sys.modules, "drawing", types.SimpleNamespace(Drawing=Drawing))  # type: ignore[arg-type]
    run(Listed(job("a/fold 0")), "drawing:Drawing")
    assert capsys.readouterr().out == "[bold] is no markup\n"
    run(Listed(job("a/fold 0")), "drawing:Drawing", quiet=True)
    assert capsys.readouterr().out == ""
    record = Record()
    run(Listed(job("a/fold 0")), "drawing:Drawing", record)
    assert record.of("line") == [("a/fold 0", "[bold] is no markup")]
    first, quiet, none = Drawing.consoles
    assert (first.quiet, quiet.quiet, none) == (False, True, None)


def test_what_is_silent_for_a_while_is_announced(capsys: pytest.CaptureFixture[str]) -> None:
    run(Listed(job("a/b/prepare"), job("a/b/fold 0"), job("a/b/evaluate")), "workers:Worker")
    assert capsys.readouterr().out == "preparing a/b ...\nevaluating a/b ...\n"


def test_jobs_that_wait_for_ever_are_an_error() -> None:
    with pytest.raises(ValueError, match="a/fold 0: wait for ever for a/nobody"):
        run(Listed(job("a/fold 0", "nothing", "a/nobody")), "workers:Worker", Record())


def test_a_reader_that_goes_away_ends_nothing(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from recording import Listed, job\n"
        "from musket.launch.inline import run\n"
        "jobs = Listed(*(job(f'a/fold {fold}', 'say') for fold in range(3)))\n"
        "run(jobs, 'workers:Worker')\n"
        "sys.exit(len(jobs.values))\n"
    )
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=writing,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            timeout=60,
            check=False,
            text=True,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (3, "nobody reads the output any more; the run goes on without it\n")
