"""Preprocessors: steps that change the items of a dataset before anything else sees them, one after the other.

A user's function becomes one by a decorator::

    @musket.dataset_preprocessor
    def brighter(input, by=10):  # called with the x of every item
        return np.clip(input.astype(int) + by, 0, 255).astype(np.uint8)

    @musket.dataset_preprocessor
    def only_red(item: PredictionItem):  # annotated so, it is called with whole items
        item.x = item.x[..., :1]
        return item

    @musket.dataset_transformer
    def first(dataset, count):  # called with the dataset, returns another one
        return dataset[:count]

and is named in the config: ``preprocessing: [{brighter: {by: 20}}, cache]``. A decorated function can also be called
with a dataset: ``brighter(dataset, by=20)``.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from musket.config.preprocessing import read_steps
from musket.core.errors import DataError, MusketError
from musket.core.types import PredictionItem
from musket.data.catalogue import PREPROCESSORS
from musket.data.dataset import CompositeDataSet, DataSet, SubDataSet, target_of
from musket.data.derived import DerivedDataSet
from musket.data.sources import code_digest

INPUTS = ("input", "inp")


class PreprocessedItem(PredictionItem):
    """An item that knows what it was before its last preprocessor.

    Args:
        before: the former item, or a function that reads it.
    """

    def __init__(self, path: Any, x: Any, y: Any, before: PredictionItem | Callable[[], PredictionItem]):
        super().__init__(path, x, y)
        self._before = before

    def original(self) -> PredictionItem:
        """The item before the last preprocessor."""
        return self._before if isinstance(self._before, PredictionItem) else self._before()

    def rootItem(self) -> PredictionItem:
        """The item of the dataset before all preprocessors."""
        return self.original().rootItem()


def apply_preprocessing(dataset: Any, steps: Any, cache_folder: Path | None = None, made_by: str = "") -> Any:
    """A dataset behind a chain of preprocessors.

    Args:
        dataset: any dataset.
        steps: as the key ``preprocessing`` has them; decorated functions may stand in place of names.
        cache_folder: where ``disk-cache`` stores items.
        made_by: what made the dataset, and where, for ``disk-cache`` to tell datasets apart; empty: not known.

    Raises:
        RegistryError: no such preprocessor.
        MusketError: a step takes other arguments.
    """
    for step in steps if isinstance(steps, list | tuple) else [steps]:
        if callable(step):
            dataset = step(dataset)
            continue
        for call in read_steps(step):
            entry = PREPROCESSORS.get(call.name)
            wanted = () if entry.facts.get("custom") else entry.facts.get("supplied", ())
            given = {"cache_folder": cache_folder, "made_by": made_by}
            supplied = {name: value for name, value in given.items() if name in wanted}
            dataset = entry.load()(dataset, *call.args, **call.kwargs, **supplied)
    return dataset


def each_component(dataset: Any, make: Callable[[Any], Any]) -> Any:
    """``make`` applied to a dataset, or to every component of a composite one; its own folds and holdout stay."""
    if not isinstance(dataset, CompositeDataSet):
        return make(dataset)
    parts = [each_component(part, make) for part in dataset.components]
    both: Any = CompositeDataSet(parts)
    both.name = " ".join(dict.fromkeys(part.get_name() for part in parts))
    for member in ("folds", "holdoutArr"):
        vars(both).pop(member, None)
        if hasattr(dataset, member):
            setattr(both, member, getattr(dataset, member))
    return both


def derived_name(dataset: Any, step: str, options: Mapping[str, Any]) -> str:
    """Name of a dataset behind a step: the parent's, the step's, and its arguments in alphabetical order."""
    return f"{name_of(dataset)} {_call(step, options)}"


def _call(step: str, options: Mapping[str, Any]) -> str:
    arguments = ", ".join(f"{name}={options[name]}" for name in sorted(options))
    return f"{step}({arguments})" if arguments else step


def name_of(dataset: Any) -> str:
    """Name of any dataset, its class's where it has none."""
    return (
        dataset.get_name() if hasattr(dataset, "get_name") else getattr(dataset, "name", "") or type(dataset).__name__
    )


# ------------------------------------------------------------------------------------------------- users' functions


def dataset_preprocessor(function: Any) -> Callable[..., Any]:
    """Decorator: a function of an item's x becomes a preprocessor under its own name.

    The parameter named ``input`` or ``inp``, else the first one, receives x; annotated as :class:`PredictionItem` it
    receives the whole item, and the function returns an item. A class is instantiated with the arguments of the step
    and then called with x or item.

    Returns:
        ``f(dataset, **arguments) -> dataset``.
    """
    called = function.__call__ if inspect.isclass(function) else function
    parameters = {name: each for name, each in inspect.signature(called).parameters.items() if name != "self"}
    if not parameters:
        raise MusketError(f"{function.__name__} takes no parameter that could receive an item")
    receiver = next((name for name in parameters if name in INPUTS), next(iter(parameters)))
    annotation = parameters[receiver].annotation
    whole = annotation is PredictionItem or str(annotation).rpartition(".")[2] == "PredictionItem"
    supplied = () if inspect.isclass(function) else (receiver,)

    @functools.wraps(function, updated=())
    def apply(dataset: Any, *args: Any, **options: Any) -> Any:
        given = _by_name(function, supplied, args, options)
        return each_component(dataset, lambda part: PreprocessedDataSet(part, apply, given, receiver, whole))

    return _registered(apply, supplied)


def dataset_transformer(function: Any) -> Callable[..., Any]:
    """Decorator: a function ``f(dataset, **arguments) -> dataset`` becomes a preprocessor under its own name.

    The dataset it returns is called like the one it was given, with the function and its arguments behind, unless it
    has a name of its own.
    """
    receiver = next(iter(inspect.signature(function).parameters))

    @functools.wraps(function)
    def apply(dataset: Any, *args: Any, **options: Any) -> Any:
        given = _by_name(function, (receiver,), args, options)
        changed = function(dataset, **given)
        if not (hasattr(changed, "__len__") and hasattr(changed, "__getitem__")):
            raise DataError(f"dataset_transformer {function.__name__} returned {type(changed).__name__}, no dataset")
        if (
            isinstance(changed, DataSet)
            and changed is not dataset
            and changed.name in ("", getattr(dataset, "name", ""))
        ):
            changed.name = derived_name(dataset, function.__name__, given)
        step = _recipe(function, function.__name__, given)
        before = recipes(dataset)
        if changed is not dataset or before[-1:] != [step]:
            if not hasattr(changed, "__dict__"):  # there is no room to note the step
                changed = DerivedDataSet(changed)
            changed.preprocessing_steps = [*before, step]
        return changed

    return _registered(apply, (receiver,))


def _by_name(function: Any, supplied: Iterable[str], args: Iterable[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(function)
    own = [parameter for name, parameter in signature.parameters.items() if name not in supplied]
    try:
        given = dict(signature.replace(parameters=own).bind(*args, **options).arguments)
    except TypeError as error:
        raise MusketError(f"preprocessor {function.__name__}: {error}") from None
    further = [parameter.name for parameter in own if parameter.kind is parameter.VAR_KEYWORD]
    return given | {name: value for each in further for name, value in given.pop(each, {}).items()}


def _registered(apply: Any, supplied: tuple[str, ...]) -> Any:
    name = apply.__name__
    again = name in PREPROCESSORS and PREPROCESSORS.get(name).facts.get("custom") is True
    PREPROCESSORS.add(name, apply, replace=again, custom=True, supplied=supplied)
    return apply


class PreprocessedDataSet(DerivedDataSet):
    """The items of a dataset as a user's function makes them. Ids, folds, holdout and positivity are the child's.

    Args:
        child: the dataset.
        step: what the decorator made of the function; the function itself is found through it, so that worker processes
            can receive it.
        options: arguments of the function.
        receiver: its parameter for x or the item.
        whole: whether that is the item.
    """

    training_differs = False

    def __init__(self, child: Any, step: Any, options: dict[str, Any], receiver: str, whole: bool):
        super().__init__(child)
        self.step = step
        self.options = options
        self.receiver = receiver
        self.whole = whole
        self.name = derived_name(child, step.__name__, options)
        self._run = self._function()

    def _function(self) -> Callable[[Any], Any]:
        function: Any = self.step.__wrapped__
        if inspect.isclass(function):
            made: Any = function(**self.options)
            return made
        return lambda given: function(**{self.receiver: given}, **self.options)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_run"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._run = self._function()

    @property
    def recipe(self) -> str:
        """The step, its arguments, and a digest of its code."""
        return _recipe(self.step.__wrapped__, self.step.__name__, self.options)

    def _changed(self, item: PredictionItem, index: int, is_train: bool) -> PredictionItem:
        given: Any = copy.deepcopy(item.x)  # the function may work in place, and the dataset may hold its arrays
        if self.whole:
            x, given = given, copy.copy(item)
            given.x, given.y = x, copy.deepcopy(item.y)
        try:
            result = self._run(given)
        except MusketError:
            raise
        except Exception as error:
            raise DataError(
                f"preprocessor {self.step.__name__} failed: {type(error).__name__}: {error}", sample=str(item.id)
            ) from error
        if not self.whole:
            return preprocessed(item, result, item.y)
        if not hasattr(result, "x") or not hasattr(result, "y"):
            raise DataError(
                f"preprocessor {self.step.__name__} returned {type(result).__name__}; it was given an item and must "
                "return one",
                sample=str(item.id),
            )
        return preprocessed(item, result.x, result.y, vars(result))

    def get_target(self, index: int) -> Any:
        return self[index].y if self.whole else target_of(self.child, index)


def _recipe(function: Any, name: str, options: Mapping[str, Any]) -> str:
    """A step, its arguments, and a digest of its code."""
    return f"{_call(name, options)} {code_digest(function)}"


def recipes(dataset: Any) -> list[str]:
    """What the preprocessors below a dataset are, innermost first: each with its arguments and a digest of its code."""
    if hasattr(dataset, "preprocessing_steps"):
        return list(dataset.preprocessing_steps)
    if isinstance(dataset, PreprocessedDataSet):
        return [*recipes(dataset.child), dataset.recipe]
    if isinstance(dataset, SubDataSet):
        return recipes(dataset.ds)
    if isinstance(dataset, CompositeDataSet):
        return list(dict.fromkeys(step for part in dataset.components for step in recipes(part)))
    return recipes(dataset.child) if isinstance(dataset, DerivedDataSet) else []


def preprocessed(before: PredictionItem, x: Any, y: Any, known: Mapping[str, Any] | None = None) -> PreprocessedItem:
    """An item made from another one; what either knows besides (its dataset) stays known."""
    item = PreprocessedItem(before.id, x, y, before)
    vars(item).update({**vars(before), **(known or {}), "x": x, "y": y, "_before": before})
    return item


def unchanged(dataset: Any) -> Any:
    """``pass``: the dataset as it is."""
    return dataset
