"""The version of the package; CHANGELOG.md and pyproject.toml must agree."""

from __future__ import annotations

VERSION = "0.1.0"
