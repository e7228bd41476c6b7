"""What trials on real data brought to light."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import toy

import musket
from musket.core.errors import ConfigError, DataError
from musket.core.rle import rle_encode
from musket.data.tables import BinarySegmentationDataSet


def test_tables_of_run_lengths_go_with_cells_and_negatives(tmp_path: Path) -> None:
    rows = []
    (tmp_path / "images").mkdir()
    for index in range(16):
        image, mask = toy.draw_disc(index)
        cv2.imwrite(str(tmp_path / "images" / f"{index}.png"), image)
        rows.append({"ImageId": f"{index}.png", "EncodedPixels": rle_encode(mask) if index % 2 else ""})
    table = tmp_path / "masks.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    dataset = BinarySegmentationDataSet(str(tmp_path / "images"), str(table), "ImageId", "EncodedPixels")
    cfg = toy.experiment(
        tmp_path, crops=2, stages=[{"epochs": 1, "negatives": "none"}], batch=2, testSplit=0, folds_count=2
    )
    assert cfg.fit(dataset)["completed"]


def test_a_start_that_failed_does_not_bind_the_next_one(tmp_path: Path) -> None:
    dataset = toy.Drawn()
    broken = toy.experiment(tmp_path, augmentation={"BackgroundReplacer": {"path": "nowhere"}})
    with pytest.raises(DataError, match="no such folder of background pictures"):
        broken.fit(dataset, foldsToExecute=[0])
    assert toy.experiment(tmp_path).fit(dataset, foldsToExecute=[0])["folds"] == [0]


def test_pictures_and_curves_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    toy.experiment(tmp_path, folds_count=1, stages=[{"epochs": 3}]).fit(toy.Drawn())
    cfg = toy.experiment(tmp_path, folds_count=1, stages=[{"epochs": 1}])
    cfg.fit(toy.Drawn(), rerun=True)
    assert [path.name for path in (tmp_path / "examples" / "0" / "0").iterdir()] == ["t_epoch_0.0.jpg"]
    assert len(list(cfg.layout.tensorboard(0, 0).iterdir())) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("augmentation: {BackgroundReplacer: {path: nowhere}}", "no such folder of background pictures"),
        ("dumpPredictionsToCSV: true", "cannot write its items as table rows"),
    ],
)
def test_a_quick_check_finds_what_fit_would_refuse(tmp_path: Path, line: str, said: str) -> None:
    config = tmp_path / "config.yaml"
    toy.register_small_net()
    config.write_text(toy.CONFIG.replace("augmentation:\n  Fliplr: 0.5\n  Flipud: 0.5\n", "") + line + "\n")
    report = musket.parse(config).check(toy.Drawn(), estimate=False)
    assert not report.ok
    assert any(said in problem.message for problem in report.problems)


def test_files_described_in_the_config_are_written_as_rows(tmp_path: Path) -> None:
    toy.write_discs(tmp_path, 8)
    data = {"input_path": "images", "output_path": "masks"}
    cfg = toy.experiment(tmp_path, dataset=data, dumpPredictionsToCSV=True, testSplit=0)
    cfg.fit()
    table = pd.read_csv(tmp_path / "predictions" / "validation0.0-gt.csv")
    assert list(table.columns) == ["image", "rle_mask"]
    assert table["rle_mask"].notna().all()


def test_own_validation_data_means_one_fold(tmp_path: Path) -> None:
    toy.write_discs(tmp_path / "data", 8)
    part = {"SimplePNGMaskDataSet": [str(tmp_path / "data/images"), str(tmp_path / "data/masks")]}
    cfg = toy.experiment(tmp_path, dataset={"train": part, "validation": part}, folds_count=5)
    assert cfg.spec.folds_count == 1


def test_parts_of_the_data_are_named_where_one_is_misspelt(tmp_path: Path) -> None:
    part = {"SimplePNGMaskDataSet": ["a", "b"]}
    with pytest.raises(ConfigError, match=r"parts of the data \(train, validation, holdout\) beside valid; parts can"):
        toy.experiment(tmp_path, dataset={"train": part, "valid": part})


def test_class_numbers_in_one_channel_get_advice(tmp_path: Path) -> None:
    class Labels(toy.Drawn):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            item = super().__getitem__(index)
            return musket.PredictionItem(item.id, item.x, item.y.astype(np.uint8) * 3)

    with pytest.raises(DataError, match=r"the mask has 1 channel, .*one channel per class: labels"):
        toy.experiment(tmp_path / "a", classes=4, activation="softmax").fit(Labels())
    with pytest.raises(DataError, match=r"values other than 0 and 1 \(from 0 to 3\).*one channel per class: labels"):
        toy.experiment(tmp_path / "b").fit(Labels())


def test_a_file_that_cannot_be_found_later_hints_at_relative_paths(tmp_path: Path) -> None:
    class Lost(toy.Drawn):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            return musket.PredictionItem(f"{index}", np.load("images/nowhere.npy"), None)

        def sample_ids(self) -> list[str]:
            return [str(index) for index in range(14)]

    with pytest.raises(DataError, match="relative paths must be made absolute when the dataset is made"):
        toy.experiment(tmp_path).fit(Lost())


def test_views_switched_off_leave_the_choice_to_the_call(tmp_path: Path) -> None:
    assert toy.experiment(tmp_path, testTimeAugmentation=False).spec.testTimeAugmentation is None
