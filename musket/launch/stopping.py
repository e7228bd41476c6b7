"""What asks a run to stop, and what is said then."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from musket.core.jobs import Kind

TOLD = "told to stop"
TIME_IS_UP = "time is up"


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
    """Inside, Ctrl-C and SIGTERM are told instead of ending the process.

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
        yield
    finally:
        for number, handler in changed.items():
            signal.signal(number, handler)
