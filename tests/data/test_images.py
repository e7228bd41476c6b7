from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from musket.core.errors import DataError
from musket.data.images import read_image, read_mask, read_stored

COLOURS = np.random.default_rng(7).integers(0, 256, (12, 20, 3), dtype=np.uint8)
SMOOTH = np.stack(np.meshgrid(np.arange(20) * 12, np.arange(12) * 20), axis=-1).astype(np.uint8)[..., [0, 1, 0]]
PICTURE = Image.fromarray(COLOURS)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def stored(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("a.png", "PNG", {}),
        ("a.bmp", "BMP", {}),
        ("a.webp", "WEBP", {"lossless": True}),
        ("a.tif", "TIFF", {}),
        ("lzw.tif", "TIFF", {"compression": "tiff_lzw"}),
        ("a.ppm", "PPM", {}),
    ],
)
def test_lossless_formats_give_the_colours_in_rgb(tmp_path: Path, name: str, kind: str, options: dict) -> None:
    image = read_image(stored(tmp_path, name, encoded(PICTURE, kind, **options)))
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable
    np.testing.assert_array_equal(image, COLOURS)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_jpeg_equals_pillow(tmp_path: Path, options: dict) -> None:
    data = encoded(Image.fromarray(SMOOTH), "JPEG", quality=95, **options)
    image = read_image(stored(tmp_path, "a.jpg", data))
    assert np.abs(image.astype(int) - np.asarray(Image.open(io.BytesIO(data)))).max() <= 2


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG", quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(read_image(stored(tmp_path, "a.jpg", data)).astype(int) - expected).max() <= 3


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_is_tripled(tmp_path: Path, mode: str) -> None:
    grey = PICTURE.convert(mode)
    image = read_image(stored(tmp_path, "a.png", encoded(grey, "PNG")))
    np.testing.assert_array_equal(image, np.repeat(np.asarray(grey.convert("L"))[..., None], 3, axis=2))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_alpha_is_dropped_not_blended(tmp_path: Path, mode: str, kind: str) -> None:
    picture = PICTURE.convert(mode)
    picture.putalpha(PICTURE.convert("L"))
    expected = np.asarray(picture)[..., :-1]
    image = read_image(stored(tmp_path, "a", encoded(picture, kind)))
    np.testing.assert_array_equal(image, np.broadcast_to(expected, image.shape))
    assert image.shape == (12, 20, 3)


def test_palette_becomes_colours(tmp_path: Path) -> None:
    picture = PICTURE.quantize(8)
    path = stored(tmp_path, "a.png", encoded(picture, "PNG", transparency=2))
    np.testing.assert_array_equal(read_image(path), np.asarray(picture.convert("RGB")))


def test_sixteen_bits_stay(tmp_path: Path) -> None:
    deep = COLOURS.astype(np.uint16) * 256 + 7
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), deep[..., ::-1])
    image = read_image(path)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, deep)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_camera_orientation_is_applied(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x112] = 6  # to be turned clockwise
    data = encoded(Image.fromarray(SMOOTH), kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    image = read_image(stored(tmp_path, "a", data)).astype(int)
    assert image.shape == (20, 12, 3)
    assert np.abs(image - np.rot90(SMOOTH, -1)).mean() < 8


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_picture_of_animations_and_pages(tmp_path: Path, kind: str) -> None:
    frames = [Image.fromarray(np.full((6, 8, 3), value, np.uint8)) for value in (16, 96, 200)]
    extra = {} if kind == "TIFF" else {"duration": 50}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **extra)
    image = read_image(stored(tmp_path, "a", data))
    assert image.shape == (6, 8, 3)
    assert np.abs(image.astype(int) - 16).max() <= 1


@pytest.mark.parametrize(
    ("bands", "dtype", "planes"), [(4, "uint16", "contig"), (12, "int16", "contig"), (5, "uint8", "separate")]
)
def test_tiff_keeps_every_band(tmp_path: Path, bands: int, dtype: str, planes: str) -> None:
    data = np.random.default_rng(1).integers(0, 100, (10, 14, bands)).astype(dtype)
    path = tmp_path / "a.tif"
    pages = np.moveaxis(data, 2, 0) if planes == "separate" else data
    tifffile.imwrite(path, pages, photometric="minisblack", planarconfig=planes)
    image = read_image(path)
    assert image.dtype == dtype
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, data)


def test_any_path_works(tmp_path: Path) -> None:
    path = stored(tmp_path, "снимок № 1 é 图像.png", encoded(PICTURE, "PNG"))
    np.testing.assert_array_equal(read_image(path), COLOURS)
    np.testing.assert_array_equal(read_image(str(path)), COLOURS)


def test_junk_behind_a_whole_picture_does_no_harm(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG"):
        assert read_image(stored(tmp_path, kind, encoded(PICTURE, kind) + bytes(5000))).shape == (12, 20, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
@pytest.mark.parametrize("kept", [0.98, 0.5])
def test_truncated_files_are_refused(tmp_path: Path, kind: str, kept: float) -> None:
    picture = Image.fromarray(np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    data = encoded(picture, kind)
    path = stored(tmp_path, "broken file", data[: int(len(data) * kept)])
    for read in (read_image, read_stored, read_mask):
        with pytest.raises(DataError, match="broken file") as caught:
            read(path)
        assert caught.value.path == str(path)
        assert "copy it again" in str(caught.value)


def test_jpeg_padded_with_zeros_is_refused(tmp_path: Path) -> None:
    data = encoded(PICTURE, "JPEG", quality=95)
    with pytest.raises(DataError, match="end of the file is missing"):
        read_image(stored(tmp_path, "a.jpg", data[: len(data) * 2 // 3] + bytes(len(data) // 3)))


def test_truncated_png_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path, "a.png", encoded(PICTURE, "PNG")[:-100])
    with pytest.raises(DataError):
        read_image(path)
    assert capfd.readouterr() == ("", "")


def test_truncated_many_band_tiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((50, 50, 5), np.uint16), photometric="minisblack", planarconfig="contig")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"a\.tif"):
        read_image(path)


@pytest.mark.parametrize(
    ("data", "said"), [(b"", "empty"), (b"hello", "not an image"), (b"\x89PNG\r\n\x1a\n", "truncated")]
)
def test_what_is_no_image_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_image(stored(tmp_path, "notes", data))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(DataError, match="cannot be opened"):
        read_image(tmp_path)


def test_float_tiff_is_refused_with_advice(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 5), np.float32))
    with pytest.raises(DataError, match=r"float32 data.*scale it to 8 or 16 bits"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("peak", [1, 255, 60000])
def test_mask_is_what_lies_above_half_of_the_maximum(tmp_path: Path, peak: int) -> None:
    values = np.array([[0, peak // 2, peak // 2 + 1, peak]], dtype=np.uint16 if peak > 255 else np.uint8)
    path = tmp_path / "m.png"
    cv2.imwrite(str(path), values)
    mask = read_mask(path)
    assert mask.shape == (1, 4, 1)
    assert mask.dtype == bool
    assert mask[0, :, 0].tolist() == (values[0] / peak > 0.5).tolist()


def test_colour_masks_sum_their_channels_and_ignore_alpha(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (4, 1), (0, 0, 0, 255))
    path = stored(tmp_path, "m.png", encoded(picture, "PNG"))
    assert not read_mask(path).any()  # opaque black is an empty mask
    for x, colour in enumerate([(255, 255, 255), (255, 255, 0), (255, 0, 0)]):
        picture.putpixel((x, 0), (*colour, 255))
    path = stored(tmp_path, "m.png", encoded(picture, "PNG"))
    assert read_mask(path)[0, :, 0].tolist() == [True, True, False, False]


def test_stored_pixels_keep_label_numbers(tmp_path: Path) -> None:
    labels = np.arange(24, dtype=np.uint16).reshape(4, 6) * 1000
    cv2.imwrite(str(tmp_path / "l.png"), labels)
    found = read_stored(tmp_path / "l.png")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, labels)
