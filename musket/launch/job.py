"""One job of a file, done in this process: ``python -m musket.launch.job FILE PLACE``.

The file is what :func:`musket.launch.slurm.scripts` writes. Beside it, ``results/PLACE.json`` tells how the job ended.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from musket.artifacts.files import in_words, write_atomic
from musket.core.errors import ArtifactError, MusketError
from musket.core.jobs import Failure, Job, Progress
from musket.launch import slurm
from musket.launch.worker import load_worker

if TYPE_CHECKING:
    from rich.console import Console

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


@dataclass
class Here:
    """This process as the place where a job is done: jobs draw on its console themselves.

    Attributes:
        reason: why to stop after the epoch under way.
        timed: the reason is that the time is nearly over.
    """

    console: Console
    reason: str | None = None
    timed: bool = field(default=False, init=False)

    def line(self, text: str) -> None:
        print(text, flush=True)  # noqa: T201 (whoever reads the log of the job)

    def progress(self, progress: Progress) -> None:
        """Nothing: it is on the console."""

    def stopping(self) -> str | None:
        return self.reason

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Stop after the epoch on SIGUSR1 (the time is nearly over), SIGTERM and Ctrl-C, at the second one at once."""
        numbers = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, self._heard) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.reason is not None and number != signal.SIGUSR1:
            raise KeyboardInterrupt
        self.timed = number == signal.SIGUSR1
        self.reason = "the time is nearly over" if self.timed else f"told to stop by {signal.Signals(number).name}"
        self.line(f"{self.reason}; stopping after this epoch")


def main(argv: Sequence[str] | None = None) -> int:
    """Do one job of a file.

    Returns:
        0 done, 1 failed, 2 wrong usage or config, 130 interrupted.
    """
    from rich.console import Console

    from musket.core.runtime import silence_telemetry

    parser = argparse.ArgumentParser(prog="python -m musket.launch.job", description="Do one job of a file.")
    parser.add_argument("file", type=Path, help="jobs.json")
    parser.add_argument("place", type=int, help="of the job in the file, from 0")
    parser.add_argument("--resume", action="store_true", help="a training goes on where it was interrupted")
    arguments = parser.parse_args(argv)
    silence_telemetry()
    here = Here(Console(soft_wrap=True))
    try:
        with here.listening():
            failure = perform(arguments.file, arguments.place, here, resume=arguments.resume)
    except MusketError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return USAGE
    if failure is None:
        return DONE
    if failure.interrupted:
        again = here.timed and slurm.requeue()
        here.line("back in the queue; it goes on from here" if again else f"interrupted: {failure.value}")
        return INTERRUPTED
    here.line(failure.value if failure.words else failure.trace)
    return USAGE if failure.usage else FAILED


def perform(file: Path, place: int, here: Here, *, resume: bool = False) -> Failure | None:
    """Do the job at a place of a file, and leave beside it how it ended.

    What it comes after must have been done, else it is refused. A worker that has a method ``refused(job, failures)``
    is told then: the job and, for each one missing, a pair of that job and why.

    Args:
        resume: a training goes on from what its last try left.

    Returns:
        None when it is done.

    Raises:
        MusketError: the file or the place is no good.
    """
    worker_name, jobs = _read(file)
    if not 0 <= place < len(jobs):
        raise MusketError(f"{file} holds jobs 0 to {len(jobs) - 1}; found {place}")
    job = jobs[place]
    _result(file, place).unlink(missing_ok=True)
    failure, value = None, None
    try:
        worker = load_worker(worker_name)
        endings = [_ending(file, jobs, key) for key in job.after]
        if missing := [(one, ending) for one, ending in endings if isinstance(ending, Failure)]:
            if hasattr(worker, "refused"):
                worker.refused(job, missing)
            told = "".join(f"\n  {one.key}: {why.type}: {why.value}" for one, why in missing)
            failure = Failure("Refused", f"{job.key} needs what was not done:{told}", words=True)
        elif (wanted := _as_prepared(job, endings)) is None:
            here.line(f"{job.key}: nothing to do")
        else:
            value = worker.perform(wanted.resumed() if resume and job.kind == "train" else wanted, here)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (whatever it is, those that need this job read it)
        failure = Failure.of(error)
    ending = {"key": job.key, "value": value, "failure": None if failure is None else asdict(failure)}
    write_atomic(_result(file, place), json.dumps(ending))
    return failure


def _as_prepared(job: Job, endings: Sequence[tuple[Job, Any]]) -> Job | None:
    """A training as its preparation found it should be. None: this fold needs none."""
    for before, value in endings:
        if before.kind == "prepare" and job.kind == "train":
            if job.arguments["fold"] not in value["folds"]:
                return None
            return replace(job, arguments={**job.arguments, "changed": value["changed"]})
    return job


def _read(file: Path) -> tuple[str, list[Job]]:
    try:
        stored = json.loads(file.read_text("utf-8"))
        return stored["worker"], [Job.from_data(one) for one in stored["jobs"]]
    except OSError as error:
        raise ArtifactError(f"cannot be read: {in_words(error)}", file) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"is no file of jobs: {error}", file) from error


def _result(file: Path, place: int) -> Path:
    return file.parent / "results" / f"{place}.json"


def _ending(file: Path, jobs: Sequence[Job], key: str) -> tuple[Job, Any]:
    """A job and what it returned, or its Failure."""
    place = next(number for number, one in enumerate(jobs) if one.key == key)
    path = _result(file, place)
    if not path.exists():
        return jobs[place], Failure("Missing", f"it left no {path}: never started, or killed", died=True, words=True)
    stored = json.loads(path.read_text("utf-8"))
    return jobs[place], stored["value"] if stored["failure"] is None else Failure(**stored["failure"])


if __name__ == "__main__":
    sys.exit(main())
