"""Weights and resume states on disk: written whole or not at all, loaded as tensors only (no pickle is executed)."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from musket.artifacts.files import write_atomic
from musket.core.errors import ArtifactError

STATE_FORMAT = 1
_METADATA_KEY = "musket"


def save_weights(path: Path, weights: dict[str, torch.Tensor], metadata: dict[str, Any]) -> None:
    """Write weights as safetensors with ``metadata`` (plain JSON data) inside.

    The bytes depend on the arguments alone, so equal weights give equal files.

    Raises:
        ArtifactError: the file cannot be written; the old one is untouched.
    """
    plain: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in weights.items():
        own = tensor.detach().cpu().contiguous()
        # A network may hold one module under two names; safetensors wants separate memory.
        plain[name] = own.clone() if own.untyped_storage().data_ptr() in seen else own
        seen.add(own.untyped_storage().data_ptr())
    text = json.dumps(metadata, sort_keys=True)

    def write(beside: Path) -> None:
        try:
            save_file(plain, beside, {_METADATA_KEY: text})
        except SafetensorError as error:  # wraps the operating system's error in text
            raise OSError(None, str(error)) from error

    write_atomic(path, write)


def load_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`save_weights` wrote: weights on the CPU, and the metadata ({} in foreign files).

    Raises:
        ArtifactError: the file is missing, damaged or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            metadata = (file.metadata() or {}).get(_METADATA_KEY, "{}")
    except FileNotFoundError as error:
        raise ArtifactError("no such weights file", path) from error
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"not readable as safetensors weights ({error})", path) from error
    return weights, json.loads(metadata)


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata alone, without reading the weights. Raises ArtifactError as :func:`load_weights`."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {}).get(_METADATA_KEY, "{}"))
    except FileNotFoundError as error:
        raise ArtifactError("no such weights file", path) from error
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"not readable as safetensors weights ({error})", path) from error


def load_into(model: torch.nn.Module, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Put weights into a network.

    Raises:
        ArtifactError: the weights belong to another network; says which tensors are missing, foreign or of another
            shape. The network is then untouched.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in weights]
    foreign = [name for name in weights if name not in own]
    other = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    if not (missing or foreign or other):
        model.load_state_dict(weights)
        return
    parts = []
    if other:
        name = other[0]
        parts.append(
            f"{len(other)} tensors of another shape (first: {name}, here {tuple(own[name].shape)}, "
            f"in the file {tuple(weights[name].shape)})"
        )
    if missing:
        parts.append(f"{len(missing)} tensors missing in the file (first: {missing[0]})")
    if foreign:
        parts.append(f"{len(foreign)} tensors this network does not have (first: {foreign[0]})")
    raise ArtifactError(
        f"these weights belong to another network: {'; '.join(parts)}. "
        "Check architecture, backbone, classes and the channels of shape",
        path,
    )


def load_matching(model: torch.nn.Module, weights: dict[str, torch.Tensor], path: Path) -> list[str]:
    """Load every tensor whose name and shape fit, as ``initial_weights`` does; return the names left as they were.

    Raises:
        ArtifactError: fewer than half of the network's tensors fit, so the file belongs to another network.
    """
    own = model.state_dict()
    fitting = {name: w for name, w in weights.items() if name in own and own[name].shape == w.shape}
    if len(fitting) * 2 < len(own):
        load_into(model, weights, path)
    model.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a resume state: nested dicts, lists, numbers, texts and tensors only.

    Raises:
        ArtifactError: the file cannot be written; the old one is untouched.
    """

    def write(beside: Path) -> None:
        try:
            torch.save(_plain({**state, "format": STATE_FORMAT}), beside)
        except RuntimeError as error:  # torch reports a failed write as RuntimeError
            with open(beside, "ab") as probe:  # a full disk shows its own error here
                probe.write(b"\0" * (1 << 20))
                probe.flush()
            raise OSError(None, str(error)) from error

    write_atomic(path, write)


def _plain(value: Any) -> Any:
    """Numpy numbers, which users' hooks may bring in, as Python's own: the tensors-only loader refuses them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return tuple(_plain(item) for item in value) if type(value) is tuple else value


def load_state(path: Path, *, lazily: bool = False) -> dict[str, Any]:
    """Read a resume state, tensors on the CPU; ``lazily`` leaves them in the file, for who wants the numbers only.

    Raises:
        ArtifactError: missing, damaged, or of a later format.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=lazily)
    except FileNotFoundError as error:
        raise ArtifactError("no such state file", path) from error
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise ArtifactError(
            f"the resume state is damaged ({error}); delete it to train this stage again from its start", path
        ) from error
    if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
        raise ArtifactError("this is no resume state of this version; delete it to train this stage again", path)
    return state
