"""What happens to a run whose config or code is edited while it goes on, and whose processes read them anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_project import CONFIG, write_project

from musket.artifacts.layout import Layout
from musket.core.errors import ConfigChanged, TrainingError
from musket.core.jobs import Job, Progress
from musket.experiment.jobs.schedule import PlainRun, job_arguments
from musket.experiment.jobs.worker import Worker
from musket.experiment.projects.project import load_spec, open_project
from musket.experiment.state.state import state


class Quiet:
    def line(self, text: str) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def stopping(self) -> str | None:
        return None


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    path = list(sys.path)
    yield write_project(tmp_path / "discs", a=CONFIG.replace("epochs: 2", "epochs: 1"))
    sys.path[:] = path
    sys.modules.pop("discs_module", None)


def jobs_of(root: Path) -> tuple[Worker, list[Job]]:
    """A worker that has prepared the experiment, and what follows."""
    project = open_project(root)
    config = project.config("a")
    run = PlainRun("a", Layout(config), job_arguments(config, root), load_spec(config, project=project))
    worker = Worker()
    (preparation,) = run.first()
    return worker, run.done(preparation, worker.perform(preparation, Quiet()))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_fold_is_not_trained_with_another_config_than_those_before(root: Path) -> None:
    worker, (first, second, evaluation) = jobs_of(root)
    edit(root / "experiments" / "a" / "config.yaml", "lr: 0.01", "lr: 0.02")
    worker.perform(first, Quiet())  # it has read the config before
    with pytest.raises(ConfigChanged, match=r"lr: was 0\.01, now 0\.02"):
        Worker().perform(second, Quiet())
    edit(root / "experiments" / "a" / "config.yaml", "lr: 0.02", "lr: 0.01")
    edit(root / "experiments" / "a" / "config.yaml", "classes: 1", "classes: 1\nverbose: 0")
    Worker().perform(second, Quiet())
    edit(root / "experiments" / "a" / "config.yaml", "binary_crossentropy", "dice_loss")
    with pytest.raises(ConfigChanged, match="loss"):
        Worker().perform(evaluation, Quiet())


def test_nor_with_other_code(root: Path) -> None:
    _, (first, *_) = jobs_of(root)
    edit(root / "modules" / "discs_module.py", "Conv2d(shape[2], 4, 3", "Conv2d(shape[2], 4, 1")
    with pytest.raises(TrainingError, match=r"modules/discs_module\.py changed since this run began"):
        Worker().perform(first, Quiet())


def test_an_edit_during_the_run_is_told_afterwards(root: Path) -> None:
    worker, following = jobs_of(root)
    edit(root / "experiments" / "a" / "config.yaml", "lr: 0.01", "lr: 0.02")
    for job in following:
        worker.perform(job, Quiet())
    found = state(open_project(root), "a")
    assert (found.state, found.reasons) == ("stale", ("lr: was 0.01, now 0.02",))
