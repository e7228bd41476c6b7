"""Figures of classes: confusion, scores per class, numbers over their truth. Made without matplotlib's global state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from musket.report.words import shortened, told_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from musket.metrics.per_class import ClassRow

_ORANGE, _BLUE, _GREEN, _DARK = "#D55E00", "#0072B2", "#009E73", "#333333"
_LONGEST = 24  # characters of a name
_NUMBERED = 40  # classes up to which counts are written into the cells
_MOST_VALUES = 9
_PLOT = 4.0  # inches of a plot of numbers
_DPI = 110
_NAMED = 120  # classes up to which a confusion matrix names them
_WIDEST = 24.0  # inches of a confusion matrix
_MOST_ROWS = 150
_PAD = 11  # pixels around a picture
_ROOM, _ABOVE, _BESIDE, _TITLE = 4.0, 0.8, 1.0, 15.2  # inches on the left and below, above, on the right, of a title
_LONGEST_TITLE = 110


def draw_confusion(counts: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """A confusion matrix: colours are shares of the true class, the figures counts.

    Args:
        counts: classes x classes, true class by row, predicted class by column.
    """
    size = len(names)
    cell = 0.55 if size <= 12 else 0.42 if size <= _NUMBERED else 0.2
    labels = told_apart(names, _LONGEST)
    side = min(_WIDEST, max(2.2, cell * size))
    bar_height = min(4.0, side)
    figure, (axes, bar_axes) = _placed((0, 0, side, side), (side + 0.2, (side - bar_height) / 2, 0.15, bar_height))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    faint = 1.0 if size <= _NUMBERED else 0.5  # where no figures are written, colours must tell small shares too
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(faint, vmin=0, vmax=1), interpolation="nearest")
    if size <= _NUMBERED:
        small = 9 if size <= 12 else 7
        for row, column in zip(*np.nonzero(counts), strict=True):
            ink = "white" if shares[row, column] > 0.55 else _DARK
            number = int(counts[row, column])
            shown = str(number) if number < 10_000 else f"{number / 1000:.0f}k"
            axes.text(column, row, shown, ha="center", va="center", fontsize=small, color=ink)
    numbers = "" if size <= _NAMED else ", by number"
    if size <= _NAMED:
        font = 9 if size <= _NUMBERED else 7
        ticks: Any = range(size)
        axes.set_xticks(ticks, labels, rotation=90 if size > 4 else 0, fontsize=font, parse_math=False)
        axes.set_yticks(ticks, labels, fontsize=font, parse_math=False)
        between = np.arange(0.5, size - 1)
        axes.hlines(between, -0.5, size - 0.5, color="#dddddd", linewidth=0.5)
        axes.vlines(between, -0.5, size - 0.5, color="#dddddd", linewidth=0.5)
    axes.set_xlabel(f"predicted class{numbers}")
    axes.set_ylabel(f"true class{numbers}")
    total, right = int(counts.sum()), int(np.trace(counts))
    said = f"{right} of {total} right ({100 * right / total:.1f} %)" if total else "no prediction"
    _title(axes, f"{title}: {said}")
    bar = figure.colorbar(image, cax=bar_axes)
    bar.set_label("share of the true class", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def draw_counts(counts: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Classes on their own: how many samples were found, missed, and found where they are not.

    Of very many classes the most frequent ones are drawn.

    Args:
        counts: classes x (true positives, false positives, false negatives, true negatives).
    """
    found, invented, missed = counts[:, 0], counts[:, 1], counts[:, 2]
    order = np.argsort(found + missed, kind="stable")[-_MOST_ROWS:]
    labels = told_apart(names, _LONGEST)
    figure, axes = _rows([labels[number] for number in order])
    rows = np.arange(len(order))
    found, invented, missed = found[order], invented[order], missed[order]
    axes.barh(rows, found, color=_BLUE, label="found", height=0.7)
    axes.barh(rows, missed, left=found, color="white", edgecolor=_BLUE, hatch="////", label="missed", height=0.7)
    axes.barh(rows, -invented, color=_ORANGE, hatch="....", edgecolor="white", label="found, not there", height=0.7)
    axes.axvline(0, color=_DARK, linewidth=0.8)
    low, high = float((-invented).min()), float((found + missed).max())
    pad = 0.09 * max(1.0, high - low)
    for row in range(len(order)):
        axes.text(found[row] + missed[row] + pad / 8, row, f"{found[row]}/{found[row] + missed[row]}", **_NUMBER)
        if invented[row]:
            axes.text(-invented[row] - pad / 8, row, str(invented[row]), **_ON_THE_LEFT)
    axes.set_xlim(low - pad * (low < 0), high + 1.3 * pad)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.set_xlabel("samples")
    _legend(axes, len(order))
    left_out = f", the {len(order)} most frequent of {len(names)}" if len(order) < len(names) else ""
    _title(axes, f"{title}: classes at a threshold of 0.5{left_out}")
    return figure


def draw_classes(table: Sequence[ClassRow], names: Sequence[str], title: str) -> Figure:
    """Precision, recall and F1 of every class, the best class on top; of very many classes the worst ones."""
    order = sorted(range(len(table)), key=lambda number: (table[number].f1, -number))[:_MOST_ROWS]
    labels = told_apart(names, _LONGEST)
    figure, axes = _rows([f"{labels[number]}  ({table[number].support})" for number in order])
    rows = np.arange(len(order))
    values = {
        name: np.array([getattr(table[number], name) for number in order]) for name in ("precision", "recall", "f1")
    }
    axes.hlines(rows, values["precision"], values["recall"], color="#bbbbbb", linewidth=2, zorder=1)
    axes.scatter(values["precision"], rows, marker="<", color=_ORANGE, label="precision", s=34, zorder=3)
    axes.scatter(values["recall"], rows, marker=">", color=_BLUE, label="recall", s=34, zorder=3)
    axes.scatter(values["f1"], rows, marker="|", color=_DARK, label="F1", s=90, linewidth=2, zorder=4)
    for row in range(len(order)):
        axes.text(1.03, row, f"F1 {values['f1'][row]:.2f}", **_NUMBER)
    mean = float(np.mean([row.f1 for row in table]))
    if len(table) > 1:
        axes.axvline(mean, color=_GREEN, linestyle="--", linewidth=1, label="macro F1")
    axes.set_xlim(-0.03, 1.15)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set_ylabel("class  (samples)")
    _legend(axes, len(order))
    left_out = f", the {len(order)} lowest of {len(table)} classes" if len(order) < len(table) else ""
    _title(axes, f"{title}: {'macro ' * (len(table) > 1)}F1 {mean:.3f}{left_out}")
    return figure


def draw_values(
    truth: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    errors: Sequence[tuple[int, float, float, float]],
    title: str,
) -> Figure:
    """Predicted numbers over the true ones, one plot per number (the first nine).

    Args:
        truth, values: N x numbers.
        errors: samples, MAE, RMSE and R2 of each.
    """
    shown = min(len(names), _MOST_VALUES)
    across = min(3, shown)
    down = math.ceil(shown / across)
    apart, labels = _PLOT + 1.1, told_apart(names, _LONGEST)
    figure, plots = _placed(
        *((number % across * apart, (down - 1 - number // across) * apart, _PLOT, _PLOT) for number in range(shown))
    )
    for number, axes in enumerate(plots):
        asked, found = truth[:, number], values[:, number]
        finite = np.isfinite(found)
        every = np.concatenate([asked, found[finite]])
        low, high = float(every.min()), float(every.max())
        pad = 0.05 * (high - low) or 1.0
        axes.plot([low - pad, high + pad], [low - pad, high + pad], color=_ORANGE, linewidth=1, linestyle="--")
        many = len(asked) > 2000
        axes.scatter(
            asked[finite], found[finite], s=4 if many else 14, alpha=0.3 if many else 0.6, color=_BLUE, linewidths=0
        )
        axes.set_xlim(low - pad, high + pad)
        axes.set_ylim(low - pad, high + pad)
        axes.grid(color="#eeeeee")
        axes.set_axisbelow(True)
        axes.set_xlabel("truth")
        axes.set_ylabel("prediction")
        _, mae, rmse, r2 = errors[number]
        before = f"{labels[number]}: " if len(names) > 1 else ""
        _title(axes, f"{before}MAE {mae:.4g}, RMSE {rmse:.4g}, R² {r2:.3g}", 9)
    more = f" (the first {shown} of {len(names)} numbers)" if len(names) > shown else ""
    above: dict[str, Any] = {"xycoords": "axes fraction", "xytext": (0, 26), "textcoords": "offset points"}
    words = shortened(f"{title}{more}", _LONGEST_TITLE)
    plots[0].annotate(words, (0, 1), fontsize=10, parse_math=False, **above)
    return figure


def as_png(figure: Figure) -> bytes:
    """A figure as a PNG file, without the room around it that nothing is drawn in.

    It is drawn once and cut out: to have matplotlib measure all texts beforehand takes as long as to draw them.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    inked = pixels.view(np.uint32)[..., 0] != np.iinfo(np.uint32).max
    top, bottom, left, right = (
        edge for axis in (1, 0) for edge in np.flatnonzero(inked.any(axis))[[0, -1]] + (-_PAD, _PAD + 1)
    )
    drawn = pixels[max(0, top) : bottom, max(0, left) : right]
    compressed = (cv2.IMWRITE_PNG_COMPRESSION, 6, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT)
    return cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGBA2BGR), compressed)[1].tobytes()


_NUMBER: dict[str, Any] = {"va": "center", "ha": "left", "fontsize": 8, "color": _DARK}
_ON_THE_LEFT: dict[str, Any] = {**_NUMBER, "ha": "right"}


def _rows(names: Sequence[str]) -> tuple[Figure, Axes]:
    """A figure with a row per class."""
    figure, (axes,) = _placed((0, 0, 6.2, 0.3 + 0.26 * len(names)))
    ticks: Any = range(len(names))
    axes.set_yticks(ticks, list(names), fontsize=8, parse_math=False)
    axes.set_ylim(-0.7, len(names) - 0.3)
    return figure, axes


def _placed(*places: tuple[float, float, float, float]) -> tuple[Figure, list[Axes]]:
    """A figure with axes at (left, bottom, width, height) in inches, and room for texts around them."""
    right = max(left + across for left, _, across, _ in places)
    top = max(bottom + up for _, bottom, _, up in places)
    width, height = _ROOM + max(right + _BESIDE, _TITLE), _ROOM + top + _ABOVE
    figure = Figure(figsize=(width, height), dpi=_DPI)
    return figure, [
        figure.add_axes(((_ROOM + left) / width, (_ROOM + bottom) / height, across / width, up / height))
        for left, bottom, across, up in places
    ]


def _legend(axes: Axes, rows: int) -> None:
    """A legend below the axes of :func:`_rows`."""
    below = 0.55 / (0.3 + 0.26 * rows)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -below), ncols=4, fontsize=8, frameon=False)


def _title(axes: Axes, text: str, size: int = 10) -> None:
    words = shortened(text, _LONGEST_TITLE)
    axes.set_title(words, fontsize=size, loc="left", y=1.0, parse_math=False)  # without y all ticks are measured
