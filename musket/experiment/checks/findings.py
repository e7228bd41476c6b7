"""What a look at the samples of an experiment means for training, in words."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from musket.core.errors import SampleFailure
from musket.data.inspection import Inspection, Moments
from musket.data.likeness import Twin
from musket.report.check_facts import Finding

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec

_TOPS = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
_DARK = 0.25
"""Images that use less of their range than this are nearly black to a network: 12 bits in 16 give 0.06."""


@dataclass
class Found:
    """What was found so far."""

    problems: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def problem(self, message: str, names: Iterable[str] = ()) -> None:
        found = Finding(message, tuple(names))
        if found not in self.problems:  # what stops several steps is one problem
            self.problems.append(found)

    def warn(self, message: str, names: Iterable[str] = ()) -> None:
        self.warnings.append(Finding(message, tuple(names)))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """What is warned about meanwhile is found too."""
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            yield
        for message in dict.fromkeys(str(warning.message) for warning in heard):
            self.warn(message)


def say_failures(inspection: Inspection, found: Found, how: str = "") -> None:
    """Samples that cannot be used, those with the same trouble together; ``how`` they were read comes before it."""
    groups: dict[str, list[SampleFailure]] = {}
    for failure in inspection.failures:
        groups.setdefault(_kind(failure), []).append(failure)
    for failures in groups.values():
        first = failures[0]
        paths = [failure.path for failure in failures if failure.path]
        if len(failures) == 1:
            found.problem(f"{first.id}: {how}{first.message}", paths)
        else:
            names = paths if len(set(paths)) == len(failures) else [failure.id for failure in failures]
            same = all(failure.message == first.message for failure in failures)
            who = f"{len(failures)} samples" if same else f"{len(failures)} samples, the first"
            found.problem(f"{who}: {how}{first.message}", names)


def _kind(failure: SampleFailure) -> str:
    """A message without what differs between samples: names and numbers."""
    return re.sub(r"\d+", "#", failure.message.replace(failure.id, "*"))


def say_cells(cells: int, inspection: Inspection, found: Found) -> None:
    """Images that are too small to be cut into ``cells`` x ``cells``."""
    rows = inspection.rows
    small = np.flatnonzero(rows["usable"] & (np.minimum(rows["height"], rows["width"]) < cells))
    if len(small):
        first = rows[small[0]]
        them = "1 image is" if len(small) == 1 else f"{len(small)} images are"
        found.problem(
            f"crops: {them} too small to be cut into {cells} x {cells} cells (the first has {first['width']} x "
            f"{first['height']} pixels); leave them out, or lower crops",
            [inspection.ids[position] for position in small.tolist()],
        )


def say_images(spec: NetworkSpec, inspection: Inspection, found: Found) -> None:
    """Depths that do not go together, and values a network cannot use."""
    depths = inspection.depths()
    if len(depths) > 1:
        told = ", ".join(f"{len(positions)} are {depth}" for depth, positions in depths.items())
        rare = [position for positions in list(depths.values())[1:] for position in positions]
        found.problem(
            f"the images differ in depth: {told}; training stops when they meet in a batch. Bring them to one depth",
            [inspection.ids[position] for position in rare],
        )
    for depth, moments in inspection.values.items():
        if moments.odd:
            found.problem(f"{moments.odd} values of {depth} images are nan or infinite; the loss would be too")
        if len(depths) == 1:
            _say_values(spec, depth, moments, found)


def _say_values(spec: NetworkSpec, depth: str, moments: Moments, found: Found) -> None:
    still = [channel_name(int(number), moments.channels) for number in np.flatnonzero(moments.low == moments.high)]
    if still:
        found.warn(f"{'channel' if len(still) == 1 else 'channels'} {', '.join(still)}: one value everywhere")
    if spec.normalize is not None:
        return
    top, high = _TOPS[depth], float(moments.high.max())
    if depth != "float32" and high < _DARK * top:
        found.warn(
            f"{depth} images are taken as 0 to {top:.0f}, these end at {high:.0f}: the network sees them nearly black; "
            "scale them in the dataset, or set normalize"
        )


def say_masks(spec: NetworkSpec, inspection: Inspection, found: Found) -> None:
    """Masks that nothing can be learnt from, or not with this activation."""
    usable, masks = len(inspection.usable), inspection.masks
    if len(inspection.empty) == usable:
        found.warn(f"all {usable} masks are empty; there is nothing to learn. Check the folder and values of the masks")
        return
    absent = [str(number) for number in np.flatnonzero(masks.of_class == 0)]
    if absent:
        found.warn(f"no mask shows {name_classes(absent)}; check classes and the values of the masks")
    if masks.covered == masks.pixels and len(masks.of_class) == 1:
        found.warn("every pixel of every mask is object; check the values of the masks")
    if spec.activation == "softmax" and len(masks.of_class) > 1:
        if masks.doubled:
            found.warn(
                "softmax gives every pixel to one class, but the masks have pixels in several; use activation: sigmoid"
            )
        if masks.covered < masks.pixels:
            share = 1 - masks.covered / masks.pixels
            found.warn(
                f"softmax gives every pixel to one class, but {100 * share:.1f} % of the pixels are in none; "
                "add a class for the background, or use activation: sigmoid"
            )


def name_classes(numbers: Sequence[str]) -> str:
    """``class 3``, ``classes 3, 5``."""
    return f"class{'es' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def say_contradictions(inspection: Inspection, found: Found) -> None:
    """Copies of an image with another mask."""
    contradictions = inspection.contradictions()
    if contradictions:
        found.warn(
            f"{len(contradictions)} image{'s have' if len(contradictions) > 1 else ' has'} a copy with another mask; "
            "keep the one with the right mask",
            [f"{inspection.ids[one]} = {inspection.ids[other]}" for one, other in contradictions],
        )


def say_twins(part: str, other: str, twins: Sequence[Twin], ids: Sequence[str], found: Found) -> None:
    """Warn of samples in two parts that should have nothing in common."""
    for exact, one, several, sign, advice in (
        (True, "copies", "copy", "=", "remove the copies"),
        (False, "closely resembles", "closely resemble", "~", "a dataset with get_group(i) keeps a scene in one part"),
    ):
        same = [twin for twin in twins if twin.exact is exact]
        if same:
            count = f"1 {part} image {one}" if len(same) == 1 else f"{len(same)} {part} images {several}"
            found.warn(
                f"{count} {other}, so scores look better than they are; {advice}",
                [f"{ids[twin.sample]} {sign} {ids[twin.like]}" for twin in same],
            )


def channel_name(number: int, channels: int) -> str:
    """Name of a channel, for people."""
    return ("red", "green", "blue")[number] if channels == 3 else f"channel {number}"
