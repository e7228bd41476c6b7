"""Functions of a project that wait for something to happen. A decorator marks them; nothing is registered anywhere."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from musket.core.errors import MusketError

if TYPE_CHECKING:
    from musket.experiment.projects.project import Project

F = TypeVar("F", bound=Callable[[], Any])


def mark(function: F, event: str) -> F:
    """Mark a function of a project module, to be called without arguments.

    Args:
        event: name of the decorator, ``after_fit``.

    Raises:
        MusketError: it is no function, or cannot be called without arguments.
    """
    if not inspect.isfunction(function):
        raise MusketError(f"{event} marks functions; found {function!r}")
    needed = [name for name, one in inspect.signature(function).parameters.items() if _is_needed(one)]
    if needed:
        raise MusketError(
            f"{event}: {function.__name__} is called without arguments, but needs {', '.join(needed)}; give defaults"
        )
    setattr(function, _attribute(event), True)
    return function


def call_marked(project: Project, event: str) -> None:
    """Call the marked functions of a project, by name in alphabetical order.

    Raises:
        MusketError: one or several failed; the others were called all the same.
    """
    functions = (function for function in project.names.values() if getattr(function, _attribute(event), False))
    marked = {function.__name__: function for function in functions}
    failures = []
    for name in sorted(marked):
        try:
            marked[name]()
        except Exception as error:  # noqa: BLE001 (told below, when all others were called)
            frame = traceback.extract_tb(error.__traceback__)[-1]
            failures.append(f"{name}: {type(error).__name__}: {error} ({frame.filename}, line {frame.lineno})")
    if failures:
        raise MusketError("\n".join(f"{event}: {failure}" for failure in failures))


def _attribute(event: str) -> str:
    return f"musket_{event}"


def _is_needed(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )
