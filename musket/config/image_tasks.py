"""The keys of old per-image tasks, ``import_tasks`` and ``run_tasks``."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from musket.config.schema import ExperimentSpec, SegmentationSpec
from musket.config.tree import Loc, closest, describe
from musket.config.vocabulary import Finding, Findings, Vocabulary

ENTRY = ("tasks", "dataset", "fold", "stage", "parameters")
_PART = re.compile(r"holdout|oof|(validation|train)\d*")


def check_image_tasks(spec: ExperimentSpec, source: Path, vocabulary: Vocabulary, written: Collection[str]) -> Findings:
    """Files and functions exist, and every entry says which data and networks it means.

    Args:
        source: the config file; files of ``import_tasks`` lie beside it, or, for a seed or a trial, beside the config
            of its experiment.
        written: keys that are in the file.
    """
    if not isinstance(spec, SegmentationSpec):
        return
    known = {*vocabulary.datasets.spellings()}  # functions of the project are among them
    for number, name in enumerate(spec.import_tasks):
        paths = [folder / f"{name.removesuffix('.py')}.py" for folder in source.absolute().parents[:3]]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            yield Finding(("import_tasks", number), f"there is no file {paths[0]}")
            continue
        try:
            known |= defined_names(path.read_bytes())
        except (SyntaxError, ValueError) as error:
            yield Finding(("import_tasks", number), f"{path} is no Python file: {error}")
    # A dataset may bring folds of its own; a number of folds in the file is what it is split into.
    folds = spec.folds_count if "folds_count" in written else None
    for number, entry in enumerate(spec.run_tasks):
        yield from _check_entry(("run_tasks", number), entry, spec, known, folds)


def defined_names(program: bytes) -> set[str]:
    """Names a Python file defines or imports at its top level. Nothing is run."""
    names: set[str] = set()
    for node in ast.parse(program).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _check_entry(
    loc: Loc, entry: Mapping[str, Any], spec: ExperimentSpec, known: Collection[str], folds: int | None
) -> Findings:
    for key in entry.keys() - set(ENTRY):
        near = closest(str(key), ENTRY)
        yield Finding((*loc, key), f"no such key; there are: {', '.join(near or ENTRY)}", key=True)
    tasks = entry.get("tasks")
    names = [tasks] if isinstance(tasks, str) else tasks
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        yield Finding((*loc, "tasks"), f"found {describe(tasks)}; must be functions by name: [save_image]")
    else:
        for name in (name for name in names if name not in known):
            words = f"no such function {describe(name)} in the files of import_tasks or in modules/ of the project"
            yield Finding((*loc, "tasks"), words)
    dataset = entry.get("dataset")
    if dataset is not None and (not isinstance(dataset, str) or not _known_dataset(dataset, spec)):
        near = closest(str(dataset), list(spec.datasets))
        there = ", ".join(near or (*spec.datasets, "train", "validation", "holdout", "oof"))
        yield Finding((*loc, "dataset"), f"no such dataset {describe(dataset)}; there are: {there}")
    yield from _check_numbers((*loc, "fold"), entry.get("fold"), 0, folds)
    yield from _check_numbers((*loc, "stage"), entry.get("stage"), -1, len(spec.stages))
    if not isinstance(entry.get("parameters"), Mapping | None):
        yield Finding((*loc, "parameters"), f"found {describe(entry['parameters'])}; must be a map")


def _known_dataset(name: str, spec: ExperimentSpec) -> bool:
    return name in spec.datasets or _PART.fullmatch(name) is not None


def _check_numbers(loc: Loc, value: Any, first: int, count: int | None) -> Findings:
    """One number, several, or none for all."""
    numbers: Sequence[Any] = value if isinstance(value, list) else [] if value is None else [value]
    for number in numbers:
        whole = isinstance(number, int) and not isinstance(number, bool)
        if not whole or number < first or (count is not None and number >= count):
            limit = f"from {first} to {count - 1}" if count is not None else f"of {first} and above"
            yield Finding(loc, f"found {describe(number)}; must be a whole number {limit}")
    if isinstance(value, list) and not value:
        yield Finding(loc, "found an empty list; name one at least, or leave it out for all")
