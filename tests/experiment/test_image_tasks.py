"""Old per-image tasks: the keys import_tasks and run_tasks, and cfg.eval_tasks()."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import toy

import musket
from musket.core.errors import DataError, MusketError
from musket_core import tasks

MODULE = """\
import numpy as np

from musket_core import tasks


def save_image(data, writer: tasks.ImageWriter):
    writer.write(data.id, data.x)


def save_prediction(data, writer: tasks.ImageWriter):
    assert data.p_x is data.x
    writer.write(data.id, data.p_y * 255)


def figures(data, writer: tasks.MetricsWriter, parameters):
    truth = data.y[..., 0]
    found = data.p_y[..., 0] > parameters["threshold"]
    writer.write(data.id, {"both": int((truth & found).sum()), "truth": int(truth.sum())})


class Lister:
    def __init__(self, root, parameters):
        self.root, self.names = root, []

    def end(self):
        with open(f"{self.root}.txt", "w") as file:
            file.write(" ".join(self.names))


def own_writer(data, lister: Lister, note=None):
    lister.names.append(data.id)


def fails(data):
    if data.id == "disc-01":
        raise ValueError("bad luck")


def unknown(data, extra):
    pass


def nothing():
    pass
"""
SETTINGS = """\
dataset: {getDiscs: [12]}
datasets: {few: {getDiscs: [3]}}
imports: [discs_of_image_tasks]
import_tasks: [tasks_set]
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    toy.register_small_net()
    folder = tmp_path_factory.mktemp("image_tasks") / "experiment"
    folder.mkdir()
    (folder.parent / "discs_of_image_tasks.py").write_text(
        "import toy\n\ndef getDiscs(count):\n    return toy.Drawn(count)\n"
    )
    (folder / "tasks_set.py").write_text(MODULE)
    (folder / "config.yaml").write_text(toy.CONFIG.replace("epochs: 2", "epochs: 1") + SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder.parent)
        musket.parse(folder / "config.yaml").fit()
    return folder


@pytest.fixture
def folder(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy.register_small_net()
    monkeypatch.syspath_prepend(trained.parent)
    return trained


def run(folder: Path, *entries: dict[str, object]) -> musket.Experiment:
    experiment = musket.parse(folder / "config.yaml", run_tasks=list(entries))
    experiment.eval_tasks()
    return experiment


def test_pictures_and_tables_lie_beside_the_config(folder: Path) -> None:
    experiment = run(
        folder,
        {"tasks": ["save_image", "figures"], "dataset": "few", "fold": [0, 1], "parameters": {"threshold": 0.5}},
        {"tasks": "save_prediction", "dataset": "validation1", "stage": 0},
    )
    for number in range(3):
        picture = cv2.imread(str(folder / "save_image_0" / f"disc-0{number}.png"))[..., ::-1]
        np.testing.assert_array_equal(picture, toy.draw_disc(number)[0])
    few = experiment.predictions("few", [0, 1])
    rows = pd.read_csv(folder / "figures_0.csv")
    assert list(rows.columns) == ["id", "both", "truth"]
    assert list(rows["id"]) == ["disc-00", "disc-01", "disc-02"]
    assert list(rows["truth"]) == [int(toy.draw_disc(number)[1].sum()) for number in range(3)]
    for row, item in zip(rows["both"], (few[number] for number in range(3)), strict=True):
        assert row == int((item.y[..., 0] & (item.prediction[..., 0] > 0.5)).sum())
    part = experiment.predictions("validation1", stage=0)
    assert sorted(path.stem for path in (folder / "save_prediction_1").iterdir()) == sorted(part.sample_ids())
    written = cv2.imread(str(folder / "save_prediction_1" / f"{part[0].id}.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, np.rint(part[0].prediction[..., 0] * 255))


def test_writers_of_ones_own(folder: Path) -> None:
    run(folder, {"tasks": ["own_writer"], "dataset": "few"})
    assert (folder / "own_writer_0.txt").read_text() == "disc-00 disc-01 disc-02"


def test_without_entries_nothing_happens(folder: Path) -> None:
    before = sorted(folder.iterdir())
    run(folder)
    assert sorted(folder.iterdir()) == before


def test_failures_name_the_sample_and_the_line(folder: Path) -> None:
    line = MODULE.splitlines().index('        raise ValueError("bad luck")') + 1
    with pytest.raises(DataError) as caught:
        run(folder, {"tasks": "fails", "dataset": "few"})
    where = f"({folder / 'tasks_set.py'}, line {line})"
    assert str(caught.value) == f"sample 'disc-01': task fails failed: ValueError: bad luck {where}"
    with pytest.raises(
        MusketError, match=r"task unknown: parameter extra is not known; annotate it with tasks\.ImageWri"
    ):
        run(folder, {"tasks": "unknown", "dataset": "few"})
    with pytest.raises(MusketError, match="task nothing takes no sample"):
        run(folder, {"tasks": "nothing", "dataset": "few"})
    with pytest.raises(MusketError, match="there is no fold 2; this experiment has folds 0 to 1"):
        run(folder, {"tasks": "fails", "dataset": "validation2"})


@pytest.mark.parametrize(
    ("image", "grey"),
    [
        (np.full((2, 3), 200, np.uint8), 200),
        (np.full((2, 3, 1), 7, np.int64), 7),
        (np.full((2, 3, 1), True), 255),
        (np.full((2, 3), 0.5, np.float32), 128),
        (np.array([[0.5, 127.6]]), [0, 128]),
        (np.full((2, 3), 300), 255),
    ],
)
def test_values_of_pictures(image: np.ndarray, grey: int | list[int], tmp_path: Path) -> None:
    tasks.ImageWriter(tmp_path / "out").write("a", image)
    found = cv2.imread(str(tmp_path / "out" / "a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, np.broadcast_to(grey, image.shape[:2]))


def test_colours_and_names_of_pictures(tmp_path: Path) -> None:
    image = np.zeros((1, 1, 4), np.uint8)
    image[0, 0] = (10, 20, 30, 40)
    writer = tasks.ImageWriter(tmp_path)
    writer.write("a/b", image)
    [path] = tmp_path.iterdir()
    assert path.name.startswith("a_b")
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[0, 0].tolist() == [30, 20, 10, 40]
    for bad in (np.zeros((2, 2, 2)), np.zeros(3), np.zeros((0, 2)), np.full((2, 2), np.nan), np.array([["a"]])):
        with pytest.raises(DataError, match="sample 'x': this is no picture"):
            writer.write("x", bad)


def test_tables_of_single_numbers_and_of_different_columns(tmp_path: Path) -> None:
    writer = tasks.MetricsWriter(tmp_path / "t_0", {})
    writer.write("a", 0.5)
    writer.write("b", {"other": 2})
    assert not list(tmp_path.iterdir())
    writer.end()
    assert (tmp_path / "t_0.csv").read_text() == "id,value,other\na,0.5,\nb,,2\n"
