"""What a dataset is made of: told in digests, so that what was kept of one is never taken for another's."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from pydantic import BaseModel

from musket.data.dataset import FileDataSet, SubDataSet, read_item
from musket.data.names import Names

INNER = ("ds", "child", "training", "parent", "blendwith", "drop_items", "textures")
"""Attributes by which datasets hold those they read from, besides the list ``components``."""

_NO_SETTINGS = frozenset((*INNER, "components", "cache", "folds", "holdoutArr", "name", "preprocessing_steps"))


@dataclass(frozen=True)
class Source:
    """Who a dataset is, as two digests.

    Attributes:
        place: which files (their absolute paths), which calls, which settings: stays when a file is overwritten.
        content: sizes and times of those files, code of classes, and a look at three items where the files are not
            known: changes when a file is overwritten.
    """

    place: str
    content: str


def chain(dataset: Any) -> Iterator[Any]:
    """A dataset and everything it reads from, each once."""
    waiting, seen = [dataset], set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [getattr(each, name, None) for name in INNER]
        components = getattr(each, "components", None)
        waiting += components if isinstance(components, (list, tuple)) else []


def files_of(dataset: Any) -> list[str]:
    """Paths of the files that a dataset and everything it reads from tell of; empty where none does."""
    told = [each.source_files() for each in chain(dataset) if callable(getattr(each, "source_files", None))]
    return [str(path) for paths in told for path in paths]


def source_of(dataset: Any, made_by: str = "") -> Source:
    """Who a dataset is.

    Built-in datasets of files tell their files. Of datasets of the user's own, class, code and attributes that are
    texts or paths count, and the first, the middle and the last item, which are read; where nobody can say by which
    call such a dataset came about, those items say which one it is, too.

    Args:
        made_by: text of the call that made it, with the folder it ran in; empty: not known.
    """
    place, content = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    _feed(place, made_by)
    for each in chain(dataset):
        own = type(each)
        built_in = own.__module__.startswith("musket.")
        _feed(place, own.__module__, own.__qualname__)
        files = [os.path.abspath(file) for file in each.source_files()] if isinstance(each, FileDataSet) else []  # noqa: PTH100 - 100,000 Paths take a second
        _feed(place, files)
        _feed(content, [_state(file) for file in files])
        if built_in:
            told_elsewhere = hasattr(each, "kept") or hasattr(each, "recipe")  # caches; steps, which tell their recipes
            _feed(place, {} if told_elsewhere else {k: v for k, v in vars(each).items() if k not in _NO_SETTINGS})
        else:
            _feed(place, _texts(each))
            _feed(content, code_digest(own))
        if not files and not isinstance(each, SubDataSet) and not _is_made_of_others(each, built_in):
            shown = _glance(each)
            _feed(content, shown)
            if not made_by:
                _feed(place, shown)
    return Source(place.hexdigest(), content.hexdigest())


def _is_made_of_others(dataset: Any, built_in: bool) -> bool:
    return built_in and (hasattr(dataset, "child") or hasattr(dataset, "components"))


def _texts(dataset: Any) -> dict[str, Any]:
    """Attributes of a user's dataset that are texts or paths, or lists of them: those do not change as it is read."""
    found = {}
    for name, value in getattr(dataset, "__dict__", {}).items():
        each = value if isinstance(value, list | tuple) else [value]
        if name not in _NO_SETTINGS and each and all(isinstance(text, str | Path) for text in each):
            found[name] = value
    return found


def _glance(dataset: Any) -> list[Any]:
    """Arrays of the first, the middle and the last item."""
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        return []
    count = len(dataset)
    seen: list[Any] = []
    for index in sorted({0, count // 2, count - 1} if count else ()):
        try:
            item = read_item(dataset, index, False)
        except Exception as error:  # noqa: BLE001 - code of the user's own; whoever needs the item will hear of it
            seen.append(type(error).__name__)
        else:
            seen.append([_arrays(getattr(item, "x", None)), _arrays(getattr(item, "y", None))])
    return seen


def _arrays(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return [_arrays(each) for each in value] if isinstance(value, list | tuple) else np.asarray(value)


def _state(file: str) -> list[int]:
    try:
        found = os.stat(file)  # noqa: PTH116 - as above
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _feed(digest: Any, *values: Any) -> None:
    """Values into a digest, the same in every process: plain ones and those made of them; others are passed over."""
    for value in values:
        if value is None or isinstance(value, bool | int | float | str | bytes | Path | np.generic):
            text = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
            digest.update(f"{type(value).__name__} {len(text)} ".encode() + text)
        elif isinstance(value, np.ndarray):
            _feed(digest, str(value.dtype), list(value.shape))
            if not value.dtype.hasobject:
                digest.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, BaseModel):
            _feed(digest, value.model_dump())
        elif is_dataclass(value):
            _feed(digest, type(value).__name__, vars(value))
        elif isinstance(value, Mapping):
            _feed(digest, "{", *(part for key in sorted(value, key=str) for part in (key, value[key])), "}")
        elif isinstance(value, set | frozenset):
            _feed(digest, sorted(map(str, value)))
        elif isinstance(value, list | tuple | Names):
            _feed(digest, "[", *value, "]")


def code_digest(function: Any) -> str:
    """Digest of the source text of a function or class; of what it was compiled to where there is no text."""
    try:
        code = inspect.getsource(function)
    except (OSError, TypeError):  # typed at a prompt, or not in Python
        return compiled_digest(function)
    return hashlib.blake2b(code.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@functools.lru_cache(maxsize=256)
def compiled_digest(function: Any) -> str:
    """Digest of what a function was compiled to: instructions, constants and names, of functions within it too."""
    digest = hashlib.blake2b(digest_size=8)
    for part in _compiled(getattr(function, "__code__", None)):
        digest.update(part)
    return digest.hexdigest()


def _compiled(code: CodeType | None) -> Iterable[bytes]:
    if code is None:
        return
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _compiled(constant)
        else:
            yield repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant).encode()
