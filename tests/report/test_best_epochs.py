from __future__ import annotations

from pathlib import Path

import pytest
from trained import FOUR_EPOCHS, csv_text

from musket.core.errors import ArtifactError
from musket.report.best_epochs import best_epoch, mean_row, metrics_files, read_epochs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics-0.0.csv"


def test_all_figures_are_those_of_the_epoch_that_was_best(path: Path) -> None:
    path.write_text(csv_text(FOUR_EPOCHS))
    table = read_epochs(path, 0)
    best = {"epoch": 2, "loss": 0.5, "val_dice": 0.8, "val_loss": 0.6, "stage": 0}
    assert best_epoch([table], "val_dice", "max") == (best, "val_dice")
    lowest = {"epoch": 1, "loss": 0.7, "val_dice": 0.6, "val_loss": 0.5, "stage": 0}
    assert best_epoch([table], "val_loss", "min") == (lowest, "val_loss")
    first = best_epoch([table], "val_dice", "min")
    assert first is not None
    assert first[0]["epoch"] == 0


def test_the_best_epoch_of_all_stages_and_of_equal_ones_the_first(tmp_path: Path) -> None:
    tables = []
    for stage, dice in enumerate(([0.5, 0.9], [0.9, 0.8])):
        path = tmp_path / f"metrics-0.{stage}.csv"
        path.write_text(csv_text({"epoch": [0, 1], "val_dice": dice}))
        tables.append(read_epochs(path, stage))
    assert best_epoch(tables, "val_dice", "max") == ({"epoch": 1, "val_dice": 0.9, "stage": 0}, "val_dice")
    assert best_epoch(tables, "val_dice", "min") == ({"epoch": 0, "val_dice": 0.5, "stage": 0}, "val_dice")


def test_missing_and_infinite_values_do_not_compete(path: Path) -> None:
    path.write_text("epoch,lr,val_dice,val_loss\n0,0.1,inf,0.3\n1,0.1,nan,0.2\n2,0.1,0.4,NA\n3,0.1,NA,0.1\n4,0.1\n")
    found = best_epoch([read_epochs(path, 0)], "val_dice", "max")
    assert found is not None
    assert found[1] == "val_dice"
    assert (found[0]["epoch"], found[0]["val_dice"]) == (2, 0.4)
    assert "lr" not in found[0]
    assert mean_row([found[0]]) == {"epoch": 2, "val_dice": 0.4, "stage": 0}


def test_what_stands_in_for_a_figure_that_was_not_logged(path: Path) -> None:
    path.write_text("epoch,loss,val_loss\n0,1,0.5\n1,0.8,0.4\n2,0.6,0.45\n")
    assert best_epoch([read_epochs(path, 0)], "val_dice", "max") == (
        {"epoch": 1, "loss": 0.8, "val_loss": 0.4, "stage": 0},
        "val_loss",
    )
    path.write_text("epoch,mystery\n0,1\n1,2\n")
    assert best_epoch([read_epochs(path, 0)], "val_dice", "max") == ({"epoch": 1, "mystery": 2, "stage": 0}, "")
    path.write_text("epoch,mystery\n")
    assert best_epoch([read_epochs(path, 0)], "val_dice", "max") is None


def test_another_name_of_the_same_metric_is_found(path: Path) -> None:
    path.write_text("epoch,val_iou_coef\n0,0.5\n1,0.7\n2,0.6\n")
    assert best_epoch([read_epochs(path, 0)], "val_iou", "max") == (
        {"epoch": 1, "val_iou_coef": 0.7, "stage": 0},
        "val_iou",
    )


def test_names_with_commas_are_quoted_as_csv_does(path: Path) -> None:
    path.write_text('epoch,"val_f1_cat, or dog"\n0,0.25\n')
    assert read_epochs(path, 0).columns == ["epoch", "val_f1_cat, or dog"]
    assert read_epochs(path, 3).row(0) == {"epoch": 0, "val_f1_cat, or dog": 0.25, "stage": 3}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a table of epoch metrics"),
        (b"\xff\xfe\x00", "not a table of epoch metrics"),
        (b"hello\nworld\n", "no column epoch"),
    ],
)
def test_files_that_are_no_tables(path: Path, content: bytes, told: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=told):
        read_epochs(path, 0)


def test_a_cell_that_is_no_number_is_told_with_its_file(path: Path) -> None:
    path.write_text("epoch,val_dice\n0,good\n")
    with pytest.raises(ArtifactError, match=r"metrics-0.0.csv: 'good' is no number"):
        best_epoch([read_epochs(path, 0)], "val_dice", "max")


def test_which_files_are_metrics(tmp_path: Path) -> None:
    for name in ("metrics-0.1.csv", "metrics-10.0.csv", "metrics-2.0.csv", "metrics-0.0.csvall.csv", "notes.txt"):
        (tmp_path / name).touch()
    found = [(fold, stage) for fold, stage, _ in metrics_files(tmp_path)]
    assert found == [(0, 1), (2, 0), (10, 0)]
    assert metrics_files(tmp_path / "absent") == []
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_epochs(tmp_path, 0)


def test_means_are_over_the_rows_that_have_a_number() -> None:
    rows = [{"a": 1.0, "b": float("nan")}, {"a": 2.0, "c": 5.0}]
    assert mean_row(rows) == {"a": 1.5, "c": 5.0}
    assert mean_row([]) == {}
    assert mean_row([{"a": float("inf"), "b": 1.0}, {"a": float("-inf"), "b": float("inf")}]) == {"b": float("inf")}
