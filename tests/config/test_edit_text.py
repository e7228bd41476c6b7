from __future__ import annotations

import pytest

from musket.config.edit_text import with_values
from musket.config.read import parse
from musket.config.tree import plain
from musket.core.errors import ConfigError

CONFIG = """\
#%Musket Segmentation 1.0
# What this is for.
lr: 0.003         # found by lr-find
shape: [96, 96, 3]
augmentation:     # of training images
  Fliplr: 0.5
  # the other way
  Flipud: 0.5

# decides
loss: 'dice_loss'
stages:
  - epochs: 20    # long
    negatives: all
  - {epochs: 3}
"""


@pytest.mark.parametrize(
    ("value", "old", "new"),
    [
        ("lr=1e-2", "lr: 0.003  ", "lr: 0.01  "),
        ("shape=[64, 64, 3]", "[96, 96, 3]", "[64, 64, 3]"),
        ("shape[0]=64", "[96, 96, 3]", "[64, 96, 3]"),
        ("augmentation.Fliplr=1", "Fliplr: 0.5", "Fliplr: 1"),
        ("loss=iou_loss", "'dice_loss'", "iou_loss"),
        ("stages[0].epochs=4", "epochs: 20  ", "epochs: 4  "),
        ("stages.1.epochs=4", "{epochs: 3}", "{epochs: 4}"),
        ("stages[1]={epochs: 4, lr: null}", "{epochs: 3}", "{epochs: 4, lr: null}"),
        ("batch=7", "  - {epochs: 3}\n", "  - {epochs: 3}\nbatch: 7\n"),
        (
            "augmentation.Rotate90=true",
            "augmentation:     # of training images\n  Fliplr: 0.5\n  # the other way\n  Flipud: 0.5\n",
            "augmentation:\n  Fliplr: 0.5\n  Flipud: 0.5\n  Rotate90: true\n",
        ),
        (
            "augmentation={}",
            "augmentation:     # of training images\n  Fliplr: 0.5\n  # the other way\n  Flipud: 0.5\n",
            "augmentation: {}\n",
        ),
        ("callbacks.EarlyStopping.patience=3", "3}\n", "3}\ncallbacks:\n  EarlyStopping:\n    patience: 3\n"),
    ],
)
def test_only_the_value_changes(value: str, old: str, new: str) -> None:
    assert old in CONFIG
    assert with_values(CONFIG, [value]) == CONFIG.replace(old, new, 1)


def test_several_values_one_after_the_other() -> None:
    found = with_values(CONFIG, ["lr=1", "callbacks.X.a=1", "callbacks.X.b=2", "lr=2"])
    assert found == CONFIG.replace("lr: 0.003", "lr: 2") + "callbacks:\n  X:\n    a: 1\n    b: 2\n"
    assert with_values(CONFIG, []) == CONFIG


@pytest.mark.parametrize("text", ["a: &x 1\nb: *x\n", "base: &x {b: 1}\nc: {<<: *x}\na: 2\nb: 3\n"])
@pytest.mark.parametrize("value", ["a=5", "b=6", "c=7"])
def test_anchors_do_not_carry_a_value_elsewhere(text: str, value: str) -> None:
    found = plain(parse(with_values(text, [value])).root)
    key, _, number = value.partition("=")
    assert found == {**plain(parse(text).root), key: int(number)}


def test_what_cannot_be_set_is_told() -> None:
    with pytest.raises(ConfigError, match="no item 5 in a list of 2"):
        with_values(CONFIG, ["stages[5].epochs=3"])
    with pytest.raises(ConfigError, match="write key=value"):
        with_values(CONFIG, ["epochs"])
