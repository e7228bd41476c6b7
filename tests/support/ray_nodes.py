"""A Ray cluster on this machine, for tests."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@functools.cache
def token() -> str:
    """The password of all clusters of this process: Ray reads it once."""
    return secrets.token_hex(32)


@contextlib.contextmanager
def environment() -> Iterator[None]:
    """What Ray and the machines of a cluster inherit; to be entered before Ray is imported.

    Where the code is, one thread, no reports to the makers, a password that is in no file, and a folder for all they
    write: a machine that is killed leaves its copies behind. Its path is short, as those of sockets must be.
    """
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray-") as folder:
        patch.setenv("TMPDIR", folder)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", token())
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")]))
        yield


@contextlib.contextmanager
def two_nodes() -> Iterator[Any]:
    """Two nodes of one core each, inside of :func:`environment`. Nothing of them runs afterwards."""
    import ray
    from ray.cluster_utils import Cluster

    before = children()
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        made.add_node(num_cpus=1)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
    assert nothing_is_left(before)


def nothing_is_left(before: set[int]) -> bool:
    """Whether all processes that this one started since are gone, now or within seconds."""
    deadline = time.monotonic() + 20
    while left := children() - before:
        if time.monotonic() > deadline:
            return False
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.1)
    return True


def children() -> set[int]:
    """Processes that this one started and that are not gone; none where the system does not tell."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(map(int, path.read_text().split()))
    return found
