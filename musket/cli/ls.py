"""``musket ls``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from musket.cli import ls_experiments
from musket.core.errors import MusketError
from musket.core.registry import nearest

if TYPE_CHECKING:
    from musket.experiment.projects.project import Project

Listed = tuple[str, str, list[str]]
"""A name, one line of explanation, other spellings."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Kind, project and form."""
    parser.description = (
        "List everything that can be named in a config, those of the project's own modules first; or the experiments "
        "of a project, and where each of them stands."
    )
    parser.add_argument(
        "kind", nargs="?", metavar="KIND", help="experiments, losses, metrics, callbacks ...; without it, the kinds"
    )
    parser.add_argument("--project", metavar="DIR", type=Path, help="project folder; default: the one you are in")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    ls_experiments.configure(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the names of a kind, each with one line of explanation, or the experiments.

    Raises:
        MusketError: there is no such kind or project; a module of the project fails.
    """
    from musket.experiment.projects.project import CONFIG, open_project, project_root

    root = arguments.project or project_root(Path.cwd() / CONFIG)
    if arguments.kind in ("experiments", "experiment"):
        root = Path.cwd() if root is None else root
        if not root.is_dir():
            raise MusketError(f"there is no project folder {root}")
        return ls_experiments.run(root, arguments)
    if arguments.state or arguments.no_data:
        raise MusketError("--state and --no-data go with musket ls experiments")
    kinds = _kinds(None if root is None else open_project(root))
    if arguments.kind is None:
        chosen = kinds
    else:
        name = _kind(arguments.kind, [*kinds, "experiments"])
        chosen = {name: kinds[name]}
    if arguments.json:
        shown = {
            kind: [{"name": name, "summary": summary, "aliases": aliases} for name, summary, aliases in entries]
            for kind, entries in chosen.items()
        }
        print(json.dumps(shown if arguments.kind is None else shown[next(iter(shown))], indent=2, ensure_ascii=False))
    elif arguments.kind is None:
        for kind, entries in chosen.items():
            print(f"{kind:<16} {len(entries):>4}   musket ls {kind}")
    else:
        _print_names(next(iter(chosen.values())))
    return 0


def _kinds(project: Project | None) -> Mapping[str, list[Listed]]:
    """What can be named, by kind; the project's own comes first."""
    from musket.experiment.vocabulary import listing

    kinds = {**listing(), "tasks": []}
    if project is None:
        return kinds
    from musket.experiment.projects.introspection import elements

    places = {element["name"]: element for element in elements(project)}
    unlisted = [one for one in places.values() if one["kind"] in ("dataset", "function")]
    known = {name for name, _, _ in kinds["datasets"]}
    kinds["datasets"] += [
        (one["name"], one["doc"].partition("\n")[0], []) for one in unlisted if one["name"] not in known
    ]
    tasks = [one for one in places.values() if one["kind"] == "task"]
    kinds["tasks"] = [(one["name"], one["doc"].partition("\n")[0], []) for one in tasks]
    for kind, entries in kinds.items():
        own = [
            (name, f"{words} ({places[name]['file']})".strip(), more) for name, words, more in entries if name in places
        ]
        kinds[kind] = [*own, *(entry for entry in entries if entry[0] not in places)]
    return kinds


def _print_names(entries: list[Listed]) -> None:
    width = max((len(name) for name, _, _ in entries), default=0)
    for name, summary, aliases in entries:
        also = f" (also {', '.join(aliases)})" if aliases else ""
        print(f"{name:<{width}}  {summary}{also}".rstrip())


def _kind(asked: str, kinds: list[str]) -> str:
    """The plural of a kind given in either number."""
    for kind in kinds:
        if asked.lower() in (kind, kind.removesuffix("s"), kind.removesuffix("es")):
            return kind
    near = nearest(asked, kinds)
    hint = f"nearest: {near[0]}" if near else f"there are: {', '.join(kinds)}"
    raise MusketError(f"no such kind {asked!r}; {hint}")
