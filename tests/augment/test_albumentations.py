"""The adapter, with albumentations where it is installed and with a stand-in for its metadata where it is not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from steps import run

from musket.augment import albumentations_adapter
from musket.augment.catalogue import AUGMENTERS
from musket.config.bind import bind, refusal
from musket.core.errors import MusketError
from musket.core.registry import RegistryError

installed = pytest.mark.skipif(
    importlib.util.find_spec("albumentations") is None, reason="albumentations is not installed"
)
IMAGE = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
MASK = (IMAGE[..., :2] > 128).astype(np.uint8)


@pytest.fixture
def distributions(monkeypatch):
    """Say which distributions are installed."""

    def say(*names):
        def version(name):
            if name in names:
                return "2.0.8"
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(importlib.metadata, "version", version)
        albumentations_adapter.unavailable.cache_clear()

    yield say
    albumentations_adapter.unavailable.cache_clear()


def test_without_it_the_error_says_how_to_get_it(distributions):
    distributions()
    assert "HueSaturationValue" not in AUGMENTERS
    with pytest.raises(RegistryError) as caught:
        AUGMENTERS.get("HueSaturationValue")
    assert str(caught.value).endswith(
        "(all: musket ls augmenters); transforms of albumentations can be named too after: "
        "pip install musket[albumentations]"
    )


def test_the_successor_is_not_used(distributions):
    distributions("albumentations", "albumentationsx")
    assert "HueSaturationValue" not in AUGMENTERS
    with pytest.raises(RegistryError, match=r"albumentationsx \(AGPL\) is not used; uninstall it"):
        AUGMENTERS.get("HueSaturationValue")


def test_names_of_ours_do_not_import_it():
    code = (
        "import sys; from musket.augment.catalogue import AUGMENTERS; AUGMENTERS.load('Affine'); 'Add' in AUGMENTERS; "
        "assert 'albumentations' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@installed
def test_names_and_options():
    entry = AUGMENTERS.get("huesaturationvalue")
    assert entry.name == "HueSaturationValue"
    assert entry.summary
    assert "HueSaturationValue" not in AUGMENTERS.names()
    bound, faults = bind(entry, (), {"hue_shift_limit": [-20, 20], "p": 1})
    assert not faults
    assert bound["hue_shift_limit"] == (-20, 20)
    _, faults = bind(entry, (), {"hue_shift": 3})
    assert "nearest: hue_shift_limit" in faults[0].message
    assert refusal(entry, {"p": 1}) is None
    assert "p: Input should be less than or equal to 1" in refusal(entry, {"p": 7})


@installed
@pytest.mark.parametrize("name", ["BasicTransform", "ImageOnlyTransform", "CenterCrop3D", "Compose", "np", "Flipr"])
def test_what_is_no_transform(name):
    assert name not in AUGMENTERS


@installed
def test_our_names_win():
    assert AUGMENTERS.load("Affine").__module__ == "musket.augment.geometry"


@installed
@pytest.mark.parametrize("name", ["GridDistortion", "RandomBrightnessContrast", "ElasticTransform", "GaussNoise", "D4"])
def test_the_same_draw_gives_the_same_result_in_any_thread(name):
    operation = AUGMENTERS.load(name)(p=1)
    seeds = [*range(6)] * 3
    alone = [run(operation, IMAGE, seed, MASK) for seed in seeds]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda seed: run(operation, IMAGE, seed, MASK), seeds))
    for (image_1, mask_1), (image_2, mask_2) in zip(alone, beside, strict=True):
        assert np.array_equal(image_1, image_2)
        assert np.array_equal(mask_1, mask_2)
        assert set(np.unique(mask_1)) <= {0, 1}
    assert len({image.tobytes() for image, _ in alone}) > 1


@installed
@pytest.mark.parametrize("name", ["GridDistortion", "RandomGamma", "MedianBlur", "PixelDropout", "RandomShadow"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_depths(name, dtype):
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    image = (np.random.default_rng(1).random((24, 24, 3)) * top).astype(dtype)
    for seed in range(3):
        result, mask = run(AUGMENTERS.get(name).load()(), image, seed, MASK[:24, :24])
        assert result.dtype == dtype
        assert result.shape == image.shape
        assert result.min() >= 0
        assert result.max() <= top
        assert set(np.unique(mask)) <= {0, 1}


@installed
def test_it_is_shared_between_draws_and_processes():
    operation = AUGMENTERS.load("GridDistortion")(p=1)
    again = pickle.loads(pickle.dumps(operation))
    assert np.array_equal(run(again, IMAGE, 2, MASK)[0], run(operation, IMAGE, 2, MASK)[0])


@installed
def test_sizes_may_change():
    image, mask = run(AUGMENTERS.load("RandomCrop")(height=10, width=12, p=1), IMAGE, 0, MASK)
    assert image.shape == (10, 12, 3)
    assert mask.shape == (10, 12, 2)


@installed
@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("RandomCrop", {}, "height: Field required; width: Field required"),
        ("Mosaic", {}, "Mosaic: wants mosaic_metadata with every image, which a config cannot give"),
    ],
)
def test_refusals(name, options, told):
    with pytest.raises(MusketError, match=told):
        AUGMENTERS.load(name)(**options)


@installed
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ToFloat", "it returned of float32 32 x 40 x 3; values must keep their type"),
        ("BBoxSafeRandomCrop", "augmenter BBoxSafeRandomCrop: cannot work on an image of uint8 32 x 40 x 3"),
    ],
)
def test_what_it_returns_is_checked(name, told):
    with pytest.raises(MusketError, match=told):
        run(AUGMENTERS.load(name)(p=1), IMAGE, 0, MASK)
