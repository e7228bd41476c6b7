"""A worker that trains nothing: jobs leave what real ones would, with a figure that is made up from the config."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.config.read import read
from musket.config.tree import plain
from musket.core.jobs import Job, Workplace
from musket.experiment.jobs.in_turn import Here
from musket.experiment.jobs.worker import Worker, open_experiment

Figure = Callable[[dict[str, Any]], float]


class Pretender(Worker):
    """Does jobs of experiments of three folds.

    Attributes:
        done: keys of the jobs, in order.
        jobs: the jobs themselves, by key.
    """

    def __init__(self, figure: Figure = lambda config: 0.5, name: str = "dice_holdout"):
        super().__init__()
        self.figure = figure
        self.name = name
        self.done: list[str] = []
        self.jobs: dict[str, Job] = {}

    def perform(self, job: Job, workplace: Workplace) -> Any:
        self.done.append(job.key)
        self.jobs[job.key] = job
        layout = Layout(Path(job.arguments["config"]))
        config = plain(read(layout.config).root)
        if job.kind == "prepare":
            spec = open_experiment(job.arguments).spec
            records.write_yaml(layout.run_record, {"config": spec.dump(), "folds": 3})
            return {"folds": [0, 1, 2], "changed": False}
        value = self.figure(config)
        if job.kind == "train":
            return {"fold": job.arguments["fold"], "metric": "val_dice", "best": value}
        result = {"name": self.name, "value": value}
        records.write_yaml(
            layout.summary,
            {
                "completed": True,
                "folds": [0, 1, 2],
                "experiment_result": result,
                "allStages": {"dice": {"mean": value, "max": value, "min": value, "std": 0.0}, self.name: value},
            },
        )
        return {"result": result}


def nowhere() -> Here:
    """A workplace that shows nothing."""
    return Here(Console(file=io.StringIO()))
