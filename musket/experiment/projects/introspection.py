"""What the modules of a project define, for people and editors: names, kinds, places, parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musket.data.dataset import DataSet
from musket.experiment.projects.project import Project
from musket.experiment.vocabulary import REGISTRIES

Element = dict[str, Any]
"""``name``, ``kind``, ``file`` (below the project), ``line``, ``doc`` and ``parameters``, a list of maps with ``name``
and, where there are such, ``type`` and ``default``, as written in Python."""

# Marks of decorators, with the kind they make of a function.
_MARKED = {"musket_task": "task", "musket_after_fit": "after fit", "musket_after_download": "after download"}
_BARE = (inspect.Parameter.empty, inspect.Signature.empty)


def elements(project: Project) -> list[Element]:
    """Every public function and class that the project's own modules define, in the order of files and lines."""
    registered = {id(entry.target): registry.kind for registry in REGISTRIES for entry in registry.entries()}
    by_name = {
        entry.name: registry.kind
        for registry in REGISTRIES
        for entry in registry.entries()
        if entry.facts.get("custom")
    }
    found = []
    for name, value in project.names.items():
        place = _place(value, project.root)
        if place is not None:
            kind = _marked_as(value) or registered.get(id(value)) or by_name.get(name) or _kind(value)
            found.append(_element(name, kind, *place, value))
    return sorted(found, key=lambda element: (element["file"], element["line"], element["name"]))


def _place(value: Any, root: Path) -> tuple[str, int] | None:
    """File, below the project, and line of a definition; None for one of another package."""
    plain = inspect.unwrap(value)
    try:
        file = Path(inspect.getsourcefile(plain) or "").resolve()
        line = inspect.getsourcelines(plain)[1]
    except (OSError, TypeError):
        return None
    root = root.resolve()
    return (file.relative_to(root).as_posix(), line) if file.is_relative_to(root / "modules") else None


def _marked_as(value: Any) -> str | None:
    """What a decorator made of a function; None where it has none."""
    return next((kind for mark, kind in _MARKED.items() if getattr(value, mark, False)), None)


def _kind(value: Any) -> str:
    """What something without mark that is in no registry is used as, told by its bases or what it says it returns."""
    if inspect.isclass(value):
        bases = [f"{base.__module__}.{base.__qualname__}" for base in inspect.getmro(value)]
        if "torch.nn.modules.module.Module" in bases:
            return "layer"
        items = all(callable(getattr(value, name, None)) for name in ("__getitem__", "__len__"))
        return "dataset" if issubclass(value, DataSet) or items else "class"
    returned = str(getattr(inspect.unwrap(value), "__annotations__", {}).get("return", ""))
    return "dataset" if "DataSet" in returned else "function"


def _element(name: str, kind: str, file: str, line: int, value: Any) -> Element:
    try:
        parameters: Mapping[str, inspect.Parameter] = inspect.signature(value).parameters
    except (TypeError, ValueError):
        parameters = {}
    return {
        "name": name,
        "kind": kind,
        "file": file,
        "line": line,
        "doc": inspect.getdoc(value) or "",
        "parameters": [_parameter(parameter) for parameter in parameters.values()],
    }


def _parameter(parameter: inspect.Parameter) -> dict[str, Any]:
    told: dict[str, Any] = {"name": parameter.name}
    if parameter.annotation not in _BARE:
        told["type"] = inspect.formatannotation(parameter.annotation)
    if parameter.default not in _BARE:
        told["default"] = repr(parameter.default)
    return told
