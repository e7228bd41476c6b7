"""Promises about labelled images: datasets of the user's own, class folders and tables, by hand and in the config."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from PIL import Image

import musket
from musket.core.errors import DataError
from musket.data.dataset import CompositeDataSet
from musket.data.generic_tables import GenericCSVDataSet
from musket.data.identity import sample_ids
from musket.data.label_folders import ClassFolders
from musket.data.label_tables import (
    BinaryClassificationDataSet,
    CategoryClassificationDataSet,
    MultiClassClassificationDataSet,
    MultiOutputClassClassificationDataSet,
    RegressionDataSet,
)
from musket.data.labels import class_names, targets
from musket.data.split import SplitSettings, splits_of

SHARED = Path(__file__).parents[3] / "shared" / "data"
CONFIG = {
    "architecture": "resnet18",
    "weights": None,
    "classes": 3,
    "activation": "softmax",
    "shape": [32, 32, 3],
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "primary_metric": "val_categorical_accuracy",
    "stages": [{"epochs": 1}],
}


def parsed(folder: Path, **keys: Any) -> musket.Experiment:
    folder.mkdir(parents=True, exist_ok=True)
    text = "#%Musket Classification 1.0\n" + yaml.safe_dump({**CONFIG, **keys}, sort_keys=False)
    (folder / "config.yaml").write_text(text)
    return musket.parse(folder / "config.yaml")


def species(root: Path, names: tuple[str, ...] = ("Charlock", "Cleavers", "Maize"), count: int = 2) -> Path:
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(count):
            picture = np.full((6, 8, 3), number * 60 + index, np.uint8)
            Image.fromarray(picture).save(root / name / f"{name[:2].lower()}{index}.png")
    return root


def shared(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the shared data {name} are not here")
    return SHARED / name


class ProteinDataGenerator:
    """As in the README: nothing but length and items."""

    def __init__(self, paths: list[str], labels: list[list[int]]):
        self.paths, self.labels = paths, labels
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> musket.PredictionItem:
        self.read.append(index)
        labels = np.zeros(28)
        labels[self.labels[index]] = 1
        return musket.PredictionItem(self.paths[index], np.zeros((4, 4, 3), np.uint8), labels)


def test_c5_any_object_with_length_and_items() -> None:
    dataset = ProteinDataGenerator(["p0", "p1", "p2", "p3"], [[27], [3, 27], [], [3]])
    assert [np.flatnonzero(y).tolist() for y in targets(dataset, [1, 3])] == [[3, 27], [3]]
    assert dataset.read == [1, 3]  # nothing else was asked for
    assert sample_ids(dataset) == ["p0", "p1", "p2", "p3"]
    assert class_names(dataset) is None
    assert len(splits_of(dataset, SplitSettings(folds_count=2, stratified=True)).folds) == 2


DATASETS: list[tuple[dict[str, Any], list[Any], str]] = [
    ({"ClassFolders": "plants"}, ["Charlock", "Cleavers", "Maize"], "Maize"),
    (
        {"FolderClassificationDataSet": [["Maize", "Charlock"], "plants", "ImageId", "Clazz"]},
        ["Charlock", "Maize"],
        "Maize",
    ),
    ({"FolderDataSet": {"imagePath": "Maize", "folder": "plants"}}, ["Maize"], "Maize"),
    ({"CategoryClassificationDataSet": ["flat", "t.csv", "image", "kind"]}, ["fish", "gravel", "sugar"], "sugar"),
    (
        {
            "CategoryClassificationDataSet": {
                "imagePath": "flat",
                "csvPath": "t.csv",
                "imColumn": "image",
                "clazzColumn": "kind",
                "where": {"split": "test"},
            }
        },
        ["fish", "gravel", "sugar"],
        "sugar",
    ),
    ({"BinaryClassificationDataSet": ["flat", "t.csv", "image", "flag"]}, ["0", "1"], "1"),
    ({"MultiClassClassificationDataSet": ["flat", "t.csv", "image", "tags"]}, ["p", "q"], "q"),
    (
        {
            "MultiOutputClassClassificationDataSet": {
                "imagePath": ["flat"],
                "csvPath": "t.csv",
                "imColumn": "image",
                "clazzColumns": {"kind": "categorical_one_hot", "flag": "binary", "size": "number"},
            }
        },
        [["fish", "gravel", "sugar"], ["0", "1"], ["size"]],
        "sugar",
    ),
    ({"RegressionDataSet": ["flat", "t.csv", "image", ["size", "flag"]]}, ["size", "flag"], "0.25"),
    (
        {
            "GenericCSVDataSet": {
                "path": "t.csv",
                "input_columns": ["image", "size"],
                "output_columns": ["kind"],
                "image_path": "flat",
                "ctypes": {"kind": "categorical_one_hot"},
            }
        },
        ["fish", "gravel", "sugar"],
        "sugar",
    ),
]


@pytest.mark.parametrize(("form", "classes", "last"), DATASETS, ids=lambda value: next(iter(value), None))
def test_c8_every_labelled_dataset_can_be_named_in_the_config(
    tmp_path: Path, form: dict[str, Any], classes: list[Any], last: str
) -> None:
    data = tmp_path / "data"
    species(data / "plants")
    (data / "flat").mkdir()
    for name in "abc":
        Image.new("RGB", (5, 4)).save(data / "flat" / f"{name}.png")
    (data / "t.csv").write_text(
        "image,split,kind,flag,tags,size\na,train,fish,0,p,1\nb,train,gravel,1,p q,2\nc,test,sugar,1,q,0.25\n"
    )
    dataset = parsed(tmp_path / "one", datasets_path="../data", dataset=form).get_dataset()
    assert class_names(dataset) == classes
    row = dataset.encode(dataset[len(dataset) - 1], encode_y=True)
    assert last in map(str, row.values())


def test_c15_a_class_that_reads_folders_of_species(tmp_path: Path) -> None:
    root = species(tmp_path / "plants")

    class ClassificationDS:
        """As in the README."""

        def __init__(self, path: Path):
            self.kinds = sorted(folder.name for folder in path.iterdir())
            self.files = sorted(path.glob("*/*"))

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, index: int) -> musket.PredictionItem:
            file = self.files[index]
            return musket.PredictionItem(
                file.name, cv2.imread(str(file)), np.eye(3)[self.kinds.index(file.parent.name)]
            )

    own, built_in = ClassificationDS(root), ClassFolders(root)
    assert np.stack(list(targets(own, range(6)))).tolist() == np.stack([item.y for item in built_in]).tolist()
    assert [f"{item.id[:2]}" for item in own] == ["ch", "ch", "cl", "cl", "ma", "ma"]


def test_c16_get_train_in_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    (project / "modules").mkdir(parents=True)
    species(project / "data" / "plants")
    (project / "modules" / "species_data.py").write_text(
        "from classification_pipeline.impl import datasets\n"
        "from musket.data.label_folders import ClassFolders\n\n\n"
        "def getTrain() -> datasets.DataSet:\n"
        "    return ClassFolders('plants')\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    cfg = parsed(project / "experiments" / "one", dataset={"getTrain": []})
    monkeypatch.delitem(sys.modules, "species_data")
    assert cfg.get_dataset().sample_ids()[0] == "Charlock/ch0.png"


def test_c17_named_sets(tmp_path: Path) -> None:
    species(tmp_path / "data" / "train")
    species(tmp_path / "data" / "test", count=1)
    entries = {"test": {"ClassFolders": "test"}, "both": ["train", "test"], "train": {"ClassFolders": "train"}}
    cfg = parsed(tmp_path / "one", datasets_path="../data", dataset="train", datasets=entries)
    assert [len(cfg.get_dataset(name)) for name in (None, "train", "test", "both")] == [6, 6, 3, 9]
    both = cfg.get_dataset("both")
    assert class_names(both) == ["Charlock", "Cleavers", "Maize"]
    assert [y.argmax() for y in targets(both, [0, 5, 6, 8])] == [0, 2, 0, 2]


class TestSharedData:
    """The labels read are those pandas counts."""

    def test_clothing(self) -> None:
        folder = shared("clothing")
        frame = pd.read_csv(folder / "labels.csv")
        table = CategoryClassificationDataSet(folder, folder / "labels.csv", "image", "label", where={"split": "train"})
        folders = ClassFolders(folder / "train")
        assert table.classes == folders.classes == sorted(frame["label"].unique())
        assert np.sum(list(targets(table, range(len(table)))), axis=0).tolist() == [25] * 10
        assert {f"train/{name}" for name in folders.sample_ids()} == set(table.sample_ids())
        assert folders[30].x.dtype == np.uint8
        names = dict(zip(frame["image"], frame["label"], strict=True))
        written = table.encode(table[:40], encode_y=True)
        assert [names[name] for name in written["image"]] == written["label"].tolist()
        with pytest.raises(DataError, match=r"It has folders: dress, hat, longsleeve"):
            ClassFolders(folder)

    def test_clothing_kids(self) -> None:
        folder = shared("clothing_kids")
        frame = pd.read_csv(folder / "labels.csv")
        types = {"label": "categorical_one_hot", "kids": "binary"}
        dataset = MultiOutputClassClassificationDataSet(folder / "images", folder / "labels.csv", "image", types)
        kinds, kids = map(np.stack, zip(*targets(dataset, range(len(dataset))), strict=True))
        assert kinds.sum(axis=0).tolist() == frame["label"].value_counts().sort_index().tolist() == [28] * 5
        assert kids.sum() == frame["kids"].sum() == 70
        folds = splits_of(dataset, SplitSettings(folds_count=7, stratified=True)).folds
        assert {(kinds[f.validation].sum(axis=0).tolist().count(4), kids[f.validation].sum()) for f in folds} == {
            (5, 10)
        }

    def test_coco_mini(self) -> None:
        folder = shared("coco_mini")
        frame = pd.read_csv(folder / "multilabel.csv")
        dataset = MultiClassClassificationDataSet(folder, folder / "multilabel.csv", "image", "labels")
        counts = frame["labels"].str.get_dummies("|").sum()
        found = np.sum(list(targets(dataset, range(len(dataset)))), axis=0)
        assert dict(zip(dataset.classes, found.tolist(), strict=True)) == counts.to_dict()
        assert [dataset.isPositive(i) for i in range(len(dataset))].count(False) == frame["labels"].isna().sum() == 2
        written = dataset.encode(SubLabels(dataset), encode_y=True)
        assert written["labels"].tolist() == frame["labels"].fillna("").tolist()
        fine = MultiClassClassificationDataSet(folder, folder / "multilabel.csv", "image", "categories")
        assert fine.classes == sorted(frame["categories"].str.get_dummies("|").columns)

    def test_magnetic_tiles(self) -> None:
        folder = shared("magnetic_tiles")
        frame = pd.read_csv(folder / "labels.csv")
        table = folder / "labels.csv"
        types = {"class": "categorical_one_hot", "has_defect": "binary", "defect_fraction": "number"}
        dataset = MultiOutputClassClassificationDataSet(folder / "images", table, "image", types)
        kinds, flags, shares = map(np.stack, zip(*targets(dataset, range(len(dataset))), strict=True))
        assert kinds.sum(axis=0).tolist() == frame["class"].value_counts().sort_index().tolist()
        assert flags.sum() == frame["has_defect"].sum() == 100
        np.testing.assert_array_equal(shares[:, 0], frame["defect_fraction"])
        assert dataset[0].x.shape[2] == 3  # grey files
        flag = BinaryClassificationDataSet(folder / "images", table, "image", "has_defect")
        assert [flag.isPositive(i) for i in range(200)] == frame["has_defect"].astype(bool).tolist()
        share = RegressionDataSet(folder / "images", table, "image", "defect_fraction")
        assert sum(y.item() for y in targets(share, range(200))) == pytest.approx(frame["defect_fraction"].sum())
        generic = GenericCSVDataSet(
            table, ["image"], ["class", "defect_fraction"], folder / "images", {"defect_fraction": "normalized_number"}
        )
        assert max(y[1].item() for y in targets(generic, range(200))) == 1.0


class SubLabels:
    """Items without their images."""

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> musket.PredictionItem:
        return musket.PredictionItem(self.dataset.get_id(index), None, self.dataset.get_target(index))


COLOURS = np.random.default_rng(3).integers(0, 256, (6, 8, 3), dtype=np.uint8)
PICTURE = Image.fromarray(COLOURS)


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 8
    PICTURE.save(path, "PNG", exif=exif)


def _animated(path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=40)


def _with_alpha(path: Path) -> None:
    picture = PICTURE.convert("RGBA")
    picture.putalpha(40)
    picture.save(path, "PNG")


KINDS: dict[str, tuple[Callable[[Path], Any], str, tuple[int, ...], np.ndarray | None]] = {
    "grey": (lambda path: PICTURE.convert("L").save(path, "PNG"), "uint8", (6, 8, 3), None),
    "alpha": (_with_alpha, "uint8", (6, 8, 3), COLOURS),
    "palette": (lambda path: PICTURE.quantize(4).save(path, "PNG", transparency=1), "uint8", (6, 8, 3), None),
    "cmyk": (lambda path: PICTURE.convert("CMYK").save(path, "JPEG"), "uint8", (6, 8, 3), None),
    "turned": (_turned, "uint8", (8, 6, 3), np.rot90(COLOURS)),
    "animated": (_animated, "uint8", (6, 8, 3), np.broadcast_to(np.uint8([255, 0, 0]), (6, 8, 3))),
    "deep": (
        lambda path: (
            cv2.imwrite(f"{path}.png", COLOURS[..., ::-1].astype(np.uint16) * 257) and Path(f"{path}.png").rename(path)
        ),
        "uint16",
        (6, 8, 3),
        COLOURS.astype(np.uint16) * 257,
    ),
    "deep grey": (
        lambda path: Image.fromarray(COLOURS[..., 0].astype(np.uint16) * 257).save(path, "PNG"),
        "uint16",
        (6, 8, 3),
        np.repeat(COLOURS[..., :1].astype(np.uint16) * 257, 3, axis=2),
    ),
    "bands": (
        lambda path: tifffile.imwrite(
            path, np.repeat(COLOURS, 2, axis=2), photometric="minisblack", planarconfig="contig"
        ),
        "uint8",
        (6, 8, 6),
        np.repeat(COLOURS, 2, axis=2),
    ),
}


def test_every_kind_of_image_in_one_folder_is_converted_as_documented(tmp_path: Path) -> None:
    for number, (write, *_) in enumerate(KINDS.values()):
        write(tmp_path / f"{number}.png")  # what a file is decides, not its name
    frame = pd.DataFrame({"image": map(str, range(len(KINDS))), "kind": list(KINDS)})
    dataset = CategoryClassificationDataSet(tmp_path, frame, "image", "kind")
    for item, (_, depth, shape, expected) in zip(dataset, KINDS.values(), strict=True):
        kind = dataset.encode(item, encode_y=True)["kind"]
        assert (item.x.dtype.name, item.x.shape) == (depth, shape), kind
        if expected is not None:
            np.testing.assert_array_equal(item.x, expected, kind)


def test_an_image_of_the_table_that_is_damaged_is_named(tmp_path: Path) -> None:
    species(tmp_path / "plants")
    broken = tmp_path / "plants" / "Maize" / "ma1.png"
    broken.write_bytes(broken.read_bytes()[:40])
    dataset = ClassFolders(tmp_path / "plants")
    assert dataset.get_target(5).tolist() == [False, False, True]
    with pytest.raises(DataError, match=r"ma1\.png: truncated"):
        dataset[5]


def test_parts_must_agree_about_their_classes(tmp_path: Path) -> None:
    parts = [ClassFolders(species(tmp_path / "one")), ClassFolders(species(tmp_path / "two", ("Maize", "Wheat")))]
    with pytest.raises(DataError, match="the parts of the dataset have different classes"):
        class_names(CompositeDataSet(parts))
