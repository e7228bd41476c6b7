"""Figures in words and columns, for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], left: int = 0) -> list[str]:
    """Rows as lines of columns, to the right but for the first ``left``.

    Every line begins with a blank, so that it is not wrapped.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    signs = ["<"] * left + [">"] * (len(widths) - left)
    return [
        " " + "  ".join(f"{cell:{sign}{width}}" for cell, sign, width in zip(row, signs, widths, strict=True))
        for row in rows
    ]


def in_digits(value: float) -> str:
    """Whole numbers as they are, others with a few digits."""
    if value == int(value) and abs(value) < 1e9:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) > 10 else f"{value:.3g}"


def count(amount: int, what: str) -> str:
    """``1 sample``, ``2 samples``."""
    return f"{amount} {what}{'s' if amount != 1 else ''}"


def classes(amount: int) -> str:
    """``1 class``, ``2 classes``."""
    return f"{amount} class{'es' if amount != 1 else ''}"


def shortened(name: str, most: int) -> str:
    """A name on one line of at most ``most`` characters; what is too long loses its middle, for ends often differ."""
    name = " ".join(name.split())
    if len(name) <= most:
        return name
    return f"{name[: most // 2]}…{name[len(name) - (most - 1) // 2 :]}"


def told_apart(names: Sequence[str], most: int) -> list[str]:
    """Names of at most ``most`` characters each; those that would read alike have their number before them."""
    short = [shortened(name, most) for name in names]
    times = Counter(short)
    return [
        shortened(f"{number}: {name}", most) if times[text] > 1 else text
        for number, (name, text) in enumerate(zip(names, short, strict=True))
    ]
