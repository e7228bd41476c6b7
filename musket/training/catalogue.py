"""Names of callbacks. Imports no torch: the code stands behind "module:attribute".

An entry is a class: options of the config are its arguments, and its methods are those of
:class:`musket.training.hooks.Hook`. The fact ``filled_in`` names an option that holds logged figures in braces, and
what else may stand there.
"""

from __future__ import annotations

from musket.core.registry import Registry
from musket.optim.catalogue import SCHEDULES

CALLBACKS = Registry("callback")


def _fill() -> None:
    for module, name, summary, *facts in (
        ("callbacks", "EarlyStopping", "End the stage when a figure stops improving."),
        ("callbacks", "TerminateOnNaN", "End the stage when the loss of an epoch is no number."),
        (
            "callbacks",
            "ModelCheckpoint",
            "Write weights to files of your own, beside the best ones always kept.",
            {"filled_in": ("filepath", ("fold", "stage", "epoch", "lr"))},
        ),
        ("callbacks", "TensorBoard", "Log to a folder of your own, beside the log always written."),
        ("schedules", "ReduceLROnPlateau", "Lower the rate when a figure stops improving."),
        ("schedules", "CyclicLR", "Let the rate swing between two bounds, batch by batch."),
        ("schedules", "LRVariator", "Lead the rate from one value to another along a curve; can be chained."),
        ("schedules", "CallbackModule", "Wait for a number of batches, then hand over to the next callback."),
        ("warmup_cosine", "WarmupCosine", "Lead the rate up in a line, then down along half a cosine, batch by batch."),
        ("schedules", "LearningRateScheduler", "Ask a function for the rate of each epoch; from Python only."),
    ):
        CALLBACKS.add(name, f"musket.training.{module}:{name}", summary, **dict(*facts))
    # torch's schedules under their class names; where Keras has the name already, torch's form says so.
    for entry in SCHEDULES.entries():
        name = f"Torch{entry.name}" if entry.name in CALLBACKS else entry.name
        CALLBACKS.add(name, f"musket.training.torch_schedules:{name}", entry.summary)


_fill()
