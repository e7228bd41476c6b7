"""musket predict, on two tiny trained experiments of one project."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import toy
import toy_labels

import musket
from musket.artifacts.layout import Layout
from musket.cli.main import main
from musket.core.rle import rle_decode
from musket.experiment.predict_files import decision
from musket.experiment.state.lock import locked
from segmentation_pipeline import predict as former

MODULE = """\
import numpy as np
import toy
import toy_labels
import torch

import musket


def discs() -> "DataSet":
    return toy.Drawn(8)


def thirds() -> "DataSet":
    return toy_labels.Thirds(12)


@musket.architecture
def net_of_the_project(shape, classes):
    return toy.small_net(shape, classes)


@musket.network
def classifier_of_the_project(in_channels, classes):
    return toy_labels.small_classifier(in_channels, classes)
"""
SHORT = "folds_count: 2\ntestSplit: 0\nstages: [{epochs: 1}]\n"


def short(config: str) -> str:
    """A toy config of one epoch."""
    return config.partition("folds_count")[0] + "verbose: 0\n" + SHORT


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("predicted")
    (root / "modules").mkdir()
    (root / "modules" / "parts_of_predicted.py").write_text(MODULE)
    masks = toy.CONFIG.replace("small_net", "net_of_the_project").replace(
        "optimizer", "dataset: {discs: []}\noptimizer"
    )
    labels = toy_labels.CONFIG.replace("small_classifier", "classifier_of_the_project")
    labels = labels.replace("optimizer", "dataset: {thirds: []}\noptimizer")
    several = masks.replace("classes: 1", "classes: 2")
    for name, config in (("masks", short(masks)), ("labels", short(labels)), ("untrained", several)):
        folder = root / "experiments" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(config)
        if name != "untrained":
            musket.parse(folder).fit()
    return root


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of several formats and sizes, and a file that is none."""
    folder = tmp_path_factory.mktemp("images")
    for number, name in enumerate(("a.png", "b.jpg", "c.tif", "d.webp")):
        cv2.imwrite(str(folder / name), toy.draw_disc(number, 40 + number, 48)[0])
    (folder / "notes.txt").write_text("mine")
    return folder


def predict(project: Path, name: str, source: Any, out: Path, *more: str) -> int:
    arguments = ["--project", str(project), "--name", name, "--input", str(source), "--output", str(out), *more]
    return main(["predict", *arguments])


def read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None, path
    return picture


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_masks_are_pictures_of_the_mean_of_all_folds(
    project: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    (tmp_path / "a.png").write_text("an older one")
    assert predict(project, "masks", images, tmp_path) == 0
    assert names(tmp_path) == ["a.png", "b.png", "c.png", "d.png", "mine.txt"]
    experiment = musket.parse(project / "experiments" / "masks")
    picture = cv2.cvtColor(read(images / "a.png"), cv2.COLOR_BGR2RGB)
    single = [experiment.load_model(fold, 0).predict([picture])[0] for fold in (0, 1)]
    expected = np.rint(255 * (single[0] + single[1]) / 2)[..., 0]
    found = read(tmp_path / "a.png")
    assert (found.shape, found.dtype) == ((40, 48), np.uint8)
    assert np.abs(found - expected).max() <= 1  # a mean that ends in .5 may be rounded either way
    told = capsys.readouterr().out
    assert "4 images predicted by the mean of folds 0, 1, stage 0" in told
    assert f"written to {tmp_path}" in told
    assert "1 file of the folder passed over" in told


def test_folds_limit_and_arrays(project: Path, images: Path, tmp_path: Path) -> None:
    assert predict(project, "masks", images, tmp_path, "--folds", "1", "--format", "npy", "--limit", "2") == 0
    assert names(tmp_path) == ["a.npy", "b.npy"]
    scores = np.load(tmp_path / "b.npy")
    assert (scores.shape, scores.dtype) == ((41, 48, 1), np.float32)
    experiment = musket.parse(project / "experiments" / "masks")
    picture = cv2.cvtColor(read(images / "b.jpg"), cv2.COLOR_BGR2RGB)
    assert scores == pytest.approx(experiment.load_model(1, 0).predict([picture])[0], abs=1e-5)


def test_run_lengths_and_masks_of_a_threshold(project: Path, images: Path, tmp_path: Path) -> None:
    scores, masks, table = tmp_path / "npy", tmp_path / "png", tmp_path / "rle"
    assert predict(project, "masks", images, scores, "--format", "npy") == 0
    limit = float(np.median(np.load(scores / "c.npy")))  # something on either side
    assert predict(project, "masks", images, masks, "--threshold", str(limit)) == 0
    assert predict(project, "masks", images, table, "--format", "rle", "--threshold", str(limit)) == 0
    found = {row["image"]: row["rle_mask"] for row in rows(table / "predictions.csv")}
    assert list(found) == ["a.png", "b.jpg", "c.tif", "d.webp"]
    expected = np.load(scores / "c.npy")[..., 0] > limit
    assert 0 < expected.mean() < 1
    assert np.array_equal(rle_decode(found["c.tif"], expected.shape), expected)
    assert np.array_equal(read(masks / "c.png"), expected * np.uint8(255))


def test_classes_are_a_table_of_scores_and_decisions(project: Path, images: Path, tmp_path: Path) -> None:
    assert predict(project, "labels", images, tmp_path) == 0
    assert names(tmp_path) == ["predictions.csv"]
    found = rows(tmp_path / "predictions.csv")
    assert list(found[0]) == ["image", "left", "middle", "right", "prediction"]
    assert [row["image"] for row in found] == ["a.png", "b.jpg", "c.tif", "d.webp"]
    for row in found:
        scores = {name: float(row[name]) for name in ("left", "middle", "right")}
        assert sum(scores.values()) == pytest.approx(1, abs=1e-4)
        assert row["prediction"] == max(scores, key=lambda name: scores[name])


def test_a_single_image_a_dataset_and_the_experiment_one_is_in(
    project: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(project, "masks", images / "c.tif", tmp_path / "one") == 0
    assert names(tmp_path / "one") == ["c.png"]
    monkeypatch.chdir(project / "experiments" / "labels")
    capsys.readouterr()
    arguments = ["--input", "validation", "--output", str(tmp_path / "part"), "--format", "npy", "--json"]
    assert main(["predict", *arguments, "--folds=0"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["folds"], told["stage"], told["failed"]) == (6, [0], 0, [])
    assert names(tmp_path / "part") == sorted(Path(path).name for path in told["files"])
    assert all(name.startswith("third-") for name in names(tmp_path / "part"))


@pytest.mark.parametrize("views", ["horizontal", "ALL"])
def test_views_of_the_command_go_before_those_of_the_config(
    views: str, project: Path, images: Path, tmp_path: Path
) -> None:
    shutil.copytree(project / "experiments" / "masks", project / "experiments" / "with views", dirs_exist_ok=True)
    config = project / "experiments" / "with views" / "config.yaml"
    config.write_text(config.read_text() + "testTimeAugmentation: Horizontal_and_vertical\n")
    image = images / "a.png"
    assert predict(project, "masks", image, tmp_path / "plain", "--format=npy") == 0
    assert predict(project, "masks", image, tmp_path / "viewed", "--format=npy", "--tta", views) == 0
    assert predict(project, "with views", image, tmp_path / "config", "--format=npy") == 0
    assert predict(project, "with views", image, tmp_path / "none", "--format=npy", "--tta", "none") == 0
    plain, viewed, config_views, none = (
        np.load(tmp_path / name / "a.npy") for name in ("plain", "viewed", "config", "none")
    )
    assert np.array_equal(plain, none)
    assert not np.allclose(plain, viewed, atol=1e-6)
    assert not np.allclose(plain, config_views, atol=1e-6)


def test_overrides_of_the_training_hold_unless_others_are_given(project: Path, images: Path, tmp_path: Path) -> None:
    folder = project / "experiments" / "overridden"
    shutil.copytree(project / "experiments" / "masks", folder, dirs_exist_ok=True)
    image = images / "a.png"
    assert predict(project, "overridden", image, tmp_path / "32", "--format=npy") == 0
    assert predict(project, "overridden", image, tmp_path / "16", "--format=npy", "shape=[16, 16, 3]") == 0
    with open(folder / "run.yaml", "a") as file:
        file.write("overrides: ['shape=[16, 16, 3]']\n")
    assert predict(project, "overridden", image, tmp_path / "recorded", "--format=npy") == 0
    assert predict(project, "overridden", image, tmp_path / "given", "--format=npy", "shape=[32, 32, 3]") == 0
    found = {name: np.load(tmp_path / name / "a.npy") for name in ("32", "16", "recorded", "given")}
    assert not np.allclose(found["32"], found["16"], atol=1e-4)
    assert np.array_equal(found["recorded"], found["16"])
    assert np.array_equal(found["given"], found["32"])


def test_seeds_answer_together_and_a_search_gives_its_best_trial(
    project: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = project / "experiments" / "masks"
    seeded, searched = project / "experiments" / "seeded", project / "experiments" / "searched"
    for number in (0, 1):
        shutil.copytree(trained, seeded / str(number), dirs_exist_ok=True)
        (seeded / str(number) / "config.yaml").rename(seeded / str(number) / "config_concrete.yaml")
    config = (trained / "config.yaml").read_text()
    (seeded / "config.yaml").write_text(config + "num_seeds: 2\n")
    shutil.copytree(trained, searched / "trial3", dirs_exist_ok=True)
    (searched / "config.yaml").write_text(
        config.replace("lr: 0.01", "lr: rate") + "hyperparameters: {rate: [0.1, 0.2]}\n"
    )
    image = images / "a.png"
    shutil.copy(seeded / "1" / "weights" / "best-0.0.weights", seeded / "1" / "weights" / "best-1.0.weights")
    options = (image, tmp_path / "both", "--format=npy")
    assert predict(project, "seeded", *options) == 0
    assert "1 image predicted by the mean of 2 seeds, each of folds 0, 1, stage 0" in capsys.readouterr().out
    for name in ("0", "1"):
        assert predict(project, f"seeded/{name}", image, tmp_path / name, "--format=npy") == 0
    each = [np.load(tmp_path / name / "a.npy") for name in ("0", "1")]
    assert not np.allclose(*each, atol=1e-4)
    assert np.load(tmp_path / "both" / "a.npy") == pytest.approx((each[0] + each[1]) / 2, abs=1e-6)
    capsys.readouterr()
    (seeded / "1" / "summary.yaml").unlink()
    assert predict(project, "seeded", *options) == 0
    told = capsys.readouterr()
    assert "warning: seeded/1 not trained to the end; predicting with the other seeds alone" in told.err
    assert "predicted by the mean of folds 0, 1" in told.out
    (seeded / "0" / "summary.yaml").unlink()
    assert predict(project, "seeded", *options) == 2
    assert "name one alone: seeded/0, seeded/1" in capsys.readouterr().err
    assert predict(project, "seeded/0", image, tmp_path / "seed") == 0
    assert predict(project, "searched", image, tmp_path / "trial") == 2
    assert "summary.yaml names no best trial" in capsys.readouterr().err
    (searched / "summary.yaml").write_text("completed: true\nbest: {trial: 3}\n")
    assert predict(project, "searched", image, tmp_path / "trial") == 0
    assert np.array_equal(read(tmp_path / "seed" / "a.png"), read(tmp_path / "trial" / "a.png"))


def test_what_cannot_be_read_is_recorded_and_the_rest_is_written(
    project: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(images, source)
    (source / "b.jpg").write_bytes((source / "b.jpg").read_bytes()[:100])
    (source / "empty.png").touch()
    assert predict(project, "masks", source, out) == 1
    assert names(out) == ["a.png", "c.png", "d.png", "errors.csv"]
    found = rows(out / "errors.csv")
    assert [row["image"] for row in found] == ["b.jpg", "empty.png"]
    assert "0 bytes" in found[1]["error"]
    output = capsys.readouterr()
    assert "2 images could not be predicted" in output.out
    assert "empty.png" in output.err
    for name in ("b.jpg", "empty.png"):
        (source / name).unlink()
    assert predict(project, "masks", source, out) == 0
    assert "errors.csv" not in names(out)
    (out / "errors.csv").write_text("person,error\n")
    assert predict(project, "masks", source, out) == 0
    assert (out / "errors.csv").read_text() == "person,error\n"


def test_a_folder_where_nothing_can_be_read(project: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    assert predict(project, "labels", tmp_path, tmp_path / "out") == 1
    assert names(tmp_path / "out") == ["errors.csv"]


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        ("masks", ["--format", "csv"], "rle writes them all into one table"),
        ("labels", ["--format", "png"], "csv writes scores and classes"),
        ("labels", ["--format", "npy", "--threshold", "0.3"], "no threshold changes"),
        ("untrained", [], "there are no weights of fold 0, stage 0; train it first"),
        ("masks", ["--folds", "7"], "there is no fold 7; this experiment has folds 0 to 1"),
        ("masks", ["--stage", "3"], "there is no stage 3"),
        ("mask", [], "no such experiment 'mask'; nearest: masks"),
        ("masks", ["--input", "holdouts"], "neither a folder of images, nor an image, nor an entry of datasets"),
        ("masks", ["--tta", "Diagonal"], "write none, Horizontal, Horizontal_and_vertical or all"),
        ("masks", ["--threshold", "2"], "write a number from 0 to 1"),
        ("masks", ["--limit", "0"], "a whole number of 1 or more"),
        ("masks", ["--format", "bmp"], "invalid choice"),
    ],
)
def test_what_cannot_be_predicted_is_told_before_anything_is_written(
    name: str,
    more: list[str],
    told: str,
    project: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert predict(project, name, images, tmp_path / "out", *more) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_fold_that_is_asked_for_must_be_trained(
    project: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(project / "experiments" / "masks", project / "experiments" / "half", dirs_exist_ok=True)
    (project / "experiments" / "half" / "weights" / "best-1.0.weights").unlink()
    assert predict(project, "half", images, tmp_path, "--folds", "0,1") == 2
    assert "there are no weights of fold 1, stage 0" in capsys.readouterr().err
    assert predict(project, "half", images, tmp_path) == 0
    told = capsys.readouterr()
    assert "predicted by fold 0, stage 0" in told.out
    assert told.err == "warning: fold 1 not trained yet; predicting with fold 0 alone\n"


def test_an_experiment_that_is_being_trained(
    project: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(Layout(project / "experiments" / "masks" / "config.yaml")):
        assert predict(project, "masks", images, tmp_path) == 0
    assert "warning: masks is being trained now, by process" in capsys.readouterr().err
    assert predict(project, "masks", images, tmp_path) == 0
    assert capsys.readouterr().err == ""


def test_folders_without_images_and_images_of_one_name(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert predict(project, "masks", tmp_path, tmp_path / "out") == 2
    assert "none of the 1 files here is an image" in capsys.readouterr().err
    for name in ("a.png", "a.jpg"):
        cv2.imwrite(str(tmp_path / name), toy.draw_disc(0)[0])
    assert predict(project, "masks", tmp_path, tmp_path / "out") == 2
    assert "two images have one name" in capsys.readouterr().err


def test_sub_folders_are_not_searched(
    project: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "night").mkdir(parents=True)
    (tmp_path / "in" / "day").mkdir()
    assert predict(project, "masks", tmp_path / "in", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "sub-folders are not searched: day, night; name one of them" in told
    assert str(tmp_path / "in") in told
    assert "dataset" not in told
    assert predict(project, "masks", tmp_path / "in" / "day", tmp_path / "out") == 2
    assert "the folder is empty" in capsys.readouterr().err
    shutil.copy(images / "a.png", tmp_path / "in")
    assert predict(project, "masks", tmp_path / "in", tmp_path / "out") == 0
    assert "2 sub-folders not searched: day, night" in capsys.readouterr().out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("form", ["png", "npy", "rle"])
def test_nothing_is_written_into_the_folder_of_the_images(
    form: str, project: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    source = tmp_path / "in"
    shutil.copytree(images, source)
    before = contents(source)
    (tmp_path / "link").symlink_to(source)
    monkeypatch.chdir(source)
    for given, out in (
        (source, source),
        (tmp_path / "link", source),
        (source, tmp_path / "link"),
        (".", Path("../in")),
    ):
        assert predict(project, "masks", given, out, "--format", form) == 2
        assert "is a folder of what is to be predicted" in capsys.readouterr().err
    assert contents(source) == before


def test_no_file_that_is_predicted_is_overwritten(
    project: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, links = tmp_path / "in", tmp_path / "links"
    shutil.copytree(images, source)
    links.mkdir()
    (links / "a.png").symlink_to(source / "a.png")
    before = contents(source)
    assert predict(project, "masks", source / "a.png", source) == 2
    assert f"{source / 'a.png'} would be overwritten" in capsys.readouterr().err
    assert predict(project, "masks", links, source) == 2
    assert predict(project, "masks", source, links) == 2
    assert contents(source) == before
    assert (links / "a.png").is_symlink()
    assert predict(project, "masks", source / "b.jpg", source) == 0  # beside it, under a name of its own
    assert contents(source).items() > before.items()


def test_in_python_and_by_the_former_command_nothing_is_overwritten_either(
    project: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    shutil.copytree(images, source)
    (source / "notes.txt").unlink()
    before = contents(source)
    for name in ("masks", "labels"):
        with pytest.raises(musket.MusketError, match="is a folder of what is to be predicted"):
            musket.parse(project / "experiments" / name).predict_to_directory(source, source)
    config = project / "experiments" / "masks" / "config.yaml"
    given = ["--inputFolder", str(source), "--output", str(tmp_path / "in/../in"), "--config", str(config)]
    assert former.main(given) == 2
    assert "is a folder of what is to be predicted" in capsys.readouterr().err
    assert contents(source) == before


def test_no_experiment_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "--input", ".", "--output", "out"]) == 2
    assert "say which experiment: --name NAME" in capsys.readouterr().err
    assert main(["predict", "--name", "x"]) == 2


def test_interrupting_tells_where_results_are(
    project: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("musket.experiment.predict_files.write_png", interrupted)
    assert predict(project, "masks", images, tmp_path) == 130
    assert f"written so far are in {tmp_path}" in capsys.readouterr().err


def test_a_picture_per_class(tmp_path: Path, images: Path) -> None:
    toy.register_small_net()
    config = tmp_path / "two" / "config.yaml"
    config.parent.mkdir()
    config.write_text(short(toy.CONFIG.replace("classes: 1", "classes: 2")))

    class Two(toy.Drawn):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            item = super().__getitem__(index)
            return musket.PredictionItem(item.id, item.x, np.concatenate([item.y, ~item.y], axis=2))

    musket.parse(config).fit(Two(8))
    arguments = ["--name", str(config), "--input", str(images), "--output", str(tmp_path / "out"), "--limit", "1"]
    assert main(["predict", *arguments]) == 0
    assert names(tmp_path / "out") == ["a_0.png", "a_1.png"]
    assert main(["predict", *arguments, "--format", "rle"]) == 0
    assert [row["class"] for row in rows(tmp_path / "out" / "predictions.csv")] == ["0", "1"]


@pytest.mark.parametrize(
    ("scores", "classes", "exclusive", "expected"),
    [
        ([0.2, 0.5, 0.3], ["a", "b", "c"], True, "b"),
        ([0.2, 0.5, 0.3], [], True, "1"),
        ([0.9, 0.1, 0.8], ["a", "b", "c"], False, "a c"),
        ([0.9, 0.1, 0.8], ["a b", "c", "d"], False, "a b|d"),
        ([0.1, 0.2], ["a", "b"], False, ""),
        ([0.5], ["no", "yes"], False, "no"),  # a score must exceed the threshold
        ([0.6], ["no", "yes"], False, "yes"),
        ([0.6], ["yes"], False, "1"),
        ([0.4], [], False, "0"),
    ],
)
def test_decisions(scores: list[float], classes: list[str], exclusive: bool, expected: str) -> None:
    assert decision(np.array(scores), classes, exclusive=exclusive) == expected


def test_the_former_command(project: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = project / "experiments" / "masks" / "config.yaml"
    source = tmp_path / "in"
    source.mkdir()
    shutil.copy(images / "a.png", source)
    given = ["--inputFolder", str(source), "--output", str(tmp_path / "out"), "--config", str(config)]
    assert former.main(given) == 0
    assert names(tmp_path / "out") == ["a.png"]
    assert predict(project, "masks", source, tmp_path / "same", "--folds", "0", "--stage", "0") == 0
    assert np.array_equal(read(tmp_path / "out" / "a.png"), read(tmp_path / "same" / "a.png"))
    (source / "b.png").touch()
    assert former.main(given) == 1
    assert former.main([*given, "--config", str(tmp_path / "none.yaml")]) == 2
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        former.main(given[:4])
    assert ended.value.code == 2
    assert "--config" in capsys.readouterr().err
