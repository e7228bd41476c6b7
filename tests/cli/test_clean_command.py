"""musket clean: what runs left goes, everything else stays."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
import toy
import toy_labels

import musket
from musket.artifacts.layout import Layout
from musket.cli.main import main
from musket.experiment.state.lock import locked

CONFIG = "#%Musket Segmentation 1.0\narchitecture: Unet\n"
OURS = [
    "summary.yaml",
    "inProgress.yaml",
    "error.yaml",
    "run.yaml",
    ".fit.holder.json",
    ".fit.lock",
    "config.yaml.holdout_split",
    "config.yaml.folds_split",
    "config.yaml.shapes",
    "config.yaml.contribution",
    "config.yaml.ncx",
    "config.yaml.mdl-nchannel",
    "weights/best-0.1.weights",
    "weights/last-0.1.state",
    "weights/.best-0.1.weights.4711.part",
    "metrics/metrics-0.0.csv",
    "metrics/metrics-0.0.csvall.csv",
    "logs/0.0/events.out.tfevents.1.host.2.0",
    "examples/0/1/t_epoch_3.0.jpg",
    "examples/0/1/t_epoch_train3.0.jpg",
    "predictions/validation[0]1.npy/index.json",
    "predictions/validation[0]1.npy/12.npy.npz",
    "predictions/holdout[0][0, 1].npy/vectors.npy.npz",
    "predictions/holdout[0, 1][0, 1].npy",
    "predictions/validation0.1-gt.csv",
    "predictions/holdout-0.1-pt.csv",
    "predictions/tmp-validation.npy",
    "evaluation/validation_confusion.png",
    "evaluation/holdout_classes_kind.csv",
    "reports/report-0.1.html",
    "classify_weights/best-0.0.weights",
    "classify_metrics/metrics-0.0.csv",
    ".history/1/config.yaml",
    "hyperopt.trials",
    "hyperopt.scores",
    "best.params.yaml",
    "trials.db",
    "3/config_concrete.yaml",
    "3/config_concrete.yaml.folds_split",
    "3/summary.yaml",
    "3/weights/best-0.0.weights",
    "trial12/config.yaml",
    "trial12/metrics/metrics-0.0.csv",
    "trial12/.fit.holder.json",
    ".earlier_search/trials.db",
    ".earlier_search/trial3/config.yaml",
    ".earlier_search/trial3/weights/best-0.0.weights",
    ".moving_search/hyperopt.scores",
]
THEIRS = [
    "config.yaml",
    "other.yaml",
    "notes.md",
    "config.yaml.orig",
    "weights/best.weights",
    "weights/mine/best-0.1.weights",
    "metrics/notes.txt",
    "logs/diary.txt",
    "logs/0.0/diary.txt",
    "examples/0/1/good one.jpg",
    "predictions/mine.csv",
    "predictions/validation[0]1.npy/notes.txt",
    "predictions/mine.npy",
    "evaluation/my plot.png",
    "reports/report.html",
    "3/notes.md",
    "4/summary.yaml",
    "trial12/notes.md",
    "trial/summary.yaml",
    "statistics/result.yaml",
    "statistics/summary.yaml",
]

ITEMS = "masks-0123456789abcdef"
CACHED = [
    "decoded-00112233445566ff.arrays",
    "decoded-00112233445566ff.index",
    f"{ITEMS}/manifest.json",
    f"{ITEMS}/{'0' * 32}.npz",
]
NOT_CACHED = ["notes.txt", f"{ITEMS}/mine.npz", "bert-2/manifest.json", "decoded-mine.index"]


def write(root: Path, names: list[str], content: str = "x") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one experiment that has everything, and one that has a summary."""
    experiments = tmp_path / "project" / "experiments"
    write(experiments / "deep/full", [*OURS, *THEIRS])
    write(experiments / "small", ["config.yaml", "summary.yaml"])
    write(tmp_path / "project" / ".cache", [*CACHED, *NOT_CACHED])
    return tmp_path / "project"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def clean(root: Path, *arguments: str) -> int:
    return main(["clean", "--project", str(root), *arguments])


def test_what_is_ours_goes_and_what_is_not_stays(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean(root, "--yes") == 0
    assert files(root / "experiments" / "deep" / "full") == sorted(THEIRS)
    assert files(root / "experiments" / "small") == ["config.yaml"]
    assert files(root / ".cache") == sorted(NOT_CACHED)
    assert not (root / "experiments" / "deep" / "full" / "classify_weights").exists()
    told = capsys.readouterr().out
    assert "deep/full" in told
    assert f"{len(OURS)} " in told
    assert told.rstrip().endswith("removed")
    assert clean(root, "--yes") == 0
    assert capsys.readouterr().out == f"nothing to remove in {root}\n"


def test_states_alone_go_of_what_is_finished(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root / "experiments" / "small"
    write(folder, ["weights/best-0.0.weights", "weights/last-0.0.state", "3/config_concrete.yaml"])
    write(folder, ["3/weights/last-1.0.state", "3/weights/last.state", "mine/last-0.0.state"])
    before = files(root)
    assert clean(root, "--states", "--yes") == 0
    assert "nothing to remove" in capsys.readouterr().out
    write(folder, ["summary.yaml"], "folds: [0, 1]")
    assert clean(root, "--states", "--yes") == 0
    gone = [f"experiments/small/{name}" for name in ("3/weights/last-1.0.state", "weights/last-0.0.state")]
    assert files(root) == [name for name in before if name not in gone]


def test_empty_folders_of_runs_go(root: Path) -> None:
    folder = root / "experiments" / "small"
    for name in ("weights", "logs/0.0", "examples/0/1", "3/weights", "mine"):
        (folder / name).mkdir(parents=True)
    write(folder, ["3/config_concrete.yaml"])
    assert clean(root, "--name", "small", "--yes") == 0
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "mine"]


def test_folders_called_trial_are_ours_only_where_there_was_a_search(root: Path) -> None:
    folder = root / "experiments" / "small"
    write(folder, ["trial1/config.yaml", "trial1/summary.yaml"])
    assert clean(root, "--name", "small", "--yes") == 0
    assert files(folder) == ["config.yaml", "trial1/config.yaml", "trial1/summary.yaml"]
    write(folder, ["best.params.yaml", "summary.yaml"])  # kept from a search elsewhere
    assert clean(root, "--name", "small", "--yes") == 0
    assert "trial1/config.yaml" in files(folder)
    write(folder, ["trials.db"])
    assert clean(root, "--name", "small", "--yes") == 0
    assert files(folder) == ["config.yaml"]


def test_of_tasks_goes_what_is_stored_of_them(root: Path) -> None:
    folder = root / "experiments" / "small"
    write(folder, ["measure/result.yaml", "measure/result.csv", "measure/drawn.png", "broken/notes.txt"])
    write(folder, ["measure/task.yaml"], "{task: measure, arguments: {}, result: result.yaml}")
    write(folder, ["broken/error.yaml"], "errors: [{type: ValueError, value: bad luck, trace: ''}]")
    write(folder, ["3/config_concrete.yaml"])
    write(folder, ["3/measure/task.yaml"], "{task: measure, arguments: {}, result: null}")
    theirs = ["plan/task.yaml", "plan/result.csv", "copy/task.yaml", "other/error.yaml", "nested/config.yaml"]
    write(folder, [*theirs[:2], *theirs[4:]])
    write(folder, [theirs[2]], "{task: measure}")
    write(folder, [theirs[3]], "errors: 3")
    write(folder, ["nested/error.yaml"], "errors: [{type: ValueError, value: bad luck, trace: ''}]")
    assert clean(root, "--name", "small", "--yes") == 0
    by_itself = ["measure/drawn.png", "measure/result.csv"]  # not what task.yaml names as its result
    kept = ["broken/notes.txt", "config.yaml", "nested/error.yaml", *by_itself, *theirs]
    assert files(folder) == sorted(kept)


def test_only_what_is_named(root: Path) -> None:
    assert clean(root, "--name", " small,small ", "--cache", "False", "-y") == 0
    assert files(root / "experiments" / "small") == ["config.yaml"]
    assert len(files(root / "experiments" / "deep" / "full")) == len(OURS) + len(THEIRS)
    assert len(files(root / ".cache")) == len(CACHED) + len(NOT_CACHED)


@pytest.mark.parametrize("spelling", ["--dry-run", "--dry_run"])
def test_a_dry_run_shows_and_leaves(spelling: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(root)
    assert clean(root, spelling) == 0
    assert "to be removed from" in capsys.readouterr().out
    assert clean(root, spelling, "--json") == 0
    told = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert list(told) == ["deep/full", "small", ".cache/"]
    assert told["small"] == {"name": "small", "bytes": 1, "files": [str(root / "experiments/small/summary.yaml")]}
    assert told["deep/full"]["bytes"] == len(OURS)
    assert files(root) == before


@pytest.mark.parametrize(
    ("answer", "removed"), [("y", True), (" YES ", True), ("n", False), ("", False), ("yes please", False)]
)
def test_it_asks(
    answer: str, removed: bool, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer + "\n"))
    assert clean(root, "--name", "small") == 0
    assert (root / "experiments" / "small" / "summary.yaml").exists() is not removed
    assert ("nothing was removed" in capsys.readouterr().out) is not removed


def test_an_end_of_input_is_a_no(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert clean(root) == 0
    assert (root / "experiments" / "small" / "summary.yaml").exists()


def test_without_a_terminal_nothing_is_removed_unless_told(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert clean(root) == 2
    assert "there is no terminal to ask on; say --yes" in capsys.readouterr().err
    assert clean(root, "--json") == 2
    assert (root / "experiments" / "small" / "summary.yaml").exists()


def test_what_is_being_trained_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(root / "experiments" / "deep" / "full")
    with locked(Layout(root / "experiments" / "small" / "config.yaml")):
        assert clean(root, "--yes") == 2
        assert f"small is being trained, by process {os.getpid()}" in capsys.readouterr().err
    assert files(root / "experiments" / "deep" / "full") == before
    with locked(Layout(root / "experiments" / "deep" / "full" / "trial12" / "config.yaml")):
        assert clean(root, "--yes", "--name", "deep/full") == 2
    assert clean(root, "--yes") == 0
    assert files(root / "experiments" / "small") == ["config.yaml"]
    assert files(root / "experiments" / "deep" / "full" / "trial12") == ["notes.md"]


def test_links_are_not_followed(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = tmp_path / "elsewhere"
    write(elsewhere, ["best-0.0.weights", "config.yaml", "summary.yaml"])
    folder = root / "experiments" / "small"
    (folder / "weights").symlink_to(elsewhere, target_is_directory=True)
    (folder / "metrics").mkdir()
    (folder / "metrics" / "metrics-0.0.csv").symlink_to(elsewhere / "summary.yaml")
    (folder / "logs").mkdir()
    (folder / "logs" / "0.0").symlink_to(elsewhere, target_is_directory=True)
    (folder / "7").symlink_to(elsewhere, target_is_directory=True)
    assert clean(root, "--name", "small", "--yes") == 0
    assert sorted(path.name for path in folder.iterdir()) == ["7", "config.yaml", "logs", "weights"]
    assert len(files(elsewhere)) == 3
    (root / "experiments" / "linked").symlink_to(elsewhere, target_is_directory=True)
    capsys.readouterr()
    assert clean(root, "--name", "linked", "--yes") == 2
    assert "is a link to" in capsys.readouterr().err
    (tmp_path / "group").mkdir()
    elsewhere.rename(tmp_path / "group" / "one")
    (root / "experiments" / "linked").unlink()
    (root / "experiments" / "linked").symlink_to(tmp_path / "group", target_is_directory=True)
    assert clean(root, "--name", "linked/one", "--yes") == 2
    assert f"{root / 'experiments' / 'linked'} is a link to" in capsys.readouterr().err
    assert clean(root, "--name", "*", "--yes") == 0
    assert clean(root, "--yes") == 0
    assert len(files(tmp_path / "group")) == 3
    assert not (root / "experiments" / "deep" / "full" / "summary.yaml").exists()


def test_a_name_that_is_empty_is_not_all(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(root)
    assert clean(root, "--name", "", "--yes") == 2
    assert "found no name; leave --name out" in capsys.readouterr().err
    assert files(root) == before


def test_a_cache_that_is_a_link_stays(root: Path, tmp_path: Path) -> None:
    (root / ".cache").rename(tmp_path / "big disk")
    (root / ".cache").symlink_to(tmp_path / "big disk", target_is_directory=True)
    assert clean(root, "--yes") == 0
    assert len(files(tmp_path / "big disk")) == len(CACHED) + len(NOT_CACHED)


def test_an_experiment_half_cleaned_does_not_pass_for_finished(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name.endswith(".weights"):
            raise PermissionError(13, "Permission denied")
        usual(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    assert clean(root, "--name", "deep/full", "--yes") == 2
    assert "cannot be removed: no permission" in capsys.readouterr().err
    assert not (root / "experiments" / "deep" / "full" / "summary.yaml").exists()


def test_unknown_experiments_and_projects(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean(root, "--name", "smal", "--yes") == 2
    assert "no such experiment 'smal'; nearest: small" in capsys.readouterr().err
    assert clean(root / "none") == 2
    assert "there is no project folder" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [toy, toy_labels])
def test_everything_a_fit_leaves_is_known(kind: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What training, evaluation and predictions write, all of it, and the cache."""
    folder = tmp_path / "experiments" / "one"
    changes = {"stages": [{"epochs": 1, "logAll": True}], "showDataExamples": True, "preprocessing": "disk-cache"}
    experiment = kind.experiment(folder, **changes)  # type: ignore[attr-defined]
    data = toy.Drawn(14) if kind is toy else toy_labels.Thirds(20)
    (folder / "notes.md").write_text("mine")
    experiment.fit(data)
    experiment.predictions("validation", 0, 0)
    left = files(folder)
    assert len(left) > 10
    assert clean(tmp_path, "--yes") == 0
    assert files(folder) == ["config.yaml", "notes.md"]
    assert isinstance(experiment, musket.Experiment)
