"""The way from images to scores and back, with networks whose answers are known."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from musket.core.errors import DataError
from musket.core.geometry import resize_scores
from musket.predict.crops import Crops
from musket.predict.frame import InputShape
from musket.predict.runner import Failures, Source, predict
from musket.predict.views import FLIPS, Forward, averaged

CPU = torch.device("cpu")


def first_channel(images: torch.Tensor) -> torch.Tensor:
    """A network whose score is the brightness of the first channel, 0..1."""
    return images[:, :1].float() / 255


def source(name: str, image: np.ndarray, truth: np.ndarray | None = None) -> Source:
    return Source(name, lambda: (image, truth))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ramp(height: int, width: int) -> np.ndarray:
    """Brightness that grows evenly to the right and downwards: no resize changes it but at the borders."""
    plane = np.linspace(0, 120, height)[:, None] + np.linspace(0, 120, width)[None]
    return np.repeat(plane[..., None], 3, axis=2).astype(np.uint8)


run = partial(predict, device=CPU, batch_size=4)


def test_a_score_is_that_of_the_resized_image_resized_back() -> None:
    image = noise(20, 31)
    [found] = run([source("a", image)], [first_channel], InputShape(16, 16, 3))
    small = cv2.resize(image, (16, 16), interpolation=cv2.INTER_LINEAR)[..., :1].astype(np.float32) / 255
    np.testing.assert_array_equal(found.scores[0], resize_scores(small, 20, 31))
    assert found.scores[0].shape == (20, 31, 1)
    assert found.scores[0].dtype == np.float32


def test_scores_are_averaged_over_areas_where_they_shrink() -> None:
    image = np.zeros((8, 8, 3), np.uint8)

    def checkered(images: torch.Tensor) -> torch.Tensor:
        board = (torch.arange(32)[:, None] + torch.arange(32)) % 2
        return board.float().expand(len(images), 1, 32, 32)

    [found] = run([source("a", image)], [checkered], InputShape(32, 32, 3))
    np.testing.assert_allclose(found.scores[0], 0.5)


def test_results_keep_the_order_of_images_of_any_size_and_depth() -> None:
    images = [noise(10 + n % 3, 12, n) for n in range(11)]
    images[4] = images[4].astype(np.uint16) * 257
    names = [f"image {n}" for n in range(11)]
    found = list(run(map(source, names, images), [lambda x: x[:, :1].float()], InputShape(None, None, 3)))
    assert [one.id for one in found] == names
    for one, image in zip(found, images, strict=True):
        np.testing.assert_array_equal(one.scores[0], image[..., :1].astype(np.float32))


def test_every_image_is_read_once_for_all_members_and_views() -> None:
    reads: list[str] = []

    def read(name: str) -> tuple[np.ndarray, None]:
        reads.append(name)
        return noise(16, 16), None

    members = [averaged(first_channel, FLIPS) for _ in range(3)]
    sources = [Source(name, partial(read, name)) for name in "abcde"]
    assert len(list(run(sources, members, InputShape(16, 16, 3), groups=[[0], [0, 1, 2]]))) == 5
    assert sorted(reads) == list("abcde")


@pytest.mark.parametrize("crops", [Crops(3), Crops(3, 0.5), Crops(2, 0.3, "none")])
def test_cells_are_joined_to_a_map_of_the_image(crops: Crops) -> None:
    """A pixel's score depends on the pixel alone, and cells are not resized: joining them must give the image."""
    images = [noise(31, 46, n) for n in range(3)]
    found = list(
        run([source(str(n), i) for n, i in enumerate(images)], [first_channel], InputShape(None, None, 3), crops=crops)
    )
    assert [one.id for one in found] == ["0", "1", "2"]
    for one, image in zip(found, images, strict=True):
        np.testing.assert_allclose(one.scores[0], image[..., :1] / np.float32(255), rtol=1e-5)


def test_cells_see_the_network_input_of_a_cell() -> None:
    seen: list[tuple[int, ...]] = []

    def spy(images: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(images.shape))
        return first_channel(images)

    image = ramp(101, 151)
    [found] = run([source("a", image)], [spy], InputShape(32, 32, 3), crops=Crops(3, 0.25))
    assert {shape[1:] for shape in seen} == {(3, 32, 32)}
    assert [shape[0] for shape in seen] == [4, 4, 4, 4]  # 4 x 4 cells in batches of 4
    np.testing.assert_allclose(found.scores[0][..., 0], image[..., 0] / 255, atol=0.02)


def test_cells_of_several_images_share_a_batch() -> None:
    sizes: list[int] = []

    def spy(images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        return first_channel(images)

    images = [source(str(n), noise(20, 20, n)) for n in range(4)]
    list(predict(images, [spy], InputShape(8, 8, 3), CPU, batch_size=12, crops=Crops(3)))
    assert sizes == [12, 12, 12]


def test_members_that_take_turns_give_the_same_results() -> None:
    images = [source(str(n), noise(20, 24, n)) for n in range(11)]
    members: list[Forward] = [first_channel, lambda x: x[:, 1:2].float() / 255]
    plain, turning = (
        list(run(images, members, InputShape(16, 16, 3), turns=turns, weights=[1, 3])) for turns in (1, 3)
    )
    for one, other in zip(plain, turning, strict=True):
        assert one.id == other.id
        np.testing.assert_array_equal(one.scores[0], other.scores[0])


def broken() -> tuple[np.ndarray, None]:
    raise DataError("no picture", path="x.png")


def test_failed_images_are_recorded_and_the_others_predicted() -> None:
    """One cannot be read, one has other channels, one is too small for its cells, one upsets the network."""
    images = {
        "good": noise(16, 16),
        "grey": noise(16, 16)[..., :1],
        "tiny": noise(1, 16),
        "odd": noise(18, 16),
        "fine": noise(16, 16, 1),
    }

    def picky(images: torch.Tensor) -> torch.Tensor:
        if images.shape[2] % 8:
            raise RuntimeError("height must be divisible by 8")
        return first_channel(images)

    failures = Failures()
    sources = [Source("broken", broken), *(source(name, image) for name, image in images.items())]
    found = list(run(sources, [picky], InputShape(None, None, 3), crops=Crops(2), failures=failures))
    assert [one.id for one in found] == ["good", "fine"]
    assert failures.total == 6
    messages = {failure.id: failure.message for failure in failures.found}
    assert len(failures.found) == len(messages) == 4
    assert "no picture" in messages["broken"]
    assert "1 channels" in messages["grey"]
    assert "cannot be cut" in messages["tiny"]
    assert "9 x 8 pixels: height must be divisible by 8" in messages["odd"]
    with pytest.raises(DataError, match="4 of 6 images"):
        failures.raise_if_any()


@pytest.mark.parametrize("image", [noise(16, 16)[..., :1], noise(17, 16)])
def test_without_a_record_the_first_failure_is_raised_and_names_the_sample(image: np.ndarray) -> None:
    def picky(images: torch.Tensor) -> torch.Tensor:
        if images.shape[2] % 8:
            raise RuntimeError("height must be divisible by 8")
        return first_channel(images)

    with pytest.raises(DataError, match="sample 'b'"):
        list(run([source("a", noise(16, 16)), source("b", image)], [picky], InputShape(None, None, 3)))


def test_a_consumer_that_stops_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    results = run((source(str(n), noise(16, 16)) for n in range(100)), [first_channel], InputShape(16, 16, 3))
    assert next(results).id == "0"
    results.close()
    assert threading.active_count() == before


def stream(count: int, side: int) -> Iterator[Source]:
    def read(seed: int) -> tuple[np.ndarray, None]:
        return np.full((side, side, 3), seed, np.uint8), None

    return (Source(str(n), partial(read, n)) for n in range(count))


def peak(sources: Iterator[Source], crops: Crops) -> int:
    tracemalloc.start()
    try:
        for _ in run(sources, [first_channel], InputShape(64, 64, 3), crops=crops):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_large_image_needs_its_own_memory_its_result_and_a_few_batches() -> None:
    side, crops = 3000, Crops(12, 0.25)
    image, result = side * side * 3, side * side * 4
    cells = 4 * (side // 12 + 1) ** 2 * 4 + 12 * 64 * 64 * 3  # a batch of cells undone, three batches fitted
    assert peak(stream(1, side), crops) < (image + result + cells) * 1.1


def test_memory_does_not_grow_with_the_number_of_images() -> None:
    few, many = (peak(stream(count, 400), Crops()) for count in (30, 240))
    assert many < 2 * few  # a few images more or less are under way, as the threads happen to run
