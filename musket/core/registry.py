"""Names of parts. One strict registry per kind: a duplicate is an error, a miss names the nearest entries.

Entries may point at their code by text ("package.module:name"), so that listing and checking names imports no torch.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from musket.core.errors import MusketError


class RegistryError(MusketError):
    """A name is unknown, taken, or does not point at code."""


def nearest(name: str, known: list[str], count: int = 3) -> list[str]:
    """The known names most like ``name``, letter case ignored, best first; empty when nothing is near."""
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.lower(), candidate)
    return [folded[hit] for hit in difflib.get_close_matches(str(name).lower(), folded, n=count, cutoff=0.6)]


@dataclass(frozen=True)
class Entry:
    """One named part.

    ``target`` is the object itself or ``"module:attribute"``. ``facts`` holds what other rooms need to know without
    importing the target (a metric's direction, whether a loss wants logits). ``options``, when given, maps every option
    to its type and default in place of the target's signature.
    """

    name: str
    target: Any
    summary: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """The object behind the name; imports it when it was given as text."""
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def signature(self) -> inspect.Signature:
        """Signature of the target, annotations resolved."""
        return inspect.signature(self.load(), eval_str=True)


class Registry:
    """Case-insensitive names of one kind of part, with aliases."""

    def __init__(self, kind: str, plural: str | None = None):
        self.kind = kind
        self.plural = plural or f"{kind}s"
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, str] = {}  # folded name or alias -> entry name

    def add(
        self,
        name: str,
        target: Any,
        summary: str = "",
        *,
        aliases: tuple[str, ...] = (),
        replace: bool = False,
        **facts: Any,
    ) -> Entry:
        """Register ``target``. Raises RegistryError when a name is taken (unless ``replace``)."""
        if not summary and not isinstance(target, str):
            summary = (inspect.getdoc(target) or "").partition("\n")[0]
        entry = Entry(name, target, summary, facts)
        for spelling in (name, *aliases):
            taken = self._names.get(spelling.lower())
            if taken is not None and taken != name and not replace:
                raise RegistryError(f"{self.kind} {spelling!r} is registered already (as {taken!r})")
        if name in self._entries and not replace:
            raise RegistryError(f"{self.kind} {name!r} is registered already")
        self._entries[name] = entry
        for spelling in (name, *aliases):
            self._names[spelling.lower()] = name
        return entry

    def register(self, name: str | None = None, **kwargs: Any) -> Callable[[Any], Any]:
        """Decorator form of :meth:`add`; the name defaults to the object's own."""

        def decorate(target: Any) -> Any:
            self.add(name or target.__name__, target, **kwargs)
            return target

        return decorate

    def remove(self, name: str) -> None:
        """Forget an entry and its aliases. Raises RegistryError when it is unknown."""
        entry = self.get(name)
        del self._entries[entry.name]
        self._names = {spelling: owner for spelling, owner in self._names.items() if owner != entry.name}

    def get(self, name: str) -> Entry:
        """The entry of a name or alias. Raises RegistryError naming the nearest entries."""
        owner = self._names.get(str(name).lower())
        if owner is None:
            raise RegistryError(self.miss(name))
        return self._entries[owner]

    def miss(self, name: object) -> str:
        """The sentence for an unknown name."""
        near = nearest(str(name), list(self.spellings()))
        hint = f"nearest: {', '.join(near)} " if near else ""
        return f"no such {self.kind} {name!r}; {hint}(all: musket ls {self.plural}){self.advice(str(name))}"

    def advice(self, name: str) -> str:
        """What else to say about an unknown name, beginning with "; "; as a rule nothing."""
        return ""

    def load(self, name: str) -> Any:
        """Shorthand of ``get(name).load()``."""
        return self.get(name).load()

    def spellings(self) -> Iterator[str]:
        """Every accepted spelling: names as registered, then aliases in lower case."""
        yield from self._entries
        folded = {name.lower() for name in self._entries}
        yield from (spelling for spelling in self._names if spelling not in folded)

    def aliases(self, name: str) -> list[str]:
        """Other accepted spellings of an entry, lower case."""
        owner = self.get(name).name
        return [s for s, o in self._names.items() if o == owner and s != owner.lower()]

    def names(self) -> list[str]:
        return list(self._entries)

    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return str(name).lower() in self._names

    def __len__(self) -> int:
        return len(self._entries)


class RegistryDict(MutableMapping[str, Any]):
    """A registry under the dictionary face of the old framework: ``custom_models["MyUnet"] = build``.

    Setting a name again replaces it, as a dictionary does; built-in names stay protected.
    """

    def __init__(self, registry: Registry):
        self._registry = registry
        self._own: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._own[name]

    def __setitem__(self, name: str, target: Any) -> None:
        self._registry.add(name, target, replace=name in self._own)
        self._own[name] = target

    def __delitem__(self, name: str) -> None:
        del self._own[name]
        self._registry.remove(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)
