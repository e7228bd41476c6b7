"""Trained networks of an experiment, alone or as an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from musket.artifacts import checkpoint
from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError
from musket.core.runtime import make_fabric, memory_format
from musket.experiment import build
from musket.predict.runner import Failures, Forward, InputShape, Scored, Source, predict

if TYPE_CHECKING:
    from musket.config.schema import SegmentationSpec

Choice = int | Sequence[int] | None
"""One fold or stage, several, or None for all; stage -1 is the last."""


@dataclass(frozen=True)
class MemberKey:
    """Which network: fold and stage."""

    fold: int
    stage: int


def choose(spec: SegmentationSpec, fold_count: int, fold: Choice, stage: Choice) -> list[MemberKey]:
    """Members of an ensemble, folds outermost.

    Raises:
        ArtifactError: there is no such fold or stage.
    """
    stages = [number + len(spec.stages) if number < 0 else number for number in _listed(stage, range(len(spec.stages)))]
    folds = _listed(fold, range(fold_count))
    for kind, chosen, count in (("fold", folds, fold_count), ("stage", stages, len(spec.stages))):
        for number in chosen:
            if not 0 <= number < count:
                raise ArtifactError(f"there is no {kind} {number}; this experiment has {kind}s 0 to {count - 1}")
    return [MemberKey(one_fold, one_stage) for one_fold in folds for one_stage in stages]


def _listed(choice: Choice, all_of_them: Sequence[int]) -> list[int]:
    if choice is None:
        return list(all_of_them)
    return [choice] if isinstance(choice, int) else list(choice)


class TrainedModel:
    """One network, or the mean of several, with their best weights.

    Attributes:
        keys: fold and stage of each member.
        modules: the plain torch networks (logits), in eval mode on the device.
    """

    def __init__(self, spec: SegmentationSpec, layout: Layout, keys: Sequence[MemberKey]):
        self.spec = spec
        self.keys = list(keys)
        self.fabric = make_fabric()
        self.device = self.fabric.device
        self.modules: list[torch.nn.Module] = []
        self.forwards: list[Forward] = []
        for key in self.keys:
            self._add(layout.weights(key.fold, key.stage))
        height, width, channels = spec.shape
        self.input = InputShape(height, width, channels)

    def _add(self, path: Path) -> None:
        weights, metadata = checkpoint.load_weights(path)
        module = build.build_model(self.spec, pretrained=False)
        checkpoint.load_into(module, weights, path)
        normalization = build.normalization(self.spec, module, metadata)
        pipeline = build.build_pipeline(self.spec, normalization, None, self.device)
        module.to(memory_format=memory_format(self.device))  # type: ignore[call-overload]
        wrapped = self.fabric.setup_module(module)
        wrapped.eval()

        def forward(images: torch.Tensor) -> torch.Tensor:
            return pipeline.predict(wrapped, images)

        self.modules.append(module)
        self.forwards.append(forward)

    def predict(self, images: np.ndarray | Sequence[np.ndarray], batch_size: int | None = None) -> Any:
        """Scores of images already in memory.

        Args:
            images: N x H x W x C array, or a list of H x W x C arrays of any size.

        Returns:
            N x H x W x classes float32 for an array, a list of H x W x classes for a list; each at its image's size.
        """
        sources = [Source(str(number), _constant(image)) for number, image in enumerate(images)]
        scores = [one.scores[0] for one in self.scored(sources, batch_size)]
        return np.stack(scores) if isinstance(images, np.ndarray) else scores

    def scored(
        self,
        sources: Sequence[Source] | Iterator[Source],
        batch_size: int | None = None,
        groups: Sequence[Sequence[int]] | None = None,
        failures: Failures | None = None,
    ) -> Iterator[Scored]:
        """Predict images as they come; see :func:`musket.predict.runner.predict`."""
        return predict(
            sources,
            self.forwards,
            self.input,
            self.device,
            batch_size=batch_size or self.spec.inference_batch,
            groups=groups,
            failures=failures,
        )


def _constant(image: np.ndarray) -> Callable[[], tuple[np.ndarray, None]]:
    return lambda: (image, None)


def load(spec: SegmentationSpec, layout: Layout, fold_count: int, fold: Choice, stage: Choice) -> TrainedModel:
    """Best weights of the chosen folds and stages.

    A single missing file is an error; of several, those that exist are used and the missing ones are reported.

    Raises:
        ArtifactError: no weights at all, or weights of another network.
    """
    import warnings

    keys = choose(spec, fold_count, fold, stage)
    found = [key for key in keys if layout.weights(key.fold, key.stage).exists()]
    if not found:
        raise ArtifactError(
            "there are no weights of this fold and stage; train it first (fit)",
            layout.weights(keys[0].fold, keys[0].stage),
        )
    if len(found) < len(keys):
        missing = ", ".join(f"fold {key.fold} stage {key.stage}" for key in keys if key not in found)
        warnings.warn(f"no weights of {missing}; predicting with the other {len(found)}", stacklevel=3)
    return TrainedModel(spec, layout, found)


def dataset_sources(
    dataset: Any, ids: Sequence[str], positions: Sequence[int], shape: build.TargetShape, needs_truth: bool
) -> Iterator[Source]:
    """Samples of a dataset, read when their turn comes."""

    def reader(position: int) -> Callable[[], tuple[np.ndarray, np.ndarray | None]]:
        def read() -> tuple[np.ndarray, np.ndarray | None]:
            item = build.fetch(dataset, position, is_train=False)
            return build.checked_arrays(item, ids[position], shape, needs_truth)

        return read

    return (Source(ids[position], reader(position)) for position in positions)
