"""Write docs/cli.md: every command with its arguments, from the parsers that read them.

Run it with ``python docs/make_cli_reference.py`` after a change of a command; a test fails while the page is old.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from make_reference import table

from musket.artifacts.files import write_atomic
from musket.cli.main import COMMANDS, ELSEWHERE

PAGE = Path(__file__).parent / "cli.md"

INTRO = """\
# Command line

After this page you can look up every command of `musket` and every argument it takes.

*This page is written by `docs/make_cli_reference.py` from the code that reads the arguments. Do not edit it by hand.*
`musket COMMAND --help` tells the same in the terminal.

## What holds for all commands

- **The project** is the one the working directory lies in: the nearest folder above that has `modules`, or the one that
  has `experiments`. In the folder of an experiment, that experiment is meant where none is named. `--project` names
  another project.
- **Names** of experiments are paths below `experiments`, with `/`. Several are separated by commas:
  `--name unet,deep/fpn`, or `--name "unet, deep/fpn"`. For `fit`, `task` and `clean` they may be patterns in quotes:
  `--name 'deep/*'`.
- **Booleans** mean what they say: `--allow_resume`, `--allow_resume True` and `--allow_resume=yes` turn something on,
  `--allow_resume=false` and `--allow_resume no` turn it off.
- **Spellings** with `_` and `-` are the same, in arguments and in the names of commands.
- **`key=value`** behind the arguments of `check`, `fit`, `augment`, `lr-find`, `predict` and `new --experiment`
  replaces values of the config: `lr=1e-3`, `stages[0].epochs=5`. Behind those of `task` it sets parameters of tasks.
- **Results** go to the output, progress and errors to the error stream. `--json` prints results for programs.

| Exit code | Meaning |
| --- | --- |
| 0 | Done. |
| 1 | An experiment, a task, an image or a download failed; the others were done. |
| 2 | The command or a config is wrong; nothing was done. |
| 130 | Interrupted with Ctrl-C. |
"""

FORMER = """\
## Former spellings

`python -m musket_core.fit`, `.task`, `.analize`, `.deps_download`, `.cleanup` (which is `musket clean`) and
`.inspectProject`, `python -m segmentation_pipeline.analize` and `python -m segmentation_pipeline.predict --inputFolder
DIR --output DIR --config FILE` (fold 0, stage 0, batches of 16) do what they did.
"""


def main() -> None:
    """Write the page."""
    write_atomic(PAGE, page())


def page() -> str:
    """The whole page."""
    parts = [INTRO, "## Commands\n", table("Command", "What it does", rows=commands())]
    for name in COMMANDS:
        parts += section(name)
    parts += [FORMER, table("Command of former versions", "Today", rows=gone())]
    return "\n".join(filter(None, parts))


def commands() -> Iterator[tuple[str, str]]:
    """Every command with a link to its section."""
    for name, summary in COMMANDS.items():
        yield f"[`musket {name}`](#musket-{name})", sentence(summary)


def gone() -> Iterator[tuple[str, str]]:
    """Commands that are none any more."""
    return ((f"`musket {name}`", sentence(words)) for name, words in ELSEWHERE.items())


def section(name: str) -> Iterator[str]:
    """What a command does, and a table for each group of its arguments."""
    yield f"## musket {name}\n"
    if name != (same := first_with_same_parser(name)):
        yield f"The same as [`musket {same}`](#musket-{same}).\n"
        return
    parser = argparse.ArgumentParser(description=sentence(COMMANDS[name]), add_help=False)
    command(name).configure(parser)
    yield f"{parser.description}\n"
    positional, options, *groups = parser._action_groups
    yield arguments("Argument", [*positional._group_actions, *options._group_actions])
    for group in groups:
        title = group.title or ""
        yield arguments(
            f"`{title}`" if title.startswith("musket ") else f"{title[:1].upper()}{title[1:]}", group._group_actions
        )
    if parser.epilog:
        yield f"```text\n{parser.epilog.strip()}\n```\n"


def arguments(title: str, actions: Sequence[argparse.Action]) -> str:
    """A table of arguments; nothing where there are none."""
    return table(title, "Meaning", rows=((spelled(action), meaning(action)) for action in actions)) if actions else ""


def command(name: str):  # noqa: ANN201 (a module)
    """The module of a command."""
    return importlib.import_module(f"musket.cli.{name.replace('-', '_')}")


def first_with_same_parser(name: str) -> str:
    """The name under which a command is told: the last of those that share a parser, as the first are old spellings."""
    return [other for other in COMMANDS if command(other).configure is command(name).configure][-1]


def spelled(action: argparse.Action) -> str:
    """An argument as it is written, then its other spellings."""
    value = "" if action.nargs == 0 else action.metavar or (action.choices and f"{{{','.join(action.choices)}}}")
    value = action.dest.upper() if value is None else str(value)
    value = {"?": f"[{value}]", "*": f"[{value} ...]"}.get(str(action.nargs), value)
    if not action.option_strings:
        return f"`{value}`"
    long = [name for name in action.option_strings if name.startswith("--")]
    others = [name for name in action.option_strings if name != long[0]]
    also = f" (also {', '.join(f'`{name}`' for name in others)})" if others else ""
    return f"`{f'{long[0]} {value}'.strip()}`{also}"


def meaning(action: argparse.Action) -> str:
    """What an argument is for, and its default."""
    told = sentence(action.help or "")
    if action.required and action.option_strings:
        return f"{told} **Must be given.**"
    default = str(action.default).lower() if isinstance(action.default, bool) else action.default
    if default in (None, "", [], argparse.SUPPRESS) or action.nargs == 0 or "default" in told.lower():
        return told
    return f"{told} Default: `{default}`."


def sentence(words: str) -> str:
    """Words with a capital in front and a full stop behind."""
    words = " ".join(words.split())
    return f"{words[:1].upper()}{words[1:]}" + ("" if words.endswith((".", ":")) else ".")


if __name__ == "__main__":
    main()
