"""Colour spaces. Masks stay. Names, options and defaults are those of imgaug 0.4.

Images of three channels are RGB. Of images with more, the first three are taken for RGB and the others stay as they
are; images of one or two channels have no hue and pass unchanged, so that one config serves colour and grey data.

Values of every space count to 255 whatever the depth, as in OpenCV's 8-bit form: hue of HSV and HLS from 0 to 179 (half
degrees), L of Lab and Luv stretched to 255, a, b and both chroma channels around 128.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from musket.augment.pixels import in_depth
from musket.augment.ranges import (
    PerChannel,
    Range,
    WholeRange,
    chance,
    check_probability,
    check_range,
    draw_number,
    draw_whole,
)
from musket.augment.steps import Children, Frame, ImagePass, Operation, Step, top_of
from musket.core.errors import MusketError

Space = Literal["RGB", "BGR", "GRAY", "HSV", "HLS", "Lab", "Luv", "XYZ", "YCrCb", "YUV"]

_FROM_RGB: dict[str, int] = {
    "BGR": cv2.COLOR_RGB2BGR,
    "HSV": cv2.COLOR_RGB2HSV,
    "HLS": cv2.COLOR_RGB2HLS,
    "Lab": cv2.COLOR_RGB2Lab,
    "Luv": cv2.COLOR_RGB2Luv,
    "XYZ": cv2.COLOR_RGB2XYZ,
    "YCrCb": cv2.COLOR_RGB2YCrCb,
    "YUV": cv2.COLOR_RGB2YUV,
}
_TO_RGB: dict[str, int] = {
    "BGR": cv2.COLOR_BGR2RGB,
    "HSV": cv2.COLOR_HSV2RGB,
    "HLS": cv2.COLOR_HLS2RGB,
    "Lab": cv2.COLOR_Lab2RGB,
    "Luv": cv2.COLOR_Luv2RGB,
    "XYZ": cv2.COLOR_XYZ2RGB,
    "YCrCb": cv2.COLOR_YCrCb2RGB,
    "YUV": cv2.COLOR_YUV2RGB,
}
# What OpenCV adds to its float values and multiplies them with to get its 8-bit values, over 255.
_EIGHT_BITS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "HSV": ((0, 0, 0), (1 / 510, 1, 1)),
    "HLS": ((0, 0, 0), (1 / 510, 1, 1)),
    "Lab": ((0, 128, 128), (1 / 100, 1 / 255, 1 / 255)),
    "Luv": ((0, 134, 140), (1 / 100, 1 / 354, 1 / 262)),
}
_LUMA = (0.299, 0.587, 0.114)  # Rec. 601, as in cv2.COLOR_RGB2GRAY


def convert(colours: np.ndarray, source: Space, target: Space) -> np.ndarray:
    """H x W x 3 of any depth from one space to another, the same depth; GRAY has three equal channels."""
    if source == target:
        return colours
    if colours.dtype == np.uint8:
        return _from_rgb(_to_rgb(colours, source), target)
    scale = np.float32(top_of(colours.dtype))
    values = colours.astype(np.float32) / scale
    if source in _EIGHT_BITS:
        shift, factor = (np.array(numbers, np.float32) for numbers in _EIGHT_BITS[source])
        values = values / factor - shift
    values = _from_rgb(np.clip(_to_rgb(values, source), 0, 1), target)
    if target in _EIGHT_BITS:
        shift, factor = (np.array(numbers, np.float32) for numbers in _EIGHT_BITS[target])
        values = (values + shift) * factor
    return in_depth(values * scale, colours.dtype)


def _to_rgb(colours: np.ndarray, space: Space) -> np.ndarray:
    if space in _TO_RGB:
        return cv2.cvtColor(colours, _TO_RGB[space])
    return np.repeat(colours[..., :1], 3, axis=2) if space == "GRAY" else colours


def _from_rgb(colours: np.ndarray, space: Space) -> np.ndarray:
    if space in _FROM_RGB:
        return cv2.cvtColor(colours, _FROM_RGB[space])
    return cv2.merge([cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)] * 3) if space == "GRAY" else colours


def on_colours(frame: Frame, work: Callable[[np.ndarray], np.ndarray]) -> Sequence[Step]:
    """A step on the first three channels (H x W x 3 -> H x W x 3); none for images that have fewer."""

    def run(image: np.ndarray) -> np.ndarray:
        if image.shape[2] == 3:
            return work(image)
        result = np.array(image)
        result[..., :3] = work(np.ascontiguousarray(image[..., :3]))
        return result

    return [ImagePass(run)] if frame.channels >= 3 else []


def _mixing(matrix: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Channels as weighted sums of channels, 3 x 3."""

    def run(colours: np.ndarray) -> np.ndarray:
        result = cv2.transform(colours, matrix)
        return in_depth(result, colours.dtype) if colours.dtype.kind == "f" else result

    return run


@dataclass(frozen=True)
class Grayscale:
    """Take colour away from three channels, or the first three of more; one or two stay.

    Args:
        alpha: how much, from 0 (colours stay) to 1 (three equal channels).
        from_colorspace: what the image holds.
    """

    alpha: Range = 1.0
    from_colorspace: Space = "RGB"

    def __post_init__(self) -> None:
        check_range("Grayscale", "alpha", self.alpha, 0, 1)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        alpha = draw_number(random, self.alpha)
        if alpha == 0:
            return []
        if self.from_colorspace not in ("RGB", "BGR"):
            return on_colours(frame, _blending(self.from_colorspace, "GRAY", alpha))
        luma = np.array(_LUMA if self.from_colorspace == "RGB" else _LUMA[::-1], np.float32)
        return on_colours(frame, _mixing((1 - alpha) * np.eye(3, dtype=np.float32) + alpha * np.tile(luma, (3, 1))))


@dataclass(frozen=True)
class ChangeColorspace:
    """Show the image in another colour space: three channels, or the first three of more; one or two stay.

    Args:
        to_colorspace: the space whose channels are shown.
        from_colorspace: what the image holds.
        alpha: share of the new image in a mixture with the old one, 0 to 1.
    """

    to_colorspace: Space
    from_colorspace: Space = "RGB"
    alpha: Range = 1.0

    def __post_init__(self) -> None:
        check_range("ChangeColorspace", "alpha", self.alpha, 0, 1)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        alpha = draw_number(random, self.alpha)
        if alpha == 0:
            return []
        return on_colours(frame, _blending(self.from_colorspace, self.to_colorspace, alpha))


@dataclass(frozen=True)
class WithColorspace:
    """Run augmenters on the image in another colour space and bring it back; masks move along where they move pixels.

    Of more than three channels the first three are converted. For images of one or two channels nothing is done.

    Args:
        to_colorspace: the space the augmenters see; their values count to 255 in it.
        from_colorspace: what the image holds.
        children: the augmenters.
    """

    to_colorspace: Space
    from_colorspace: Space = "RGB"
    children: tuple[Operation, ...] = ()

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        if frame.channels < 3 or not self.children:
            return []
        source, target = self.from_colorspace, self.to_colorspace
        there = on_colours(frame, lambda colours: convert(colours, source, target))
        back = on_colours(frame, lambda colours: convert(colours, target, source))
        return [*there, Children(self.children), *back]


def _blending(source: Space, target: Space, alpha: float) -> Callable[[np.ndarray], np.ndarray]:
    def run(colours: np.ndarray) -> np.ndarray:
        converted = convert(colours, source, target)
        return converted if alpha == 1 else cv2.addWeighted(colours, 1 - alpha, converted, alpha, 0)

    return run


@dataclass(frozen=True)
class AddToHueAndSaturation:
    """Turn the hue and change the saturation of three channels, or the first three of more; one or two stay.

    Args:
        value: added to both, in units in which a full circle of hues, and full saturation, are 255.
        per_channel: draw value for hue and saturation separately; as a number, the probability of that.
        from_colorspace: what the image holds.
        value_hue: added to the hue alone. value_saturation: added to the saturation alone. Instead of value.
    """

    value: WholeRange | None = None
    per_channel: PerChannel = False
    from_colorspace: Space = "RGB"
    value_hue: WholeRange | None = None
    value_saturation: WholeRange | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in ("value", "value_hue", "value_saturation")}
        given = {name: value for name, value in given.items() if value is not None}
        if not given or ("value" in given and len(given) > 1):
            found = ", ".join(given) or "none"
            raise MusketError(f"AddToHueAndSaturation: give value, or value_hue and value_saturation; found {found}")
        for name, value in given.items():
            check_range("AddToHueAndSaturation", name, value, -255, 255)
        check_probability("AddToHueAndSaturation", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        if self.value is not None:
            hue = saturation = draw_whole(random, self.value)
            if chance(random, float(self.per_channel)):
                saturation = draw_whole(random, self.value)
        else:
            hue = 0 if self.value_hue is None else draw_whole(random, self.value_hue)
            saturation = 0 if self.value_saturation is None else draw_whole(random, self.value_saturation)
        if not hue and not saturation:
            return []

        def run(colours: np.ndarray) -> np.ndarray:
            rgb = convert(colours, self.from_colorspace, "RGB")
            return convert(add_to_hue_and_saturation(rgb, hue, saturation), "RGB", self.from_colorspace)

        return on_colours(frame, run)


def add_to_hue_and_saturation(rgb: np.ndarray, hue: float, saturation: float) -> np.ndarray:
    """RGB image of any depth with its hue turned by ``hue`` / 255 circles and ``saturation`` / 255 added."""
    if rgb.dtype == np.uint8:
        table = np.empty((1, 256, 3), np.uint8)
        levels = np.arange(256)
        table[0, :, 0] = (levels + round(hue * 256 / 255)) % 256
        table[0, :, 1] = np.clip(levels + saturation, 0, 255)
        table[0, :, 2] = levels
        # The full form spreads the circle over 256 levels instead of 180.
        return cv2.cvtColor(cv2.LUT(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV_FULL), table), cv2.COLOR_HSV2RGB_FULL)
    scale = np.float32(top_of(rgb.dtype))
    hsv = cv2.cvtColor(rgb.astype(np.float32) / scale, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(hue * 360 / 255)) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] + np.float32(saturation / 255), 0, 1)
    return in_depth(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * scale, rgb.dtype)
