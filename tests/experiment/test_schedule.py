from __future__ import annotations

from pathlib import Path

from toy_project import CONFIG, write_project

from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError
from musket.core.jobs import Failure, Job
from musket.experiment.jobs.schedule import PlainRun, Schedule, job_arguments
from musket.experiment.projects.project import load_spec, open_project


class Brittle(PlainRun):
    """Breaks between its jobs."""

    def done(self, job: Job, value: object) -> list[Job]:
        raise ArtifactError("no more room")


def plain(root: Path, name: str, kind: type[PlainRun] = PlainRun) -> PlainRun:
    project = open_project(root)
    config = project.config(name)
    return kind(name, Layout(config), job_arguments(config, root), load_spec(config, project=project))


def test_an_experiment_that_breaks_between_its_jobs_leaves_the_others_alone(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", "a", "b")
    runs = [plain(root, "a", Brittle), plain(root, "b")]
    schedule = Schedule(runs)
    first, second = schedule.first()
    assert schedule.done(first, {"folds": [0], "changed": False}) == []
    assert runs[0].state == "failed"
    assert not schedule.wanted(first)
    assert "no more room" in Layout(root / "experiments" / "a" / "config.yaml").error.read_text()
    assert [job.key for job in schedule.done(second, {"folds": [0], "changed": False})] == ["b/fold 0", "b/evaluate"]
    assert schedule.failed(first, Failure("x", "y")) == []


def test_new_splits_are_planned_by_the_config(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", a=CONFIG.replace("folds_count: 2", "folds_count: 4"))
    run = plain(root, "a")
    Layout(root / "experiments" / "a" / "config.yaml").folds_split.write_text("")
    run.arguments = {**run.arguments, "options": {"new_splits": True}}
    assert [job.key for job in run.planned()][1:-1] == [f"a/fold {fold}" for fold in range(4)]
