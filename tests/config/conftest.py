"""Small registries in place of the real ones: what is tested here is the check, not the vocabulary."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge

from musket.config.check import Vocabulary
from musket.core.registry import Registry


@dataclass(frozen=True)
class Term:
    name: str
    weight: float = 1.0


def parse_loss(text: str) -> list[Term]:
    """name, or number*name, joined by +."""
    terms = []
    for part in text.split("+"):
        match = re.fullmatch(r"(?:([0-9.]+)\*)?([a-z_]\w*)", part.strip())
        if match is None:
            raise ValueError(f"loss {text!r} cannot be read")
        terms.append(Term(match[2], float(match[1] or 1)))
    return terms


def check_loss(text: str, activation: str, **_: object) -> None:
    if "lovasz" in text and activation == "softmax":
        raise ValueError("lovasz_loss contradicts activation softmax")


class EarlyStopping:
    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 0,
        mode: Literal["auto", "min", "max"] = "auto",
        min_delta: float = 0.0,
        restore: bool = False,
    ): ...


class Cycle:
    def __init__(self, base_lr: float, max_lr: float, step_size: Annotated[int, Ge(1)] = 2000, then: Any = None): ...


class Fliplr:
    def __init__(self, p: float = 1.0): ...


class Affine:
    def __init__(self, scale: float | tuple[float, float] = 1.0, rotate: float | tuple[float, float] = 0.0): ...


class Snapshot:
    def __init__(self, *names: str, **options: Any): ...


def unet(
    backbone: str,
    classes: int,
    in_channels: int,
    *,
    decoder_filters: list[int] = [256, 128],  # noqa: B006
    use_batchnorm: bool = True,
    kind: Literal["upsampling", "transpose"] = "upsampling",
) -> None: ...


def network(classes: int, *, width: int = 1, drop_path_rate: float = 0.0) -> None: ...


def own_net(shape: tuple[int, int, int], classes: int, width: int) -> None: ...


def get_train(folder: str = "train", *, size: int = 3) -> list[int]:
    return [len(folder)] * size


def make_vocabulary() -> Vocabulary:
    registries = {
        kind: Registry(*names)
        for kind, names in {
            "architectures": ("architecture",),
            "losses": ("loss", "losses"),
            "metrics": ("metric",),
            "optimizers": ("optimizer",),
            "callbacks": ("callback",),
            "augmenters": ("augmenter",),
            "activations": ("activation",),
            "datasets": ("dataset",),
            "networks": ("network",),
        }.items()
    }
    # what is named by text counts as built in
    registries["architectures"].add("Unet", f"{__name__}:unet", "a decoder", aliases=("UNet-old",))
    registries["architectures"].add("own_net", own_net)
    registries["networks"].add("resnet34", f"{__name__}:network", "a network")
    for name in ("binary_crossentropy", "dice_loss", "lovasz_loss"):
        registries["losses"].add(name, object(), f"{name} in a line", mode="min")
    for name, mode in (("binary_accuracy", "max"), ("dice", "max"), ("mse", "min"), ("mine", None)):
        registries["metrics"].add(name, object(), mode=mode)
    registries["metrics"].add("iou", object(), aliases=("iou_coef",), mode="max")
    for name in ("Adam", "SGD"):
        registries["optimizers"].add(name, object())
    for callback in (EarlyStopping, Cycle, Snapshot):
        registries["callbacks"].add(callback.__name__, callback)
    for augmenter in (Fliplr, Affine):
        registries["augmenters"].add(augmenter.__name__, augmenter)
    for name in ("sigmoid", "softmax"):
        registries["activations"].add(name, object())
    registries["activations"].add("linear", object(), aliases=("none",))
    registries["datasets"].add("get_train", get_train)
    return Vocabulary(
        **registries,
        parse_loss=parse_loss,
        check_loss=check_loss,
        check_encoder=lambda encoder, architecture, options: (
            f"no such backbone {encoder}" if "resnet" not in encoder else None
        ),
        check_weights=lambda weights, encoder, architecture, options: (
            f"no weights {weights}" if weights == "bad" else None
        ),
        supplied=frozenset({"in_channels"}),
    )


@pytest.fixture(scope="session")
def words() -> Vocabulary:
    return make_vocabulary()
