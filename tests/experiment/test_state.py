from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy
import yaml

import musket
from musket.artifacts.layout import Layout
from musket.artifacts.peek import peek_state
from musket.core.errors import ConfigChanged, MusketError
from musket.experiment.projects.project import open_project
from musket.experiment.state.code_used import read_code
from musket.experiment.state.lock import locked
from musket.experiment.state.run_files import result_of
from musket.experiment.state.state import State, options, stale_options, state, states

ROOT = Path(__file__).parents[2]
MODULE = """\
import toy
from own_parts.counting import at_least

def getTrain(count):
    return toy.Drawn(at_least(count))
"""
CONFIG = toy.CONFIG.replace("  - epochs: 2", "  - epochs: 1\n  - {epochs: 1, lr: 0.005}")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one finished experiment of two stages."""
    toy.register_small_net()
    root = tmp_path_factory.mktemp("state")
    parts = root / "modules" / "own_parts"
    parts.mkdir(parents=True)
    (parts / "__init__.py").touch()
    (parts / "counting.py").write_text("def at_least(count):\n    return count\n")
    (root / "modules" / "toy_discs.py").write_text(MODULE)
    (root / "modules" / "unused_here.py").write_text("def somethingElse():\n    return 1\n")
    (root / "modules" / "own_judging.py").write_text(
        "import musket\n\n\n@musket.final_metric\ndef half(model, dataset):\n    return 0.5\n"
    )
    folder = root / "experiments" / "deep" / "done"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG + "dataset: {getTrain: [12]}\nfinal_metrics: [half]\n")
    musket.parse(folder / "config.yaml", lr=0.02).fit()
    return root


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "project")


@pytest.fixture
def folder(root: Path) -> Path:
    return root / "experiments" / "deep" / "done"


def look(root: Path, *, check_data: bool = True) -> State:
    [found] = states(root, check_data=check_data)
    return found


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_a_record_tells_what_was_trained_with_what(trained: Path) -> None:
    record = yaml.safe_load((trained / "experiments" / "deep" / "done" / "run.yaml").read_text("utf-8"))
    assert record["overrides"] == ["lr=0.02"]
    assert list(record["code"]) == [
        "modules/own_judging.py",
        "modules/own_parts/__init__.py",
        "modules/own_parts/counting.py",
        "modules/toy_discs.py",
    ]
    assert list(record["files"]) == ["config.yaml"]
    assert {"torch", "numpy", "musket", "python"} <= record["versions"].keys()
    assert record["folds"] == 2
    assert record["data"]["samples"] == 12
    assert record["devices"]


def test_finished(root: Path) -> None:
    found = look(root)
    assert (found.name, found.state, found.reasons, found.notes) == ("deep/done", "finished", (), ())
    assert (found.folds_done, found.folds, found.runs) == (2, 2, None)
    assert found.result is not None
    assert found.result["name"] == "dice_holdout"
    assert stale_options(open_project(root)) == {}


STALE: dict[str, tuple[Callable[[Path], None], str, dict[str, Any]]] = {}


def stale(said: str, **expected: Any) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """An edit of the project, what is told of it, and how it is trained again."""

    def register(change: Callable[[Path], None]) -> Callable[[Path], None]:
        STALE[change.__name__] = (change, said, expected)
        return change

    return register


AFRESH = {"resume": False, "rerun": True}


def config_of(root: Path) -> Path:
    return root / "experiments" / "deep" / "done" / "config.yaml"


@stale("batch: was 3, now 2", **AFRESH, new_splits=False)
def a_key_of_all_stages(root: Path) -> None:
    edit(config_of(root), "batch: 3", "batch: 2")


@stale("random_state: was 33, now 4", **AFRESH, new_splits=True)
def a_key_of_the_splits(root: Path) -> None:
    edit(config_of(root), "batch: 3", "batch: 3\nrandom_state: 4")


@stale("stages.1.lr: was 0.005, now 0.05", **AFRESH, first_stage=1)
def a_key_of_the_second_stage(root: Path) -> None:
    edit(config_of(root), "lr: 0.005", "lr: 0.05")


@stale("stages.2.epochs: was not set, now 3", **AFRESH, first_stage=2)
def one_more_stage(root: Path) -> None:
    edit(config_of(root), "0.005}", "0.005}\n  - epochs: 3")


@stale("stages.1.epochs: was 1, now 4", resume=True)
def more_epochs_in_the_end(root: Path) -> None:
    edit(config_of(root), "{epochs: 1, lr", "{epochs: 4, lr")


@stale("stages.0.epochs: was 1, now 4", **AFRESH, new_splits=False)
def more_epochs_in_the_beginning(root: Path) -> None:
    edit(config_of(root), "- epochs: 1\n", "- epochs: 4\n")


@stale("stages.1.epochs: was 1, now not set", only_evaluate=True)
def one_stage_less(root: Path) -> None:
    edit(config_of(root), "  - {epochs: 1, lr: 0.005}\n", "")


@stale("final_metrics: was ['half'], now not set", only_evaluate=True)
def a_key_of_the_summary(root: Path) -> None:
    edit(config_of(root), "final_metrics: [half]", "")


@stale("code: modules/own_judging.py changed", only_evaluate=True)
def code_of_the_summary(root: Path) -> None:
    edit(root / "modules" / "own_judging.py", "0.5", "0.25")


@stale("code: modules/own_parts/counting.py changed", **AFRESH, new_splits=False)
def code_that_the_named_code_imports(root: Path) -> None:
    edit(root / "modules" / "own_parts" / "counting.py", "return count", "return count + 0")


@stale("data: 1 sample added (disc-12)", **AFRESH, new_splits=True)
def more_data(root: Path) -> None:
    edit(root / "modules" / "own_parts" / "counting.py", "return count", "return count + 1")


@stale("clipnorm: was not set, now 0.5", **AFRESH, new_splits=False)
def a_default_of_the_project(root: Path) -> None:
    (root / "common.yaml").write_text("clipnorm: 0.5\n")


@pytest.mark.parametrize("name", STALE)
def test_stale(name: str, root: Path) -> None:
    change, said, expected = STALE[name]
    change(root)
    found = look(root)
    assert found.state == "stale"
    assert said in found.reasons
    assert options(found) == {**expected, "overrides": ["lr=0.02"]}
    assert stale_options(open_project(root)) == {"deep/done": {**expected, "overrides": ["lr=0.02"]}}


def test_what_does_not_matter_leaves_it_finished(root: Path) -> None:
    edit(config_of(root), "verbose: 0", "verbose: 1  # and a comment\ntasks: {count: {}}")
    edit(root / "modules" / "unused_here.py", "return 1", "return 2")
    assert look(root).state == "finished"


@pytest.mark.parametrize("stored", ["code", "bytes"])
def test_comments_and_spaces_are_no_change_of_code(stored: str, root: Path, folder: Path) -> None:
    if stored == "bytes":  # as former records have it: nothing is known of the code then
        record = yaml.safe_load((folder / "run.yaml").read_text("utf-8"))
        record["code"] = dict.fromkeys(record["code"], "0123456789abcdef")
        (folder / "run.yaml").write_text(yaml.safe_dump(record))
    edit(root / "modules" / "own_parts" / "counting.py", "    return count\n", "\n\n    # all\n    return (count)\n")
    assert look(root).reasons == ()
    edit(root / "modules" / "own_parts" / "counting.py", "count):", "count, more=()):")
    assert look(root).state == ("stale" if stored == "code" else "finished")


def test_code_of_any_depth_has_a_digest(tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    file = tmp_path / "modules" / "long.py"

    def digest(text: str) -> str:
        file.write_text(text)
        return read_code(tmp_path).files["modules/long.py"].digest

    long = "x = " + " + ".join(["1"] * 900)
    assert digest(f"{long}\n") == digest(f"{long}  # one\n\n") != digest(f"{long} + 1\n")
    assert digest("x = '\\ud800'") != digest("x = 'd800'") != digest("x = b'd800'")
    assert digest("f(a, b)") != digest("f(a)(b)") != digest("f(b)(a)")
    assert digest("x = None") != digest("x: None")
    assert digest("if a:\n    b\n    c\n") != digest("if a:\n    b\nc\n")


def test_lost_files_make_more_of_it_stale(root: Path, folder: Path) -> None:
    edit(config_of(root), "lr: 0.005", "lr: 0.05")
    (folder / "weights" / "best-1.0.weights").unlink()
    assert look(root).affected.what == "everything"


def test_states_that_were_deleted_let_the_stage_be_trained_again(root: Path, folder: Path) -> None:
    edit(config_of(root), "{epochs: 1, lr", "{epochs: 4, lr")
    (folder / "weights" / "last-1.1.state").unlink()
    found = look(root)
    assert (found.affected.what, found.affected.first_stage) == ("stages", 1)


def test_only_the_folds_that_were_trained_are_trained_again(root: Path, folder: Path) -> None:
    summary = yaml.safe_load((folder / "summary.yaml").read_text("utf-8"))
    (folder / "summary.yaml").write_text(yaml.safe_dump({**summary, "folds": [1]}))
    edit(config_of(root), "batch: 3", "batch: 2")
    found = look(root)
    assert (found.folds_done, found.folds) == (1, 2)
    assert options(found)["folds"] == [1]


def test_data_that_cannot_be_checked_is_a_note(root: Path) -> None:
    edit(root / "modules" / "toy_discs.py", "return toy", "raise OSError('not mounted')\n    return toy")
    found = look(root)
    assert found.reasons == ("code: modules/toy_discs.py changed",)
    [note] = found.notes
    assert note.startswith("data not checked: ")
    assert note.endswith("dataset function getTrain failed: OSError: not mounted")
    assert look(root, check_data=False).notes == ()


@pytest.mark.parametrize("more", [0, 1])
def test_records_without_the_newer_parts_are_compared_as_far_as_they_go(more: int, root: Path, folder: Path) -> None:
    record = yaml.safe_load((folder / "run.yaml").read_text("utf-8"))
    old = {key: record[key] for key in ("config", "subsample", "device", "precision", "versions")}
    old["config"] = {**record["config"], "lr": 0.01}
    old["data"] = {key: record["data"][key] for key in ("samples", "fingerprint")}
    (folder / "run.yaml").write_text(yaml.safe_dump(old))
    edit(root / "modules" / "own_parts" / "counting.py", "return count", f"return count + {more}")
    assert look(root).reasons == (("data: 1 sample added (disc-12)",) if more else ())


def test_a_record_that_cannot_be_read_is_a_note(root: Path, folder: Path) -> None:
    (folder / "run.yaml").write_text("- no record")
    found = look(root)
    assert found.state == "finished"
    assert "this is no record of a run" in found.notes[0]


def test_new_refused_running_failed_interrupted(root: Path, folder: Path) -> None:
    new = root / "experiments" / "new"
    new.mkdir()
    (new / "config.yaml").write_text(CONFIG)
    found = state(open_project(root), "new")
    assert (found.state, found.folds_done, found.folds, found.result) == ("new", 0, 2, None)
    (new / "config.yaml").write_text(CONFIG + "bacth: 3\n")
    found = state(open_project(root), "new")
    assert found.state == "refused"
    assert "bacth" in found.reasons[0]
    assert "nearest: batch" in found.reasons[0]
    with pytest.raises(MusketError, match="no such experiment"):
        state(open_project(root), "newer")

    layout = Layout(folder / "config.yaml")
    with locked(layout):
        found = look_at(root)
        assert found.state == "running"
        assert found.reasons[0].startswith("by process ")
        assert stale_options(open_project(root)) == {"new": {}}
    layout.error.write_text(yaml.safe_dump({"errors": [{"job": "deep/done/fold 1", "type": "E", "value": "no\nmore"}]}))
    assert (look_at(root).state, look_at(root).reasons) == ("failed", ("deep/done/fold 1: E: no",))
    layout.error.unlink()
    layout.summary.write_text("Error")
    assert look_at(root).state == "failed"
    layout.summary.write_text("Cancelled")
    assert look_at(root).state == "interrupted"
    layout.summary.unlink()
    found = look_at(root)
    assert (found.state, found.folds_done) == ("interrupted", 2)
    (folder / "weights" / "best-0.1.weights").unlink()
    assert look_at(root).folds_done == 1
    assert stale_options(open_project(root)) == {"deep/done": {}, "new": {}}


def test_interrupted_only_when_an_epoch_was_trained(root: Path) -> None:
    folder = root / "experiments" / "new"
    (folder / "weights").mkdir(parents=True)
    (folder / "metrics").mkdir()
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "inProgress.yaml").write_text("true")
    assert state(open_project(root), "new").state == "new"
    (folder / "weights" / "best-1.0.weights").touch()
    assert state(open_project(root), "new").state == "interrupted"


def look_at(root: Path) -> State:
    return state(open_project(root), "deep/done")


def test_a_fold_under_way_is_not_done(root: Path, folder: Path) -> None:
    (folder / "summary.yaml").unlink()
    edit(config_of(root), "{epochs: 1, lr", "{epochs: 4, lr")
    found = look(root)
    assert (found.state, found.folds_done) == ("interrupted", 0)


def test_states_are_read_without_torch(folder: Path) -> None:
    told = peek_state(folder / "weights" / "last-0.1.state")
    assert len(told["rows"]) == 1
    assert told["stopped"] is None
    assert peek_state(folder / "config.yaml") == {}
    assert peek_state(folder / "none") == {}


def test_a_module_that_fails_refuses_what_needs_it(root: Path) -> None:
    (root / "modules" / "broken.py").write_text("raise ValueError('no')\n")
    assert look(root, check_data=False).state == "finished", "nothing had to be imported"
    edit(config_of(root), "batch: 3", "batch: 2")
    found = look(root)
    assert found.state == "refused"
    assert "broken.py, line 1: ValueError: no" in found.reasons[0]


def test_seeds_and_trials(root: Path, folder: Path) -> None:
    config = (folder / "config.yaml").read_text("utf-8")
    several = root / "experiments" / "several"
    for seed in range(2):
        one = shutil.copytree(folder, several / str(seed))
        (one / "config.yaml").rename(one / "config_concrete.yaml")
    (several / "config.yaml").write_text(config.replace("lr: 0.01", "lr: 0.02") + "num_seeds: 3\n")
    (several / "1" / "summary.yaml").unlink()
    project = open_project(root)
    found = state(project, "several")
    assert (found.state, found.runs, found.folds_done, found.folds) == ("interrupted", 2, 4, 6)
    (several / "summary.yaml").write_text("{mean: 0.5, max: 1.0, min: 0.0, std: 0.25}")
    found = state(project, "several")
    assert (found.state, found.result) == ("finished", {"name": "dice", "value": 0.5})
    (several / "config.yaml").write_text(config + "num_seeds: 3\n")
    found = state(project, "several")
    assert (found.state, found.reasons) == ("stale", ("lr: was 0.02, now 0.01",))


@pytest.mark.parametrize(
    ("summary", "config", "expected"),
    [
        ({"experiment_result": {"name": "iou", "value": 0.25}}, {}, ("iou", 0.25)),
        (
            {"allStages": {"dice": {"mean": 0.5}, "dice_holdout": 0.75}},
            {"primary_metric": "val_dice"},
            ("dice_holdout", 0.75),
        ),
        ({"allStages": {"dice": {"mean": 0.5}, "f1": {"mean": 0.25}}}, {"primary_metric": "val_dice"}, ("dice", 0.5)),
        (
            {"allStages": {"dice": {"mean": 0.5}, "f1": {"mean": 0.25}}},
            {"primary_metric": "val_dice", "experiment_result": "f1"},
            ("f1", 0.25),
        ),
        ({"allStages": {}}, {"primary_metric": "val_dice"}, None),
        ("Error", {}, None),
        (None, {}, None),
    ],
)
def test_the_result_of_any_summary(summary: Any, config: dict[str, Any], expected: tuple[str, float] | None) -> None:
    found = result_of(summary, config)
    assert found == (None if expected is None else dict(zip(("name", "value"), expected, strict=True)))


def test_looking_needs_no_torch(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from musket.experiment.state.state import states; "
        f"[one] = states(Path({str(root)!r}), check_data=False); print(one.state, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["finished", "False"], done.stderr


def test_a_summary_written_anew_is_noted_unless_other_weights_are_asked_for(root: Path, folder: Path) -> None:
    edit(config_of(root), "final_metrics: [half]", "")
    assert options(look(root))["only_evaluate"]
    musket.parse(folder, lr=0.02).createSummary()
    assert look(root).state == "finished"
    edit(config_of(root), "batch: 3", "batch: 2")
    record = (folder / "run.yaml").read_bytes()
    musket.parse(folder, lr=0.02).createSummary()
    assert (folder / "run.yaml").read_bytes() == record
    edit(config_of(root), "batch: 2", "batch: 3")
    edit(root / "modules" / "own_parts" / "counting.py", "return count", "return count + 0")
    musket.parse(folder, lr=0.02).createSummary()
    assert look(root).reasons == ("code: modules/own_parts/counting.py changed",)


@pytest.mark.parametrize(("first_stage", "refused"), [(1, False), (0, True)])
def test_stages_from_one_on_are_trained_again_where_only_they_changed(
    first_stage: int, refused: bool, root: Path, folder: Path
) -> None:
    edit(config_of(root), "lr: 0.005" if first_stage else "batch: 3", "lr: 0.05" if first_stage else "batch: 2")
    kept = (folder / "weights" / "best-0.0.weights").read_bytes()
    experiment = musket.parse(folder, lr=0.02)
    if refused:
        with pytest.raises(ConfigChanged, match="batch: was 3, now 2"):
            experiment.fit(start_from_stage=1, rerun=True)
        return
    experiment.fit(start_from_stage=first_stage, rerun=True)
    assert (folder / "weights" / "best-0.0.weights").read_bytes() == kept
    assert look(root).state == "finished"
    edit(config_of(root), "lr: 0.05", "lr: 0.5")
    with pytest.raises(ConfigChanged, match=r"stages\.1\.lr"):
        musket.parse(folder, lr=0.02).fit(foldsToExecute=[0], start_from_stage=1, rerun=True)
