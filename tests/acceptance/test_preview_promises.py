"""Pictures of what augmentation does: as a sheet before training, and of every epoch while it goes on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import toy

import musket
from musket.cli.main import main
from musket.report.samples import PALETTE


def seen_in_training(cfg: musket.Experiment, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, int], np.ndarray]:
    """Trains, and gives every image the network was trained on, by id and epoch."""
    from musket.experiment.reading import SampleMaker

    seen: dict[tuple[str, int], np.ndarray] = {}
    make = SampleMaker.__call__

    def noting(self: SampleMaker, position: int, epoch: int | None) -> object:
        sample = make(self, position, epoch)
        if self.is_train and epoch is not None:
            seen[sample.id, epoch] = np.array(sample.image)
        return sample

    monkeypatch.setattr(SampleMaker, "__call__", noting)
    cfg.fit(toy.Drawn(), foldsToExecute=[0])
    return seen


@pytest.mark.parametrize("how", ["key", "attribute"])
def test_s55_augmented_training_samples_are_drawn_after_each_epoch(how: str, tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, **({"showDataExamples": True} if how == "key" else {}))
    if how == "attribute":
        assert not cfg.showDataExamples
        cfg.showDataExamples = True
    cfg.fit(toy.Drawn(), foldsToExecute=[0])
    folder = tmp_path / "examples" / "0" / "0"
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"t_epoch_{part}{epoch}.0.jpg" for part in ("", "train") for epoch in range(2)]
    picture = cv2.imread(str(folder / "t_epoch_train0.0.jpg"))
    other = cv2.imread(str(folder / "t_epoch_0.0.jpg"))
    assert picture is not None
    assert other is not None
    assert picture.shape == other.shape  # the same three columns; six samples each, 32 x 32 drawn four times as large
    assert (folder / "t_epoch_train0.0.jpg").read_bytes() != (folder / "t_epoch_train1.0.jpg").read_bytes()


def test_s55_without_the_key_there_are_none(tmp_path: Path) -> None:
    toy.experiment(tmp_path).fit(toy.Drawn(), foldsToExecute=[0])
    assert not list(tmp_path.rglob("t_epoch_train*"))


def test_s55_pictures_change_nothing_of_the_training(tmp_path: Path) -> None:
    for name, shown in (("with", True), ("without", False)):
        cfg = toy.experiment(tmp_path / name, showDataExamples=shown)
        cfg.fit(toy.Drawn(), foldsToExecute=[0])
    for file in ("weights/best-0.0.weights", "metrics/metrics-0.0.csv"):
        assert (tmp_path / "with" / file).read_bytes() == (tmp_path / "without" / file).read_bytes()


def test_a_draw_of_the_sheet_is_what_the_epoch_trains_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from musket.experiment import augmented

    drawn: list[list[tuple[np.ndarray, np.ndarray]]] = []
    monkeypatch.setattr(augmented, "draw_table", lambda rows, heads, captions: drawn.extend(rows))
    cfg = toy.experiment(tmp_path)
    cfg.augmentation_sheet(toy.Drawn(), count=6, columns=2)
    monkeypatch.undo()
    seen = seen_in_training(cfg, monkeypatch)
    part = cfg.train(foldNum=0)
    for row in drawn:
        stored = next(name for name in part.sample_ids() if np.array_equal(toy.draw_disc(int(name[5:]))[0], row[0][0]))
        for epoch in range(2):
            np.testing.assert_array_equal(row[1 + epoch][0], seen[stored, epoch])


def test_the_sheet(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path)
    sheet = cfg.augmentation_sheet(toy.Drawn(), count=3, columns=2, seed=5)
    assert sheet.dtype == np.uint8
    assert sheet.shape[2] == 3
    assert (sheet == PALETTE[0]).all(axis=2).any()  # outlines of masks
    assert sheet.tobytes() == cfg.augmentation_sheet(toy.Drawn(), count=3, columns=2, seed=5).tobytes()
    assert sheet.tobytes() != cfg.augmentation_sheet(toy.Drawn(), count=3, columns=2, seed=6).tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy.register_small_net()
    images, masks = toy.write_discs(tmp_path / "data", 14)
    config = tmp_path / "config.yaml"
    config.write_text(f"{toy.CONFIG}dataset:\n  SimplePNGMaskDataSet: [{images}, {masks}]\n")
    assert main(["augment", str(config), "--out", str(tmp_path / "sheet"), "--count", "2", "--columns", "3"]) == 0
    assert capsys.readouterr().out == f"Fliplr, Flipud\nwritten to {tmp_path / 'sheet' / 'augmentation.png'}\n"
    picture = cv2.imread(str(tmp_path / "sheet" / "augmentation.png"))
    assert picture is not None
    assert picture.shape[1] > picture.shape[0]
    assert main(["augment", str(config), "--count", "0"]) == 2
    assert "count must be at least 1; found 0" in capsys.readouterr().err
    (masks / "disc-03.png").unlink()
    assert main(["augment", str(config), "--out", str(tmp_path / "sheet")]) == 2
    assert "no mask" in capsys.readouterr().err
