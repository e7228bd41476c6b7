from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from musket.cli.main import main
from musket.core.errors import DataError
from musket.experiment.facade import Experiment

CONFIG = """\
architecture: Unet
backbone: resnet18
classes: 1
loss: binary_crossentropy
metrics: [binary_accuracy]
stages: [{epochs: 2}]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a", "b", "deep/c"):
        folder = tmp_path / "ships" / "experiments" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(CONFIG)
    return tmp_path / "ships"


reruns: list[bool] = []


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What fit was called with; nothing is trained."""
    calls: list[Any] = []
    reruns.clear()

    def fit(self: Experiment, **kwargs: Any) -> dict[str, Any]:
        assert self.project is not None
        name = self.layout.folder.relative_to(self.project.experiments).as_posix()
        calls.append((name, self.resume, kwargs["foldsToExecute"], self.spec.batch))
        reruns.append(kwargs["rerun"])
        if self.spec.batch == 13:
            raise DataError("no mask", sample=name)
        (self.layout.folder / "summary.yaml").write_text("completed: true")
        return {}

    monkeypatch.setattr(Experiment, "fit", fit)
    return calls


def test_all_unfinished_experiments_in_order(root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    (root / "experiments" / "b" / "summary.yaml").write_text("completed: true")
    assert main(["fit", "--project", str(root)]) == 0
    assert fitted == [("a", False, None, 16), ("deep/c", False, None, 16)]
    assert main(["fit", "--project", str(root)]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_named_experiments_are_run_again(root: Path, fitted: list[Any]) -> None:
    (root / "experiments" / "b" / "summary.yaml").write_text("completed: true")
    arguments = ["--name", " b , a,b", "--folds", "0,2", "--allow_resume", "yes", "batch=3"]
    assert main(["fit", "--project", str(root), *arguments]) == 0
    assert fitted == [("b", True, [0, 2], 3), ("a", True, [0, 2], 3)]
    assert reruns == [True, True]
    assert main(["fit", "--project", str(root)]) == 0
    assert reruns[2:] == [False]


@pytest.mark.parametrize(
    ("arguments", "resume"),
    [
        ([], False),
        (["--allow_resume"], True),
        (["--allow_resume", "False"], False),
        (["--allow_resume=1"], True),
        (["--allow_resume", "batch=4"], True),
        (["--allow_resume", "--folds", "0"], True),
    ],
)
def test_booleans_mean_what_they_say(arguments: list[str], resume: bool, root: Path, fitted: list[Any]) -> None:
    assert main(["fit", "--project", str(root), "--name", "a", *arguments]) == 0
    assert fitted[0][1] is resume


@pytest.mark.parametrize(
    ("where", "names"),
    [("experiments/deep/c", ["deep/c"]), ("experiments", ["a", "b", "deep/c"]), (".", ["a", "b", "deep/c"])],
)
def test_the_working_directory_chooses(
    where: str, names: list[str], root: Path, fitted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / where)
    assert main(["fit"]) == 0
    assert [call[0] for call in fitted] == names


def test_a_failed_experiment_does_not_stop_the_others(
    root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "experiments" / "a" / "config.yaml").write_text(CONFIG + "batch: 13\n")
    assert main(["fit", "--project", str(root), "--name", "a,b"]) == 1
    assert [call[0] for call in fitted] == ["a", "b"]
    assert capsys.readouterr().err == "a: sample 'a': no mask\n1 of 2 experiments failed: a\n"


def test_every_config_is_checked_before_anything_is_trained(
    root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "experiments" / "b" / "config.yaml").write_text(CONFIG + "batch: x\n")
    (root / "experiments" / "deep" / "c" / "config.yaml").write_text(CONFIG + "num_seeds: 3\n")
    (root / "experiments" / "b" / "summary.yaml").write_text("kept")
    assert main(["fit", "--project", str(root), "--name", "a,b,deep/c"]) == 2
    assert fitted == []
    err = capsys.readouterr().err
    assert "line 7  batch  found 'x'" in err
    assert "line 7  num_seeds  not available yet" in err
    assert (root / "experiments" / "b" / "summary.yaml").read_text() == "kept"


def test_unknown_names_and_projects(root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--project", str(root), "--name", "aa"]) == 2
    assert "no such experiment 'aa'; nearest: a; there are: a, b, deep/c" in capsys.readouterr().err
    assert main(["fit", "--project", str(root / "none")]) == 2
    assert fitted == []


def test_interrupting_ends_with_130(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fit(self: Experiment, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "fit", fit)
    assert main(["fit", "--project", str(root), "--name", "a"]) == 130
    assert "--allow_resume" in capsys.readouterr().err


def test_a_cache_folder_goes_before_that_of_the_configs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "experiments" / "a" / "config.yaml").write_text(CONFIG + "cache: false\n")
    caches: list[Any] = []
    monkeypatch.setattr(Experiment, "fit", lambda self, **_: caches.append(self.spec.cache))
    monkeypatch.chdir(root)
    assert main(["fit", "--name", "a,b", "--cache", "decoded files"]) == 0
    assert caches == [str(root / "decoded files")] * 2
    assert main(["fit", "--name", "a,b", "--cache", ""]) == 0
    assert caches[2:] == [False, True]


@pytest.mark.parametrize("spelling", ["num_gpus", "gpus_per_net", "num_workers", "num-gpus", "gpus-per-net"])
def test_one_device_and_one_worker_may_be_named(
    spelling: str, root: Path, fitted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--project", str(root), "--name", "a", f"--{spelling}=1", "batch=4"]) == 0
    assert [call[3] for call in fitted] == [4]
    assert main(["fit", "--project", str(root), "--name", "a", f"--{spelling}", "4"]) == 2
    assert "not available yet: several devices or workers; found 4, write 1" in capsys.readouterr().err
    assert main(["fit", "--project", str(root), "--name", "a", f"--{spelling}", "0"]) == 2
    assert "found '0'; write a whole number of 1 or more" in capsys.readouterr().err
    assert len(fitted) == 1
