"""``musket schema``."""

from __future__ import annotations

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the schema to this file")


def run(arguments: argparse.Namespace) -> int:
    """Print or write the JSON Schema of configs."""
    import json

    from musket.artifacts.files import write_atomic
    from musket.config.export import json_schema
    from musket.experiment.vocabulary import vocabulary

    text = json.dumps(json_schema(vocabulary()), indent=2, ensure_ascii=False) + "\n"
    if arguments.out is None:
        print(text, end="")
    else:
        write_atomic(arguments.out, text)
    return 0
