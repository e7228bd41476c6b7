"""The compiled chain against its steps run one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from musket.augment import colour_tables
from musket.augment.colour import Add, GammaContrast, Invert, LinearContrast, LogContrast, Multiply, SigmoidContrast
from musket.augment.colour_tables import recolour, settle
from musket.augment.compile import Chain
from musket.augment.frames import Crop, CropAndPad, CropToFixedSize, Pad, PadToFixedSize
from musket.augment.geometry import Affine, Fliplr, Flipud, PerspectiveTransform, Resize, Rotate90
from musket.augment.nested import OneOf, Sequential, SomeOf, Sometimes, WithChannels
from musket.augment.steps import Border, Frame, ImagePass, Operation, Pass, Step
from musket.core.errors import MusketError
from musket.core.geometry import resize_image, resize_mask, resize_scores
from musket.core.runtime import generator

DEPTHS = {"uint8": (np.uint8, 255), "uint16": (np.uint16, 65535), "float32": (np.float32, 1)}


def picture(height: int, width: int, channels: int = 3, depth: str = "uint8") -> np.ndarray:
    """Slow waves in every channel: H x W x C."""
    y, x = np.mgrid[:height, :width]
    waves = [0.5 + 0.4 * np.sin(x / (15 + c) + c) * np.cos(y / (19 - c)) for c in range(channels)]
    kind, top = DEPTHS[depth]
    values = np.stack(waves, axis=-1) * top
    return values.astype(kind) if depth == "float32" else np.rint(values).astype(kind)


def regions(height: int, width: int, classes: int = 2) -> np.ndarray:
    """Overlapping discs: H x W x classes of 0/1."""
    y, x = np.mgrid[:height, :width]
    discs = [(x - width * (c + 1) / (classes + 1)) ** 2 + (y - height / 2) ** 2 < 150 for c in range(classes)]
    return np.stack(discs, axis=-1).astype(np.uint8)


@dataclass(frozen=True)
class Softened:
    """A pass over the image."""

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return (ImagePass(lambda image: cv2.blur(image, (3, 3)).reshape(image.shape)),)


@dataclass(frozen=True)
class Halved:
    """A pass over both that changes the size in a way nobody can foresee."""

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return (Pass(lambda image, mask: (image[::2], None if mask is None else mask[::2])),)


# "edge" would spread the one pixel that is blended otherwise over the whole frame; it is tested by itself.
borders = st.sampled_from(["constant", "constant", "reflect", "symmetric"])
flat: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Fliplr),
    st.builds(Flipud, p=st.just(0.5)),
    st.builds(Rotate90),
    st.builds(
        Affine,
        scale=st.sampled_from([(0.7, 1.4), {"x": (0.8, 1.2)}]),
        translate_percent=st.sampled_from([None, (-0.3, 0.3), {"x": 0.2, "y": -0.1}]),
        rotate=st.sampled_from([0, 90, (-180, 180)]),
        shear=st.sampled_from([0, (-20, 20), {"x": 10, "y": (-5, 5)}]),
        order=st.sampled_from([1, 1, 1, 3]),
        cval=st.sampled_from([0, 0, 90]),
        mode=borders,
    ),
    st.builds(Affine, scale=st.just(0.45), rotate=st.just((-180, 180))),
    st.builds(PerspectiveTransform, scale=st.just((0.0, 0.15)), keep_size=st.booleans()),
    st.builds(Crop, px=st.sampled_from([(0, 8), (3, 0, 5, 9)]), keep_size=st.booleans()),
    st.builds(Pad, px=st.sampled_from([(0, 8), 4]), pad_mode=borders, keep_size=st.booleans()),
    st.builds(CropAndPad, percent=st.just((-0.2, 0.2)), keep_size=st.booleans()),
    st.builds(PadToFixedSize, width=st.just(70), height=st.just(64), pad_cval=st.sampled_from([0, 200])),
    st.builds(CropToFixedSize, width=st.just(40), height=st.just(44)),
    st.builds(Resize, size=st.sampled_from([(0.6, 1.5), {"height": 50, "width": "keep-aspect-ratio"}])),
    st.builds(Add, value=st.just((-60.0, 60.0)), per_channel=st.sampled_from([0.0, 1.0])),
    st.builds(Multiply, mul=st.just((0.5, 1.5)), per_channel=st.sampled_from([0.0, 1.0])),
    st.builds(Invert, p=st.just(0.5)),
    st.builds(LinearContrast),
    st.builds(GammaContrast),
    st.builds(LogContrast, gain=st.just((0.8, 1.2))),
    st.builds(Softened),
    st.builds(Halved),
)
several = st.lists(flat, min_size=1, max_size=3).map(tuple)
operations = st.one_of(
    flat,
    flat,
    st.builds(Sequential, several, random_order=st.booleans()),
    st.builds(OneOf, several),
    st.builds(SomeOf, st.just((0, None)), several),
    st.builds(Sometimes, st.just(0.5), several, several),
)


def nearby(array: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value within so many pixels."""
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    planes = [array[..., c].astype(np.float32) for c in range(array.shape[2])]
    return (
        np.stack([cv2.erode(plane, kernel) for plane in planes], axis=-1),
        np.stack([cv2.dilate(plane, kernel) for plane in planes], axis=-1),
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    chain=st.lists(operations, max_size=5).map(tuple),
    size=st.sampled_from([None, (48, 56), (33, 29), (80, 70)]),
    depth=st.sampled_from(["uint8", "uint8", "uint16", "float32"]),
    channels=st.sampled_from([1, 3, 5]),
    seed=st.integers(0, 2**16),
)
@example((Crop(px=6, keep_size=False), Pad(px=9, keep_size=False)), None, "uint8", 3, 1)
@example((Affine(translate_px=20), Affine(translate_px=-20)), (33, 29), "uint16", 5, 1)
@example((Affine(rotate=45, mode="reflect"), Affine(scale=0.6)), (48, 56), "uint8", 3, 1)
@example((Crop(px=9), Affine(rotate=30, mode="symmetric"), Fliplr()), (48, 56), "uint8", 3, 1)
@example((Pad(px=8, keep_size=False), Pad(px=8, pad_mode="reflect", keep_size=False)), (33, 29), "uint8", 1, 0)
@example((Pad(px=5), Add(50.0), Pad(px=5), Invert()), (48, 56), "uint8", 3, 1)
def test_the_compiled_chain_shows_what_its_steps_would(
    chain: tuple[Operation, ...], size: tuple[int, int] | None, depth: str, channels: int, seed: int
) -> None:
    """Four values in five lie within 3 % of the depth of the steps' own, the rest in the range of three pixels around.

    The range is widened by 4 % of the depth and a tenth of itself, and a quarter of the rim may lie beyond:
    pixels there are blended once, not twice. A class of the mask differs only within three pixels of an edge,
    but for 0.5 % (small things enlarged).
    """
    image, mask = picture(60, 66, channels, depth), regions(60, 66)
    compiled = Chain(chain, *(size or (None, None)))
    fused, fused_mask = compiled(image, mask, generator(seed))
    plain, plain_mask = compiled.step_by_step(image, mask, generator(seed))

    assert fused.shape == plain.shape
    assert fused.dtype == plain.dtype == image.dtype
    top = DEPTHS[depth][1]
    low, high = nearby(plain, 3)
    margin = 0.04 * top + 0.1 * (high - low)
    beyond = (fused < low - margin) | (fused > high + margin)
    assert beyond.sum() <= channels * (plain.shape[0] + plain.shape[1]) / 2
    assert np.percentile(np.abs(fused.astype(np.float64) - plain), 80) <= 0.03 * top

    assert fused_mask is not None
    assert plain_mask is not None
    assert fused_mask.dtype == np.uint8
    low, high = nearby(plain_mask, 3)
    assert ((fused_mask != plain_mask) & (low == high)).mean() <= 0.005


def test_flips_turns_crops_and_whole_shifts_are_exact() -> None:
    image, mask = picture(40, 52), regions(40, 52)
    chain = Chain(
        (Fliplr(), Crop(px=(1, 2, 3, 4), keep_size=False), Rotate90(), Pad(px=6, keep_size=False), Flipud()), None, None
    )
    for seed in range(8):
        fused, fused_mask = chain(image, mask, generator(seed))
        plain, plain_mask = chain.step_by_step(image, mask, generator(seed))
        assert np.array_equal(fused, plain)
        assert fused_mask is not None
        assert plain_mask is not None
        assert np.array_equal(fused_mask, plain_mask)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("order", [0, 1, 3])
def test_borders_and_orders_of_a_single_warp(mode: Border, order: int) -> None:
    image, mask = picture(60, 66), regions(60, 66)
    chain = Chain((Affine(scale=0.6, rotate=20, mode=mode, order=order, cval=77),), None, None)
    fused, fused_mask = chain(image, mask, generator(1))
    plain, plain_mask = chain.step_by_step(image, mask, generator(1))
    # Cubic warps are linear beyond borders that mirror or wrap.
    assert (np.abs(fused.astype(int) - plain) > 3).mean() < (0.06 if order == 3 else 0.002)
    assert fused_mask is not None
    assert plain_mask is not None
    assert np.mean(fused_mask != plain_mask) < 0.002


def test_no_generator_leaves_only_the_resize() -> None:
    image, mask = picture(40, 52), regions(40, 52)
    done, done_mask = Chain((Fliplr(), Add(50.0)), 32, 24)(image, mask, None)
    assert np.array_equal(done, resize_image(image, 32, 24))
    assert done_mask is not None
    assert np.array_equal(done_mask, resize_mask(mask, 32, 24))


def test_without_a_size_nothing_is_resized() -> None:
    done, none = Chain((Fliplr(),), None, None)(picture(40, 52), None, generator(1))
    assert np.array_equal(done, picture(40, 52)[:, ::-1])
    assert none is None


def test_the_same_generator_gives_the_same_sample_and_the_mask_has_no_say() -> None:
    chain = Chain((Affine(rotate=(-90, 90)), Sometimes(0.5, (Add((-50.0, 50.0)),)), Halved(), Rotate90()), 32, 32)
    image, mask = picture(40, 52), regions(40, 52)
    with_mask, _ = chain(image, mask, generator(3))
    without, _ = chain(image, None, generator(3))
    other, _ = chain(image, None, generator(4))
    assert np.array_equal(with_mask, without)
    assert not np.array_equal(with_mask, other)


def test_inputs_are_left_alone() -> None:
    image, mask = picture(40, 52), regions(40, 52)
    before = image.copy(), mask.copy()
    chain = Chain((Crop(px=3, keep_size=False), Add(20.0), Affine(rotate=20, cval=9), Affine(scale=0.5)), None, None)
    chain(image, mask, generator(1))
    assert np.array_equal(image, before[0])
    assert np.array_equal(mask, before[1])


@pytest.mark.parametrize("classes", [1, 2, 3, 5, 9, 20])
def test_every_class_of_a_mask_is_read_at_the_same_pixels(classes: int) -> None:
    """Many classes together give what each gives alone; any combination of classes at a pixel survives."""
    random = np.random.default_rng(0)
    mask = random.integers(0, 2, (40, 44, classes), dtype=np.uint8)
    chain = Chain((Affine(rotate=33, scale=1.3),), 30, 50)
    _, together = chain(picture(40, 44), mask, generator(1))
    assert together is not None
    assert set(np.unique(together)) == {0, 1}
    for index in range(classes):
        _, alone = chain(picture(40, 44), mask[..., index : index + 1], generator(1))
        assert alone is not None
        assert np.array_equal(together[..., index], alone[..., 0])


def test_bool_masks_become_uint8() -> None:
    for mask in (regions(30, 30).astype(bool), regions(30, 30).astype(np.int64)):
        _, done = Chain((Affine(rotate=10),), 20, 20)(picture(30, 30), mask, generator(1))
        assert done is not None
        assert done.dtype == np.uint8


def test_one_table_is_exactly_the_steps_after_one_another() -> None:
    """All values of both integer depths, with rounding and clipping after every step, worked in doubles."""

    def by_hand(values: np.ndarray, top: int) -> np.ndarray:
        unit = top / 255
        for curve in (lambda v: v * 1.25, lambda v: v - 37, lambda v: 127 + 1.75 * (v - 127)):
            values = np.clip(np.rint(curve(values / unit) * unit), 0, top)
        return values

    for kind, top, size in ((np.uint8, 255, 16), (np.uint16, 65535, 260)):
        image = np.resize(np.arange(top + 1), (size, size, 1)).astype(kind)
        chain = Chain((Multiply(1.25), Add(-37.0), LinearContrast(1.75)), None, None)
        done, _ = chain(image, None, generator(1))
        wanted = by_hand(image.astype(np.float64), top)
        # Bytes are exact. 16-bit values are divided by 257 on the way: one at .5 may round the other way.
        assert np.abs(done.astype(np.int64) - wanted).max() <= (0 if top == 255 else 2)
        plain, _ = chain.step_by_step(image, None, generator(1))
        assert np.array_equal(done, plain)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_tables_of_every_channel_by_itself(kind: type) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (300, 300, 5)).astype(kind)
    steps = [
        step
        for each in (Add((-90.0, 90.0), True), SigmoidContrast(per_channel=True))
        for step in each.draw(generator(1), Frame.of(image))
    ]
    assert np.array_equal(recolour(image, steps), settle(image, steps))  # type: ignore[arg-type]


@pytest.mark.parametrize("columns", [1, 3])
def test_tables_without_the_help_of_opencv(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV before 5 has no tables of 16-bit values."""
    monkeypatch.setattr(colour_tables, "_wide_tables", lambda: False)
    random = np.random.default_rng(0)
    image = random.integers(0, 65536, (7, 9, 3)).astype(np.uint16)
    table = random.integers(0, 65536, (65536, columns)).astype(np.uint16)
    wanted = np.stack([table[image[..., c], c % columns] for c in range(3)], axis=-1)
    assert np.array_equal(colour_tables.look_up(image, table), wanted)


def test_colour_before_a_border_leaves_it_and_colour_after_it_does_not() -> None:
    image = np.full((20, 20, 3), 100, np.uint8)
    for size in (20, 40):
        after, _ = Chain((Affine(translate_px=10), Add(50.0)), size, size)(image, None, generator(1))
        before, _ = Chain((Add(50.0), Affine(translate_px=10)), size, size)(image, None, generator(1))
        assert after[0, 0].tolist() == [50, 50, 50]
        assert before[0, 0].tolist() == [0, 0, 0]
        assert after[-1, -1].tolist() == before[-1, -1].tolist() == [150, 150, 150]


def test_floats_are_clipped_after_every_step_and_never_rounded() -> None:
    image = np.array([[[0.9], [0.101], [0.5]]], np.float32)
    done, _ = Chain((Multiply(1.5), Add(-51.0)), None, None)(image, None, generator(1))
    assert done.dtype == np.float32
    assert np.allclose(done[..., 0], [[0.8, 0.0, 0.55]], atol=1e-6)


def test_a_fill_means_the_same_grey_at_every_depth() -> None:
    for depth, grey in (("uint8", 51), ("uint16", 51 * 257), ("float32", 0.2)):
        image = np.ones((16, 16, 5), DEPTHS[depth][0])
        done, _ = Chain((Affine(translate_px=8, rotate=3, cval=51),), 24, 24)(image, None, generator(1))
        assert np.allclose(done[0, 0], grey)


def test_shrinking_averages_instead_of_skipping() -> None:
    """A chequerboard of single pixels becomes grey, turned or not; skipping pixels would leave black and white."""
    y, x = np.mgrid[:128, :128]
    board = (((x + y) % 2) * 255).astype(np.uint8)[..., None]
    done, _ = Chain((Affine(rotate=30, mode="reflect"),), 32, 32)(board, None, generator(1))
    assert np.abs(done[8:24, 8:24].astype(int) - 127).max() < 12


def test_a_later_step_sees_the_size_a_pass_left() -> None:
    """Halved leaves 20 rows; the crop to 30 therefore has nothing to cut there."""
    done, mask = Chain((Halved(), CropToFixedSize(30, 30)), None, None)(picture(40, 40), regions(40, 40), generator(1))
    assert done.shape == (20, 30, 3)
    assert mask is not None
    assert mask.shape == (20, 30, 2)
    nested = Chain((Sequential((Halved(), CropToFixedSize(30, 30))),), None, None)
    assert nested(picture(40, 40), None, generator(1))[0].shape == (20, 30, 3)


@dataclass(frozen=True)
class Broken:
    """Gives something that fits nothing."""

    step: Step

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return (self.step,)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (ImagePass(lambda image: image[:5]), "an image of 20 x 20 x 3 uint8 into one of 5 x 20 x 3 uint8"),
        (ImagePass(lambda image: image / 2), "float64"),
        (Pass(lambda image, mask: (image[..., :1], mask)), "channels and depth must stay"),
        (Pass(lambda image, mask: (image[:5], mask)), "they must fit"),
        (Pass(lambda image, mask: (image, None)), "a mask of none"),
    ],
)
def test_a_pass_that_breaks_its_contract_is_told(step: Step, message: str) -> None:
    chain = Chain((Broken(step),), 16, 16)
    for run in (chain, chain.step_by_step):
        with pytest.raises(MusketError, match=message):
            run(picture(20, 20), regions(20, 20), generator(1))


def test_scores_of_a_plain_chain_are_resized_back() -> None:
    placed = Chain((), 32, 24).place(picture(50, 41), None)
    scores = np.random.default_rng(0).random((32, 24, 2), np.float32)
    assert np.array_equal(placed.image, resize_image(picture(50, 41), 32, 24))
    assert np.allclose(placed.undo(scores), resize_scores(scores, 50, 41))


@pytest.mark.parametrize("seed", range(6))
def test_scores_return_to_where_the_pixels_came_from(seed: int) -> None:
    """What is read off the prepared image itself comes back as the image, where the steps kept it."""
    image = picture(60, 70)
    random_steps = (Rotate90(), Fliplr(0.5), Affine(rotate=(-40, 40), scale=(0.6, 0.9)), Softened(), Crop(px=2))
    placed = Chain(random_steps, 64, 80).place(image, generator(seed))
    back = placed.undo(placed.image.astype(np.float32))
    assert back.shape == (60, 70, 3)
    assert back.dtype == np.float32
    inner = (slice(20, 40), slice(22, 48))
    assert np.abs(back[inner] - image[inner]).mean() < 4


def test_exact_moves_come_back_exactly_and_what_was_cut_off_is_zero() -> None:
    image = picture(30, 40)
    placed = Chain((Fliplr(), Crop(px=(2, 3, 4, 5), keep_size=False)), None, None).place(image, generator(1))
    back = placed.undo(placed.image.astype(np.float32))
    assert np.array_equal(back[2:26, 3:35], image[2:26, 3:35])
    outside = np.ones((30, 40), bool)
    outside[2:26, 3:35] = False
    assert (back[outside] == 0).all()


def test_scores_behind_a_pass_are_only_resized() -> None:
    placed = Chain((Fliplr(), Halved()), 16, 16).place(picture(30, 40), generator(1))
    scores = np.random.default_rng(0).random((16, 16, 1), np.float32)
    assert np.allclose(placed.undo(scores), resize_scores(scores, 30, 40))


def test_operations_with_other_options_are_other_operations() -> None:
    assert Fliplr() == Fliplr(1.0) != replace(Fliplr(), p=0.5)


def test_channels_alone_change_and_move_without_the_mask() -> None:
    image, mask = picture(20, 24), regions(20, 24)
    chain = Chain((WithChannels((0, 2), (Add(40.0), Fliplr(), Sometimes(1.0, (Invert(),)))),), None, None)
    done, done_mask = chain(image, mask, generator(1))
    assert np.array_equal(done[..., 1], image[..., 1])
    wanted = 255 - np.clip(image[:, ::-1].astype(int) + 40, 0, 255)
    assert np.array_equal(done[..., 0], wanted[..., 0])
    assert done_mask is not None
    assert np.array_equal(done_mask, mask)
    with pytest.raises(MusketError, match="from 0 to 2"):
        Chain((WithChannels(5, (Add(4.0),)),), None, None)(image, None, generator(1))
    with pytest.raises(MusketError, match="keep_size"):
        Chain((WithChannels(0, (Crop(px=2, keep_size=False),)),), None, None)(image, None, generator(1))
