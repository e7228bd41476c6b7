"""Whether processes are gone."""

from __future__ import annotations

import os
import time
from pathlib import Path


def wait_until_gone(*pids: int, seconds: float = 30) -> None:
    """Until none of them runs. A limit ends what would hang."""
    latest = time.monotonic() + seconds
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < latest, f"{left}: still there"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and waits for its parent does not."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        try:
            return stat.read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc").exists()
