from __future__ import annotations

import math

import pytest
import torch
from stages import Stage

from musket.artifacts.checkpoint import load_weights
from musket.core.errors import ArtifactError, TrainingError
from musket.training.callbacks import EarlyStopping, ModelCheckpoint, TensorBoard, TerminateOnNaN


def stopped_after(values, **options):
    """Epochs until EarlyStopping speaks, and its sentence."""
    stage = Stage(EarlyStopping(**options), steps=1).start()
    for done, value in enumerate(values, 1):
        stage.epochs(1, val_loss=[value], val_dice=[value])
        if stage.run.stop:
            return done, stage.run.stop
    return None, None


def test_early_stopping_waits_for_patience_epochs():
    assert stopped_after([3, 2, 2, 2.5, 1], patience=2) == (
        4,
        "val_loss did not improve on 2 in 2 epochs (EarlyStopping)",
    )
    assert stopped_after([3, 2, 2.5, 1.9, 1.95, 1.8], patience=2)[0] is None


def test_early_stopping_without_patience_ends_at_the_first_setback():
    assert stopped_after([3, 2, 2])[0] == 3


def test_early_stopping_knows_which_way_is_better():
    assert stopped_after([0.1, 0.2, 0.3, 0.2], monitor="val_dice", patience=1)[0] == 4
    assert stopped_after([0.1, 0.2, 0.3], monitor="val_loss", patience=1)[0] == 2
    assert stopped_after([0.1, 0.2, 0.3], monitor="val_loss", patience=1, mode="max")[0] is None


def test_early_stopping_needs_more_than_min_delta():
    assert stopped_after([3, 2.95, 2.91], patience=2, min_delta=0.1)[0] == 3


def test_early_stopping_with_a_baseline():
    assert stopped_after([3, 2.5, 2.2], patience=2, baseline=2.0)[0] == 2
    assert stopped_after([3, 1.5, 1.2], patience=2, baseline=2.0)[0] is None


def test_early_stopping_takes_nan_for_no_improvement():
    assert stopped_after([math.nan, math.nan, 1], patience=2)[0] == 2


def test_early_stopping_tells_what_is_logged():
    stage = Stage(EarlyStopping("val_dise", mode="max")).start()
    with pytest.raises(
        TrainingError, match=r"EarlyStopping monitors val_dise, .*nearest: val_dice \(logged: loss, lr, val_dice"
    ):
        stage.epochs(1, val_dice=[1.0])


def test_early_stopping_brings_the_best_weights_back_also_after_a_resume():
    def go(stage, values):
        for value in values:
            torch.nn.init.constant_(stage.run.model.weight, value)
            stage.epochs(1, val_loss=[value])
        return stage

    first = go(Stage(EarlyStopping(patience=2, restore_best_weights=True), steps=1).start(), [3.0, 2.0, 4.0])
    second = Stage(EarlyStopping(patience=2, restore_best_weights=True), steps=1)
    go(second.resume(first.state(), first.run.step), [5.0])
    assert second.run.stop
    assert second.run.model.weight.item() == 5.0  # the checkpoint of this epoch still needs them
    second.hooks.on_stage_end(second.run)
    assert second.run.model.weight.item() == 2.0


def test_early_stopping_begins_afresh_with_each_stage():
    stage = Stage(EarlyStopping(patience=2), steps=1)
    for _ in range(2):
        stage.start().epochs(2, val_loss=[1.0, 2.0])
    assert stage.run.stop is None


def test_terminate_on_nan():
    stage = Stage(TerminateOnNaN(), steps=1).start().epochs(1, val_loss=[1.0])
    assert stage.run.stop is None
    stage.epochs(1, val_loss=[math.inf])
    assert stage.run.stop == "val_loss became inf (TerminateOnNaN)"


def test_model_checkpoint_every_so_many_epochs(tmp_path):
    hook = ModelCheckpoint(str(tmp_path / "a" / "{fold}.{stage}-{epoch:02d}-{val_loss:.1f}.weights"), period=2)
    stage = Stage(hook, steps=1).start().epochs(4, val_loss=[4.0, 3.0, 2.0, 1.0])
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["0.0-02-3.0.weights", "0.0-04-1.0.weights"]
    weights, metadata = load_weights(tmp_path / "a" / "0.0-04-1.0.weights")
    torch.testing.assert_close(weights, dict(stage.run.model.state_dict()))
    assert metadata["epoch"] == 3


@pytest.mark.parametrize("period", [0, -1])
def test_model_checkpoint_refuses_a_period_below_one(period):
    with pytest.raises(TrainingError, match=f"ModelCheckpoint: period is {period}; it must be 1 or more"):
        ModelCheckpoint("best.weights", period=period)


def test_model_checkpoint_of_the_best_epochs_also_after_a_resume(tmp_path):
    def make():
        return ModelCheckpoint(str(tmp_path / "{epoch}.weights"), "val_dice", save_best_only=True)

    first = Stage(make(), steps=1).start().epochs(2, val_dice=[0.5, 0.4])
    Stage(make(), steps=1).resume(first.state(), first.run.step).epochs(3, val_dice=[0.45, 0.6, 0.55])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.weights", "4.weights"]


def test_model_checkpoint_tells_what_a_name_may_hold(tmp_path):
    stage = Stage(ModelCheckpoint(str(tmp_path / "{val_dice}.weights")), steps=1).start()
    with pytest.raises(
        TrainingError, match=r"cannot be filled in \(KeyError: 'val_dice'\); there are epoch, fold, loss"
    ):
        stage.epochs(1)
    (tmp_path / "file").touch()
    stage = Stage(ModelCheckpoint(str(tmp_path / "file" / "x.weights")), steps=1).start()
    with pytest.raises(ArtifactError, match="cannot be written"):
        stage.epochs(1)


def logged(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_tensorboard_in_a_folder_of_ones_own(tmp_path):
    hook = TensorBoard(str(tmp_path), histogram_freq=2, update_freq="batch")
    stage = Stage(hook, steps=3).start().epochs(2, val_loss=[0.5, 0.25])
    stage.hooks.on_stage_end(stage.run)
    events = logged(tmp_path / "0.0")
    assert [(event.step, event.value) for event in events.Scalars("val_loss")] == [(0, 0.5), (1, 0.25)]
    assert [event.step for event in events.Scalars("batch_lr")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Histograms("weight")] == [1]


def test_tensorboard_by_samples(tmp_path):
    hook = TensorBoard(str(tmp_path), update_freq=20)
    stage = Stage(hook, steps=4)
    stage.run.images_per_epoch = 32  # batches of 8
    stage.start().epochs(1)
    stage.hooks.on_stage_end(stage.run)
    assert [event.step for event in logged(tmp_path / "0.0").Scalars("batch_loss")] == [2, 4]


def test_tensorboard_options_of_keras(tmp_path):
    with pytest.warns(UserWarning, match="write_grads, embeddings_freq had a meaning in Keras only; ignored"):
        TensorBoard(str(tmp_path), write_grads=True, embeddings_freq=1)
    with pytest.raises(TrainingError, match="update_freq is 'often'; allowed are epoch, batch and a number"):
        TensorBoard(update_freq="often")
