"""The data of this project. Every function here can be named as a dataset in an experiment."""

from musket.data.folders import SimplePNGMaskDataSet


def getTrain() -> SimplePNGMaskDataSet:
    """38 images of nuclei with masks; paths are relative to the project's data folder."""
    return SimplePNGMaskDataSet("train/images", "train/masks", in_ext="png")
