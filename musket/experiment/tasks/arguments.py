"""What tasks are called with: the experiment, its datasets, and values, as the parameters of each ask for."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.core.errors import MusketError
from musket.core.registry import nearest
from musket.data.dataset import DataSet
from musket.experiment.connected import AverageBlend, ConnectedModel, FoldsAndStages, Model
from musket.experiment.tasks.places import refuse_untrained, seed_configs

if TYPE_CHECKING:
    from musket.experiment.facade import Experiment

Function = Callable[..., Any]
_DATASETS = ("train", "validation", "holdout")
# Types that are checked: what they are called, and of which types their values are.
_PLAIN: dict[type, tuple[str, tuple[type, ...]]] = {
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    bool: ("true or false", (bool,)),
    str: ("text", (str,)),
    Path: ("a path", (str, Path)),
    list: ("a list", (list,)),
}
_OF_MODELS = ("folds", "stages", "seeds")
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

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


def check_arguments(function: Function, given: Mapping[str, Any], datasets: Iterable[str] | None = None) -> None:
    """See whether a task can be called with these arguments; nothing is opened or run.

    Args:
        given: values by parameter; names of datasets; of models maps of ``folds``, ``stages`` and ``seeds``.
        datasets: names of the key ``datasets``; None where they are not known yet.

    Raises:
        MusketError: a value is missing, is for no parameter, is of another type than its annotation, or does not say
            which networks or dataset are meant.
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
            if wanted is None and parameter.kind not in _VARIABLE:
                _check_type(f"task {name}: {key}", parameter, given[key])
            elif wanted is DataSet and datasets is not None:
                _check_dataset(f"task {name}: {key}", given[key], [*_DATASETS, *datasets])
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


def _check_type(key: str, parameter: inspect.Parameter, value: Any) -> None:
    """Refuse a value that is none of the plain types which the annotation names; other annotations take anything."""
    annotation = parameter.annotation
    union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    kinds = [typing.get_origin(one) or one for one in (typing.get_args(annotation) if union else (annotation,))]
    if value is None and (parameter.default is None or types.NoneType in kinds):
        return
    kinds = [kind for kind in kinds if kind is not types.NoneType]
    if not all(isinstance(kind, type) and kind in _PLAIN for kind in kinds):
        return
    taken = {one for kind in kinds for one in _PLAIN[kind][1]}
    if type(value) not in taken and not (isinstance(value, Path) and Path in taken):
        wanted = " or ".join(_PLAIN[kind][0] for kind in kinds)
        plain = str in kinds and isinstance(value, int | float)
        quotes = f"; as text it is written in quotes, '\"{value}\"'" if plain else ""
        raise MusketError(f"{key} is {wanted}; found {value!r}{quotes}")


def _check_dataset(key: str, name: Any, known: Sequence[str]) -> None:
    if name is not None and name not in known:
        near = nearest(name, list(known))
        closest = f"nearest: {', '.join(near)}; " if near else ""
        raise MusketError(f"{key}: there is no dataset {name!r}; {closest}there are: {', '.join(dict.fromkeys(known))}")


def blends_seeds(function: Function, given: Mapping[str, Any]) -> bool:
    """Whether a task is given the mean of all seeds' models; else it is run for one seed after the other."""
    models = {key: wanted for key, (_, wanted) in parameters_of(function).items() if wanted not in (None, DataSet)}
    return any(
        wanted is AverageBlend or (given.get(key) or {}).get("seeds") is not None for key, wanted in models.items()
    )


def bound_arguments(function: Function, experiment: Experiment, given: Mapping[str, Any]) -> inspect.BoundArguments:
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
    from musket.experiment.projects.project import load_spec

    configs = seed_configs(experiment.layout.config)
    chosen = list(configs) if seeds in (None, "all") else seeds if isinstance(seeds, list) else [seeds]
    missing = [seed for seed in chosen if seed not in configs]
    if missing:
        known = ", ".join(map(str, configs)) or "none: num_seeds is not set, or nothing is trained"
        raise MusketError(f"{experiment.layout.folder} has no seed {missing[0]!r}; there are: {known}")
    specs = [load_spec(configs[seed], project=experiment.project) for seed in chosen]
    members = [type(experiment).from_spec(spec, experiment.project) for spec in specs] or [experiment]
    for one in members:
        refuse_untrained(one.layout)
    return members


def _part(experiment: Experiment, folds: Any, stages: Any) -> ConnectedModel:
    return experiment if folds is None and stages is None else FoldsAndStages(experiment, folds, stages)
