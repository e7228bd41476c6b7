"""The data of this project. Every function here can be named as a dataset in an experiment."""

from __future__ import annotations

from musket import SimplePNGMaskDataSet


def getTrain() -> SimplePNGMaskDataSet:
    """Images of cell nuclei and their masks; paths begin in the folder data/."""
    return SimplePNGMaskDataSet("images", "masks", in_ext="png")
