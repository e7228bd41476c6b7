"""A project with tasks, and one trained experiment to run them on."""

from __future__ import annotations

from pathlib import Path

import toy

MODULE = '''\
from __future__ import annotations

from pathlib import Path

import toy
from musket_core import datasets, model, tasks

import musket

toy.register_small_net()


def getTrain(count):
    return toy.Drawn(count)


def readHere(name):
    (Path.cwd() / name).read_text()
    return toy.Drawn(3)


@tasks.task
def measure(m: model.ConnectedModel, part="holdout", factor: float = 1.0):
    """How sure the model is of a part."""
    with open("runs.txt", "a") as file:
        file.write("run\\n")
    found = m.predictions(part)
    return {"sure": factor * found[0].prediction.max(), "count": len(found), "kind": type(m).__name__}


@musket.task()
def listing(m: model.FoldsAndStages, ds: datasets.DataSet):
    return [name for batch in m.predict_on_dataset(ds) for name in batch.data]


@tasks.task
def broken(experiment: musket.Experiment, sentence="bad luck"):
    raise ValueError(sentence)


def helper(m: model.ConnectedModel):
    """No task."""
'''
SETTINGS = """\
dataset:
  getTrain: [12]
datasets:
  few:
    getTrain: [3]
  here:
    readHere: [note.txt]
tasks:
  listing:
    ds: few
"""


def write(root: Path) -> Path:
    """The project, untrained: experiments ``small`` and ``other``."""
    toy.register_small_net()
    (root / "modules").mkdir(parents=True)
    (root / "modules" / "own_tasks.py").write_text(MODULE)
    (root / "data").mkdir()
    (root / "data" / "note.txt").write_text("here")
    (root / "common.yaml").write_text(SETTINGS)
    for name in ("small", "other"):
        folder = root / "experiments" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(toy.CONFIG.replace("epochs: 2", "epochs: 1"))
    return root
