"""Former import path of experiments of any kind: ``from musket_core import generic``."""

from __future__ import annotations

from pathlib import Path

from musket.config.read import read
from musket.config.tree import plain
from musket.experiment.facade import Experiment
from musket.experiment.facade import parse as _parse
from musket.experiment.projects.project import find_project

__all__ = ["parse"]


def parse(path: str | Path, extra: str | Path | None = None) -> Experiment:
    """Read and check an experiment of whatever kind its first line names.

    Args:
        path: a YAML file, a folder with ``config.yaml``, or the name of an experiment of the current project. An
            experiment that lies in a project gets the project's common.yaml and modules.
        extra: YAML file with values for keys that the config does not have.

    Raises:
        ConfigError: everything that is wrong with the config, at once.
    """
    if extra is None:
        return _parse(path)
    _, config = find_project(path)
    own = read(config).root.entries
    return _parse(path, **{key: value for key, value in plain(read(extra).root).items() if key not in own})
