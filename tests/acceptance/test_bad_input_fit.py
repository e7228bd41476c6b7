"""Bad data, bad numbers and bad disks while training: an error that names the culprit, and nothing lost."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
import yaml

import musket
from musket.artifacts.checkpoint import load_state, load_weights, save_weights
from musket.core.errors import ArtifactError, ConfigChanged, DataError, MusketError, TrainingError


class Broken(toy.Drawn):
    """The toy data with one item exchanged."""

    def __init__(self, index: int, item: Any):
        super().__init__()
        self.index = index
        self.broken = item

    def __getitem__(self, index: int) -> musket.PredictionItem:
        if index != self.index:
            return super().__getitem__(index)
        if isinstance(self.broken, Exception):
            raise self.broken
        return self.broken


def item(x: Any, y: Any) -> musket.PredictionItem:
    return musket.PredictionItem("disc-05", x, y)


IMAGE = np.zeros((40, 48, 3), np.uint8)
MASK = np.zeros((40, 48, 1), bool)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (ZeroDivisionError("my own mistake"), r"item 5 .*ZeroDivisionError: my own mistake"),
        (item(IMAGE, MASK[:30]), r"disc-05.*differ in size: 48 x 40 and 48 x 30"),
        (item(IMAGE, None), r"disc-05.*no mask"),
        (item(IMAGE[..., :2], MASK), r"disc-05.*2 channels.*says 3"),
        (item(IMAGE, np.zeros((40, 48, 4), bool)), r"disc-05.*4 channels.*classes: 1"),
        (item(IMAGE.astype(np.int64), MASK), r"disc-05.*int64.*uint8"),
        (item(np.zeros((2, 40, 48, 3), np.uint8), MASK), r"disc-05.*shape"),
    ],
)
def test_a_bad_item_is_named(broken: Any, said: str, tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, testSplit=0)
    with pytest.raises(DataError, match=said):
        cfg.fit(Broken(5, broken))
    assert yaml.safe_load(cfg.layout.error.read_text())["errors"][0]["type"] == "DataError"
    assert not cfg.layout.in_progress.exists()
    assert not cfg.layout.summary.exists()


def test_a_fold_with_fewer_items_than_a_batch(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, batch=12, folds_count=5)
    with pytest.raises(TrainingError, match=r"0 iterations: fold 0 has 9 training samples.*batch of 12.*Lower batch"):
        cfg.fit(toy.Drawn())
    assert not list(tmp_path.glob("weights/*"))


def test_an_empty_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty"):
        toy.experiment(tmp_path).fit(toy.Drawn(0))


def test_nan_loss_stops_names_the_batch_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    @musket.callback
    class Poison(musket.Hook):
        def on_batch_start(self, run: Any) -> None:
            if run.epoch == 2:
                with torch.no_grad():
                    next(run.model.parameters()).fill_(float("nan"))

    cfg = toy.experiment(tmp_path, folds_count=1, stages=[{"epochs": 5}], callbacks={"Poison": {}})
    with pytest.raises(TrainingError, match=r"loss became nan at batch 6 with samples disc-\d\d, disc-\d\d, disc-\d\d"):
        cfg.fit(toy.Drawn())
    state = load_state(cfg.layout.state(0, 0))
    assert len(state["rows"]) == 2
    assert all(torch.isfinite(tensor).all() for tensor in state["model"].values())
    weights, _ = load_weights(cfg.layout.weights(0, 0))
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_a_full_disk_while_saving_loses_nothing_and_resumes(tmp_path: Path) -> None:
    """The file size limit of the process stands in for the disk: from epoch 1 on no state fits any more."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    @musket.callback
    class FillDisk(musket.Hook):
        full = True

        def on_epoch_start(self, run: Any) -> None:
            if run.epoch == 1 and FillDisk.full:
                resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    def build(folder: Path) -> musket.Experiment:
        return toy.experiment(folder, folds_count=1, stages=[{"epochs": 3}], callbacks={"FillDisk": {}})

    cfg = build(tmp_path / "full")
    try:
        with pytest.raises(ArtifactError, match="cannot be written") as failure:
            cfg.fit(toy.Drawn())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "nothing already written" in str(failure.value)
    assert len(load_state(cfg.layout.state(0, 0))["rows"]) == 1
    load_weights(cfg.layout.weights(0, 0))
    assert not list(tmp_path.rglob("*.part"))

    FillDisk.full = False
    cfg.setAllowResume(True)
    cfg.fit(toy.Drawn())
    undisturbed = build(tmp_path / "undisturbed")
    undisturbed.fit(toy.Drawn())
    for name in ("weights/best-0.0.weights", "metrics/metrics-0.0.csv"):
        assert (cfg.layout.folder / name).read_bytes() == (undisturbed.layout.folder / name).read_bytes()


def test_a_read_only_file_system_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    cfg = toy.experiment(tmp_path)
    monkeypatch.setattr("musket.artifacts.files.os.replace", refuse)
    with pytest.raises(ArtifactError, match=r"cannot be written: the file system is read-only"):
        cfg.fit(toy.Drawn())


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users and permissions")
def test_a_folder_without_write_permission_is_said_in_words() -> None:
    script = """
import os, sys
from musket.artifacts.files import write_atomic
from musket.core.errors import ArtifactError
if os.geteuid() == 0:
    os.seteuid(65534)  # root may write anywhere
try:
    write_atomic(sys.argv[1] + "/summary.yaml", "x")
except ArtifactError as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", script, folder], capture_output=True, text=True, cwd=Path(__file__).parents[2]
        )
        assert "no permission to write here" in done.stdout, done.stderr
        assert not list(Path(folder).iterdir())


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, folds_count=1)
    cfg.fit(toy.Drawn())
    foreign = torch.nn.Conv2d(3, 4, 3)
    save_weights(cfg.layout.weights(0, 0), foreign.state_dict(), {})
    with pytest.raises(ArtifactError, match=r"best-0\.0\.weights.*another network.*Check architecture"):
        cfg.load_model(0, 0)


def test_a_damaged_weights_file(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, folds_count=1)
    cfg.fit(toy.Drawn())
    path = cfg.layout.weights(0, 0)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=r"best-0\.0\.weights.*not readable"):
        cfg.load_model(0, 0)


def test_weights_that_were_never_trained(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="train it first"):
        toy.experiment(tmp_path).load_model(0, 0)


def interrupted(folder: Path) -> musket.Experiment:
    """A run that stopped after its first epoch."""
    cfg = toy.experiment(folder, stages=[{"epochs": 3}], callbacks={"StopAfterOne": {}})
    StopAfterOne.armed = True
    with pytest.raises(RuntimeError, match="pulled the plug"):
        cfg.fit(toy.Drawn())
    StopAfterOne.armed = False
    return cfg


class StopAfterOne(musket.Hook):
    """Raises at the start of the second epoch."""

    armed = True

    def on_epoch_start(self, run: Any) -> None:
        if run.epoch == 1 and StopAfterOne.armed:
            raise RuntimeError("pulled the plug")


@pytest.fixture(autouse=True, scope="module")
def _register() -> None:
    musket.callback(StopAfterOne)


def test_s52_a_config_edited_before_resuming_is_refused_key_by_key(tmp_path: Path) -> None:
    interrupted(tmp_path)
    edited = toy.experiment(tmp_path, stages=[{"epochs": 3}], callbacks={"StopAfterOne": {}}, lr=0.5, batch=2)
    edited.setAllowResume(True)
    with pytest.raises(ConfigChanged) as refused:
        edited.fit(toy.Drawn())
    assert "lr: was 0.01, now 0.5" in str(refused.value)
    assert "batch: was 3, now 2" in str(refused.value)
    assert len(refused.value.changes) == 2
    edited.setAllowResume(True, accept_changes=True)
    edited.fit(toy.Drawn())
    assert edited.layout.summary.exists()


def test_s52_epochs_may_have_grown(tmp_path: Path) -> None:
    interrupted(tmp_path)
    grown = toy.experiment(tmp_path, stages=[{"epochs": 4}], callbacks={"StopAfterOne": {}})
    grown.setAllowResume(True)
    grown.fit(toy.Drawn())
    fresh = toy.experiment(tmp_path / "fresh", stages=[{"epochs": 4}], callbacks={"StopAfterOne": {}})
    fresh.fit(toy.Drawn())
    for name in ("weights/best-1.0.weights", "metrics/metrics-0.0.csv"):
        assert (grown.layout.folder / name).read_bytes() == (fresh.layout.folder / name).read_bytes()


def test_s52_a_finished_experiment_goes_on_when_its_epochs_grow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = toy.experiment(tmp_path, folds_count=1)
    cfg.fit(toy.Drawn())
    grown = toy.experiment(tmp_path, folds_count=1, stages=[{"epochs": 3}], verbose=1)
    grown.setAllowResume(True)
    grown.fit(toy.Drawn())
    assert grown.layout.metrics(0, 0).read_text().count("\n") == 1 + 3
    assert "fold 1/1  goes on after epoch 2\n" in capsys.readouterr().out


def test_s52_finished_folds_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from musket.experiment import build

    cfg = toy.experiment(tmp_path)
    cfg.fit(toy.Drawn(), foldsToExecute=[0])
    cfg.layout.summary.unlink()
    built: list[bool] = []
    original = build.build_model
    monkeypatch.setattr(
        build, "build_model", lambda spec, pretrained=True: built.append(pretrained) or original(spec, pretrained)
    )
    cfg.setAllowResume(True)
    cfg.fit(toy.Drawn())
    assert built.count(True) == 1  # fold 1 alone; the other calls load trained weights for the summary


def test_folds_trained_one_at_a_time_end_in_one_summary(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path)
    cfg.fit(toy.Drawn(), foldsToExecute=[0])
    assert yaml.safe_load(cfg.layout.summary.read_text())["folds"] == [0]
    cfg.fit(toy.Drawn(), foldsToExecute=[1])
    assert yaml.safe_load(cfg.layout.summary.read_text())["folds"] == [0, 1]


def test_x6_a_rerun_gives_up_the_old_results_only_when_everything_else_is_good(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, folds_count=1)
    cfg.fit(toy.Drawn())
    (cfg.layout.predictions).mkdir()
    with pytest.raises(ArtifactError, match="disc-14"):
        cfg.fit(toy.Drawn(15), rerun=True)
    assert cfg.layout.summary.exists()
    before = cfg.layout.weights(0, 0).read_bytes()
    cfg.fit(toy.Drawn(), rerun=True)
    assert cfg.layout.weights(0, 0).read_bytes() == before
    assert not cfg.layout.predictions.exists()


def test_changed_data_is_refused_and_says_what_changed(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path)
    cfg.fit(toy.Drawn(14), foldsToExecute=[0])
    cfg.layout.summary.unlink()
    with pytest.raises(ArtifactError, match=r"disc-14"):
        cfg.fit(toy.Drawn(15))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"foldsToExecute": [7]}, "no fold 7"), ({"start_from_stage": 3}, "no stage 3"), ({"subsample": 0}, "subsample")],
)
def test_impossible_requests(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(MusketError, match=said):
        toy.experiment(tmp_path).fit(toy.Drawn(), **changes)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.full((40, 48, 1), 255, np.uint8), r"disc-05.*values other than 0 and 1 \(from 255 to 255\)"),
        (np.full((40, 48, 1), 0.5, np.float32), r"disc-05.*values other than 0 and 1"),
    ],
)
def test_a_mask_that_is_not_0_or_1_is_named(mask: np.ndarray, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        toy.experiment(tmp_path, testSplit=0).fit(Broken(5, item(IMAGE, mask)))


def test_images_of_two_depths_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"disc-\d\d \(uint\d+\) and disc-\d\d \(uint\d+\) differ in depth"):
        toy.experiment(tmp_path, testSplit=0).fit(Broken(5, item(IMAGE.astype(np.uint16), MASK)))


def test_half_trained_folds_are_not_in_the_summary(tmp_path: Path) -> None:
    """Interrupted in fold 0; then only fold 1 is trained."""
    interrupted(tmp_path)
    cfg = toy.experiment(tmp_path, stages=[{"epochs": 3}], callbacks={"StopAfterOne": {}})
    cfg.fit(toy.Drawn(), foldsToExecute=[1])
    assert yaml.safe_load(cfg.layout.summary.read_text())["folds"] == [1]
    cfg.setAllowResume(True)
    cfg.fit(toy.Drawn())
    assert yaml.safe_load(cfg.layout.summary.read_text())["folds"] == [0, 1]


def test_s52_another_verbosity_resumes(tmp_path: Path) -> None:
    interrupted(tmp_path)
    cfg = toy.experiment(tmp_path, stages=[{"epochs": 3}], callbacks={"StopAfterOne": {}}, verbose=1)
    cfg.setAllowResume(True)
    cfg.fit(toy.Drawn())


def test_s52_another_share_of_the_data_is_another_run(tmp_path: Path) -> None:
    interrupted(tmp_path)
    cfg = toy.experiment(tmp_path, stages=[{"epochs": 3}], callbacks={"StopAfterOne": {}})
    cfg.setAllowResume(True)
    with pytest.raises(ConfigChanged, match=r"subsample .*was 1\.0, now 0\.7"):
        cfg.fit(toy.Drawn(), subsample=0.7)


def test_s52_accepted_changes_take_effect(tmp_path: Path) -> None:
    interrupted(tmp_path)
    cfg = toy.experiment(tmp_path, stages=[{"epochs": 3}], lr=0.25, optimizer="SGD")
    cfg.setAllowResume(True, accept_changes=True)
    cfg.fit(toy.Drawn())
    rates = [line.split(",")[6] for line in cfg.layout.metrics(0, 0).read_text().splitlines()]
    assert rates == ["lr", "0.01", "0.25", "0.25"]


def test_s52_the_epochs_of_an_earlier_stage_cannot_grow(tmp_path: Path) -> None:
    cfg = toy.experiment(tmp_path, folds_count=1, stages=[{"epochs": 1}, {"epochs": 1}])
    cfg.fit(toy.Drawn())
    grown = toy.experiment(tmp_path, folds_count=1, stages=[{"epochs": 2}, {"epochs": 1}])
    grown.setAllowResume(True)
    with pytest.raises(TrainingError, match=r"stages\[0\]\.epochs grew to 2, but a later stage of fold 0"):
        grown.fit(toy.Drawn())


def test_start_weights_are_looked_for_before_anything_is_trained(tmp_path: Path) -> None:
    stages = [{"epochs": 1}, {"epochs": 1, "initial_weights": "nowhere.weights"}]
    with pytest.raises(ArtifactError, match=r"nowhere\.weights.*stages\[1\]\.initial_weights: no such file"):
        toy.experiment(tmp_path, stages=stages).fit(toy.Drawn())
    assert not list(tmp_path.glob("weights/*"))
    with pytest.raises(ArtifactError, match=r"stage 1 starts from the best weights of stage 0"):
        toy.experiment(tmp_path, stages=[{"epochs": 1}, {"epochs": 1}]).fit(toy.Drawn(), start_from_stage=1)


def test_a_stage_can_thaw_what_the_root_froze(tmp_path: Path) -> None:
    from musket.experiment.unit import set_frozen
    from musket.models.segmenters import build_segmenter

    net = build_segmenter("Unet", encoder="resnet18", encoder_weights=None, classes=1)
    trainable = lambda: any(parameter.requires_grad for parameter in net.encoder_parameters())  # noqa: E731
    set_frozen(net, True, None)
    assert not trainable()
    set_frozen(net, None, None)
    assert not trainable()
    set_frozen(net, False, None)
    assert trainable()


def test_s52_numpy_numbers_of_a_users_hook_do_not_spoil_the_state(tmp_path: Path) -> None:
    @musket.callback
    class NumpyNumbers(musket.Hook):
        def on_epoch_end(self, run: Any, row: dict[str, float]) -> None:
            row["mine"] = np.float64(0.5)
            run.optimizer.param_groups[0]["lr"] = np.float32(0.01)

    cfg = toy.experiment(tmp_path, folds_count=1, callbacks={"NumpyNumbers": {}})
    cfg.fit(toy.Drawn())
    assert load_state(cfg.layout.state(0, 0))["rows"][0]["mine"] == 0.5
    assert cfg.info("mine")[0]["best"] == 0.5


def test_a_network_that_names_one_part_twice_can_be_saved(tmp_path: Path) -> None:
    part = torch.nn.Conv2d(3, 4, 3)
    twice = torch.nn.ModuleDict({"a": part, "b": part})
    save_weights(tmp_path / "w", twice.state_dict(), {})
    weights, _ = load_weights(tmp_path / "w")
    assert torch.equal(weights["a.weight"], weights["b.weight"])
