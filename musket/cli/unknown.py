"""Arguments that a command does not know, and what was probably meant."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Sequence

from musket.core.registry import nearest

OF_CONFIGS = ("augment", "check", "fit", "lr-find", "new", "predict")
"""Commands whose ``key=value`` are values of a config."""


def words(command: str, parser: argparse.ArgumentParser, unknown: Collection[str], arguments: Sequence[str]) -> str:
    """What to say about arguments that a command does not know.

    Args:
        command: its name.
        parser: its own.
        unknown: those arguments.
        arguments: all, in their order.
    """
    hints = list(_hints(command, parser, unknown, arguments))
    return "\n  ".join([f"unrecognized arguments: {' '.join(unknown)}", *dict.fromkeys(hints)])


def _hints(
    command: str, parser: argparse.ArgumentParser, unknown: Collection[str], arguments: Sequence[str]
) -> Iterator[str]:
    known = {spelling.lstrip("-"): spelling for action in parser._actions for spelling in action.option_strings}
    for argument, follower in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument not in unknown or not argument.startswith("--"):
            continue
        flag, equals, value = argument.partition("=")
        value = value if equals or follower.startswith("-") or "=" in follower else follower
        written = _of_config(flag.lstrip("-"), value) if command in OF_CONFIGS else None
        near = nearest(flag.lstrip("-"), list(known), count=1)
        if written is not None:
            yield f"{flag} {value}".rstrip() + f": values of the config are written {written}"
        elif near:
            yield f"{flag}: did you mean {known[near[0]]}?"


def _of_config(flag: str, value: str) -> str | None:
    from musket.config.other_names import assignment
    from musket.config.schema import AVAILABLE_DIALECTS, DIALECTS
    from musket.config.type_checks import keys_of

    return assignment(flag, value, {key for name in AVAILABLE_DIALECTS for key in keys_of(DIALECTS[name])})
