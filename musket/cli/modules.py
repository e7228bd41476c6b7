"""``musket modules``."""

from __future__ import annotations

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Which project, and in which form."""
    parser.description = (
        "List the functions and classes that a project's modules define: name, kind, place and parameters. They can be "
        "named in configs."
    )
    parser.add_argument("--project", metavar="DIR", type=Path, help="project folder; default: the one you are in")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write all that is known of them to this YAML file")
    parser.add_argument("--json", action="store_true", help="print all that is known of them as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print or write what there is. Raises MusketError when a module fails."""
    from musket.experiment.projects.introspection import elements
    from musket.experiment.projects.project import open_project, root_here

    project = open_project(root_here(arguments.project))
    found = elements(project)
    if arguments.out is not None:
        import yaml

        from musket.artifacts.files import write_atomic

        write_atomic(arguments.out, yaml.safe_dump({"elements": found}, sort_keys=False, allow_unicode=True))
        print(f"{len(found)} elements written to {arguments.out}")
    elif arguments.json:
        import json

        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        names = [f"{one['name']}({', '.join(each['name'] for each in one['parameters'])})" for one in found]
        kinds = max((len(one["kind"]) for one in found), default=0)
        for one, name in zip(found, names, strict=True):
            print(f"{one['kind']:<{kinds}}  {name}  {one['file']}:{one['line']}")
    return 0
