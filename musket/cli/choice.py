"""Which experiments ``musket fit`` trains, where they stand, and what is done with each."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musket.experiment.projects.project import Project
    from musket.experiment.state.state import State


@dataclass(frozen=True)
class Choice:
    """An experiment to train. As text: where it stands, why, and what is done.

    Attributes:
        options: those that differ from the ones asked for.
        does: what is done, in words.
    """

    state: State
    options: Mapping[str, Any]
    does: str

    def __str__(self) -> str:
        state, result = self.state, self.state.result
        if state.state == "refused":  # perhaps not with the values of today; if so, that is told as an error
            return f"{state.name}: {self.does}"
        told = f"{result['name']} {result['value']:.4g}" if result and state.state == "finished" else ""
        why = "; ".join(state.reasons) or told
        return f"{state.name} is {state.state}{f' ({why})' if why else ''}: {self.does}"

    def as_data(self) -> dict[str, Any]:
        """As plain data."""
        state = self.state
        return {"name": state.name, "state": state.state, "reasons": list(state.reasons), "does": self.does}


def choose(project: Project, arguments: argparse.Namespace) -> list[Choice]:
    """Experiments to train: those named, or the one whose folder this is, or all that are not finished.

    With ``--stale`` only as much of them as is not finished, or not any more. One that is named and up to date is told.

    Raises:
        MusketError: there is no such experiment.
    """
    from musket.experiment.state.state import Survey, options

    survey = Survey(project.root, arguments.stale, project)
    here = project.experiment_here()
    named = project.named(arguments.name) if arguments.name else [] if here is None else [here]
    if not arguments.stale:
        names = named or [name for name in project.experiment_names() if not project.is_finished(name)]
        own = {"rerun": True} if named else {}
        return [Choice(state, own, _does(state, arguments)) for state in map(survey.state, names)]
    found = [survey.state(name) for name in named or project.experiment_names()]
    for state in found if named else ():
        if state.state == "finished":
            print(f"{state.name} is finished and up to date: left alone", file=sys.stderr)
    left = ("finished",) if named else ("finished", "running")
    return [Choice(state, options(state), _does(state, arguments)) for state in found if state.state not in left]


def _does(state: State, arguments: argparse.Namespace) -> str:
    several = "s" if len(arguments.folds or ()) > 1 else ""
    folds = f"fold{several} {', '.join(map(str, arguments.folds))} " if arguments.folds else ""
    if arguments.only_report:
        return "evaluated again, nothing is trained"
    if arguments.stale and state.state == "stale":
        return f"{state.affected}, with {' '.join(state.overrides)}" if state.overrides else str(state.affected)
    if state.state == "new":
        return f"{folds}trained"
    if arguments.allow_resume:
        return f"{folds}gone on with, what is trained stays"
    if state.state in ("finished", "stale"):
        return f"{folds}trained again, its results are replaced"
    return f"{folds}trained from the beginning"


def nothing_to_do(project: Project, arguments: argparse.Namespace) -> str:
    """Why there is nothing to train, and what could be."""
    from musket.experiment.state.state import Survey

    survey = Survey(project.root, False, project)
    found = [survey.state(name) for name in project.experiment_names()]
    if not found:
        return f"nothing to do: no experiments in {project.experiments}; musket new --experiment NAME makes one"
    counts = Counter(state.state for state in found)
    told = ", ".join(f"{count} {standing}" for standing, count in sorted(counts.items()))
    stale = ", ".join(state.name for state in found if state.state == "stale")
    affected = f"--stale does what is affected of {stale}; " if stale and not arguments.stale else ""
    return f"nothing to do: {told} in {project.experiments}; {affected}--name NAME trains one again"
