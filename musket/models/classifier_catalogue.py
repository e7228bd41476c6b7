"""Names of classification networks. Imports no torch.

The names of the old documentation are answered from the table here, in any letter case. Every other name is looked up
in timm (https://huggingface.co/docs/timm), which takes a few seconds the first time.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from musket.core.errors import ModelError, MusketError
from musket.core.registry import Entry, Registry, RegistryDict, nearest

CLASSIFIER_ROOT_NAMES = frozenset(
    {"shape", "input_shape", "in_channels", "classes", "activation", "weights", "copy_weights", "pooling", "dropout"}
)
"""Parameters of a network that are filled from the experiment; its other parameters are its options.

``input_shape`` is the old name of ``shape`` ([height, width, channels]), ``in_channels`` is its last number, and
``copy_weights`` is ``copyWeights``.
"""

UNTRAINED = frozenset({"resnetv2_152"})
"""timm names of the table here for which nobody publishes weights."""


@dataclass(frozen=True)
class TimmEntry(Entry):
    """A network of timm. Its options are the parameters of the class behind the name."""

    @property
    def model(self) -> str:
        """What timm calls the network, with the tag of its weights if one was given."""
        return str(self.facts["timm"])

    def signature(self) -> inspect.Signature:
        """Options of the network. Imports torch, and builds the network without data once."""
        from musket.models.timm_networks import signature

        return signature(self.model)


class Networks(Registry):
    """The names of the table and of the user's own networks, and behind them every name of timm."""

    def __contains__(self, name: object) -> bool:
        return self.documents(name) or _in_timm(str(name)) is not None

    def documents(self, name: object) -> bool:
        """Whether a name is registered here; timm is not asked."""
        return super().__contains__(name)

    def get(self, name: str) -> Entry:
        """The entry of a name. Raises RegistryError naming the nearest entries."""
        if self.documents(name):
            entry = super().get(name)
            return TimmEntry(entry.name, entry.target, entry.summary, entry.facts) if "timm" in entry.facts else entry
        model = _in_timm(str(name))
        if model is None:
            return super().get(name)  # raises
        return TimmEntry(str(name), _TIMM, "A network of timm.", {"library": "timm", "timm": model})

    def miss(self, name: object) -> str:
        """The sentence for an unknown name, which timm was asked for already."""
        import timm

        near = nearest(str(name), [*self.spellings(), *timm.list_models()], 5)
        hint = f"nearest: {', '.join(near)} " if near else ""
        return f"no such {self.kind} {name!r}; {hint}(all: musket ls {self.plural}; every timm model works too)"


_TIMM = "musket.models.timm_networks:timm_encoder"

CLASSIFIERS = Networks("network")

classifier_models = RegistryDict(CLASSIFIERS)
"""Networks of the user's own: ``custom_models["MyNet"] = build``. See :data:`CLASSIFIER_ROOT_NAMES`."""


def _fill() -> None:
    for name, model, summary in (
        ("ResNet18", "resnet18", "Residual network of 18 layers (arXiv:1512.03385); small and quick."),
        ("ResNet34", "resnet34", "Residual network of 34 layers; a good first choice."),
        ("ResNet50", "resnet50", "Residual network of 50 layers."),
        ("ResNet101", "resnet101", "Residual network of 101 layers."),
        ("ResNet152", "resnet152", "Residual network of 152 layers; heavy."),
        ("ResNet50V2", "resnetv2_50", "ResNet50 that normalises before its convolutions (arXiv:1603.05027)."),
        ("ResNet101V2", "resnetv2_101", "ResNet101 that normalises before its convolutions."),
        ("ResNet152V2", "resnetv2_152", "ResNet152 that normalises before its convolutions; no weights published."),
        ("ResNeXt50", "resnext50_32x4d", "ResNet50 with grouped convolutions (arXiv:1611.05431)."),
        # timm's default weights of it are not for commercial use
        ("ResNeXt101", "resnext101_32x4d.gluon_in1k", "ResNet101 with grouped convolutions."),
        ("SEResNet18", "legacy_seresnet18", "ResNet18 with squeeze-and-excitation (arXiv:1709.01507)."),
        ("SEResNet34", "legacy_seresnet34", "ResNet34 with squeeze-and-excitation."),
        ("SEResNet50", "legacy_seresnet50", "ResNet50 with squeeze-and-excitation."),
        ("SEResNet101", "legacy_seresnet101", "ResNet101 with squeeze-and-excitation."),
        ("SEResNet152", "legacy_seresnet152", "ResNet152 with squeeze-and-excitation."),
        ("SEResNeXt50", "legacy_seresnext50_32x4d", "ResNeXt50 with squeeze-and-excitation."),
        ("SEResNeXt101", "legacy_seresnext101_32x4d", "ResNeXt101 with squeeze-and-excitation."),
        ("SENet154", "legacy_senet154", "The largest squeeze-and-excitation network; heavy."),
        ("VGG16", "vgg16", "Plain convolutions, 16 layers (arXiv:1409.1556), less the two fully connected ones."),
        ("VGG19", "vgg19", "Plain convolutions, 19 layers, less the two fully connected ones."),
        ("InceptionV3", "inception_v3", "Parallel convolutions of several sizes (arXiv:1512.00567)."),
        ("InceptionResNetV2", "inception_resnet_v2", "Inception with residual connections (arXiv:1602.07261); heavy."),
        ("Xception", "legacy_xception", "Depthwise separable convolutions (arXiv:1610.02357)."),
        (
            "MobileNet",
            "mobilenetv1_100",
            "MobileNet v1 (arXiv:1704.04861), with timm's own ImageNet weights: small and quick.",
        ),
        ("MobileNetV2", "mobilenetv2_100", "MobileNet v2 (arXiv:1801.04381): small and quick, the usual choice."),
        ("DenseNet121", "densenet121", "Every layer sees all before it (arXiv:1608.06993); 121 layers."),
        ("DenseNet169", "densenet169", "Every layer sees all before it; 169 layers."),
        ("DenseNet201", "densenet201", "Every layer sees all before it; 201 layers."),
        ("NASNetLarge", "nasnetalarge", "Found by search (arXiv:1707.07012); very heavy."),
    ):
        CLASSIFIERS.add(name, _TIMM, summary, library="timm", timm=model)
    CLASSIFIERS.add(
        "NASNetMobile",
        "musket.models.nasnet_mobile:nasnet_mobile",
        "Found by search, the small one, with pytorchcv's ImageNet weights; needs the extra musket[nasnet].",
        library="pytorchcv",
    )


_fill()

README_NETWORKS = (
    *("ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152", "ResNeXt50", "ResNeXt101", "VGG16", "VGG19"),
    *("InceptionV3", "InceptionResNetV2", "Xception", "MobileNet", "MobileNetV2"),
    *("DenseNet121", "DenseNet169", "DenseNet201", "NASNetMobile", "NASNetLarge"),
)
"""Networks the old documentation promises."""


def networks() -> dict[str, str]:
    """Documented names, each with the library network behind it; any timm name works besides."""
    listed = {entry.name: entry.facts for entry in CLASSIFIERS.entries() if "library" in entry.facts}
    return {name: facts.get("timm", f"nasnet_4a1056 of {facts['library']}") for name, facts in listed.items()}


def _in_timm(name: str) -> str | None:
    """A name as timm spells it, the tag of weights kept; None where timm has no such network."""
    from musket.models.encoders import timm_name

    return timm_name(name.strip().lower())


def check_network(name: str, options: Mapping[str, Any] | None = None, pooling: str | None = None) -> str | None:
    """What is wrong with a network, its options or its pooling, as a sentence; None when it can be built.

    Documented names without options are answered at once. Others are built and run once without any data ("meta"
    device), which takes seconds. Networks of the user's own are not built.
    """
    try:
        entry = CLASSIFIERS.get(name)
    except MusketError as error:
        return str(error)
    library = entry.facts.get("library")
    if library == "pytorchcv" and importlib.util.find_spec("pytorchcv") is None:
        return needs_pytorchcv(entry.name)
    if library is None or (CLASSIFIERS.documents(name) and not options):
        return None
    from musket.models.classifiers import trial

    return trial(entry.name, options or {}, pooling)


def needs_pytorchcv(name: str) -> str:
    """The sentence for a network whose library is not installed."""
    return (
        f"{name} comes from pytorchcv, which is not installed: pip install musket[nasnet]. Networks of its size that "
        "need nothing else: MobileNetV2, mnasnet_100"
    )


def check_network_weights(weights: str | None, name: str) -> str | None:
    """What is wrong with ``weights`` for a network that passed :func:`check_network`; None when nothing is.

    Nothing is fetched: the weights are known by name.
    """
    if weights is None:
        return None
    entry = CLASSIFIERS.get(name)
    try:
        if entry.facts.get("library") == "pytorchcv":
            check_pytorchcv_weights(weights, entry.name)
        elif isinstance(entry, TimmEntry):
            known = CLASSIFIERS.documents(name) and entry.model not in UNTRAINED
            if weights != "imagenet" or not known:
                from musket.models.encoders import timm_weights

                timm_weights(entry.model, weights, key="weights")
    except ModelError as error:
        return str(error)
    return None


def check_pytorchcv_weights(weights: str | None, name: str) -> None:
    """Raises ModelError unless these are weights pytorchcv has."""
    if weights not in (None, "imagenet"):
        raise ModelError(f"{name} has no weights {weights!r}; it has imagenet. Set weights: null for random weights")
