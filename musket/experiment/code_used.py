"""Which files of a project's own code an experiment uses, told from their text alone: nothing is imported."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = "modules"
_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class ProjectCode:
    """The modules of a project as they are now.

    Attributes:
        root: the project's folder.
        trees: what every file says.
    """

    root: Path
    trees: Mapping[Path, ast.Module]

    def used(self, config: Mapping[str, Any]) -> dict[str, str]:
        """The files that a config needs.

        These are the files that define a name the config mentions, those that ``imports`` lists, and all modules of
        the project that they import. Code that acts without being named, by a side effect of its import, is not found.

        Args:
            config: the resolved config, as plain data.

        Returns:
            path relative to the project -> digest of the file's bytes; sorted.
        """
        files = {self._module(path): path for path in self.trees}
        words = set(_words(config))
        imports = config.get("imports") or ()
        listed = {imports} if isinstance(imports, str) else set(imports)
        waiting = [path for name, path in files.items() if name in listed or words & set(_names(self.trees[path]))]
        used: set[Path] = set()
        while waiting:
            path = waiting.pop()
            if path not in used:
                used.add(path)
                waiting += [files[name] for name in self._imported(path) if name in files]
        return {path.relative_to(self.root).as_posix(): _digest(path) for path in sorted(used)}

    def _module(self, path: Path) -> str:
        parts = path.relative_to(self.root / FOLDER).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _imported(self, path: Path) -> Iterator[str]:
        """Dotted names of what a file imports, wherever in it, and of the packages around them."""
        package = list(path.relative_to(self.root / FOLDER).parts[:-1])
        for node in ast.walk(self.trees[path]):
            names: Iterable[list[str]] = ()
            if isinstance(node, ast.Import):
                names = [alias.name.split(".") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                anchor = package[: len(package) - node.level + 1] if node.level else []
                source = [*anchor, *(node.module.split(".") if node.module else [])]
                names = [[*source, alias.name] for alias in node.names]
            for parts in names:
                yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def read_code(root: Path) -> ProjectCode:
    """Read the modules of a project. Whoever imports one that is no Python says what is wrong with it."""
    trees = {}
    for path in sorted((root / FOLDER).rglob("*.py")):
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            trees[path] = ast.parse(path.read_bytes())
    return ProjectCode(root, trees)


def differences(stored: Mapping[str, str], current: Mapping[str, str]) -> dict[str, str]:
    """Files whose content or use is not the same, and what became of each: changed, is used no more, is used now."""
    changed = {name: "changed" for name in stored if name in current and current[name] != stored[name]}
    gone = {name: "is used no more" for name in stored if name not in current}
    return changed | gone | {name: "is used now" for name in current if name not in stored}


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


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
