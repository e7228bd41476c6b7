"""Names of metrics and which way is better. Imports no torch: the code stands behind "module:attribute".

Facts of a metric, all optional:
    mode: "max" or "min". A user's own metric without it has no direction.
    evaluation: the form used on finished predictions, where it differs from the one tracked during training.
    need_threshold: False keeps the predictions of a user's own metric as they are in evaluation, instead of 0/1.
    by_activation: for some activations of the network's output, another form.
    reduction: "mean" or "sum", what a loss does over the batch.
    exclusive: for a head of exclusive classes (softmax), another form.
    options: of the class behind the metric, in every form.
    of: the heads it makes sense for, absent: any. "classes": heads of classes; "exclusive": heads of exclusive classes
        if there are any, else those of classes; "values": heads of plain values if there are any, else all.
    per_class: True if every class has a column of its own, ``<metric>_<class>``.
    same_shape: the function wants truth and prediction of one shape.
    adopted: the entry is a loss.
    figure, empty, best_threshold: (final metrics) options of PerItem.

Every loss is a metric too. This room does not know the losses: whoever opens an experiment calls :func:`adopt`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal

from musket.core.heads import HeadKind, Heads, distinct, kind_of
from musket.core.registry import Registry

METRICS = Registry("metric")
FINAL_METRICS = Registry("final metric", "final_metrics")
"""Figures of finished predictions, for the key ``final_metrics``."""

Mode = Literal["min", "max"]

_HEADS: dict[str | None, tuple[set[HeadKind], ...]] = {
    None: ({"exclusive", "labels", "values"},),
    "classes": ({"exclusive", "labels"},),
    "exclusive": ({"exclusive"}, {"labels"}),
    "values": ({"values"}, {"exclusive", "labels"}),
}
"""For what a metric says it is ``of``: the kinds of heads it is for, or else."""


def heads_of(name: str, activations: Sequence[str]) -> list[int]:
    """The heads, by position, that a metric makes sense for. See ``of`` in the facts of metrics.

    Raises:
        RegistryError: no such metric; names the nearest.
    """
    kinds = [kind_of(activation) for activation in activations]
    choices = _HEADS[METRICS.get(name).facts.get("of")]
    found = ([position for position, kind in enumerate(kinds) if kind in wanted] for wanted in choices)
    return next(filter(None, found), [])


def columns_of(name: str, activations: Sequence[str], heads: Sequence[str]) -> list[str]:
    """The columns a metric is logged under, before ``val_`` and ``_holdout``.

    Args:
        name: a metric, as the user wrote it.
        activations: of each head.
        heads: their names.

    Returns:
        the metric; of several heads, also ``<metric>_<head>`` for those it makes sense for, of which the first is the
        mean. Empty: it makes sense for no head.

    Raises:
        RegistryError: no such metric; names the nearest.
    """
    positions = heads_of(name, activations)
    if not positions or len(activations) == 1:
        return [name] if positions else []
    return [name, *(f"{name}_{heads[position]}" for position in positions)]


def class_columns(names: Iterable[str], heads: Heads) -> list[str]:
    """The columns of single classes, ``<metric>_<class>`` or of several heads ``<metric>_<head>_<class>``.

    Args:
        names: metrics, as the user wrote them; those without such columns are passed over.
        heads: with the names of their classes, as far as they are known.
    """
    columns = []
    for name in names:
        if name in METRICS and METRICS.get(name).facts.get("per_class"):
            for position in heads_of(name, heads.activations):
                column = name if len(heads.sizes) == 1 else f"{name}_{heads.names[position]}"
                told = heads.classes[position] if heads.classes else ()
                columns += [f"{column}_{of}" for of in names_of_classes(told, heads.sizes[position])]
    return columns


def names_of_classes(told: Sequence[str], count: int) -> list[str]:
    """What the columns of ``count`` classes end in: their names, the last ones if there are more, else numbers from 0.

    Names that come again are numbered; see :func:`musket.core.heads.distinct`.
    """
    return distinct([str(name) for name in told[-count:]] or [str(number) for number in range(count)])


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
            of=loss.facts.get("of"),
        )


def direction(name: str) -> Mode | None:
    """Which way a logged figure gets better.

    Args:
        name: a metric or loss by name or alias, ``loss`` itself, each as it is, of a head (``accuracy_kids``), or as
            ``val_...`` or ``..._holdout``.

    Returns:
        "max", "min", or None when nobody has said.
    """
    _, bare, _ = _parts(name)
    metric, head = split_figure(bare)
    if metric in METRICS:
        return METRICS.get(metric).facts.get("mode")
    if metric in FINAL_METRICS and not head:
        return FINAL_METRICS.get(metric).facts.get("mode")
    return "min" if bare == "loss" or bare.startswith("loss_") else None


def find_column(name: str, columns: Iterable[str]) -> str | None:
    """The column that holds a figure, also when it was logged under another name of the same metric.

    ``val_iou_coef`` finds ``val_iou``, ``val_acc_kids`` finds ``val_accuracy_kids``. None when there is no such column.
    """
    columns = list(columns)
    if name in columns:
        return name
    before, bare, after = _parts(name)
    metric, head = split_figure(bare)
    if metric not in METRICS:
        return None
    spellings = (METRICS.get(metric).name, *METRICS.aliases(metric))
    same = {f"{before}{spelling}{head}{after}".lower() for spelling in spellings}
    return next((column for column in columns if column.lower() in same), None)


def _parts(name: str) -> tuple[str, str, str]:
    """``val_`` or nothing, the name itself, ``_holdout`` or nothing."""
    bare = name.removeprefix("val_")
    before = name[: len(name) - len(bare)]
    core = bare.removesuffix("_holdout")
    return before, core, bare[len(core) :]


def split_figure(column: str) -> tuple[str, str]:
    """The longest metric that a column begins with, and what follows: nothing, or ``_<head>``."""
    ends = [len(column), *(position for position in reversed(range(len(column))) if column[position] == "_")]
    known = (end for end in ends if column[:end] in METRICS or column[:end] in FINAL_METRICS)
    end = next(known, len(column))
    return column[:end], column[end:]


def _fill() -> None:
    counts, accuracy = "musket.metrics.counts", "musket.metrics.accuracy"
    add = METRICS.add

    add(
        "binary_accuracy",
        f"{counts}:BinaryAccuracy",
        "Share of values on the right side of 0.5.",
        mode="max",
        of="classes",
    )
    add(
        "accuracy",
        f"{accuracy}:Accuracy",
        "binary_accuracy or categorical_accuracy, as classes and activation ask.",
        aliases=("acc",),
        mode="max",
        of="classes",
        by_activation={"sigmoid": f"{counts}:BinaryAccuracy"},
    )
    add(
        "categorical_accuracy",
        f"{accuracy}:CategoricalAccuracy",
        "Share of samples or pixels whose highest class is the true one.",
        mode="max",
        of="exclusive",
    )
    add(
        "sparse_categorical_accuracy",
        f"{accuracy}:SparseCategoricalAccuracy",
        "categorical_accuracy for truth given as class numbers, or as a channel per class.",
        mode="max",
        of="exclusive",
    )
    for k in (2, 3, 5, 10):
        add(
            "top_k_categorical_accuracy" if k == 5 else f"top_{k}_accuracy",
            f"{accuracy}:TopKCategoricalAccuracy",
            f"Share of samples or pixels whose true class is among the {k} highest.",
            aliases=("top_5_accuracy",) if k == 5 else (),
            mode="max",
            of="exclusive",
            options={"k": k},
        )
    add(
        "dice",
        f"{counts}:Dice",
        "Dice at 0.5 of all pixels of the epoch together.",
        mode="max",
        of="classes",
        evaluation=f"{counts}:DicePerClass",
    )
    add(
        "iou",
        f"{counts}:SoftOverlap",
        "Soft overlap of each image (in training); IoU at 0.5 (on finished predictions).",
        aliases=("iou_coef",),
        mode="max",
        of="classes",
        evaluation=f"{counts}:IoUPerClass",
    )
    add(
        "iot",
        f"{counts}:HardOverlap",
        "Overlap of each image at 0.5.",
        aliases=("iot_coef",),
        mode="max",
        of="classes",
    )
    add(
        "macro_f1",
        f"{counts}:MacroF1",
        "F1 per class, mean over classes: soft in training, of decided classes on finished predictions.",
        aliases=("f1",),
        mode="max",
        of="classes",
        evaluation=f"{counts}:MacroF1OfDecisions",
    )
    add("f1_loss", f"{counts}:F1Loss", "1 - macro_f1 from soft counts.", mode="min", of="classes")
    _fill_classes()
    _fill_values()

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


def _fill_classes() -> None:
    counts, classes, ranking = (f"musket.metrics.{module}" for module in ("counts", "classes", "ranking"))
    add = partial(METRICS.add, of="classes", mode="max")

    figures = {
        "precision": "Share of what is predicted that is true",
        "recall": "Share of what is true that is predicted",
        "f1": "Harmonic mean of precision and recall",
    }
    averages = {
        "macro": "mean over classes",
        "micro": "of the counts of all classes together",
        "weighted": "mean over classes, weighted by how often each is true",
    }
    for figure, what in figures.items():
        for average, how in averages.items():
            name = f"{average}_{figure}"
            if name not in METRICS:
                aliases = (figure,) if average == "macro" else ()
                options = {"figure": figure, "average": average}
                add(name, f"{classes}:ClassFigure", f"{what}, {how}.", aliases=aliases, options=options)
        summary = f"{what}, of every class: <name>_<class>; their mean under the name itself."
        add(f"per_class_{figure}", f"{classes}:FigurePerClass", summary, per_class=True, options={"figure": figure})

    add(
        "balanced_accuracy",
        f"{classes}:BalancedAccuracy",
        "Recall, mean over the classes that occur (over both sides of classes each on its own).",
        exclusive=f"{classes}:BalancedAccuracyOfExclusive",
    )
    add(
        "matthews_correlation",
        f"{counts}:MatthewsCorrelation",
        "Correlation of truth and decisions, -1..1; fair to rare classes.",
        aliases=("mcc",),
        exclusive=f"{classes}:MatthewsOfExclusive",
    )
    add(
        "cohen_kappa",
        f"{classes}:CohenKappa",
        "Agreement beyond chance, 1 when perfect.",
        aliases=("kappa",),
        exclusive=f"{classes}:CohenKappaOfExclusive",
    )
    add(
        "quadratic_kappa",
        f"{classes}:CohenKappa",
        "cohen_kappa for classes that are grades: mistakes count by the square of their distance.",
        exclusive=f"{classes}:QuadraticKappaOfExclusive",
    )
    add(
        "exact_match",
        f"{classes}:ExactMatch",
        "Share of samples or pixels all of whose classes are decided right.",
        aliases=("subset_accuracy",),
    )
    add("hamming_loss", f"{classes}:HammingLoss", "Share of decisions that are wrong.", mode="min")
    add(
        "roc_auc",
        f"{ranking}:RocAuc",
        "Area under the ROC curve of each class, mean over the classes that occur; keeps all scores.",
        aliases=("auc",),
    )
    add(
        "average_precision",
        f"{ranking}:AveragePrecision",
        "Average precision of each class, mean over the classes that occur (mAP); keeps all scores.",
        aliases=("mean_average_precision",),
    )


def _fill_values() -> None:
    regression = "musket.metrics.regression"
    METRICS.add(
        "rmse",
        f"{regression}:RootMeanSquaredError",
        "Root of the mean squared error.",
        aliases=("root_mean_squared_error",),
        mode="min",
        of="values",
    )
    METRICS.add(
        "r2",
        f"{regression}:R2",
        "Share of the variance that is explained: 1 is perfect, 0 as good as the mean.",
        aliases=("r2_score",),
        mode="max",
        of="values",
    )


_fill()
