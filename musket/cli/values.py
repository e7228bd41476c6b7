"""How arguments of commands are written: booleans that mean what they say, lists with commas."""

from __future__ import annotations

import argparse

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def boolean(text: str) -> bool:
    """``true``, ``yes``, ``on``, ``1`` and their opposites, in any letter case."""
    word = text.strip().lower()
    if word not in TRUE + FALSE:
        raise argparse.ArgumentTypeError(f"found {text!r}; write true or false")
    return word in TRUE


def names(text: str) -> list[str] | None:
    """Names separated by commas; None when there is none."""
    return [name.strip() for name in text.split(",") if name.strip()] or None


def numbers(text: str) -> list[int]:
    """Whole numbers separated by commas."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}; write numbers separated by commas: 0,1") from None


def count(text: str) -> int:
    """A whole number of 1 or more."""
    return _whole(text, 1)


def count_from_zero(text: str) -> int:
    """A whole number of 0 or more."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"found {text!r}; write a whole number of {least} or more")
    return number


def spellings(flag: str) -> list[str]:
    """A flag with underscores, and the same with dashes."""
    return list(dict.fromkeys((flag, "--" + flag.removeprefix("--").replace("_", "-"))))


def add_boolean(parser: argparse._ActionsContainer, flag: str, *, help: str, default: bool = False) -> None:  # noqa: A002
    """``--flag``, ``--flag true`` and ``--flag=false``, in both spellings."""
    parser.add_argument(
        *spellings(flag), type=boolean, nargs="?", const=True, default=default, metavar="BOOL", help=help
    )
