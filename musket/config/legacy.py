"""Old spellings, in one table. A config is rewritten on entry, so that nothing deeper in knows the old names.

Old names of parts (``PSP``, ``iou_coef``) are aliases in their registries; here stand keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from musket.config.read import COMMAND_LINE, to_yaml
from musket.config.tree import Items, Map, Scalar, dotted, plain
from musket.core.errors import Problem

IMAGE = ("Segmentation", "Classification")
ALL = (*IMAGE, "Generic", "InstanceSegmentation")


@dataclass(frozen=True)
class Row:
    """One old key.

    ``action`` is what becomes of it: ``drop`` takes it out, ``rename`` calls it ``to``, ``refuse`` is an error.
    ``words`` end the message: what was done instead, or what to do. A key that is null is dropped without a word.
    """

    key: str
    action: Literal["drop", "rename", "refuse"]
    words: str
    to: str = ""
    dialects: tuple[str, ...] = ALL
    in_stages: bool = False


_DETAIL = "it was a detail of the old backend; ignored"
_UNREAD = "nothing ever read it; ignored"
_CLASSIFIER = "the classifier of empty images is gone; ignored. Use stages with negatives: none, then real"
_DETECTOR = "the MMDetection config decides; ignored"

TABLE: tuple[Row, ...] = (
    Row("fit_with", "rename", "old name; read as dataset", to="dataset"),
    Row("needsSessionForPrediction", "drop", _DETAIL),
    Row("saveLast", "drop", f"{_UNREAD}. The state after the last epoch is always kept"),
    Row("add_to_train", "drop", f"{_UNREAD}. For more training items use extra_train_data"),
    Row("classifier", "drop", _CLASSIFIER, dialects=("Segmentation",)),
    Row("classifier_lr", "drop", _CLASSIFIER, dialects=("Segmentation",)),
    Row("flipPred", "drop", "masks are always mapped back, class vectors never; ignored", dialects=IMAGE),
    Row("bgr", "refuse", "no key of a config; use augmentation.BackgroundReplacer", dialects=IMAGE),
    Row("rate", "refuse", "no key of a config; use augmentation.BackgroundReplacer.rate", dialects=IMAGE),
    Row("holdout", "refuse", "no key of a config; use testSplit, or holdout inside dataset"),
    Row("groups", "refuse", "no key of a config; use groupFunc with stratified: true"),
    Row("validationTTA", "refuse", "no key of a config; use testTimeAugmentation"),
    Row("shapes", "refuse", "no key of a config; shapes are taken from the first item"),
    Row("validation_split", "refuse", "write validationSplit"),
    Row("negatives", "refuse", "belongs into a stage"),
    Row("validation_negatives", "refuse", "belongs into a stage"),
    Row("initial_weights", "refuse", "belongs into a stage"),
    Row("extra_callbacks", "refuse", "belongs into a stage; at the root use callbacks"),
    Row("epochs", "refuse", "belongs into a stage: stages: [{epochs: 10}]"),
    Row("logAll", "refuse", "belongs into a stage"),
    *(
        Row(key, "drop", _DETECTOR, dialects=("InstanceSegmentation",))
        for key in ("optimizer", "lr", "loss", "clipnorm", "clipvalue", "batch", "metrics", "activation")
    ),
    *(
        Row(key, "drop", _DETECTOR, dialects=("InstanceSegmentation",))
        for key in ("architecture", "dropout", "copyWeights", "freeze_encoder", "manualResize", "showDataExamples")
    ),
    Row(
        "dropSemanticHead",
        "drop",
        "the semantic branch is always left out; ignored",
        dialects=("InstanceSegmentation",),
    ),
    *(
        Row(key, "drop", _DETECTOR, dialects=("InstanceSegmentation",), in_stages=True)
        for key in ("lr", "loss", "callbacks", "extra_callbacks", "unfreeze_encoder", "freeze_encoder", "logAll")
    ),
    *(
        Row(key, "drop", "the network is declared; ignored", dialects=("Generic",))
        for key in ("classes", "activation", "shape")
    ),
)


def upgrade(root: Map, dialect: str) -> tuple[Map, list[Problem], list[Problem]]:
    """Rewrite a tree in today's terms.

    Args:
        root: the tree as read.
        dialect: kind of experiment, in its canonical name.

    Returns:
        the new tree; the notices, one per old key, saying what was done instead; the problems.
    """
    notices: list[Problem] = []
    problems: list[Problem] = []
    rows = [row for row in TABLE if dialect in row.dialects]
    root = _upgrade_map(root, (), [row for row in rows if not row.in_stages], notices, problems)
    stages = root.entries.get("stages")
    stage_rows = [row for row in rows if row.in_stages]
    if stages is not None and stage_rows and isinstance(stages.value, Items):
        items = tuple(
            _upgrade_map(item, ("stages", position), stage_rows, notices, problems) if isinstance(item, Map) else item
            for position, item in enumerate(stages.value.items)
        )
        root = root.having("stages", Items(items, stages.value.place), stages.place)
    return root, notices, problems


def without_meaning(dialect: str, *, in_stages: bool = False) -> set[str]:
    """Keys that mean nothing in a dialect and are dropped when they are read."""
    return {row.key for row in TABLE if row.action == "drop" and dialect in row.dialects and row.in_stages is in_stages}


def known_keys(dialects: Iterable[str] = ALL) -> Iterator[Row]:
    """The rows of root keys that are accepted in some of the dialects, for the JSON Schema."""
    wanted = set(dialects)
    return (row for row in TABLE if row.action != "refuse" and not row.in_stages and wanted & set(row.dialects))


def _upgrade_map(
    node: Map, loc: tuple[str | int, ...], rows: list[Row], notices: list[Problem], problems: list[Problem]
) -> Map:
    for row in rows:
        entry = node.entries.get(row.key)
        if entry is None:
            continue
        place = entry.place
        words = row.words
        if words.startswith("belongs into a stage") and place.origin == COMMAND_LINE:
            words = f"belongs into a stage: stages[0].{row.key}={to_yaml(plain(entry.value), flow=True)}"
        told = Problem(place.line, place.column, dotted((*loc, row.key)), words, place.origin)
        empty = isinstance(entry.value, Scalar) and entry.value.value is None
        if row.action == "refuse" and not empty:
            problems.append(told)
        elif row.action == "rename" and not empty and row.to in node.entries:
            problems.append(
                Problem(place.line, place.column, told.key, f"given beside {row.to}; keep {row.to}", place.origin)
            )
        elif not empty:
            notices.append(told)
        if row.action == "rename" and not empty and row.to not in node.entries:
            node = node.having(row.to, entry.value, place)
        node = node.without(row.key)
    return node
