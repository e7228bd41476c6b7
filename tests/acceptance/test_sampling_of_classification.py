"""Promises about what a classification is trained on: stages and negatives, samplers, cells, stratified folds."""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
import toy_labels

import musket
from musket.artifacts.checkpoint import load_weights
from musket.core.errors import DataError, TrainingError
from musket.core.runtime import derive_seed
from musket.data.crops import CropAndSplit
from musket.data.sampling import part_order, sample_of
from musket.experiment import reading
from musket.experiment.plan import training_samples
from musket.experiment.prepare_data import samples_of
from musket.experiment.targets import target_vectors

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
PLAIN: dict[str, Any] = {"folds_count": 1, "testSplit": 0, "augmentation": {}, "batch": 2}


class Marked(toy_labels.Thirds):
    """Classes 0, 1 and 2 of 18, 9 and 3 samples of 30; says and remembers what was read for training, by stage."""

    def __init__(self, target: str = "one-hot", count: int = 30):
        super().__init__(count, target)
        self.stage = 0
        self.asked: Counter[Any] = Counter()
        self.targets: Counter[int] = Counter()
        self.read: defaultdict[tuple[int, bool], Counter[int]] = defaultdict(Counter)

    def label(self, index: int) -> int:
        return 2 if index % 10 == 9 else int(index % 10 >= 6)

    def get_target(self, index: int) -> Any:
        self.targets[index] += 1
        label = self.label(index)
        one_hot = np.eye(3, dtype=np.float32)[label]
        return {"one-hot": one_hot, "index": label, "number": np.array([index / 30])}[self.target]

    def isPositive(self, index: Any) -> bool:
        self.asked[index] += 1
        return index % 4 == 0

    def item(self, index: int, is_train: bool) -> musket.PredictionItem:
        self.read[self.stage, is_train][index] += 1
        return musket.PredictionItem(f"third-{index:02}", toy_labels.draw(index), self.get_target(index))

    def labels_read(self, stage: int) -> Counter[int]:
        found: Counter[int] = Counter()
        for index, times in self.read[stage, True].items():
            found[self.label(index)] += times
        return found


def tell_stage(dataset: Marked) -> None:
    """A callback TellStage that tells the dataset which stage is on; what is tried before that is forgotten."""

    @musket.callback
    class TellStage(musket.Hook):
        def on_stage_start(self, run: Any) -> None:
            dataset.stage = run.stage
            dataset.read.pop((run.stage, True), None)

        def on_stage_end(self, run: Any) -> None:
            dataset.stage = -1  # the summary reads whole parts


def rows(cfg: musket.Experiment, stage: int = 0, fold: int = 0) -> list[dict[str, float]]:
    with open(cfg.layout.metrics(fold, stage), newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


# ---------------------------------------------------------------------------------------------- stages, negatives


def test_c20_every_stage_has_its_own_samples_rate_loss_and_start(tmp_path: Path) -> None:
    dataset = Marked()
    tell_stage(dataset)
    toy_labels.register()
    torch.manual_seed(1)
    first = toy_labels.experiment(tmp_path / "before", **PLAIN)
    first.fit(Marked())
    start = first.layout.weights(0, 0)
    began: dict[int, dict[str, torch.Tensor]] = {}

    @musket.callback
    class Began(musket.Hook):
        def on_stage_start(self, run: Any) -> None:
            began[run.stage] = {name: value.clone() for name, value in run.model.state_dict().items()}

    cfg = toy_labels.experiment(
        tmp_path / "stages",
        **PLAIN,
        callbacks={"TellStage": {}, "Began": {}},
        stages=[
            {"epochs": 1, "negatives": "none", "validation_negatives": "real"},
            {"epochs": 1, "lr": 0.0001, "negatives": "real"},
            {"epochs": 1, "loss": "binary_crossentropy", "lr": 0.00001, "initial_weights": str(start)},
        ],
    )
    cfg.fit(dataset)
    [fold] = cfg._prepare(dataset).folds
    positives = {index for index in fold.train if index % 4 == 0}
    assert set(dataset.read[0, True]) <= positives
    assert len(dataset.read[0, True]) >= len(positives) - 1  # less an incomplete batch
    assert set(dataset.read[0, False]) == set(fold.validation)
    assert any(index % 4 for index in dataset.read[1, True])
    assert [rows(cfg, stage)[0]["lr"] for stage in (0, 1, 2)] == [0.01, 0.0001, 0.00001]
    assert all(cfg.layout.weights(0, stage).exists() for stage in range(3))
    best, _ = load_weights(cfg.layout.weights(0, 0))
    assert all(torch.equal(began[1][name], best[name]) for name in best)
    given, _ = load_weights(start)
    assert all(torch.equal(began[2][name], given[name]) for name in given)


@pytest.mark.parametrize(("negatives", "per_positive"), [("none", 0), ("real", math.inf), (1, 1), (2, 2)])
def test_c20_epochs_have_the_negatives_that_were_asked_for(negatives: Any, per_positive: float, tmp_path: Path) -> None:
    dataset = Marked()
    folded = toy_labels.experiment(tmp_path, **PLAIN).kfold(dataset)
    [(train, validation)] = folded.folds
    for part, is_train in ((train, True), (validation, False)):
        seen = folded.sampledIndexes(0, is_train, negatives)
        positives = [index for index in part if index % 4 == 0]
        others = len(part) - len(positives)
        wanted = others if per_positive == math.inf else min(others, round(len(positives) * per_positive))
        assert sum(index % 4 == 0 for index in seen) == len(positives)
        assert sum(index % 4 != 0 for index in seen) == wanted
        assert seen == part_order(part, negatives, lambda index: index % 4 == 0)


def test_c21_is_positive_is_called_by_index_and_once(tmp_path: Path) -> None:
    dataset = Marked()
    stages = [{"epochs": 1, "negatives": "none"}, {"epochs": 1, "negatives": 1}]
    toy_labels.experiment(tmp_path, **PLAIN, stages=stages).fit(dataset)
    assert set(dataset.asked) == set(range(30))
    assert set(dataset.asked.values()) == {1}
    assert all(isinstance(index, int) for index in dataset.asked)


# ------------------------------------------------------------------------------------------------------- samplers


def test_sampler_balanced_reaches_the_network(tmp_path: Path) -> None:
    dataset = Marked()
    tell_stage(dataset)
    stages = [{"epochs": 3}, {"epochs": 3, "sampler": "sqrt"}]
    cfg = toy_labels.experiment(tmp_path, **PLAIN, sampler="balanced", callbacks={"TellStage": {}}, stages=stages)
    cfg.fit(dataset)
    [fold] = cfg._prepare(dataset).folds
    counts = Counter(dataset.label(index) for index in fold.train)
    assert len(fold.train) == 24
    assert [row["epoch"] for row in rows(cfg)] == [0, 1, 2]
    balanced = dataset.labels_read(0)
    assert sum(balanced.values()) == 3 * 24
    assert all(abs(balanced[label] - 24) <= 3 for label in range(3))  # 8 an epoch, rounded up or down
    roots = {label: math.sqrt(count) for label, count in counts.items()}
    halfway = dataset.labels_read(1)
    assert all(abs(halfway[label] - 72 * roots[label] / sum(roots.values())) <= 3 for label in range(3))


def test_sampler_works_beside_negatives(tmp_path: Path) -> None:
    dataset = Marked("index")
    cfg = toy_labels.experiment(tmp_path, **PLAIN, sampler="balanced", stages=[{"epochs": 1, "negatives": "none"}])
    data = cfg._prepare(dataset)
    sampler, batches = training_samples(cfg.spec, data, 0, 0)
    positives = [index for index in data.folds[0].train if index % 4 == 0]
    assert len(sampler) == len(positives)
    assert batches == len(positives) // 2
    drawn = [sample_of(draw, 30)[0] for draw in sampler.order(0, 1)]
    assert set(drawn) <= set(positives)
    labels = Counter(map(dataset.label, drawn))
    assert max(labels.values()) - min(labels.values()) <= 1


def test_sampler_reads_a_target_once_in_a_fit(tmp_path: Path) -> None:
    class Told(Marked):
        def item(self, index: int, is_train: bool) -> musket.PredictionItem:
            return musket.PredictionItem(f"third-{index:02}", toy_labels.draw(index), np.eye(3)[self.label(index)])

    dataset = Told()
    cfg = toy_labels.experiment(tmp_path, **{**PLAIN, "folds_count": 2}, sampler="sqrt", stages=[{"epochs": 1}] * 2)
    data = cfg._prepare(dataset)
    for fold in (0, 1):
        for stage in (0, 1):
            training_samples(cfg.spec, data, fold, stage)
    assert set(dataset.targets.values()) == {1}


def test_sampler_weighted_goes_by_the_word_of_the_dataset(tmp_path: Path) -> None:
    class Weighted(Marked):
        def sample_weight(self, index: int) -> float:
            return 0 if index < 10 else 1 if index < 20 else 3

    dataset = Weighted()
    cfg = toy_labels.experiment(tmp_path, **{**PLAIN, "crops": 3}, sampler="weighted")
    whole = cfg._prepare(dataset)
    data = samples_of(cfg.spec, whole)  # cells weigh as much as their image
    sampler, _ = training_samples(cfg.spec, data, 0, 0)
    drawn = Counter(sample_of(draw, 270)[0] // 9 for epoch in range(20) for draw in sampler.order(epoch, 1))
    train = whole.folds[0].train
    share = 20 * 9 * 24 / sum(dataset.sample_weight(index) for index in train)
    for index in train:
        assert drawn[index] == pytest.approx(dataset.sample_weight(index) * share, rel=0.03)


def test_a_sampler_that_cannot_be_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no method sample_weight\(index\)"):
        toy_labels.experiment(tmp_path / "a", **PLAIN, sampler="weighted").fit(Marked())
    numbers = {"classes": 1, "activation": "none", "loss": "mse", "metrics": [], "primary_metric": "val_loss"}
    with pytest.raises(DataError, match=r"sampler: balanced goes by classes.*activation linear"):
        toy_labels.experiment(tmp_path / "b", **PLAIN, **numbers, sampler="balanced").fit(Marked("number"))
    with pytest.raises(DataError, match=r"sample 'third-.*has 3 numbers, the config says classes: 4"):
        toy_labels.experiment(tmp_path / "c", **PLAIN, classes=4, sampler="balanced").fit(Marked())
    with pytest.raises(TrainingError, match="0 iterations"):
        toy_labels.experiment(tmp_path / "d", **{**PLAIN, "batch": 25}, sampler="balanced").fit(Marked())
    assert not (tmp_path / "a" / "weights").exists()


def test_a_stage_may_draw_every_sample_once_again(tmp_path: Path) -> None:
    stages = [{"epochs": 1}, {"epochs": 1, "sampler": "none"}]
    cfg = toy_labels.experiment(tmp_path, **PLAIN, sampler="balanced", stages=stages)
    data = cfg._prepare(Marked())
    drawn = [
        Counter(sample_of(draw, 30)[0] for draw in training_samples(cfg.spec, data, 0, stage)[0].order(0, 1))
        for stage in (0, 1)
    ]
    assert max(drawn[0].values()) > 1
    assert drawn[1] == Counter(data.folds[0].train)


def test_a_sample_drawn_again_is_augmented_anew(tmp_path: Path) -> None:
    changes: dict[str, Any] = {**PLAIN, "augmentation": {"Affine": {"rotate": [-90, 90]}}, "sampler": "balanced"}
    cfg = toy_labels.experiment(tmp_path, **changes)
    data = cfg._prepare(Marked())
    sampler, _ = training_samples(cfg.spec, data, 0, 0)
    order = sampler.order(1, 5)
    [again, *_] = [draw for draw in order if draw >= 30]
    make = reading.training_maker(cfg.spec, data.dataset, data.ids, 5, (tmp_path,))
    first, second = make(again % 30, 1), make(again, 1)
    assert first.id == second.id
    assert (first.image != second.image).any()
    assert (make(again, 1).image == second.image).all()


def test_sampler_balances_the_classes_of_masks(tmp_path: Path) -> None:
    class Some(toy.Drawn):
        """Discs, but nothing on every image that is not the fifth."""

        def __getitem__(self, index: int) -> musket.PredictionItem:
            item = super().__getitem__(index)
            return item if index % 5 == 0 else musket.PredictionItem(item.id, item.x, np.zeros_like(item.y))

    cfg = toy.experiment(tmp_path, folds_count=1, testSplit=0, sampler="balanced")
    data = cfg._prepare(Some(25))
    sampler, _ = training_samples(cfg.spec, data, 0, 0)
    for epoch in range(4):
        drawn = [sample_of(draw, 25)[0] for draw in sampler.order(epoch, 3)]
        assert sum(index % 5 == 0 for index in drawn) == 10 == len(drawn) / 2


# ---------------------------------------------------------------------------------------------------------- cells


def test_c24_cells_share_the_label_of_their_image_and_never_part(tmp_path: Path) -> None:
    dataset = toy_labels.Thirds(20)
    cfg = toy_labels.experiment(tmp_path, crops=3, stages=[{"epochs": 1}])
    seen = set()

    @musket.callback
    class Sizes(musket.Hook):
        def on_stage_start(self, run: Any) -> None:
            run.model.register_forward_pre_hook(lambda module, inputs: seen.add(tuple(inputs[0].shape[1:])))

    cfg = toy_labels.experiment(tmp_path, crops=3, stages=[{"epochs": 1}], callbacks={"Sizes": {}})
    whole = cfg._prepare(dataset)
    cells = samples_of(cfg.spec, whole)
    assert isinstance(cells.dataset, CropAndSplit)
    assert len(cells.ids) == 20 * 9
    for fold, images in zip(cells.folds, whole.folds, strict=True):
        assert len(fold.train) == 9 * len(images.train)
        assert {position // 9 for position in fold.train} == set(images.train)
        assert not {position // 9 for position in fold.train} & {position // 9 for position in fold.validation}
    make = reading.evaluation_maker(cfg.spec, cells.dataset, cells.ids)
    sample = make(9 * 4 + 7, None)
    assert sample.id == "third-04#r2c1"
    assert sample.image.shape == (8, 8, 3)
    assert sample.target is not None
    assert sample.target.tolist() == [0, 1, 0]
    cfg.fit(dataset)
    assert seen == {(3, 8, 8)}


def test_c24_class_numbers_of_cells_are_told_without_an_image(tmp_path: Path) -> None:
    class Unread(toy_labels.Thirds):
        def __getitem__(self, index: int) -> musket.PredictionItem:
            raise AssertionError("read")

    cfg = toy_labels.experiment(tmp_path, crops=2, stratified=True)
    cells = samples_of(cfg.spec, cfg._prepare(Unread(20, "index")))
    assert target_vectors(cfg.spec, cells, [4, 11]).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert [cells.is_positive(position) for position in (0, 4)] == [False, True]


# ---------------------------------------------------------------------------------------------------- folded data


@pytest.mark.parametrize("target", ["one-hot", "index"])
def test_c9_folded_data_gives_vectors(target: str, tmp_path: Path) -> None:
    dataset = toy_labels.Thirds(20, target)
    folded = toy_labels.experiment(tmp_path).kfold(dataset)
    assert len(folded) == 2
    assert sorted(folded.indexes(0, True) + folded.indexes(0, False)) == sorted(
        folded.indexes(1, True) + folded.indexes(1, False)
    )
    x, y, batch = next(folded.generator(0, True, returnBatch=True))
    assert x.shape == (4, 24, 24, 3)
    assert y.shape == (4, 3)
    assert y.argmax(axis=1).tolist() == [int(name[-2:]) % 3 for name in batch.ids]
    loaded = folded.load(0, False, ln=3)
    assert loaded.targets is not None
    assert tuple(loaded.targets.shape) == (3, 3)


def test_folded_data_of_several_heads_gives_a_list(tmp_path: Path) -> None:
    heads = {
        "classes": [3, 1, 1],
        "activation": ["softmax", "sigmoid", "none"],
        "loss": ["categorical_crossentropy", "binary_crossentropy", "mse"],
        "metrics": [],
        "primary_metric": "val_loss",
    }
    folded = toy_labels.experiment(tmp_path, **heads).kfold(toy_labels.Thirds(20, "several"))
    _, y, batch = next(folded.generator(0, False, returnBatch=True))
    numbers = np.array([int(name[-2:]) for name in batch.ids])
    kinds, even, share = y
    assert kinds.argmax(axis=1).tolist() == (numbers % 3).tolist()
    assert even[:, 0].tolist() == (numbers % 2 == 0).tolist()
    assert share[:, 0] == pytest.approx(numbers / 20)


def test_folded_data_is_drawn_as_the_sampler_says(tmp_path: Path) -> None:
    folded = toy_labels.experiment(tmp_path, **PLAIN, sampler="balanced").kfold(Marked("index"))
    batches = folded.generator(0)
    labels = np.concatenate([next(batches)[1] for _ in range(folded.foldIterations(0))])
    assert labels.sum(axis=0).tolist() == [8, 8, 8]


# -------------------------------------------------------------------------------------------------- stratified folds


def test_classes_given_by_number_are_classes_not_positives(tmp_path: Path) -> None:
    dataset = Marked("index")
    data = toy_labels.experiment(tmp_path, stratified=True, folds_count=3, testSplit=0)._prepare(dataset)
    for fold in data.folds:
        assert Counter(map(dataset.label, fold.validation)) == Counter({0: 6, 1: 3, 2: 1})


def test_one_class_alone_is_said_and_split(tmp_path: Path) -> None:
    class One(toy_labels.Thirds):
        def get_target(self, index: int) -> Any:
            return np.array([0, 1, 0], np.float32)

    cfg = toy_labels.experiment(tmp_path, stratified=True)
    with pytest.warns(UserWarning, match=r"all samples are of one class \(middle\)"):
        data = cfg._prepare(One(12))
    assert len(data.folds) == 2


@pytest.mark.skipif(not (SHARED / "clothing_kids").is_dir(), reason="no shared pictures here")
def test_stratified_two_outputs_keep_every_combination(tmp_path: Path) -> None:
    from musket.data.label_tables import MultiOutputClassClassificationDataSet

    folder = SHARED / "clothing_kids"
    dataset = MultiOutputClassClassificationDataSet(
        folder / "images", folder / "labels.csv", "image", {"label": "categorical_one_hot", "kids": "binary"}
    )
    heads = {"classes": [5, 1], "activation": ["softmax", "sigmoid"], "metrics": [], "primary_metric": "val_loss"}
    losses = ["categorical_crossentropy", "binary_crossentropy"]
    cfg = toy_labels.experiment(tmp_path, **heads, loss=losses, stratified=True, folds_count=5, testSplit=0)
    data = cfg._prepare(dataset)
    for fold in data.folds:  # 140 images, 14 of each of 5 kinds x adult or kid
        told = [dataset.get_target(index) for index in fold.validation]
        counts = Counter((int(kind.argmax()), bool(kid[0])) for kind, kid in told)
        assert len(counts) == 10
        assert set(counts.values()) <= {2, 3}


@pytest.mark.skipif(not (SHARED / "coco_mini").is_dir(), reason="no shared pictures here")
def test_stratified_labels_keep_their_shares(tmp_path: Path) -> None:
    from musket.data.label_tables import MultiClassClassificationDataSet

    folder = SHARED / "coco_mini"
    dataset = MultiClassClassificationDataSet(folder, folder / "multilabel.csv", "image", "labels")
    multi = {"classes": 12, "activation": "sigmoid", "loss": "binary_crossentropy", "metrics": []}
    settings = {"stratified": True, "folds_count": 4, "testSplit": 0, "primary_metric": "val_loss"}
    cfg = toy_labels.experiment(tmp_path, **multi, **settings, sampler="balanced")
    data = cfg._prepare(dataset)
    labels = np.stack([dataset.get_target(index) for index in range(len(dataset))])
    for fold in data.folds:
        held = labels[list(fold.validation)].sum(axis=0)
        assert np.abs(held - labels.sum(axis=0) / 4).max() < 2
        sampler, _ = training_samples(cfg.spec, data, 0, 0)
        drawn = [sample_of(draw, len(dataset))[0] for draw in sampler.order(0, derive_seed(0))]
        rarest = labels.sum(axis=0).argmin()
        assert labels[drawn][:, rarest].sum() > labels[list(fold.train)][:, rarest].sum()


@pytest.mark.skipif(not (SHARED / "magnetic_tiles").is_dir(), reason="no shared pictures here")
def test_stratified_class_flag_and_number(tmp_path: Path) -> None:
    from musket.data.label_tables import MultiOutputClassClassificationDataSet

    folder = SHARED / "magnetic_tiles"
    columns = {"class": "categorical_one_hot", "has_defect": "binary", "defect_fraction": "number"}
    dataset = MultiOutputClassClassificationDataSet(folder / "images", folder / "labels.csv", "image", columns)
    heads = {
        "classes": [6, 1, 1],
        "activation": ["softmax", "sigmoid", "none"],
        "loss": ["categorical_crossentropy", "binary_crossentropy", "mse"],
    }
    settings = {"stratified": True, "folds_count": 4, "testSplit": 0, "metrics": [], "primary_metric": "val_loss"}
    data = toy_labels.experiment(tmp_path, **heads, **settings)._prepare(dataset)
    fractions = np.array([float(dataset.get_target(index)[2][0]) for index in range(len(dataset))])
    for fold in data.folds:  # 200 images: 100 free, 20 of each of 5 kinds of defect
        kinds = Counter(int(dataset.get_target(index)[0].argmax()) for index in fold.validation)
        assert sorted(kinds.values()) == pytest.approx([5, 5, 5, 5, 5, 25], abs=1.5)
        part = fractions[list(fold.validation)]
        assert part.mean() == pytest.approx(fractions.mean(), rel=0.5)
