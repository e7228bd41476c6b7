from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from musket.core.errors import ArtifactError, DataError
from musket.report.samples import PALETTE, as_picture, draw_grid, draw_triples, write_jpg

GREY = 120


def blank(height: int, width: int, classes: int = 1) -> np.ndarray:
    return np.zeros((height, width, classes), np.uint8)


def grey(height: int = 128, width: int = 128) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def columns(picture: np.ndarray) -> list[np.ndarray]:
    """The three tiles of a picture of one 128 x 128 sample: heading of 18, gaps of 4."""
    return [picture[26 : 26 + 128, 4 + start : 4 + start + 128] for start in (0, 132, 264)]


def count(tile: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((tile == colour).all(axis=2).sum())


def test_truth_and_prediction_lie_on_the_image() -> None:
    truth, prediction = blank(128, 128), blank(128, 128).astype(np.float32)
    truth[20:30, 40:60] = 1
    prediction[70:80, 10:30] = 0.51
    prediction[100:110, 100:110] = 0.5  # not above 0.5
    image, on_truth, on_prediction = columns(draw_triples([grey()], [truth], [prediction]))
    assert (image == GREY).all()
    tint = np.rint(0.65 * GREY + 0.35 * np.array(PALETTE[0])).astype(int)
    assert abs(on_truth[25, 50].astype(int) - tint).max() <= 1
    assert abs(on_prediction[75, 20].astype(int) - tint).max() <= 1
    for tile in (on_truth, on_prediction):  # a 10 x 20 box is ringed by 12 x 22 - 10 x 20 pixels
        assert count(tile, PALETTE[0]) == 64
        assert count(tile, (GREY, GREY, GREY)) == 128 * 128 - 12 * 22
    assert tuple(on_truth[19, 50]) == PALETTE[0]


def test_a_single_pixel_is_seen() -> None:
    truth = blank(1024, 1024)
    truth[500, 500] = 1
    picture = draw_triples([grey(1024, 1024)], [truth], [truth])
    assert count(picture, PALETTE[0]) >= 2 * 8


@pytest.mark.parametrize("size", [129, 200, 300, 383, 384, 511, 512, 700])
def test_no_object_is_lost_when_shrinking(size: int) -> None:
    truth = blank(size, size)
    truth[3::32, 5::32] = 1
    tile = draw_triples([grey(size, size)], [truth], [blank(size, size)])[26:-4, 4:]
    drawn = min(size, 256)
    on_truth = tile[:, drawn + 4 : 2 * drawn + 4]
    found, _ = cv2.connectedComponents((on_truth == PALETTE[0]).all(axis=2).astype(np.uint8))
    assert found - 1 == truth.sum()


def test_classes_have_colours_of_their_own_and_touching_objects_are_told_apart() -> None:
    truth = blank(128, 128, 9)
    for number in range(9):
        truth[10 * number + 5 : 10 * number + 10, 20:40, number] = 1
    tile = columns(draw_triples([grey()], [truth], [truth]))[1]
    assert all(count(tile, colour) for colour in PALETTE)
    assert tuple(tile[74, 30]) == PALETTE[0]  # the eighth class starts the palette again


def test_colours_are_told_apart_in_grey_and_pairwise() -> None:
    assert len(set(PALETTE)) == len(PALETTE)
    for one, other in itertools.combinations(np.array(PALETTE, int), 2):
        assert abs(one - other).max() > 40


def test_three_columns_and_at_most_sixteen_rows() -> None:
    many = draw_triples([grey()] * 20, [blank(128, 128)] * 20, [blank(128, 128)] * 20)
    assert many.shape == (4 + 18 + 16 * (4 + 128) + 4, 4 + 3 * 128 + 2 * 4 + 4, 3)
    assert many.dtype == np.uint8


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [
        ((128, 128), (128, 128)),
        ((1000, 500), (256, 128)),
        ((20, 40), (80, 160)),
        ((128, 90), (128, 90)),
        ((96, 96), (192, 192)),
        ((3, 3000), (1, 256)),
    ],
)
def test_tiles_are_neither_tiny_nor_huge(shape: tuple[int, int], drawn: tuple[int, int]) -> None:
    height, width, _ = draw_triples([grey(*shape)], [blank(*shape)], [blank(*shape)]).shape
    assert (height, width) == (drawn[0] + 30, 3 * drawn[1] + 16)


def test_images_of_several_sizes_share_one_picture() -> None:
    sizes = [(100, 200), (200, 100), (128, 128)]
    picture = draw_triples([grey(*s) for s in sizes], [blank(*s) for s in sizes], [blank(*s) for s in sizes])
    assert picture.shape == (4 + 18 + (4 + 100) + (4 + 200) + (4 + 128) + 4, 3 * 200 + 16, 3)


def test_masks_may_have_another_size_than_the_image() -> None:
    truth = blank(64, 64)
    truth[:32] = 1
    tile = columns(draw_triples([grey()], [truth], [truth]))[1]
    assert count(tile[66:], (GREY, GREY, GREY)) == 62 * 128


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 12])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32, np.float64, np.bool_])
def test_any_depth_and_number_of_channels_becomes_a_picture(channels: int, kind: type) -> None:
    values = np.random.default_rng(0).uniform(0, 5000, (40, 30, channels))
    picture = as_picture((values > 2500) if kind is np.bool_ else values.astype(kind))
    assert picture.shape == (40, 30, 3)
    assert picture.dtype == np.uint8
    assert int(picture.max()) - int(picture.min()) > 200


def test_channels_are_shown_as_they_are() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 5), np.uint8)
    assert (as_picture(image[..., :3]) == image[..., :3]).all()
    assert (as_picture(image) == image[..., :3]).all()
    assert (as_picture(image[..., 0]) == image[..., :1]).all()
    two = as_picture(image[..., :2])
    assert (two[..., :2] == image[..., :2]).all()
    assert not two[..., 2].any()


def test_floats_of_unit_range_keep_their_brightness() -> None:
    image = np.full((8, 8, 1), 0.5, np.float32)
    image[0, 0], image[0, 1] = 0.2, 0.7
    assert as_picture(image)[4, 4, 0] == 127


def test_a_dark_image_is_made_visible() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    image[10:40, 10:40] = 20
    assert as_picture(image).max() == 255
    assert as_picture(np.zeros((5, 5, 3), np.uint8)).max() == 0


def test_holes_in_float_images_are_drawn_dark() -> None:
    image = np.random.default_rng(0).normal(50, 10, (16, 16, 1))
    image[3, 3], image[4, 4] = np.nan, np.inf
    assert as_picture(image)[3, 3, 0] == 0
    assert as_picture(np.full((4, 4, 1), np.nan)).max() == 0


def test_missing_scores_count_as_nothing_found() -> None:
    nothing = np.full((128, 128, 1), np.nan, np.float32)
    assert (columns(draw_triples([grey()], [blank(128, 128)], [nothing]))[2] == GREY).all()


@pytest.mark.parametrize("image", [np.zeros(5), np.zeros((4, 4, 1, 1)), np.zeros((0, 4, 3)), np.array([["a"]]), None])
def test_what_is_no_picture_is_told(image: object) -> None:
    with pytest.raises(DataError, match="is no picture; needed: H x W x channels"):
        as_picture(image)


def test_what_is_no_mask_is_told() -> None:
    with pytest.raises(DataError, match=r"shape \(5,\) is no mask"):
        draw_triples([grey()], [np.zeros(5)], [blank(128, 128)])


def test_nothing_to_draw_is_told() -> None:
    with pytest.raises(DataError, match="no sample"):
        draw_triples([], [], [])


def test_inputs_are_left_as_they_were() -> None:
    image, truth = grey(), blank(128, 128)
    truth[:9] = 1
    draw_triples([image], [truth], [truth])
    assert (image == GREY).all()
    assert truth.sum() == 9 * 128


def test_a_grid_has_captions_and_rows_of_several() -> None:
    plain = [grey()] * 5, [blank(128, 128)] * 5, [blank(128, 128)] * 5
    picture = draw_grid(*plain, ["one", "two", "three", "four", "five"], across=2)
    assert picture.shape == (4 + 18 + 3 * (4 + 128 + 18) + 4, 4 + 392 + 16 + 392 + 4, 3)
    captions = [picture[4 + 18 + 4 + 128 : 4 + 18 + 4 + 128 + 18, start : start + 392] for start in (4, 412)]
    assert all((strip < 128).any() for strip in captions)
    assert (captions[0] != captions[1]).any()
    assert (picture[-154:-4, 412:] == 255).all()  # the place after the fifth stays paper
    assert draw_grid(*[part[:1] for part in plain], ["one"], across=4).shape[1] == 400


def test_a_missing_caption_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        draw_grid([grey()] * 2, [blank(128, 128)] * 2, [blank(128, 128)] * 2, ["one"])


def test_a_jpeg_holds_the_picture(tmp_path: Path) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = (200, 30, 60)
    path = tmp_path / "examples" / "0" / "t_epoch_0.0.jpg"
    write_jpg(path, picture)
    write_jpg(path, picture)
    back = cv2.imread(str(path))[..., ::-1]
    assert abs(back[32, 50].astype(int) - (200, 30, 60)).max() < 6
    assert list(path.parent.iterdir()) == [path]


def test_a_jpeg_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="more than JPEG holds"):
        write_jpg(tmp_path / "long.jpg", np.zeros((70000, 1, 3), np.uint8))
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_jpg(tmp_path / "file" / "a.jpg", np.zeros((4, 4, 3), np.uint8))
