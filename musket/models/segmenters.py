"""Segmentation networks: any architecture on any encoder, for images of any size and number of channels."""

from __future__ import annotations

import contextlib
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from musket.config.bind import Fault, bind
from musket.core.errors import ModelError
from musket.models.architectures import OPTIONS
from musket.models.batch_norm import tolerate_single_values
from musket.models.catalogue import (
    ARCHITECTURES,
    ROOT_NAMES,
    SMP_ENCODERS,
    STAND_INS,
    library_name,
    resolve_encoder,
)
from musket.models.encoders import INCEPTION_SIDE, any_size, normalization
from musket.models.input_channels import PRETRAINED, adapt_values
from musket.models.network import ImageNetwork, WrappedNetwork
from musket.models.weights import Source, fetching, find_source, load_adapted, load_voc

PAN_SIDE = 8
"""PAN halves the encoder's last features three times."""


class EncoderDecoder(ImageNetwork):
    """Encoder, decoder and head of a library network, for inputs of any size.

    Inputs whose sides are no whole strides are padded at the right and the bottom by repeating the last column and row,
    and the logits cropped back; other inputs cost nothing extra. State keys are those of the library: ``encoder.``,
    ``decoder.`` and ``segmentation_head.``.

    Args:
        network: an smp network.
        stride: sides of the input must be multiples of it.
        smallest: smallest side the network can take.
        mend: bring features to the sizes the decoder expects; for encoders that do not halve evenly.
    """

    def __init__(
        self, network: Any, mean: Sequence[float], std: Sequence[float], stride: int, smallest: int, *, mend: bool
    ):
        super().__init__(mean, std)
        self.encoder = network.encoder
        self.decoder = network.decoder
        self.segmentation_head = network.segmentation_head
        self.stride = stride
        self.smallest = smallest
        self.mend = mend
        tolerate_single_values(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images N x channels x H x W to logits N x classes x H x W."""
        height, width = images.shape[-2:]
        inputs = self._padded(images)
        features = self.encoder(inputs)
        if isinstance(features, tuple):  # a plain transformer: maps, and the tokens beside them
            decoded = self.decoder(*features)
        else:
            decoded = self.decoder(self._mended(features, inputs) if self.mend else features)
        logits = self.segmentation_head(decoded)
        return logits if inputs is images else logits[..., :height, :width]

    def encoder_modules(self) -> list[nn.Module]:
        """The encoder."""
        return [self.encoder]

    def _padded(self, images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[-2:]
        smallest = self.smallest
        if self.training and images.shape[0] == 1:  # one image must leave every normalisation more than one value
            smallest += self.stride
        bottom = -max(height, smallest) // self.stride * -self.stride - height
        right = -max(width, smallest) // self.stride * -self.stride - width
        return functional.pad(images, (0, right, 0, bottom), mode="replicate") if bottom or right else images

    def _mended(self, features: list[torch.Tensor], inputs: torch.Tensor) -> list[torch.Tensor]:
        height, width = inputs.shape[-2:]
        mended = []
        for level, feature in enumerate(features):
            shrink = min(2**level, self.encoder.output_stride)
            size = (height // shrink, width // shrink)
            if tuple(feature.shape[-2:]) != size:
                feature = functional.interpolate(feature, size, mode="bilinear")
            mended.append(feature)
        return mended


class OwnSegmenter(WrappedNetwork):
    """A segmentation network of the user's own."""

    def __init__(self, name: str, network: nn.Module, classes: int, mean: Sequence[float], std: Sequence[float]):
        super().__init__(name, network, mean, std)
        self.classes = classes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images N x channels x H x W to logits N x classes x H x W."""
        logits = self.network(images)
        if isinstance(logits, list | tuple) and all(isinstance(each, torch.Tensor) for each in logits):
            logits = torch.cat(list(logits), dim=1)  # one tensor per output
        wanted = (images.shape[0], self.classes, *images.shape[-2:])
        if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != wanted:
            found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise ModelError(
                f"{self.name} returned {found} for images {tuple(images.shape)}; it must return logits {wanted}: "
                "batch x classes x height x width of its input"
            )
        return logits


def build_segmenter(
    architecture: str,
    *,
    encoder: str | None,
    encoder_weights: str | None = "imagenet",
    in_channels: int = 3,
    classes: int,
    options: Mapping[str, Any] | None = None,
    copy_weights: bool = False,
    pretrained: bool = True,
    shape: Sequence[int] | None = None,
    activation: str | None = None,
) -> ImageNetwork:
    """Build a network that maps images to logits of the same size.

    What is not loaded is drawn from torch's generator, so one seed gives one network.

    Args:
        architecture: a name of :data:`musket.models.catalogue.ARCHITECTURES`, built-in or the user's own.
        encoder: its backbone, by any name :func:`musket.models.catalogue.resolve_encoder` knows; None only where an
            architecture of the user's own needs none.
        encoder_weights: ``imagenet`` (the library's default weights), another name of weights this encoder has,
            ``pascal_voc`` for DeepLabV3, or None for random ones.
        in_channels: channels of the images, at least 1. Weights trained on three are adapted by the rule of
            :func:`musket.models.input_channels.adapt_kernel`.
        classes: channels of the logits, at least 1.
        options: options of the architecture.
        copy_weights: channels beyond the third start as copies of the third, not as zeros.
        pretrained: False builds the same network but loads nothing, for when trained weights follow.
        shape: [height, width, channels] of the experiment; only handed to architectures of the user's own.
        activation: name of the last activation; likewise. Networks give logits all the same.

    Raises:
        RegistryError: there is no such architecture.
        ModelError: encoder or options do not fit it, or the weights cannot be had.
    """
    entry = ARCHITECTURES.get(architecture)
    values, faults = bind(entry, (), options or {}, supplied=ROOT_NAMES)
    if faults:
        raise ModelError(
            ". ".join(f"{fault.option or entry.name}: {fault.message}" for fault in faults) + _hint(faults)
        )
    if library_name(entry.name) is None:
        given = {
            "backbone": encoder,
            "backbone_name": encoder,
            "encoder_weights": encoder_weights if pretrained else None,
            "in_channels": in_channels,
            "classes": classes,
            "shape": shape,
            "input_shape": shape,
            "activation": activation,
        }
        return _own_network(entry.name, entry.load(), given, values)
    if encoder is None:
        raise ModelError(f"{entry.name} needs a backbone, for instance backbone: resnet34")
    if encoder.lower() in STAND_INS:
        warnings.warn(STAND_INS[encoder.lower()], stacklevel=2)
    source = find_source(resolve_encoder(encoder, entry.name, values), encoder_weights, entry.name)
    if pretrained and source.remark:
        warnings.warn(source.remark, stacklevel=2)
    if source.encoder not in SMP_ENCODERS:
        values["encoder_options"] = any_size(source.encoder) | (values.get("encoder_options") or {})
    build = functools.partial(_quietly, entry.load(), source.encoder, classes=classes, **values)
    try:
        network = _loaded(build, source, in_channels, copy=copy_weights) if pretrained else build(None, in_channels)
        if pretrained and source.voc:
            load_voc(network, source.encoder, in_channels, classes, copy=copy_weights)
    except (ValueError, TypeError, KeyError, RuntimeError, AssertionError) as error:
        raise ModelError(f"{entry.name} cannot be built with backbone {encoder}: {error}") from error
    mean, std = (adapt_values(values, in_channels) for values in normalization(source.encoder, source.weights))
    stride, smallest = _sides(entry.name, source.encoder, network)
    return EncoderDecoder(network, mean, std, stride, smallest, mend=source.encoder not in SMP_ENCODERS)


def _quietly(build: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call ``build``; smp's advice against its own older names is not for users of ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`timm-` encoders are deprecated", DeprecationWarning)
        return build(*args, **kwargs)


def _loaded(build: Callable[..., Any], source: Source, in_channels: int, *, copy: bool) -> Any:
    """A library network whose encoder has its pretrained weights, brought to the number of channels."""
    if source.tag is None:
        return build(None, in_channels)
    if in_channels == PRETRAINED:
        with fetching(source.title):
            return build(source.tag, in_channels)
    network = build(None, in_channels)
    with fetching(source.title):
        twin = build(source.tag, PRETRAINED)
    load_adapted(network.encoder, twin.encoder, in_channels, copy=copy)
    return network


def _hint(faults: list[Fault]) -> str:
    meanings = [OPTIONS[fault.option] for fault in faults if fault.option in OPTIONS]
    return f". {' '.join(meanings)}" if meanings else ""


MODERN_NAMES = ("backbone", "encoder_weights", "in_channels", "classes", "shape", "activation")
"""What an architecture with ``**parameters`` is handed; the old spellings only go where they are named."""


def _own_network(name: str, build: Any, given: Mapping[str, Any], options: Mapping[str, Any]) -> ImageNetwork:
    parameters = inspect.signature(build).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    arguments = {key: value for key, value in given.items() if key in parameters or (takes_any and key in MODERN_NAMES)}
    network = build(**arguments, **options)
    if not isinstance(network, nn.Module):
        raise ModelError(f"{name} must return a torch module giving logits; it returned {type(network).__name__}")
    mean, std = (0.0,) * PRETRAINED, (1.0,) * PRETRAINED
    if given["backbone"] is not None:
        with contextlib.suppress(ModelError):  # a backbone of the user's own
            mean, std = normalization(resolve_encoder(given["backbone"]), given["encoder_weights"])
    channels = given["in_channels"]
    return OwnSegmenter(name, network, given["classes"], adapt_values(mean, channels), adapt_values(std, channels))


def _sides(architecture: str, encoder: str, network: Any) -> tuple[int, int]:
    """Stride and smallest side of the inputs a library network can take as they are."""
    stride = network.encoder.output_stride
    if architecture == "DPT":  # its decoder halves the last of the maps it makes from the transformer's
        stride = max(stride, 2 ** (len(network.encoder.out_channels) + 1))
    if architecture == "PAN":
        return stride, PAN_SIDE * stride
    inception = encoder.startswith(("tu-inception_v", "tu-inception_resnet"))
    return stride, INCEPTION_SIDE if inception else stride


def trial(architecture: str, encoder: str, options: Mapping[str, Any]) -> str | None:
    """Build a network without data ("meta" device) and run it once; what went wrong, as a sentence, or None."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = build_segmenter(architecture, encoder=encoder, encoder_weights=None, classes=2, options=options)
            network(torch.empty(2, 3, 96, 160))
    except (ModelError, ValueError, TypeError, RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        return f"{architecture} does not work with backbone {encoder}: {reason}"
    return None
