"""Names of metrics and which way is better. Imports no torch: the code stands behind "module:attribute".

Facts of a metric, all optional:
    mode: "max" or "min". A user's own metric without it has no direction.
    evaluation: the form used on finished predictions, where it differs from the one tracked during training.
    need_threshold: False keeps the predictions of a user's own metric as they are in evaluation, instead of 0/1.
    by_activation: for some activations of the network's output, another form.
    reduction: "mean" or "sum", what a loss does over the batch.
    same_shape: the function wants truth and prediction of one shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from musket.core.registry import Registry

METRICS = Registry("metric")

Mode = Literal["min", "max"]


def direction(name: str) -> Mode | None:
    """Which way a logged figure gets better.

    Args:
        name: a metric or loss by name or alias, ``loss`` itself, each as it is or as ``val_...`` or ``..._holdout``.

    Returns:
        "max", "min", or None when nobody has said.
    """
    bare = _bare(name)
    if bare == "loss":
        return "min"
    return METRICS.get(bare).facts.get("mode") if bare in METRICS else None


def find_column(name: str, columns: Iterable[str]) -> str | None:
    """The column that holds a figure, also when it was logged under another name of the same metric.

    ``val_iou_coef`` finds ``val_iou``. None when there is no such column.
    """
    columns = list(columns)
    if name in columns:
        return name
    if _bare(name) not in METRICS:
        return None
    before, _, after = name.partition(_bare(name))
    names = (before + other + after for other in _spellings(_bare(name)))
    folded = {column.lower(): column for column in columns}
    return next((folded[other.lower()] for other in names if other.lower() in folded), None)


def _bare(name: str) -> str:
    return name.removeprefix("val_").removesuffix("_holdout")


def _spellings(name: str) -> list[str]:
    return [METRICS.get(name).name, *METRICS.aliases(name)]


def _fill() -> None:
    counts, labels, losses = "musket.metrics.counts", "musket.metrics.labels", "musket.losses"
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

    # Every loss is a metric too. A test holds this table to the catalogue of losses, which this room may not import.
    entropy, overlap, distance = (f"{losses}.{module}" for module in ("crossentropy", "overlap", "distance"))
    for module, name, aliases, summary in (
        (entropy, "binary_crossentropy", ("log_loss",), "Cross-entropy of every value on its own."),
        (entropy, "categorical_crossentropy", (), "Cross-entropy over exclusive classes."),
        (overlap, "soft_dice_loss", (), "1 - soft Dice of each whole image."),
        (overlap, "soft_jaccard_loss", (), "1 - soft IoU of each whole image."),
        (overlap, "dice_loss", (), "1 - Dice over the classes of each pixel."),
        (overlap, "jaccard_loss", (), "Smoothed Jaccard distance over the classes of each pixel, times 100."),
        (overlap, "iou_loss", (), "Minus the soft overlap of each image."),
        (distance, "mean_squared_error", ("mse",), "Mean of (t - p)^2."),
        (distance, "mean_absolute_error", ("mae",), "Mean of |t - p|."),
        (distance, "mean_absolute_percentage_error", ("mape",), "Mean of 100 |t - p| / |t|."),
        (distance, "mean_squared_logarithmic_error", ("msle",), "Mean of (log(1 + t) - log(1 + p))^2."),
        (distance, "logcosh", (), "Mean of log cosh(p - t)."),
        (distance, "hinge", (), "Mean of max(0, 1 - t p), truth taken as -1 and 1."),
        (distance, "squared_hinge", (), "Mean of max(0, 1 - t p)^2, truth taken as -1 and 1."),
        (distance, "categorical_hinge", (), "Margin between the true class and the best other one."),
        (distance, "poisson", (), "Mean of p - t log p."),
        (distance, "kullback_leibler_divergence", ("kld",), "Sum over classes of t log(t / p)."),
        (distance, "cosine_proximity", ("cosine",), "Minus the cosine between truth and prediction."),
    ):
        add(name, f"{module}:{name}", summary, aliases=aliases, mode="min", need_threshold=False, same_shape=True)
    add(
        "sparse_categorical_crossentropy",
        f"{entropy}:sparse_categorical_crossentropy",
        "Cross-entropy over exclusive classes, truth given as class numbers.",
        mode="min",
        need_threshold=False,
    )
    for module, name, summary in (
        (entropy, "focal_loss", "Focal loss of a sample: sum over its values, mean over samples."),
        (distance, "l2_loss", "Sum of (t - p)^2 of a sample, mean over samples."),
    ):
        add(name, f"{module}:{name}", summary, mode="min", need_threshold=False, same_shape=True, reduction="sum")
    add(
        "lovasz_loss",
        f"{overlap}:lovasz_of_probabilities",
        "Lovasz hinge of each image.",
        mode="min",
        need_threshold=False,
        same_shape=True,
        by_activation=dict.fromkeys(("linear", "none"), f"{overlap}:lovasz_loss"),
    )


_fill()
