"""What a shell is offered after TAB, asked in the way it asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from musket.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "timm", "cv2", "pandas", "ray", "optuna", "sklearn", "matplotlib")
MODULE = """\
from musket_core import tasks
from musket_core.tasks import task

raise SystemExit("completion must not run this")

@tasks.task
def measure(m): ...

@task()
def draw(m): ...

def helper(): ...
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("first", "second", "deep/third"):
        folder = tmp_path / "experiments" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("architecture: Unet\n")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "own.py").write_text(MODULE)
    (tmp_path / "modules" / "broken.py").write_text("def (")
    (tmp_path / "lone.yaml").write_text("")
    return tmp_path


def offered(line: str, folder: Path) -> list[str]:
    """Answers of a fresh process to a line with the cursor at its end."""
    answers = folder / "answers"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SHELL": "fish",  # which, unlike bash, adds nothing to an answer
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answers),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, "-m", "musket"]
    subprocess.run(command, env=environment, cwd=folder, check=False, timeout=120, capture_output=True)
    found = answers.read_text().split("\n")
    answers.unlink()
    return [answer.partition("\t")[0].strip() for answer in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("musket che", ["check"]),
        ("musket fit --name ", ["deep/third", "first", "second"]),
        ("musket fit --name se", ["second"]),
        ("musket fit --name first,", ["first,deep/third", "first,second"]),
        ("musket predict --name=f", ["--name=first"]),
        ("musket predict --format ", ["csv", "npy", "png", "rle"]),
        ("musket task --task ", ["all", "draw", "measure"]),
        ("musket task --task draw,", ["draw,draw", "draw,measure"]),
        ("musket ls los", ["losses"]),
        ("musket ls exp", ["experiments"]),
        ("musket check lo", ["lone.yaml"]),
        ("musket check sec", ["second"]),
        ("musket fit --allow_", ["--allow_resume"]),
        ("musket fit --allow-", ["--allow-resume"]),
        ("musket completion z", ["zsh"]),
        ("musket fit --project exp", ["experiments/"]),
        ("musket fit --name 'fi", ["first"]),
    ],
)
def test_answers(line: str, expected: list[str], project: Path) -> None:
    assert sorted(offered(line, project)) == expected


def test_commands_and_options(project: Path) -> None:
    assert set(COMMANDS) <= set(offered("musket ", project))
    options = offered("musket clean --", project)
    assert {"--name", "--cache", "--yes", "--dry-run"} <= set(options)
    assert "--dry_run" not in options


def test_the_project_that_is_named_counts(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert sorted(offered(f"musket clean --project {project} --name ", elsewhere)) == ["deep/third", "first", "second"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_code_for_bash_completes(project: Path) -> None:
    """The printed code in a real shell: its function fills COMPREPLY."""
    program = project / "bin" / "musket"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom musket.cli.main import main\nsys.exit(main())\n")
    program.chmod(0o755)
    line = "musket fit --name f"
    script = f"""
        eval "$(musket completion bash)"
        COMP_LINE="{line}" COMP_POINT={len(line)} COMP_TYPE=9 COMP_WORDBREAKS=" "
        _python_argcomplete musket
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=project, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.split() == ["first"], done.stderr


@pytest.mark.parametrize(
    ("shell", "part"),
    [
        ("bash", "complete -o nospace -o default -o bashdefault -F _python_argcomplete musket"),
        ("zsh", "compdef _python_argcomplete musket"),
        ("fish", "complete --command musket"),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName musket"),
    ],
)
def test_code_for_shells(shell: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert part in capsys.readouterr().out


def test_other_shells(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "cmd"]) == 2
    assert "invalid choice: 'cmd'" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["musket ls ", "musket fit --name ", "musket task --task ", "musket "])
def test_nothing_heavy_is_imported(line: str, project: Path) -> None:
    code = (
        "import sys, argcomplete\n"
        "def told(parser, **_):\n"
        "    finder = argcomplete.CompletionFinder(parser)\n"
        f"    answers = finder._get_completions({line.split()!r}, '', '', None)\n"
        f"    print(len(answers), *(name for name in {HEAVY!r} if name in sys.modules))\n"
        "argcomplete.autocomplete = told\n"
        "from musket.cli import completers, main\n"
        "completers.complete(lambda command: main._parser(command)[0])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COMP_LINE": line}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=project, capture_output=True, text=True, check=True
    )
    count, *heavy = done.stdout.split()
    assert int(count) > 1
    assert heavy == []
