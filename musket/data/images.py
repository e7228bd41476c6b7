"""Images and masks from files.

One rule for every format: pictures come as red, green, blue in the integer depth of the file; grey is tripled, alpha is
dropped, palettes and CMYK become colours, the orientation of the camera (EXIF) is applied, animations and multi-page
files give their first picture, colour profiles are not applied. Bands beyond colour (satellite TIFF) are all kept.

What a file holds is read at once and decoded from memory: OpenCV's file reader fills the missing part of a truncated
JPEG with grey and says nothing, its memory reader refuses it. Damage inside the pixel data of a JPEG or an uncompressed
format cannot be seen by any decoder.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from musket.core.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

FilePath = str | Path

#: File names the image readers know, lower case, with the dot.
IMAGE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".jp2"}
)

_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH
_AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BY_PILLOW = (b"GIF8", b"RIFF", b"BM")  # GIF, WebP, BMP: releases of OpenCV differ in what they make of them
_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def read_image(path: FilePath) -> np.ndarray:
    """A picture as an array.

    Returns:
        H x W x 3 of the file's depth: uint8 (0..255) or uint16 (0..65535). TIFF files with bands that are neither
        colour nor alpha: H x W x bands as stored, any integer type.

    Raises:
        DataError: the file is missing, empty, truncated, damaged, of an unknown format, or holds no integers.
    """
    data = _load(path)
    image = _bands(data, path) if data.startswith(_TIFF) else None
    if image is None:
        image = _decode(data, _RGB)
    if image is None:
        image = np.array(_slow(data, path).convert("RGB"))
    return image


def read_rgba(path: FilePath) -> np.ndarray:
    """A picture as four channels, for channels and colours that are picked by number.

    Returns:
        H x W x 4 of the file's depth: red, green, blue and alpha, which is the maximum of the type where there is no
        transparency; grey pictures give four equal channels. Files of other bands: H x W x bands, as stored.

    Raises:
        DataError: as for :func:`read_image`.
    """
    from PIL import Image

    image = read_image(path)
    if image.shape[2] != 3:
        return image
    try:
        with warnings.catch_warnings(), Image.open(path) as header:
            warnings.simplefilter("ignore")
            mode, transparent = header.mode, "transparency" in header.info
    except (OSError, ValueError):  # a TIFF that only other readers know
        mode, transparent = "RGB", False
    if mode in ("1", "L") or mode.startswith("I"):
        return np.repeat(image[..., :1], 4, axis=2)
    peak = int(np.iinfo(image.dtype).max)
    alpha = np.full((*image.shape[:2], 1), peak, image.dtype)
    if transparent or mode in ("RGBA", "LA", "PA"):
        eight_bits = np.array(_slow(_load(path), path).convert("RGBA"))[..., 3:]
        alpha = eight_bits.astype(image.dtype) * (peak // 255)
    return np.concatenate([image, alpha], axis=2)


def read_mask(path: FilePath) -> np.ndarray:
    """A binary mask, H x W x 1, bool: channels (without alpha) are summed; above half of the maximum is object.

    Raises:
        DataError: as for :func:`read_image`.
    """
    stored = read_stored(path)
    if stored.ndim == 3:
        stored = stored.sum(axis=2, dtype=np.uint32)
    peak = stored.max().item()
    return (stored > (peak // 2 if isinstance(peak, int) else peak / 2))[..., None]


def read_stored(path: FilePath) -> np.ndarray:
    """Pixels as the file holds them, for masks and label maps: H x W when grey, else H x W x 3.

    Raises:
        DataError: as for :func:`read_image`.
    """
    data = _load(path)
    image = _decode(data, _AS_STORED)
    if image is None:
        picture = _slow(data, path)
        image = np.array(picture if picture.mode in ("L", "I;16") else picture.convert("RGB"))
    return image


def _load(path: FilePath) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise DataError("no such file; put it back, or take it out of the dataset", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror or error}", path=path) from error
    if not data:
        raise DataError("the file is empty (0 bytes); copy it again, or take it out of the dataset", path=path)
    if _endless(data):
        raise DataError("truncated: the end of the file is missing; copy it again, or take it out", path=path)
    return data


def _endless(data: bytes) -> bool:
    """A JPEG or PNG without its end mark. Decoders print about it, or take zeros in place of the rest for pixels."""
    if data.startswith(_JPEG):
        return not data.endswith(_JPEG_END) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)
    return data.startswith(_PNG) and data.rfind(_PNG_END) < 0


def _decode(data: bytes, flags: int) -> np.ndarray | None:
    """The picture, or None where OpenCV gives up or should not be asked."""
    if data.startswith(_BY_PILLOW):
        return None
    try:
        return cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        return None


def _bands(data: bytes, path: FilePath) -> np.ndarray | None:
    """A TIFF by other readers, H x W x bands; None for grey, RGB or CMYK (5) of up to 16 bits, which OpenCV reads."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            alphas = sum(kind in (1, 2) for kind in page.extrasamples)
            colours = page.samplesperpixel - alphas
            usual = (colours in (1, 3) or page.photometric == 5) and page.sampleformat == 1
            if usual and alphas and page.bitspersample <= 8:
                return np.array(_slow(data, path).convert("RGB"))  # OpenCV would darken colours by their alpha
            if usual and not alphas and page.bitspersample <= 16:
                return None
            planes_first = page.axes.startswith("S")
            bands = page.asarray()
            bands = np.moveaxis(bands, 0, -1) if planes_first else bands
            bands = bands[..., :colours] if alphas else bands
    except (tifffile.TiffFileError, ValueError, OSError, IndexError, KeyError, TypeError) as error:
        raise DataError(
            f"this TIFF cannot be read ({error}); convert it to PNG or an uncompressed TIFF", path=path
        ) from error
    if bands.dtype.kind not in "ui" or bands.ndim not in (2, 3):
        raise DataError(
            f"this TIFF holds {bands.ndim}-dimensional {bands.dtype} data; images are rows x columns (x bands) of "
            "whole numbers: scale it to 8 or 16 bits, or read it in a dataset of your own",
            path=path,
        )
    grey = bands.ndim == 2 or bands.shape[2] == 1
    return np.repeat(np.atleast_3d(bands), 3, axis=2) if grey else np.ascontiguousarray(bands)


def _slow(data: bytes, path: FilePath) -> Image:
    """The picture by Pillow, turned upright, or the reason why a file cannot be read."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(data))
            picture.load()
            return ImageOps.exif_transpose(picture)
    except Image.UnidentifiedImageError:
        reason = "not an image, or of an unknown format"
    except Image.DecompressionBombError as error:
        reason = str(error)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        reason = f"truncated or damaged ({error})"
    raise DataError(f"{reason}; copy it again, convert it to PNG, or take it out of the dataset", path=path)
