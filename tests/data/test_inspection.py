from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from musket.core.errors import DataError
from musket.data.inspection import Inspection, Moments, count_pixels, inspect

Sample = tuple[np.ndarray, "np.ndarray | None"]


def inspected(samples: list[Sample | DataError], classes: int = 1, **options: object) -> Inspection:
    def read(position: int) -> Sample:
        sample = samples[position]
        if isinstance(sample, DataError):
            raise sample
        return sample

    return inspect(read, [f"s{position}" for position in range(len(samples))], classes, **options)  # type: ignore[arg-type]


def drawn(
    seed: int, height: int = 20, width: int = 30, channels: int = 3, dtype: type = np.uint8
) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    image = (random.random((height, width, channels)) * top).astype(dtype)
    return image, random.random((height, width, 1)) > 0.7


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_values_are_those_of_all_pixels_at_once(dtype: type, channels: int) -> None:
    samples: list[Sample | DataError] = [drawn(seed, 10 + seed, 30, channels, dtype) for seed in range(40)]
    found = inspected(samples, threads=2)
    pixels = np.concatenate([image.reshape(-1, channels) for image, _ in samples]).astype(np.float64)  # type: ignore[misc]
    moments = found.values[np.dtype(dtype).name]
    assert moments.count == len(pixels)
    np.testing.assert_allclose(moments.low, pixels.min(axis=0))
    np.testing.assert_allclose(moments.high, pixels.max(axis=0))
    np.testing.assert_allclose(moments.mean, pixels.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(moments.std, pixels.std(axis=0), rtol=1e-6)


def test_moments_of_nothing() -> None:
    moments = Moments(2)
    moments.merge(Moments(2))
    assert moments.count == 0
    assert moments.std.tolist() == [0, 0]


def test_a_bad_sample_stops_nothing() -> None:
    samples: list[Sample | DataError] = [drawn(seed) for seed in range(50)]
    samples[3] = DataError("the file is empty", path="three.png")
    samples[33] = DataError("no mask", sample="s33")
    found = inspected(samples, threads=3)
    assert [(failure.id, failure.message, failure.path) for failure in found.failures] == [
        ("s3", "the file is empty", "three.png"),
        ("s33", "no mask", None),
    ]
    assert len(found.usable) == 48
    assert 3 not in found.usable
    assert sum(count for _, _, count in found.sizes()) == 48


def test_nothing_can_be_used() -> None:
    found = inspected([DataError("bad")] * 3)
    assert len(found.failures) == 3
    assert (found.sizes(), found.depths(), found.contradictions()) == ([], {}, [])
    assert found.likeness().repeated() == 0


def test_other_errors_are_not_hidden() -> None:
    def read(_: int) -> Sample:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        inspect(read, ["a"], 1)


def test_sizes_and_depths() -> None:
    found = inspected([drawn(0, 20, 30), drawn(1, 30, 20), drawn(2, 30, 20), drawn(3, 30, 20, dtype=np.uint16)])
    assert found.sizes() == [(20, 30, 3), (30, 20, 1)]
    assert found.depths() == {"uint8": [0, 1, 2], "uint16": [3]}


def test_values_that_are_no_numbers_are_counted() -> None:
    image, mask = drawn(0, dtype=np.float32)
    image[0, :2, 0] = np.nan, np.inf
    found = inspected([(image, mask), drawn(1, dtype=np.float32)])
    assert found.values["float32"].odd == 2
    assert np.isfinite(found.values["float32"].mean).all()


def test_masks() -> None:
    image = drawn(0)[0]
    mask = np.zeros((20, 30, 3), np.uint8)
    mask[:10, :, 0] = 1  # 300 pixels, 60 of them also in class 2
    mask[8:12, :, 2] = 1  # 120
    found = inspected([(image, mask), (image, np.zeros_like(mask, dtype=bool)), (image, None)], classes=3)
    assert found.masks.of_class.tolist() == [300, 0, 120]
    assert (found.masks.pixels, found.masks.covered, found.masks.doubled) == (1200, 360, 60)
    assert found.present.tolist() == [[True, False, True], [False] * 3, [False] * 3]
    assert found.empty.tolist() == [1, 2]


@pytest.mark.parametrize("change", [lambda m: m, lambda m: m.astype(np.int64), lambda m: m.astype(np.float32)])
@pytest.mark.parametrize("view", [lambda m: m, lambda m: m[::-1, ::2]])
def test_pixels_are_counted_in_any_array(
    change: Callable[[np.ndarray], np.ndarray], view: Callable[[np.ndarray], np.ndarray]
) -> None:
    mask = view(change(np.random.default_rng(0).random((17, 23, 4)) > 0.6))
    tally = count_pixels(mask)
    assert tally.of_class.tolist() == mask.astype(int).sum(axis=(0, 1)).tolist()
    assert tally.covered == int(mask.any(axis=2).sum())
    assert tally.pixels == mask.shape[0] * mask.shape[1]


def test_copies_with_another_mask() -> None:
    image, mask = drawn(0)
    found = inspected([(image, mask), drawn(1), (image.copy(), mask.copy()), (image, ~mask)])
    assert found.likeness().repeated() == 2
    assert found.contradictions() == [(0, 3)]


def test_a_mask_of_another_type_is_the_same_mask() -> None:
    image, mask = drawn(0)
    assert inspected([(image, mask), (image, mask.astype(np.uint8))]).contradictions() == []


def test_the_number_of_threads_changes_nothing() -> None:
    samples: list[Sample | DataError] = [drawn(seed % 7) for seed in range(60)]
    one, many = inspected(samples), inspected(samples, threads=4)
    assert one.rows.tobytes() == many.rows.tobytes()
    assert one.values["uint8"].mean.tolist() == many.values["uint8"].mean.tolist()


def test_progress_is_told_in_order_by_the_caller_s_thread() -> None:
    heard: list[tuple[int, int]] = []
    threads = set()

    def tell(done: int, failed: int) -> None:
        heard.append((done, failed))
        threads.add(threading.current_thread())

    inspected([DataError("bad"), *(drawn(seed) for seed in range(40))], threads=2, on_progress=tell)
    assert heard == sorted(heard)
    assert heard[-1] == (41, 1)
    assert threads == {threading.current_thread()}


def test_memory_does_not_grow_with_the_images() -> None:
    found = inspected([drawn(seed) for seed in range(5)])
    assert found.rows.itemsize < 60
