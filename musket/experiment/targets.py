"""What samples are trained towards: masks as maps of 0 and 1, labels and numbers as one flat vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.core.errors import DataError
from musket.core.geometry import with_channels
from musket.core.heads import Heads, kind_of, range_of
from musket.data.labels import targets
from musket.losses.catalogue import ACTIVATIONS

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.prepare_data import PreparedData

_OF_LABELS = "; of class numbers make one channel per class: labels[..., None] == np.arange(classes)"


def checked_mask(value: Any, sample_id: str, size: tuple[int, ...], classes: int) -> np.ndarray:
    """A mask H x W x classes of 0 and 1; those of several outputs are laid side by side.

    Args:
        value: array, or a list of them.
        size: height and width of the image.

    Raises:
        DataError: no array of numbers, another size or number of classes, or other values.
    """
    mask = _joined(value, sample_id) if isinstance(value, list | tuple) else _mask(value, sample_id)
    if mask.dtype.kind not in "buif":
        raise DataError(
            f"the mask holds values of type {mask.dtype}; give bool, or numbers 0 and 1 (mask > threshold)",
            sample=sample_id,
        )
    if mask.shape[:2] != size:
        raise DataError(
            f"image and mask differ in size: {size[1]} x {size[0]} and {mask.shape[1]} x {mask.shape[0]} "
            "(width x height); mend the file or leave the sample out",
            sample=sample_id,
        )
    if mask.shape[2] != classes:
        raise DataError(
            f"the mask has {mask.shape[2]} channel{'s' if mask.shape[2] != 1 else ''}, the config says classes: "
            f"{classes}{_OF_LABELS if mask.shape[2] == 1 else ''}",
            sample=sample_id,
        )
    if mask.dtype != bool and not np.logical_or(mask == 0, mask == 1).all():
        raise DataError(
            f"the mask holds values other than 0 and 1 (from {mask.min()} to {mask.max()}); give mask > threshold"
            f"{_OF_LABELS if mask.max() < 100 else ''}",
            sample=sample_id,
        )
    return mask


def _mask(value: Any, sample_id: str) -> np.ndarray:
    try:
        array = with_channels(np.asarray(value))
    except ValueError as error:
        raise DataError(f"the mask is no array: {error}", sample=sample_id) from error
    if array.ndim != 3:
        raise DataError(f"the mask has shape {array.shape}; expected height x width x channels", sample=sample_id)
    return array


def _joined(masks: Sequence[Any], sample_id: str) -> np.ndarray:
    """Masks of several outputs, channels side by side."""
    arrays = [_mask(mask, sample_id) for mask in masks]
    if not arrays or len({array.shape[:2] for array in arrays}) > 1:
        raise DataError(f"y holds masks of shapes {[array.shape for array in arrays]}", sample=sample_id)
    return np.concatenate(arrays, axis=2)


def target_vector(heads: Heads, value: Any, sample_id: str) -> np.ndarray:
    """A target as one flat float32 vector, heads side by side.

    Args:
        value: for one head a vector of its length, a class number, or for a head of size 1 a number; for several
            heads a list with one of these each, or an array of all.

    Raises:
        DataError: another number of heads, another length, a class there is not, or values the head cannot give:
            softmax takes shares that sum up to 1, every head finite numbers in the range of its activation.
    """
    value = _untracked(value)
    if len(heads.sizes) == 1:
        alone = isinstance(value, list | tuple) and len(value) == 1
        alone = alone and (heads.listed or isinstance(value[0], np.ndarray))
        return _part(heads, value[0] if alone else value, 0, sample_id)
    if isinstance(value, np.ndarray) and value.dtype != object and value.shape == (sum(heads.sizes),):
        value = np.split(value, np.cumsum(heads.sizes)[:-1])
    several = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)
    if not several or len(value) != len(heads.sizes):
        count = len(value) if several else 1
        cure = f", or list {count} heads under classes" if count > 1 else ""
        raise DataError(
            f"y has {count} target{'s' if count != 1 else ''}, classes in the config lists {len(heads.sizes)} heads "
            f"({', '.join(map(str, heads.sizes))}); give a list with one target per head{cure}",
            sample=sample_id,
        )
    return np.concatenate([_part(heads, part, head, sample_id) for head, part in enumerate(value)])


def _part(heads: Heads, value: Any, head: int, sample_id: str) -> np.ndarray:
    size, activation = heads.sizes[head], heads.activations[head]
    low, high = range_of(activation)
    where = "the target" if len(heads.sizes) == 1 else f"the target of head {heads.names[head]}"
    try:
        array = np.asarray(_untracked(value))
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{where} is no array: {error}", sample=sample_id) from error
    if array.dtype.kind not in "buif":
        raise DataError(f"{where} is {value!r}; give {_form(size, activation)}", sample=sample_id)
    if array.ndim == 0 and size > 1:
        return _one_hot(array, size, activation, where, sample_id)
    with np.errstate(over="ignore"):  # too large for float32: infinity, refused below
        vector = array.reshape(-1).astype(np.float32)
    if len(vector) != size or array.size != max(array.shape, default=1):
        count = f"{len(vector)} number{'s' if len(vector) != 1 else ''}"
        found = f"shape {array.shape}" if array.ndim > 1 else count
        raise DataError(
            f"{where} has {found}, the config says classes: {size}; give {_form(size, activation)}"
            f"{_other_classes(array, alone=len(heads.sizes) == 1)}",
            sample=sample_id,
        )
    if not np.isfinite(vector).all():
        raise DataError(f"{where} holds nan or infinity; mend the label or leave the sample out", sample=sample_id)
    if vector.min() < low or vector.max() > high:
        wanted = f"{low:g} to {high:g}" if high < np.inf else f"{low:g} or more"
        raise DataError(
            f"{where} holds values from {vector.min():g} to {vector.max():g}; {activation} needs {wanted}. For "
            "numbers of any size set activation: none and a loss such as mse",
            sample=sample_id,
        )
    if kind_of(activation) == "exclusive" and abs(float(vector.sum()) - 1) > 1e-3:
        found = "no class" if not vector.any() else f"classes that sum up to {vector.sum():g}"
        raise DataError(
            f"{where} names {found}; softmax needs exactly one. For several or none set activation: sigmoid",
            sample=sample_id,
        )
    return vector


def _one_hot(array: np.ndarray, size: int, activation: str, where: str, sample_id: str) -> np.ndarray:
    number = float(array)
    if not np.isfinite(number):
        raise DataError(f"{where} is {number}; mend the label or leave the sample out", sample=sample_id)
    if array.dtype.kind == "b" and kind_of(activation) != "values":
        raise DataError(
            f"{where} is {array.item()!r}, the config says classes: {size}; give the number of the class, int(...) "
            f"of it, or a vector of {size}",
            sample=sample_id,
        )
    if kind_of(activation) == "values" or number != int(number):
        raise DataError(
            f"{where} is {array.item()!r}, the config says classes: {size}; give {_form(size, activation)}",
            sample=sample_id,
        )
    if not 0 <= number < size:
        raise DataError(
            f"{where} is class {int(number)}; with classes: {size} they go from 0 to {size - 1}", sample=sample_id
        )
    vector = np.zeros(size, np.float32)
    vector[int(number)] = 1
    return vector


def _other_classes(array: np.ndarray, *, alone: bool) -> str:
    """The change of the config that would make a target of another length fit; empty where none suggests itself."""
    if array.ndim == 1 and len(array) > 1:
        return f", or set classes: {len(array)}" if alone else f", or give the head {len(array)} classes"
    if array.ndim == 2 and alone and len(array) > 1:
        return f", or list {len(array)} heads under classes"
    return ""


def _form(size: int, activation: str) -> str:
    if size == 1:
        return "one number"
    exclusive = f", or the number of the class, 0 to {size - 1}"
    return f"a vector of {size}{exclusive if kind_of(activation) != 'values' else ''}"


def _untracked(value: Any) -> Any:
    """A torch tensor that takes part in a gradient as plain numbers; anything else as it is."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def heads_of(spec: NetworkSpec) -> Heads | None:
    """The heads of a classification; None for networks that give maps."""
    if spec.gives_maps:
        return None
    canonical = tuple(ACTIVATIONS.get(name or "linear").name for name in spec.head_activations)
    return Heads(spec.head_sizes, canonical, spec.named_heads, listed=isinstance(spec.classes, tuple))


def target_vectors(spec: NetworkSpec, data: PreparedData, positions: Sequence[int]) -> np.ndarray:
    """Targets of some samples, N x sum of the heads' sizes, float32; without reading images where the dataset can.

    Raises:
        DataError: a target cannot be read or used; names the sample.
    """
    heads = heads_of(spec)
    assert heads is not None, "networks that give maps have no target vectors"
    vectors = np.zeros((len(positions), sum(heads.sizes)), np.float32)
    given = targets(data.dataset, positions)
    for row, (position, value) in enumerate(zip(positions, given, strict=True)):
        if value is None:
            raise DataError("there is no target (y is None)", sample=data.ids[position])
        vectors[row] = target_vector(heads, value, data.ids[position])
    return vectors
