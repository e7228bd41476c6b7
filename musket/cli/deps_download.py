"""``musket deps_download``."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from musket.cli.values import add_boolean

Bytes = Callable[[str, int, int | None], None]


def configure(parser: argparse.ArgumentParser) -> None:
    """Which project, and whether what is there is downloaded again."""
    parser.description = (
        "Download what project.yaml lists under dependencies into the project's data folder, unless it is there. "
        "Downloads that were cut off go on; zip archives are unpacked."
    )
    parser.add_argument(
        "folder", nargs="?", metavar="PROJECT", type=Path, help="project folder; default: the one you are in"
    )
    parser.add_argument("--project", metavar="DIR", type=Path, help="the same as PROJECT")
    add_boolean(parser, "--force", help="download again what was downloaded before; default: false")


def run(arguments: argparse.Namespace) -> int:
    """Download, and tell what became of it; see :func:`download`."""
    from musket.experiment.projects.project import root_here

    folder = root_here(arguments.project or arguments.folder)
    return download(folder, force=arguments.force)


def download(folder: Path, *, force: bool = False) -> int:
    """Download what a project needs and does not have.

    Args:
        folder: of the project.
        force: what it has, too.

    Returns:
        0 everything is there, or the project asks for nothing; 1 something could not be had.

    Raises:
        MusketError: project.yaml is wrong, a module of the project fails, or a function called after the download.
    """
    from musket.experiment.projects.dependencies import PROJECT_FILE, download_dependencies
    from musket.experiment.projects.project import open_project

    project = open_project(folder)
    with _progress() as (start, on_bytes):
        found = download_dependencies(project, force, on_bytes, start)
    if found is None:
        print(f"nothing to download: {project.root} has no {PROJECT_FILE}")
        return 0
    if not (found.done or found.skipped or found.failed):
        print(f"nothing to download: {project.root / PROJECT_FILE} lists no dependencies")
    for url in found.skipped:
        print(f"there already: {url}")
    for url in found.done:
        print(f"downloaded: {url}")
    for url, error in found.failed.items():
        print(f"failed: {url}\n  {error}", file=sys.stderr)
    return int(bool(found.failed))


@contextlib.contextmanager
def _progress() -> Iterator[tuple[Callable[[str], None], Bytes]]:
    """A bar on a terminal, a line per address elsewhere; on the error stream."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield (
            lambda url: console.print(f"downloading {url}", highlight=False, soft_wrap=True),
            lambda url, done, total: None,
        )
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        tasks = {}

        def start(url: str) -> None:
            tasks[url] = bar.add_task(url.rpartition("/")[2][-30:], total=None)

        yield start, lambda url, done, total: bar.update(tasks[url], completed=done, total=total)
