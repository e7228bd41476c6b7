"""Run-length codec under its former import path."""

from __future__ import annotations

from musket.core.rle import masks_as_image, masks_as_images, multi_rle_encode, rle_decode, rle_encode

__all__ = ["masks_as_image", "masks_as_images", "multi_rle_encode", "rle_decode", "rle_encode"]
