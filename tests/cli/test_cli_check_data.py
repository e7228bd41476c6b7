"""``musket check`` on projects with data: what is printed, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import toy

from musket.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["check", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Fourteen discs as files, and a config that names them."""
    toy.register_small_net()
    images, masks = toy.write_discs(tmp_path / "data", 14)
    (tmp_path / "modules").mkdir()
    folder = tmp_path / "experiments" / "first"
    folder.mkdir(parents=True)
    dataset = f"dataset:\n  SimplePNGMaskDataSet: [{images.name}, {masks.name}]\n"
    (folder / "config.yaml").write_text(toy.CONFIG + dataset)
    return tmp_path


def config_of(project: Path) -> Path:
    return project / "experiments" / "first" / "config.yaml"


def test_good_data(check: Run, project: Path) -> None:
    code, out, err = check(config_of(project))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"config ok  {config_of(project)}: segmentation, small_net")
    assert [line.split()[0] for line in lines if line[:1].strip()] == [
        *("config", "data", "images", "values", "masks", "folds", "memory", "time", "training")
    ]
    assert lines[-1] == "training would start"
    assert "14 samples, all can be used" in out
    assert not list(project.rglob("*split"))


def test_quick_leaves_the_step_out(check: Run, project: Path) -> None:
    code, out, _ = check(config_of(project), "--quick")
    assert code == 0
    assert "memory" not in out
    assert "training would start" in out


def test_config_only_opens_nothing(check: Run, project: Path) -> None:
    (project / "data" / "images" / "disc-03.jpg").write_bytes(b"")
    code, out, _ = check(config_of(project), "--config-only")
    assert code == 0
    [line] = out.splitlines()
    assert line.startswith("config ok ")


def test_bad_data_is_exit_code_1_and_no_traceback(check: Run, project: Path) -> None:
    images, masks = project / "data" / "images", project / "data" / "masks"
    whole = (images / "disc-03.jpg").read_bytes()
    (images / "disc-03.jpg").write_bytes(whole[: len(whole) // 2])
    cv2.imwrite(str(masks / "disc-05.png"), toy.draw_disc(5)[1][:20] * 255)
    code, out, err = check(config_of(project))
    assert (code, err) == (1, "")
    problems = [line for line in out.splitlines() if line.startswith("problem")]
    assert problems[0].startswith("problem  disc-03: truncated: the end of the file is missing")
    assert problems[1].startswith("problem  disc-05: the mask disc-05.png is 48 x 20")
    assert str(images / "disc-03.jpg") in out
    assert out.splitlines()[-1] == "training would stop: 2 problems to solve first"


def test_a_missing_mask(check: Run, project: Path) -> None:
    (project / "data" / "masks" / "disc-07.png").unlink()
    code, out, _ = check(config_of(project))
    assert code == 1
    assert "1 of 14 images have no mask here" in " ".join(out.split())


def test_a_bad_config_is_exit_code_2_before_any_data(check: Run, project: Path) -> None:
    code, out, err = check(config_of(project), "lr=0")
    assert (code, out) == (2, "")
    assert "found 0; must be greater than 0" in err
    assert check(config_of(project), "dataset=absent")[0] == 2


def test_json(check: Run, project: Path) -> None:
    (project / "data" / "images" / "disc-03.jpg").write_bytes(b"")
    code, out, err = check(config_of(project), "--json")
    assert (code, err) == (1, "")
    found = json.loads(out)
    assert found["ok"] is False
    assert found["problems"][0]["message"].startswith("disc-03: the file is empty")
    assert found["data"]["samples"] == 14
    assert [fold["train"] for fold in found["folds"]] == [6, 6]
    assert json.loads(check(config_of(project), "--json", "--config-only")[1])["data"] is None


def test_no_dataset_says_that_only_the_config_was_checked(check: Run, tmp_path: Path) -> None:
    toy.register_small_net()
    (tmp_path / "config.yaml").write_text(toy.CONFIG)
    code, out, _ = check(tmp_path)
    assert code == 0
    assert out.splitlines()[-1].startswith("only the config was checked: it names no dataset")


def test_values_may_stand_behind_options(check: Run, project: Path) -> None:
    assert "one batch of 50" in " ".join(check(config_of(project), "--quick", "batch=50")[1].split())
    assert check(config_of(project), "--quick", "--quik", "batch=50")[0] == 2
    assert main(["ls", "--json", "losses", "metrics"]) == 2


def test_the_two_ways_to_look_less_exclude_each_other(check: Run, project: Path) -> None:
    assert check(config_of(project), "--quick", "--config-only")[0] == 2
