"""The key ``preprocessing``: from the config to what the network sees."""

from __future__ import annotations

from pathlib import Path

import pytest
import toy

import musket
from musket.cli.main import main
from musket.core.errors import ConfigError

MODULE = """\
import numpy as np
import musket

made = []

@musket.dataset_preprocessor
def darker(input, by: int = 5):
    made.append(1)
    return np.where(input > by, input - by, 0).astype(np.uint8)
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    toy.register_small_net()
    root = tmp_path / "project"
    (root / "modules").mkdir(parents=True)
    (root / "modules" / "darkening.py").write_text(MODULE)
    toy.write_discs(root / "data", 14)
    folder = root / "experiments" / "a"
    folder.mkdir(parents=True)
    dataset = 'dataset:\n  SimplePNGMaskDataSet: ["images", "masks"]\n'
    steps = "preprocessing:\n  - darker: {by: 20}\n  - disk-cache\n"
    (folder / "config.yaml").write_text(toy.CONFIG + dataset + steps)
    return folder / "config.yaml"


def test_items_are_preprocessed_once_for_all_folds_and_runs(config: Path) -> None:
    import sys

    cfg = musket.parse(config)
    made = sys.modules["darkening"].made
    dataset = cfg.get_dataset()
    plain = dataset[3].rootItem().x
    assert dataset[3].x.max() == plain.max() - 20
    assert dataset.get_name() == "SimplePNGMaskDataSet darker(by=20)"
    cfg.fit()
    assert len(made) == 14
    again = musket.parse(config)
    again.fit(rerun=True)
    assert len(made) == 14
    assert len(list((config.parents[2] / ".cache").glob("SimplePNGMaskDataSet_darker(by=20)-*/*.npz"))) == 14


def test_preprocessing_holds_for_a_dataset_of_the_config_only(config: Path) -> None:
    cfg = musket.parse(config)
    assert cfg.train(foldNum=0)[0].x.max() < 235
    given = toy.Drawn()
    cfg._prepared = None
    assert (cfg._prepare(given).dataset[0].x == given[0].x).all()


def test_a_step_that_is_not_there_is_refused_with_its_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().replace("- darker: {by: 20}", "- darkre: {by: 20}"))
    with pytest.raises(ConfigError, match=r"no such preprocessor 'darkre'; nearest: darker"):
        musket.parse(config)
    config.write_text(config.read_text().replace("- darkre: {by: 20}", "- darker: {byy: 20}"))
    with pytest.raises(
        ConfigError, match=r"preprocessing\[0\]\.darker\.byy\s+darker takes no such option; nearest: by"
    ):
        musket.parse(config)


def test_preprocessors_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "preprocessors"]) == 0
    said = capsys.readouterr().out
    assert "disk-cache" in said
    assert "Keep items on disk" in said
