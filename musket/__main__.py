"""``python -m musket`` is the ``musket`` command."""

from __future__ import annotations

import sys

from musket.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
