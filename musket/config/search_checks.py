"""The check of a config whose values are to be searched: with examples of them, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from musket.config.logged_figures import bare_figure
from musket.config.schema import ExperimentSpec
from musket.config.search_space import (
    KEY,
    SearchSpace,
    combinations,
    concerned,
    example_points,
    never_used,
    read_space,
    said,
    substituted,
)
from musket.config.tree import Map, plain
from musket.config.vocabulary import Finding
from musket.core.errors import Problem


@dataclass(frozen=True)
class Reading:
    """What reading a config came to: its spec, as far as it can be told, what is wrong, and what was read otherwise."""

    spec: ExperimentSpec
    root: Map
    problems: list[Problem]
    notices: list[Problem]


def is_searched(root: Map) -> bool:
    """Whether a config describes hyperparameters."""
    entry = root.entries.get(KEY)
    return entry is not None and isinstance(entry.value, Map) and bool(entry.value.entries)


def checked(root: Map, read: Callable[[Map], Reading], direction: Callable[[str], str | None]) -> Reading:
    """The reading of a config with example values in place of its hyperparameters.

    Problems are those of the middles of all ranges, and the further ones that their ends and the other choices have.
    Each says which values it came from, and stands where the config names them.

    Args:
        read: reads and checks a config without hyperparameters.
        direction: ``min`` or ``max`` of a figure by name, None when nobody has said.
    """
    described = plain(root.entries[KEY].value)
    space, findings = read_space(described)
    if findings:  # what names the parameters cannot be judged
        filled, _, uses = substituted(root, {name: name for name in described})
        reading = read(filled)
        kept = [problem for problem in reading.problems if not concerned(problem.key, uses)]
        return replace(reading, problems=[*kept, *(finding.at(root) for finding in findings)])
    first: Reading | None = None
    problems: dict[tuple[str, int, int, str], Problem] = {}
    for values in example_points(space):
        filled, failed, uses = substituted(root, values)
        reading = read(filled)
        if first is None:
            first = reading
            failed = [*failed, *never_used(space, uses), *_direction_unknown(reading.spec, direction)]
        for problem in [*(finding.at(root) for finding in failed), *reading.problems]:
            names = concerned(problem.key, uses) or (values if reading is not first else ())
            where = f" (where {said(values, names)})" if names else ""
            place = (problem.origin, problem.line, problem.column, problem.key)
            problems.setdefault(place, replace(problem, message=problem.message + where))
    assert first is not None
    return replace(first, problems=list(problems.values()))


def _direction_unknown(spec: ExperimentSpec, direction: Callable[[str], str | None]) -> list[Finding]:
    if (
        result_mode(spec, direction) is not None or spec.experiment_result is None
    ):  # primary_metric has a check of its own
        return []
    words = f"trials are compared by {spec.experiment_result}, and nobody says whether it is better high or low"
    return [Finding(("experiment_result",), f"{words}; give primary_metric_mode: min or max")]


def space_of(spec: ExperimentSpec) -> SearchSpace:
    """The hyperparameters of a checked config."""
    return read_space(spec.hyperparameters)[0]


def trials_of(spec: ExperimentSpec) -> int:
    """How many trials a search has at most; 1 where there is nothing to search."""
    return int(min(spec.max_evals, combinations(space_of(spec)))) if spec.hyperparameters else 1


def result_mode(spec: ExperimentSpec, direction: Callable[[str], str | None]) -> str | None:
    """``min`` or ``max``: which way the figure an experiment is judged by gets better; None when nobody says.

    ``primary_metric_mode`` says it of the primary metric; of another ``experiment_result`` what is known of that
    metric counts, and the mode only where nothing is.

    Args:
        direction: of a figure by name, None when nobody has said.
    """
    figure = spec.experiment_result or spec.primary_metric
    given = None if spec.primary_metric_mode == "auto" else spec.primary_metric_mode
    known = direction(bare_figure(figure))
    return (given or known) if bare_figure(figure) == bare_figure(spec.primary_metric) else (known or given)
