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
# Digests without it are those of former records: of bytes, so that they tell nothing of what the code does.
_KIND = "code-"
_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class CodeFile:
    """What one file says.

    Attributes:
        module: its dotted name.
        names: what it defines and registers.
        imports: dotted names of what it imports, wherever in it, and of the packages around them.
        digest: of its code: of all but comments, blank lines and spaces.
    """

    module: str
    names: frozenset[str]
    imports: frozenset[str]
    digest: str


@dataclass(frozen=True)
class ProjectCode:
    """The modules of a project as they are now: read once, asked for many experiments.

    Attributes:
        files: by path relative to the project, with ``/``.
    """

    files: Mapping[str, CodeFile]

    def used(self, config: Mapping[str, Any]) -> dict[str, str]:
        """The files that a config needs.

        These are the files that define a name the config mentions, those that ``imports`` lists, and all modules of
        the project that they import. Code that acts without being named, by a side effect of its import, is not found.

        Args:
            config: the resolved config, as plain data.

        Returns:
            path relative to the project -> digest of the file's code; sorted.
        """
        paths = {file.module: path for path, file in self.files.items()}
        words = set(_words(config))
        imports = config.get("imports") or ()
        listed = {imports} if isinstance(imports, str) else set(imports)
        waiting = [path for path, file in self.files.items() if file.module in listed or words & file.names]
        used: set[str] = set()
        while waiting:
            path = waiting.pop()
            if path not in used:
                used.add(path)
                waiting += [paths[name] for name in self.files[path].imports if name in paths]
        return {path: self.files[path].digest for path in sorted(used)}


def read_code(root: Path) -> ProjectCode:
    """Read the modules of a project. Whoever imports one that is no Python says what is wrong with it."""
    files = {}
    for path in sorted((root / FOLDER).rglob("*.py")):
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            files[path.relative_to(root).as_posix()] = _read(path, path.relative_to(root / FOLDER))
    return ProjectCode(files)


def _read(path: Path, below: Path) -> CodeFile:
    """What a file says. ``below`` is its path inside of the modules."""
    tree = ast.parse(path.read_bytes())
    parts = below.parts[:-1] if below.stem == "__init__" else below.with_suffix("").parts
    imports = frozenset(_imported(tree, list(below.parts[:-1])))
    return CodeFile(".".join(parts), frozenset(_names(tree)), imports, _digest(tree))


def _digest(tree: ast.Module) -> str:
    """Of a syntax tree without its positions; the same under every version of Python, other than ``ast.dump``."""
    return _KIND + hashlib.sha256("\n".join(_parts(tree)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _parts(tree: ast.Module) -> Iterator[str]:
    """Kinds of nodes with the names of the fields that are set, lengths of lists, and values: from the root on."""
    waiting: list[Any] = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.AST):
            fields = [(name, value) for name, value in ast.iter_fields(part) if value is not None and value != []]
            yield f"{type(part).__name__} {[name for name, _ in fields]}"
            waiting += [value for _, value in fields]
        elif isinstance(part, list):
            yield str(len(part))
            waiting += part
        else:
            yield repr(part)


def _imported(tree: ast.Module, package: list[str]) -> Iterator[str]:
    """Dotted names of what a file in this package imports, and of the packages around them."""
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


def differences(stored: Mapping[str, str], current: Mapping[str, str]) -> dict[str, str]:
    """Files whose code or use is not the same, and what became of each: changed, is used no more, is used now."""
    known = {name: digest for name, digest in stored.items() if digest.startswith(_KIND)}
    changed = {name: "changed" for name in known if name in current and current[name] != known[name]}
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
