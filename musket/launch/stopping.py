"""What asks a run to stop, and what is said then."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from musket.core.jobs import Kind

TOLD = "told to stop"
TIME_IS_UP = "time is up"
INTERRUPTED = 130
"""Exit code of a process that Ctrl-C ended."""


_UNDER_WAY = {"train": "epoch", "prepare": "preparation", "evaluate": "evaluation", "task": "task"}


def finishing(reason: str, kinds: Sequence[Kind], *, again: bool) -> str:
    """What people read when jobs go on to their end, or training to the end of an epoch.

    Args:
        kinds: of the jobs under way.
        again: it was Ctrl-C, and the next one stops at once.
    """
    what = " and the ".join(words for kind, words in _UNDER_WAY.items() if kind in kinds)
    return f"{reason}: finishing the {what} under way; Ctrl-C {'again ' if again else ''}stops at once"


@contextlib.contextmanager
def stop_signals(tell: Callable[[int], None]) -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM are told instead of ending the process, and a terminal shows no ``^C``.

    Only where Python allows it, which is the main thread, and not where the process was started to ignore them.

    Args:
        tell: called with the signal's number between any two steps of the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, frame: FrameType | None) -> None:
        tell(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    changed = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for number in changed:
            signal.signal(number, heard)
        with _unseen_keys():
            yield
    finally:
        for number, handler in changed.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _unseen_keys() -> Iterator[None]:
    """Inside, the terminal does not show ``^C``, which would shift what is drawn there. Typing is seen as ever."""
    try:
        import termios
    except ImportError:  # Windows
        yield
        return
    terminal = _own_terminal()
    if terminal is None or not termios.tcgetattr(terminal)[3] & termios.ECHOCTL:
        yield
        return
    _show_control_keys(terminal, False)
    try:
        yield
    finally:
        if _own_terminal() == terminal:
            _show_control_keys(terminal, True)


def end_at_once() -> None:
    """End this process now, whatever its threads do. The terminal shows its cursor and control keys again."""
    os.write(2, b"stopped at once; finished epochs are kept\n")
    terminal = _own_terminal()
    if terminal is not None:
        _show_control_keys(terminal, True)
        if os.isatty(1):
            os.write(1, b"\x1b[?25h")
    os._exit(INTERRUPTED)


def _show_control_keys(terminal: int, shown: bool) -> None:
    import termios

    now = termios.tcgetattr(terminal)
    now[3] = now[3] | termios.ECHOCTL if shown else now[3] & ~termios.ECHOCTL
    termios.tcsetattr(terminal, termios.TCSANOW, now)


def _own_terminal() -> int | None:
    """The terminal of standard input; None where this process is in its background, and may not change it."""
    if not hasattr(os, "tcgetpgrp"):  # Windows
        return None
    try:
        terminal = -1 if sys.stdin is None else sys.stdin.fileno()
        return terminal if os.tcgetpgrp(terminal) == os.getpgrp() else None
    except (OSError, ValueError):
        return None
