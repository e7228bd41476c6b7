"""``musket version``."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata

from musket.core.version import VERSION

LIBRARIES = ("torch", "segmentation-models-pytorch", "timm", "lightning-fabric", "numpy", "opencv-python-headless")


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(arguments: argparse.Namespace) -> int:
    """Print our version, Python's, and those of the libraries that decide about results."""
    versions = {"musket": VERSION, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    for name, version in versions.items():
        print(f"{name:<28} {version}")
    return 0
