"""How far a command is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

PLAIN_EVERY = 15.0
"""Seconds between two lines where there is no terminal."""

Counted = Callable[[int, int, int], None]
"""Is told how many are done, how many there are, and how many of them failed."""


@contextlib.contextmanager
def counted(doing: str, things: str, quiet: bool = False) -> Iterator[Counted]:
    """Shows a count on the error stream, which leaves the other one to results.

    Args:
        doing: what is done, as ``predicting``.
        things: to what, as ``images``.
        quiet: show nothing.
    """
    from rich.console import Console

    console = Console(stderr=True, quiet=quiet)
    if not console.is_terminal:
        said = time.monotonic()

        def tell(done: int, total: int, failed: int) -> None:
            nonlocal said
            if time.monotonic() - said > PLAIN_EVERY:
                said = time.monotonic()
                console.print(f"{doing}: {done} of {total} {things}{in_words(failed)}", highlight=False)

        yield tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(f"{doing} {things}{{task.fields[failed]}}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task("", total=None, failed="", rate="")

        def show(done: int, total: int, failed: int) -> None:
            speed = bar.tasks[0].speed
            rate = "" if speed is None else f"{speed:.3g}/s"
            bar.update(task, completed=done, total=total, failed=in_words(failed), rate=rate)

        yield show


def in_words(failed: int) -> str:
    """``, 3 cannot be used``; nothing where all can."""
    return f", {failed} cannot be used" if failed else ""
