"""Experiment objects: settings made on them, searches that leave no trace, and their network by itself."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import toy

from musket.cli.main import main
from musket.core.errors import ArtifactError, MusketError, TrainingError


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_several_devices_are_set_as_a_whole_number(tmp_path: Path) -> None:
    experiment = toy.experiment(tmp_path)
    experiment.gpus = 4
    assert experiment.gpus == experiment.spec.gpus == 4
    for value in (0, -1, True, 1.5, "2"):
        with pytest.raises(MusketError, match=f"gpus: found {value!r}; it must be a whole number of 1 or more"):
            experiment.gpus = value  # type: ignore[assignment]
    assert experiment.gpus == 4


def test_a_search_leaves_splits_to_be_drawn_later(tmp_path: Path) -> None:
    dataset = toy.Drawn(24)
    searched = toy.experiment(tmp_path / "a").lr_find(dataset, epochs=1)
    assert files(tmp_path / "a") == {"config.yaml"}
    other = toy.experiment(tmp_path / "a", folds_count=3)
    other.validation(dataset)
    assert (tmp_path / "a" / "config.yaml.folds_split").exists()
    stored = toy.experiment(tmp_path / "b")
    stored.validation(dataset)
    before = files(tmp_path / "b")
    assert stored.lr_find(dataset, epochs=1).losses == searched.losses
    assert files(tmp_path / "b") == before


def test_a_search_may_use_other_data_than_the_stored_splits(tmp_path: Path) -> None:
    experiment = toy.experiment(tmp_path)
    experiment.validation(toy.Drawn(14))
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    found = experiment.lr_find(toy.Drawn(24), epochs=1)
    assert len(found.lrs) == 4  # 12 of 24 samples, by three
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_search_fills_the_decode_cache(tmp_path: Path) -> None:
    from musket.data.folders import SimplePNGMaskDataSet

    images, masks = toy.write_discs(tmp_path / "data", 12)
    dataset = SimplePNGMaskDataSet(str(images), str(masks))
    toy.experiment(tmp_path / "e", cache="decoded").lr_find(dataset, epochs=1)
    assert files(tmp_path / "e" / "decoded")


def test_a_search_leaves_random_generators_alone(tmp_path: Path) -> None:
    class Careless(toy.Drawn):
        def __getitem__(self, index: int):
            random.seed(index)
            np.random.seed(index)  # noqa: NPY002
            return super().__getitem__(index)

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002

    def seed() -> None:
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        torch.manual_seed(5)

    seed()
    expected = draw()
    seed()
    toy.experiment(tmp_path).lr_find(Careless(), epochs=1)
    assert draw() == expected


@pytest.mark.parametrize(
    ("config", "options", "said"),
    [
        ({"noTrain": True}, {}, "noTrain: true trains nothing, so there is no rate to search for"),
        ({}, {"foldsToExecute": []}, "foldsToExecute"),
        ({}, {"end_lr": float("inf")}, "end_lr must be finite; found inf"),
        ({}, {"end_lr": float("nan")}, "found 1e-06 and nan"),
        ({}, {"start_lr": float("nan")}, "found nan and 1"),
        ({}, {"epochs": 2, "fewest": 10}, r"2 epochs of \d batches are too few .*search for \d epochs or more"),
    ],
)
def test_searches_that_cannot_be_meant(config: dict, options: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=said):
        toy.experiment(tmp_path, **config).lr_find(toy.Drawn(), **options)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy.register_small_net()
    toy.write_discs(tmp_path / "data", 12)
    path = tmp_path / "config.yaml"
    path.write_text(toy.CONFIG + 'cache: false\ndataset:\n  SimplePNGMaskDataSet: ["data/images", "data/masks"]\n')
    monkeypatch.chdir(tmp_path)
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "none/found.png"], "none/found.png: there is no folder none; make it first"),
        (["--output", "data"], "data: this is a folder"),
        (["--epochs", "1"], "search for 10 epochs or more, or lower batch"),
        (["noTrain=true"], "noTrain: true trains nothing"),
        (["--end-lr", "inf"], "end_lr must be finite"),
    ],
)
def test_the_command_says_before_the_search_what_would_end_it(
    arguments: list[str],
    said: str,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr("musket.experiment.lr_search.search", never)
    assert main(["lr-find", str(config), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_the_network_with_its_weights_or_none(tmp_path: Path) -> None:
    experiment = toy.experiment(tmp_path, stages=[{"epochs": 1}])
    assert experiment.createNetForInference() is None
    dataset = toy.Drawn()
    experiment.fit(dataset, foldsToExecute=[1])
    assert experiment.createNetForInference(0) is None
    network = experiment.createNetForInference(1, 0)
    assert network is not None
    assert not network.training
    (kept,) = experiment.load_model(1, 0).modules
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(network(image), kept.cpu()(image), rtol=1e-4, atol=1e-5)
    with pytest.raises(ArtifactError, match="there is no fold 7"):
        experiment.createNetForInference(7)


def test_a_loop_of_ones_own(tmp_path: Path) -> None:
    made = toy.experiment(tmp_path).createAndCompile(lr=0.5, loss="dice_loss")
    assert made.optimizer.param_groups[0]["lr"] == 0.5
    assert toy.experiment(tmp_path).createAndCompile().optimizer.param_groups[0]["lr"] == 0.01
    images, truth = torch.rand(2, 3, 32, 32), (torch.rand(2, 1, 32, 32) > 0.5).float()
    before = [weight.clone() for weight in made.network.parameters()]
    loss, _ = made.loss(made.network(images), truth)
    loss.backward()
    made.optimizer.step()
    assert any((a != b).any() for a, b in zip(before, made.network.parameters(), strict=True))


def test_validate_prints_what_the_network_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy.experiment(tmp_path).validate()
    said = capsys.readouterr().out.splitlines()
    # 3 x 8 x 9 + 8 weights, 2 x 8 of the normalisation, 8 x 9 + 1
    assert said == [
        "small_net",
        "parameters  313, 313 of them trained in stage 0",
        "input       32 x 32 x 3",
        "output      32 x 32 x 1",
    ]
