"""``musket ls``."""

from __future__ import annotations

import argparse

from musket.core.errors import MusketError
from musket.core.registry import nearest


def configure(parser: argparse.ArgumentParser) -> None:
    """Kind and form."""
    parser.add_argument("kind", nargs="?", metavar="KIND", help="losses, metrics, callbacks ...; without it, the kinds")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Print the names of a kind, each with one line of explanation."""
    from musket.experiment.vocabulary import listing

    kinds = listing()
    if arguments.kind is None:
        chosen = dict(kinds)
    else:
        name = _kind(arguments.kind, list(kinds))
        chosen = {name: kinds[name]}
    if arguments.json:
        import json

        shown = {
            kind: [{"name": name, "summary": summary, "aliases": aliases} for name, summary, aliases in entries]
            for kind, entries in chosen.items()
        }
        print(json.dumps(shown if arguments.kind is None else shown[next(iter(shown))], indent=2, ensure_ascii=False))
    elif arguments.kind is None:
        for kind, entries in chosen.items():
            print(f"{kind:<16} {len(entries):>4}   musket ls {kind}")
    else:
        entries = next(iter(chosen.values()))
        width = max((len(name) for name, _, _ in entries), default=0)
        for name, summary, aliases in entries:
            also = f" (also {', '.join(aliases)})" if aliases else ""
            print(f"{name:<{width}}  {summary}{also}".rstrip())
    return 0


def _kind(asked: str, kinds: list[str]) -> str:
    """The plural of a kind given in either number."""
    for kind in kinds:
        if asked.lower() in (kind, kind.removesuffix("s"), kind.removesuffix("es")):
            return kind
    near = nearest(asked, kinds)
    hint = f"nearest: {near[0]}" if near else f"there are: {', '.join(kinds)}"
    raise MusketError(f"no such kind {asked!r}; {hint}")
