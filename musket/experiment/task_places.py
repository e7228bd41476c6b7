"""The experiments a task runs on: one, every seed of it, or the best trial of its search."""

from __future__ import annotations

from pathlib import Path

SEED = "config_concrete.yaml"
"""The config of a seed, in the folder ``NAME/<seed>``."""


def seed_configs(config: Path) -> dict[int, Path]:
    """Configs of the seeds an experiment was run with, by number; none where it was run as it is."""
    found = config.parent.glob(f"*/{SEED}")
    return dict(sorted((int(path.parent.name), path) for path in found if path.parent.name.isdecimal()))
