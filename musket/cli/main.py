"""The ``musket`` command. Each command is a module with ``configure(parser)`` and ``run(arguments)``."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from musket.cli import completers, unknown
from musket.core.errors import ConfigWarning, MusketError
from musket.core.registry import nearest
from musket.core.version import VERSION

COMMANDS = {
    "analize": "the same as analyze",
    "analyze": "compare experiments: one row each, as CSV and on screen",
    "augment": "draw what augmentation does to training samples",
    "check": "check a config completely, without training",
    "clean": "remove what runs left",
    "completion": "print the code that makes a shell complete names",
    "deps_download": "download the data a project needs",
    "fit": "train experiments of a project",
    "lr-find": "search for a learning rate to train with",
    "ls": "list experiments, or everything that can be named in a config",
    "modules": "list what a project's modules define",
    "new": "make a project, or an experiment from another one",
    "predict": "predict images with a trained experiment",
    "schema": "print the JSON Schema of configs, for editors",
    "task": "run tasks of a project on its trained experiments",
    "version": "print versions",
}
ELSEWHERE = {
    "client": "there is no training server any more; to train on other machines, use musket fit --engine ray",
    "kaggle_upload": "kaggle's own program uploads folders: kaggle datasets create -p FOLDER",
}
"""Commands of the former framework that are none any more, and what to do instead."""
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: arguments without the program's name; default: those of the process.

    Returns:
        0 done, 1 an experiment failed, 2 wrong usage or config, 130 interrupted.
    """
    if completers.asked():
        completers.complete(lambda command: _parser(_known_as(command))[0])
    arguments = list(sys.argv[1:] if argv is None else argv)
    given = next((argument for argument in arguments if not argument.startswith("-")), None)
    chosen = _known_as(given)
    if given is not None and chosen is not None:
        arguments[arguments.index(given)] = chosen
    parser, child, flags = _parser(chosen)
    arguments = _told_apart(arguments, flags)
    if chosen in ELSEWHERE:
        print(f"musket {chosen}: {ELSEWHERE[chosen]}", file=sys.stderr)
        return USAGE
    if chosen is not None and chosen not in COMMANDS:
        near = nearest(chosen, list(COMMANDS), count=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        print(f"musket: no such command {chosen!r}{hint}\n\n{parser.format_help()}", file=sys.stderr)
        return USAGE
    try:
        parsed, more = parser.parse_known_args(arguments)
        if more:  # argparse does not look for positional arguments behind options twice
            if not hasattr(parsed, "overrides") or any(argument.startswith("-") for argument in more):
                child.error(unknown.words(str(chosen), child, more, arguments))
            parsed.overrides += more
    except SystemExit as exit_:
        return int(exit_.code or DONE)
    if chosen is None:
        parser.print_help()
        return DONE
    try:
        with _warnings_in_short():
            return int(_module(chosen).run(parsed))
    except MusketError as error:
        print(error, file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        kept = "; finished epochs are kept, go on with --allow_resume" if chosen == "fit" else ""
        print(f"\ninterrupted{kept}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has gone, as `head` does; nothing may be flushed into the closed pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _known_as(command: str | None) -> str | None:
    """The name of a command written with dashes or underscores, either way."""
    names = {name.replace("-", "_"): name for name in (*COMMANDS, *ELSEWHERE)}
    return None if command is None else names.get(command.replace("-", "_"), command)


def _module(command: str) -> Any:
    """The module of a command, imported only when it is asked for."""
    return importlib.import_module(f"musket.cli.{command.replace('-', '_')}")


def _told_apart(arguments: list[str], flags: Collection[str]) -> list[str]:
    """In ``--allow_resume lr=0.1`` the flag has no value: what follows is an override."""
    followers = [*arguments[1:], ""]
    return [
        f"{argument}=true" if argument in flags and "=" in follower else argument
        for argument, follower in zip(arguments, followers, strict=False)  # no arguments: nothing to pair
    ]


def _parser(chosen: str | None) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser, set[str]]:
    """The parser, that of the chosen command, and the flags of this command that may have a value or not."""
    own = parser = argparse.ArgumentParser(
        prog="musket",
        description="One YAML file trains, compares and blends image segmentation and classification models.",
        epilog="musket COMMAND --help tells more about a command.",
    )
    parser.add_argument("--version", action="version", version=f"musket {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    flags: set[str] = set()
    for name, summary in COMMANDS.items():
        child = commands.add_parser(name, help=summary, description=f"{summary[:1].upper()}{summary[1:]}.")
        if name == chosen:
            own = child
            _module(name).configure(own)
            optional = (action for action in own._actions if action.nargs == "?" and action.option_strings)
            flags = {spelling for action in optional for spelling in action.option_strings}
    return parser, own, flags


@contextlib.contextmanager
def _warnings_in_short() -> Iterator[None]:
    """Warnings about a config are for its author: one line each, without the place in our code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", ConfigWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: object, **named: object) -> None:
            if issubclass(category, ConfigWarning):
                print(f"warning: {message}", file=sys.stderr)
            else:
                usual(message, category, *rest, **named)  # type: ignore[arg-type]

        warnings.showwarning = show  # type: ignore[assignment]
        yield


if __name__ == "__main__":
    sys.exit(main())
