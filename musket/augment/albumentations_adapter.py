"""Transforms of albumentations by class name, where that package is installed (``pip install musket[albumentations]``).

Only the MIT-licensed package of that name is used; its successor under AGPL, imported by the same name, is not.
"""

from __future__ import annotations

import copy
import functools
import importlib
import importlib.metadata
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from musket.augment.own import checked_image, checked_pair
from musket.augment.pixels import in_depth
from musket.augment.ranges import draw_seed
from musket.augment.steps import Frame, ImagePass, Pass, Step, top_of
from musket.core.errors import MusketError
from musket.core.registry import Entry

INSTALL = "pip install musket[albumentations]"


@functools.cache
def unavailable() -> str | None:
    """Why transforms of albumentations cannot be named here; None when they can. Imports nothing."""
    try:
        importlib.metadata.version("albumentationsx")
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        return "the installed albumentationsx (AGPL) is not used; uninstall it, then: " + INSTALL
    try:
        importlib.metadata.version("albumentations")
    except importlib.metadata.PackageNotFoundError:
        return f"transforms of albumentations can be named too after: {INSTALL}"
    return None


@functools.cache
def _library() -> ModuleType:
    # Else it asks the package index for a newer version when it is imported.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    return importlib.import_module("albumentations")


def albumentations_entry(name: str) -> Entry | None:
    """The entry of a transform by its class name, letter case ignored; None when there is none or no albumentations.

    Imports albumentations where it is installed, which takes a second or two.
    """
    found = None if unavailable() else _class_name(name)
    if found is None:
        return None
    summary = (inspect.getdoc(getattr(_library(), found)) or "").partition("\n")[0]
    return Entry(found, f"{__name__}:{found}", summary)


def _class_name(name: str) -> str | None:
    library = _library()
    names = {known.lower(): known for known in dir(library) if _is_transform(getattr(library, known))}
    return names.get(name.lower())


def _is_transform(value: Any) -> bool:
    library = _library()
    bases = (library.BasicTransform, library.DualTransform, library.ImageOnlyTransform, library.Transform3D)
    return (
        inspect.isclass(value)
        and issubclass(value, (library.DualTransform, library.ImageOnlyTransform))
        and not issubclass(value, library.Transform3D)
        and value not in bases
    )


def __getattr__(name: str) -> TransformFactory:
    """``albumentations_adapter.GaussNoise``: what the entry of that name points at."""
    if name.startswith("_") or unavailable() or _class_name(name) != name:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return TransformFactory(name)


@dataclass(frozen=True)
class TransformFactory:
    """Options -> operation, with the signature of the transform."""

    name: str

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return inspect.getdoc(getattr(_library(), self.name))

    @property
    def __signature__(self) -> inspect.Signature:
        transform = getattr(_library(), self.name)
        signature = inspect.signature(transform)
        names = vars(sys.modules[transform.__module__])
        # The package keeps signatures as text, which inspect then does not resolve.
        parameters = [
            p.replace(annotation=eval(p.annotation, names)) if isinstance(p.annotation, str) else p
            for p in signature.parameters.values()
        ]
        return signature.replace(parameters=parameters, return_annotation=signature.empty)

    def __call__(self, **options: Any) -> Albumentation:
        return Albumentation(self.name, options)


@dataclass(frozen=True)
class Albumentation:
    """A transform of albumentations as an operation.

    It takes 8-bit and float images; 16-bit ones are handed to it as floats 0..1 and brought back. What it returns is
    checked like the results of users' own augmenters.

    Attributes:
        name: its class.
        options: its arguments by name; ``p`` is 0.5 unless given, as it is there.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    _made: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            made = getattr(_library(), self.name)(**self.options)
        except (ValueError, TypeError) as error:
            raise MusketError(f"{self.name}: {_told(error)}") from None
        wanted = [name for name in made.targets_as_params if name not in ("image", "mask")]
        if wanted:
            raise MusketError(f"{self.name}: wants {', '.join(wanted)} with every image, which a config cannot give")
        object.__setattr__(self, "_made", made)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        seed = draw_seed(random)
        if isinstance(self._made, _library().ImageOnlyTransform):
            return [ImagePass(lambda image: self._run(seed, image, None)[0])]
        return [Pass(lambda image, mask: self._run(seed, image, mask))]

    def _run(self, seed: int, image: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        # A copy, because a transform keeps its generators and last draw in itself, and threads would share them.
        transform = copy.copy(self._made)
        transform.set_random_seed(seed)
        deep = image.dtype.kind == "u" and image.dtype != np.uint8
        given = image.astype(np.float32) / np.float32(top_of(image.dtype)) if deep else np.array(image)
        masks = {} if mask is None else {"mask": np.array(mask)}
        try:
            result = transform(image=given, **masks)
        except (ValueError, TypeError, KeyError, NotImplementedError, cv2.error) as error:
            shape = " x ".join(map(str, image.shape))
            raise MusketError(
                f"augmenter {self.name}: cannot work on an image of {image.dtype} {shape}: {error}"
            ) from error
        returned = result["image"]
        if deep and returned.dtype.kind == "f":
            returned = in_depth(returned.astype(np.float32) * np.float32(top_of(image.dtype)), image.dtype)
        if mask is None:
            same = isinstance(transform, _library().ImageOnlyTransform)
            return checked_image(self.name, returned, image, same_size=same), None
        return checked_pair(self.name, returned, result["mask"], image, mask)


def _told(error: Exception) -> str:
    """The complaint of pydantic in one line: option, what is wrong, what was found."""
    details = getattr(error.__cause__, "errors", None)
    if details is None:
        return str(error)
    lines = (f"{'.'.join(map(str, item['loc'])) or 'options'}: {item['msg']}" for item in details())
    return "; ".join(lines).replace("Value error, ", "")
