"""Promises about datasets in the config, named sets, cells and extra training data, by their ids."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import yaml
from PIL import Image

import musket
from musket.data.identity import sample_ids
from segmentation_pipeline import segmentation
from segmentation_pipeline.impl.datasets import CropAndSplit, NotzeroSimplePNGMaskDataSet

# The shipped examples: by two paths, by bindings, and with channels and colours picked from several folders.
DS = {
    "ds_1": """
fit_with: simple
datasets:
  simple:
    input_path: "images"
    output_path: "masks"
""",
    "ds_2": """
fit_with: simple_1
datasets:
  simple_1:
    inputs:
      - name: "default"
        data_type: "uint8"
        bindings:
          - reader: "RGBA"
            path: "images"
            bind: [0, 1, 2]
            treat:
              type": "as_is"
    outputs:
      - name: "default"
        data_type: "bool"
        bindings:
          - reader: "monochrome"
            path: "masks"
            bind: [0]
            treat:
              type: "binary_mask"
""",
    "ds_3": """
fit_with: simple_1
datasets:
  composite: ["default"]
  simple_1:
    inputs:
      - name: "default"
        data_type: "uint8"
        bindings:
          - {reader: "RGBA", path: "images", bind: [0, 1], treat: {type": "as_is"}}
          - {reader: "RGBA", path: "images", bind: [2], treat: {type": "as_is"}}
    outputs:
      - name: "default"
        data_type: "bool"
        bindings:
          - reader: "RGBA"
            path: "masks"
            bind: [3]
            treat:
              type: "binary_mask"
              colors: [[56, 37, 13], [123, 12, 11], [56, 56, 68], [255, 255, 255], [43, 37, 21]]
""",
}


def declared(folder: Path, name: str) -> musket.Experiment:
    folder.mkdir()
    toy.write_discs(folder, 8)
    toy.register_small_net()
    (folder / f"{name}.yaml").write_text(toy.CONFIG + DS[name])
    return musket.parse(folder / f"{name}.yaml")


@pytest.mark.filterwarnings("ignore:.*fit_with", "ignore:.*nothing uses this list")
def test_s12_datasets_in_the_config_give_the_same_items(tmp_path: Path) -> None:
    one, *others = (declared(tmp_path / name, name).get_dataset() for name in DS)
    assert len(one) == 8
    assert one[0].x.shape == (40, 48, 3)
    assert one[0].x.dtype == np.uint8
    assert one[0].y.dtype == bool
    assert one[0].y.any()
    for other in others:
        assert sample_ids(other) == sample_ids(one)
        for index in range(8):
            np.testing.assert_array_equal(other[index].x, one[index].x)
            np.testing.assert_array_equal(other[index].y, one[index].y)


@pytest.mark.parametrize("name", DS)
@pytest.mark.filterwarnings("ignore:.*fit_with", "ignore:.*nothing uses this list")
def test_s12_fit_needs_no_argument(tmp_path: Path, name: str) -> None:
    summary = declared(tmp_path / name, name).fit()
    assert summary["completed"]
    assert 0 <= summary["allStages"]["dice"]["mean"] <= 1


def test_s12_on_real_images_with_alpha(tmp_path: Path) -> None:
    nuclei = Path(__file__).parents[3] / "shared" / "data" / "nuclei"
    if not nuclei.is_dir():
        pytest.skip("the shared images are not here")
    for path in sorted((nuclei / "images").glob("*.png"))[:3]:
        for folder, source in (("images", path), ("labels", nuclei / "labels" / path.name)):
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copy(source, tmp_path / folder)
    cfg = toy.experiment(tmp_path, dataset={"input_path": "images", "output_path": "labels"})
    item = cfg.get_dataset()[0]
    with Image.open(tmp_path / "images" / f"{item.id}.png") as image:
        np.testing.assert_array_equal(item.x, np.array(image)[..., :3])
    with Image.open(tmp_path / "labels" / f"{item.id}.png") as labels:
        np.testing.assert_array_equal(item.y[..., 0], np.array(labels) > 0)


def test_s26_dataset_by_the_name_of_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setitem(sys.modules, "people_module", None)
    monkeypatch.delitem(sys.modules, "people_module")
    (tmp_path / "modules").mkdir()
    toy.write_discs(tmp_path / "data" / "train", 8)
    (tmp_path / "modules" / "people_module.py").write_text(
        "from segmentation_pipeline.impl import datasets\n\n"
        "def getTrain(name='train') -> datasets.DataSet:\n"
        "    return datasets.SimplePNGMaskDataSet(f'{name}/images', f'{name}/masks')\n"
    )
    cfg = toy.experiment(tmp_path / "experiments" / "one", dataset={"getTrain": []})
    assert cfg.fit()["completed"]
    other = toy.experiment(tmp_path / "experiments" / "two", dataset={"getTrain": ["train"]})
    assert sample_ids(other.get_dataset()) == sample_ids(cfg.get_dataset())


def test_s27_named_sets(tmp_path: Path) -> None:
    toy.write_discs(tmp_path / "a", 3)
    toy.write_discs(tmp_path / "b", 5)
    masks = {"SimplePNGMaskDataSet": {"path": str(tmp_path / "a/images"), "mask": str(tmp_path / "a/masks")}}
    entries = {"test": masks, "other": {"input_path": "b/images", "output_path": "b/masks"}, "all": ["test", "other"]}
    cfg = toy.experiment(tmp_path, datasets=entries)
    assert [len(cfg.get_dataset(name)) for name in ("test", "other", "all")] == [3, 5, 8]


def test_s35_three_times_three_cells_make_nine_times_the_items() -> None:
    dataset = toy.Drawn(4)  # 40 x 48 pixels: cells of 13 x 16
    cells = CropAndSplit(dataset, 3)
    assert len(cells) == 9 * len(dataset)
    for index in (0, 5, 35):
        item, whole = cells[index], dataset[index // 9]
        top, left = index % 9 // 3 * 13, index % 3 * 16
        np.testing.assert_array_equal(item.x, whole.x[top : top + 13, left : left + 16])
        np.testing.assert_array_equal(item.y, whole.y[top : top + 13, left : left + 16])


def test_s56_extra_data_are_trained_on_and_never_validated_on(tmp_path: Path) -> None:
    images, masks = toy.write_discs(tmp_path / "people", 5)
    for path in [*images.iterdir(), *masks.iterdir()]:
        path.rename(path.with_name(f"people-{path.name}"))
    segmentation.extra_train["people"] = NotzeroSimplePNGMaskDataSet(images, masks)
    plain = toy.experiment(tmp_path / "plain", testSplit=0)
    cfg = toy.experiment(tmp_path / "extra", testSplit=0, extra_train_data="people")
    assert cfg.fit(toy.Drawn(8))["completed"]
    ds: Any = toy.Drawn(8)
    for fold in (0, 1):
        assert len(cfg.train(ds, fold)) == len(plain.train(ds, fold)) + 5
        assert sample_ids(cfg.validation(ds, fold)) == sample_ids(plain.validation(ds, fold))
    stored = yaml.safe_load(cfg.layout.folds_split.read_text())
    assert not [name for name in stored["samples"] if name.startswith("people")]
    assert musket.extra_train is segmentation.extra_train
