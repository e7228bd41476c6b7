"""What has changed since an experiment was trained, and how much of it must be done again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from musket.artifacts.layout import Layout
from musket.core.errors import Change
from musket.experiment.state import code_used
from musket.experiment.state.changes import (
    config_changes,
    evaluation_changes,
    first_changed_stage,
    grown_stage,
)

What = Literal["nothing", "evaluation", "epochs", "stages", "everything"]

# Keys that decide which samples are on which side of a split.
_OF_SPLITS = frozenset(
    (
        "dataset",
        "datasets",
        "preprocessing",
        "pretrain_transform",
        "groupFunc",
        "folds_count",
        "random_state",
        "stratified",
        "validationSplit",
        "testSplit",
        "testSplitSeed",
    )
)


@dataclass(frozen=True)
class Affected:
    """How much of a finished experiment does not hold any more.

    Attributes:
        what: nothing; evaluation (the summary, the weights are right); epochs (there are more of them, in the last
            stage); stages (from ``first_stage`` on); everything.
        new_splits: the splits belong to other data or settings.
        epochs: of the stage that gets more of them: how many it had, and is to have.
    """

    what: What = "nothing"
    first_stage: int = 0
    new_splits: bool = False
    epochs: tuple[int, int] | None = None

    def __str__(self) -> str:
        """What is done again, in words."""
        if self.what == "epochs" and self.epochs is not None:
            done, wanted = self.epochs
            which = f"epoch {wanted}" if wanted == done + 1 else f"epochs {done + 1} to {wanted}"
            return f"goes on with stage {self.first_stage}, {which} of {wanted}"
        if self.what == "everything":
            return f"everything is trained again{', on new splits' if self.new_splits else ''}"
        return {
            "nothing": "nothing is done",
            "evaluation": "evaluated again, nothing is trained",
            "stages": f"trained from stage {self.first_stage} on",
        }[self.what]


@dataclass(frozen=True)
class Staleness:
    """Why results do not hold any more, in words, and what that concerns."""

    reasons: tuple[str, ...] = ()
    affected: Affected = field(default_factory=Affected)


@dataclass(frozen=True)
class Today:
    """What an experiment would be trained with now.

    Attributes:
        config: resolved, as plain data.
        code: path -> digest of the project's files it uses; None outside of projects.
        training_code: names of those that count before evaluation, now or as it was trained.
        data: what has changed in the data, in words.
    """

    config: Mapping[str, Any]
    code: Mapping[str, str] | None = None
    training_code: frozenset[str] = frozenset()
    data: Sequence[str] = ()


def staleness(stored: Mapping[str, Any], today: Today, ignored: Iterable[str] = ()) -> Staleness:
    """Compare the record of a run with today.

    Args:
        stored: the record; one of an older version, without some of its parts, is compared as far as it goes.
        ignored: keys that differ on purpose.
    """
    then, now = dict(stored["config"]), dict(today.config)
    skipped = tuple(ignored)
    trained = [change for change in config_changes(then, now, may_grow=False) if not _under(change.key, skipped)]
    judged = evaluation_changes(then, now)
    told = stored.get("code")
    code = {} if told is None or today.code is None else code_used.differences(told, today.code)
    said = (f"code: {name} {what}" for name, what in code.items())
    reasons = (*(_in_words(change) for change in (*trained, *judged)), *today.data, *said)
    if today.data or not today.training_code.isdisjoint(code):
        redrawn = bool(today.data) or _redraws(trained)
        return Staleness(reasons, Affected("everything", new_splits=redrawn))
    if trained:
        return Staleness(reasons, _of_config(trained, len(now["stages"])))
    return Staleness(reasons, Affected("evaluation") if judged or code else Affected())


def _in_words(change: Change) -> str:
    was, now = ("not set" if value is None else repr(value) for value in (change.stored, change.current))
    return f"{change.key}: was {was}, now {now}"


def _of_config(changes: Sequence[Change], stages: int) -> Affected:
    first = first_changed_stage(changes)
    if all(grown_stage(change) == stages - 1 for change in changes):
        return Affected("epochs", first, epochs=cast("tuple[int, int]", (changes[0].stored, changes[0].current)))
    if first >= stages:  # the last ones are left out
        return Affected("evaluation")
    return Affected("stages", first) if first else Affected("everything", new_splits=_redraws(changes))


def _redraws(changes: Iterable[Change]) -> bool:
    return any(change.key.partition(".")[0] in _OF_SPLITS for change in changes)


def _under(key: str, roots: Sequence[str]) -> bool:
    return any(key == root or key.startswith(f"{root}.") for root in roots)


def possible(affected: Affected, layout: Layout, folds: Iterable[int], stages: int) -> Affected:
    """The same, or more of it, where the files that it would go on from are not there any more."""
    found, folds = affected, list(folds)
    if found.what == "epochs" and not all(layout.state(fold, stages - 1).exists() for fold in folds):
        found = Affected("stages", stages - 1) if stages > 1 else Affected("everything")
    kept = {"evaluation": stages, "epochs": stages, "stages": found.first_stage}.get(found.what, 0)
    if not all(layout.weights(fold, stage).exists() for fold in folds for stage in range(kept)):
        return Affected("everything", new_splits=affected.new_splits)
    return found
