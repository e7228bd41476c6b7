"""The data a project needs from elsewhere: ``dependencies`` of project.yaml, downloaded once.

``.metadata/downloaded_deps.yaml`` lists the addresses that are done.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from musket.artifacts.files import write_atomic
from musket.config.read import read
from musket.config.tree import Items, Map, Node, Place, Scalar, describe, dotted
from musket.core.errors import ConfigError, DataError, MusketError, Problem
from musket.data.downloads import fetch, from_kaggle, name_in
from musket.experiment.tasks.marked import call_marked, mark

if TYPE_CHECKING:
    from musket.experiment.projects.project import Project

PROJECT_FILE = "project.yaml"
SCHEMES = ("http", "https", "kaggle.dataset", "kaggle.competition")
_KEYS = ("url", "destination", "force")

F = TypeVar("F", bound=Callable[[], Any])
OnBytes = Callable[[str, int, int | None], object]
"""Is told an address, how many bytes are there, and how many there will be, if the server says so."""


@dataclass(frozen=True)
class Dependency:
    """Something to download.

    Attributes:
        url: its address.
        folder: where it goes.
        force: download it although it was before.
    """

    url: str
    folder: Path
    force: bool = False


@dataclass
class Downloads:
    """What became of the dependencies: addresses that are done now, those that were there, and errors of others."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def after_download(function: F) -> F:
    """Decorator: a function of a project module, without parameters, is called when all dependencies are there.

    Its working directory is ``data/`` of the project. Nothing is registered: a project looks for marked functions in
    its modules.

    Raises:
        MusketError: it is no function, or cannot be called without arguments.
    """
    return mark(function, "after_download")


def dependencies(root: Path) -> list[Dependency] | None:
    """What project.yaml asks for; None where there is no such file.

    Raises:
        ConfigError: everything wrong with the file, at once.
    """
    path = root / PROJECT_FILE
    if not path.is_file():
        return None
    document = read(path)
    entry = document.root.entries.get("dependencies")
    if entry is None or (isinstance(entry.value, Scalar) and entry.value.value is None):
        return []
    problems: list[Problem] = []
    found: list[Dependency] = []
    if not isinstance(entry.value, Items):
        _add(problems, ("dependencies",), entry.place, f"found {describe(entry.value)}; a list of addresses is needed")
    else:
        for number, node in enumerate(entry.value.items):
            found += _dependency(node, root / "data", ("dependencies", number), problems)
    if problems:
        raise ConfigError(path, problems)
    return found


def _dependency(node: Node, data: Path, loc: tuple[str | int, ...], problems: list[Problem]) -> list[Dependency]:
    """One entry of the list; nothing where something is wrong with it."""
    before = len(problems)
    entries = node.entries if isinstance(node, Map) else {}
    for key, entry in entries.items():
        if key not in _KEYS:
            _add(problems, (*loc, key), entry.place, f"there is no such key; allowed are {', '.join(_KEYS)}")
    url = entries["url"].value if "url" in entries else node
    destination = entries["destination"].value if "destination" in entries else None
    force = entries["force"].value if "force" in entries else None
    if not isinstance(url, Scalar) or not isinstance(url.value, str):
        what = "a map without url" if isinstance(node, Map) and "url" not in entries else describe(url)
        _add(problems, loc, url.place, f"found {what}; write an address, or a map of url, destination and force")
    elif wrong := _wrong_with(url.value):
        _add(problems, loc, url.place, wrong)
    if destination is not None and not (isinstance(destination, Scalar) and isinstance(destination.value, str)):
        _add(problems, (*loc, "destination"), destination.place, f"found {describe(destination)}; write a folder")
    if force is not None and not (isinstance(force, Scalar) and isinstance(force.value, bool)):
        _add(problems, (*loc, "force"), force.place, f"found {describe(force)}; write true or false")
    if len(problems) > before:
        return []
    assert isinstance(url, Scalar)
    folder = data if not isinstance(destination, Scalar) else data / str(destination.value)
    return [Dependency(str(url.value), folder, isinstance(force, Scalar) and bool(force.value))]


def _wrong_with(url: str) -> str:
    """Why an address cannot be downloaded; empty when it can."""
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.lower() not in SCHEMES:
        return f"found {url!r}; an address begins with {', '.join(f'{name}://' for name in SCHEMES)}"
    rest = rest.strip("/")
    if scheme.lower() == "kaggle.dataset" and rest.count("/") != 1:
        return f"found {url!r}; write kaggle.dataset://OWNER/NAME"
    if scheme.lower() == "kaggle.competition" and (not rest or "/" in rest):
        return f"found {url!r}; write kaggle.competition://NAME"
    if scheme.lower().startswith("http"):
        try:
            name_in(url)
            if urllib.parse.urlsplit(url).hostname is None:
                return f"found {url!r}; it names no server"
        except (DataError, ValueError):
            return f"found {url!r}; it must end with the name of a file"
    return ""


def _add(problems: list[Problem], loc: tuple[str | int, ...], place: Place, message: str) -> None:
    problems.append(Problem(place.line, place.column, dotted(loc), message))


def download_dependencies(
    project: Project,
    force: bool = False,
    on_bytes: OnBytes = lambda url, done, total: None,
    on_start: Callable[[str], object] = lambda url: None,
) -> Downloads | None:
    """Download what a project needs and does not have, then call its functions marked by :func:`after_download`.

    Args:
        project: its modules are imported already.
        force: download what was downloaded before, too.

    Returns:
        what became of each; None where the project has no project.yaml. One that fails does not stop the others, but
        the functions are called only when all are there.

    Raises:
        ConfigError: everything wrong with project.yaml; nothing is downloaded then.
        MusketError: a function failed, or the list of what is done cannot be read.
    """
    wanted = dependencies(project.root)
    if wanted is None:
        return None
    record = project.root / ".metadata" / "downloaded_deps.yaml"
    known, found = _read_record(record), Downloads()
    for each in wanted:
        if each.url in known and each.folder.is_dir() and not (force or each.force):
            found.skipped.append(each.url)
            continue
        on_start(each.url)
        try:
            _get(each, on_bytes)
        except MusketError as error:
            found.failed[each.url] = str(error)
            continue
        found.done.append(each.url)
        known = [*(url for url in known if url != each.url), each.url]
        write_atomic(record, yaml.safe_dump(known, allow_unicode=True))
    if not found.failed:
        with contextlib.chdir(project.data if project.data.is_dir() else project.root):
            call_marked(project, "after_download")
    return found


def _get(each: Dependency, on_bytes: OnBytes) -> None:
    scheme, _, rest = each.url.partition("://")
    if scheme.lower().startswith("http"):
        fetch(each.url, each.folder, lambda done, total: on_bytes(each.url, done, total))
    else:
        from_kaggle(rest.strip("/"), scheme.lower().removeprefix("kaggle."), each.folder)


def _read_record(path: Path) -> list[str]:
    """The addresses that are done. Raises MusketError when the file is damaged."""
    if not path.exists():
        return []
    try:
        stored = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise MusketError(f"{path}: cannot be read ({error}); delete it, and everything is downloaded anew") from error
    return [str(url) for url in stored] if isinstance(stored, list) else []
