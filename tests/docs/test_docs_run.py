"""What README, docs/ and examples/ show is run: Python and YAML blocks, and the output of ``$ musket`` commands."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pages
import pytest
import yaml

import musket
from musket.cli.main import main
from musket.config.check import refuse_unavailable
from musket.experiment.vocabulary import REGISTRIES

ROOT = pages.ROOT
PAGES = {path.name: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
PAGES |= {f"examples-{path.parent.name}": path for path in sorted((ROOT / "examples").rglob("*.md"))}
# A page that goes on where another one ends.
AFTER = dict.fromkeys(("results.md", "segmentation.md"), "quickstart.md")
# What a block with the word "fragment" leaves out.
REST = {
    "architecture": "Unet",
    "backbone": "resnet18",
    "classes": 1,
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "stages": [{"epochs": 1}],
}
REST_OF_CLASSIFICATION = {
    "architecture": "resnet18",
    "classes": 1,
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "stages": [{"epochs": 1}],
}

Run = Callable[[str], Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a page, once, and gives its folder. What pages register is forgotten afterwards."""
    folders: dict[str, Path] = {}
    known = [set(registry.names()) for registry in REGISTRIES]
    path, modules = list(sys.path), set(sys.modules)

    def run_page(name: str) -> Path:
        if name not in folders:
            folder = run_page(AFTER[name]) if name in AFTER else tmp_path_factory.mktemp("page")
            if name not in AFTER:
                pages.write_images(folder)
            run_blocks(PAGES[name], folder)
            folders[name] = folder
        return folders[name]

    yield run_page
    for registry, names in zip(REGISTRIES, known, strict=True):
        for name in set(registry.names()) - names:
            registry.remove(name)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path_factory.getbasetemp())):
            del sys.modules[name]


def run_blocks(page: Path, folder: Path) -> None:
    """Run every block of a page in order; Python blocks share their names."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in pages.blocks(page):
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            try:
                run_block(block, folder, names)
            except (Exception, SystemExit) as error:
                error.add_note(f"in {block.place}")
                raise


def run_block(block: pages.Block, folder: Path, names: dict[str, Any]) -> None:
    if block.language == "yaml":
        read_yaml(block, folder)
    elif block.language == "console":
        for command, shown in commands(block.text):
            run_command(command, shown)
    elif block.language == "python" and block.word.endswith(".py"):
        write(folder / block.word, block.text)
    elif block.language == "python" and block.word == "afresh":
        other = folder / "afresh"
        pages.write_images(other)
        for path in folder.glob("*.yaml"):
            if path.name not in ("summary.yaml", "run.yaml"):
                write(other / path.name, path.read_text("utf-8"))
        with contextlib.chdir(other):
            run_python(block, {})
    elif block.language == "python":
        assert not block.word, f"{block.place}: what is {block.word!r}?"
        run_python(block, names)
    else:
        assert block.language in ("text", "sh"), f"{block.place}: a block of {block.language!r} is not run"


def run_python(block: pages.Block, names: dict[str, Any]) -> None:
    text = re.sub(r'"epochs": \d+', '"epochs": 2', block.text)
    exec(compile(text, block.place, "exec"), names)


def read_yaml(block: pages.Block, folder: Path) -> None:
    """Write a config and load it; only names that begin with "broken" may be refused."""
    text, name = block.text, block.word
    if name == "fragment":
        labels = "classification.md" in block.place
        rest = REST_OF_CLASSIFICATION if labels else REST
        rest = {key: value for key, value in rest.items() if key not in yaml.safe_load(text)}
        head = "#%Musket Classification 1.0\n" if labels else ""
        text, name = head + text + yaml.safe_dump(rest), "experiments/part/config.yaml"
    config = folder / (name or "whole/config.yaml")
    if config.name.startswith("broken"):
        write(config, text)
        return
    write(config, text if block.word == "fragment" else pages.smaller(text))
    refuse_unavailable(musket.parse(config).spec)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with the output shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def run_command(command: str, shown: str) -> None:
    """Run a ``musket`` command. Its output must be what is shown, blanks aside; ``...`` stands for anything."""
    program, *arguments = shlex.split(command)
    assert program == "musket", f"{command}: only musket commands are run"
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = main(arguments)
    found = " ".join(output.getvalue().split())
    if not shown.strip():
        assert status == 0, f"$ {command}\n{output.getvalue()}"
        return
    wanted = ".*".join(re.escape(part.strip()) for part in " ".join(shown.split()).split("..."))
    assert re.fullmatch(re.sub(r"(\.\*)+", ".*", wanted), found), f"$ {command}\n{output.getvalue()}"


@pytest.mark.parametrize("name", PAGES)
def test_page_runs(name: str, run: Run) -> None:
    run(name)


def test_quickstart_leaves_what_it_says(run: Run) -> None:
    folder = run("quickstart.md")
    assert len(list((folder / "predicted").glob("*.png"))) == len(list((folder / "new").iterdir()))
    summary = yaml.safe_load((folder / "experiments" / "first" / "summary.yaml").read_text("utf-8"))
    assert {"mean", "max", "min", "std"} == set(summary["allStages"]["dice"])
    assert "dice_holdout" in summary["allStages"]


def test_results_page_names_every_file(run: Run) -> None:
    """Files an experiment leaves, against the table of docs/results.md."""
    told = PAGES["results.md"].read_text("utf-8")
    folder = run("quickstart.md") / "experiments" / "first"
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "config.yaml":
            kept = path.relative_to(folder).as_posix()
            general = re.sub(r"^examples/.*", "examples/S/F/t_epoch_E.0.jpg", re.sub(r"-\d\.\d\.", "-F.S.", kept))
            general = re.sub(r"^logs/.*", "logs/F.S/", general)
            general = re.sub(r"^predictions/.*\.npy/.*", "predictions/PART[stages]folds.npy/", general)
            assert f"`{general}`" in told, kept


def test_reference_is_up_to_date() -> None:
    assert pages.generated("make_reference") == PAGES["config.md"].read_text("utf-8"), (
        "run: python docs/make_reference.py"
    )


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    page = PAGES[name]
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        place, _, anchor = target.partition("#")
        if "://" in place:
            continue
        file = (page.parent / place).resolve() if place else page
        assert file.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}, target


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert all(path.stat().st_size < 200_000 for path in pictures)


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for page in PAGES.values():
        for target in re.findall(r"^make ([\w-]+)|`make ([\w-]+)", page.read_text("utf-8"), re.MULTILINE):
            assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target
