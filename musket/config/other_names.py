"""Keys as other tools call them (Ultralytics, fastai, Keras, Lightning, smp), and what they are called here."""

from __future__ import annotations

from collections.abc import Collection

_EPOCHS = "stages[0].epochs"
_HERE = {
    "accumulate_grad_batches": "accumulate",
    "augmentations": "augmentation",
    "batch_size": "batch",
    "bs": "batch",
    "criterion": "loss",
    "data": "dataset",
    "encoder": "backbone",
    "encoder_name": "backbone",
    "epochs": _EPOCHS,
    "freeze": "freeze_encoder",
    "gradient_accumulation_steps": "accumulate",
    "gradient_clip_val": "clipnorm",
    "image_size": "shape",
    "img_size": "shape",
    "imgsz": "shape",
    "input_shape": "shape",
    "input_size": "shape",
    "k_folds": "folds_count",
    "learning_rate": "lr",
    "loss_fn": "loss",
    "lr0": "lr",
    "max_epochs": _EPOCHS,
    "model": "architecture",
    "model_name": "architecture",
    "monitor": "primary_metric",
    "n_epochs": _EPOCHS,
    "n_folds": "folds_count",
    "n_trials": "max_evals",
    "nc": "classes",
    "nepochs": _EPOCHS,
    "network": "architecture",
    "num_classes": "classes",
    "num_epochs": _EPOCHS,
    "num_folds": "folds_count",
    "num_trials": "max_evals",
    "opt": "optimizer",
    "patience": "callbacks.EarlyStopping.patience",
    "seed": "random_state",
    "size": "shape",
    "steps_per_epoch": "maxEpochSize",
    "test_size": "testSplit",
    "tta": "testTimeAugmentation",
    "val_split": "validationSplit",
    "wd": "weight_decay",
}


def called_here(name: str, known: Collection[str]) -> str | None:
    """The key that means what ``name`` means elsewhere: ``lr`` for ``learning_rate``; None when there is none.

    Args:
        name: in any letter case, with ``_`` or ``-``.
        known: keys there are: those of a config, or those of a stage.
    """
    path = _HERE.get(name.lower().replace("-", "_"), "")
    inside = path.removeprefix("stages[0].")
    if inside in known:
        return inside
    return path if path.partition("[")[0].partition(".")[0] in known else None


def assignment(name: str, value: str, known: Collection[str]) -> str | None:
    """``lr=0.1`` for the name ``learning-rate`` and the value ``0.1``; None when nothing is called like that.

    Args:
        name: of a key, or as other tools call it, with ``_`` or ``-``.
        value: as text; empty when there is none.
        known: keys of a config.
    """
    written = name.replace("-", "_")
    key = written if written in known else called_here(name, known)
    if key is None:
        return None
    square = key == "shape" and value.isdecimal()
    return f"{key}={f'[{value},{value},3]' if square else value or '...'}"
