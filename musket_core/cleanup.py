"""``python -m musket_core.cleanup``: removing what runs left, as ``musket clean``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from musket.cli.main import main as musket

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The command, with arguments after its name; default: those of the process. Returns its exit code."""
    return musket(["clean", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    sys.exit(main())
