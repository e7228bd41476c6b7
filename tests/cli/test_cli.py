from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from musket.cli.main import COMMANDS, main
from musket.core.errors import MusketError

ROOT = Path(__file__).parents[2]
CONFIG = """\
#%Musket Segmentation 1.0
architecture: Unet
backbone: resnet18
classes: 1
loss: binary_crossentropy
metrics: [binary_accuracy]
stages:
  - epochs: 2
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def musket(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_no_command_shows_the_commands(musket: Run) -> None:
    code, out, err = musket()
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    assert all(f" {name} {summary} " in words for name, summary in COMMANDS.items())
    assert musket("--help")[:2] == (0, out)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, musket: Run) -> None:
    code, out, _ = musket(command, "--help")
    assert code == 0
    assert out.startswith(f"usage: musket {command}")


def test_unknown_commands_and_arguments_are_usage_errors(musket: Run) -> None:
    code, out, err = musket("chek", "x")
    assert (code, out) == (2, "")
    assert "no such command 'chek'; did you mean check?" in err
    assert musket("check")[0] == 2
    assert musket("fit", "--folds", "a")[0] == 2
    assert musket("fit", "--allow_resume", "perhaps")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["fit", "--epochs", "3"], "--epochs 3: values of the config are written stages[0].epochs=3"),
        (["fit", "--batch", "8"], "--batch 8: values of the config are written batch=8"),
        (["fit", "--lr=0.1"], "--lr 0.1: values of the config are written lr=0.1"),
        (["fit", "--imgsz", "64"], "--imgsz 64: values of the config are written shape=[64,64,3]"),
        (["check", "x", "--freeze-encoder"], "--freeze-encoder: values of the config are written freeze_encoder=..."),
        (["fit", "--resume"], "--resume: did you mean --allow_resume?"),
        (["task", "--worker", "3"], "--worker: did you mean --num_workers?"),
    ],
)
def test_arguments_of_other_tools_are_answered_with_ours(arguments: list[str], hint: str, musket: Run) -> None:
    code, out, err = musket(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"usage: musket {arguments[0]} [-h]")
    assert err.endswith(f"\n  {hint}\n")


def test_an_unknown_argument_that_is_like_none(musket: Run) -> None:
    assert musket("task", "--epochs", "3")[2].endswith("musket task: error: unrecognized arguments: --epochs\n")
    assert musket("ls", "losses", "--zzz")[2].endswith("musket ls: error: unrecognized arguments: --zzz\n")
    assert musket("--zzz")[0] == 2


def test_versions(musket: Run) -> None:
    assert musket("--version")[:2] == (0, "musket 0.1.0\n")
    code, out, _ = musket("version")
    assert code == 0
    assert "musket                       0.1.0\n" in out
    assert "torch" in out


def test_check_tells_the_essentials(musket: Run, config: Path) -> None:
    code, out, err = musket("check", config, "--config-only")
    assert (code, err) == (0, "")
    assert out == (
        f"config ok  {config}: segmentation, Unet on resnet18, 1 class (sigmoid), 256 x 256 x 3, 5 folds, 2 epochs, "
        "best by val_binary_accuracy\n"
    )
    assert "classes (softmax), 64 x 64 x 3" in musket("check", config, "classes=3", "shape=[64, 64, 3]")[1]


def test_check_tells_of_seeds_and_of_the_search(musket: Run, config: Path) -> None:
    searched = "hyperparameters={rate: {range: [0.001, 0.1], log: true}, size: {enum: [4, 8]}}"
    out = musket("check", config, "--config-only", "lr=rate", "batch=size", searched, "max_evals=30", "num_seeds=3")[1]
    assert out.endswith(", best by val_binary_accuracy, 3 seeds, 30 trials over rate 0.001..0.1 (log) and size 4|8\n")
    out = musket("check", config, "--config-only", "batch=size", "hyperparameters={size: {enum: [4, 8]}}")[1]
    assert out.endswith(", 2 trials over size 4|8\n")


def test_check_tells_every_problem_without_a_traceback(musket: Run, config: Path) -> None:
    code, out, err = musket("check", config, "lr=0", "batsh=3", "stages[0].epochs=x")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"{config}: 3 problems",
        "  command line  batsh             Unet takes no such option; nearest: batch",
        "  command line  lr                found 0; must be greater than 0",
        "  command line  stages[0].epochs  found 'x'; must be a whole number",
    ]


def test_check_warns_of_old_keys_and_refuses_what_is_not_there(musket: Run, config: Path) -> None:
    config.write_text(CONFIG + "saveLast: true\n")
    code, out, err = musket("check", config)
    assert code == 0
    assert err.startswith(f"warning: {config}: line 9 saveLast: nothing ever read it; ignored")
    config.write_text(CONFIG + "declarations: {a: [b]}\n")
    code, out, err = musket("check", config)
    assert (code, out) == (2, "")
    assert "line 9  declarations  not available yet: declarations" in err


def test_check_of_nothing(musket: Run, tmp_path: Path) -> None:
    code, _, err = musket("check", tmp_path / "absent.yaml")
    assert code == 2
    assert "No such file" in err


def test_ls(musket: Run) -> None:
    code, out, _ = musket("ls")
    assert code == 0
    assert "losses" in out
    code, plural, _ = musket("ls", "losses")
    assert code == 0
    assert plural == musket("ls", "Loss")[1]
    assert any(line.startswith("dice_loss ") and len(line) > 30 for line in plural.splitlines())
    names = {entry["name"]: entry for entry in json.loads(musket("ls", "metrics", "--json")[1])}
    assert names["iou"]["aliases"] == ["iou_coef"]
    assert set(json.loads(musket("ls", "--json")[1])) == {line.split()[0] for line in out.splitlines()}
    code, _, err = musket("ls", "metrix")
    assert (code, err) == (2, "no such kind 'metrix'; nearest: metrics\n")


def test_schema(musket: Run, tmp_path: Path) -> None:
    code, out, _ = musket("schema")
    assert code == 0
    assert json.loads(out)["title"] == "Musket experiment"
    assert musket("schema", "--out", tmp_path / "s.json")[:2] == (0, "")
    assert (tmp_path / "s.json").read_text("utf-8") == out


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [(MusketError("in words"), 2, "in words\n"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_errors_in_words(
    error: BaseException, code: int, told: str, musket: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr("musket.cli.version.run", fail)
    result = musket("version")
    assert result[0] == code
    assert told in result[2]


def test_unexpected_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("musket.cli.version.run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["version"])


HEAVY = ("torch", "timm", "segmentation_models_pytorch", "pandas", "sklearn", "cv2", "matplotlib", "pydantic", "yaml")


def python(*arguments: str) -> str:
    """Output of a fresh interpreter that sees the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], [], ["version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    found = python(
        "-c",
        f"import sys\nfrom musket.cli.main import main\nmain({arguments!r})\n"
        f"print('heavy:', *(name for name in {HEAVY!r} if name in sys.modules))",
    )
    assert found.splitlines()[-1] == "heavy:"


def test_listing_and_checking_a_config_without_parts_imports_no_torch(config: Path) -> None:
    found = python(
        "-c",
        f"import sys\nfrom musket.cli.main import main\nmain(['ls', 'losses'])\nmain(['check', {str(config)!r}])\n"
        "print('heavy:', *(name for name in ('torch', 'timm', 'cv2', 'pandas') if name in sys.modules))",
    )
    assert any(line.startswith("config ok ") for line in found.splitlines())
    assert found.splitlines()[-1] == "heavy:"


def test_python_m_musket() -> None:
    assert python("-m", "musket", "--version") == "musket 0.1.0\n"
