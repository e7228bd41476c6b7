"""Where users hand in parts of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, TypeVar, overload

from musket.augment import own
from musket.core.registry import Registry
from musket.losses.catalogue import ACTIVATIONS, LOSSES
from musket.metrics.catalogue import FINAL_METRICS, METRICS, Mode
from musket.models.catalogue import ARCHITECTURES
from musket.models.classifier_catalogue import CLASSIFIERS
from musket.training.catalogue import CALLBACKS

T = TypeVar("T")


class CustomObjects(MutableMapping[str, Any]):
    """The former framework's dictionary of custom objects: ``custom_objects["my_loss"] = my_loss``.

    A function of one argument is an activation (logits -> predictions, N x classes x ...); a function of two,
    ``f(truth, prediction)``, can be named as loss and as metric. Setting a name again replaces it.
    """

    def __init__(self) -> None:
        self._own: dict[str, tuple[Any, list[Registry]]] = {}

    def __getitem__(self, name: str) -> Any:
        return self._own[name][0]

    def __setitem__(self, name: str, function: Any) -> None:
        registries = [ACTIVATIONS] if _required_arguments(function) == 1 else [LOSSES, METRICS]
        if name in self._own:
            del self[name]
        for registry in registries:
            registry.add(name, function)
        self._own[name] = (function, registries)

    def __delitem__(self, name: str) -> None:
        for registry in self._own.pop(name)[1]:
            registry.remove(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


def _required_arguments(function: Callable[..., Any]) -> int:
    parameters = inspect.signature(function).parameters.values()
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


custom_objects = CustomObjects()


def _register(registry: Registry, target: T, **facts: Any) -> T:
    name = getattr(target, "__name__", "") or target.name  # type: ignore[attr-defined]
    known = name in registry and registry.get(name).facts.get("custom") is True
    registry.add(name, target, replace=known, custom=True, **facts)
    return target


def loss(function: T) -> T:
    """Decorator: ``f(truth, prediction) -> scalar`` becomes a loss under its own name; predictions are activated."""
    return _register(LOSSES, function)


def metric(function: T) -> T:
    """Decorator: ``f(truth, prediction) -> value of a batch`` becomes a metric under its own name."""
    return _register(METRICS, function)


@overload
def final_metric(function: T) -> T: ...
@overload
def final_metric(function: None = None, *, mode: Mode | None = None) -> Callable[[T], T]: ...
def final_metric(function: Any = None, *, mode: Mode | None = None) -> Any:
    """Decorator: a metric of finished predictions under its own name, for the key ``final_metrics``.

    Args:
        function: ``f(connected_model, predictions_dataset) -> number or map of numbers``, or a subclass or an instance
            of ``musket.metrics.final.ByOneMetric``. Items of the dataset have ``x``, ``y`` and ``prediction``.
        mode: "max" or "min", which way is better: needed to choose the best epoch by it.
    """

    def decorate(target: T) -> T:
        return _register(FINAL_METRICS, target, mode=mode)

    return decorate if function is None else decorate(function)


def activation(function: T) -> T:
    """Decorator: ``f(logits) -> predictions`` becomes an activation under its own name."""
    return _register(ACTIVATIONS, function)


def callback(hook: T) -> T:
    """Decorator: a subclass of ``musket.Hook`` becomes a callback under its own name; its arguments are its options."""
    return _register(CALLBACKS, hook)


def architecture(function: T) -> T:
    """Decorator: a function returning a torch module with logits becomes a segmentation architecture.

    It receives those root keys of the config that it names as parameters.
    """
    return _register(ARCHITECTURES, function)


def network(function: T) -> T:
    """Decorator: a function returning a torch module with logits becomes a network of classification.

    It receives those root keys of the config that it names as parameters: ``in_channels``, ``classes`` (a list with
    several heads), ``shape``, ``weights``, ``pooling``, ``dropout``, ``activation``, and options of its own. With
    several heads the module gives the logits of all side by side, or a list with a tensor per head.
    """
    return _register(CLASSIFIERS, function)


def augmenter(target: T) -> T:
    """Decorator: a function or class becomes an augmenter under its own name; see docs/augmentation.md.

    ``f(image, **options) -> image``, or ``f(image, mask, **options) -> (image, mask)``; either may also take
    ``random``, a numpy generator of this sample's draws. Of a class, the objects are called like that, and the
    arguments of its constructor are the options. Classes written for imgaug, with ``augment_images(images)`` or
    ``_augment_images(images, random_state, parents, hooks)``, change images and leave masks.
    """
    return own.register(target)
