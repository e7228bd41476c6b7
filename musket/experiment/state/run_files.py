"""What the files of a run say of it, read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.artifacts.peek import peek_state
from musket.artifacts.runs import seeds, trials
from musket.core.errors import ArtifactError
from musket.experiment.state.run_record import stored_run


@dataclass(frozen=True)
class RunFiles:
    """The files of one run: an experiment that is trained once, or one of its seeds or trials."""

    layout: Layout

    @cached_property
    def summary(self) -> Any:
        """What summary.yaml holds, a text after a failure of the former framework; None without a readable one."""
        try:
            return records.read_yaml(self.layout.summary)
        except ArtifactError:
            return None

    @property
    def stored(self) -> dict[str, Any] | None:
        """The record of the run; None when there is none, or :attr:`unreadable` says why."""
        return self._record[0]

    @property
    def unreadable(self) -> str:
        """What is wrong with the record; empty as a rule."""
        return self._record[1]

    @cached_property
    def _record(self) -> tuple[dict[str, Any] | None, str]:
        try:
            return stored_run(self.layout), ""
        except ArtifactError as error:
            return None, str(error)

    @cached_property
    def failures(self) -> tuple[str, ...]:
        """What error.yaml tells, one line each."""
        try:
            told = records.read_yaml(self.layout.error) if self.layout.error.exists() else None
        except ArtifactError as error:
            return (str(error),)
        entries = told.get("errors") if isinstance(told, dict) else None
        lines = [_line(entry) for entry in entries or () if isinstance(entry, dict)]
        if not lines and (told is not None or self.summary == "Error"):
            lines = ["failed"]
        return tuple(lines)

    @property
    def begun(self) -> bool:
        """Whether something was trained here: one epoch at least."""
        weights = self.layout.weights(0, 0).parent
        return any(any(weights.glob(name)) for name in ("best-*", "last-*")) or isinstance(self.summary, str)

    @property
    def changed(self) -> float:
        """When the newest of the files that tell of it was written, Unix time; that of the config before training."""
        layout = self.layout
        told = [layout.summary, layout.run_record, layout.error, layout.in_progress, layout.metrics(0, 0).parent]
        times = [path.stat().st_mtime for path in told if path.exists()]
        return max(times) if times else layout.config.stat().st_mtime

    def folds_done(self, config: Mapping[str, Any], folds: int) -> int:
        """How many folds are trained through all their stages.

        Args:
            config: the resolved config, as plain data.
            folds: how many there are.
        """
        if isinstance(self.summary, dict):
            return len(self.summary.get("folds") or ())
        return sum(self._is_trained(fold, config["stages"]) for fold in range(folds)) if self.begun else 0

    def _is_trained(self, fold: int, stages: list[Mapping[str, Any]]) -> bool:
        if not all(self.layout.weights(fold, stage).exists() for stage in range(len(stages))):
            return False
        state = self.layout.state(fold, len(stages) - 1)
        if not state.exists():  # deleted to save space
            return all(self.layout.metrics(fold, stage).exists() for stage in range(len(stages)))
        told = peek_state(state)
        return told.get("stopped") is not None or len(told.get("rows") or ()) >= stages[-1]["epochs"]

    def runs(self) -> list[RunFiles]:
        """The seeds and the trials in this folder, in order of their numbers."""
        tried = [trial for trial in trials(self.layout) if trial.config.is_file()]
        return [RunFiles(layout) for layout in (*seeds(self.layout).values(), *tried)]


def _line(entry: Mapping[str, Any]) -> str:
    job = f"{entry['job']}: " if entry.get("job") else ""
    said = str(entry.get("value", "")).partition("\n")[0]
    return f"{job}{entry.get('type', 'error')}: {said}"


def result_of(summary: Any, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The figure an experiment is judged by, ``{name, value}``; None where a summary gives none.

    Summaries that do not name it have it by the rule of the former framework: the primary metric on the holdout, else
    ``experiment_result``, else the mean of the primary metric; over several seeds, ``mean``.
    """
    if not isinstance(summary, dict):
        return None
    named = summary.get("experiment_result")
    if isinstance(named, dict) and "value" in named:
        return {"name": str(named.get("name", "")), "value": named["value"]}
    primary = str(config.get("primary_metric") or "").removeprefix("val_")
    figures = summary.get("allStages")
    if isinstance(figures, dict):
        for name in (f"{primary}_holdout", config.get("experiment_result"), primary):
            value = figures.get(name)
            value = value.get("mean") if isinstance(value, dict) else value
            if isinstance(value, int | float):
                return {"name": name, "value": value}
    if isinstance(summary.get("mean"), int | float):
        return {"name": config.get("experiment_result") or primary, "value": summary["mean"]}
    return None
