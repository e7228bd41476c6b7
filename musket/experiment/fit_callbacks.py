"""Functions of a project that are called when its experiments are trained."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from musket.core.errors import MusketError

if TYPE_CHECKING:
    from musket.experiment.project import Project

F = TypeVar("F", bound=Callable[[], Any])
_MARK = "musket_after_fit"


def after_fit(function: F) -> F:
    """Decorator: a function of a project module, without parameters, is called at the end of ``musket fit``.

    Nothing is registered: a project looks for marked functions in its modules.

    Raises:
        MusketError: it is no function, or cannot be called without arguments.
    """
    if not inspect.isfunction(function):
        raise MusketError(f"after_fit marks functions; found {function!r}")
    needed = [name for name, one in inspect.signature(function).parameters.items() if _is_needed(one)]
    if needed:
        raise MusketError(
            f"after_fit: {function.__name__} is called without arguments, but needs {', '.join(needed)}; give defaults"
        )
    setattr(function, _MARK, True)
    return function


def run_after_fit(project: Project) -> None:
    """Call the marked functions of a project, by name in alphabetical order.

    Raises:
        MusketError: one or several failed; the others were called all the same.
    """
    failures = []
    marked = {function.__name__: function for function in project.names.values() if getattr(function, _MARK, False)}
    for name in sorted(marked):
        try:
            marked[name]()
        except Exception as error:  # noqa: BLE001 (told below, when all others were called)
            frame = traceback.extract_tb(error.__traceback__)[-1]
            failures.append(f"{name}: {type(error).__name__}: {error} ({frame.filename}, line {frame.lineno})")
    if failures:
        raise MusketError("\n".join(f"after_fit: {failure}" for failure in failures))


def _is_needed(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )
