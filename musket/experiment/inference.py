"""Trained networks of an experiment, alone or as an ensemble."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from musket.artifacts import checkpoint
from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError, DataError, MusketError
from musket.core.runtime import make_fabric, memory_format
from musket.experiment import build, reading
from musket.predict.crops import Crops
from musket.predict.ensemble import shares
from musket.predict.frame import Fit, InputShape, Undo
from musket.predict.heads import Vectors, split_heads
from musket.predict.members import Groups
from musket.predict.runner import Failures, Scored, Source, predict
from musket.predict.views import Forward, averaged, views_of

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.pipelines.image import ImagePipeline

Choice = int | Sequence[int] | None
"""One fold or stage, several, or None for all; stage -1 is the last."""


@dataclass(frozen=True)
class MemberKey:
    """Which network: fold and stage."""

    fold: int
    stage: int


def choose(spec: NetworkSpec, fold_count: int, fold: Choice, stage: Choice) -> list[MemberKey]:
    """Members of an ensemble, folds outermost.

    Raises:
        ArtifactError: there is no such fold or stage.
        MusketError: none is asked for, or something that is no number.
    """
    asked = listed("stage", stage, range(len(spec.stages)))
    stages = [number + len(spec.stages) if number < 0 else number for number in asked]
    folds = listed("fold", fold, range(fold_count))
    for kind, chosen, count in (("fold", folds, fold_count), ("stage", stages, len(spec.stages))):
        for number in chosen:
            if not 0 <= number < count:
                raise ArtifactError(f"there is no {kind} {number}; this experiment has {kind}s 0 to {count - 1}")
    return [MemberKey(one_fold, one_stage) for one_fold in folds for one_stage in stages]


def listed(kind: str, choice: Any, all_of_them: Iterable[int]) -> list[int]:
    """A choice of folds or stages, one, several or None for all, as a list.

    Raises:
        MusketError: it is empty, or no whole number.
    """
    if choice is None:
        return list(all_of_them)
    several = isinstance(choice, Iterable)
    found = [whole(number) for number in choice] if several else [whole(choice)]
    numbers = [number for number in found if number is not None]
    if not numbers or len(numbers) < len(found):
        raise MusketError(f"{kind}: give a whole number, a list of some, or None for all; found {choice!r}")
    return numbers


def whole(value: Any) -> int | None:
    """A whole number, of numpy as well, as Python's own; None for anything else."""
    try:
        return operator.index(value)
    except TypeError:
        return None


def batch_of(spec: NetworkSpec, batch_size: int | None) -> int:
    """Images that are predicted at once: as asked for, by default ``inference_batch``.

    Raises:
        MusketError: no whole number of 1 and above.
    """
    if batch_size is None:
        return spec.inference_batch
    size = whole(batch_size)
    if size is None or size < 1:
        raise MusketError(
            f"batch_size: a whole number of 1 and above, or None for inference_batch of the config; "
            f"found {batch_size!r}"
        )
    return size


class TrainedModel:
    """One network, or the mean of several, with their best weights.

    Attributes:
        keys: fold and stage of each member.
        weights: of the members in their mean; None = all alike.
        modules: the plain torch networks (logits), in eval mode on the device. One alone where the ensemble is too
            large for the device's memory: its members then take turns, their weights waiting in main memory.
        forwards: the members as functions, images N x C x H x W of any depth -> scores N x classes x H x W, or vectors
            N x classes, those of several heads side by side.
        crops: how images are cut.
        fit: an image, or a cell of it, -> network input and the way back.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        layout: Layout,
        keys: Sequence[MemberKey],
        weights: Sequence[float] | None = None,
        *,
        seeds: Sequence[Layout] = (),
    ):
        """``seeds``: the experiment's other runs; their networks of these folds and stages are members, all alike."""
        self.spec = spec
        self.keys = list(keys)
        self.weights = None if weights is None else shares(weights, len(self.keys)).tolist()
        self.crops = Crops() if spec.crops is None else Crops(spec.crops.cells, spec.crops.overlap, spec.crops.blend)
        self.fit = input_fit(spec)
        self.fabric = make_fabric()
        self.device = self.fabric.device
        self.modules: list[torch.nn.Module] = []
        self.forwards: list[Forward] = []
        self.batches_per_turn = 1
        self._load([run.weights(key.fold, key.stage) for run in (layout, *seeds) for key in self.keys])

    def _load(self, paths: Sequence[Path]) -> None:
        slot: _Slot | None = None
        for path in paths:
            stored, metadata = checkpoint.load_weights(path)
            if slot is None and len(paths) * _bytes(stored) > memory_for_networks(self.device):
                self.batches_per_turn = BATCHES_PER_TURN
            taking_turns = self.batches_per_turn > 1
            if slot is None or not taking_turns:
                slot = self._slot()
            checkpoint.load_into(slot.module, stored, path)
            slot.loaded = stored if taking_turns else None
            normalization = build.normalization(self.spec, slot.module, metadata)
            pipeline = build.build_pipeline(self.spec, normalization, None, self.device)
            self.forwards.append(slot.member(pipeline, slot.loaded))

    def _slot(self) -> _Slot:
        module = build.build_model(self.spec, pretrained=False)
        module.to(memory_format=memory_format(self.device))  # type: ignore[call-overload]
        self.modules.append(module)
        return _Slot(module, self.fabric.setup_module(module).eval())

    def predict(
        self, images: np.ndarray | Sequence[np.ndarray], batch_size: int | None = None, ttflips: Any = False
    ) -> Any:
        """Scores of images already in memory.

        Args:
            images: N x H x W x C array, or a list of H x W x C arrays of any size.
            ttflips: test-time views, see :func:`musket.predict.views.views_of`.

        Returns:
            of segmentation N x H x W x classes float32 for an array, a list of H x W x classes for a list, each at its
            image's size; of classification N x classes for either, a list of these where there are several heads.

        Raises:
            DataError: an image has another depth or number of channels, see :func:`reading.checked_image`; named by its
                position.
        """
        if isinstance(images, np.ndarray) and images.ndim != 4:
            raise DataError(
                f"images have shape {images.shape}; expected images x height x width x channels, "
                "for a single image image[None]"
            )
        shape = reading.TargetShape.of(self.spec)
        sources = [Source(str(number), _constant(image, str(number), shape)) for number, image in enumerate(images)]
        scores = [one.scores[0] for one in self.scored(sources, batch_size, ttflips=ttflips)]
        if shape.heads is not None:
            return as_arrays(scores, shape.heads.sizes)
        if not isinstance(images, np.ndarray):
            return scores
        return np.stack(scores) if scores else np.zeros((*images.shape[:3], shape.classes), np.float32)

    def scored(
        self,
        sources: Iterable[Source],
        batch_size: int | None = None,
        groups: Groups | None = None,
        failures: Failures | None = None,
        ttflips: Any = False,
    ) -> Iterator[Scored]:
        """Predict images as they come; see :func:`musket.predict.runner.predict`.

        Args:
            ttflips: test-time views; ``testTimeAugmentation`` in the config overrides it.

        Raises:
            MusketError: unknown views, or a batch of less than one image.
        """
        override = self.spec.testTimeAugmentation
        views = views_of(ttflips if override is None else override)
        return predict(
            sources,
            [averaged(forward, views, maps=self.spec.gives_maps) for forward in self.forwards],
            self.fit,
            self.device,
            batch_size=batch_of(self.spec, batch_size),
            groups=groups,
            weights=self.weights,
            crops=self.crops,
            turns=self.batches_per_turn,
            failures=failures,
        )


def as_arrays(scores: Sequence[np.ndarray], head_sizes: Sequence[int] | None) -> Vectors:
    """Scores of some samples as one array, float32.

    Args:
        scores: maps H x W x classes of one size, or vectors of all heads.
        head_sizes: classes of each head; None for maps.

    Returns:
        N x H x W x classes, or N x classes, a list of these where there are several heads.
    """
    if head_sizes is None:
        return np.stack(scores) if scores else np.zeros((0, 0, 0, 0), np.float32)
    return split_heads(np.stack(scores) if scores else np.zeros((0, sum(head_sizes)), np.float32), head_sizes)


BATCHES_PER_TURN = 8
"""Batches a network is asked about once its weights are on the device, where networks take turns."""


@dataclass
class _Slot:
    """A network on the device, and the weights it has now (None where they never change)."""

    module: torch.nn.Module
    wrapped: torch.nn.Module
    loaded: dict[str, torch.Tensor] | None = None

    def member(self, pipeline: ImagePipeline, weights: dict[str, torch.Tensor] | None) -> Forward:
        """The network with these weights as a function."""

        def forward(images: torch.Tensor) -> torch.Tensor:
            if weights is not None and self.loaded is not weights:
                self.module.load_state_dict(weights)
                self.loaded = weights
            return pipeline.predict(self.wrapped, images)

        return forward


def _bytes(weights: dict[str, torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in weights.values())


def memory_for_networks(device: torch.device) -> float:
    """Bytes that the networks of an ensemble may take together: half of a GPU's free memory, elsewhere any."""
    return torch.cuda.mem_get_info(device)[0] / 2 if device.type == "cuda" else math.inf


def input_fit(spec: NetworkSpec) -> Fit:
    """How images, or cells of them, become network input, by transforms and resize, and how scores come back."""
    shape = reading.TargetShape.of(spec)
    resized = InputShape(shape.height, shape.width, shape.channels)
    if not spec.transforms:
        return resized
    chain = reading.chain_for(spec, is_train=False)

    def transformed(image: np.ndarray, sample_id: str) -> tuple[np.ndarray, Undo]:
        placed = chain.place(resized.checked(image), reading.transforms_random(sample_id))
        return placed.image, placed.undo

    return transformed


def _constant(image: Any, sample_id: str, shape: reading.TargetShape) -> Callable[[], tuple[np.ndarray, None]]:
    return lambda: (reading.checked_image(image, sample_id, shape), None)


def existing(layout: Layout, keys: Sequence[MemberKey]) -> list[MemberKey]:
    """Those of some networks that have weights; warns of the others.

    Raises:
        ArtifactError: none has.
    """
    found = [key for key in keys if layout.weights(key.fold, key.stage).exists()]
    if not found:
        raise ArtifactError(
            "there are no weights of this fold and stage; train it first (fit)",
            layout.weights(keys[0].fold, keys[0].stage),
        )
    if len(found) < len(keys):
        missing = ", ".join(f"fold {key.fold} stage {key.stage}" for key in keys if key not in found)
        warnings.warn(f"no weights of {missing}; predicting with the other {len(found)}", stacklevel=4)
    return found


def load(
    spec: NetworkSpec,
    layout: Layout,
    fold_count: int,
    fold: Choice,
    stage: Choice,
    weights: Sequence[float] | None = None,
) -> TrainedModel:
    """Best weights of the chosen folds and stages.

    A single missing file is an error; of several, those that exist are used and the missing ones are reported.

    Args:
        weights: of the members in their mean, one for each that is asked for: folds outermost, stages within.

    Raises:
        ArtifactError: no weights at all, or weights of another network.
        MusketError: not one weight per member, or unfit ones.
    """
    keys = choose(spec, fold_count, fold, stage)
    portions = shares(weights, len(keys)).tolist()
    found = existing(layout, keys)
    kept = [share for key, share in zip(keys, portions, strict=True) if key in found]
    return TrainedModel(spec, layout, found, None if weights is None else kept)


def dataset_sources(
    dataset: Any,
    ids: Sequence[str],
    positions: Sequence[int],
    shape: reading.TargetShape,
    needs_truth: bool,
    on_item: Callable[[str, Any], object] | None = None,
) -> Iterator[Source]:
    """Samples of a dataset, read when their turn comes.

    Args:
        on_item: is shown every item that is read, with its sample id; in the threads that read.
    """

    def reader(position: int) -> Callable[[], tuple[np.ndarray, np.ndarray | None]]:
        def read() -> tuple[np.ndarray, np.ndarray | None]:
            item = reading.fetch(dataset, position, is_train=False)
            if on_item is not None:
                on_item(ids[position], item)
            return reading.checked_arrays(item, ids[position], shape, needs_truth)

        return read

    return (Source(ids[position], reader(position)) for position in positions)
