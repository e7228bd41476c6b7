"""Text in columns of a terminal, where some characters take two of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def width_of(texts: Iterable[str]) -> int:
    """Columns that the widest of some texts takes."""
    from rich.cells import cell_len

    return max(map(cell_len, texts), default=0)


def fitted(text: str, most: int) -> str:
    """A text on one line of at most ``most`` columns; what is too long loses its middle, for ends often differ."""
    from rich.cells import cell_len

    text = " ".join(text.split())
    if cell_len(text) <= most:
        return text
    return f"{_beginning(text, most // 2)}…{_beginning(text[::-1], (most - 1) // 2)[::-1]}"


def padded(text: str, width: int, *, right: bool = False) -> str:
    """A text with blanks behind it, or before it, up to ``width`` columns."""
    from rich.cells import cell_len

    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks


def aligned(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows with cells of equal width in every column but the last."""
    widths = [width_of(column) for column in zip(*rows, strict=True)]
    return [
        [*(padded(cell, width) for cell, width in zip(row[:-1], widths[:-1], strict=True)), row[-1]] for row in rows
    ]


def _beginning(text: str, most: int) -> str:
    from rich.cells import cell_len

    while cell_len(text) > most:
        text = text[:-1]
    return text
