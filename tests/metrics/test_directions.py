from __future__ import annotations

import pytest

from musket.losses.catalogue import LOSSES
from musket.metrics.catalogue import METRICS, adopt, direction, find_column


@pytest.fixture(scope="module", autouse=True)
def losses_are_metrics():
    adopt(LOSSES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("loss", "min"),
        ("val_loss", "min"),
        ("val_loss_holdout", "min"),
        ("dice", "max"),
        ("val_dice", "max"),
        ("dice_holdout", "max"),
        ("val_iou_coef", "max"),
        ("val_acc", "max"),
        ("val_dice_loss", "min"),
        ("val_mse", "min"),
        ("iou_loss", "min"),
        ("val_matthews_correlation", "max"),
        ("val_accuracy_kids", "max"),
        ("val_rmse_size_holdout", "min"),
        ("hamming_loss", "min"),
        ("top_3_accuracy_0", "max"),
        ("per_class_f1_kids_red fox", "max"),
        ("val_loss_kids", "min"),
        ("val_dice_loss_kids", "min"),
        ("dice_true_negative_is_one", "max"),
        ("dice_true_negative_is_one_treshold", None),
        ("lr", None),
        ("lossy", None),
        ("val_f11", None),
        ("val_unheard_of", None),
    ],
)
def test_directions(name, expected):
    assert direction(name) == expected


def test_own_metric_has_a_direction_only_when_it_says_so():
    METRICS.add("my_score", lambda truth, prediction: 0.0, "A metric of a test.")
    METRICS.add("my_error", lambda truth, prediction: 0.0, "A metric of a test.", mode="min")
    try:
        assert direction("val_my_score") is None
        assert direction("val_my_error") == "min"
    finally:
        METRICS.remove("my_score")
        METRICS.remove("my_error")


@pytest.mark.parametrize(
    ("name", "columns", "found"),
    [
        ("val_dice", ["dice", "val_dice"], "val_dice"),
        ("val_iou_coef", ["iou", "val_iou"], "val_iou"),
        ("val_iou", ["iou_coef", "val_IoU_coef"], "val_IoU_coef"),
        ("val_mean_squared_error", ["val_mse"], "val_mse"),
        ("mse_holdout", ["mean_squared_error_holdout"], "mean_squared_error_holdout"),
        ("val_acc", ["acc", "val_binary_accuracy"], None),
        ("val_acc_kids", ["val_accuracy", "val_accuracy_kids"], "val_accuracy_kids"),
        ("val_acc_kids", ["val_accuracy", "val_accuracy_label"], None),
        ("f1_0_holdout", ["macro_f1_0", "macro_f1_0_holdout"], "macro_f1_0_holdout"),
        ("val_iou", ["iou"], None),
        ("nothing", ["dice"], None),
    ],
)
def test_a_figure_is_found_under_its_other_names(name, columns, found):
    assert find_column(name, columns) == found
