"""Which files of a project's own code an experiment uses, told from their text alone: nothing is imported."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_WORD = re.compile(r"[^\W\d]\w*")


def digests(root: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The files of a project's modules that a config needs.

    These are the files that define a name the config mentions, those that ``imports`` lists, and all modules of the
    project that they import. Code that acts without being named, by a side effect of its import, is not found.

    Args:
        root: the project's folder.
        config: the resolved config, as plain data.

    Returns:
        path relative to the project -> digest of the file's bytes; sorted.
    """
    folder = root / "modules"
    trees = dict(_trees(folder))
    files = {_module(path, folder): path for path in trees}
    words = set(_words(config))
    imports = config.get("imports") or ()
    named = {imports} if isinstance(imports, str) else set(imports)
    waiting = [path for path, tree in trees.items() if words & set(_names(tree)) or _module(path, folder) in named]
    used: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in used:
            used.add(path)
            waiting += [files[name] for name in _imported(trees[path], _package(path, folder)) if name in files]
    return {path.relative_to(root).as_posix(): _digest(path) for path in sorted(used)}


def differences(stored: Mapping[str, str], current: Mapping[str, str]) -> list[str]:
    """Changed files, in words: ``code: modules/data.py changed``."""
    changed = [name for name in stored if name in current and current[name] != stored[name]]
    gone = [name for name in stored if name not in current]
    new = [name for name in current if name not in stored]
    ways = ((changed, "changed"), (gone, "is used no more"), (new, "is used now"))
    return [f"code: {name} {what}" for names, what in ways for name in names]


def _trees(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Every file that can be read as Python; whoever imports one that cannot says what is wrong with it."""
    for path in sorted(folder.rglob("*.py")):
        try:
            yield path, ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue


def _module(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _package(path: Path, folder: Path) -> list[str]:
    """The package that relative imports of a file start at."""
    return list(path.relative_to(folder).parts[:-1])


def _words(value: Any) -> Iterator[str]:
    """Every word of a config that may be a name: keys, and texts, expressions of losses among them."""
    if isinstance(value, str):
        yield from _WORD.findall(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _WORD.findall(str(key))
            yield from _words(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _words(item)


def _names(tree: ast.Module) -> Iterator[str]:
    """Names a file defines, and those it registers: by a decorator's text, or ``custom_objects["name"] = ...``."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
            for decorator in node.decorator_list:
                yield from _texts(decorator)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id
                elif isinstance(target, ast.Subscript):
                    yield from _texts(target.slice)
        elif isinstance(node, ast.Expr):
            yield from _texts(node.value)


def _texts(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and _WORD.fullmatch(inner.value):
            yield inner.value


def _imported(tree: ast.Module, package: list[str]) -> Iterator[str]:
    """Dotted names of what a file imports, wherever in it, and of the packages around them."""
    for node in ast.walk(tree):
        names: Iterable[list[str]] = ()
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            anchor = package[: len(package) - node.level + 1] if node.level else []
            source = [*anchor, *(node.module.split(".") if node.module else [])]
            names = [[*source, alias.name] for alias in node.names]
        for parts in names:
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
