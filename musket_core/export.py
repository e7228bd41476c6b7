"""The network of an experiment under its former import path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from musket.experiment.facade import Experiment, parse

__all__ = ["export"]


def export(cfg: Experiment | str | Path) -> Any:
    """Build the network of an experiment, or of a config: a torch module that gives logits."""
    return (cfg if isinstance(cfg, Experiment) else parse(cfg)).createNet()
