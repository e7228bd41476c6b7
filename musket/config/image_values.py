"""Kinds of values only the image pipelines have: cells of large images, normalisation of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from musket.config.values import fault, number, whole

Blend: TypeAlias = Literal["linear", "cosine", "none"]


@dataclass(frozen=True)
class Crops:
    """Cells of an image.

    Attributes:
        cells: n: an image is cut into n x n cells.
        overlap: share of a cell's side that neighbours share, 0 up to 0.9; it adds cells, whose size stays.
        blend: how overlapping predictions are weighted: falling toward the edges of a cell (linear, cosine), or evenly.
    """

    cells: int
    overlap: float = 0.0
    blend: Blend = "linear"

    def show(self) -> Any:
        if not self.overlap and self.blend == "linear":
            return self.cells
        return {"cells": self.cells, "overlap": self.overlap, "blend": self.blend}


def _crops(value: Any) -> Crops:
    if not isinstance(value, Mapping):
        return _crops({"cells": whole(value)})
    unknown = [key for key in value if key not in ("cells", "overlap", "blend")]
    if unknown:
        raise fault("no such option; crops takes cells, overlap and blend", str(unknown[0]))
    if "cells" not in value:
        raise fault("needs cells: how many cells per side")
    cells = _at("cells", whole, value["cells"])
    overlap = _at("overlap", number, value.get("overlap", 0.0))
    blend = value.get("blend", "linear")
    if not 1 <= cells <= 256:
        raise fault("must be from 1 to 256 cells per side", *(["cells"] if len(value) > 1 else []))
    if not 0 <= overlap <= 0.9:
        raise fault("must be from 0 to 0.9", "overlap")
    if blend not in get_args(Blend):
        raise fault(f"must be {', '.join(get_args(Blend))}", "blend")
    return Crops(cells, overlap, blend)


def _at(key: str, read: Any, value: Any) -> Any:
    try:
        return read(value)
    except PydanticCustomError as error:
        raise fault(str((error.context or {})["message"]), key) from None


@dataclass(frozen=True)
class InputNormalization:
    """Mean and deviation of the inputs, for images scaled to 0..1: one number for all channels, or one per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def show(self) -> Any:
        return {"mean": list(self.mean), "std": list(self.std)}

    def of(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of each channel."""
        mean, std = (values * channels if len(values) == 1 else values for values in (self.mean, self.std))
        return mean, std


def _normalize(value: Any) -> InputNormalization:
    if value is False:
        return InputNormalization((0.0,), (1.0,))
    if not isinstance(value, Mapping) or set(value) != {"mean", "std"}:
        raise fault("must be {mean: [...], std: [...]} for values scaled to 0..1, or false for no normalisation")
    mean, std = (
        tuple(_at(key, number, item) for item in (given if isinstance(given, list | tuple) else [given]))
        for key, given in (("mean", value["mean"]), ("std", value["std"]))
    )
    if not mean or len(mean) != len(std):
        raise fault("mean and std must be as many: one number each, or one per channel")
    if min(std) <= 0:
        raise fault("must be above 0", "std")
    return InputNormalization(mean, std)


def _cache(value: Any) -> bool | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise fault("must be true, false, or a folder")


CropsValue: TypeAlias = Annotated[
    Crops,
    PlainValidator(_crops),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 256},
                {
                    "type": "object",
                    "properties": {
                        "cells": {"type": "integer", "minimum": 1, "maximum": 256},
                        "overlap": {"type": "number", "minimum": 0, "maximum": 0.9},
                        "blend": {"enum": list(get_args(Blend))},
                    },
                    "required": ["cells"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
_NUMBERS = {"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}, "minItems": 1}]}
NormalizeValue: TypeAlias = Annotated[
    InputNormalization,
    PlainValidator(_normalize),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": False},
                {
                    "type": "object",
                    "properties": {"mean": _NUMBERS, "std": _NUMBERS},
                    "required": ["mean", "std"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
CacheValue: TypeAlias = Annotated[bool | str, PlainValidator(_cache), WithJsonSchema({"type": ["boolean", "string"]})]
