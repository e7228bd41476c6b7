"""Where users hand in parts of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, TypeVar

from musket.core.registry import Registry
from musket.losses.catalogue import ACTIVATIONS, LOSSES
from musket.metrics.catalogue import METRICS
from musket.models.catalogue import ARCHITECTURES
from musket.training.catalogue import CALLBACKS

T = TypeVar("T")


class CustomObjects(MutableMapping[str, Any]):
    """The former framework's dictionary of custom objects: ``custom_objects["my_loss"] = my_loss``.

    A function of one argument is an activation (logits -> predictions, N x classes x H x W); a function of two,
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


def _registering(registry: Registry) -> Callable[[T], T]:
    def decorate(target: T) -> T:
        name = target.__name__  # type: ignore[attr-defined]
        registry.add(
            name, target, replace=name in registry and registry.get(name).facts.get("custom") is True, custom=True
        )
        return target

    return decorate


def loss(function: T) -> T:
    """Decorator: ``f(truth, prediction) -> scalar`` becomes a loss under its own name; predictions are activated."""
    return _registering(LOSSES)(function)


def metric(function: T) -> T:
    """Decorator: ``f(truth, prediction) -> value of a batch`` becomes a metric under its own name."""
    return _registering(METRICS)(function)


def activation(function: T) -> T:
    """Decorator: ``f(logits) -> predictions`` becomes an activation under its own name."""
    return _registering(ACTIVATIONS)(function)


def callback(hook: T) -> T:
    """Decorator: a subclass of ``musket.Hook`` becomes a callback under its own name; its arguments are its options."""
    return _registering(CALLBACKS)(hook)


def architecture(function: T) -> T:
    """Decorator: a function returning a torch module with logits becomes an architecture under its own name.

    It receives those root keys of the config that it names as parameters.
    """
    return _registering(ARCHITECTURES)(function)
