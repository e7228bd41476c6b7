"""From a checked spec to objects. The only place that sees both the config and the parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from musket.config.schema import ClassificationSpec, SegmentationSpec
from musket.experiment.class_names import class_names
from musket.experiment.targets import heads_of

if TYPE_CHECKING:
    import torch

    from musket.config.schema import NetworkSpec, StageSpec
    from musket.losses.loss import Loss
    from musket.metrics.build import MetricSet
    from musket.metrics.metric import Metric
    from musket.pipelines.image import ImagePipeline, Normalization
    from musket.pipelines.mixing import Mixing
    from musket.training.hooks import Hook


def build_model(spec: NetworkSpec, pretrained: bool = True) -> torch.nn.Module:
    """The network of a spec, giving logits.

    Args:
        pretrained: load the weights that ``encoder_weights`` or ``weights`` names; False when trained weights follow
            anyway. What is not loaded is drawn from torch's generator.

    Raises:
        ModelError: it cannot be built, or its weights cannot be had.
    """
    common: dict[str, Any] = {
        "in_channels": spec.shape[2],
        "options": dict(spec.architecture_options),
        "copy_weights": spec.copyWeights,
        "pretrained": pretrained,
        "shape": spec.shape,
    }
    if isinstance(spec, ClassificationSpec):
        from musket.models.classifiers import build_classifier

        return build_classifier(
            spec.architecture,
            weights=spec.weights,
            classes=spec.head_sizes,
            pooling=spec.pooling,
            dropout=spec.dropout,
            activation=spec.activation,
            **common,
        )
    from musket.models.segmenters import build_segmenter

    assert isinstance(spec, SegmentationSpec), "the other kinds of experiments have networks of their own"
    return build_segmenter(
        spec.architecture,
        encoder=spec.backbone,
        encoder_weights=spec.encoder_weights,
        classes=spec.output_channels,
        activation=spec.head_activations[0],
        **common,
    )


def normalization(spec: NetworkSpec, model: torch.nn.Module, stored: Mapping[str, Any] | None = None) -> Normalization:
    """Mean and deviation of the inputs: those stored with the weights, else the config's, else the encoder's own."""
    from musket.pipelines.image import Normalization

    channels = spec.shape[2]
    if stored and stored.get("mean"):
        return Normalization(tuple(stored["mean"]), tuple(stored["std"]))
    if spec.normalize is not None:
        return Normalization(*spec.normalize.of(channels))
    mean = getattr(model, "mean", None) or (0.0,) * channels
    std = getattr(model, "std", None) or (1.0,) * channels
    return Normalization(tuple(mean), tuple(std))


def build_pipeline(
    spec: NetworkSpec,
    normalization: Normalization,
    loss: str | Sequence[str] | None,
    device: torch.device,
    class_weights: Sequence[Any] | None = None,
) -> ImagePipeline:
    """How to train (with ``loss``) and ask this network; on ``device``.

    Args:
        class_weights: see :func:`musket.experiment.class_weights.class_weights_of`.
    """
    from musket.core.runtime import memory_format
    from musket.losses.heads import build_heads_activation
    from musket.pipelines.image import ImagePipeline, Normalize

    return ImagePipeline(
        loss=None if loss is None else build_spec_loss(spec, loss, class_weights),
        activate=build_heads_activation(spec.activation, spec.classes),
        normalize=Normalize(normalization),
        memory_format=memory_format(device),
        mixing=_mixing(spec),
    ).to(device)


def build_spec_loss(spec: NetworkSpec, loss: str | Sequence[str], class_weights: Sequence[Any] | None = None) -> Loss:
    """The loss over all outputs of a spec's network; its parts bear the names of the heads."""
    from musket.losses.heads import build_heads_loss

    return build_heads_loss(loss, spec.activation, spec.classes, names=spec.named_heads, class_weights=class_weights)


def build_metrics(
    spec: NetworkSpec,
    dataset: Any,
    names: Sequence[str] | None = None,
    *,
    evaluation: bool = False,
    also: Iterable[Metric] = (),
) -> MetricSet:
    """Metrics of a spec's outputs.

    Args:
        dataset: may know what the classes are called.
        names: default those of the spec.
        evaluation: the form for finished predictions.
        also: further ones.
    """
    from musket.metrics.build import MetricSet

    names, heads = spec.metrics if names is None else names, heads_of(spec)
    if heads is None:
        return MetricSet(names, evaluation=evaluation, activation=spec.activation, also=also)
    called = tuple(tuple(each) for each in class_names(dataset, spec) or ())
    return MetricSet(names, evaluation=evaluation, also=also, heads=replace(heads, classes=called))


def _mixing(spec: NetworkSpec) -> Mixing | None:
    from musket.losses.catalogue import ACTIVATIONS
    from musket.pipelines.mixing import Mixing

    if not (spec.mixup or spec.cutmix or spec.label_smoothing):
        return None
    activations = [ACTIVATIONS.get(name or "linear").name for name in spec.head_activations]
    heads = tuple(zip(spec.head_sizes, activations, strict=True))
    return Mixing(spec.mixup, spec.cutmix, spec.label_smoothing, heads)


def build_optimizer(spec: NetworkSpec, model: torch.nn.Module, lr: float | None) -> torch.optim.Optimizer:
    """The optimizer of a network, its weights grouped by how they decay and learn.

    Raises:
        ModelError, TrainingError: a value is refused, or the network has no encoder for ``layer_decay``.
    """
    from musket.optim import build, groups

    parameters = groups.parameter_groups(model, weight_decay=spec.weight_decay, layer_decay=spec.layer_decay)
    return build.build_optimizer(spec.optimizer, parameters, lr=lr)


def build_callbacks(spec: NetworkSpec, stage: StageSpec) -> list[Hook]:
    """Callbacks of a stage: its own instead of the root's if it has any, then the extra ones."""
    from musket.training.catalogue import CALLBACKS

    parts = [*(spec.callbacks if stage.callbacks is None else stage.callbacks), *(stage.extra_callbacks or ())]
    return [CALLBACKS.load(part.name)(**part.options) for part in parts]
