from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy
import yaml
from pretended import Figure, Pretender, nowhere

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.core.errors import AlreadyFinished, ArtifactError, ConfigChanged, DataError, MusketError, TrainingError
from musket.core.jobs import Failure, Job
from musket.experiment.jobs.earlier_search import restore
from musket.experiment.jobs.in_turn import do_in_turn
from musket.experiment.jobs.schedule import PlainRun, job_arguments
from musket.experiment.jobs.search import SearchRun
from musket.experiment.projects.project import find_project, load_spec

BASE = toy.CONFIG.replace("folds_count: 2", "folds_count: 3").replace("lr: 0.01", "lr: rate")
CONFIG = f"""{BASE}max_evals: 6
hyperparameters:
  rate: {{range: [1e-5, 1.0], log: true}}
"""
CHOICES = f"""{BASE.replace("Adam", "opt").replace("rate", "0.1*n")}
hyperparameters:
  n: {{range: [1, 2], type: integer}}
  opt: {{enum: [Adam, SGD, AdamW]}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one experiment whose rate is searched."""
    toy.register_small_net()
    folder = tmp_path / "ships" / "experiments" / "unet"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    return tmp_path / "ships"


def search(
    root: Path, *overrides: str, at_once: int = 1, plain: Callable[..., Any] = PlainRun, **options: Any
) -> SearchRun:
    project, config = find_project(root / "experiments" / "unet")
    assert project is not None
    spec = load_spec(config, project=project, overrides=overrides)
    arguments = job_arguments(config, project.root, overrides=overrides, options=options)
    return SearchRun("unet", Layout(config), arguments, spec, plain, at_once)


def nearness(config: dict[str, Any]) -> float:
    """Best at a rate of 0.001, where it is 1."""
    return 1 - abs(math.log10(config["lr"]) + 3) / 10


def done_by(run: SearchRun, figure: Figure = nearness, **kwargs: Any) -> Pretender:
    worker = Pretender(figure, **kwargs)
    assert do_in_turn(run, worker, nowhere()) == []
    return worker


def scores(run: SearchRun) -> list[dict[str, Any]]:
    return yaml.safe_load(run.layout.scores.read_text())


def rates(run: SearchRun) -> list[float]:
    return [entry["parameters"]["rate"] for entry in scores(run)]


# --------------------------------------------------------------------------------------------------------- trials


def test_a_trial_is_an_experiment_with_the_values_in_their_places(root: Path) -> None:
    run = search(root, "batch=5")
    [job] = run.first()
    assert (job.key, job.experiment, job.arguments["overrides"]) == ("unet/trial0/prepare", "unet", [])
    path = root / "experiments" / "unet" / "trial0" / "config.yaml"
    assert job.arguments["config"] == str(path)
    header, remark, *_ = path.read_text().splitlines()
    assert header == "#%Musket Segmentation 1.0"
    assert remark.startswith("# trial 0 of ../config.yaml: rate=")
    config = yaml.safe_load(path.read_text())
    assert 1e-5 <= config["lr"] <= 1
    assert config["batch"] == 5
    template = yaml.safe_load(CONFIG)
    assert config.keys() == template.keys() - {"hyperparameters", "max_evals"}
    assert {key: config[key] for key in ("loss", "stages", "shape")} == {
        key: template[key] for key in ("loss", "stages", "shape")
    }


def test_the_best_of_all_trials_is_told(root: Path) -> None:
    run = search(root)
    worker = done_by(run)
    assert run.state == "done"
    found = scores(run)
    assert [entry["num"] for entry in found] == list(range(6))
    complete = [entry for entry in found if entry["score"] is not None]
    for entry in complete:
        config = yaml.safe_load((run.layout.trial(entry["num"]).config).read_text())
        assert config["lr"] == entry["parameters"]["rate"]
        assert entry["score"] == nearness(config)
    best = max(complete, key=lambda entry: entry["score"])
    numbers = [entry["score"] for entry in complete]
    summary = records.read_yaml(run.layout.summary)
    assert summary["best"] == {"trial": best["num"], "score": best["score"], "parameters": best["parameters"]}
    assert summary["scores"]["max"] == best["score"]
    assert summary["scores"]["min"] == min(numbers)
    assert summary["scores"]["mean"] == pytest.approx(sum(numbers) / len(numbers))
    assert summary["experiment_result"] == {"name": "dice_holdout", "value": best["score"]}
    assert summary["allStages"]["dice_holdout"] == best["score"]
    assert yaml.safe_load(run.layout.best_parameters.read_text()) == best["parameters"]
    assert run.result == summary["experiment_result"]
    assert not run.layout.in_progress.exists()
    assert worker.jobs["unet/trial0/prepare"].arguments["options"]["rerun"] is True


def test_a_search_finds_more_than_chance_and_the_same_each_time(root: Path) -> None:
    one = search(root, "max_evals=18")
    done_by(one)
    first = rates(one)
    tried = [abs(math.log10(rate) + 3) for rate in first]
    assert sum(tried[10:]) / 8 < sum(tried[:10]) / 10  # the first ten are by chance
    done_by(search(root, "max_evals=2", "random_state=5"))
    assert rates(one) != first[:2]
    done_by(search(root, "max_evals=12"))
    assert rates(one) == first[:12]


@pytest.mark.parametrize(
    ("overrides", "best_is"),
    [
        ([], max),
        (["primary_metric=val_loss"], min),
        (["primary_metric_mode=min"], min),
        (["primary_metric=val_loss", "experiment_result=dice"], max),
    ],
)
def test_scores_get_better_the_way_the_figure_does(root: Path, overrides: list[str], best_is: Any) -> None:
    run = search(root, "max_evals=4", *overrides)
    done_by(run)
    assert run.result is not None
    assert run.result["value"] == best_is(entry["score"] for entry in scores(run))


def test_a_figure_whose_direction_nobody_knows_is_refused_before(root: Path) -> None:
    (root / "modules").mkdir()
    (root / "modules" / "own.py").write_text("def closeness(truth, prediction):\n    return 0.0\n")
    with pytest.raises(MusketError, match=r"closeness.*primary_metric_mode: min or max"):
        search(root, "final_metrics=[closeness]", "experiment_result=closeness")


def test_few_combinations_are_all_tried_once(root: Path) -> None:
    (root / "experiments" / "unet" / "config.yaml").write_text(CHOICES)
    run = search(root)
    done_by(run, lambda config: config["lr"])
    found = [tuple(entry["parameters"].values()) for entry in scores(run)]
    assert sorted(found) == [(n, name) for n in (1, 2) for name in ("Adam", "AdamW", "SGD")]
    assert run.state == "done"


def test_a_trial_that_repeats_another_is_not_trained(root: Path) -> None:
    (root / "experiments" / "unet" / "config.yaml").write_text(CHOICES)
    run = search(root, "max_evals=5")  # six combinations: too many to try all
    worker = done_by(run, lambda config: config["lr"])
    repeated = [entry for entry in scores(run) if entry.get("note", "").startswith("repeats trial")]
    trained = {key.split("/")[1] for key in worker.done}
    assert len(scores(run)) == 5
    assert len(trained) == 5 - len(repeated)
    for entry in repeated:
        assert f"trial{entry['num']}" not in trained
        original = scores(run)[int(entry["note"].split()[-1])]
        assert (entry["parameters"], entry["score"]) == (original["parameters"], original["score"])


def test_several_trials_at_once(root: Path) -> None:
    run = search(root, at_once=3)
    jobs = run.first()
    assert [job.key for job in jobs] == [f"unet/trial{n}/prepare" for n in range(3)]
    assert len({entry.arguments["config"] for entry in jobs}) == 3
    worker = Pretender(nearness)
    value = worker.perform(jobs[1], nowhere())
    new = follows = run.done(jobs[1], value)
    for job in follows:
        new = run.done(job, worker.perform(job, nowhere()))
    assert [job.key for job in new] == ["unet/trial3/prepare"]  # the place of trial 1 is free


# -------------------------------------------------------------------------------------------------------- pruning


def test_a_trial_that_lags_behind_is_spared_its_other_folds(root: Path) -> None:
    run = search(root, "max_evals=7")
    worker = Pretender()
    worker.figure = lambda config: 0.1 if "trial6/" in worker.done[-1] else 0.5 + nearness(config) / 10
    assert do_in_turn(run, worker, nowhere()) == []
    of_last = [key for key in worker.done if "trial6/" in key]
    assert of_last == ["unet/trial6/prepare", "unet/trial6/fold 0"]
    last = scores(run)[6]
    assert (last["score"], last["state"]) == (None, "pruned")
    assert records.read_yaml(run.layout.summary)["trials"]["pruned"] >= 1
    assert not run.wanted(Job("unet/trial6/fold 1", "train", "unet"))
    assert run.done(Job("unet/trial6/fold 1", "train", "unet"), {"best": 1.0}) == []  # it was under way elsewhere


def test_pruning_knows_which_way_is_better(root: Path) -> None:
    run = search(root, "max_evals=7", "primary_metric=val_loss", "experiment_result=dice")
    worker = Pretender()
    # losses: the last trial has the lowest
    worker.figure = lambda config: 0.1 if "trial6/" in worker.done[-1] else 0.5 + nearness(config) / 10
    assert do_in_turn(run, worker, nowhere()) == []
    assert "unet/trial6/evaluate" in worker.done


# ------------------------------------------------------------------------------------------------------- failures


class Failing(Pretender):
    """Some jobs fail."""

    def __init__(self, fails: Callable[[Job], bool]):
        super().__init__(nearness)
        self.fails = fails

    def perform(self, job: Job, workplace: Any) -> Any:
        value = super().perform(job, workplace)
        if self.fails(job):
            raise DataError("out of paint", sample=job.key)
        return value


def test_a_trial_that_fails_is_noted_and_the_search_goes_on(root: Path) -> None:
    run = search(root, "max_evals=4")
    worker = Failing(lambda job: job.key == "unet/trial1/fold 1")
    assert len(do_in_turn(run, worker, nowhere())) == 1
    assert run.state == "done"
    assert run.failures == []
    entry = scores(run)[1]
    assert (entry["score"], entry["state"]) == (None, "failed")
    assert "out of paint" in entry["note"]
    assert "unet/trial1/fold 2" not in worker.done  # a waste
    assert "unet/trial3/evaluate" in worker.done
    assert records.read_yaml(run.layout.trial(1).error)["errors"][0]["type"] == "DataError"
    assert not run.layout.error.exists()


def test_a_search_whose_trials_all_fail_has_failed(root: Path) -> None:
    run = search(root, "max_evals=3")
    do_in_turn(run, Failing(lambda job: job.kind == "train"), nowhere())
    assert run.state == "failed"
    [(_, failure)] = run.failures
    assert "none of 3 trials was trained to its end; trial 2: DataError" in failure.value
    assert "out of paint" in records.read_yaml(run.layout.error)["errors"][0]["value"]
    assert not run.layout.summary.exists()
    assert not run.layout.in_progress.exists()


def test_a_search_gives_up_when_nothing_works(root: Path) -> None:
    run = search(root, "max_evals=50")
    worker = Failing(lambda job: job.kind == "prepare")
    do_in_turn(run, worker, nowhere())
    assert len(worker.done) == 10
    assert run.state == "failed"


def test_a_search_that_went_on_and_gave_up_tells_the_best_before(root: Path) -> None:
    done_by(search(root, "max_evals=3"))
    best = max(scores(search(root)), key=lambda entry: entry["score"])
    run = search(root, "max_evals=50", resume=True)
    do_in_turn(run, Failing(lambda job: job.kind == "train"), nowhere())
    [(_, failure)] = run.failures
    assert "the first 10 trials since it went on all failed; trial 12: DataError" in failure.value
    assert f"The best before is trial {best['num']}" in failure.value
    report = search(root, "max_evals=50")
    report.only_evaluate = True
    assert report.first() == []
    assert records.read_yaml(run.layout.summary)["best"]["trial"] == best["num"]
    assert not run.layout.error.exists()


def test_values_that_no_config_may_have_fail_their_trial_alone(root: Path) -> None:
    text = CONFIG.replace("batch: 3", "batch: 3+0/(n-3)").partition("  rate")[0].replace("rate", "0.1")
    (root / "experiments" / "unet" / "config.yaml").write_text(text + "  n: {range: [1, 6], type: integer}\n")
    run = search(root)  # neither the middle nor an end of the range
    worker = done_by(run, lambda config: 0.5)
    assert run.state == "done"
    [failed] = [entry for entry in scores(run) if entry.get("state") == "failed"]
    assert failed["parameters"] == {"n": 3}
    assert "division by zero" in failed["note"]
    assert f"unet/trial{failed['num']}/prepare" not in worker.done


def test_a_score_that_is_no_number_is_a_failure(root: Path) -> None:
    run = search(root, "max_evals=2")
    done_by(run, lambda config: math.nan)
    assert run.state == "failed"
    assert scores(run)[0]["state"] == "failed"


# --------------------------------------------------------------------------------------------------------- resume


class Stopping(Pretender):
    """Ends at a job, as Ctrl-C does."""

    def __init__(self, last: str):
        super().__init__(nearness)
        self.last = last

    def perform(self, job: Job, workplace: Any) -> Any:
        if job.key == self.last:
            raise KeyboardInterrupt
        return super().perform(job, workplace)


def test_a_search_goes_on_where_it_was(root: Path) -> None:
    whole = search(root)
    done_by(whole)
    expected = scores(whole)

    with pytest.raises(KeyboardInterrupt):
        do_in_turn(search(root), Stopping("unet/trial3/fold 1"), nowhere())
    assert [entry["num"] for entry in scores(whole)] == [0, 1, 2]
    assert whole.layout.in_progress.exists()
    run = search(root, resume=True)
    worker = done_by(run)
    assert worker.done[0] == "unet/trial3/prepare"
    assert worker.jobs["unet/trial3/prepare"].arguments["options"]["resume"] is True
    assert worker.jobs["unet/trial4/prepare"].arguments["options"]["resume"] is False
    assert scores(run) == expected
    assert search(root, resume=True).first() == []
    longer = search(root, "max_evals=8", resume=True)
    assert {key.split("/")[1] for key in done_by(longer).done} == {"trial6", "trial7"}


def test_an_interrupted_trial_is_no_failed_one(root: Path) -> None:
    run = search(root)
    [job] = run.first()
    [fold, *_] = run.done(job, Pretender().perform(job, nowhere()))
    assert run.failed(fold, Failure("Stopped", "after an epoch", interrupted=True)) == []
    assert run.state == "stopped"
    assert run.failures == []
    assert [job.key for job in search(root, resume=True).first()] == ["unet/trial0/prepare"]


def test_a_new_search_removes_the_trials_of_the_old_one(root: Path) -> None:
    done_by(search(root, "max_evals=3"))
    run = search(root, "max_evals=2", resume=False)
    done_by(run)
    assert sorted(path.name for path in run.layout.folder.glob("trial*")) == ["trial0", "trial1", "trials.db"]


class Unreadable(Pretender):
    """Its first preparations fail, as those of a dataset that is not there."""

    def __init__(self, failing: int = 1000) -> None:
        super().__init__()
        self.failing = failing

    def perform(self, job: Job, workplace: Any) -> Any:
        if job.kind == "prepare" and self.failing:
            self.failing -= 1
            raise DataError("no such folder: data/ships")
        return super().perform(job, workplace)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_search_that_cannot_begin_costs_nothing_of_the_one_before(root: Path) -> None:
    done_by(search(root, "max_evals=3"))
    before = contents(root / "experiments" / "unet")
    run = search(root, "max_evals=2")
    errors = do_in_turn(run, Unreadable(), nowhere())
    restore(run.layout)
    assert len(errors) == 2
    assert run.state == "failed"
    [(_, told)] = run.failures
    assert told.value == "none of 2 trials was trained to its end; trial 1: DataError: no such folder: data/ships"
    assert contents(run.layout.folder) == before


def test_a_search_that_begins_after_failures_replaces_the_one_before(root: Path) -> None:
    done_by(search(root, "max_evals=3"))
    run = search(root, "max_evals=2")
    assert len(do_in_turn(run, Unreadable(failing=1), nowhere())) == 1
    restore(run.layout)
    assert [entry.get("state") for entry in scores(run)] == ["failed", None]
    assert records.read_yaml(run.layout.summary)["trials"] == {"failed": 1, "complete": 1}
    assert not run.layout.earlier_search.exists()
    assert not run.layout.error.exists()


@pytest.mark.parametrize("when", ["begun", "moving"])
def test_a_start_that_was_killed_costs_nothing_of_the_search_before(root: Path, when: str) -> None:
    done_by(search(root, "max_evals=3"))
    layout = Layout(root / "experiments" / "unet" / "config.yaml")
    before = contents(layout.folder)
    if when == "begun":  # killed in the first preparation
        search(root, "max_evals=2").first()
        assert layout.earlier_search.is_dir()
    else:  # some files are there, others here
        layout.moving_search.mkdir()
        for name in ("trial1", "trials.db"):
            (layout.folder / name).rename(layout.moving_search / name)
    restore(layout)
    restore(layout)  # nothing is left to do
    assert contents(layout.folder) == before
    assert search(root, "max_evals=3", resume=True).first() == []


def test_a_search_that_goes_on_keeps_its_summary_until_the_data_is_good(root: Path) -> None:
    done_by(search(root, "max_evals=2"))
    run = search(root, "max_evals=3", resume=True)
    before = run.layout.summary.read_text()
    [job] = run.first()
    assert run.layout.summary.read_text() == before
    run.done(job, Pretender().perform(job, nowhere()))
    assert not run.layout.summary.exists()
    assert run.layout.in_progress.exists()


def test_a_folder_of_somebody_else_is_not_touched(root: Path) -> None:
    run = search(root, "max_evals=2")
    done_by(run)
    other = run.layout.folder / "trial7" / "config.yaml"
    other.parent.mkdir()
    other.write_text("architecture: Unet")
    with pytest.raises(MusketError, match="trial7 is there already, and no trial of a search made it; move it away"):
        search(root).first()
    assert other.exists()
    assert run.layout.study.exists()


def test_an_edit_between_is_told(root: Path) -> None:
    done_by(search(root, "max_evals=2"))
    with pytest.raises(ConfigChanged, match="batch: was 3, now 4"):
        search(root, "max_evals=3", "batch=4", resume=True).first()
    jobs = search(root, "max_evals=3", "batch=4", resume=True, accept_changes=True).first()
    assert [job.key for job in jobs] == ["unet/trial2/prepare"]


def test_ends_of_ranges_may_be_moved_but_nothing_else(root: Path) -> None:
    done_by(search(root, "max_evals=2"))
    wider = "hyperparameters.rate.range=[1e-6, 1.0]"
    with pytest.raises(ConfigChanged, match=r"hyperparameters\.rate\.range"):
        search(root, "max_evals=3", wider, resume=True).first()
    assert search(root, "max_evals=3", wider, resume=True, accept_changes=True).first()
    for other in ("hyperparameters.rate.log=false", "hyperparameters.rate={enum: [0.1, 0.2]}"):
        with pytest.raises(TrainingError, match="cannot be accepted: the trials there have other hyperparameters"):
            search(root, "max_evals=3", other, resume=True, accept_changes=True).first()
    with pytest.raises(ArtifactError, match="were to maximize, now they are to minimize"):
        search(root, "primary_metric_mode=min", resume=True, accept_changes=True).first()


def test_a_study_that_cannot_be_read_is_told(root: Path) -> None:
    run = search(root, resume=True)
    run.layout.study.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    with pytest.raises(ArtifactError, match=r"trials\.db: not readable as a study"):
        run.first()


# ------------------------------------------------------------------------------------------- seeds, tasks, the rest


def test_every_trial_may_have_several_seeds(root: Path) -> None:
    run = search(root, "max_evals=2", "num_seeds=2")
    worker = Pretender()
    worker.figure = lambda config: nearness(config) + (0.1 if "/0/" in worker.done[-1] else -0.1)
    assert do_in_turn(run, worker, nowhere()) == []
    assert worker.done[:2] == ["unet/trial0/0/prepare", "unet/trial0/1/prepare"]
    config = yaml.safe_load((run.layout.trial(1).seed(1).config).read_text())
    assert "num_seeds" not in config
    assert scores(run)[1]["score"] == pytest.approx(nearness(config))  # their mean
    assert records.read_yaml(run.layout.trial(1).summary)["seeds"].keys() == {0, 1}


def test_a_report_alone_is_made_of_what_was_tried(root: Path) -> None:
    run = search(root)
    done_by(run)
    before = records.read_yaml(run.layout.summary)
    run.layout.summary.unlink()
    again = search(root)
    again.only_evaluate = True
    assert again.first() == []
    assert records.read_yaml(run.layout.summary) == before


def test_the_plan_writes_nothing(root: Path) -> None:
    keys = [job.key for job in search(root).planned()]
    assert len(keys) == 6 * 5
    assert keys[5] == "unet/trial1/prepare"
    assert sorted(path.name for path in (root / "experiments" / "unet").iterdir()) == ["config.yaml"]


def test_without_optuna_it_is_said_what_to_install(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "optuna" else found(name))
    with pytest.raises(MusketError, match=r'pip install "musket\[search\]"'):
        search(root)


def test_only_a_search_needs_optuna() -> None:
    code = (
        "import sys, musket.cli.fit, musket.experiment.facade\n"
        "import musket.experiment.jobs.search, musket.experiment.jobs.in_turn\n"
        "assert not {'optuna', 'sqlalchemy'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_python_searches_too(tmp_path: Path) -> None:
    experiment = toy.experiment(
        tmp_path / "search",
        lr="rate",
        hyperparameters={"rate": {"enum": [0.01, 0.02]}},
        stages=[{"epochs": 1}],
    )
    summary = experiment.fit(toy.Drawn(8))
    assert summary["trials"] == {"complete": 2}
    assert summary["best"]["parameters"]["rate"] in (0.01, 0.02)
    judged = [
        records.read_yaml(experiment.layout.trial(number).summary)["experiment_result"]["value"] for number in (0, 1)
    ]
    assert summary["best"]["score"] == max(judged)
    with pytest.raises(AlreadyFinished):
        experiment.fit(toy.Drawn(8))
