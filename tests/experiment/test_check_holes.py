"""What a check finds before training would: samples, cells, training views and augmenters that cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy

import musket
from musket.core.errors import ConfigError, DataError
from musket.data.catalogue import dataset_augmenters
from musket.experiment import reading

IMAGE, MASK = toy.draw_disc(0)[0], toy.draw_disc(0)[1][..., None].astype(bool)


class Listed:
    """Discs, some in place of others."""

    def __init__(self, changes: dict[int, tuple[Any, Any]], count: int = 14):
        discs = [toy.draw_disc(number) for number in range(count)]
        self.items = [(image, mask[..., None].astype(bool)) for image, mask in discs]
        for number, item in changes.items():
            self.items[number] = item

    def __len__(self) -> int:
        return len(self.items)

    def sample_ids(self) -> list[str]:
        return [f"s{number}" for number in range(len(self))]

    def __getitem__(self, index: int) -> Any:
        return musket.PredictionItem(f"s{index}", *self.items[index])


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ((np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0, 1), bool)), "the image has no pixels (shape (0, 0, 3))"),
        ((IMAGE, MASK[..., None]), "the mask has shape (40, 48, 1, 1); expected height x width x channels"),
        ((IMAGE, [MASK[..., None]]), "the mask has shape (40, 48, 1, 1)"),
        ((IMAGE, MASK[:, 0, 0]), "the mask has shape (40,)"),
        ((IMAGE, MASK.astype("S1")), "the mask holds values of type |S1; give bool, or numbers 0 and 1"),
        ((IMAGE, MASK.astype(object)), "the mask holds values of type object"),
        ((IMAGE, []), "y holds masks of shapes []"),
    ],
)
def test_a_sample_that_is_none_is_a_finding_and_a_data_error(item: Any, said: str, tmp_path: Path) -> None:
    data = Listed({2: item})
    experiment = toy.experiment(tmp_path)
    report = experiment.check(data, estimate=False)
    assert [said in problem.message for problem in report.problems] == [True], report.problems
    maker = reading.training_maker(experiment.spec, data, data.sample_ids(), 1, [tmp_path])
    with pytest.raises(DataError) as caught:
        maker(2, 0)
    assert caught.value.sample == "s2"
    assert said in str(caught.value)


def test_images_too_small_for_their_cells_are_found(tmp_path: Path) -> None:
    experiment = toy.experiment(tmp_path, crops=4)
    report = experiment.check(Listed({3: (IMAGE[:2, :9], MASK[:2, :9])}), estimate=False)
    [problem] = report.problems
    assert "crops: 1 image is too small to be cut into 4 x 4 cells (the first has 9 x 2 pixels)" in problem.message
    assert problem.names == ("s3",)


class Broken:
    """A training view that fails on one sample."""

    def __init__(self, data: Any):
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        if index == 9:
            raise ValueError("no second view")
        return self.data[index]


def test_what_only_training_reads_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dataset_augmenters, "broken", lambda: Broken)
    experiment = toy.experiment(tmp_path, dataset_augmenter={"name": "broken"}, testSplit=0.0)
    report = experiment.check(Listed({}), estimate=False)
    [problem] = report.problems
    assert problem.message.startswith("s9: as dataset_augmenter gives it: ")
    assert "ValueError: no second view" in problem.message


def test_what_fails_while_augmenting_names_the_sample(tmp_path: Path) -> None:
    def boom(image: np.ndarray) -> np.ndarray:
        return image + None  # type: ignore[operator]

    def grow(image: np.ndarray) -> np.ndarray:
        return image[:5]

    data = Listed({})
    for own, said in ((boom, "augmentation fails: TypeError: "), (grow, "augmenter grow: given an image")):
        musket.augmenter(own)
        experiment = toy.experiment(tmp_path, augmentation={own.__name__: None})
        maker = reading.training_maker(experiment.spec, data, data.sample_ids(), 1, [tmp_path])
        with pytest.raises(DataError) as caught:
            maker(4, 0)
        assert caught.value.sample == "s4"
        assert said in str(caught.value)
        assert f"augmenter {own.__name__}" in str(caught.value)
    report = toy.experiment(tmp_path, augmentation={"boom": None}).check(data)
    assert "in augmenter boom" in report.problems[0].message


@pytest.mark.parametrize(
    ("augmentation", "place", "said"),
    [
        (
            {"WithChannels": {"channels": [5], "children": {"Add": 5}}},
            "augmentation.WithChannels",
            "channels must lie from 0 to 2 here; found 5",
        ),
        (
            {"OneOf": {"children": {"WithChannels": {"channels": 3, "children": {"Add": 5}}, "Noop": None}}},
            "augmentation.OneOf",
            "channels must lie from 0 to 2 here; found 3",
        ),
        (
            {
                "WithChannels": {
                    "channels": [0, 2],
                    "children": {"WithChannels": {"channels": 2, "children": {"Add": 5}}},
                }
            },
            "augmentation.WithChannels",
            "channels must lie from 0 to 1 here; found 2",
        ),
        (
            {"WithChannels": {"channels": [0], "children": {"Crop": {"px": 3, "keep_size": False}}}},
            "augmentation.WithChannels",
            "Crop in it changes the size of the image",
        ),
        (
            [{"BackgroundReplacer": {"path": "x"}}, {"Fliplr": 1}, {"BackgroundReplacer": {"path": "y"}}],
            "augmentation[2].BackgroundReplacer",
            "an image has one background, so keep one",
        ),
    ],
)
def test_augmentation_that_cannot_work_is_refused_with_its_place(
    augmentation: Any, place: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        toy.experiment(tmp_path, augmentation=augmentation)
    [problem] = caught.value.problems
    assert problem.key == place
    assert said in problem.message


def test_channels_that_are_there_pass(tmp_path: Path) -> None:
    inner = {"WithChannels": {"channels": 1, "children": {"Add": 5}}}
    toy.experiment(tmp_path, augmentation={"WithChannels": {"channels": [0, 2], "children": inner}})


@pytest.mark.parametrize(
    ("size", "sides"),
    [(2.0, {(80, 96)}), (64, {(64, 64)}), ([0.5, 2.0], None), ([64, 64], {(64, 64)}), ({"height": 2.0}, {(80, 48)})],
)
def test_a_point_makes_a_size_a_factor(size: Any, sides: Any, tmp_path: Path) -> None:
    experiment = toy.experiment(tmp_path, augmentation={"Resize": {"size": size}}, manualResize=True, batch=1)
    data = Listed({})
    maker = reading.training_maker(experiment.spec, data, data.sample_ids(), 1, [tmp_path])
    found = {maker(number, 0).image.shape[:2] for number in range(6)}
    assert found == sides if sides else all(20 <= height <= 80 for height, _ in found) and len(found) > 2
