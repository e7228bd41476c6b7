"""What processes of a group do in tests; imports nothing that takes time."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from musket.core.errors import DataError
from musket.core.process_group import Link, run_together


def report(rank: int, link: Link, payload: bytes) -> Any:
    link.tell((rank, payload.decode()))
    return (rank, link.ask(rank))


class Unportable(Exception):
    def __init__(self, message: str, other: object):
        super().__init__(message)
        self.other = lambda: other


def fail(rank: int, link: Link, payload: bytes) -> None:
    """Rank 1 fails, and rank 0 because of that."""
    kind = payload.decode()
    if rank == 1:
        if kind == "ours":
            raise DataError("no such file", sample="a")
        if kind == "unportable":
            raise Unportable("what I say", object())
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(3)
    time.sleep(0.3)
    raise RuntimeError("Connection closed by peer")


def stay(rank: int, link: Link, payload: bytes) -> None:
    """Stay until ended, deaf for Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
    link.tell(os.getpid())
    time.sleep(600)


if __name__ == "__main__":
    seen = Path(sys.argv[1])
    run_together(stay, b"", 2, told=lambda pid: (seen / str(pid)).touch())
