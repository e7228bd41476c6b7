"""Pretrained weights: fetching them without hanging where there is no network, and fitting them in.

They come from the hubs the libraries use themselves: smp's and timm's from the Hugging Face hub, torchvision's from
download.pytorch.org. Files fetched before are taken from the libraries' own caches.
"""

from __future__ import annotations

import contextlib
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import huggingface_hub
import torch
from torch import nn
from torchvision.models import get_weight

from musket.core.errors import ModelError
from musket.models.catalogue import SMP_ENCODERS, VOC_ENCODERS, check_voc, smp_weights
from musket.models.encoders import licence_remark, timm_weights
from musket.models.input_channels import adapt_state

CONNECT_SECONDS = 4.0
"""How long to wait for a hub before it counts as out of reach."""

VOC_CLASSES = 21
"""Twenty kinds of things and the background."""


VOC_PARTS = {"0": "decoder.aspp", "1": "decoder.conv", "2": "decoder.bn", "4": "segmentation_head.0"}
"""torchvision's DeepLabHead, layer by layer, in smp's DeepLabV3."""


@dataclass(frozen=True)
class Source:
    """Where the weights of an encoder come from.

    Attributes:
        encoder: library name; a timm one carries the tag of its weights.
        weights: what they are called; None for random ones.
        tag: what smp is told, to load them; None to load nothing.
        voc: whether the whole network comes from :func:`load_voc` afterwards.
        remark: what to tell the user when they are loaded.
    """

    encoder: str
    weights: str | None
    tag: str | bool | None = None
    voc: bool = False
    remark: str | None = None

    @property
    def title(self) -> str:
        return f"{self.weights} of {self.encoder}"


def find_source(encoder: str, weights: str | None, architecture: str) -> Source:
    """Which weights ``encoder_weights`` means for an encoder; nothing is fetched.

    Args:
        encoder: library name.
        architecture: registered name.

    Raises:
        ModelError: there are no such weights; lists those there are.
    """
    if weights is None:
        return Source(encoder, None)
    remark = None
    if weights == "pascal_voc":
        check_voc(encoder, architecture)
        if encoder in VOC_ENCODERS:
            return Source(encoder, weights, voc=True)
        remark = (
            f"Pascal VOC weights of DeepLabV3 with {encoder} are not published any more: its encoder starts from "
            f"ImageNet weights. There are some for backbone {' and '.join(VOC_ENCODERS)}"
        )
        weights = "imagenet"
    if encoder in SMP_ENCODERS:
        return Source(encoder, weights, smp_weights(encoder, weights), remark=remark)
    encoder = timm_weights(encoder, weights)
    return Source(encoder, weights, tag=True, remark=remark or licence_remark(encoder))


def reachable(address: str) -> bool:
    """Whether the host of a web address, or the proxy in front of it, answers within a few seconds."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def fetching(what: str, address: str | None = None, key: str = "encoder_weights") -> Iterator[bool]:
    """Turn the ways a download can fail into one ModelError, at once where the hub cannot be reached.

    Without a network the client of the Hugging Face hub asks five times more for every file, printing each attempt.
    Its own offline switch, on for the time of the block, leaves the files of its cache usable and ends the rest.

    Args:
        what: named in the error.
        address: of the hub; None is the Hugging Face hub.
        key: of the config, where weights are named.

    Yields:
        whether the hub can be reached.

    Raises:
        ModelError: it could not be had; says what to set instead.
    """
    constants: Any = huggingface_hub.constants
    host = urlsplit(address or constants.ENDPOINT).hostname
    was_offline = constants.HF_HUB_OFFLINE
    offline = was_offline or not reachable(address or constants.ENDPOINT)
    constants.HF_HUB_OFFLINE = offline
    try:
        yield not offline
    except OSError as error:
        told = offline and not isinstance(error, urllib.error.URLError)  # which comes from yet another host
        reason = f"{host} cannot be reached" if told else str(error).strip().partition("\n")[0]
        raise ModelError(
            f"the weights {what} could not be fetched ({reason}). Set {key}: null to start from random ones, "
            "or load a file of your own by initial_weights of a stage"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def voc_state(encoder: str) -> dict[str, torch.Tensor]:
    """Weights of torchvision's DeepLabV3 for the 21 classes of Pascal VOC, under the names of smp's DeepLabV3.

    The two have the same layers (ResNet, pyramid, convolution, head of 1 x 1); torchvision's helper head is left out.

    Args:
        encoder: key of :data:`musket.models.catalogue.VOC_ENCODERS`.

    Raises:
        ModelError: they could not be fetched.
    """
    weights: Any = get_weight(f"{VOC_ENCODERS[encoder]}.COCO_WITH_VOC_LABELS_V1")
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(weights.url).path).name
    with fetching(f"pascal_voc of DeepLabV3 with {encoder}", weights.url) as online:
        if not online and not cached.exists():
            raise ConnectionError(weights.url)
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True, map_location="cpu")
    renamed = {}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        if part == "backbone":
            renamed[f"encoder.{rest}"] = tensor
        elif part == "classifier":
            index, _, leaf = rest.partition(".")
            renamed[f"{VOC_PARTS[index]}.{leaf}"] = tensor
    return renamed


def load_voc(network: nn.Module, encoder: str, in_channels: int, classes: int, *, copy: bool) -> None:
    """Fill a DeepLabV3 with weights trained on Pascal VOC; the head keeps its random ones unless it has 21 classes.

    Args:
        copy: see :func:`musket.models.input_channels.adapt_kernel`.

    Raises:
        ModelError: they could not be fetched, or the decoder was given other widths than they have.
    """
    state = voc_state(encoder)
    own = network.state_dict()
    if classes != VOC_CLASSES:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("segmentation_head.")}
    state = adapt_state(state, own, in_channels, copy=copy)
    network.load_state_dict(own | state)


def load_adapted(
    encoder: nn.Module, pretrained: nn.Module, in_channels: int, *, copy: bool, key: str = "encoder_weights"
) -> None:
    """Fill an encoder from its three-channel twin with pretrained weights."""
    adapted = adapt_state(pretrained.state_dict(), encoder.state_dict(), in_channels, copy=copy, key=key)
    encoder.load_state_dict(adapted)
