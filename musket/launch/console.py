"""Where a run is shown: it goes on when nobody reads it any more."""

from __future__ import annotations

import contextlib
import os
import sys

from rich.console import Console


class RunConsole(Console):
    """Standard output. When its reader goes away, as ``head`` does, or a pager that is left, the run does not end."""

    def on_broken_pipe(self) -> None:
        """Show nothing more, and say so once on standard error."""
        self.quiet = True
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())  # what is still in a buffer, and what others print, goes there
        os.close(nothing)
        with contextlib.suppress(OSError):
            os.write(2, b"nobody reads the output any more; the run goes on without it\n")
