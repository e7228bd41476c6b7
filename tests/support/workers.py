"""Workers for tests of engines: they wait for files instead of time, and fail in every way processes can."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from musket.core.errors import ConfigError, DataError, Problem, Stopped
from musket.core.jobs import Job, Progress, Workplace


class Worker:
    """Does what the argument ``do`` of a job says, and counts its jobs."""

    def __init__(self) -> None:
        self.count = 0

    def perform(self, job: Job, workplace: Workplace) -> Any:
        self.count += 1
        doing = job.arguments.get("do", "nothing")
        getattr(self, f"do_{doing}")(job.arguments, workplace)
        return {
            "pid": os.getpid(),
            "count": self.count,
            "sees": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "threads": os.environ.get("OMP_NUM_THREADS"),
        }

    def do_nothing(self, arguments: Any, workplace: Workplace) -> None: ...

    def do_meet(self, arguments: Any, workplace: Workplace) -> None:
        """Be there, and wait until the others are there too."""
        folder = Path(arguments["folder"])
        (folder / arguments["name"]).touch()
        wait_for(*(folder / name for name in arguments["others"]))

    def do_train(self, arguments: Any, workplace: Workplace) -> None:
        """Epochs without end, until told to stop. The file tells that the first has begun."""
        Path(arguments["file"]).write_text(str(os.getpid()))
        epoch = 0
        while (reason := workplace.stopping()) is None:
            workplace.progress(progress(epoch=epoch))
            epoch += 1
            time.sleep(0.01)
        raise Stopped(reason)

    def do_hang(self, arguments: Any, workplace: Workplace) -> None:
        """An epoch without end, in a process that does not listen to SIGTERM, with a process of its own."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        file = Path(arguments["file"])
        file.with_suffix(".part").write_text(json.dumps([os.getpid(), child.pid]))
        file.with_suffix(".part").replace(file)
        time.sleep(600)

    def do_wait_for_thread(self, arguments: Any, workplace: Workplace) -> None:
        """A thread that hangs, and that the process waits for."""
        thread = threading.Thread(target=time.sleep, args=(600,))
        thread.start()
        Path(arguments["file"]).touch()
        try:
            time.sleep(600)
        finally:
            thread.join()

    def do_print(self, arguments: Any, workplace: Workplace) -> None:
        print("from print")
        print("from stderr", file=sys.stderr)
        os.write(1, b"from the file descriptor\n")
        ctypes.CDLL(None).printf(b"from C\n")
        print("  10%\r  50%\r 100%")
        workplace.line("from the workplace")
        print("no end of line", end="")
        sys.stdin.read()

    def do_say(self, arguments: Any, workplace: Workplace) -> None:
        workplace.line("from the workplace")

    def do_report(self, arguments: Any, workplace: Workplace) -> None:
        workplace.progress(progress(epoch=0, loss=float("nan")))

    def do_wrong_config(self, arguments: Any, workplace: Workplace) -> None:
        raise ConfigError("config.yaml", [Problem(3, 1, "lr", "found 'x'")])

    def do_bad_data(self, arguments: Any, workplace: Workplace) -> None:
        raise DataError("cannot be read", sample="a")

    def do_bug(self, arguments: Any, workplace: Workplace) -> None:
        raise ZeroDivisionError("by zero")

    def do_exit(self, arguments: Any, workplace: Workplace) -> None:
        sys.exit("enough")

    def do_os_exit(self, arguments: Any, workplace: Workplace) -> None:
        print("last words")
        os._exit(arguments.get("status", 3))

    def do_kill_itself(self, arguments: Any, workplace: Workplace) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def do_crash(self, arguments: Any, workplace: Workplace) -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), signal.SIGSEGV)

    def do_leave_thread(self, arguments: Any, workplace: Workplace) -> None:
        threading.Thread(target=time.sleep, args=(600,)).start()

    def do_pool(self, arguments: Any, workplace: Workplace) -> None:
        """A forked process that is ended by SIGTERM, as those of pools are."""
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        process.start()
        process.terminate()
        process.join()
        if process.exitcode != -signal.SIGTERM:
            raise RuntimeError(f"ended with {process.exitcode}")

    def do_fail_once(self, arguments: Any, workplace: Workplace) -> None:
        file = Path(arguments["file"])
        if not file.exists():
            file.touch()
            raise ZeroDivisionError("by zero")


class Unplain:
    """Returns what cannot be written as JSON."""

    def perform(self, job: Job, workplace: Workplace) -> Any:
        return object()


class Unmade:
    """Cannot even be made."""

    def __init__(self) -> None:
        raise FileNotFoundError("no such library")


class Vanishing:
    """Its process is gone before it is ready."""

    def __init__(self) -> None:
        os._exit(7)


def progress(**values: Any) -> Progress:
    """Progress in the middle of a fold."""
    usual: dict[str, Any] = {"fold": 0, "stage": 0, "stages": 1, "epoch": 0, "epochs": 3, "batch": 1, "batches": 4}
    figures = {"loss": 0.5, "metric": "val_dice", "value": 0.7, "best": 0.8, "rate": 12.5, "left": 75.0}
    return Progress(**{**usual, **figures, **values})


def wait_for(*files: Path, seconds: float = 60) -> None:
    """Until all files exist. A limit ends what would hang."""
    latest = time.monotonic() + seconds
    while not all(file.exists() for file in files):
        if time.monotonic() > latest:
            raise TimeoutError(f"{', '.join(map(str, files))}: not there after {seconds} s")
        time.sleep(0.01)
