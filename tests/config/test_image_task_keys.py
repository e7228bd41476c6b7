from __future__ import annotations

from pathlib import Path

import pytest
import toy

from musket.config.check import unavailable
from musket.config.image_tasks import defined_names
from musket.core.errors import ConfigError
from musket.experiment.projects.project import load_spec

TASKS = "from elsewhere import shared\nimport numpy as np\nOTHER = lambda data: 1\ndef save(data): undefined()\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    toy.register_small_net()
    (tmp_path / "tasks_set.py").write_text(TASKS)
    return tmp_path / "config.yaml"


def write(config: Path, keys: str) -> int:
    """Write a config with these keys. Returns the line of the first one."""
    start = toy.CONFIG + "datasets:\n  test: {getTest: []}\n"
    start = start.replace("  test: {getTest: []}", "  test: {DirectoryDataSet: [images]}")
    config.write_text(start + keys)
    return len(start.splitlines()) + 1


def test_good_keys_are_taken_and_no_code_is_run(config: Path) -> None:
    write(
        config,
        "import_tasks: [tasks_set.py]\nrun_tasks:\n"
        "  - {tasks: save}\n"
        "  - {tasks: [save, shared, OTHER], dataset: test, fold: [0, 1], stage: -1, parameters: {a: 1}}\n"
        "  - {tasks: [save], dataset: validation1, fold: 1, stage: [0]}\n",
    )
    spec = load_spec(config)
    assert unavailable(spec) == []
    assert spec.import_tasks == ("tasks_set.py",)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("entry", "key", "words"),
    [
        ("{}", "tasks", "found nothing; must be functions by name: [save_image]"),
        ("{tasks: []}", "tasks", "found an empty list; must be functions by name"),
        ("{tasks: [1]}", "tasks", "found [1]; must be functions by name"),
        (
            "{tasks: [sav]}",
            "tasks",
            "no such function 'sav' in the files of import_tasks or in modules/ of the project",
        ),
        ("{tasks: undefined}", "tasks", "no such function 'undefined'"),
        ("{tasks: save, dataset: tset}", "dataset", "no such dataset 'tset'; there are: test"),
        (
            "{tasks: save, dataset: zz}",
            "dataset",
            "no such dataset 'zz'; there are: test, train, validation, holdout, oof",
        ),
        ("{tasks: save, dataset: [a]}", "dataset", "no such dataset ['a']"),
        ("{tasks: save, fold: 2}", "fold", "found 2; must be a whole number from 0 to 1"),
        ("{tasks: save, fold: -1}", "fold", "found -1; must be a whole number from 0 to 1"),
        ("{tasks: save, fold: []}", "fold", "found an empty list; name one at least, or leave it out for all"),
        ("{tasks: save, stage: [0, 1]}", "stage", "found 1; must be a whole number from -1 to 0"),
        ("{tasks: save, stage: last}", "stage", "found 'last'; must be a whole number"),
        ("{tasks: save, stage: true}", "stage", "found true; must be a whole number"),
        ("{tasks: save, parameters: 3}", "parameters", "found 3; must be a map"),
        ("{tasks: save, folds: 3}", "folds", "no such key; there are: fold"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(entry: str, key: str, words: str, config: Path) -> None:
    line = write(config, f"import_tasks: tasks_set\nrun_tasks:\n  - {entry}\n")
    with pytest.raises(ConfigError) as caught:
        load_spec(config)
    [problem] = caught.value.problems
    assert problem.key == f"run_tasks[0].{key}"
    assert problem.line == line + 2
    assert problem.message.startswith(words)


def test_all_of_it_at_once(config: Path) -> None:
    (config.parent / "torn.py").write_text("def save(:\n")
    write(config, "import_tasks: [gone, torn]\nrun_tasks: [{tasks: [save], fold: 9}]\ninference_batch: x\n")
    with pytest.raises(ConfigError) as caught:
        load_spec(config)
    told = {problem.key: problem.message for problem in caught.value.problems}
    assert told["import_tasks[0]"] == f"there is no file {config.parent / 'gone.py'}"
    assert told["import_tasks[1]"].startswith(f"{config.parent / 'torn.py'} is no Python file: invalid syntax")
    assert {"run_tasks[0].tasks", "run_tasks[0].fold", "inference_batch"} <= told.keys()


def test_a_number_of_folds_that_is_not_written_limits_nothing(config: Path) -> None:
    """A dataset may bring its own folds."""
    write(config, "import_tasks: tasks_set\nrun_tasks: [{tasks: save, fold: 7}]\n")
    config.write_text(config.read_text().replace("folds_count: 2\n", ""))
    assert load_spec(config).folds_count == 5


def test_names_at_the_top_level() -> None:
    program = (
        b"import a.b, c as d\nfrom e import f as g, h\nclass I: j = 1\nasync def n(): pass\nk = l = 2\nif k: m = 3\n"
    )
    assert defined_names(program) >= {"d", "g", "h", "I", "k", "l"}
    assert "j" not in defined_names(program)
