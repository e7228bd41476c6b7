"""Pictures of classified samples: what went in, what it is, what the network takes it for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musket.core.errors import DataError
from musket.report.labels import (
    ClassNames,
    Heads,
    flag_names,
    head_in_words,
    parts_of,
    shown_names,
)
from musket.report.samples import as_picture
from musket.report.tiles import GAP, INK, PAPER, below, beside, fitted, framed, onto_paper, resized, scaled, text_strip

LEGEND = ("truth, then prediction (score):", "✓ right  ✗ wrong  ○ missed")
_ACROSS = 4
_NARROWEST = 208  # pixels of a cell: room for a line of the legend
_FRAME = 3
_RIGHT = (0, 110, 80)  # bluish green and vermilion of the set of Okabe and Ito, darkened to be read on white
_WRONG = (190, 70, 0)
_MOST_LABELS = 5


@dataclass(frozen=True)
class _Line:
    """Some words beneath a picture, of which ``end`` is never cut.

    ``right`` is None where they are neither right nor wrong.
    """

    text: str
    right: bool | None = None
    end: str = ""

    @property
    def ink(self) -> tuple[int, int, int]:
        return INK if self.right is None else _RIGHT if self.right else _WRONG


def draw_labels(
    images: Sequence[Any],
    truths: Sequence[Any],
    predictions: Sequence[Any],
    heads: Heads,
    class_names: ClassNames = None,
    *,
    most: int = 16,
) -> np.ndarray:
    """Draw samples side by side, beneath each what it is and what it was taken for.

    A prediction is marked right or wrong, and a picture with a wrong one is framed. Classes that exclude one another:
    the one with the highest score counts. Classes on their own: those above 0.5, and those that were missed. Numbers:
    the value and how far it is off, which is neither right nor wrong.

    Args:
        images: N arrays H x W x C of any depth and number of channels (see
            :func:`musket.report.samples.as_picture`); sizes may differ.
        truths: N vectors, all heads side by side.
        predictions: N vectors of scores (0..1) or numbers, likewise.
        heads: what the vectors hold.
        class_names: per head, numbers in place of what is not named.
        most: how many samples are drawn at most.

    Returns:
        RGB picture, uint8.

    Raises:
        DataError: something is no picture, a vector does not fit the heads, or there is nothing to draw.
    """
    samples = list(zip(images[:most], truths[:most], predictions[:most], strict=True))
    if not samples:
        raise DataError("there is no sample to draw")
    drawn = []
    for image, truth, prediction in samples:
        picture = as_picture(image)
        lines = _lines(np.asarray(truth, np.float64), np.asarray(prediction, np.float64), heads, class_names)
        drawn.append((resized(picture, *scaled(picture.shape)), lines))
    width = max(_NARROWEST, *(tile.shape[1] + 2 * _FRAME for tile, _ in drawn))
    across = min(_ACROSS, len(drawn))
    rows = []
    for start in range(0, len(drawn), across):
        group = drawn[start : start + across]
        height = max(tile.shape[0] for tile, _ in group) + 2 * _FRAME
        most_lines = max(len(lines) for _, lines in group)
        cells = [_cell(tile, lines, height, width, most_lines) for tile, lines in group]
        cells += [np.full_like(cells[0], PAPER)] * (across - len(cells))
        rows.append(beside(cells, 3 * GAP))
    legend = below([text_strip([line], rows[0].shape[1]) for line in LEGEND], 0)
    return framed(below([legend, *rows], 2 * GAP), 2 * GAP)


def _cell(tile: np.ndarray, lines: Sequence[_Line], height: int, width: int, most_lines: int) -> np.ndarray:
    """A tile, framed if something is wrong, and its lines."""
    wrong = any(line.right is False for line in lines)
    tile = framed(tile, _FRAME, _WRONG if wrong else (PAPER,) * 3)
    space = np.full((height - tile.shape[0], width, 3), PAPER, np.uint8)
    words = [text_strip([fitted(line.text, width - 2, line.end)], width, line.ink) for line in lines]
    words += [text_strip([""], width)] * (most_lines - len(lines))
    return below([space, onto_paper(tile, tile.shape[0], width), *words], 0)


def _lines(truth: np.ndarray, prediction: np.ndarray, heads: Heads, class_names: ClassNames) -> list[_Line]:
    lines = []
    for head, (asked, found) in enumerate(zip(parts_of(truth, heads), parts_of(prediction, heads), strict=True)):
        name = f"{heads.names[head]}: " if len(heads.sizes) > 1 else ""
        lines.append(_Line(f"{name}{head_in_words(asked, heads, class_names, head)}"))
        if heads.kinds[head] == "values":
            lines += _of_numbers(asked, found)
        elif heads.kinds[head] == "exclusive":
            lines += _of_exclusive(asked, found, shown_names(heads, class_names, head))
        elif len(asked) == 1:
            lines += _of_flag(asked, found, flag_names(heads, class_names, head))
        else:
            lines += _of_several(asked, found, shown_names(heads, class_names, head))
    return lines


def _of_exclusive(truth: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> list[_Line]:
    said = int(scores.argmax())
    return [_marked(names[said], float(scores[said]), said == int(truth.argmax()))]


def _of_flag(truth: np.ndarray, scores: np.ndarray, names: tuple[str, str]) -> list[_Line]:
    """One class on its own: the score is that of what is said, be it its presence or its absence."""
    score, said = float(scores[0]), bool(scores[0] > 0.5)
    return [_marked(names[said], score if said else 1 - score, said == bool(truth[0] > 0.5))]


def _of_several(truth: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> list[_Line]:
    """Classes found, highest score first, then those missed."""
    asked, said = truth > 0.5, scores > 0.5
    order = [int(number) for number in np.argsort(-scores, kind="stable") if asked[number] or said[number]]
    if not order:
        return [_Line("✓ none", True)]
    order.sort(key=lambda number: not said[number])
    lines = [
        _marked(names[number], float(scores[number]), bool(asked[number]))
        if said[number]
        else _Line(f"○ {names[number]}", False, f" ({scores[number]:.2f})")
        for number in order
    ]
    if len(lines) <= _MOST_LABELS:
        return lines
    rest = lines[_MOST_LABELS - 1 :]
    wrong = sum(line.right is False for line in rest)
    told = f"and {len(rest)} more, {wrong} of them wrong" if wrong else f"and {len(rest)} more, all right"
    return [*lines[: _MOST_LABELS - 1], _Line(told, not wrong)]


def _of_numbers(truth: np.ndarray, values: np.ndarray) -> list[_Line]:
    told = ", ".join(f"{value:.4g} ({value - asked:+.2g})" for asked, value in zip(truth, values, strict=True))
    return [_Line(f"≈ {told}")]


def _marked(name: str, score: float, right: bool) -> _Line:
    """A name and its score; it is the name that is cut where it is long."""
    return _Line(f"{'✓' if right else '✗'} {name}", right, f" ({score:.2f})")
