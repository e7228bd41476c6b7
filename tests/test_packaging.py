from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from musket.core.version import VERSION

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
PROJECT = tomllib.loads(PYPROJECT)["project"]
DEPENDENCIES = [Requirement(line) for line in PROJECT["dependencies"]]
HEAVY = ["torch", "torchvision", "timm", "segmentation_models_pytorch", "lightning_fabric", "pandas", "sklearn", "cv2"]
HEAVY += ["matplotlib", "scipy"]


def python(code: str) -> str:
    """Output of a fresh interpreter that sees the checkout."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_changelog_and_package_agree_on_the_version() -> None:
    assert PROJECT["version"] == VERSION
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == PROJECT["version"]


def test_every_dependency_says_why() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    groups += tomllib.loads(PYPROJECT)["dependency-groups"].values()
    names = [entry for group in groups for entry in group if isinstance(entry, str)]
    for name in names:
        lines = [line for line in PYPROJECT.splitlines() if f'"{name}"' in line]
        assert lines
        assert all(re.search(r",\s+# \w.+", line) for line in lines), f"no reason beside {name}"


def test_fabric_releases_known_to_be_unsafe_are_refused() -> None:
    [fabric] = [r for r in DEPENDENCIES if r.name == "lightning-fabric"]
    assert not any(fabric.specifier.contains(bad) for bad in ("2.6.2", "2.6.3", "2.6.4", "2.6.5"))


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-oldest.txt"])
def test_constraints_are_exact_fit_the_bounds_and_name_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert "://" not in text
    assert "--hash" not in text
    pinned = [Requirement(line) for line in text.splitlines() if not line.startswith("#")]
    assert all(str(pin.specifier).startswith("==") for pin in pinned)
    for wanted in DEPENDENCIES:
        pins = [pin for pin in pinned if pin.name == wanted.name]
        assert pins, f"{wanted.name} is not pinned"
        for pin in pins:
            assert wanted.specifier.contains(str(pin.specifier).removeprefix("==")), f"{pin} is outside {wanted}"


def test_the_oldest_row_is_the_lower_bound() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "constraints-oldest.txt").read_text("utf-8").splitlines() if "==" in line
    )
    for wanted in DEPENDENCIES:
        [lowest] = [spec.version for spec in wanted.specifier if spec.operator == ">="]
        assert pins[wanted.name].startswith(lowest), f"{wanted.name}: {pins[wanted.name]} pinned, {lowest} promised"


def test_no_lock_file_is_kept() -> None:
    assert not [path.name for path in ROOT.glob("*.lock")]


def test_importing_the_package_and_the_catalogues_stays_light() -> None:
    """Names must be listed and checked, and help given, without waiting seconds for torch."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for pattern in ("musket/__init__.py", "musket/*/__init__.py", "musket/*/catalogue.py")
        for path in sorted(ROOT.glob(pattern))
    ]
    code = f"import sys, {', '.join(modules)}; print(*[name for name in {HEAVY} if name in sys.modules])"
    assert python(code).split() == []
