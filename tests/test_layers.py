"""Rooms import only downwards, and rooms on one level do not know each other (design: who may import whom)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LEVELS = {
    "core": 0,
    "config": 1,
    "artifacts": 1,
    "data": 2,
    "augment": 2,
    "models": 2,
    "losses": 2,
    "metrics": 2,
    "optim": 2,
    "pipelines": 3,
    "training": 3,
    "predict": 3,
    "report": 3,
    "experiment": 4,
    "launch": 4,
    "cli": 5,
    "musket": 6,  # the package itself: musket/__init__.py and musket/__main__.py, which starts the commands
    "templates": 7,  # what new projects begin with: code of users, that imports the package
    "musket_core": 7,  # the old names re-export everything, the commands among them
    "segmentation_pipeline": 7,
    "classification_pipeline": 7,
    "instance_segmentation_pipeline": 7,
}
PACKAGES = (
    "musket",
    "musket_core",
    "segmentation_pipeline",
    "classification_pipeline",
    "instance_segmentation_pipeline",
)
BY_NAME = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)+(:\w+)?")
"""A module named in text ("musket.losses.terms:dice_loss") is an import that happens later."""


def room_of(module: str) -> str | None:
    """The room a dotted module name belongs to; None for code that is not ours."""
    package, _, rest = module.partition(".")
    if package not in PACKAGES:
        return None
    inner = rest.partition(".")[0]
    return inner if package == "musket" and inner in LEVELS else package


def imports(path: Path, module: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports: in functions, for type checkers only and by text as well."""
    parent = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            anchor = parent[: len(parent) - node.level + 1] if node.level else []
            source = ".".join([*anchor, *(node.module or "").split(".")]).strip(".")
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and BY_NAME.fullmatch(node.value):
            yield node.lineno, node.value.partition(":")[0]


def violations(root: Path) -> list[str]:
    """One line per import that goes upward or sideways: file, line, the arrow and the rule."""
    found = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            relative = path.relative_to(root)
            module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
            room = room_of(module)
            if room == "musket" and len(relative.parts) > 2:
                found.append(
                    f"{relative}:1: room {relative.parts[1]!r} has no level; give it one in {Path(__file__).name}"
                )
                continue
            for line, name in imports(path, module):
                other = room_of(name)
                if room is None or other is None or other == room:
                    continue
                mine, theirs = LEVELS[room], LEVELS[other]
                if theirs >= mine:
                    rule = "imports go down only" if theirs > mine else "rooms on one level do not know each other"
                    found.append(f"{relative}:{line}: {room} ({mine}) imports {name} of {other} ({theirs}); {rule}")
    return found


def test_imports_go_down_only() -> None:
    found = violations(ROOT)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("room", "source", "told"),
    [
        ("core", "import musket.data.images", "musket/core/part.py:1: core (0) imports musket.data.images of data (2)"),
        ("losses", "from musket.metrics import counts", "rooms on one level do not know each other"),
        ("losses", "from musket import training", "losses (2) imports musket.training of training (3)"),
        ("training", "from musket.report.samples import write_jpg", "musket.report.samples.write_jpg of report (3)"),
        (
            "config",
            "def late():\n    from musket.losses import catalogue",
            "part.py:2: config (1) imports",
        ),
        ("data", "if TYPE_CHECKING:\n    from musket.pipelines import base", "imports go down only"),
        ("data", "from ..training import loop", "data (2) imports musket.training.loop of training (3)"),
        ("models", "TARGET = 'musket.training.loop:fit'", "models (2) imports musket.training.loop of training (3)"),
        ("launch", "from musket.experiment import run", "rooms on one level do not know each other"),
        ("experiment", "import musket", "experiment (4) imports musket of musket (6)"),
        ("cli", "import musket_core.fit", "cli (5) imports musket_core.fit of musket_core (7)"),
        ("cellar", "import os", "room 'cellar' has no level"),
    ],
)
def test_an_arrow_that_turns_back_is_told(tmp_path: Path, room: str, source: str, told: str) -> None:
    part = tmp_path / "musket" / room / "part.py"
    part.parent.mkdir(parents=True)
    part.write_text(source)
    [line] = violations(tmp_path)
    assert told in line


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("musket/core/part.py", "import os, numpy\nfrom musket.core import errors\nfrom .errors import MusketError"),
        (
            "musket/training/part.py",
            "from musket.metrics import build\nimport musket.artifacts.files",
        ),
        ("musket/experiment/part.py", "from musket.report import samples\nimport musket.predict.runner"),
        ("musket/__init__.py", "from musket.experiment.facade import parse"),
        ("musket_core/fit.py", "from musket.cli.main import main"),
        ("musket/core/__init__.py", "'''Text about musket.data and more.'''\nfrom . import errors"),
    ],
)
def test_a_downward_import_is_fine(tmp_path: Path, path: str, source: str) -> None:
    part = tmp_path / path
    part.parent.mkdir(parents=True)
    part.write_text(source)
    assert violations(tmp_path) == []
