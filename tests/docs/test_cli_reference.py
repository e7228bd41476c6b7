"""docs/cli.md and the parsers it is written from."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import pages
import pytest

from musket.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]


def test_cli_reference_is_up_to_date() -> None:
    assert pages.generated("make_cli_reference") == (ROOT / "docs" / "cli.md").read_text("utf-8"), (
        "run: python docs/make_cli_reference.py"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_has_both_spellings(name: str) -> None:
    parser = argparse.ArgumentParser()
    importlib.import_module(f"musket.cli.{name.replace('-', '_')}").configure(parser)
    spellings = {spelling for spelling in parser._option_string_actions if spelling.startswith("--")}
    assert {"--" + spelling[2:].replace("_", "-") for spelling in spellings} <= spellings
    assert {"--" + spelling[2:].replace("-", "_") for spelling in spellings} <= spellings


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_is_explained(name: str) -> None:
    parser = argparse.ArgumentParser(description=COMMANDS[name], add_help=False)
    importlib.import_module(f"musket.cli.{name.replace('-', '_')}").configure(parser)
    for action in parser._actions:
        spelling = "/".join(action.option_strings) or action.dest
        assert action.help, f"musket {name}: nothing is told of {spelling}"
        assert len(action.help) > 4, f"musket {name}: {spelling}: {action.help!r} tells too little"
        assert not action.help.endswith("."), f"musket {name}: {spelling}: help ends without a full stop"
    assert parser.description
