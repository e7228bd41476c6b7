"""Names of metrics and which way is better. Imports no torch: the code stands behind "module:attribute".

Facts of a metric, all optional:
    mode: "max" or "min". A user's own metric without it has no direction.
    evaluation: the form used on finished predictions, where it differs from the one tracked during training.
    need_threshold: False keeps the predictions of a user's own metric as they are in evaluation, instead of 0/1.
    by_activation: for some activations of the network's output, another form.
    reduction: "mean" or "sum", what a loss does over the batch.
    same_shape: the function wants truth and prediction of one shape.
    adopted: the entry is a loss.
    figure, empty, best_threshold: (final metrics) options of PerItem.

Every loss is a metric too. This room does not know the losses: whoever opens an experiment calls :func:`adopt`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from musket.core.registry import Registry

METRICS = Registry("metric")
FINAL_METRICS = Registry("final metric", "final_metrics")
"""Figures of finished predictions, for the key ``final_metrics``."""

Mode = Literal["min", "max"]


def adopt(losses: Registry) -> None:
    """Make every loss a metric, except where a metric has the name already. May be called again after new losses came.

    As a metric a loss is never thresholded; one that sums over the batch is divided by the samples.
    """
    for loss in losses.entries():
        if loss.name in METRICS and not METRICS.get(loss.name).facts.get("adopted"):
            continue
        on_logits = dict.fromkeys(("linear", "none"), loss.target) if loss.facts.get("takes_logits") else {}
        METRICS.add(
            loss.name,
            loss.facts.get("on_probabilities", loss.target),
            loss.summary,
            aliases=tuple(losses.aliases(loss.name)),
            replace=True,
            adopted=True,
            mode=loss.facts.get("mode", "min"),
            reduction=loss.facts.get("reduction", "mean"),
            same_shape=loss.facts.get("truth") == "same",
            by_activation=on_logits,
            need_threshold=False,
        )


def direction(name: str) -> Mode | None:
    """Which way a logged figure gets better.

    Args:
        name: a metric or loss by name or alias, ``loss`` itself, each as it is or as ``val_...`` or ``..._holdout``.

    Returns:
        "max", "min", or None when nobody has said.
    """
    _, bare, _ = _parts(name)
    if bare == "loss":
        return "min"
    registry = METRICS if bare in METRICS else FINAL_METRICS
    return registry.get(bare).facts.get("mode") if bare in registry else None


def find_column(name: str, columns: Iterable[str]) -> str | None:
    """The column that holds a figure, also when it was logged under another name of the same metric.

    ``val_iou_coef`` finds ``val_iou``. None when there is no such column.
    """
    columns = list(columns)
    if name in columns:
        return name
    before, bare, after = _parts(name)
    if bare not in METRICS:
        return None
    same = {f"{before}{spelling}{after}".lower() for spelling in (METRICS.get(bare).name, *METRICS.aliases(bare))}
    return next((column for column in columns if column.lower() in same), None)


def _parts(name: str) -> tuple[str, str, str]:
    """``val_`` or nothing, the name itself, ``_holdout`` or nothing."""
    bare = name.removeprefix("val_")
    before = name[: len(name) - len(bare)]
    core = bare.removesuffix("_holdout")
    return before, core, bare[len(core) :]


def _fill() -> None:
    counts, labels = "musket.metrics.counts", "musket.metrics.labels"
    add = METRICS.add

    add("binary_accuracy", f"{counts}:BinaryAccuracy", "Share of values on the right side of 0.5.", mode="max")
    add(
        "accuracy",
        f"{labels}:Accuracy",
        "binary_accuracy or categorical_accuracy, as classes and activation ask.",
        aliases=("acc",),
        mode="max",
        by_activation={"sigmoid": f"{counts}:BinaryAccuracy"},
    )
    add(
        "categorical_accuracy",
        f"{labels}:CategoricalAccuracy",
        "Share of samples or pixels whose highest class is the true one.",
        mode="max",
    )
    add(
        "sparse_categorical_accuracy",
        f"{labels}:SparseCategoricalAccuracy",
        "categorical_accuracy for truth given as class numbers.",
        mode="max",
    )
    add(
        "top_k_categorical_accuracy",
        f"{labels}:TopKCategoricalAccuracy",
        "Share of samples or pixels whose true class is among the 5 highest.",
        mode="max",
    )
    add(
        "dice",
        f"{counts}:Dice",
        "Dice at 0.5 of all pixels of the epoch together.",
        mode="max",
        evaluation=f"{counts}:DicePerClass",
    )
    add(
        "iou",
        f"{counts}:SoftOverlap",
        "Soft overlap of each image (in training); IoU at 0.5 (on finished predictions).",
        aliases=("iou_coef",),
        mode="max",
        evaluation=f"{counts}:IoUPerClass",
    )
    add("iot", f"{counts}:HardOverlap", "Overlap of each image at 0.5.", aliases=("iot_coef",), mode="max")
    add(
        "macro_f1",
        f"{counts}:MacroF1",
        "F1 per class, mean over classes: soft in training, at 0.5 on finished predictions.",
        mode="max",
        evaluation=f"{counts}:MacroF1AtHalf",
    )
    add(
        "matthews_correlation",
        f"{counts}:MatthewsCorrelation",
        "Correlation of truth and prediction at 0.5, -1..1; fair to rare classes.",
        mode="max",
    )
    add("f1_loss", f"{counts}:F1Loss", "1 - macro_f1 from soft counts.", mode="min")

    figures = {
        "dice": "Dice of each item",
        "iou": "IoU of each item",
        "map10": "Share of the IoUs 0.5, 0.55 ... 0.95 each item passes",
    }
    empties = {"zero": "counts 0", "one": "counts 1", "skip": "is left out"}
    for figure, words in figures.items():
        for best_threshold in (False, True):
            where = "at the best of the thresholds 0.00 ... 0.99" if best_threshold else "at 0.5"
            for empty, rule in empties.items():
                FINAL_METRICS.add(
                    f"{figure}{'_with_custom_treshold' if best_threshold else ''}_true_negative_is_{empty}",
                    "musket.metrics.final:PerItem",
                    f"{words} {where}, mean over items; an empty pair {rule}.",
                    mode="max",
                    figure=figure,
                    empty=empty,
                    best_threshold=best_threshold,
                )


_fill()
