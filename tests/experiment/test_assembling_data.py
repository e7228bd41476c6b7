"""How an experiment gets its data: from the config in all its forms, with extra, transformed and augmented data."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import yaml

import musket
from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError, ConfigError, DataError
from musket.core.types import PredictionItem
from musket.data.catalogue import DATASETS, dataset_augmenters, dataset_provider, extra_train
from musket.data.dataset import SubDataSet, read_item
from musket.data.derived import DerivedDataSet, like
from musket.data.identity import sample_ids
from musket_core import datasets


class Discs(toy.Drawn):
    """Discs under other names."""

    def __init__(self, count: int = 14, prefix: str = "disc"):
        super().__init__(count)
        self.prefix = prefix

    def sample_ids(self) -> list[str]:
        return [f"{self.prefix}-{index:02}" for index in range(self.count)]

    def __getitem__(self, index: int) -> PredictionItem:
        item = super().__getitem__(index)
        item.id = self.sample_ids()[index]
        return item

    def isPositive(self, index: int) -> bool:
        return index % 2 == 0


SHADE = """
from musket.data.derived import DerivedDataSet, like

class _Shade(DerivedDataSet):
    def __init__(self, child, by):
        super().__init__(child)
        self.by = by
    def _changed(self, item, index, is_train):
        return like(item, item.x // self.by, item.y)

def shade(by: int = 3):
    return lambda dataset: _Shade(dataset, by)
"""


def discs(count: int = 14, prefix: str = "disc") -> Discs:
    return Discs(count, prefix)


@pytest.fixture(autouse=True)
def functions() -> None:
    dataset_provider(discs)


def experiment(folder: Path, **changes: Any) -> musket.Experiment:
    return toy.experiment(folder, **{"dataset": {"discs": []}, **changes})


def stored(layout: Layout) -> dict[str, Any]:
    return yaml.safe_load(layout.folds_split.read_text())


def names(part: Any) -> set[str]:
    return set(sample_ids(part))


# ----------------------------------------------------------------------------------------------------------- forms


def test_lists_of_entries_are_joined(tmp_path: Path) -> None:
    entries = {"a": {"discs": [3, "a"]}, "b": {"discs": [2, "b"]}, "both": ["both", "a", "b"]}
    cfg = experiment(tmp_path, datasets=entries, dataset="both")
    assert sample_ids(cfg.get_dataset()) == ["a-00", "a-01", "a-02", "b-00", "b-01"]
    assert sample_ids(cfg.get_dataset("b")) == ["b-00", "b-01"]
    assert len(experiment(tmp_path / "inline", datasets=entries, dataset=["b", "both"]).get_dataset()) == 7


def test_files_lie_beside_the_config_whatever_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "e").mkdir()
    toy.write_discs(tmp_path / "e", 4)
    cfg = experiment(tmp_path / "e", dataset={"input_path": "images", "output_path": "masks"})
    monkeypatch.chdir(tmp_path)
    dataset = cfg.get_dataset()
    assert len(dataset) == 4
    assert dataset[0].y.dtype == bool


def test_missing_files_are_told_by_key_and_folder(tmp_path: Path) -> None:
    cfg = experiment(tmp_path, datasets={"one": {"input_path": "nowhere"}}, dataset="one")
    with pytest.raises(DataError, match=r"datasets.one.inputs\[0\].bindings\[0\].path: file .*nowhere: no such folder"):
        cfg.get_dataset()


def test_an_entry_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"datasets.two  there is no such entry; entries of datasets: one"):
        experiment(tmp_path, datasets={"one": {"discs": []}}).get_dataset("two")
    with pytest.raises(ConfigError, match=r"no dataset in the config and none given to fit"):
        experiment(tmp_path, dataset=None).get_dataset()


def test_a_function_that_fails_or_gives_no_dataset_is_named(tmp_path: Path) -> None:
    @dataset_provider
    def broken(what: str) -> Any:
        if what == "raise":
            raise KeyError("mask")
        return 3

    with pytest.raises(DataError, match=r"test_assembling_data.py: dataset function broken failed: KeyError: 'mask'"):
        experiment(tmp_path, dataset={"broken": ["raise"]}).get_dataset()
    with pytest.raises(DataError, match="dataset function broken returned int, which is no dataset"):
        experiment(tmp_path, dataset={"broken": ["return"]}).get_dataset()


# ----------------------------------------------------------------------------------------------------------- parts


def test_parts_are_one_fold_and_a_fixed_holdout(tmp_path: Path) -> None:
    parts = {
        "train": {"discs": [6, "t"]},
        "validation": {"discs": [4, "v"]},
        "holdout": {"discs": [3, "h"]},
    }
    cfg = experiment(tmp_path, dataset=parts, folds_count=5, testSplit=0.4)
    assert names(cfg.train()) == {f"t-0{index}" for index in range(6)}
    assert names(cfg.validation()) == {f"v-0{index}" for index in range(4)}
    assert names(cfg.holdout()) == {"h-00", "h-01", "h-02"}
    assert len(cfg.kfold().folds) == 1
    assert [len(part) for part in stored(cfg.layout)["folds"][0].values()] == [6, 4]
    assert len(cfg.train_without_holdout()) == 10


def test_only_a_holdout_leaves_the_folds_to_be_drawn(tmp_path: Path) -> None:
    parts = {"train": {"discs": [9, "t"]}, "holdout": {"discs": [3, "h"]}}
    cfg = experiment(tmp_path, dataset=parts, folds_count=3)
    assert [len(validation) for _, validation in cfg.kfold().folds] == [3, 3, 3]
    assert names(cfg.holdout()) == {"h-00", "h-01", "h-02"}
    assert names(cfg.train_without_holdout()) == {f"t-0{index}" for index in range(9)}


def test_several_functions_make_one_part_and_equal_ids_are_told_apart(tmp_path: Path) -> None:
    dataset_provider(name="more_discs")(discs)
    parts = {"train": {"discs": [4], "more_discs": [2, "m"]}, "validation": {"discs": [2]}}
    cfg = experiment(tmp_path, dataset=parts, testSplit=0)
    with pytest.warns(UserWarning, match=r"2 of the 6 sample ids occur more than once"):
        assert names(cfg.train()) == {"disc-00", "disc-01", "disc-02", "disc-03", "m-00", "m-01"}
    assert {name for name in cfg._prepare().ids if "#" in name} == {"disc-00#2", "disc-01#2"}


# ----------------------------------------------------------------------------------------------------------- extra


@pytest.mark.parametrize("form", ["people", "entry", {"discs": [5, "extra"]}])
def test_extra_data_joins_every_training_part_and_no_other(tmp_path: Path, form: Any) -> None:
    extra_train["people"] = Discs(5, "extra")
    plain = experiment(tmp_path / "plain", testSplit=0.2)
    cfg = experiment(
        tmp_path / "extra", testSplit=0.2, extra_train_data=form, datasets={"entry": {"discs": [5, "extra"]}}
    )
    new = {f"extra-0{index}" for index in range(5)}
    for fold in (0, 1):
        assert names(cfg.train(foldNum=fold)) == names(plain.train(foldNum=fold)) | new
        assert names(cfg.validation(foldNum=fold)) == names(plain.validation(foldNum=fold))
    assert names(cfg.holdout()) == names(plain.holdout())
    assert names(cfg.train_without_holdout()) == names(plain.train_without_holdout())
    assert cfg.layout.folds_split.read_bytes() == plain.layout.folds_split.read_bytes()
    assert cfg._prepare().describe().startswith("14 samples and 5 extra ones to train on, 3 of them held out")


def test_what_was_registered_comes_before_entries(tmp_path: Path) -> None:
    extra_train["people"] = Discs(1, "mine")
    cfg = experiment(tmp_path, extra_train_data="people", datasets={"people": {"discs": [5, "extra"]}})
    assert len(names(cfg.train()) & {"mine-00"}) == 1


def test_extra_data_that_are_in_the_main_data_are_refused(tmp_path: Path) -> None:
    extra_train["same"] = Discs(3)
    cfg = experiment(tmp_path, extra_train_data="same")
    with pytest.raises(
        DataError, match=r"extra_train_data: 3 of its 3 samples have ids of the main data \(disc-00, .*leak"
    ):
        cfg.train()


def test_an_unknown_name_of_extra_data_says_where_to_register_it(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"extra_train_data  no such entry of datasets 'peopel'.*segmentation.extra_train"
    ):
        experiment(tmp_path, extra_train_data="peopel")


def test_asking_twice_reads_the_data_once(tmp_path: Path) -> None:
    extra_train["people"] = Discs(5, "extra")
    cfg = experiment(tmp_path, extra_train_data="people")
    assert cfg._prepare() is cfg._prepare()


# ------------------------------------------------------------------------------------- transformed and augmented


def test_a_transform_sees_the_data_without_the_holdout(tmp_path: Path) -> None:
    seen: list[int] = []

    @dataset_provider
    def without_odd(dataset: Any) -> Any:
        seen.append(len(dataset))
        return SubDataSet(dataset, [i for i, name in enumerate(sample_ids(dataset)) if int(name[-2:]) % 2 == 0])

    cfg = experiment(tmp_path / "a", pretrain_transform="without_odd", testSplit=0.2)
    plain = experiment(tmp_path / "b", testSplit=0.2)
    even = {name for name in names(plain.train_without_holdout()) if int(name[-2:]) % 2 == 0}
    assert names(cfg.holdout()) == names(plain.holdout())
    assert seen == [11]
    assert names(cfg.train()) | names(cfg.validation()) == even
    assert not names(cfg.train()) & names(cfg.validation())
    again = experiment(tmp_path / "a", pretrain_transform="without_odd", testSplit=0.2)
    assert sample_ids(again.train()) == sample_ids(cfg.train())
    with pytest.raises(ArtifactError, match="pretrain_transform: was 'without_odd', now None"):
        experiment(tmp_path / "a", testSplit=0.2).train()


def test_a_transform_that_changes_nothing_changes_no_fold(tmp_path: Path) -> None:
    dataset_provider(name="same")(DerivedDataSet)
    for count in (0.0, 0.25):
        plain = experiment(tmp_path / f"plain{count}", testSplit=count)
        cfg = experiment(tmp_path / f"same{count}", testSplit=count, pretrain_transform="same")
        assert [sample_ids(cfg.validation(foldNum=i)) for i in (0, 1)] == [
            sample_ids(plain.validation(foldNum=i)) for i in (0, 1)
        ]


@pytest.mark.parametrize("count", [0.0, 0.2])
def test_a_transform_that_leaves_nothing_is_refused(tmp_path: Path, count: float) -> None:
    dataset_provider(name="nothing")(lambda dataset: SubDataSet(dataset, []))
    with pytest.raises(DataError, match="pretrain_transform nothing left no training data"):
        experiment(tmp_path, pretrain_transform="nothing", testSplit=count).train()


class Darker(DerivedDataSet):
    """Images divided by a number."""

    def __init__(self, child: Any, by: int):
        super().__init__(child)
        self.by = by

    def _changed(self, item: PredictionItem, index: int, is_train: bool) -> PredictionItem:
        return like(item, item.x // self.by, item.y)


def test_an_augmenter_changes_what_is_read_in_training_only(tmp_path: Path) -> None:
    dataset_augmenters["darker"] = lambda by: lambda dataset: Darker(dataset, by)
    extra_train["people"] = Discs(5, "extra")
    cfg = experiment(tmp_path, dataset_augmenter={"name": "darker", "by": 10}, extra_train_data="people")
    dataset, plain = cfg._prepare().dataset, Discs()
    assert len(dataset) == 19
    np.testing.assert_array_equal(read_item(dataset, 3, True).x, plain[3].x // 10)
    np.testing.assert_array_equal(read_item(dataset, 3, False).x, plain[3].x)
    np.testing.assert_array_equal(cfg.validation()[0].x, cfg.validation().item(0, False).x)
    assert (cfg.train().item(0, True).x < 30).all()
    assert names(cfg.train()) >= {"extra-00"}


def test_a_function_of_the_project_can_be_the_augmenter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setitem(sys.modules, "shades_of_discs", None)
    monkeypatch.delitem(sys.modules, "shades_of_discs")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "shades_of_discs.py").write_text(SHADE)
    cfg = experiment(tmp_path / "experiments" / "one", dataset_augmenter={"name": "shade", "by": 2})
    np.testing.assert_array_equal(read_item(cfg._prepare().dataset, 0, True).x, Discs()[0].x // 2)
    with pytest.raises(ConfigError, match=r"dataset_augmenter\.bi  shade takes no such option"):
        experiment(tmp_path / "experiments" / "two", dataset_augmenter={"name": "shade", "bi": 2})


@pytest.mark.parametrize(
    ("factory", "told"),
    [
        (lambda: 3, "dataset_augmenter odd returned int; it must return a function"),
        (lambda: lambda dataset: 3, "dataset function odd returned int, which is no dataset"),
        (lambda: lambda dataset: Discs(3), "the training view has 3 items, the dataset 14"),
        (lambda: lambda dataset: 1 / 0, "dataset function odd failed: ZeroDivisionError"),
    ],
)
def test_augmenters_that_give_something_else_are_refused(tmp_path: Path, factory: Any, told: str) -> None:
    dataset_augmenters["odd"] = factory
    with pytest.raises(DataError, match=told):
        experiment(tmp_path, dataset_augmenter={"name": "odd"}).train()


def test_training_on_parts_with_all_of_it(tmp_path: Path) -> None:
    dataset_provider(name="same")(DerivedDataSet)
    dataset_augmenters["darker"] = lambda by: lambda dataset: Darker(dataset, by)
    extra_train["people"] = Discs(3, "extra")
    parts = {"train": {"discs": [6, "t"]}, "validation": {"discs": [3, "v"]}, "holdout": {"discs": [3, "h"]}}
    cfg = experiment(
        tmp_path,
        dataset=parts,
        folds_count=5,
        pretrain_transform="same",
        extra_train_data="people",
        dataset_augmenter={"name": "darker", "by": 2},
        stages=[{"epochs": 1}],
    )
    summary = cfg.fit()
    assert summary["folds"] == [0]
    assert "dice_holdout" in summary["allStages"]
    assert (len(cfg.train()), len(cfg.validation()), len(cfg.holdout())) == (9, 3, 3)
    assert [path.name for path in (tmp_path / "weights").glob("best-*")] == ["best-0.0.weights"]


# ----------------------------------------------------------------------------------------------------- the holdout


def test_a_holdout_set_by_hand_counts_everywhere(tmp_path: Path) -> None:
    cfg = experiment(tmp_path, testSplit=0)
    cfg.setHoldout([13, 0])
    assert sample_ids(cfg.holdout()) == ["disc-13", "disc-00"]
    assert not names(cfg.train_without_holdout()) & {"disc-13", "disc-00"}
    assert all(not {13, 0} & {*train, *validation} for train, validation in cfg.kfold().folds)
    other = experiment(tmp_path, testSplit=0)
    other.setHoldout([1])
    with pytest.raises(ArtifactError, match="the splits were drawn with other settings: holdout"):
        other.train()
    cfg.setHoldout(None)
    with pytest.raises(ArtifactError, match="the splits were drawn with other settings"):
        cfg.train()


def test_a_holdout_set_by_hand_with_a_transform(tmp_path: Path) -> None:
    dataset_provider(name="same")(DerivedDataSet)
    cfg = experiment(tmp_path, pretrain_transform="same")
    cfg.setHoldout([13, 0])
    assert sample_ids(cfg.holdout()) == ["disc-13", "disc-00"]
    cfg.setHoldout([14])
    with pytest.raises(DataError, match="the holdout names position 14"):
        cfg.train()


# ----------------------------------------------------------------------------------------------------------- folds


def test_folded_data(tmp_path: Path) -> None:
    cfg = experiment(tmp_path, testSplit=0)
    folded = cfg.kfold(batch=2)
    assert len(folded) == 2
    train, validation = folded.folds[1]
    assert folded.indexes(1, True) == train
    assert folded.indexes(1, False) == validation
    assert sorted([*train, *validation]) == list(range(14))
    assert set(folded.sampledIndexes(1, True)) == set(train)
    assert set(folded.sampledIndexes(1, True, "none")) == {index for index in train if index % 2 == 0}
    assert folded.numBatches(1) == folded.foldIterations(1) == 3
    assert folded.numBatches(1, subsample=0.6) == 2
    assert folded.foldIterations(1, False) == 4
    folded.save(tmp_path / "folds.yaml")
    assert yaml.safe_load((tmp_path / "folds.yaml").read_text())[1] == [train, validation]


def test_batches_of_a_fold(tmp_path: Path) -> None:
    folded = experiment(tmp_path, testSplit=0).kfold(batch=2)
    batches = list(itertools.islice(folded.generator(0, returnBatch=True), 6))
    assert all(x.shape == (2, 32, 32, 3) and y.shape == (2, 32, 32, 1) for x, y, _ in batches)
    first, second = ([name for *_, batch in part for name in batch.ids] for part in (batches[:3], batches[3:]))
    train = {f"disc-{index:02}" for index in folded.indexes(0, True)}
    assert len(set(first)) == 6
    assert set(first) | set(second) <= train
    assert first != second
    plain = list(itertools.islice(folded.generator(0, isTrain=False), 4))
    assert sum(len(x) for x, _ in plain) == 7
    loaded = folded.load(0, isTrain=False, ln=3)
    assert loaded.images.shape == (3, 3, 32, 32)
    assert list(loaded.ids) == [f"disc-{index:02}" for index in folded.sampledIndexes(0, False)[:3]]
    with pytest.raises(DataError, match="fold 0 has 7 training samples, fewer than one batch of 8"):
        next(experiment(tmp_path, testSplit=0).kfold(batch=8).generator(0))


def test_folds_of_some_samples(tmp_path: Path) -> None:
    cfg = experiment(tmp_path, testSplit=0.5)
    folded = cfg.kfold(indeces=[2, 3, 5, 7, 11, 13])
    assert sorted(i for _, validation in folded.folds for i in validation) == list(range(6))
    assert folded.data.ids[4] == "disc-11"
    assert not cfg.layout.folds_split.exists()


def test_more_training_data(tmp_path: Path) -> None:
    folded = experiment(tmp_path, testSplit=0).kfold()
    before = folded.folds
    folded.addToTrain(Discs(2, "new"))
    for (train, validation), (former, same) in zip(folded.folds, before, strict=True):
        assert train == [*former, 14, 15]
        assert validation == same
    assert folded.ds.item(15, True).id == "new-01"
    with pytest.raises(DataError, match="2 of its 2 samples have ids of the main data"):
        folded.addToTrain(Discs(2, "new"))


def test_folds_of_cells(tmp_path: Path) -> None:
    """Two by two cells of every image: four times the samples, at half the shape, and none without its image."""
    folded = experiment(tmp_path, testSplit=0, crops=2).kfold(batch=2)
    train, validation = folded.folds[0]
    assert (len(train), len(validation)) == (28, 28)
    assert not {position // 4 for position in train} & {position // 4 for position in validation}
    x, y = next(folded.generator(0))
    assert x.shape == (2, 16, 16, 3)
    assert y.shape == (2, 16, 16, 1)
    folded.addToTrain(Discs(2, "new"))
    assert len(folded.indexes(0, True)) == 36
    assert folded.ds.item(63, True).id == "new-01#r1c1"


# ------------------------------------------------------------------------------------------------------- providers


def test_providers_with_and_without_parentheses() -> None:
    @datasets.dataset_provider
    def bare() -> Any:
        """A line about it."""

    @datasets.dataset_provider()
    def called() -> Any: ...

    @musket.dataset_provider(name="known_as", origin="the lab", kind="images")
    def unknown() -> Any: ...

    assert DATASETS.load("bare") is bare
    assert DATASETS.get("bare").summary == "A line about it."
    assert DATASETS.load("called") is called
    assert DATASETS.load("known_as") is unknown
    assert "unknown" not in DATASETS
    assert DATASETS.get("known_as").facts["origin"] == "the lab"


def test_a_provider_may_be_defined_again_but_takes_no_built_in_name() -> None:
    dataset_provider(name="mine")(discs)
    dataset_provider(name="mine")(Discs)
    assert DATASETS.load("mine") is Discs
    with pytest.raises(musket.MusketError, match="dataset 'DirectoryDataSet' is registered already"):
        dataset_provider(name="DirectoryDataSet")(discs)
