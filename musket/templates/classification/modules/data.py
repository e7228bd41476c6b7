"""The data of this project. Every function here can be named as a dataset in an experiment."""

from __future__ import annotations

from musket import ClassFolders


def getTrain() -> ClassFolders:
    """Photos of clothes, a folder per class; paths begin in the folder data/."""
    return ClassFolders("clothes")
