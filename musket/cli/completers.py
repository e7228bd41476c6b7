"""What shells offer after TAB. Answers without importing torch, and without running code of the project."""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Completer = Callable[..., list[str]]

_ASKED = "_ARGCOMPLETE"  # set by the shell code that `musket completion` prints
_CONFIGS = ("file", "config")
_FOLDERS = ("project", "folder", "output", "out", "cache")


def asked() -> bool:
    """Whether a shell runs us to learn what may come next."""
    return _ASKED in os.environ


def complete(build: Callable[[str | None], argparse.ArgumentParser]) -> None:
    """Tell the shell what may come next, and end the process.

    Args:
        build: the parser, with the arguments of a command.
    """
    import argcomplete

    line = os.environ.get("COMP_LINE", "")
    parser = build(_command(line))
    _give_completers(parser)
    argcomplete.autocomplete(parser, always_complete_options="long", exclude=_other_spellings(parser, line))


def _other_spellings(parser: argparse.ArgumentParser, line: str) -> list[str]:
    """Of options that may be written with dashes or underscores, all spellings but one: the one being written."""
    word = line.rpartition(" ")[2]
    others = []
    for action in _actions(parser):
        alike = [name for name in action.option_strings if name.startswith("--")]
        kept = next((name for name in alike if name.startswith(word)), "")
        others += [name for name in alike if name != kept and name.replace("_", "-") == kept.replace("_", "-")]
    return others


def _command(line: str) -> str | None:
    """The command in a line that may be unfinished."""
    try:
        words = shlex.split(line)
    except ValueError:  # an open quote
        words = line.split()
    return next((word for word in words[1:] if not word.startswith("-")), None)


def _give_completers(parser: argparse.ArgumentParser) -> None:
    """Say of every argument, by its name, what completes it; what is not told here, file names do."""
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    known: dict[str, Any] = {
        "name": experiments,
        "task": tasks,
        "kind": kinds,
        **dict.fromkeys(_CONFIGS, configs),
        **dict.fromkeys(_FOLDERS, DirectoriesCompleter()),
    }
    for action in _actions(parser):
        if action.dest in known and action.choices is None:
            action.completer = known[action.dest]  # type: ignore[attr-defined]
        elif action.choices is None and action.type is Path:
            action.completer = FilesCompleter()  # type: ignore[attr-defined]


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from child._actions
        else:
            yield action


def experiments(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Experiments of the project, after a comma further ones."""
    from musket.experiment.projects.project import Project

    before, comma, _last = prefix.rpartition(",")
    given = {name.strip() for name in before.split(",")}
    names = Project(_root(parsed_args)).experiment_names()
    return [f"{before}{comma}{name}" for name in names if name not in given]


def configs(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Experiments of the project, and YAML files."""
    from argcomplete.completers import FilesCompleter

    return [*experiments(prefix, parsed_args), *FilesCompleter(("yaml", "yml"))(prefix)]


def kinds(prefix: str, **_: Any) -> list[str]:
    """Kinds of parts that have names."""
    from musket.experiment.vocabulary import listing

    return list(dict.fromkeys([*listing(), "experiments"]))


def tasks(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Functions in the modules of the project with a decorator called ``task``; the modules are read, not run."""
    before, comma, _last = prefix.rpartition(",")
    found = ["all"] if not before else []
    for path in sorted((_root(parsed_args) / "modules").glob("*.py")):
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            functions = (node for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.FunctionDef))
            found += [function.name for function in functions if any(map(_is_task, function.decorator_list))]
    return [f"{before}{comma}{name}" for name in found]


def _is_task(decorator: ast.expr) -> bool:
    named = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", "")) == "task"


def _root(parsed: argparse.Namespace) -> Path:
    """The project that is meant."""
    from musket.experiment.projects.project import root_here

    given = getattr(parsed, "project", None)
    return root_here(Path(given).expanduser() if given else None)
