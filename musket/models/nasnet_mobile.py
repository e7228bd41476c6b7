"""NASNet-A mobile (4 @ 1056), which timm does not have, from pytorchcv (https://github.com/osmr/pytorchcv, MIT)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from musket.core.errors import ModelError
from musket.models.classifier_catalogue import check_pytorchcv_weights, needs_pytorchcv
from musket.models.weights import fetching, load_adapted

NAME = "nasnet_4a1056"
HOST = "https://github.com"
"""Where pytorchcv keeps its weights."""

POOLS = {None: nn.AdaptiveAvgPool2d, "avg": nn.AdaptiveAvgPool2d, "max": nn.AdaptiveMaxPool2d}


class NASNetMobile(nn.Sequential):
    """The layers of pytorchcv's network before its classifier, with a pooling for images of any size.

    Attributes:
        num_features: length of the vectors it gives.
    """

    def __init__(self, network: Any, pooling: str | None):
        super().__init__()
        self.num_features = int(network.output.fc.in_features)
        self.features = network.features
        self.features.final_pool = POOLS[pooling](1)
        self.flatten = nn.Flatten()


def nasnet_mobile(in_channels: int, weights: str | None, pooling: str | None, copy_weights: bool) -> NASNetMobile:
    """The encoder: N x in_channels x H x W to N x 1056, with random weights or those pytorchcv publishes.

    These were trained on ImageNet, with its usual normalisation, as pytorchcv says of all its weights.

    Raises:
        ModelError: pytorchcv is not installed, there are no such weights, or they cannot be fetched.
    """
    check_pytorchcv_weights(weights, "NASNetMobile")
    try:
        from pytorchcv.models.nasnet import nasnet_4a1056  # pyrefly: ignore [missing-import]
    except ImportError as error:
        raise ModelError(needs_pytorchcv("NASNetMobile")) from error
    encoder = NASNetMobile(nasnet_4a1056(in_channels=in_channels), pooling)
    if weights is None:
        return encoder
    trained = nasnet_4a1056()
    trained.load_state_dict(_pretrained_state())
    load_adapted(encoder, NASNetMobile(trained, pooling), in_channels, copy=copy_weights, key="weights")
    return encoder


def _pretrained_state() -> dict[str, torch.Tensor]:
    from pytorchcv.models.common.model_store import get_model_file  # pyrefly: ignore [missing-import]

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    with fetching(f"of {NAME}", HOST, key="weights") as online:
        if not online and not any(folder.glob(f"{NAME}-*.pth")):
            raise ConnectionError(HOST)
        try:
            file = get_model_file(NAME, local_model_store_dir_path=str(folder))
        except (RuntimeError, ValueError, zipfile.BadZipFile) as error:  # what its download ends with
            raise ConnectionError(str(error)) from error
    return torch.load(file, map_location="cpu", weights_only=True)
