"""Text that is printed, line by line."""

from __future__ import annotations

import io
from collections.abc import Callable


class Lines(io.TextIOBase):
    """A text file that hands over every whole line written to it."""

    def __init__(self, line: Callable[[str], None]):
        self._line = line
        self._rest = ""

    def write(self, text: str) -> int:
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            self._line(line)
        return len(text)
