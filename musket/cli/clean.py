"""``musket clean``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from musket.cli.values import add_boolean, names
from musket.core.errors import MusketError

if TYPE_CHECKING:
    from musket.experiment.projects.cleaning import Leftovers


def configure(parser: argparse.ArgumentParser) -> None:
    """Which experiments, whether the cache too, and whether to ask."""
    parser.description = (
        "Remove what runs left: weights, metrics, predictions, pictures, logs, evaluation, splits, summaries, seeds, "
        "trials, results of tasks and the project's cache. Configs and all files that Musket did not make stay, those "
        "that tasks wrote themselves, too. Shows what would go and asks. Exit code: 0 done or declined, 2 not possible."
    )
    parser.add_argument("--project", metavar="DIR", type=Path, help="project folder; default: the one you are in")
    parser.add_argument(
        "--name",
        type=_some,
        metavar="NAME[,NAME]",
        help="experiments or patterns to clean; default: all that are no links",
    )
    parser.add_argument(
        "--states",
        action="store_true",
        help="only what resuming needs, weights/last-*.state, of finished experiments: most of what they take; results "
        "stay, but more epochs train that stage afresh",
    )
    add_boolean(parser, "--cache", default=True, help="empty the project's cache, too; default: true")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", "--dry_run", action="store_true", help="show what would go, and leave it there")
    parser.add_argument(
        "--json", action="store_true", help="print what goes as JSON, file by file; needs --yes or --dry-run"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show, ask, remove.

    Returns:
        0 removed, or nothing was to be removed, or the answer was no; 2 nobody could be asked.

    Raises:
        MusketError: there is no such experiment, one is being trained, a file cannot be removed.
    """
    from musket.experiment.projects.cleaning import cache_leftovers, leftovers, link_to, remove, states_only
    from musket.experiment.projects.project import Project, root_here

    if arguments.json and not (arguments.yes or arguments.dry_run):
        raise MusketError("--json does not ask; add --dry-run to see what would go, or --yes to remove it")
    project = Project(root_here(arguments.project).absolute())
    if not project.root.is_dir():
        raise MusketError(f"there is no project folder {project.root}")
    chosen = project.named(arguments.name) if arguments.name else project.experiment_names()
    folders = {name: project.config(name).parent for name in chosen}
    asked = arguments.name or ()  # a link that only a pattern fits is passed over
    found = [leftovers(name, at) for name, at in folders.items() if name in asked or link_to(name, at) is None]
    if arguments.states:
        found = [states_only(each) for each in found]
    elif arguments.cache:
        found.append(cache_leftovers(project.root))
    found = [each for each in found if each.files]
    if arguments.json:
        print(json.dumps([_as_data(each) for each in found], indent=2, ensure_ascii=False))
    else:
        _show(project.root, found)
    if not found or arguments.dry_run:
        return 0
    if not arguments.yes:
        if not sys.stdin.isatty():
            print("nothing was removed: there is no terminal to ask on; say --yes", file=sys.stderr)
            return 2
        if not _agreed():
            print("nothing was removed")
            return 0
    for each in found:
        remove(each)
    if not arguments.json:
        print("removed")
    return 0


def _some(text: str) -> list[str]:
    """Names; an empty text, as a shell makes it of a variable that is not set, does not mean all."""
    found = names(text)
    if found is None:
        raise argparse.ArgumentTypeError("found no name; leave --name out to clean all experiments")
    return found


def _show(root: Path, found: Sequence[Leftovers]) -> None:
    """A table of what goes."""
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    if not found:
        print(f"nothing to remove in {root}")
        return
    print(f"to be removed from {root}")
    table = Table("experiment", "what")
    table.add_column("files", justify="right")
    table.add_column("size", justify="right")
    for each in found:
        what = " ".join(each.kinds) if each.layouts else "decoded images and preprocessed items"
        table.add_row(each.name, what, str(len(each.files)), decimal(each.bytes))
    if len(found) > 1:
        table.add_section()
        files, size = sum(len(each.files) for each in found), sum(each.bytes for each in found)
        table.add_row("together", "", str(files), decimal(size))
    Console().print(table)


def _agreed() -> bool:
    try:
        return input("Remove all that? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _as_data(found: Leftovers) -> dict[str, object]:
    return {"name": found.name, "bytes": found.bytes, "files": [str(path) for path in found.files]}
