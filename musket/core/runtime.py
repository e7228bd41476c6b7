"""Devices, precision and seeds. Nothing happens at import; torch is imported where it is needed."""

from __future__ import annotations

import hashlib
import inspect
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.core.errors import MusketError

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

_HERE = "127.0.0.1"
# One process may work while the others wait: judge a long epoch, download weights.
_PATIENCE = timedelta(hours=2)
# Libraries under us that report home unless told not to; a value set by the user stays.
_TELEMETRY_OFF = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def silence_telemetry() -> None:
    """Switch off the telemetry of libraries under us, unless the user's environment says otherwise."""
    for name, value in _TELEMETRY_OFF.items():
        os.environ.setdefault(name, value)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def derive_seed(*parts: object) -> int:
    """A 63-bit seed that depends on every part and on nothing else: counters instead of hidden state.

    The same (seed, fold, stage, epoch, sample) gives the same number on every machine, whatever ran before.
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(*parts: object) -> np.random.Generator:
    """A counter-based random generator for exactly these parts (see :func:`derive_seed`)."""
    return np.random.Generator(np.random.Philox(key=derive_seed(*parts)))


def seed_torch(*parts: object) -> None:
    """Seed torch's generators of every device for exactly these parts."""
    import torch

    torch.manual_seed(derive_seed(*parts))


def make_fabric(accelerator: str = "auto", precision: str = "auto") -> Fabric:
    """Fabric for one device: CUDA, MPS or CPU, picked by itself.

    Args:
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``auto`` = bfloat16 autocast on CUDA devices with bfloat16 units, else float32. On CPUs without such
            units bfloat16 is an order of magnitude slower, so it is never chosen there.
    """
    from lightning_fabric import Fabric

    return Fabric(accelerator=accelerator, devices=1, precision=_precision(precision, accelerator))


def _precision(precision: str, accelerator: str) -> Any:
    import torch

    if precision != "auto":
        return precision
    on_cuda = accelerator in ("auto", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_cuda and torch.cuda.is_bf16_supported() else "32-true"


def accelerator_of(count: int) -> str:
    """What ``count`` processes that train one network run on: ``cuda``, or ``cpu`` where there is no GPU.

    Raises:
        MusketError: there are GPUs, but fewer; those of Apple cannot share a network.
    """
    import torch

    if torch.cuda.is_available():
        there = torch.cuda.device_count()
        if there < count:
            raise MusketError(
                f"gpus: found {count}; there {'is' if there == 1 else 'are'} {there} here. Set gpus to {there} or fewer"
            )
        return "cuda"
    if torch.backends.mps.is_available():
        raise MusketError(f"gpus: found {count}; a network on Apple's GPU (MPS) has one device. Set gpus: 1")
    return "cpu"


def join_ranks(rank: int, count: int, port: int, precision: str = "auto") -> Fabric:
    """Fabric of one of ``count`` processes on this machine that train one network, each on a device of its own.

    Gradients become means over the processes while they are computed. Buffers are each process's own matter, so that
    one without samples may leave a step out.

    Args:
        port: of the store where they find each other (see :func:`meeting_point`).
        precision: see :func:`make_fabric`.
    """
    import torch
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment
    from lightning_fabric.strategies import DDPStrategy

    accelerator = accelerator_of(count)
    on_cuda = accelerator == "cuda"
    if on_cuda:
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group(
        "nccl" if on_cuda else "gloo",
        store=torch.distributed.TCPStore(_HERE, port, is_master=False),
        rank=rank,
        world_size=count,
        timeout=_PATIENCE,
        device_id=torch.device("cuda", rank) if on_cuda else None,
    )
    os.environ["LOCAL_RANK"] = str(rank)  # tells Fabric that the processes are there already
    known = inspect.signature(torch.nn.parallel.DistributedDataParallel).parameters
    option = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # torch before 2.13
    options: dict[str, Any] = {option: False}
    strategy = DDPStrategy(cluster_environment=LightningEnvironment(), **options)
    precision = _precision(precision, accelerator)
    fabric = Fabric(accelerator=accelerator, devices=count, strategy=strategy, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    return fabric


def meeting_point() -> torch.distributed.TCPStore:
    """Where processes of this machine find each other: a store on a free port, there as long as this object is."""
    import torch

    return torch.distributed.TCPStore(_HERE, 0, is_master=True, wait_for_workers=False)


def memory_format(device: torch.device) -> torch.memory_format:
    """Layout of images and weights, the faster one by device.

    Channels last on CUDA (tensor cores want it) and on CPUs (measured 1.05 times as fast for ResNets, 1.5 times for
    MobileNets, on one thread and on two); contiguous elsewhere.
    """
    import torch

    return torch.channels_last if device.type in ("cuda", "cpu") else torch.contiguous_format
