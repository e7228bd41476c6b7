from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from musket.data.catalogue import DATASETS
from musket.data.queue_settings import KNOBS, QUEUE, QueueSettings

MODULES = ("segmentation_pipeline.impl.datasets", "classification_pipeline.impl.datasets", "musket_core.datasets")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = asdict(QUEUE)
    yield
    for name, value in before.items():
        setattr(QUEUE, name, value)


@pytest.mark.parametrize("module", MODULES)
def test_names(module: str) -> None:
    found = importlib.import_module(module)
    for name in found.__all__:
        assert getattr(found, name).__module__.startswith("musket.")
    assert {"PredictionItem", "SimplePNGMaskDataSet", "CompositeDataSet", "DataSet"} <= set(found.__all__)


def test_codec_and_tables() -> None:
    codec = importlib.import_module("segmentation_pipeline.impl.rle")
    assert codec.rle_decode(codec.rle_encode([[1, 0], [0, 1]]), (2, 2)).tolist() == [[1, 0], [0, 1]]
    tables = importlib.import_module("musket_core.image_datasets")
    assert tables.BinarySegmentationDataSet is DATASETS.load("BinarySegmentationDataSet")


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("knob", sorted(KNOBS))
def test_knobs_take_effect(module: str, knob: str) -> None:
    found = importlib.import_module(module)
    assert getattr(found, knob) == getattr(QueueSettings(), knob)
    setattr(found, knob, 3)
    assert getattr(QUEUE, knob) == 3
    assert all(getattr(importlib.import_module(other), knob) == 3 for other in MODULES)


def test_other_attributes_stay_in_their_module() -> None:
    first, second, *_ = (importlib.import_module(name) for name in MODULES)
    first.something = 1
    assert first.something == 1
    assert not hasattr(second, "something")
    del first.something
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        first.nothing  # noqa: B018


def test_every_listed_dataset_loads() -> None:
    for entry in DATASETS.entries():
        assert entry.load().__name__ == entry.name
        assert entry.summary


def test_catalogue_imports_nothing_heavy() -> None:
    code = (
        "import sys, musket.data.catalogue;"
        "print([m for m in ('torch', 'numpy', 'pandas', 'cv2', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
