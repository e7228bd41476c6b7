"""A Ray cluster on this machine, for tests."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def environment() -> Iterator[None]:
    """What machines of the cluster inherit: where the code is, one thread, no reports to the makers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")]))
        yield


@contextlib.contextmanager
def two_nodes() -> Iterator[Any]:
    """Two nodes of one core each: a ``ray.cluster_utils.Cluster``. Nothing of it runs afterwards."""
    with environment():
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
