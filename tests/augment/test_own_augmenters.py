from __future__ import annotations

import importlib
import pickle

import numpy as np
import pytest
from steps import flat, run

import musket
from musket.augment.catalogue import AUGMENTERS
from musket.augment.nested import build_operations
from musket.config.bind import bind
from musket.core.errors import MusketError
from musket.core.registry import RegistryError

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
MASK = (IMAGE[..., :1] > 128).astype(np.uint8)


def result_of(name, seed=0, image=IMAGE, mask=MASK, **options):
    """Through options and registry, as a config does it."""
    entry = AUGMENTERS.get(name)
    bound, faults = bind(entry, (), options)
    assert not faults, faults
    return run(entry.load()(**bound), image, seed, mask)


def darker(image, by: int = 10):
    """Take something away."""
    return image - np.minimum(image, by)


def turned(image, mask):
    return image[::-1], mask[::-1] if mask is not None else None


def test_a_function_on_the_image():
    assert musket.augmenter(darker) is darker
    image, mask = result_of("darker", by=20)
    assert np.array_equal(image, np.clip(IMAGE.astype(int) - 20, 0, 255))
    assert np.array_equal(mask, MASK)
    assert AUGMENTERS.get("DARKER").summary == "Take something away."


def test_a_function_on_image_and_mask():
    musket.augmenter(turned)
    image, mask = result_of("turned")
    assert np.array_equal(image, IMAGE[::-1])
    assert np.array_equal(mask, MASK[::-1])
    assert result_of("turned", mask=None)[1] is None


def test_size_may_change_when_both_change():
    @musket.augmenter
    def cut(image, mask, *, width: int):
        return image[:, :width], mask[:, :width]

    image, mask = result_of("cut", width=3)
    assert image.shape == (6, 3, 3)
    assert mask.shape == (6, 3, 1)


def test_random_is_that_of_the_sample():
    @musket.augmenter
    def speckle(image, random, strength: float = 1.0):
        return np.where(random.random(image.shape) < strength / 2, 0, image).astype(image.dtype)

    assert np.array_equal(result_of("speckle", 3)[0], result_of("speckle", 3)[0])
    assert not np.array_equal(result_of("speckle", 3)[0], result_of("speckle", 4)[0])


def test_a_class_with_options():
    @musket.augmenter
    class Brighter:
        """Add something."""

        def __init__(self, by: int = 5):
            self.by = by

        def __call__(self, image, mask, random):
            return np.clip(image.astype(int) + self.by + random.integers(2), 0, 255).astype(image.dtype), mask

    image, _ = result_of("Brighter", by=7)
    assert set((image.astype(int) - IMAGE)[IMAGE < 240].tolist()) <= {7, 8}


def test_a_class_written_for_imgaug():
    @musket.augmenter
    class Shifted:
        def __init__(self, by=3, name=None, deterministic=False, random_state=None):
            self.by = by

        def _augment_images(self, images, random_state, parents, hooks):
            return [image + np.uint8(random_state.randint(1, self.by + 1)) for image in images]

        def _augment_heatmaps(self, heatmaps, random_state, parents, hooks):
            return heatmaps

        def get_parameters(self):
            return [self.by]

    images = [result_of("Shifted", seed, by=200)[0] for seed in (1, 1, 2)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    assert np.array_equal(result_of("Shifted")[1], MASK)


@pytest.mark.parametrize("method", ["augment_images", "augment_image"])
def test_other_methods_of_imgaug(method):
    one = lambda self, image: 255 - image  # noqa: E731
    many = lambda self, images: [255 - image for image in images]  # noqa: E731
    musket.augmenter(type("Negative", (), {method: one if method == "augment_image" else many}))
    assert np.array_equal(result_of("Negative")[0], 255 - IMAGE)


def test_it_gets_copies():
    @musket.augmenter
    def in_place(image, mask):
        image[:] = 0
        mask[:] = 1
        return image, mask

    image, mask = IMAGE.copy(), MASK.copy()
    image.flags.writeable = mask.flags.writeable = False
    assert result_of("in_place", image=image, mask=mask)[0].max() == 0
    assert np.array_equal(image, IMAGE)


def test_masks_of_bool_and_without_channels_are_fine():
    @musket.augmenter
    def loose(image, mask):
        return image, mask[..., 0] > 0

    mask = result_of("loose")[1]
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, MASK)


def test_options_by_any_name():
    @musket.augmenter
    def anything(image, **options):
        return image + np.uint8(options["step"] * options.get("times", 1))

    (operation,) = build_operations({"anything": {"step": 2, "times": 3}}, AUGMENTERS)
    assert np.array_equal(run(operation, IMAGE)[0], IMAGE + np.uint8(6))


def test_options_are_held_to_the_signature():
    musket.augmenter(darker)
    for options, told in (({"bye": 3}, "nearest: by"), ({"by": "much"}, "must be a whole number")):
        _, faults = bind(AUGMENTERS.get("darker"), (), options)
        assert told in faults[0].message


def returning(image=None, mask=None):
    """An augmenter that gives back what the test says."""

    def bad(image_given, mask_given):
        return image(image_given) if image else image_given, mask(mask_given) if mask else mask_given

    def worse(x, mask):
        return bad(x, mask)

    return musket.augmenter(worse)


@pytest.mark.parametrize(
    ("image", "mask", "told"),
    [
        (lambda x: x / 2, None, "given an image of uint8 6 x 8 x 3 it returned of float64 6 x 8 x 3; values must keep"),
        (lambda x: x[..., :2], None, "channels must stay"),
        (lambda x: x[..., 0], None, "it returned of uint8 6 x 8; channels must stay"),
        (lambda x: x[:0], None, "channels must stay"),
        (lambda x: None, None, "must return an image; found a NoneType"),
        (None, lambda m: m * 255, "holds values other than 0 and 1 (from 0 to 255); move masks by nearest"),
        (None, lambda m: m * 0.5, "holds values other than 0 and 1"),
        (None, lambda m: m[1:], "the mask it returns has the shape (5, 8, 1); with its image it must be (6, 8, 1)"),
        (None, lambda m: None, "the mask it returns is a NoneType, not an array"),
        (lambda x: x[1:], None, "with its image it must be (5, 8, 1)"),
    ],
)
def test_what_it_returns_is_checked(image, mask, told):
    returning(image, mask)
    with pytest.raises(MusketError) as caught:
        result_of("worse")
    assert str(caught.value).startswith("augmenter worse: ")
    assert told in str(caught.value)


def test_one_array_where_two_are_wanted():
    @musket.augmenter
    def forgot(image, mask):
        return image

    with pytest.raises(MusketError, match=r"augmenter forgot: must return \(image, mask\); found of uint8 6 x 8 x 3"):
        result_of("forgot")


def test_an_image_alone_keeps_its_size():
    @musket.augmenter
    def smaller(image):
        return image[::2]

    with pytest.raises(MusketError, match="to change the size, take and return image and mask"):
        result_of("smaller")


def test_floats_stay_finite():
    @musket.augmenter
    def divided(image):
        return image / np.float32(0)

    with (
        pytest.raises(MusketError, match="divided: the image it returns holds values that are no finite numbers"),
        np.errstate(divide="ignore", invalid="ignore"),
    ):
        result_of("divided", image=flat(0.5, np.float32, (6, 8, 3)))


def test_errors_of_users_code_say_where_they_come_from():
    @musket.augmenter
    def failing(image):
        raise KeyError("colour")

    with pytest.raises(KeyError) as caught:
        result_of("failing")
    assert caught.value.__notes__ == ["in augmenter failing, given an image of uint8 6 x 8 x 3"]


def test_what_cannot_be_an_augmenter():
    with pytest.raises(MusketError, match="neither __call__"):
        musket.augmenter(type("Empty", (), {}))
    with pytest.raises(MusketError, match="wants a function or a class; found 3"):
        musket.augmenter(3)
    with pytest.raises(MusketError, match="the first parameter is the image"):
        musket.augmenter(type("NoImage", (), {"__call__": lambda self: None}))


def test_names_of_ours_are_protected_and_own_ones_replaced():
    def Fliplr(image):
        return image

    with pytest.raises(RegistryError, match="registered already"):
        musket.augmenter(Fliplr)
    musket.augmenter(darker)

    def other(image, by: int = 1):
        return image

    other.__name__ = "darker"
    musket.augmenter(other)
    assert np.array_equal(result_of("darker")[0], IMAGE)


def test_workers_in_processes_can_have_it():
    operation = AUGMENTERS.load(musket.augmenter(darker).__name__)(by=3)
    again = pickle.loads(pickle.dumps(operation))
    assert np.array_equal(run(again, IMAGE)[0], run(operation, IMAGE)[0])


def test_the_former_import_path():
    assert importlib.import_module("musket_core.augmenters").augmenter is musket.augmenter
