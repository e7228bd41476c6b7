from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
import pandas as pd
import pytest
import task_project
import torch
import yaml

import musket
from musket.artifacts.layout import Layout
from musket.core.errors import ConfigError, DataError, MusketError
from musket.core.jobs import Failure, Job
from musket.data.dataset import DataSet
from musket.experiment.connected import AverageBlend, ConnectedModel, FoldsAndStages, Model
from musket.experiment.facade import Experiment
from musket.experiment.predictions import PredictionDataSet
from musket.experiment.projects.project import Project
from musket.experiment.tasks.arguments import blends_seeds, check_arguments
from musket.experiment.tasks.task_jobs import TaskRun, task_jobs
from musket.experiment.tasks.tasks import TaskError, chosen_tasks, done_before, run_task, task, tasks_of
from musket.predict.results import PredictedBatch, PredictedMaps

if TYPE_CHECKING:
    from decimal import Decimal

SEARCHED = "hyperparameters: {rate: [0.001, 0.1]}\nmax_evals: 2\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose experiment ``small`` looks trained; nothing here predicts."""
    root = task_project.write(tmp_path / "discs")
    weights = root / "experiments" / "small" / "weights"
    weights.mkdir()
    (weights / "best-0.0.weights").touch()
    return root


@pytest.fixture
def small(root: Path) -> Experiment:
    return musket.parse(root / "experiments" / "small")


def with_task(experiment: Experiment, function: Any, **settings: Any) -> Experiment:
    """The experiment in a project that has this task, and settings of it."""
    assert experiment.project is not None
    tasks = {function.__name__: settings} if settings else {}
    spec = experiment.spec.model_copy(update={"tasks": tasks})
    names = {**experiment.project.names, function.__name__: function}
    return Experiment.from_spec(spec, Project(experiment.project.root, names))


# ----------------------------------------------------------------------------------------------------------- marking


def test_the_decorator_gives_the_function_back(small: Experiment) -> None:
    def plain() -> int:
        return 1

    assert task(plain) is plain
    assert task()(plain) is plain

    @functools.wraps(plain)
    def wrapper() -> int:
        return plain()

    project = Project(Path(), {"b": plain, "a": wrapper, "c": test_the_decorator_gives_the_function_back})
    assert list(tasks_of(project)) == ["a", "b"]


def test_what_cannot_be_a_task_is_refused() -> None:
    with pytest.raises(MusketError, match="task marks functions; found <class"):
        task(Path)

    def weights() -> None:
        pass

    with pytest.raises(MusketError, match="a task cannot be called weights"):
        task(weights)


def test_tasks_of_modules_that_a_config_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tasks_from_elsewhere.py").write_text("import musket\n\n@musket.task\ndef far():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(tasks_of(None, ["tasks_from_elsewhere"])) == ["far"]


# -------------------------------------------------------------------------------------------------------- parameters


@task
def many(
    m: ConnectedModel,
    anything: Model,
    maybe: Optional[Experiment],  # noqa: UP045 (as people write it)
    some: FoldsAndStages,
    mean: AverageBlend | None,
    part: DataSet,
    other: DataSet = "holdout",  # type: ignore[assignment]
    none: DataSet | None = None,
    text: str = "t",
    *,
    number: int = 1,
) -> list[Any]:
    return [m, anything, maybe, some, mean, part, other, none, text, number]


def test_every_parameter_gets_what_its_annotation_says(small: Experiment) -> None:
    found: list[Any] = []
    many_noted = functools.wraps(many)(lambda *args, **kwargs: found.extend(many(*args, **kwargs)))
    experiment = with_task(small, many_noted, part="few", number=3, some={"folds": [0], "stages": -1})
    run_task(experiment, "many", {"text": "u"})
    m, anything, maybe, some, mean, part, other, none, text, number = found
    assert m is anything is maybe is experiment
    assert some == FoldsAndStages(experiment, [0], -1)
    assert mean == AverageBlend([experiment])
    assert part.sample_ids() == ["disc-00", "disc-01", "disc-02"]
    assert other.name == "holdout"
    assert (none, text, number) == (None, "u", 3)


def test_a_connected_model_may_be_some_of_the_networks(small: Experiment) -> None:
    @task
    def seen(m: ConnectedModel) -> str:
        return type(m).__name__

    experiment = with_task(small, seen)
    for networks, kind in (({}, "Experiment"), ({"folds": 0}, "FoldsAndStages"), ({"seeds": "all"}, "AverageBlend")):
        run_task(experiment, "seen", {"m": networks})
        assert yaml.safe_load((small.layout.folder / "seen" / "result.yaml").read_text()) == kind


def test_a_task_that_takes_anything(small: Experiment) -> None:
    @task
    def open_ended(first: Any, /, *rest: Any, **options: Any) -> list[Any]:
        return [first, len(rest), options]

    run_task(with_task(small, open_ended), "open_ended", {"first": 1, "a": 2})
    assert yaml.safe_load((small.layout.folder / "open_ended" / "result.yaml").read_text()) == [1, 0, {"a": 2}]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {},
            "task many: part needs the name of a dataset; give it in the config, as tasks: {many: {part: ...}}, or on ",
        ),
        ({"prat": 1}, "task many has no parameter 'prat'; nearest: part"),
        ({"zzz": 1}, "task many has no parameter 'zzz'; there are: anything, m, maybe"),
        ({"part": 3}, "task many: part is the name of a dataset: train, validation, holdout, an entry of datasets"),
        ({"m": 3}, "task many: m is the experiment; say which networks of it, as {folds: [0, 1], stages: -1, seeds:"),
        ({"m": {"fold": 3}}, "each may be left out; found {'fold': 3}"),
    ],
)
def test_arguments_that_cannot_be_meant(given: dict[str, Any], words: str) -> None:
    with pytest.raises(MusketError) as caught:
        check_arguments(many, given)
    assert words in str(caught.value)


@task
def typed(
    count: int,
    share: float = 0.5,
    loud: bool = False,
    word: str = "w",
    place: Path = Path(),
    those: list[int] = [],  # noqa: B006 (never changed)
    some: int | None = 3,
    either: int | str = 1,
    maybe: str = None,  # type: ignore[assignment]  # noqa: RUF013 (as people write it)
    free=None,  # type: ignore[no-untyped-def]
    special: Sequence[int] = (),
) -> None:
    pass


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"count": "drei"}, "task typed: count is a whole number; found 'drei'"),
        ({"count": 3.5}, "task typed: count is a whole number; found 3.5"),
        ({"count": True}, "task typed: count is a whole number; found True"),
        ({"count": None}, "task typed: count is a whole number; found None"),
        ({"share": "much"}, "task typed: share is a number; found 'much'"),
        ({"loud": 1}, "task typed: loud is true or false; found 1"),
        ({"word": 7}, "task typed: word is text; found 7; as text it is written in quotes, '\"7\"'"),
        ({"place": 7}, "task typed: place is a path; found 7"),
        ({"those": 7}, "task typed: those is a list; found 7"),
        ({"some": "x"}, "task typed: some is a whole number; found 'x'"),
        ({"either": 1.5}, "task typed: either is a whole number or text; found 1.5"),
    ],
)
def test_values_of_another_type_than_annotated(given: dict[str, Any], words: str) -> None:
    with pytest.raises(MusketError) as caught:
        check_arguments(typed, {"count": 1, **given})
    assert words in str(caught.value)


def test_values_of_the_annotated_type() -> None:
    values = {"count": 3, "share": 1, "loud": True, "word": "x", "place": "a/b", "those": [1], "some": None}
    check_arguments(typed, {**values, "either": "x", "maybe": None, "free": object(), "special": "anything"})
    check_arguments(typed, {"count": 3, "share": 0.1, "place": Path("a"), "either": 2})


def test_a_dataset_that_is_not_there_names_those_that_are() -> None:
    check_arguments(many, {"part": "few"}, ["few"])
    check_arguments(many, {"part": "holdout", "none": None}, ["few"])
    told = "task many: part: there is no dataset 'nope'; there are: train, validation, holdout, few"
    with pytest.raises(MusketError, match=told):
        check_arguments(many, {"part": "nope"}, ["few"])


def test_a_part_that_is_not_there_names_those_that_are(small: Experiment) -> None:
    with pytest.raises(
        MusketError, match=r"entries of datasets: few, here; parts: train, validation, holdout .of predictions also oof"
    ):
        small.predictions("nope")


def test_a_value_that_is_missing_says_where_to_give_it() -> None:
    def wants(m, size: int) -> None:  # type: ignore[no-untyped-def]
        pass

    with pytest.raises(MusketError, match=r"wants\.m=\.\.\.; meant to be the experiment, it is annotated with model"):
        check_arguments(wants, {"size": 1})
    with pytest.raises(MusketError, match=r"on the command line, as wants\.size=\.\.\.$"):
        check_arguments(wants, {"m": 1})


def test_an_annotation_that_is_not_there_at_run_time() -> None:
    def priced(price: Decimal) -> None:
        pass

    with pytest.raises(MusketError, match=r"task priced of .*test_tasks\.py: an annotation cannot be read: .*Decimal"):
        check_arguments(priced, {})


def test_assignments_of_the_command_line(small: Experiment) -> None:
    assert chosen_tasks(small, ["measure", "broken", "measure"], []) == {"measure": {}, "broken": {}}
    assert list(chosen_tasks(small, ["all"], [])) == ["broken", "listing", "measure"]
    found = chosen_tasks(small, ["all"], ["measure.factor=1e-3", "m.folds=[0, 1]", "listing.m.folds=1", "sentence=x"])
    both = {"folds": [0, 1]}
    assert found == {
        "broken": {"sentence": "x"},
        "listing": {"m": {"folds": 1}},
        "measure": {"factor": 0.001, "m": both},
    }
    with pytest.raises(
        MusketError, match=r"fcator=\.\.\.: no task that is to be run has such a parameter; nearest: factor"
    ):
        chosen_tasks(small, ["measure"], ["fcator=2"])
    with pytest.raises(MusketError, match="write key=value"):
        chosen_tasks(small, ["measure"], ["factor"])
    with pytest.raises(
        MusketError, match="no such task 'mesure'; nearest: measure; there are: broken, listing, measure"
    ):
        chosen_tasks(small, ["mesure"], [])


def test_settings_that_are_no_map_are_refused_with_their_line(root: Path) -> None:
    config = root / "experiments" / "small" / "config.yaml"
    config.write_text(config.read_text() + "tasks:\n  broken: 3\n")
    line = len(config.read_text().splitlines())
    with pytest.raises(ConfigError, match=f"line {line}  tasks.broken  found 3; give values by parameter"):
        run_task(musket.parse(config), "broken")


# ----------------------------------------------------------------------------------------------------------- running


def test_paths_begin_in_the_folder_of_the_task_those_of_datasets_in_data(small: Experiment) -> None:
    @task
    def look(ds: DataSet) -> int:
        Path("note.txt").write_text("mine")
        return len(ds)

    here = Path.cwd()
    assert run_task(with_task(small, look, ds="here"), "look")["exception"] is None
    assert Path.cwd() == here
    folder = small.layout.folder / "look"
    assert (folder / "note.txt").read_text() == "mine"
    assert (folder / "result.yaml").read_text() == "3\n...\n"


def test_an_untrained_experiment_is_refused(root: Path) -> None:
    with pytest.raises(MusketError, match=r"other is not trained: there are no weights in weights; .* musket fit"):
        run_task(musket.parse(root / "experiments" / "other"), "broken")
    assert not (root / "experiments" / "other" / "broken").exists()


@pytest.mark.parametrize("error", ["ValueError('no luck')", "SystemExit(3)", "musket.MusketError('in words')"])
def test_a_failure_is_told_with_its_line_and_recorded(error: str, root: Path) -> None:
    module = root / "modules" / "failing.py"
    module.write_text(f"import musket\n\n@musket.task\ndef fails():\n    inner()\n\ndef inner():\n    raise {error}\n")
    experiment = musket.parse(root / "experiments" / "small")
    kind, _, value = error.rpartition(".")[2].partition("(")
    said = f"{kind}: " if kind != "MusketError" else ""
    with pytest.raises(TaskError) as caught:
        run_task(experiment, "fails")
    value = value.strip("')")
    assert str(caught.value) == f"task fails failed: {said}{value} ({module}, line 8)"
    [entry] = yaml.safe_load((experiment.layout.folder / "fails" / "error.yaml").read_text())["errors"]
    assert (entry["type"], entry["value"]) == (kind, value)
    assert "line 8, in inner" in entry["trace"]


def test_a_dataset_that_fails_fails_the_task(small: Experiment) -> None:
    assert small.project is not None
    (small.project.root / "data" / "note.txt").unlink()
    with pytest.raises(TaskError, match=r"task listing failed: .*dataset function readHere failed: FileNotFoundError"):
        run_task(small, "listing", {"ds": "here"})
    with pytest.raises(
        MusketError, match="task listing: ds: there is no dataset 'fwe'; nearest: few; there are: train,"
    ):
        run_task(small, "listing", {"ds": "fwe"})


def test_a_run_leaves_nothing_of_the_one_before(small: Experiment) -> None:
    results = iter([{"a": 1}, ValueError("x"), np.zeros(2), None])

    @task
    def changing() -> Any:
        Path("own.txt").touch()
        found = next(results)
        if isinstance(found, Exception):
            raise found
        return found

    experiment = with_task(small, changing)
    folder = small.layout.folder / "changing"
    for left in ({"result.yaml", "task.yaml"}, {"error.yaml"}, {"result.npy", "task.yaml"}, {"task.yaml"}):
        try:
            run_task(experiment, "changing")
        except TaskError:
            assert left == {"error.yaml"}
        assert {path.name for path in folder.iterdir()} == left | {"own.txt"}


def test_what_was_done_since_the_evaluation_counts_as_done(small: Experiment) -> None:
    @task
    def once(size: int) -> None:
        pass

    experiment = with_task(small, once, size=2)
    small.layout.summary.touch()
    assert not done_before(small.layout, "once", {"size": 2})
    run_task(experiment, "once")
    assert done_before(small.layout, "once", {"size": 2})
    assert not done_before(small.layout, "once", {"size": 3})
    assert [job.key for job in task_jobs(experiment, "small", {}, {"once": {}}, resume=True)] == []
    assert [job.key for job in task_jobs(experiment, "small", {}, {"once": {"size": 3}}, resume=True)] == [
        "small/task once"
    ]
    later = (small.layout.folder / "once" / "task.yaml").stat().st_mtime_ns + 10**9
    os.utime(small.layout.summary, ns=(later, later))
    assert not done_before(small.layout, "once", {"size": 2})


# ----------------------------------------------------------------------------------------------------------- results


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"a": np.float32(0.5), "b": [np.int64(3), (1, 2)], 4: np.arange(2)}, {"a": 0.5, "b": [3, [1, 2]], 4: [0, 1]}),
        ([np.bool_(True), None, "text", Path("x") / "y"], [True, None, "text", "x/y"]),
        (np.array(2.5), 2.5),
        (torch.tensor(3), 3),
        (float("inf"), float("inf")),
        (np.str_("word"), "word"),
    ],
)
def test_plain_data_becomes_yaml(value: Any, stored: Any, small: Experiment) -> None:
    @task
    def gives() -> Any:
        return value

    run_task(with_task(small, gives), "gives")
    assert yaml.safe_load((small.layout.folder / "gives" / "result.yaml").read_text()) == stored


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "a,b\n1,x\n2,y\n"),
        (pd.DataFrame({"a": [1, 2]}, index=pd.Index(["p", "q"], name="id")), "id,a\np,1\nq,2\n"),
        (pd.Series([1.5], index=["mean"], name="dice"), ",dice\nmean,1.5\n"),
    ],
)
def test_tables_become_csv(value: Any, text: str, small: Experiment) -> None:
    @task
    def gives() -> Any:
        return value

    run_task(with_task(small, gives), "gives")
    assert (small.layout.folder / "gives" / "result.csv").read_text() == text


@pytest.mark.parametrize("value", [np.eye(2, dtype=np.float32), torch.eye(2)])
def test_arrays_become_npy(value: Any, small: Experiment) -> None:
    @task
    def gives() -> Any:
        return value

    run_task(with_task(small, gives), "gives")
    found = np.load(small.layout.folder / "gives" / "result.npy", allow_pickle=False)
    np.testing.assert_array_equal(found, np.eye(2))
    assert found.dtype == np.float32


@pytest.mark.parametrize("value", [object(), {"model": object()}, {(1, 2): 3}, np.array([object()])])
def test_anything_else_is_told(value: Any, small: Experiment) -> None:
    @task
    def gives() -> Any:
        return value

    told: list[str] = []
    run_task(with_task(small, gives), "gives", tell=told.append)
    [line] = told
    assert line.startswith("task gives: returned ")
    assert "which is not stored" in line
    assert [path.name for path in (small.layout.folder / "gives").iterdir()] == ["task.yaml"]


# --------------------------------------------------------------------------------------------------- several seeds


@pytest.fixture
def seeded(root: Path) -> Experiment:
    config = root / "experiments" / "small" / "config.yaml"
    for seed in (0, 1, 10):
        layout = Layout(config).seed(seed)
        layout.weights(0, 0).parent.mkdir(parents=True)
        layout.weights(0, 0).touch()
        layout.config.write_text(config.read_text())
    config.write_text(config.read_text() + "num_seeds: 3\n")
    return musket.parse(config)


@task
def blend(m: AverageBlend) -> list[str]:
    return [one.layout.folder.name for one in m.models if isinstance(one, Experiment)]


def test_a_task_runs_on_every_seed_or_once_on_their_mean(seeded: Experiment) -> None:
    keys = [job.key for job in task_jobs(seeded, "small", {}, {"measure": {}})]
    assert keys == ["small/0/task measure", "small/1/task measure", "small/10/task measure"]
    jobs = task_jobs(seeded, "small", {}, {"measure": {"m": {"seeds": 0}}})
    assert [(job.key, job.experiment, job.arguments["config"]) for job in jobs] == [
        ("small/task measure", "small", str(seeded.layout.config))
    ]
    assert blends_seeds(blend, {})
    experiment = with_task(seeded, blend)
    for seeds, folders in (("all", ["0", "1", "10"]), (1, ["1"]), ([10, 0], ["10", "0"])):
        run_task(experiment, "blend", {"m": {"seeds": seeds}})
        assert yaml.safe_load((seeded.layout.folder / "blend" / "result.yaml").read_text()) == folders
    with pytest.raises(TaskError, match="has no seed 2; there are: 0, 1, 10"):
        run_task(experiment, "blend", {"m": {"seeds": [0, 2]}})
    seeded.layout.seed(1).weights(0, 0).unlink()
    with pytest.raises(TaskError, match="1 is not trained"):
        run_task(experiment, "blend")


# ------------------------------------------------------------------------------------------------ the mean of models


class Constant:
    """A model whose predictions are one number everywhere."""

    def __init__(self, value: float, ids: str = "abc", batch: int = 2, heads: bool = False):
        self.value = value
        self.ids = list(ids)
        self.batch = batch
        self.heads = heads

    def predictions(self, name: Any) -> PredictionDataSet:
        return PredictionDataSet(self.ids, self.ids, lambda sample, image: np.full(2, self.value, np.float32), name)

    def predict_on_dataset(self, dataset: Any, ttflips: Any = False) -> Iterator[PredictedBatch]:
        for start in range(0, len(self.ids), self.batch):
            ids = self.ids[start : start + self.batch]
            one = np.full((1, 1, 1), self.value, np.float32)
            yield PredictedMaps(
                ids, [np.zeros((1, 1, 3))] * len(ids), [[one, one + 1] if self.heads else one] * len(ids)
            )


def test_a_blend_is_the_mean_of_its_models() -> None:
    blended = AverageBlend([Constant(1), Constant(2), Constant(6, "cba", 1)])
    assert isinstance(blended, ConnectedModel)
    found = blended.predictions("oof")
    assert found.ids == ["a", "b", "c"]
    np.testing.assert_allclose(found.prediction("b"), [3, 3], rtol=1e-6)
    with pytest.raises(DataError, match="1 of 3 samples have no prediction in holdout"):
        AverageBlend([Constant(1), Constant(2, "ab")]).predictions("holdout")
    with pytest.raises(MusketError, match="one model at least"):
        AverageBlend([])


def test_a_blend_predicts_batches_of_its_first_model() -> None:
    batches = list(AverageBlend([Constant(1), Constant(2, batch=3), Constant(6, batch=1)]).predict_on_dataset("few"))
    assert [batch.data for batch in batches] == [["a", "b"], ["c"]]
    assert all(isinstance(batch, PredictedMaps) for batch in batches)
    assert [result.item() for batch in batches for result in batch.results] == [3, 3, 3]
    [batch] = AverageBlend([Constant(1, "a", heads=True), Constant(3, "a", heads=True)]).predict_on_dataset("few")
    assert [head.item() for head in batch.results[0]] == [2, 3]


@pytest.mark.parametrize(("ids", "found"), [("acb", "sample 'c'"), ("ab", "no more sample")])
def test_a_blend_of_other_samples_is_refused(ids: str, found: str) -> None:
    with pytest.raises(DataError, match=f"another model has {found} in its place; blend the same data"):
        list(AverageBlend([Constant(1), Constant(2, ids)]).predict_on_dataset("few"))


def test_models_by_what_they_can_do() -> None:
    class OnlyPredicts:
        def predict_on_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Iterator[PredictedBatch]:
            return iter(())

    assert isinstance(OnlyPredicts(), Model)
    assert not isinstance(OnlyPredicts(), ConnectedModel)
    assert not isinstance(object(), Model)


# -------------------------------------------------------------------------------------------------------------- jobs


def test_a_run_of_tasks_notes_what_becomes_of_each(small: Experiment) -> None:
    jobs = task_jobs(small, "small", {"project": None}, {"measure": {"factor": 2}, "broken": {}}, devices=2)
    measure, broken = jobs
    assert measure == Job(
        "small/task measure",
        "task",
        "small",
        {"project": None, "config": str(small.layout.config), "task": "measure", "args": {"factor": 2}},
        devices=2,
    )
    run = TaskRun("small", small.layout, jobs)
    assert run.first() == run.planned() == jobs
    assert (run.state, run.wanted(measure)) == ("waiting", True)
    assert run.done(measure, {"results": "there", "exception": None}) == []
    assert run.failed(broken, Failure("WorkerDied", "killed", died=True)) == []
    assert run.state == "failed"
    told = {"experiment": "small", "exception": None}
    assert run.outcomes == [
        {**told, "task": "measure", "results": "there"},
        {
            **told,
            "task": "broken",
            "results": str(small.layout.folder / "broken"),
            "exception": {"type": "WorkerDied", "value": "killed", "trace": ""},
        },
    ]
    stopped = TaskRun("small", small.layout, jobs)
    stopped.done(measure, {"results": "there"})
    stopped.failed(broken, Failure("KeyboardInterrupt", "", interrupted=True))
    assert (stopped.state, stopped.failures) == ("stopped", [])


# ---------------------------------------------------------------------------------------------- the best of a search


def test_a_task_runs_on_the_best_trial_of_a_search(seeded: Experiment) -> None:
    layout = seeded.layout
    layout.config.write_text(layout.config.read_text().replace("lr: 0.01", "lr: rate") + SEARCHED)
    experiment = musket.parse(layout.config)
    with pytest.raises(MusketError, match=r"the search is not finished: summary\.yaml names no best trial"):
        task_jobs(experiment, "small", {}, {"measure": {}})
    layout.summary.write_text("best: {trial: 4, score: 0.5}\n")
    with pytest.raises(MusketError, match="trial4 is not trained"):
        task_jobs(experiment, "small", {}, {"measure": {}})
    for seed in (0, 1):
        one = layout.trial(4).seed(seed)
        one.weights(0, 0).parent.mkdir(parents=True)
        one.weights(0, 0).touch()
        one.config.touch()
    jobs = task_jobs(experiment, "small", {}, {"measure": {}, "listing": {"m": {"seeds": "all"}}})
    assert [(job.key, Path(job.arguments["config"]).relative_to(layout.folder).as_posix()) for job in jobs] == [
        ("small/trial4/0/task measure", "trial4/0/config_concrete.yaml"),
        ("small/trial4/1/task measure", "trial4/1/config_concrete.yaml"),
        ("small/trial4/task listing", "trial4/config.yaml"),
    ]
