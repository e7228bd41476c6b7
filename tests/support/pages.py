"""Pages of the documentation: their code blocks, and what is needed to run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

ROOT = Path(__file__).parents[2]
NUCLEI = ROOT / "examples" / "nuclei" / "data"
CLOTHING = ROOT / "examples" / "clothing" / "data"
_FENCE = re.compile(r"^```(\S*)[ \t]*(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: language, the word behind it (a file name, ``fragment``, ``afresh``), and where it stands."""

    language: str
    word: str
    text: str
    place: str


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page, in order."""
    text = page.read_text("utf-8")
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(found[1], found[2].strip(), found[3], f"{page.relative_to(ROOT)}:{line}")


def smaller(config: str) -> str:
    """A config that trains in seconds: little images, two folds, one epoch a stage."""
    config = re.sub(r"\bepochs: \d+", "epochs: 1", config)
    config = re.sub(r"^shape: \[\d+, \d+", "shape: [32, 32", config, flags=re.MULTILINE)
    config = re.sub(r"^batch: \d+", "batch: 2", config, flags=re.MULTILINE)
    config = re.sub(r"^folds_count: .*\n", "", config, flags=re.MULTILINE)
    return f"{config}\nfolds_count: 2\n"


def write_images(folder: Path) -> None:
    """What pages suppose to be there: nuclei of 48 x 48 pixels under the names of README and quickstart."""
    places = {
        "pics/train": ("jpg", "train/images"),
        "pics/train_mask": ("png", "train/masks"),
        "pics/new": ("png", "heldout/images"),
        "data/train/images": ("png", "train/images"),
        "data/train/masks": ("png", "train/masks"),
        "new": ("png", "heldout/images"),
    }
    for place, (extension, source) in places.items():
        (folder / place).mkdir(parents=True)
        for path in sorted((NUCLEI / source).glob("*.png"))[:8]:
            flags = cv2.IMREAD_GRAYSCALE if "mask" in place else cv2.IMREAD_COLOR
            whole = cv2.imread(str(path), flags)
            assert whole is not None, path
            small = cv2.resize(whole, (48, 48), interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(str(folder / place / f"{path.stem}.{extension}"), small)
    write_clothes(folder)


def write_clothes(folder: Path) -> None:
    """Photos of clothes of 32 pixels, a folder per class, and their table."""
    lines = (CLOTHING / "labels.csv").read_text("utf-8").splitlines()
    kept = [line for number, line in enumerate(lines[1:]) if number % 6 == 0]  # four of each kind, half for kids
    for line in kept:
        name = line.partition(",")[0]
        whole = cv2.imread(str(CLOTHING / "clothes" / name))
        assert whole is not None, name
        for place in (folder / "clothes", folder / "data" / "clothes"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / name), cv2.resize(whole, (32, 32), interpolation=cv2.INTER_AREA))
    for place in (folder, folder / "data"):
        (place / "labels.csv").write_text("\n".join([lines[0], *kept]) + "\n", "utf-8")


def generated(maker: str) -> str:
    """The page that a module of docs/ makes, in a process of its own: other tests register names that are not ours."""
    code = f"import sys; sys.path.insert(0, 'docs'); import {maker}; print({maker}.page(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
