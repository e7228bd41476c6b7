"""Augmenters of the user's own: functions, callables with options, and classes written for imgaug."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from musket.augment.catalogue import AUGMENTERS
from musket.augment.ranges import draw_seed
from musket.augment.steps import Frame, ImagePass, Pass, Step
from musket.core.errors import MusketError
from musket.core.geometry import with_channels

T = TypeVar("T")

_SUPPLIED = ("image", "mask", "random")


def register(target: T) -> T:
    """Make a function or class an augmenter under its own name; returns it unchanged. A second one replaces the first.

    Raises:
        MusketError: it is none of the forms that can be called.
        RegistryError: the name is that of a built-in augmenter.
    """
    factory = OwnFactory(target)
    name = factory.__name__
    replace = name in AUGMENTERS.names() and AUGMENTERS.get(name).facts.get("custom") is True
    summary = (inspect.getdoc(target) or "").partition("\n")[0]
    AUGMENTERS.add(name, factory, summary, replace=replace, custom=True)
    return target


@dataclass(frozen=True)
class OwnFactory:
    """Options -> operation; in the place of the user's function or class, with the signature of its options."""

    target: Any

    def __post_init__(self) -> None:
        if not callable(self.target) or not hasattr(self.target, "__name__"):
            raise MusketError(f"augmenter: wants a function or a class; found {self.target!r}")
        self._work()

    @property
    def __name__(self) -> str:
        return self.target.__name__

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return inspect.getdoc(self.target)

    @property
    def __signature__(self) -> inspect.Signature:
        signature = _signature(self.target)
        if inspect.isclass(self.target):
            return signature
        kept = [parameter for name, parameter in signature.parameters.items() if name not in self._work().supplied]
        return signature.replace(parameters=kept, return_annotation=signature.empty)

    def __call__(self, **options: Any) -> OwnAugmenter:
        work = self._work()
        if not inspect.isclass(self.target):
            return OwnAugmenter(self.__name__, self.target, options, work.takes_mask, work.takes_random)
        made: Any = self.target(**options)
        if work.imgaug:
            return OwnAugmenter(self.__name__, ImgaugStyle(made), {}, takes_mask=False, takes_random=True)
        return OwnAugmenter(self.__name__, made, {}, work.takes_mask, work.takes_random)

    def _work(self) -> _Work:
        """What the function, or a call of the class's objects, wants to be given."""
        target = self.target
        if not inspect.isclass(target):
            return _Work.of(target, list(_signature(target).parameters))
        if "__call__" in dir(target):
            return _Work.of(target, list(_signature(target.__call__).parameters)[1:])
        if any(hasattr(target, name) for name in ImgaugStyle.METHODS):
            return _Work((), takes_mask=False, takes_random=True, imgaug=True)
        raise MusketError(
            f"augmenter {target.__name__}: the class has neither __call__(image) nor one of "
            f"{', '.join(ImgaugStyle.METHODS)}"
        )


@dataclass(frozen=True)
class _Work:
    supplied: tuple[str, ...]
    takes_mask: bool
    takes_random: bool
    imgaug: bool = False

    @classmethod
    def of(cls, target: Any, names: Sequence[str]) -> _Work:
        if not names or names[0] in ("mask", "random"):
            raise MusketError(
                f"augmenter {target.__name__}: the first parameter is the image; found ({', '.join(names)})"
            )
        supplied = (names[0], *(name for name in names[1:] if name in ("mask", "random")))
        return cls(supplied, "mask" in supplied, "random" in supplied)


def _signature(target: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(target, eval_str=True)
    except (NameError, AttributeError, TypeError, SyntaxError):
        return inspect.signature(target)


@dataclass(frozen=True)
class OwnAugmenter:
    """A user's function as an operation. What it returns is checked for every sample.

    Attributes:
        name: for errors.
        work: ``f(image, **options)`` or ``f(image, mask=mask, **options)``; image H x W x C and mask H x W x classes
            uint8 0/1 (or None) are copies of its own.
        options: by name.
        takes_mask: it wants the mask by name and returns (image, mask); both may change their size alike. Without, it
            returns the image alone, and the size stays.
        takes_random: it wants ``random``, a generator of this sample's draws.
    """

    name: str
    work: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    takes_mask: bool = False
    takes_random: bool = False

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        seed = draw_seed(random)

        def call(image: np.ndarray, given: dict[str, Any]) -> Any:
            if self.takes_random:
                given["random"] = np.random.default_rng(seed)
            try:
                return self.work(np.array(image), **given, **self.options)
            except Exception as error:
                error.add_note(f"in augmenter {self.name}, given an image {_shown(image)}")
                raise

        def image_alone(image: np.ndarray) -> np.ndarray:
            return checked_image(self.name, call(image, {}), image, same_size=True)

        def together(image: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
            returned = call(image, {"mask": None if mask is None else np.array(mask)})
            if not isinstance(returned, tuple) or len(returned) != 2:
                raise MusketError(f"augmenter {self.name}: must return (image, mask); found {_shown(returned)}")
            return checked_pair(self.name, *returned, image, mask)

        return [Pass(together) if self.takes_mask else ImagePass(image_alone)]


@dataclass(frozen=True)
class ImgaugStyle:
    """An object with imgaug's methods as a function on one image. Its masks stay: only the image is handed to it."""

    augmenter: Any

    METHODS = ("_augment_images", "augment_images", "augment_image")

    def __call__(self, image: np.ndarray, random: np.random.Generator) -> Any:
        state = np.random.RandomState(draw_seed(random))
        if hasattr(self.augmenter, "_augment_images"):
            return self.augmenter._augment_images([image], state, [], None)[0]
        if hasattr(self.augmenter, "augment_images"):
            return self.augmenter.augment_images([image])[0]
        return self.augmenter.augment_image(image)


def checked_pair(
    name: str, image: Any, mask: Any, image_before: np.ndarray, mask_before: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Image and mask as returned by foreign code, if they fit each other and what was given.

    Raises:
        MusketError: they do not; names the augmenter ``name`` and what is wrong.
    """
    image = checked_image(name, image, image_before, same_size=False)
    if mask_before is None:
        return image, None
    if not isinstance(mask, np.ndarray):
        raise MusketError(f"augmenter {name}: the mask it returns is {_shown(mask)}, not an array")
    wanted = (*image.shape[:2], mask_before.shape[2])
    if mask.ndim == 2:
        mask = with_channels(mask)
    if mask.shape != wanted:
        raise MusketError(
            f"augmenter {name}: the mask it returns has the shape {mask.shape}; with its image it must be {wanted}"
        )
    if mask.dtype != bool and not np.logical_or(mask == 0, mask == 1).all():
        raise MusketError(
            f"augmenter {name}: the mask it returns holds values other than 0 and 1 (from {mask.min()} to "
            f"{mask.max()}); move masks by nearest neighbour"
        )
    return image, mask.astype(np.uint8, copy=False)


def checked_image(name: str, image: Any, before: np.ndarray, *, same_size: bool) -> np.ndarray:
    """An image as returned by foreign code, if it fits the one that was given.

    Raises:
        MusketError: it does not; names the augmenter ``name`` and what is wrong.
    """
    if not isinstance(image, np.ndarray):
        raise MusketError(f"augmenter {name}: must return an image; found {_shown(image)}")
    if image.ndim == 2 and before.shape[2] == 1:
        image = with_channels(image)
    if image.dtype != before.dtype:
        raise MusketError(
            f"augmenter {name}: given an image {_shown(before)} it returned {_shown(image)}; values must keep their "
            f"type: clip them to its range and end with .astype(image.dtype)"
        )
    kept = slice(0, 3) if same_size else slice(2, 3)
    if image.ndim != 3 or 0 in image.shape or image.shape[kept] != before.shape[kept]:
        rule = "height, width and channels must stay" if same_size else "channels must stay"
        raise MusketError(
            f"augmenter {name}: given an image {_shown(before)} it returned {_shown(image)}; {rule}"
            + (" (to change the size, take and return image and mask)" if same_size else "")
        )
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise MusketError(f"augmenter {name}: the image it returns holds values that are no finite numbers")
    return image


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"of {value.dtype} {' x '.join(map(str, value.shape))}"
    return f"a {type(value).__name__}"
