"""Trains one experiment in this process, and may kill itself with SIGKILL at a chosen point.

Used by test_resume.py: ``resume_driver.py FOLDER [KILL ...]`` runs one child per KILL, each resuming where the one
before was killed, then a last child that is left alone. A KILL is ``batch:N`` (before the N-th training batch of that
process), ``rename:N`` (a file is written in full but not yet in place), ``file:NAME:N`` (the same for the N-th time a
file of that name is written), ``write:N`` (a weights or state file is half
written), ``unit:N`` (before the N-th fold begins), ``stage:N`` (before the N-th stage begins) or ``seconds:X``.
Children are forked before anything is computed, so each is as fresh as a new process but imports nothing twice.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

# ruff: noqa: E402 (a script does not get pytest's search path)
sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

import lightning_fabric  # noqa: F401
import torch
import torch.utils.tensorboard  # what a fit imports late is imported here, once for all children
from toy import Drawn, register_small_net

import musket
import musket.experiment.summary
import musket.models.segmenters
import musket.report.samples
from musket.artifacts import checkpoint, files
from musket.experiment import run, unit
from musket.training import loop


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Countdown:
    def __init__(self, count: int):
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


def arm(kill: str) -> None:
    """Make this process kill itself at the chosen point."""
    kind, _, number = kill.partition(":")
    if kind == "seconds":
        timer = threading.Timer(float(number), kill_self)
        timer.daemon = True
        timer.start()
        return
    due = Countdown(0 if kind == "file" else int(number))

    def before(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if due():
                kill_self()
            return original(*args, **kwargs)

        setattr(owner, name, wrapped)

    if kind == "batch":
        before(loop.Averages, "add")
    elif kind == "rename":
        before(files.os, "replace")
    elif kind == "file":
        name, _, number = number.partition(":")
        due = Countdown(int(number))
        in_place = files.os.replace

        def replace(beside: Any, path: Any) -> None:
            if Path(path).name == name and due():
                kill_self()
            in_place(beside, path)

        files.os.replace = replace  # type: ignore[assignment]
    elif kind == "unit":
        before(run, "train_unit")
    elif kind == "stage":
        before(unit, "_train_one_stage")
    elif kind == "write":

        def torn(path: Path, content: Any) -> None:
            if due():
                (path.parent).mkdir(parents=True, exist_ok=True)
                beside = path.with_name(f".{path.name}.torn.part")
                if callable(content):
                    content(beside)
                    whole = beside.read_bytes()
                    beside.write_bytes(whole[: len(whole) // 2])
                kill_self()
            files.write_atomic(path, content)

        checkpoint.write_atomic = torn  # type: ignore[assignment]
    else:
        raise ValueError(kill)


def train(folder: Path) -> None:
    torch.set_num_threads(1)
    register_small_net()
    experiment = musket.parse(folder / "config.yaml")
    experiment.setAllowResume(True)
    experiment.fit(Drawn())


def main() -> int:
    folder, kills = Path(sys.argv[1]), sys.argv[2:]
    for kill in [*kills, None]:
        child = os.fork()
        if child == 0:
            if kill is not None:
                arm(kill)
            train(folder)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(
            f"{kill or 'last'}: {'killed' if os.WIFSIGNALED(status) else f'exit {os.WEXITSTATUS(status)}'}", flush=True
        )
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
