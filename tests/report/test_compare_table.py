from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from musket.report.compare import Column, Comparison
from musket.report.compare_table import MAX_ROWS, in_words, show

PATH, FOLDS = Column("path", "name"), Column("fold_count", "count")
LOSS, DICE = Column("val_loss", "metric", "min"), Column("val_dice", "metric", "max")
KEY = Column("augmentation.Affine.rotate", "config")
ROWS = [
    ["experiments/unet/small", 5, "[-20, 20]", 0.123456, 0.9],
    ["experiments/unet/big", 5, "", 0.0000123456, 0.85],
    ["experiments/fpn/small", 4, "true", 12345.678, None],
]
REPORT = Comparison([PATH, FOLDS, KEY, LOSS, DICE], ROWS, LOSS, "val_dice")


def shown(report: Comparison, width: int, *, terminal: bool = True, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show(report, Console(file=file, width=width, force_terminal=terminal, no_color=True, color_system=None))
    file.seek(0)
    return file.read().splitlines()


def test_everything_where_there_is_room() -> None:
    assert [line.rstrip() for line in shown(REPORT, 80)] == [
        "",
        "                         Affine.",
        " path        fold_count  rotate     val_loss ↓  val_dice ↑",
        " ─────────────────────────────────────────────────────────",
        " unet/small           5  [-20, 20]     0.1235      0.9000*",
        " unet/big             5             1.235e-05*     0.8500",
        " fpn/small            4  true       1.235e+04           -",
        "",
    ]


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost_silently(width: int) -> None:
    keys = [Column(f"stages.{number}.epochs", "config") for number in range(12)]
    rows = [["a/" + "long_name_" * 8, *["x" * 50] * 12, 0.5], ["b", *[""] * 12, 0.7]]
    lines = shown(Comparison([PATH, *keys, DICE], rows, DICE, None), width)
    assert max(map(len, lines)) <= width
    table, _, hidden = " ".join(" ".join(lines).split()).partition("no room for ")
    assert "path" in table
    heads = sum(f"stages.{number}." in table for number in range(12)) + ("val_dice" in table)
    assert int(hidden.split()[0]) == 13 - heads


def test_what_decides_comes_first_when_there_is_little_room() -> None:
    lines = shown(REPORT, 40)
    assert " path        val_loss ↓  val_dice ↑" in [line.rstrip() for line in lines]
    told = "no room for 2 columns: augmentation.Affine.rotate, fold_count (the file has all)"
    assert " ".join(" ".join(lines[-3:]).split()) == told


def test_elsewhere_than_on_a_terminal_it_is_plain_and_whole() -> None:
    lines = shown(REPORT, 20, terminal=False)
    assert lines == [
        " path        fold_count  Affine.rotate  val_loss ↓  val_dice ↑",
        " unet/small           5      [-20, 20]     0.1235      0.9000*",
        " unet/big             5                 1.235e-05*     0.8500",
        " fpn/small            4           true  1.235e+04           -",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_terminals_that_know_little(terminal: bool) -> None:
    text = "\n".join(shown(REPORT, 80, terminal=terminal, encoding="ascii"))
    assert "val_loss min" in text
    assert "val_dice max" in text


def test_paths_that_read_alike_when_short_are_told_apart() -> None:
    rows = [[f"e/{'x' * 40}{number}{'y' * 40}", 0.5] for number in range(2)]
    lines = shown(Comparison([PATH, LOSS], rows, LOSS, None), 80)
    assert [line.split()[0] for line in lines if "x" in line] == ["0:", "1:"]


def test_nothing_is_best_where_there_is_nothing_to_choose() -> None:
    rows = [["a", 0.5], ["b", 0.5]]
    assert "*" not in "".join(shown(Comparison([PATH, LOSS], rows, LOSS, None), 80))
    assert "*" not in "".join(shown(Comparison([PATH, LOSS], rows[:1], LOSS, None), 80))


def test_values_of_different_losses_have_no_star_and_spreads_come_last() -> None:
    columns = [PATH, Column("val_loss", "metric"), DICE, FOLDS, Column("val_dice_std", "metric")]
    rows = [["a", 0.1, 0.5, 5, 0.25], ["b", 0.2, 0.7, 5, 0.125]]
    report = Comparison(columns, rows, DICE, "val_dice")
    lines = [line.rstrip() for line in shown(report, 80)]
    assert " a       0.1000     0.5000            5        0.2500" in lines
    assert " b       0.2000     0.7000*           5        0.1250" in lines
    assert "no room for 1 column: val_dice_std (the file has all)" in " ".join(" ".join(shown(report, 42)).split())


def test_drawn_values_of_a_search_are_shown_in_four_digits() -> None:
    rows = [["a", "0.0016546772688481259", 0.5], ["b", "123456789", 0.6], ["c", "0.00012", 0.7]]
    text = "\n".join(shown(Comparison([PATH, Column("lr", "config"), LOSS], rows, LOSS, None), 80))
    assert " 0.001655 " in text
    assert " 123456789 " in text
    assert " 0.00012 " in text


def test_many_rows_are_cut_on_a_terminal() -> None:
    rows = [[f"e/{number}", float(number)] for number in range(MAX_ROWS + 7)]
    report = Comparison([PATH, LOSS], rows, LOSS, None)
    assert shown(report, 80)[-1] == "and 7 more rows"
    assert len(shown(report, 80, terminal=False)) == MAX_ROWS + 8


def test_names_with_brackets_are_no_markup() -> None:
    rows = [["[red]a", "[bold]", 0.5]]
    text = "\n".join(shown(Comparison([PATH, Column("k", "config"), LOSS], rows, LOSS, None), 80))
    assert "[red]a" in text
    assert "[bold]" in text


def test_what_the_table_does_not_say() -> None:
    left_out = Counter({"failed": 1, "unfinished": 2, "search": 1})
    report = Comparison([PATH, DICE], [["a", 0.5]], DICE, None, left_out, [], ["something to know"])
    assert in_words(report) == [
        "1 experiment, sorted by val_dice, highest first",
        "left out: 2 unfinished, 1 failed, 1 search (--inputFolder with its folder compares the trials)",
        "note: something to know",
    ]
    assert in_words(Comparison([PATH], [["a"], ["b"]], None, None)) == ["2 experiments, sorted by path"]
    assert in_words(Comparison([PATH], [["a"]], PATH, None)) == ["1 experiment, sorted by path"]
    assert in_words(Comparison([PATH], [], None, None)) == []
