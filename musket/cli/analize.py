"""``musket analize``: the former spelling of ``musket analyze``."""

from __future__ import annotations

from musket.cli.analyze import configure, run

__all__ = ["configure", "run"]
