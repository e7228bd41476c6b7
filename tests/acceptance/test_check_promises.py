"""A check of the data says before training what training would stumble over, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import toy

from musket.core.errors import MusketError
from musket.data.folders import SimplePNGMaskDataSet

SHARED = Path(__file__).parents[3] / "shared" / "data"


def truncate(images: Path, masks: Path) -> None:
    path = images / "disc-04.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def empty_file(images: Path, masks: Path) -> None:
    (masks / "disc-04.png").write_bytes(b"")


def no_picture(images: Path, masks: Path) -> None:
    (masks / "disc-04.png").write_text("not a picture")


@pytest.mark.parametrize("harm", [truncate, empty_file, no_picture])
def test_what_stops_fit_is_what_check_says(harm: object, tmp_path: Path) -> None:
    images, masks = toy.write_discs(tmp_path / "data", 12)
    harm(images, masks)  # type: ignore[operator]
    cfg = toy.experiment(tmp_path / "run", folds_count=1, testSplit=0, stages=[{"epochs": 1}])
    [problem] = cfg.check(SimplePNGMaskDataSet(images, masks)).problems
    with pytest.raises(MusketError) as stopped:
        cfg.fit(SimplePNGMaskDataSet(images, masks))
    assert problem.message.removeprefix("disc-04: ") in str(stopped.value)


def test_data_that_passes_is_trained(tmp_path: Path) -> None:
    images, masks = toy.write_discs(tmp_path / "data", 12)
    cfg = toy.experiment(tmp_path / "run", folds_count=2, testSplit=0, stages=[{"epochs": 1}])
    report = cfg.check(SimplePNGMaskDataSet(images, masks))
    assert report.ok
    cfg.fit(SimplePNGMaskDataSet(images, masks))
    assert (tmp_path / "run" / "summary.yaml").exists()
    assert [len(cfg.train(foldNum=fold)) for fold in range(2)] == [fold.train for fold in report.folds]


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared images")
def test_views_of_one_object_in_two_parts_are_found(tmp_path: Path) -> None:
    """The magnetic tiles were photographed several times each; a random split tears the views apart."""
    dataset = SimplePNGMaskDataSet(SHARED / "magnetic_tiles" / "images", SHARED / "magnetic_tiles" / "masks")
    cfg = toy.experiment(tmp_path, folds_count=3)
    report = cfg.check(dataset, estimate=False)
    assert report.ok
    assert report.data is not None
    assert (report.data.samples, report.data.empty) == (200, 100)
    assert report.data.classes[0][0] == pytest.approx(0.048, abs=0.001)  # share of defect pixels, counted elsewhere
    assert any("closely resemble" in warning.message for warning in report.warnings)
