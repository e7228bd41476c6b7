"""Samples as networks get them: read from the dataset, checked, augmented, brought to size."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.augment.background_options import BackgroundReplacer
from musket.augment.catalogue import AUGMENTERS
from musket.augment.compile import Chain
from musket.augment.nested import build_operations
from musket.core.errors import DataError, MusketError
from musket.core.geometry import with_channels
from musket.core.heads import Heads
from musket.core.runtime import generator
from musket.core.types import Sample
from musket.data.backgrounds import Backgrounds, replace_background
from musket.data.dataset import read_item
from musket.data.draws import reading_epoch
from musket.data.sampling import sample_of
from musket.experiment.targets import checked_mask, heads_of, target_vector

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec

BACKGROUND = "BackgroundReplacer"
"""The augmenter that works on the dataset, before all others."""


@dataclass(frozen=True)
class TargetShape:
    """What the network of a spec takes and gives; without height and width images of any size.

    Attributes:
        any_range: floats are taken as they are, for the config says what they are normalised with; else they are 0..1.
        heads: outputs of a network that gives vectors; None for maps.
    """

    height: int | None
    width: int | None
    channels: int
    classes: int
    any_range: bool = False
    heads: Heads | None = None

    @classmethod
    def of(cls, spec: NetworkSpec) -> TargetShape:
        height, width = spec.input_size or (None, None)
        return cls(height, width, spec.shape[2], spec.output_channels, spec.normalize is not None, heads_of(spec))


def fetch(dataset: Any, position: int, is_train: bool) -> Any:
    """One item of a duck-typed dataset.

    Raises:
        DataError: the dataset's own code failed; names position and cause. Errors that name the sample pass.
    """
    try:
        return read_item(dataset, position, is_train)
    except MusketError:
        raise
    except Exception as error:
        relative = "; relative paths must be made absolute when the dataset is made" if _of_a_file(error) else ""
        raise DataError(
            f"item {position} of {type(dataset).__name__} cannot be read: {type(error).__name__}: {error}{relative}"
        ) from error


def _of_a_file(error: Exception) -> bool:
    """Whether an error looks like that of a file not found; OpenCV gives None for one."""
    return isinstance(error, FileNotFoundError) or "NoneType" in str(error)


def as_image(given: Any) -> np.ndarray:
    """An item's image as it is handed on: with a third axis, floats as float32."""
    image = with_channels(np.asarray(given))
    return image.astype(np.float32, copy=False) if image.dtype.kind == "f" else image


def checked_image(given: Any, sample_id: str, shape: TargetShape) -> np.ndarray:
    """Image H x W x C as this network can use it: uint8, uint16 or float32.

    Raises:
        DataError: no image, one of another depth or number of channels, or floats outside 0..1 (with a hundredth for
            rounding) where the config does not say what they are normalised with.
    """
    image = as_image(given)
    if image.dtype.kind in "OSUV":
        unread = "; could the file be read?" if given is None else ""
        raise DataError(f"an array is needed for an image; found {type(given).__name__}{unread}", sample=sample_id)
    if image.ndim != 3:
        raise DataError(f"the image has shape {image.shape}; expected height x width x channels", sample=sample_id)
    if 0 in image.shape:
        raise DataError(f"the image has no pixels (shape {image.shape})", sample=sample_id)
    if image.shape[2] != shape.channels:
        raise DataError(
            f"the image has {image.shape[2]} channels, shape in the config says {shape.channels}", sample=sample_id
        )
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise DataError(
            f"images of type {image.dtype} are not supported; use uint8, uint16 or float32", sample=sample_id
        )
    if image.dtype == np.float32 and not shape.any_range and image.size:
        low, high = np.fmin.reduce(image, axis=None), np.fmax.reduce(image, axis=None)  # whatever is nan
        if low < -0.01 or high > 1.01:
            raise DataError(
                f"the image holds floats from {low:g} to {high:g}; scale them to 0..1, or give normalize in the "
                "config, then they are taken as they are",
                sample=sample_id,
            )
    return image


def checked_arrays(
    item: Any, sample_id: str, shape: TargetShape, needs_truth: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Image H x W x C and target of an item, as this network can use them: mask H x W x classes, or flat vector.

    Labels nobody needs are not looked at (None): those of a test set often stand for nothing.

    Raises:
        DataError: as :func:`checked_image`, :func:`musket.experiment.targets.checked_mask` and
            :func:`musket.experiment.targets.target_vector`; no target where one is needed.
    """
    if not (hasattr(item, "x") and hasattr(item, "y")):
        raise DataError(f"the dataset gave {type(item).__name__} in place of a PredictionItem", sample=sample_id)
    image = checked_image(item.x, sample_id, shape)
    if item.y is None:
        if needs_truth:
            kind = "mask" if shape.heads is None else "target"
            raise DataError(f"there is no {kind} (y is None); training and evaluation need one", sample=sample_id)
        return image, None
    if shape.heads is not None:
        return image, target_vector(shape.heads, item.y, sample_id) if needs_truth else None
    return image, checked_mask(item.y, sample_id, image.shape[:2], shape.classes)


@dataclass(frozen=True)
class ReplaceBackground:
    """Other backgrounds behind the objects of training samples; see :mod:`musket.data.backgrounds`."""

    options: BackgroundReplacer
    pictures: Backgrounds

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        augment = self.options.augment if self.options.augmenters else None
        options = self.options
        return replace_background(image, mask, random, self.pictures, options.rate, options.erosion, augment)


def background_for(spec: NetworkSpec, folders: Sequence[Path]) -> ReplaceBackground | None:
    """BackgroundReplacer of a config, if it has one.

    Args:
        folders: where a relative path may begin; the first in which it exists counts.

    Raises:
        DataError: there is no such folder, or it holds no picture.
    """
    part = next((part for part in spec.augmentation if part.name == BACKGROUND), None)
    if part is None or not spec.gives_maps:  # without masks nobody knows what is background
        return None
    (options,) = build_operations([part], AUGMENTERS)
    assert isinstance(options, BackgroundReplacer)
    found = [folder / options.path for folder in folders if (folder / options.path).is_dir()]
    return ReplaceBackground(options, Backgrounds(found[0] if found else folders[0] / options.path))


@contextmanager
def _naming(sample_id: str) -> Iterator[None]:
    """Whatever fails inside becomes a DataError that names the sample."""
    try:
        yield
    except MemoryError:
        raise
    except MusketError as error:
        if isinstance(error, DataError) and error.sample is not None:
            raise
        raise DataError(str(error), sample=sample_id) from error
    except Exception as error:
        said = "; ".join([f"{type(error).__name__}: {error} ({place_of(error)})", *getattr(error, "__notes__", ())])
        raise DataError(f"augmentation fails: {said}", sample=sample_id) from error


def place_of(error: BaseException) -> str:
    """File and line an error was raised at."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}, line {frame.lineno}"


@dataclass(frozen=True)
class SampleMaker:
    """Reads, checks, augments and resizes one sample for the loader. Plain data inside, so workers can receive it."""

    dataset: Any
    ids: Sequence[str]
    chain: Chain
    shape: TargetShape
    seed: int
    is_train: bool
    background: ReplaceBackground | None = None

    def __call__(self, position: int, epoch: int | None) -> Sample:
        """Read and prepare a sample.

        Args:
            position: in the dataset; of a sample drawn more than once in an epoch
                see :func:`musket.data.sampling.sample_of`.
            epoch: counts from 0; None outside of training.

        Raises:
            DataError: it cannot be read, used or augmented; names the sample.
        """
        position, again = sample_of(position, len(self.ids))
        sample_id = self.ids[position]
        with reading_epoch(epoch, again):
            item = fetch(self.dataset, position, self.is_train)
        image, target = checked_arrays(item, sample_id, self.shape, needs_truth=True)
        mask = target if self.shape.heads is None else None
        random = self._random(epoch, sample_id, again) if self.is_train else transforms_random(sample_id)
        with _naming(sample_id):
            if self.background is not None and mask is not None:
                image, mask = self.background(image, mask, random)
            image, mask = self.chain(image, mask, random)
        return Sample(sample_id, image, mask if self.shape.heads is None else target)

    def _random(self, epoch: int | None, sample_id: str, again: int) -> np.random.Generator:
        return generator(self.seed, "augment", epoch, sample_id, *([again] if again else []))


def training_maker(
    spec: NetworkSpec, dataset: Any, ids: Sequence[str], seed: int, folders: Sequence[Path]
) -> SampleMaker:
    """Samples as a network is trained on them.

    Args:
        seed: of all draws, beside epoch and sample id.
        folders: where relative paths of the config may begin.

    Raises:
        DataError: there are no background pictures.
    """
    chain, background = chain_for(spec, is_train=True), background_for(spec, folders)
    return SampleMaker(dataset, ids, chain, TargetShape.of(spec), seed, True, background)


def evaluation_maker(spec: NetworkSpec, dataset: Any, ids: Sequence[str]) -> SampleMaker:
    """Samples as a network is judged on them during training: transforms and the resize."""
    return SampleMaker(dataset, ids, chain_for(spec, is_train=False), TargetShape.of(spec), 0, False)


def transforms_random(sample_id: str) -> np.random.Generator:
    """The draws of ``transforms`` for a sample that is not trained on: the same whenever it is looked at."""
    return generator("transforms", sample_id)


def chain_for(spec: NetworkSpec, *, is_train: bool) -> Chain:
    """Augmentation (for training), transforms and the final resize as one function."""
    shape = TargetShape.of(spec)
    parts = [*(spec.augmentation if is_train else ()), *spec.transforms]
    parts = [part for part in parts if part.name != BACKGROUND]
    return Chain(build_operations(parts, AUGMENTERS), shape.height, shape.width)
