from __future__ import annotations

import itertools
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from musket.data.images import read_image
from musket.data.likeness import NEAR, Twin, digest, likeness, near_pairs, perceptual_hash

SHARED = Path(__file__).parents[3] / "shared" / "data"


def scene(seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    """Coloured discs on a gradient."""
    random = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.uint8)
    image[...] = np.linspace(0, 120, width)[None, :, None]
    for _ in range(8):
        x, y, radius = (
            int(value) for value in (random.integers(width), random.integers(height), random.integers(8, 40))
        )
        cv2.circle(image, (x, y), radius, tuple(int(value) for value in random.integers(0, 256, 3)), -1)
    return image


def bits(one: np.ndarray, other: np.ndarray) -> int:
    first, second = perceptual_hash(one), perceptual_hash(other)
    assert first is not None
    assert second is not None
    return (first ^ second).bit_count()


def test_digests_tell_arrays_apart() -> None:
    image = scene(0)
    changed = image.copy()
    changed[5, 7, 1] += 1
    arrays = [image, changed, image[:, ::-1], image.reshape(160, 120, 3), image.view(np.int8)]
    assert len({digest(array) for array in arrays}) == len(arrays)
    assert digest(image) == digest(image.copy())
    assert digest(image[:, ::-1]) == digest(np.ascontiguousarray(image[:, ::-1]))


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_keeps_its_hash_when_it_is_recoded(seed: int) -> None:
    image = scene(seed)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    assert jpeg is not None
    assert bits(image, jpeg) <= NEAR
    assert bits(image, cv2.resize(image, (100, 75), interpolation=cv2.INTER_AREA)) <= NEAR
    assert bits(image, (image // 2 + 60).astype(np.uint8)) <= NEAR
    assert bits(image, image.astype(np.uint16) * 257) <= NEAR
    assert bits(image, image.astype(np.float32) / 255) <= NEAR


def test_different_pictures_have_different_hashes() -> None:
    pairs = itertools.combinations([scene(seed) for seed in range(12)], 2)
    assert min(bits(one, other) for one, other in pairs) > 2 * NEAR


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_blank_pictures_have_no_hash(dtype: type) -> None:
    assert perceptual_hash(np.zeros((40, 50, 3), dtype)) is None
    assert perceptual_hash(np.full((40, 50, 1), 200, dtype)) is None


def test_noise_on_blank_paper_has_no_hash() -> None:
    noise = np.random.default_rng(0).normal(200, 3, (512, 512, 3)).astype(np.uint8)
    assert perceptual_hash(noise) is None


def test_pictures_that_are_no_numbers_have_no_hash() -> None:
    image = scene(0).astype(np.float32)
    image[3, 3] = np.nan
    assert perceptual_hash(image) is None


def test_near_pairs_are_those_of_all_pairs() -> None:
    random = np.random.default_rng(3)
    seeds = random.integers(0, 2**63, 60, dtype=np.uint64)
    flipped = [
        seed ^ np.uint64(sum(1 << int(bit) for bit in random.choice(64, count, replace=False)))
        for count, seed in enumerate(seeds[:20])
    ]
    hashes = np.unique(np.concatenate([seeds, flipped]))
    expected = {
        (one, other)
        for one, other in itertools.combinations(range(len(hashes)), 2)
        if (int(hashes[one]) ^ int(hashes[other])).bit_count() <= NEAR
    }
    found = [tuple(sorted(pair)) for pair in near_pairs(hashes).tolist()]
    assert len(expected) >= NEAR
    assert set(found) == expected
    assert len(found) == len(expected)


def test_near_pairs_of_few() -> None:
    assert near_pairs(np.array([], dtype=np.uint64)).shape == (0, 2)
    assert near_pairs(np.array([5], dtype=np.uint64)).shape == (0, 2)
    assert near_pairs(np.array([0, 2**64 - 1], dtype=np.uint64)).shape == (0, 2)
    assert near_pairs(np.array([0, 2**63], dtype=np.uint64)).tolist() == [[0, 1]]


def test_near_pairs_of_many_do_not_take_the_square() -> None:
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**63, 100_000, dtype=np.uint64))
    began = time.perf_counter()
    near_pairs(hashes)
    assert time.perf_counter() - began < 10


def test_a_set_where_everything_is_alike_ends() -> None:
    pairs = near_pairs(np.arange(2**13, dtype=np.uint64))
    assert len(pairs) > 2_000_000


def test_twins() -> None:
    # samples: 0 = 1 exactly; 2 nearly 3; 4 alone; 5 blank, equal to 6; 7 unreadable
    digests = np.array([9, 9, 1, 2, 3, 4, 4, 0], dtype=np.uint64)
    hashes = np.array([0xFFFF << 40, 0xFFFF << 40, 0x3FF << 8, 0x7FF << 8, 2**62 + 2**30 - 1, 0, 0, 0], dtype=np.uint64)
    known = np.array([True] * 7 + [False])
    structured = np.array([True] * 5 + [False] * 3)
    like = likeness(digests, hashes, known, structured)
    assert like.twins([1, 2, 4, 5, 7], [0, 3, 6]) == [Twin(1, 0, True), Twin(2, 3, False), Twin(5, 6, True)]
    assert like.twins([0], [1, 2]) == [Twin(0, 1, True)]
    assert like.twins([], [0]) == []
    assert like.twins([0], []) == []
    assert like.repeated() == 2


def test_an_exact_twin_is_preferred_to_a_near_one() -> None:
    like = likeness(
        np.array([1, 2, 1], dtype=np.uint64), np.array([8, 9, 8], dtype=np.uint64), *np.ones((2, 3), dtype=bool)
    )
    assert like.twins([0], [1, 2]) == [Twin(0, 2, True)]
    assert like.twins([0], [1]) == [Twin(0, 1, False)]


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared images")
def test_frames_of_a_video_are_alike_and_nuclei_are_not() -> None:
    frames = [SHARED / "camvid" / "test" / name for name in ("0001TP_009270.png", "0001TP_009480.png")]
    assert bits(*(read_image(path) for path in frames)) <= NEAR
    nuclei = [read_image(path) for path in sorted(SHARED.glob("nuclei/images/*.png"))[:20]]
    assert min(bits(one, other) for one, other in itertools.combinations(nuclei, 2)) > NEAR
