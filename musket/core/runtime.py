"""Devices, precision and seeds. Nothing happens at import; torch is imported where it is needed."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

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


def make_fabric(devices: int = 1, accelerator: str = "auto", precision: str = "auto") -> Fabric:
    """Fabric for the devices at hand: CUDA, MPS or CPU, picked by itself.

    Args:
        devices: devices of one model.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``auto`` = bfloat16 autocast on CUDA devices with bfloat16 units, else float32. On CPUs without such
            units bfloat16 is an order of magnitude slower, so it is never chosen there.
    """
    import torch
    from lightning_fabric import Fabric

    if precision == "auto":
        on_cuda = accelerator in ("auto", "cuda") and torch.cuda.is_available()
        precision = "bf16-mixed" if on_cuda and torch.cuda.is_bf16_supported() else "32-true"
    return Fabric(accelerator=accelerator, devices=devices, precision=precision)  # type: ignore[arg-type]


def memory_format(device: torch.device) -> torch.memory_format:
    """Layout of images and weights, the faster one by device.

    Channels last on CUDA (tensor cores want it) and on CPUs (measured 1.05 times as fast for ResNets, 1.5 times for
    MobileNets, on one thread and on two); contiguous elsewhere.
    """
    import torch

    return torch.channels_last if device.type in ("cuda", "cpu") else torch.contiguous_format
