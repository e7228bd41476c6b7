from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
NUCLEI = ROOT / "examples" / "nuclei"


@pytest.fixture
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nuclei_demo", NUCLEI / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("part", "count"), [("train", 38), ("heldout", 8)])
def test_every_image_has_a_mask_of_its_size(part: str, count: int) -> None:
    images = sorted((NUCLEI / "data" / part / "images").iterdir())
    masks = sorted((NUCLEI / "data" / part / "masks").iterdir())
    assert [path.name for path in images] == [path.name for path in masks]
    assert len(images) == count
    for image, mask in zip(images, masks, strict=True):
        pixels, truth = cv2.imread(str(image), cv2.IMREAD_UNCHANGED), cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        assert pixels.shape == (*truth.shape, 3), image.name
        assert set(np.unique(truth)) == {0, 255}, mask.name


def test_held_out_images_are_kept_out_of_training() -> None:
    train = {path.read_bytes() for path in (NUCLEI / "data" / "train" / "images").iterdir()}
    assert not train & {path.read_bytes() for path in (NUCLEI / "data" / "heldout" / "images").iterdir()}


def test_demo_data_is_small_and_says_where_it_comes_from() -> None:
    files = [path for path in (NUCLEI / "data").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4_000_000
    told = (NUCLEI / "data" / "README.md").read_text("utf-8")
    assert "CC0 1.0" in told
    assert "BBBC038" in told


def test_demo_config_is_accepted_and_finds_its_data() -> None:
    import musket

    experiment = musket.parse(NUCLEI / "experiments" / "unet" / "config.yaml")
    assert experiment.spec.shape == (96, 96, 3)
    dataset = experiment.get_dataset()
    assert len(dataset) == 38
    assert {dataset[index].x.shape[:2] for index in range(38)} >= {(256, 256), (360, 360), (520, 696)}


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [("1100", "1010", 0.5), ("1111", "1000", 0.4), ("0000", "0000", 1.0), ("1000", "0111", 0.0)],
)
def test_demo_dice(demo: ModuleType, truth: str, found: str, expected: float) -> None:
    def mask(bits: str) -> np.ndarray:
        return np.array([bit == "1" for bit in bits])

    assert demo.dice(mask(truth), mask(found)) == pytest.approx(expected)


@pytest.mark.slow
def test_demo_runs_twice_and_leaves_what_it_promises(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, project = tmp_path / "nuclei", tmp_path / "runs" / "demo"
    shutil.copytree(NUCLEI, source)
    config = source / "experiments" / "unet" / "config.yaml"
    text = config.read_text("utf-8").replace("epochs: 50", "epochs: 1").replace("folds_count: 3", "folds_count: 2")
    config.write_text(text.replace("[96, 96, 3]", "[32, 32, 3]"), "utf-8")
    monkeypatch.setattr(demo, "SOURCE", source)
    monkeypatch.setattr(demo, "PROJECT", project)
    before = sorted(path for path in source.rglob("*"))
    for _ in range(2):
        demo.main()
        told = capsys.readouterr().out
        assert "Held-out images" in told
        assert "tensorboard --logdir" in told
        grid = cv2.imread(str(project / "heldout.jpg"))
        assert min(grid.shape[:2]) > 500
        assert len(list((project / "predictions").iterdir())) == 8
        assert (project / "experiments" / "unet" / "summary.yaml").exists()
    assert sorted(path for path in source.rglob("*")) == before
