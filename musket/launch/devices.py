"""Which devices this machine has, and how workers share them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from musket.core.errors import MusketError

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)
# The driver itself counts what it would show to a process; asked in another one, where it cannot disturb.
_COUNT = """
import ctypes
count = ctypes.c_int(0)
driver = ctypes.CDLL({library!r})
if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
    print(count.value)
"""


@dataclass(frozen=True)
class Slot:
    """A place for one process at a time.

    Attributes:
        devices: GPUs it sees, as CUDA_VISIBLE_DEVICES names them; empty: whatever torch finds.
        threads: of each of its processes, so that all together are as many as the cores.
    """

    devices: tuple[str, ...] = ()
    threads: int = 1

    @property
    def words(self) -> str:
        return place(self.devices)


def place(devices: Sequence[str]) -> str:
    """Devices in words: ``GPU 0``, ``GPUs 0, 1``, ``CPU``."""
    if not devices:
        return "CPU"
    return f"GPU{'s' if len(devices) > 1 else ''} {', '.join(devices)}"


def visible_gpus(environment: Mapping[str, str] | None = None) -> list[str]:
    """CUDA devices that a process started here sees, as CUDA_VISIBLE_DEVICES names them. Does not import torch.

    Args:
        environment: variables; default: those of this process.
    """
    environment = os.environ if environment is None else environment
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None and not named.strip(" ,"):
        return []
    library = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    counted = subprocess.run(
        [sys.executable, "-I", "-c", _COUNT.format(library=library)],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,  # no driver is no GPU
    )
    count = int(counted.stdout.strip() or 0)
    names = [str(index) for index in range(count)] if named is None else [name.strip() for name in named.split(",")]
    return names[:count]


def divide(
    num_gpus: int | None, gpus_per_net: int, num_workers: int | None, *, visible: Sequence[str], cores: int
) -> tuple[list[Slot], list[str]]:
    """Places for processes: worker i gets group i mod n of the n groups of devices.

    Args:
        num_gpus: devices to use; None: as many as one network needs.
        gpus_per_net: devices of one network.
        num_workers: processes side by side; None: one for each group, on a CPU one. More share devices.
        visible: names of the GPUs there are.
        cores: threads to divide.

    Returns:
        the places, and what people should know about them.

    Raises:
        MusketError: a number below 1, more GPUs than there are, fewer than one network needs.
    """
    for name, value in (("num_gpus", num_gpus), ("gpus_per_net", gpus_per_net), ("num_workers", num_workers)):
        if value is not None and value < 1:
            raise MusketError(f"{name}: found {value}; write a whole number of 1 or more")
    wanted = gpus_per_net if num_gpus is None else num_gpus
    if not visible:
        workers = num_workers or 1
        slot = Slot(threads=_share(cores, workers * gpus_per_net))
        note = f"no GPU here: trains on the CPU, {workers} at a time (num_workers)"
        return [slot] * workers, [note] if wanted > gpus_per_net else []
    if wanted > len(visible):
        name = "gpus_per_net" if num_gpus is None else "num_gpus"
        raise MusketError(f"{name}: found {wanted}; this machine has {_count(len(visible))}: {', '.join(visible)}")
    if gpus_per_net > wanted:
        raise MusketError(f"gpus_per_net: found {gpus_per_net}, which is more than num_gpus, {wanted}")
    starts = range(0, wanted // gpus_per_net * gpus_per_net, gpus_per_net)
    groups = [tuple(visible[start : start + gpus_per_net]) for start in starts]
    workers = num_workers or len(groups)
    threads = _share(cores, workers * gpus_per_net)
    slots = [Slot(groups[worker % len(groups)], threads) for worker in range(workers)]
    used = min(workers, len(groups)) * gpus_per_net
    unused = f"{wanted - used} of {_count(wanted)} stay unused: {workers} at a time, {gpus_per_net} for each network"
    return slots, [unused] if used < wanted else []


def variables(devices: Sequence[str], threads: int, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables of a process: the devices it sees, and its share of threads.

    Args:
        environment: variables that are set already; fewer threads than the share stay.
    """
    environment = os.environ if environment is None else environment
    limits = {name: str(min(threads, _number(environment.get(name), threads))) for name in _THREADS}
    return {**limits, "CUDA_VISIBLE_DEVICES": ",".join(devices)} if devices else limits


def _share(cores: int, processes: int) -> int:
    return max(1, cores // processes)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and int(text) > 0 else default


def _count(gpus: int) -> str:
    return f"{gpus} GPU{'s' if gpus > 1 else ''}"
