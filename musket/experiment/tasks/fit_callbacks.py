"""Functions of a project that are called when its experiments are trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from musket.experiment.tasks.marked import call_marked, mark

if TYPE_CHECKING:
    from musket.experiment.projects.project import Project

F = TypeVar("F", bound=Callable[[], Any])


def after_fit(function: F) -> F:
    """Decorator: a function of a project module, without parameters, is called at the end of ``musket fit``.

    Nothing is registered: a project looks for marked functions in its modules.

    Raises:
        MusketError: it is no function, or cannot be called without arguments.
    """
    return mark(function, "after_fit")


def run_after_fit(project: Project) -> None:
    """Call the marked functions of a project, by name in alphabetical order.

    Raises:
        MusketError: one or several failed; the others were called all the same.
    """
    call_marked(project, "after_fit")
