"""Which runs lie in the folder of an experiment: its seeds, the trials of its search. Whether one is finished."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError

_SEED, _TRIAL = re.compile(r"(\d+)"), re.compile(r"trial(\d+)")


def is_finished(layout: Layout) -> bool:
    """Whether there is a summary. ``Error``, which the former framework left there, is none."""
    with contextlib.suppress(ArtifactError):
        return layout.summary.exists() and isinstance(records.read_yaml(layout.summary), dict)
    return False


def seeds(layout: Layout) -> dict[int, Layout]:
    """Folders named by a number that have the config of a seed, in order of their numbers."""
    return {number: seed for number in _numbers(layout, _SEED) if (seed := layout.seed(number)).config.is_file()}


def judged_seeds(layout: Layout, summary: object) -> dict[int, Layout]:
    """The seeds that a summary is about: those it counts; if it counts none, all.

    None of them where the experiment has been trained without seeds since.
    """
    counted = summary.get("seeds") if isinstance(summary, Mapping) else None
    if isinstance(counted, Mapping):
        numbers = {str(number) for number in counted}
        return {number: seed for number, seed in seeds(layout).items() if str(number) in numbers}
    return {} if layout.metrics(0, 0).parent.is_dir() else seeds(layout)


def trials(layout: Layout) -> list[Layout]:
    """Folders named as those of trials, in order of their numbers, whether they have a config or not."""
    return [layout.trial(number) for number in _numbers(layout, _TRIAL)]


def _numbers(layout: Layout, pattern: re.Pattern[str]) -> list[int]:
    """Numbers of the folders of such a name, links to folders included; none where the experiment has no folder."""
    try:
        with os.scandir(layout.folder) as entries:
            names = [pattern.fullmatch(entry.name) for entry in entries if entry.is_dir()]
    except OSError:
        return []
    numbers = {int(name[1]): name[1] for name in names if name is not None}
    return sorted(number for number, text in numbers.items() if text == str(number))
