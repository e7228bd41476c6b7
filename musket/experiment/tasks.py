"""Tasks: functions of a project that are run on its trained experiments."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import traceback
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from musket.artifacts import records
from musket.core.errors import ArtifactError, ConfigError, MusketError, Problem
from musket.core.registry import nearest
from musket.data.dataset import DataSet
from musket.experiment import task_results
from musket.experiment.connected import AverageBlend, ConnectedModel, FoldsAndStages, Model

if TYPE_CHECKING:
    from musket.experiment.facade import Experiment
    from musket.experiment.project import Project

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)

_MARK = "musket_task"
# Folders of an experiment that hold something else; a task works in a folder of its own name.
_TAKEN = ("classify_metrics", "classify_weights", "evaluation", "examples", "logs", "metrics", "predictions", "reports")
_TAKEN += ("weights",)
_OF_MODELS = ("folds", "stages", "seeds")
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


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
    from musket.experiment.project import public_names

    modules = [importlib.import_module(name) for name in imports]
    names = {**public_names(modules), **({} if project is None else project.names)}
    return {name: names[name] for name in sorted(names) if getattr(names[name], _MARK, False)}


def task_names(project: Project) -> list[str]:
    """Names of all tasks of a project's modules."""
    return list(tasks_of(project))


def find_task(tasks: Mapping[str, Function], name: str) -> Function:
    """A task by name. Raises MusketError naming the nearest ones."""
    if name not in tasks:
        near = nearest(name, list(tasks)) if len(tasks) > 1 else []
        closest = f"nearest: {', '.join(near)}; " if near else ""
        known = f"there are: {', '.join(tasks)}" if tasks else "no function of the project is marked with tasks.task"
        raise MusketError(f"no such task {name!r}; {closest}{known}")
    return tasks[name]


# ----------------------------------------------------------------------------------------------------- parameters

Wanted = type[FoldsAndStages] | type[AverageBlend] | type[ConnectedModel] | type[DataSet] | None
"""What a parameter is given: a model of this class, a dataset, or (None) a value."""


def parameters_of(function: Function) -> dict[str, tuple[inspect.Parameter, Wanted]]:
    """The parameters of a task, and what each of them is given.

    Raises:
        MusketError: an annotation names what is not there when the program runs.
    """
    try:
        parameters = inspect.signature(function, eval_str=True).parameters
    except Exception as error:
        raise MusketError(
            f"task {function.__name__} of {inspect.getsourcefile(function)}: an annotation cannot be read: {error}; "
            "import what it names, not only for type checkers"
        ) from error
    return {name: (parameter, _wanted(parameter.annotation)) for name, parameter in parameters.items()}


def _wanted(annotation: Any) -> Wanted:
    """What an annotation means; ``X | None`` counts as X."""
    from musket.experiment.facade import Experiment

    for one in (annotation, *typing.get_args(annotation)):
        if one is FoldsAndStages or one is AverageBlend:
            return one
        if one is Model or one is ConnectedModel or (inspect.isclass(one) and issubclass(one, Experiment)):
            return ConnectedModel
        if inspect.isclass(one) and issubclass(one, DataSet):
            return DataSet
    return None


def check_arguments(function: Function, given: Mapping[str, Any]) -> None:
    """See whether a task can be called with these arguments; nothing is opened or run.

    Args:
        given: values by parameter; names of datasets; of models maps of ``folds``, ``stages`` and ``seeds``.

    Raises:
        MusketError: a value is missing, is for no parameter, or does not say which networks or dataset are meant.
    """
    name = function.__name__
    parameters = parameters_of(function)
    named = sorted(key for key, (parameter, _) in parameters.items() if parameter.kind not in _VARIABLE)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter, _ in parameters.values())
    for key in given:
        if key not in named and not takes_any:
            near = nearest(key, named)
            hint = f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(named) or 'none'}"
            raise MusketError(f"task {name} has no parameter {key!r}; {hint}")
    for key, (parameter, wanted) in parameters.items():
        if key in given:
            _check_value(f"task {name}: {key}", wanted, given[key])
        elif wanted in (None, DataSet) and parameter.default is parameter.empty and parameter.kind not in _VARIABLE:
            what = "the name of a dataset" if wanted is DataSet else "a value"
            bare = parameter.annotation is parameter.empty
            hint = "; meant to be the experiment, it is annotated with model.ConnectedModel" if bare else ""
            raise MusketError(
                f"task {name}: {key} needs {what}; give it in the config, as tasks: {{{name}: {{{key}: ...}}}}, or on "
                f"the command line, as {name}.{key}=...{hint}"
            )


def _check_value(key: str, wanted: Wanted, value: Any) -> None:
    if wanted is DataSet and not isinstance(value, str | None):
        raise MusketError(
            f"{key} is the name of a dataset: train, validation, holdout, an entry of datasets, or null for the "
            f"experiment's own; found {value!r}"
        )
    if wanted in (None, DataSet):
        return
    if not isinstance(value, Mapping) or not set(value) <= set(_OF_MODELS):
        raise MusketError(
            f"{key} is the experiment; say which networks of it, as {{folds: [0, 1], stages: -1, seeds: all}}, where "
            f"each may be left out; found {value!r}"
        )


def blends_seeds(function: Function, given: Mapping[str, Any]) -> bool:
    """Whether a task is given the mean of all seeds' models; else it is run for one seed after the other."""
    models = {key: wanted for key, (_, wanted) in parameters_of(function).items() if wanted not in (None, DataSet)}
    return any(
        wanted is AverageBlend or (given.get(key) or {}).get("seeds") is not None for key, wanted in models.items()
    )


def _bound(function: Function, experiment: Experiment, given: Mapping[str, Any]) -> inspect.BoundArguments:
    """The arguments a task is called with."""
    bound = inspect.signature(function).bind_partial()
    rest = dict(given)
    for key, (parameter, wanted) in parameters_of(function).items():
        if parameter.kind is parameter.VAR_KEYWORD:
            bound.arguments[key] = rest
        elif wanted is DataSet and (key in rest or isinstance(parameter.default, str)):
            bound.arguments[key] = experiment.get_dataset(rest.pop(key, parameter.default))
        elif wanted not in (None, DataSet):
            bound.arguments[key] = _model(experiment, wanted, rest.pop(key, None) or {})
        elif key in rest:
            bound.arguments[key] = rest.pop(key)
    return bound


def _model(experiment: Experiment, wanted: Wanted, networks: Mapping[str, Any]) -> ConnectedModel:
    """The experiment, those of its networks that are asked for, or the mean of its seeds."""
    folds, stages, seeds = (networks.get(key) for key in _OF_MODELS)
    if wanted is AverageBlend or seeds is not None:
        return AverageBlend([_part(one, folds, stages) for one in _members(experiment, seeds)])
    return FoldsAndStages(experiment, folds, stages) if wanted is FoldsAndStages else _part(experiment, folds, stages)


def _members(experiment: Experiment, seeds: Any) -> list[Experiment]:
    """The experiments of some seeds, or of all; the experiment itself where it has none."""
    from musket.experiment.project import load_spec
    from musket.experiment.task_places import seed_configs

    configs = seed_configs(experiment.layout.config)
    chosen = list(configs) if seeds in (None, "all") else seeds if isinstance(seeds, list) else [seeds]
    missing = [seed for seed in chosen if seed not in configs]
    if missing:
        known = ", ".join(map(str, configs)) or "none: num_seeds is not set, or nothing is trained"
        raise MusketError(f"{experiment.layout.folder} has no seed {missing[0]!r}; there are: {known}")
    specs = [load_spec(configs[seed], project=experiment.project) for seed in chosen]
    members = [type(experiment).from_spec(spec, experiment.project) for spec in specs] or [experiment]
    for one in members:
        refuse_untrained(one)
    return members


def _part(experiment: Experiment, folds: Any, stages: Any) -> ConnectedModel:
    return experiment if folds is None and stages is None else FoldsAndStages(experiment, folds, stages)


# -------------------------------------------------------------------------------------------------------- running


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
    check_arguments(function, given)
    if not blends_seeds(function, given):
        refuse_untrained(experiment)
    folder = experiment.layout.folder / name
    task_results.forget(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        bound = _bound(function, experiment, given)
        with contextlib.chdir(folder):
            value = function(*bound.args, **bound.kwargs)
        stored = task_results.store(value, folder, lambda words: tell(f"task {name}: {words}"))
    except (Exception, SystemExit) as error:
        entry = {"type": type(error).__name__, "value": str(error), "trace": "".join(traceback.format_exception(error))}
        with contextlib.suppress(ArtifactError):  # the disk that failed the task may fail the record too
            records.write_yaml(folder / task_results.ERROR, {"errors": [entry]})
        raise TaskError(f"task {name} failed: {_told(error, experiment.project)}") from error
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


def refuse_untrained(experiment: Experiment) -> None:
    """Raise MusketError for an experiment without trained networks."""
    folder = experiment.layout.weights(0, 0).parent
    if not any(folder.glob("best-*.weights")):
        raise MusketError(
            f"{experiment.layout.folder} is not trained: there are no weights in {folder.name}; tasks run on trained "
            "experiments, so train it first: musket fit"
        )


def done_before(experiment: Experiment, name: str, args: Mapping[str, Any]) -> bool:
    """Whether a task was done with these arguments since the experiment was evaluated."""
    record = experiment.layout.folder / name / task_results.RECORD
    try:
        if record.stat().st_mtime_ns < experiment.layout.summary.stat().st_mtime_ns:
            return False
        told = records.read_yaml(record)
    except (OSError, ArtifactError):
        return False
    return isinstance(told, dict) and told.get("arguments") == {**settings(experiment, name), **args}


def _told(error: BaseException, project: Project | None) -> str:
    """An error in words, and the line of the project's own code nearest to it."""
    words = str(error) if isinstance(error, MusketError) else f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    root = None if project is None else project.root
    ours = Path(__file__).parents[1]
    own = [
        frame
        for frame in frames
        if (Path(frame.filename).is_relative_to(root) if root is not None else ours not in Path(frame.filename).parents)
    ]
    return f"{words} ({own[-1].filename}, line {own[-1].lineno})" if own else words
