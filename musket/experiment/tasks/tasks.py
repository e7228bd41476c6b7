"""Tasks: functions of a project that are run on its trained experiments."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from musket.artifacts import records
from musket.config.read import override
from musket.config.tree import Map, Place, plain
from musket.core.errors import ArtifactError, ConfigError, MusketError, Problem
from musket.core.registry import nearest
from musket.experiment.tasks import results as task_results
from musket.experiment.tasks.arguments import blends_seeds, bound_arguments, check_arguments, parameters_of
from musket.experiment.tasks.places import refuse_untrained

if TYPE_CHECKING:
    from musket.artifacts.layout import Layout
    from musket.experiment.facade import Experiment
    from musket.experiment.projects.project import Project

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)

_MARK = "musket_task"
# Folders of an experiment that hold something else; a task works in a folder of its own name.
_TAKEN = ("classify_metrics", "classify_weights", "evaluation", "examples", "logs", "metrics", "predictions", "reports")
_TAKEN += ("weights",)


@overload
def task(function: F) -> F: ...
@overload
def task(function: None = None) -> Callable[[F], F]: ...
def task(function: Any = None) -> Any:
    """Decorator: a function of a project module becomes a task, to be run by ``musket task``.

    Nothing is registered: a project looks for marked functions in its modules. Parentheses may be left out.

    Args:
        function: its parameters annotated with a model class (``model.ConnectedModel``, ``Experiment`` ...) get the
            experiment, those annotated ``DataSet`` one of its datasets, others a value of the config's key ``tasks``.
            What it returns is stored.

    Raises:
        MusketError: it is no function, or called as a folder of results is.
    """
    if function is None:
        return task
    if not inspect.isfunction(function):
        raise MusketError(f"task marks functions; found {function!r}")
    if function.__name__ in _TAKEN:
        raise MusketError(
            f"a task cannot be called {function.__name__}: the folder of that name holds other results of experiments; "
            "rename it"
        )
    setattr(function, _MARK, True)
    return function


def tasks_of(project: Project | None, imports: Sequence[str] = ()) -> dict[str, Function]:
    """Tasks by name, in alphabetical order: of a project's modules, and of modules that a config imports."""
    from musket.experiment.projects.project import public_names

    modules = [importlib.import_module(name) for name in imports]
    names = {**public_names(modules), **({} if project is None else project.names)}
    return {name: names[name] for name in sorted(names) if getattr(names[name], _MARK, False)}


def task_names(project: Project, imports: Sequence[str] = ()) -> list[str]:
    """Names of all tasks of a project's modules, and of modules that a config imports."""
    return list(tasks_of(project, imports))


def find_task(tasks: Mapping[str, Function], name: str) -> Function:
    """A task by name. Raises MusketError naming the nearest ones."""
    if name not in tasks:
        near = nearest(name, list(tasks)) if len(tasks) > 1 else []
        closest = f"nearest: {', '.join(near)}; " if near else ""
        known = f"there are: {', '.join(tasks)}" if tasks else "no function of the project is marked with tasks.task"
        raise MusketError(f"no such task {name!r}; {closest}{known}")
    return tasks[name]


def chosen_tasks(experiment: Experiment, names: Sequence[str], assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Tasks that are asked for, with the arguments given to them on the command line.

    Args:
        names: of tasks; ``all`` for every one.
        assignments: ``TASK.parameter=value``; or ``parameter=value``, for every chosen task that has it.

    Raises:
        MusketError: no such task, or no chosen one has such a parameter.
    """
    tasks = tasks_of(experiment.project, experiment.spec.imports)
    asked = list(tasks) if "all" in names else list(dict.fromkeys(names))
    if not asked:
        raise MusketError("there is no task: mark a function in modules/ of the project with @tasks.task")
    chosen = {name: find_task(tasks, name) for name in asked}
    given: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    root, problems = override(Map({}, Place()), assignments)
    if problems:
        raise MusketError("\n".join(f"{problem.key}: {problem.message}" for problem in problems))
    for key, value in plain(root).items():
        if key in chosen and isinstance(value, dict):
            given[key] |= value
            continue
        owners = [name for name, function in chosen.items() if key in parameters_of(function)]
        if not owners:
            known = sorted({f"{name}.{one}" for name, function in chosen.items() for one in parameters_of(function)})
            near = nearest(key, [one.partition(".")[2] for one in known])
            hint = f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(known) or 'none'}"
            raise MusketError(f"{key}=...: no task that is to be run has such a parameter; {hint}")
        for name in owners:
            given[name].setdefault(key, value)
    return given


class TaskError(MusketError):
    """A task failed. Says why, and where in the project's code."""


def run_task(
    experiment: Experiment, name: str, args: Mapping[str, Any] | None = None, tell: Callable[[str], object] = print
) -> dict[str, Any]:
    """Run a task in its folder, ``TASK`` beside the config, and store what it returns there.

    Args:
        args: values by parameter, in place of those of the config's key ``tasks``.
        tell: called with a line about what cannot be stored.

    Returns:
        ``{"results": folder, "exception": None}``.

    Raises:
        MusketError: no such task, an argument is missing or wrong, or the experiment is not trained.
        TaskError: the task failed; error.yaml in its folder has the trace.
    """
    function = find_task(tasks_of(experiment.project, experiment.spec.imports), name)
    given = {**settings(experiment, name), **(args or {})}
    check_arguments(function, given, experiment.spec.datasets)
    if not blends_seeds(function, given):
        refuse_untrained(experiment.layout)
    folder = experiment.layout.folder / name
    task_results.forget(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        bound = bound_arguments(function, experiment, given)
        with contextlib.chdir(folder):
            value = function(*bound.args, **bound.kwargs)
        stored = task_results.store(value, folder, lambda words: tell(f"task {name}: {words}"))
    except (Exception, SystemExit) as error:
        entry = {"type": type(error).__name__, "value": str(error), "trace": "".join(traceback.format_exception(error))}
        with contextlib.suppress(ArtifactError):  # the disk that failed the task may fail the record too
            records.write_yaml(folder / task_results.ERROR, {"errors": [entry]})
        raise TaskError(f"task {name} failed: {_told(error, function)}") from error
    records.write_yaml(folder / task_results.RECORD, {"task": name, "arguments": given, "result": stored})
    return {"results": str(folder), "exception": None}


def settings(experiment: Experiment, name: str) -> dict[str, Any]:
    """What the config's key ``tasks`` gives to a task. Raises ConfigError when that is no map."""
    found = experiment.spec.tasks.get(name)
    if not isinstance(found, Mapping | None):
        spec, key = experiment.spec, f"tasks.{name}"
        place = spec.place(key)
        words = f"found {found!r}; give values by parameter, as {name}: {{parameter: value}}"
        raise ConfigError(spec.source, [Problem(place.line, place.column, key, words, place.origin)])
    return dict(found or {})


def done_before(layout: Layout, name: str, given: Mapping[str, Any]) -> bool:
    """Whether a task was done with these arguments since the experiment was evaluated."""
    record = layout.folder / name / task_results.RECORD
    try:
        if record.stat().st_mtime_ns < layout.summary.stat().st_mtime_ns:
            return False
        told = records.read_yaml(record)
    except (OSError, ArtifactError):
        return False
    return isinstance(told, dict) and told.get("arguments") == given


def _told(error: BaseException, function: Function) -> str:
    """An error in words, and the line of the project's own code nearest to it."""
    words = str(error) if isinstance(error, MusketError) else f"{type(error).__name__}: {error}"
    folder = Path(inspect.getsourcefile(function) or "").parent
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == folder]
    return f"{words} ({own[-1].filename}, line {own[-1].lineno})" if own else words
