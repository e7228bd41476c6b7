from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from musket.core.errors import DataError
from musket.core.types import PredictionItem
from musket.data.backgrounds import Backgrounds, WithBackgrounds, replace_background
from musket.data.draws import reading_epoch

RED, BLUE = (200, 0, 0), (0, 0, 200)


def write_plain(folder: Path, *colours: tuple[int, int, int], size: tuple[int, int] = (10, 12)) -> Path:
    """A picture per colour (RGB): 0.png, 1.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, colour in enumerate(colours):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((*size, 3), colour[::-1], np.uint8))
    return folder


def square(channels: int = 3, dtype: type = np.uint8) -> tuple[np.ndarray, np.ndarray]:
    """20 x 30 noise, and a mask with a square of 8 x 8 pixels at (6, 10)."""
    image = np.random.default_rng(0).integers(1, 250, (20, 30, channels)).astype(dtype)
    mask = np.zeros((20, 30, 1), bool)
    mask[6:14, 10:18] = True
    return image, mask


def replaced(folder: Path, image: np.ndarray, mask: np.ndarray, **options):
    random = options.pop("random", np.random.default_rng(3))
    return replace_background(image, mask, random, Backgrounds(folder), **{"rate": 0.0, **options})


def test_objects_stay_and_everything_else_is_the_picture(tmp_path: Path) -> None:
    image, mask = square()
    before = image.copy()
    result, same = replaced(write_plain(tmp_path, RED), image, mask)
    assert same is mask
    objects = mask[..., 0]
    np.testing.assert_array_equal(result[objects], image[objects])
    np.testing.assert_array_equal(result[~objects], np.broadcast_to(RED, (20 * 30 - 64, 3)))
    np.testing.assert_array_equal(image, before)


def test_rate_is_the_share_that_keeps_its_background(tmp_path: Path) -> None:
    image, mask = square()
    random, backgrounds = np.random.default_rng(1), Backgrounds(write_plain(tmp_path, RED))
    kept = sum(replace_background(image, mask, random, backgrounds, rate=0.3)[0] is image for _ in range(1000))
    assert abs(kept - 300) < 5 * (1000 * 0.3 * 0.7) ** 0.5
    assert replace_background(image, mask, random, backgrounds, rate=1)[0] is image


def test_every_picture_is_drawn_alike(tmp_path: Path) -> None:
    image, mask = square()
    random, backgrounds = np.random.default_rng(1), Backgrounds(write_plain(tmp_path, RED, BLUE))
    red = sum(replace_background(image, mask, random, backgrounds, rate=0)[0][0, 0, 0] == 200 for _ in range(400))
    assert abs(red - 200) < 50


@pytest.mark.parametrize(("erosion", "side"), [(0, 8), (1, 8), (3, 6), (5, 4), (9, 0)])
def test_erosion_takes_a_rim_off_what_is_pasted_and_nothing_off_the_mask(
    erosion: int, side: int, tmp_path: Path
) -> None:
    image, mask = square()
    result, same = replaced(write_plain(tmp_path, RED), image, mask, erosion=erosion)
    assert same.sum() == 64
    assert (result != RED).any(axis=2).sum() == side * side


def test_erosion_of_a_range_is_drawn_with_both_ends(tmp_path: Path) -> None:
    image, mask = square()
    random, backgrounds = np.random.default_rng(1), Backgrounds(write_plain(tmp_path, RED))
    seen = set()
    for _ in range(60):
        result, _ = replace_background(image, mask, random, backgrounds, rate=0, erosion=(5, 3))
        seen.add(int((result != RED).any(axis=2).sum()))
    assert seen == {6 * 6, 5 * 5, 4 * 4}  # squares of 3, 4 and 5 pixels


def test_an_object_at_the_border_is_not_eroded_there(tmp_path: Path) -> None:
    image = np.full((8, 8, 3), 7, np.uint8)
    result, _ = replaced(write_plain(tmp_path, RED), image, np.ones((8, 8, 1), bool), erosion=5)
    np.testing.assert_array_equal(result, image)


def test_any_class_is_object(tmp_path: Path) -> None:
    image, _ = square()
    mask = np.zeros((20, 30, 2), np.uint8)
    mask[:5, :5, 0] = mask[10:15, 10:15, 1] = 1
    result, same = replaced(write_plain(tmp_path, RED), image, mask)
    assert same is mask
    assert (result != RED).any(axis=2).sum() == 50


def test_augmenters_come_first_and_the_size_stays(tmp_path: Path) -> None:
    image, mask = square()
    image[:] = 0
    image[mask[..., 0]] = 99
    seen = []

    def half_a_size_and_mirrored(image, mask, random):
        seen.append(random)
        small = cv2.resize(image, (15, 10), interpolation=cv2.INTER_AREA)[:, ::-1]
        soft = cv2.resize(mask.astype(np.float32), (15, 10), interpolation=cv2.INTER_AREA)[:, ::-1]
        return small, soft

    random = np.random.default_rng(0)
    result, moved = replaced(
        write_plain(tmp_path, RED), image, mask, augment=half_a_size_and_mirrored, random=random, erosion=3
    )
    assert seen == [random]
    assert result.shape == image.shape
    assert moved.dtype == mask.dtype
    np.testing.assert_array_equal(moved, mask[:, ::-1])  # the mask un-eroded, 8 x 8 at the mirrored place
    assert (result != RED).any(axis=2).sum() == 36
    assert (result[8:12, 14:18] == 99).all()


@pytest.mark.parametrize(
    ("dtype", "factor"), [(np.uint8, 1), (np.uint16, 257), (np.float32, 1 / 255)], ids=["uint8", "uint16", "float"]
)
def test_pictures_come_in_the_depth_of_the_image(dtype: type, factor: float, tmp_path: Path) -> None:
    image, mask = square(dtype=dtype)
    image = image / dtype(255) if dtype is np.float32 else image
    result, _ = replaced(write_plain(tmp_path, RED), image, mask)
    assert result.dtype == dtype
    np.testing.assert_allclose(result[0, 0], np.array(RED) * factor, rtol=1e-6)


def test_deep_pictures_behind_shallow_images(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((4, 4, 3), 257 * 40, np.uint16))
    image, mask = square()
    assert (replaced(tmp_path, image, mask)[0][0, 0] == 40).all()


def test_channels_behind_the_third_stay(tmp_path: Path) -> None:
    image, mask = square(channels=5)
    result, _ = replaced(write_plain(tmp_path, RED), image, mask)
    np.testing.assert_array_equal(result[..., 3:], image[..., 3:])
    np.testing.assert_array_equal(result[0, 0, :3], RED)


@pytest.mark.parametrize("channels", [1, 2])
def test_images_without_colours_get_the_brightness(channels: int, tmp_path: Path) -> None:
    image, mask = square(channels=channels)
    result, _ = replaced(write_plain(tmp_path, RED), image, mask)
    assert result.shape == image.shape
    assert (result[0, 0] == round(0.299 * 200)).all()


def test_the_same_generator_gives_the_same_result(tmp_path: Path) -> None:
    image, mask = square()
    folder = write_plain(tmp_path, RED, BLUE)
    first, second = (replaced(folder, image, mask, erosion=(0, 5), random=np.random.default_rng(8)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])


def test_folders_that_cannot_serve(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder of background pictures"):
        Backgrounds(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    with pytest.raises(DataError, match="no picture in this folder"):
        Backgrounds(tmp_path)


def test_a_damaged_picture_is_named_when_it_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    backgrounds = Backgrounds(tmp_path)
    with pytest.raises(DataError, match=r"bad\.jpg"):
        backgrounds.fitted(0, 4, 4)


def test_pictures_are_read_once_from_any_thread_and_survive_pickling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from musket.data import backgrounds as module

    read: list[Path] = []
    plain = module.read_image
    monkeypatch.setattr(module, "read_image", lambda path: (read.append(path), plain(path))[1])
    backgrounds = Backgrounds(write_plain(tmp_path, RED, BLUE))
    for index in (0, 1, 0, 1):
        backgrounds.fitted(index, 4, 4)
    assert len(read) == 2
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: backgrounds.fitted(index % 2, 4, 4)[0, 0, 0], range(50)))
    assert found == [200, 0] * 25
    copy = pickle.loads(pickle.dumps(backgrounds))
    assert tuple(copy.fitted(1, 2, 2)[0, 0]) == BLUE


def test_memory_for_pictures_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from musket.data import backgrounds as module

    monkeypatch.setattr(module, "_KEPT", 2 * 4 * 4 * 3)
    backgrounds = Backgrounds(write_plain(tmp_path, RED, BLUE, RED))
    for index in (0, 1, 2):
        backgrounds.fitted(index, 4, 4)
    assert list(backgrounds._kept) == [(1, 4, 4), (2, 4, 4)]


class Squares:
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> PredictionItem:
        return PredictionItem(f"s{index}", *square())


def test_former_classes_replace_in_training_only(tmp_path: Path) -> None:
    dataset = WithBackgrounds(Squares(), Backgrounds(write_plain(tmp_path, RED), erosion=3))
    image, mask = square()
    assert len(dataset) == 40
    assert dataset.sample_ids()[3] == "s3"
    changed = 0
    for index in range(40):
        np.testing.assert_array_equal(dataset[index].x, image)
        item = dataset.item(index, True)
        assert item.id == f"s{index}"
        np.testing.assert_array_equal(item.y, mask)
        changed += not np.array_equal(item.x, image)
    assert 8 < changed < 32


def test_former_classes_draw_anew_every_epoch(tmp_path: Path) -> None:
    dataset = WithBackgrounds(Squares(), Backgrounds(write_plain(tmp_path, RED)))

    def kept(epoch: int) -> list[bool]:
        with reading_epoch(epoch):
            return [bool((dataset.item(index, True).x[0, 0] == RED).all()) for index in range(40)]

    assert kept(0) == kept(0)
    assert kept(0) != kept(1)
