"""The experiments a task runs on: one, every seed of it, or the best trial of its search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.artifacts.runs import judged_seeds
from musket.core.errors import MusketError

if TYPE_CHECKING:
    from musket.config.schema import ExperimentSpec


def places(name: str, config: Path, spec: ExperimentSpec, *, whole: bool = False) -> dict[str, Path]:
    """Configs of the experiments that a task runs on, by name.

    Args:
        name: of the experiment.
        config: of the experiment.
        whole: it runs once, whatever seeds there are.

    Raises:
        MusketError: a search has no best trial yet.
    """
    if spec.hyperparameters:
        number = best_trial(Layout(config))
        name, config = f"{name}/trial{number}", Layout(config).trial(number).config
    seeds = {} if spec.num_seeds is None or whole else seed_configs(config)
    return {f"{name}/{seed}": path for seed, path in seeds.items()} or {name: config}


def best_trial(layout: Layout) -> int:
    """The number of the best trial of a search. Raises MusketError when summary.yaml names none."""
    summary = records.read_yaml(layout.summary) if layout.summary.exists() else {}
    best = summary.get("best") if isinstance(summary, dict) else None
    if not isinstance(best, dict) or "trial" not in best:
        raise MusketError(f"{layout.folder}: the search is not finished: summary.yaml names no best trial; musket fit")
    return int(best["trial"])


def seed_configs(config: Path) -> dict[int, Path]:
    """Configs of the seeds an experiment was run with, by number; none where it was run as it is."""
    layout = Layout(config)
    summary = records.read_yaml(layout.summary) if layout.summary.exists() else None
    return {number: seed.config for number, seed in judged_seeds(layout, summary).items()}


def refuse_untrained(layout: Layout) -> None:
    """Raise MusketError for an experiment without trained networks."""
    folder = layout.weights(0, 0).parent
    if not any(folder.glob("best-*.weights")):
        raise MusketError(
            f"{layout.folder} is not trained: there are no weights in {folder.name}; tasks run on trained experiments, "
            "so train it first: musket fit"
        )
