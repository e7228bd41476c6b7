"""Classification networks: any network of timm, any number of heads, images of any size and number of channels."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from musket.config.bind import bind
from musket.core.errors import ModelError
from musket.core.registry import Entry
from musket.models.batch_norm import tolerate_single_values
from musket.models.classifier_catalogue import CLASSIFIER_ROOT_NAMES, CLASSIFIERS, TimmEntry
from musket.models.encoders import IMAGENET, INCEPTION_SIDE, licence_remark, normalization, timm_weights
from musket.models.input_channels import PRETRAINED, adapt_values
from musket.models.network import ImageNetwork, WrappedNetwork
from musket.models.timm_networks import only_size, stride_of, timm_encoder, width_of
from musket.models.weights import fetching, load_adapted


class Classifier(ImageNetwork):
    """An encoder, and one linear layer for each head on the vector it gives.

    State keys begin with ``encoder.`` (those of the library) and ``heads.N.``.

    Args:
        encoder: N x channels x H x W to N x width.
        width: length of the vectors.
        classes: logits of each head.
        dropout: share of the vector's values dropped before each head while training, for each head on its own.
        only_size: (height, width) of the only images the encoder takes; others are brought to it.
        smallest: smallest side the encoder takes; smaller images are enlarged to it.
        stride: sides must be multiples of it; images are enlarged to the next ones.
    """

    def __init__(
        self,
        encoder: nn.Module,
        width: int,
        classes: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        *,
        dropout: float = 0.0,
        only_size: tuple[int, int] | None = None,
        smallest: int = 1,
        stride: int = 1,
    ):
        super().__init__(mean, std)
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleList(nn.Linear(width, count) for count in classes)
        self.only_size = only_size
        self.smallest = smallest
        self.stride = stride
        tolerate_single_values(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images N x channels x H x W to logits N x sum(classes), heads side by side."""
        vectors = self.encoder(self._sized(images))
        return torch.cat([head(self.dropout(vectors)) for head in self.heads], dim=1)

    def encoder_modules(self) -> list[nn.Module]:
        """The encoder."""
        return [self.encoder]

    def _sized(self, images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[-2:]
        size = self.only_size or (self._side(height), self._side(width))
        if size == (height, width):
            return images
        return functional.interpolate(images, size, mode="bilinear", antialias=True)

    def _side(self, side: int) -> int:
        return -max(side, self.smallest) // self.stride * -self.stride


class OwnClassifier(WrappedNetwork):
    """A classification network of the user's own."""

    def __init__(
        self, name: str, network: nn.Module, classes: Sequence[int], mean: Sequence[float], std: Sequence[float]
    ):
        super().__init__(name, network, mean, std)
        self.classes = tuple(classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images N x channels x H x W to logits N x sum(classes).

        Raises:
            ModelError: the network returned neither such logits nor one tensor of logits for each head.
        """
        returned = self.network(images)
        count = images.shape[0]
        if isinstance(returned, list | tuple):
            parts, wanted = list(returned), [(count, size) for size in self.classes]
        else:
            parts, wanted = [returned], [(count, sum(self.classes))]
        found = [tuple(part.shape) if isinstance(part, torch.Tensor) else type(part).__name__ for part in parts]
        if found != wanted:
            heads = f", or a list of one tensor per head, {_listed((count, size) for size in self.classes)}"
            raise ModelError(
                f"{self.name} returned {_listed(found)} for images {tuple(images.shape)}; it must return logits "
                f"{(count, sum(self.classes))}: batch x classes{heads if len(self.classes) > 1 else ''}"
            )
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _listed(values: Any) -> str:
    return ", ".join(map(str, values))


def build_classifier(
    architecture: str,
    *,
    weights: str | None = "imagenet",
    in_channels: int = 3,
    classes: Sequence[int],
    pooling: str | None = None,
    dropout: float = 0.0,
    options: Mapping[str, Any] | None = None,
    copy_weights: bool = False,
    pretrained: bool = True,
    shape: Sequence[int] | None = None,
    activation: str | Sequence[str] | None = None,
) -> ImageNetwork:
    """Build a network that maps images to logits.

    What is not loaded is drawn from torch's generator, so one seed gives one network.

    Args:
        architecture: a documented name (:func:`musket.models.classifier_catalogue.networks`), any name of timm with or
            without the tag of its weights, or one of the user's own.
        weights: ``imagenet`` (the library's default weights), another name of weights this network has, or None for
            random ones.
        in_channels: channels of the images, at least 1. Weights trained on three are adapted by the rule of
            :func:`musket.models.input_channels.adapt_kernel`.
        classes: logits of each head, at least 1.
        pooling: "avg" or "max", how the last feature map becomes a vector; None for the network's own way.
        dropout: share of the vector's values dropped before each last layer, 0..1.
        options: options of the network, for instance ``drop_path_rate`` (stochastic depth, arXiv:1603.09382).
        copy_weights: channels beyond the third start as copies of the third, not as zeros.
        pretrained: False builds the same network but loads nothing, for when trained weights follow.
        shape: [height, width, channels] of the experiment; only handed to networks of the user's own.
        activation: name of the last activation, one per head if there are several; likewise. Networks give logits all
            the same.

    Raises:
        RegistryError: there is no such network.
        ModelError: options or pooling do not fit it, or the weights cannot be had.
    """
    entry = CLASSIFIERS.get(architecture)
    values, faults = bind(entry, (), options or {}, supplied=CLASSIFIER_ROOT_NAMES)
    if faults:
        raise ModelError(". ".join(f"{fault.option or entry.name}: {fault.message}" for fault in faults))
    library = entry.facts.get("library")
    if library is None:
        given = {
            "shape": shape,
            "input_shape": shape,
            "in_channels": in_channels,
            "classes": classes[0] if len(classes) == 1 else list(classes),
            "activation": activation,
            "weights": weights if pretrained else None,
            "pooling": pooling,
            "dropout": dropout,
            "copy_weights": copy_weights,
        }
        return _own_network(entry, given, values, classes)
    wanted = weights if pretrained else None
    if library == "pytorchcv":
        model, (mean, std), size = "", IMAGENET, None
        encoder = entry.load()(in_channels, wanted, pooling, copy_weights)
    else:
        assert isinstance(entry, TimmEntry), "the two libraries of networks"
        model = entry.model if weights is None else timm_weights(entry.model, weights, key="weights")
        model = model.removeprefix("tu-")
        encoder = _timm_encoder(entry, model, in_channels, pooling, values, load=wanted is not None, copy=copy_weights)
        (mean, std), size = normalization(model, weights), only_size(model)
    return Classifier(
        encoder,
        width_of(encoder),
        classes,
        adapt_values(mean, in_channels),
        adapt_values(std, in_channels),
        dropout=dropout,
        only_size=size,
        smallest=INCEPTION_SIDE if model.startswith("inception") else 1,
        stride=stride_of(encoder),
    )


def _timm_encoder(
    entry: Entry,
    model: str,
    in_channels: int,
    pooling: str | None,
    options: Mapping[str, Any],
    *,
    load: bool,
    copy: bool,
) -> nn.Module:
    """An encoder, with its pretrained weights brought to the number of channels if they are to be loaded."""
    try:
        if not load:
            return timm_encoder(model, in_channels, pooling, options, pretrained=False)
        remark = licence_remark(model)
        if remark:
            warnings.warn(remark, stacklevel=3)
        with fetching(f"of {model}", key="weights"):
            trained = timm_encoder(model, PRETRAINED, pooling, options, pretrained=True)
        if in_channels == PRETRAINED:
            return trained
        encoder = timm_encoder(model, in_channels, pooling, options, pretrained=False)
        load_adapted(encoder, trained, in_channels, copy=copy, key="weights")
        return encoder
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, AssertionError) as error:
        given = f" with {dict(options)}" if options else ""
        raise ModelError(f"{entry.name} cannot be built{given}: {_first_line(error)}") from error


def _own_network(
    entry: Entry, given: Mapping[str, Any], options: Mapping[str, Any], classes: Sequence[int]
) -> ImageNetwork:
    build = entry.load()
    parameters = inspect.signature(build).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    arguments = {
        key: value for key, value in given.items() if key in parameters or (takes_any and key != "input_shape")
    }
    network = build(**arguments, **options)
    if not isinstance(network, nn.Module):
        raise ModelError(f"{entry.name} must return a torch module giving logits; it returned {type(network).__name__}")
    channels = given["in_channels"]
    return OwnClassifier(entry.name, network, classes, (0.0,) * channels, (1.0,) * channels)


def trial(architecture: str, options: Mapping[str, Any], pooling: str | None = None) -> str | None:
    """Build a network without data ("meta" device) and run it once; what went wrong, as a sentence, or None."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = build_classifier(architecture, weights=None, classes=(2,), pooling=pooling, options=options)
            network(torch.empty(2, 3, 96, 160))
    except (ModelError, ValueError, TypeError, RuntimeError, AssertionError) as error:
        return f"{architecture} does not work: {_first_line(error)}"
    return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
