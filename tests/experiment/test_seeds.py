from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toy
import yaml
from pretended import Pretender, nowhere

import musket
from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.core.errors import AlreadyFinished, ConfigError, DataError
from musket.core.jobs import Failure, Job
from musket.experiment.jobs.in_turn import do_in_turn
from musket.experiment.jobs.schedule import PlainRun, job_arguments
from musket.experiment.jobs.seeds import SeededRun, summary_over_seeds
from musket.experiment.jobs.worker import Worker
from musket.experiment.projects.project import find_project, load_spec, read_documents

CONFIG = toy.CONFIG.replace("folds_count: 2", "folds_count: 3") + "num_seeds: 3\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one experiment of three seeds."""
    toy.register_small_net()
    folder = tmp_path / "ships" / "experiments" / "unet"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    return tmp_path / "ships"


def seeded(root: Path, *overrides: str, **options: Any) -> SeededRun:
    project, config = find_project(root / "experiments" / "unet")
    assert project is not None
    spec = load_spec(config, project=project, overrides=overrides)
    arguments = job_arguments(config, project.root, overrides=overrides, options=options)
    return SeededRun("unet", Layout(config), arguments, spec, PlainRun)


def config_of(root: Path, number: int) -> dict[str, Any]:
    return yaml.safe_load((root / "experiments" / "unet" / str(number) / "config_concrete.yaml").read_text())


# ------------------------------------------------------------------------------------------------------- configs


def test_every_seed_has_a_config_of_its_own(root: Path) -> None:
    run = seeded(root)
    jobs = run.first()
    assert [job.key for job in jobs] == ["unet/0/prepare", "unet/1/prepare", "unet/2/prepare"]
    assert {job.experiment for job in jobs} == {"unet"}
    folder = root / "experiments" / "unet"
    assert [job.arguments["config"] for job in jobs] == [str(folder / f"{n}/config_concrete.yaml") for n in range(3)]
    text = (folder / "0" / "config_concrete.yaml").read_text()
    assert text.startswith("#%Musket Segmentation 1.0\n# seed 0 of ../config.yaml")
    configs = [config_of(root, number) for number in range(3)]
    expected = {key: value for key, value in yaml.safe_load(CONFIG).items() if key != "num_seeds"}
    for config in configs:
        assert {key: value for key, value in config.items() if key not in ("testSplitSeed", "random_state")} == expected
        assert 0 <= config["testSplitSeed"] <= 100_000
    for key in ("testSplitSeed", "random_state"):
        assert len({config[key] for config in configs}) == 3


def test_the_same_config_gives_the_same_seeds_and_another_random_state_others(root: Path) -> None:
    seeded(root).first()
    before = config_of(root, 1)
    for number in range(3):
        (root / f"experiments/unet/{number}/config_concrete.yaml").unlink()
    seeded(root).first()
    assert config_of(root, 1) == before
    for number in range(3):
        (root / f"experiments/unet/{number}/config_concrete.yaml").unlink()
    seeded(root, "random_state=34").first()
    after = config_of(root, 1)
    assert after["random_state"] != before["random_state"]
    assert after["testSplitSeed"] != before["testSplitSeed"]


def test_overrides_and_defaults_of_the_project_are_in_the_configs(root: Path) -> None:
    (root / "common.yaml").write_text("num_seeds: 5\nbatch: 99\ncallbacks: {EarlyStopping: {patience: 4}}\n")
    jobs = seeded(root, "num_seeds=2", "lr=0.5", "callbacks.EarlyStopping.patience=7").first()
    assert len(jobs) == 2
    assert all(job.arguments["overrides"] == [] for job in jobs)
    config = config_of(root, 1)
    assert (config["lr"], config["batch"]) == (0.5, 3)
    assert config["callbacks"] == {"EarlyStopping": {"patience": 7}}
    project, _ = find_project(root / "experiments" / "unet")
    spec = load_spec(jobs[1].arguments["config"], project=project)
    assert (spec.num_seeds, spec.lr, spec.batch) == (None, 0.5, 3)


def test_a_config_that_is_there_is_kept(root: Path) -> None:
    seeded(root).first()
    path = root / "experiments" / "unet" / "1" / "config_concrete.yaml"
    mine = f"# mine\n{path.read_text()}".replace(
        f"testSplitSeed: {config_of(root, 1)['testSplitSeed']}", "testSplitSeed: 7"
    )
    path.write_text(mine)
    seeded(root).first()
    assert path.read_text() == mine


def test_an_edit_of_the_experiment_reaches_its_seeds_which_stay_what_they_are(root: Path) -> None:
    seeded(root).first()
    before = config_of(root, 1)
    seeded(root, "lr=0.25").first()
    assert config_of(root, 1) == {**before, "lr": 0.25}


def test_a_config_of_a_seed_that_cannot_be_read_is_told(root: Path) -> None:
    seeded(root).first()
    (root / "experiments" / "unet" / "1" / "config_concrete.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="not YAML"):
        seeded(root).first()


def test_paths_begin_at_the_experiment(tmp_path: Path) -> None:
    folder = tmp_path / "unet"
    (folder / "trial1").mkdir(parents=True)
    (folder / "config.yaml").touch()
    own = Layout(folder / "config.yaml")
    assert own.base == folder
    assert own.seed(3).config == folder / "3" / "config_concrete.yaml"
    assert own.seed(3).base == own.trial(1).base == own.trial(1).seed(0).base == folder
    assert own.trial(1).folder == folder / "trial1"
    other = tmp_path / "trial1" / "config.yaml"
    assert Layout(other).base == tmp_path / "trial1"  # an experiment of that name, in no other one
    assert Layout(tmp_path / "3" / "config.yaml").base == tmp_path / "3"


def test_a_seed_may_be_opened_by_its_folder(root: Path) -> None:
    seeded(root).first()
    _, config = find_project(root / "experiments" / "unet" / "2")
    assert config.name == "config_concrete.yaml"
    (root / "common.yaml").write_text("batch: 99\n")
    assert read_documents(config, root)[1] is None


# ---------------------------------------------------------------------------------------------------- what follows


def test_all_seeds_are_trained_and_summed_up(root: Path) -> None:
    run = seeded(root)
    figures = {"0": 0.25, "1": 0.5, "2": 0.75}
    worker = Pretender()
    worker.figure = lambda config: figures[worker.done[-1].split("/")[1]]
    assert do_in_turn(run, worker, nowhere()) == []
    assert worker.done[:5] == ["unet/0/prepare", "unet/1/prepare", "unet/2/prepare", "unet/0/fold 0", "unet/0/fold 1"]
    assert len(worker.done) == 3 * 5
    spread = {"mean": 0.5, "max": 0.75, "min": 0.25, "std": pytest.approx((2 * 0.25**2 / 3) ** 0.5)}
    summary = records.read_yaml(run.layout.summary)
    assert summary == {
        "completed": True,
        "cfgName": "config.yaml",
        "folds": [0, 1, 2],
        "seeds": {0: 0.25, 1: 0.5, 2: 0.75},
        "experiment_result": {"name": "dice_holdout", "value": 0.5, **spread},
        "allStages": {"dice": spread, "dice_holdout": spread},
    }
    assert run.result == summary["experiment_result"]
    assert run.state == "done"
    assert not run.layout.in_progress.exists()


def test_one_seed_is_trained_like_several(root: Path) -> None:
    run = seeded(root, "num_seeds=1")
    worker = Pretender()
    do_in_turn(run, worker, nowhere())
    assert worker.done[0] == "unet/0/prepare"
    assert records.read_yaml(run.layout.summary)["seeds"] == {0: 0.5}


def test_figures_that_not_all_seeds_have_are_left_out() -> None:
    one = {"folds": [0], "experiment_result": {"name": "dice", "value": 1.0}, "allStages": {"dice": {"mean": 1.0}}}
    other = {"folds": [0, 1], "experiment_result": None, "allStages": {"iou": 3}}
    summary = summary_over_seeds("config.yaml", {0: one, 1: other})
    assert summary["experiment_result"] is None
    assert summary["seeds"] == {0: 1.0, 1: None}
    assert summary["allStages"] == {}
    assert summary["folds"] == [0, 1]


def test_a_seed_that_fails_fails_the_experiment_and_the_others_go_on(root: Path) -> None:
    run = seeded(root)
    run.layout.summary.write_text("completed: true")

    class Failing(Pretender):
        def perform(self, job: Job, workplace: Any) -> Any:
            value = super().perform(job, workplace)
            if job.key == "unet/1/fold 2":
                raise DataError("no mask", sample="ship")
            return value

    worker = Failing()
    [error] = do_in_turn(run, worker, nowhere())
    assert str(error) == "sample 'ship': no mask"
    assert "unet/2/evaluate" in worker.done
    assert "unet/1/evaluate" not in worker.done
    assert run.state == "failed"
    assert [job.key for job, _ in run.failures] == ["unet/1/fold 2"]
    [told] = records.read_yaml(run.layout.error)["errors"]
    assert (told["job"], told["type"], told["value"]) == ("unet/1/fold 2", "DataError", "sample 'ship': no mask")
    assert not run.layout.summary.exists()
    assert not run.layout.in_progress.exists()

    again = seeded(root, resume=True)
    worker = Pretender()
    assert do_in_turn(again, worker, nowhere()) == []
    assert {key.split("/")[1] for key in worker.done} == {"1"}  # the others are finished
    assert again.state == "done"
    assert not run.layout.error.exists()


def test_all_jobs_may_be_handed_over_at_once(root: Path) -> None:
    """As to SLURM, where nobody waits for what follows."""
    run = seeded(root, "num_seeds=2")
    records.write_yaml(run.layout.run_record, {"config": {"batch": 99}})  # of an earlier run
    *jobs, last = run.handed_over()
    assert [job.key for job in jobs] == [job.key for job in run.planned()]
    assert (last.key, last.after) == ("unet/evaluate", ("unet/0/evaluate", "unet/1/evaluate"))
    worker = Pretender(lambda config: config["testSplitSeed"])
    for job in jobs:
        worker.perform(job, nowhere())
    mean = sum(config_of(root, number)["testSplitSeed"] for number in (0, 1)) / 2
    assert Worker().perform(last, nowhere()) == {"result": records.read_yaml(run.layout.summary)["experiment_result"]}
    assert records.read_yaml(run.layout.summary)["experiment_result"]["value"] == mean


def test_what_was_handed_over_and_failed_leaves_no_summary_of_before(root: Path) -> None:
    run = seeded(root, "num_seeds=2")
    *jobs, last = run.handed_over()
    for job in jobs:
        Pretender().perform(job, nowhere())
    run.layout.summary.write_text("completed: true")
    failed = [(jobs[0], Failure("Refused", "unet/0/evaluate needs what was not done", words=True))]
    Worker().refused(last, failed)  # nothing was touched: the summaries of all seeds are there
    assert run.layout.summary.exists()
    run.layout.seed(0).summary.unlink()
    Worker().refused(last, failed)
    assert not run.layout.summary.exists()
    assert records.read_yaml(run.layout.error)["errors"][0]["job"] == jobs[0].key


def test_an_interruption_is_no_failure(root: Path) -> None:
    run = seeded(root)
    [first, *_] = run.first()
    training = run.done(first, {"folds": [0, 1, 2], "changed": False})
    assert run.layout.in_progress.exists()
    assert run.failed(training[0], Failure("Stopped", "after an epoch", interrupted=True)) == []
    assert run.state == "stopped"
    assert not run.layout.error.exists()


def test_finished_seeds_are_trained_again_unless_resumed(root: Path) -> None:
    do_in_turn(seeded(root), Pretender(), nowhere())
    worker = Pretender()
    again = seeded(root, resume=True)
    assert again.first() == []
    assert again.state == "done"
    assert len(seeded(root, "num_seeds=4", resume=True).first()) == 1  # one more
    assert len(seeded(root, "lr=0.5", resume=True).first()) == 3  # what follows of the edit, each run says
    do_in_turn(seeded(root), worker, nowhere())
    assert len(worker.done) == 15
    assert worker.jobs["unet/0/prepare"].arguments["options"]["rerun"] is True


def test_the_plan_writes_nothing(root: Path) -> None:
    keys = [job.key for job in seeded(root).planned()]
    assert keys[:5] == [f"unet/0/{what}" for what in ("prepare", "fold 0", "fold 1", "fold 2", "evaluate")]
    assert len(keys) == 15
    assert sorted(path.name for path in (root / "experiments" / "unet").iterdir()) == ["config.yaml"]


# ------------------------------------------------------------------------------------------------------- for real


def test_a_seed_is_what_its_config_gives_alone(tmp_path: Path) -> None:
    experiment = toy.experiment(tmp_path / "seeds", num_seeds=2, stages=[{"epochs": 1}])
    summary = experiment.fit(toy.Drawn(8))
    assert sorted(summary["seeds"]) == [0, 1]
    assert summary["experiment_result"]["name"] == "dice_holdout"
    with pytest.raises(AlreadyFinished):
        experiment.fit(toy.Drawn(8))
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "config.yaml").write_text((tmp_path / "seeds" / "1" / "config_concrete.yaml").read_text())
    assert musket.parse(alone).fit(toy.Drawn(8))["experiment_result"]["value"] == summary["seeds"][1]
    splits = [(tmp_path / f"seeds/{n}/config_concrete.yaml.folds_split").read_text() for n in (0, 1)]
    assert splits[0] != splits[1]


def test_python_is_told_what_failed(tmp_path: Path) -> None:
    class Broken(toy.Drawn):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            raise ValueError("the disk is on fire")

    experiment = toy.experiment(tmp_path / "seeds", num_seeds=2)
    with pytest.raises(DataError, match="the disk is on fire"):
        experiment.fit(Broken(8))
    assert (tmp_path / "seeds" / "error.yaml").exists()
