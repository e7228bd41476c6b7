from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from trained import FOUR_EPOCHS, csv_text, write_experiment

from musket.core.errors import MusketError
from musket.report.collect import Collection, collect
from musket.report.compare import Comparison, compare, write_csv


def report(folder: Path, **options: Any) -> Comparison:
    return compare(collect(folder), **options)


def names(found: Comparison) -> list[str]:
    return [column.name for column in found.columns]


def column(found: Comparison, name: str) -> list[Any]:
    position = names(found).index(name)
    return [row[position] for row in found.rows]


def by_path(found: Comparison) -> dict[Any, dict[str, Any]]:
    return {row[0]: dict(zip(names(found), row, strict=True)) for row in found.rows}


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Experiments by names, whose val_loss is lowest in b, whose val_dice is highest in c."""
    for name, loss, dice in (("a", 0.5, 0.7), ("b", 0.2, 0.8), ("c", 0.3, 0.9)):
        table = {"epoch": [0], "loss": [loss], "val_loss": [loss], "val_dice": [dice]}
        write_experiment(tmp_path / name, f"lr: {1 - dice:.1f}\nprimary_metric: val_dice\n", {(0, 0): table})
    return tmp_path


def test_one_epoch_of_each_fold_by_the_primary_metric(tmp_path: Path) -> None:
    other = {"epoch": [0, 1], "loss": [0.6, 0.6], "val_dice": [0.4, 0.3], "val_loss": [0.9, 0.1]}
    tables = {(0, 0): FOUR_EPOCHS, (1, 0): other}
    write_experiment(tmp_path / "a", "primary_metric: val_dice\n", tables)
    write_experiment(tmp_path / "b", "primary_metric: val_loss\n", tables)
    found = by_path(report(tmp_path))
    assert found["a"] | {"primary_metric": ""} == {
        "path": "a",
        "fold_count": 2,
        "primary_metric": "",
        "epoch": 1.0,  # epochs 2 and 0
        "loss": pytest.approx(0.55),
        "stage": 0.0,
        "val_dice": pytest.approx(0.6),
        "val_loss": pytest.approx(0.75),
        "val_dice_std": pytest.approx(0.2),  # of 0.8 and 0.4
        "val_loss_std": None,
    }
    assert found["b"]["val_loss"] == pytest.approx(0.3)  # epochs 1 and 1
    assert found["b"]["val_dice"] == pytest.approx(0.45)


def test_the_direction_of_a_metric_nobody_knows(tmp_path: Path) -> None:
    table = {"epoch": [0, 1], "val_cost": [1.0, 2.0]}
    config = "primary_metric: val_cost\n"
    write_experiment(tmp_path / "said", config + "primary_metric_mode: min\n", {(0, 0): table})
    assert column(report(tmp_path), "val_cost") == [1.0]
    write_experiment(tmp_path / "unsaid", config, {(0, 0): table})
    found = report(tmp_path)
    assert by_path(found)["unsaid"]["val_cost"] == 2.0
    assert any(note.startswith("unsaid: nobody says whether val_cost") for note in found.notes)
    assert not any(note.startswith("said: ") for note in found.notes)


def test_an_experiment_that_did_not_log_its_primary_metric_is_told(tmp_path: Path) -> None:
    write_experiment(tmp_path / "a", "primary_metric: val_iou\n")
    write_experiment(tmp_path / "b", "primary_metric: val_dice\n")
    found = report(tmp_path)
    assert "a: val_iou was not logged everywhere; epochs chosen by val_loss" in found.notes
    assert any(note.startswith("epochs are chosen by different figures") for note in found.notes)
    assert by_path(found)["a"]["epoch"] == 1


def test_a_remark_on_many_experiments_is_one_line(tmp_path: Path) -> None:
    for number in range(9):
        write_experiment(tmp_path / f"e{number}", "primary_metric: val_iou\n")
    assert report(tmp_path).notes == ["e0, e1, e2, ...: val_iou was not logged everywhere; epochs chosen by val_loss"]


@pytest.mark.parametrize(
    ("sort_by", "order"),
    [
        (None, "bca"),
        ("val_loss", "bca"),
        ("loss", "bca"),
        ("val_dice", "cba"),
        ("path", "abc"),
        ("lr", "cba"),
        ("fold_count", "abc"),
        ("epoch", "abc"),
    ],
)
def test_rows_are_sorted_by_any_column_in_its_direction(three: Path, sort_by: str | None, order: str) -> None:
    assert "".join(column(report(three, sort_by=sort_by), "path")) == order


def test_values_that_are_missing_come_last_and_equal_ones_by_name(three: Path) -> None:
    write_experiment(three / "A_without", "", {(0, 0): {"epoch": [0], "val_dice": [0.99]}})
    write_experiment(three / "a_nan", "", {(0, 0): {"epoch": [0], "val_dice": [0.9], "val_loss": ["NA"]}})
    assert column(report(three), "path") == ["b", "c", "a", "A_without", "a_nan"]
    assert column(report(three, sort_by="val_dice"), "path") == ["A_without", "a_nan", "c", "b", "a"]
    assert column(report(three, sort_by="lr"), "path") == ["c", "b", "a", "A_without", "a_nan"]


def test_only_one_metric(three: Path) -> None:
    found = report(three, only_metric="val_dice")
    assert names(found) == ["path", "fold_count", "lr", "val_dice"]
    assert column(found, "path") == ["c", "b", "a"]
    assert column(report(three, only_metric="val_dice", sort_by="val_loss"), "path") == ["b", "c", "a"]


def test_a_metric_by_its_bare_name_is_that_of_every_part(tmp_path: Path) -> None:
    for name, dice, held in (("a", 0.5, 0.9), ("b", 0.7, 0.2)):
        table = {"epoch": [0], "dice": [1 - dice], "val_dice": [dice], "val_loss": [dice], "loss": [0.1]}
        folds = {(0, 0): table, (1, 0): table}
        config = f"lr: {dice}\nprimary_metric: val_dice\n"
        write_experiment(tmp_path / name, config, folds, summary={"allStages": {"dice_holdout": held}})
    head = ["path", "fold_count", "lr"]
    found = report(tmp_path, only_metric="dice")
    assert names(found) == [*head, "dice", "val_dice", "dice_holdout", "val_dice_std"]
    assert column(found, "path") == ["b", "a"]  # by val_dice
    assert names(report(tmp_path, only_metric="loss")) == [*head, "loss", "val_loss"]
    assert names(report(tmp_path, only_metric="val_dice")) == [*head, "val_dice"]
    found = report(tmp_path, only_metric="dice_holdout")
    assert names(found) == [*head, "dice_holdout"]
    assert column(found, "path") == ["a", "b"]
    assert names(report(tmp_path, only_metric="val_dice_std")) == [*head, "val_dice_std"]
    with pytest.raises(MusketError, match="--onlyMetric: no column 'val_iou'"):
        report(tmp_path, only_metric="val_iou")


def test_a_metric_by_another_of_its_names(tmp_path: Path) -> None:
    write_experiment(tmp_path / "a", tables={(0, 0): {"epoch": [0], "val_iou_coef": [0.5], "val_loss": [1.0]}})
    assert names(report(tmp_path, only_metric="val_iou")) == ["path", "fold_count", "val_iou_coef"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sort_by": "val_dize"}, "--sortBy: no column 'val_dize'; nearest: val_dice; there are: path, fold_count, lr"),
        ({"only_metric": "val_los"}, "--onlyMetric: no column 'val_los'; nearest: val_loss"),
        ({"only_metric": "lr"}, "--onlyMetric: no column 'lr'; .*there are: epoch, loss, stage, val_dice, val_loss"),
    ],
)
def test_a_column_that_is_not_there(three: Path, options: dict[str, str], told: str) -> None:
    with pytest.raises(MusketError, match=told):
        report(three, **options)


def test_without_val_loss_rows_are_sorted_by_what_all_are_judged_by(tmp_path: Path) -> None:
    for name, dice in (("a", 0.5), ("b", 0.7)):
        table = {"epoch": [0], "val_dice": [dice]}
        write_experiment(tmp_path / name, "primary_metric: val_dice\n", {(0, 0): table})
    found = report(tmp_path)
    assert column(found, "path") == ["b", "a"]
    assert found.sorted_by is not None
    assert found.sorted_by.name == "val_dice"


def test_the_loss_of_a_config_does_not_hide_the_metric(tmp_path: Path) -> None:
    table = {"epoch": [0], "loss": [0.5], "val_loss": [0.4], "depth": [0.1]}
    write_experiment(tmp_path / "a", "aa: 1\nloss: mse\ndepth: 3\n", {(0, 0): table})
    write_experiment(tmp_path / "b", "aa: 2\nloss: mae\ndepth: 4\n", {(0, 0): table})
    found = report(tmp_path)
    assert names(found)[:5] == ["path", "fold_count", "loss_function", "aa", "config.depth"]
    assert sorted(column(found, "loss_function")) == ["mae", "mse"]
    assert column(found, "loss") == [0.5, 0.5]
    assert len(set(names(found))) == len(names(found))


def test_values_of_different_losses_are_no_order(tmp_path: Path) -> None:
    table = {"epoch": [0], "loss": [0.5], "val_loss": [0.5], "val_dice": [0.5]}
    for name, loss in (("a", "dice_loss"), ("b", "focal_loss")):
        write_experiment(tmp_path / name, f"loss: {loss}\nprimary_metric: val_dice\n", {(0, 0): table})
    told = "val_loss is of different losses, so its order says nothing of which is better: --sortBy val_dice does"
    assert report(tmp_path, sort_by="val_loss").notes == [told]
    assert report(tmp_path, sort_by="val_dice").notes == []
    assert [one.mode for one in report(tmp_path).columns if one.kind == "metric"] == [None, "max", None]


def test_where_losses_differ_what_all_are_judged_by_sorts(tmp_path: Path) -> None:
    for name, loss, value, dice in (("a", "dice_loss", 0.1, 0.5), ("b", "focal_loss", 0.2, 0.7)):
        table = {"epoch": [0], "val_loss": [value], "val_dice": [dice]}
        write_experiment(tmp_path / name, f"loss: {loss}\nprimary_metric: val_dice\n", {(0, 0): table})
    found = report(tmp_path)
    assert column(found, "path") == ["b", "a"]
    assert found.notes == ["val_loss is of different losses and says nothing of which is better; sorted by val_dice"]
    write_experiment(tmp_path / "c", "loss: mse\nprimary_metric: val_loss\n", {(0, 0): table})
    found = report(tmp_path)  # judged by several figures: nothing better is known
    assert found.sorted_by is not None
    assert found.sorted_by.name == "val_loss"
    assert any("--sortBy a metric does" in note for note in found.notes)


def test_figures_of_the_holdout(tmp_path: Path) -> None:
    summary = {"allStages": {"dice": {"mean": 0.5}, "dice_holdout": 0.75, "x_holdout": None, "y_holdout": True}}
    write_experiment(tmp_path / "a", summary=summary)
    write_experiment(tmp_path / "b")
    found = report(tmp_path, sort_by="dice_holdout")
    assert names(found)[-1] == "dice_holdout"
    assert column(found, "dice_holdout") == [0.75, None]
    assert found.columns[-1].mode == "max"


def test_folds_and_stages_of_an_earlier_run_do_not_count(tmp_path: Path) -> None:
    better = {"epoch": [0], "val_loss": [0.01], "val_binary_accuracy": [1.0]}
    table = {"epoch": [0], "val_loss": [0.5], "val_binary_accuracy": [0.5]}
    tables = {(0, 0): table, (0, 1): better, (1, 0): better, (2, 0): table}
    write_experiment(tmp_path / "a", tables=tables, summary={"completed": True, "folds": [0, 2], "stages": [{}]})
    found = report(tmp_path)
    assert column(found, "fold_count") == [2]
    assert column(found, "val_loss") == [0.5]


def test_columns_that_only_some_folds_have(tmp_path: Path) -> None:
    tables = {
        (0, 0): {"epoch": [0], "val_loss": [0.5], "val_dice": [0.5]},
        (1, 0): {"epoch": [0], "val_loss": [0.7], "extra": [1.0]},
    }
    write_experiment(tmp_path / "a", "primary_metric: val_loss\n", tables)
    [row] = by_path(report(tmp_path)).values()
    assert (row["val_loss"], row["val_dice"], row["extra"]) == (pytest.approx(0.6), 0.5, 1.0)


def test_who_is_left_out(tmp_path: Path) -> None:
    write_experiment(tmp_path / "done")
    write_experiment(tmp_path / "new", "lr: 3\n", {}, summary=None)
    write_experiment(tmp_path / "running", "lr: 4\n", summary=None)
    write_experiment(tmp_path / "broken", "lr: 5\n", summary="Error")
    write_experiment(tmp_path / "empty", "lr: 6\n", {})
    write_experiment(tmp_path / "search", "lr: 7\nhyperparameters: {a: [0, 1]}\n", {})
    write_experiment(tmp_path / "search" / "trial0", "lr: 8\n")
    found = report(tmp_path)
    assert column(found, "path") == ["done"]
    assert names(found) == ["path", "fold_count", "epoch", "loss", "stage", "val_dice", "val_loss"]
    left_out = {"never trained": 1, "unfinished": 1, "failed": 1, "without metrics": 1, "search": 1}
    assert dict(found.left_out) == left_out
    everything = compare(collect(tmp_path, unfinished=True))
    assert {path: row["state"] for path, row in by_path(everything).items()} == {
        "done": "finished",
        "running": "unfinished",
        "broken": "failed",
    }
    trials = report(tmp_path / "search")
    assert (column(trials, "path"), dict(trials.left_out)) == (["trial0"], {})


def test_runs_with_other_seeds_are_one_row(tmp_path: Path) -> None:
    write_experiment(tmp_path / "many", "lr: 1\nnum_seeds: 3\n", {})
    for seed, dice in enumerate((0.5, 0.7, 0.0)):
        table = {"epoch": [0], "val_binary_accuracy": [dice]}
        write_experiment(
            tmp_path / "many" / str(seed),
            f"lr: 1\ntestSplitSeed: {seed}\n",
            {(0, 0): table, (1, 0): table},
            record={"lr": 1, "testSplitSeed": seed},
            summary={"allStages": {"dice_holdout": dice}} if seed < 2 else None,
            name="config_concrete.yaml",
        )
    write_experiment(tmp_path / "one", "lr: 2\n", record={"lr": 2, "testSplitSeed": 123})
    found = report(tmp_path, sort_by="path")
    assert names(found)[:5] == ["path", "fold_count", "seeds", "lr", "testSplitSeed"]
    assert found.rows[0][:5] == ["many", 2, 2, "1", "varies"]
    assert found.rows[1][:5] == ["one", 1, 1, "2", "123"]
    assert by_path(found)["many"]["val_binary_accuracy"] == pytest.approx(0.6)
    assert by_path(found)["many"]["dice_holdout"] == pytest.approx(0.6)
    assert "many: the run of seed 2 is unfinished; the mean is without it" in found.notes
    spread = by_path(found)["many"]
    assert (spread["val_binary_accuracy_std"], spread["dice_holdout_std"]) == pytest.approx((0.1, 0.1))
    assert by_path(found)["one"]["dice_holdout_std"] is None  # a single fold has none


def test_what_was_trained_counts_more_than_what_is_written(tmp_path: Path) -> None:
    defaults = {"batch": 16, "lr": 0.001, "frozen": False}
    write_experiment(tmp_path / "a", "batch: 16\n", record=defaults)
    write_experiment(tmp_path / "b", "lr: 0.001\n", record=defaults)
    assert names(report(tmp_path))[2] == "epoch"
    write_experiment(tmp_path / "c", "lr: 0.001\n", record={**defaults, "lr": 0.5, "frozen": True})
    found = report(tmp_path)
    assert names(found)[2:4] == ["frozen", "lr"]
    assert by_path(found)["c"]["lr"] == "0.5"


def test_common_defaults_count(tmp_path: Path) -> None:
    (tmp_path / "common.yaml").write_text("lr: 1\nbatch: 4\n")
    write_experiment(tmp_path / "a", "batch: 4\n")
    write_experiment(tmp_path / "b", "lr: 2\n")
    found = compare(collect(tmp_path, lambda config: tmp_path / "common.yaml"))
    assert names(found)[2:4] == ["lr", "epoch"]
    assert {row["path"]: row["lr"] for row in by_path(found).values()} == {"a": "1", "b": "2"}


def test_files_that_cannot_be_read_are_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_experiment(tmp_path / "a", "lr: 1\n", {(fold, 0): FOUR_EPOCHS for fold in range(3)})
    (tmp_path / "a" / "metrics" / "metrics-1.0.csv").write_text("epoch,val_loss\n0,low\n")
    (tmp_path / "a" / "metrics" / "metrics-2.0.csv").unlink()
    (tmp_path / "a" / "metrics" / "metrics-2.0.csv").mkdir()
    write_experiment(tmp_path / "b", "lr: 2\n")
    (tmp_path / "b" / "config.yaml").write_bytes(b"lr: \xff\n")
    write_experiment(tmp_path / "c", "lr: [1\n")
    write_experiment(tmp_path / "d", "- lr\n")
    write_experiment(tmp_path / "e", "lr: 5\n")
    (tmp_path / "e" / "run.yaml").write_text("config: [\n")
    (tmp_path / "e" / "metrics" / "metrics-0.0.csv").write_bytes(b"\xff\xfe")
    found = report(tmp_path)
    assert column(found, "path") == ["a", "b", "c", "d"]
    assert column(found, "fold_count") == [1, 1, 1, 1]
    told = "\n".join(found.troubles)
    for file in (
        "a/metrics/metrics-1.0.csv",
        "a/metrics/metrics-2.0.csv",
        "b/config.yaml",
        "c/config.yaml",
        "d/config.yaml",
        "e/run.yaml",
        "e/metrics/metrics-0.0.csv",
    ):
        assert str(tmp_path / file) in told
    assert len(found.troubles) == 7
    assert found.left_out == {"without metrics": 1}


def test_a_config_of_another_name(tmp_path: Path) -> None:
    write_experiment(tmp_path / "ships", "lr: 1\n", name="ship_config.yaml")
    write_experiment(tmp_path / "ships", "lr: 2\n", name="boat_config.yaml", summary=None)
    found = report(tmp_path)
    assert column(found, "path") == ["ships/ship_config.yaml"]
    assert found.left_out == {"never trained": 1}


def test_different_data_is_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_experiment(tmp_path / name, record={})
        (tmp_path / name / "run.yaml").write_text(f"config: {{}}\ndata: {{fingerprint: '{name}'}}\n")
    assert "not all were trained on the same samples" in report(tmp_path).notes


def test_nothing_to_compare(tmp_path: Path) -> None:
    found = report(tmp_path, sort_by="anything", only_metric="else")
    assert (names(found), found.rows, found.sorted_by) == (["path", "fold_count"], [], None)
    assert compare(Collection()).rows == []


def test_the_file_holds_all_digits(tmp_path: Path) -> None:
    table = {"epoch": [0], "val_loss": [1 / 3], "val_binary_accuracy": [math.inf]}
    write_experiment(tmp_path / "a,b", 'name: "x, \\"y\\""\nflag: true\n', {(0, 0): table})
    write_experiment(tmp_path / "c", "flag: null\nname: ä\n", {(0, 0): {"epoch": [0], "loss": [1]}})
    write_csv(report(tmp_path), tmp_path / "deep" / "report.csv")
    assert (tmp_path / "deep" / "report.csv").read_text("utf-8") == (
        "path,fold_count,flag,name,epoch,loss,stage,val_binary_accuracy,val_loss\n"
        f'"a,b",1,true,"x, ""y""",0.0,,0.0,inf,{1 / 3!r}\n'
        "c,1,null,ä,0.0,1.0,0.0,,\n"
    )
    assert csv_text(table).startswith("epoch,")
