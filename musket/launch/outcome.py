"""What became of each experiment, as the table at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from musket.core.jobs import Failure, Job
from musket.launch.cells import aligned
from musket.launch.tally import STYLES, reason, state_of

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment.

    Attributes:
        state: waiting, done, failed, stopped.
        result: the figure it is judged by, as text: ``val_dice 0.8312``.
        failures: jobs that were not done, and why.
        error_file: where errors are told in full, if they are.
    """

    experiment: str
    state: str
    result: str = ""
    failures: Sequence[tuple[Job, Failure]] = ()
    error_file: Path | None = None


def final_table(outcomes: Sequence[Outcome]) -> RenderableType:
    """State and result of each experiment, and below it what failed, why, and where more is told."""
    from rich.console import Group
    from rich.text import Text

    rows = aligned([("experiment", "state", "result"), *((one.experiment, one.state, one.result) for one in outcomes)])
    table = [Text("  ".join(rows[0]), "bold")]
    for (name, state, result), outcome in zip(rows[1:], outcomes, strict=True):
        line = Text.assemble(f"{name}  ", (state, STYLES.get(outcome.state, "")), f"  {result}")
        line.rstrip()
        table.append(line)
    troubles: list[RenderableType] = []
    for outcome in outcomes:
        for job, failure in outcome.failures:
            state = state_of(failure)
            troubles.append(Text.assemble((f"{job.key}  {state}: ", STYLES[state]), reason(failure)))
        if outcome.failures and outcome.error_file is not None:
            troubles.append(Text(f"  more in {outcome.error_file}", "dim"))
    return Group(*table, *troubles)
