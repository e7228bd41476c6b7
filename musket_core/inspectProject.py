"""``python -m musket_core.inspectProject``: what the modules of a project define, as ``musket modules``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from musket.cli.main import main as musket

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The command, with arguments after its name; default: those of the process. Returns its exit code."""
    return musket(["modules", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    sys.exit(main())
