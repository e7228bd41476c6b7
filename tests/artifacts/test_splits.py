from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from musket.artifacts.layout import Layout
from musket.artifacts.splits import load_or_create, stored_fold_count
from musket.core.errors import ArtifactError
from musket.core.types import Split, Splits

IDS = ["a", "b", "c", "d", "e"]
SETTINGS = {"folds_count": 2, "random_state": 33, "testSplit": 0.2}
SPLITS = Splits(Split([3, 1, 0, 2], [4]), (Split([3, 1], [0, 2]), Split([0, 2], [3, 1])))
NO_HOLDOUT = Splits(None, (Split([3, 1, 4], [0, 2]), Split([0, 2], [3, 1, 4])))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "config.yaml")


def never() -> Splits:
    raise AssertionError("splits were drawn again")


def test_written_once_and_read_after(layout: Layout) -> None:
    assert load_or_create(layout, IDS, SETTINGS, lambda: SPLITS) == SPLITS
    assert load_or_create(layout, IDS, SETTINGS, never) == SPLITS
    assert stored_fold_count(layout) == 2


def test_files_are_json_and_yaml_of_ids(layout: Layout) -> None:
    load_or_create(layout, IDS, SETTINGS, lambda: SPLITS)
    folds, holdout = layout.folds_split.read_text(), layout.holdout_split.read_text()
    assert json.loads(folds) == yaml.safe_load(folds)
    assert json.loads(folds)["folds"][0] == {"train": ["d", "b"], "validation": ["a", "c"]}
    stored = json.loads(holdout)
    assert (stored["train"], stored["holdout"]) == (["d", "b", "a", "c"], ["e"])
    assert stored["settings"] == SETTINGS
    assert stored["format"] == 1


def test_without_holdout_there_is_no_holdout_file(layout: Layout) -> None:
    assert load_or_create(layout, IDS, SETTINGS, lambda: NO_HOLDOUT) == NO_HOLDOUT
    assert not layout.holdout_split.exists()
    assert load_or_create(layout, IDS, SETTINGS, never) == NO_HOLDOUT


def test_nothing_stored_yet(layout: Layout) -> None:
    assert stored_fold_count(layout) is None


def test_a_look_at_the_splits_writes_nothing(layout: Layout) -> None:
    assert load_or_create(layout, IDS, SETTINGS, lambda: SPLITS, store=False) == SPLITS
    assert list(layout.folder.iterdir()) == []


def test_samples_are_found_by_id_in_any_order(layout: Layout) -> None:
    load_or_create(layout, IDS, SETTINGS, lambda: SPLITS)
    turned = load_or_create(layout, IDS[::-1], SETTINGS, never)
    assert turned.holdout == Split([1, 3, 4, 2], [0])
    assert turned.folds[0] == Split([1, 3], [4, 2])


@pytest.mark.parametrize("lost", ["holdout_split", "folds_split"])
def test_a_file_lost_in_a_crash_is_written_again(layout: Layout, lost: str) -> None:
    load_or_create(layout, IDS, SETTINGS, lambda: SPLITS)
    path = getattr(layout, lost)
    before = path.read_bytes()
    path.unlink()
    assert load_or_create(layout, IDS, SETTINGS, lambda: SPLITS) == SPLITS
    assert path.read_bytes() == before


@pytest.mark.parametrize("lost", ["holdout_split", "folds_split"])
def test_half_of_other_splits_is_refused(layout: Layout, lost: str) -> None:
    load_or_create(layout, IDS, SETTINGS, lambda: SPLITS)
    getattr(layout, lost).unlink()
    other = Splits(Split([1, 2, 3, 4], [0]), (Split([1, 2], [3, 4]), Split([3, 4], [1, 2])))
    with pytest.raises(ArtifactError, match="differ from those drawn now"):
        load_or_create(layout, IDS, SETTINGS, lambda: other)


def test_ids_of_any_script(layout: Layout) -> None:
    ids = ["снимок 1", "图像", "😀", '"quoted"\n', "\udcff"]
    assert load_or_create(layout, ids, SETTINGS, lambda: SPLITS) == SPLITS
    assert load_or_create(layout, ids, SETTINGS, never) == SPLITS


def test_a_hundred_thousand_samples_are_fast(layout: Layout) -> None:
    ids = [f"image_{number:08d}" for number in range(100_000)]
    fifth = range(0, 100_000, 5)
    folds = tuple(Split([i for i in range(100_000) if i % 5 != k], [i + k for i in fifth]) for k in range(5))
    started = time.perf_counter()
    load_or_create(layout, ids, SETTINGS, lambda: Splits(None, folds))
    assert load_or_create(layout, ids, SETTINGS, never).folds == folds
    assert time.perf_counter() - started < 10  # about 1 s on a slow core


# ----------------------------------------------------------------------------------------------- refusals


def test_other_settings_are_named_key_by_key(layout: Layout) -> None:
    load_or_create(layout, IDS, SETTINGS, lambda: SPLITS)
    with pytest.raises(
        ArtifactError,
        match=r"other settings: random_state: was 33, now 7; testSplit: was 0\.2, now None; stratified: was None, now "
        r"True\. Undo the edit\. To draw new splits, delete",
    ) as caught:
        load_or_create(layout, IDS, {"folds_count": 2, "random_state": 7, "stratified": True}, never)
    assert caught.value.path in (str(layout.folds_split), str(layout.holdout_split))


@pytest.mark.parametrize("kept", ["holdout_split", "folds_split"])
def test_other_data_are_described(layout: Layout, kept: str) -> None:
    load_or_create(layout, IDS, SETTINGS, lambda: SPLITS)
    getattr(layout, "folds_split" if kept == "holdout_split" else "holdout_split").unlink()
    with pytest.raises(
        ArtifactError,
        match=r"other data: 1 sample removed \(b\) and 2 samples added \(x, y\)\. Restore the data\. To draw new",
    ):
        load_or_create(layout, ["a", "c", "d", "e", "x", "y"], SETTINGS, never)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        "{}",
        '{"format": 1}',
        '{"format": 1, "settings": {}, "fingerprint": "", "folds": []}',
        "\x00\x01",
    ],
)
def test_damaged_file(layout: Layout, text: str) -> None:
    layout.folds_split.write_text(text)
    with pytest.raises(ArtifactError, match=r"config\.yaml\.folds_split: the file is damaged\. Delete it"):
        load_or_create(layout, IDS, SETTINGS, never)
    with pytest.raises(ArtifactError, match="damaged"):
        stored_fold_count(layout)


def test_file_edited_by_hand(layout: Layout) -> None:
    load_or_create(layout, IDS, SETTINGS, lambda: NO_HOLDOUT)
    layout.folds_split.write_text(layout.folds_split.read_text().replace('["d", "b", "e"]', '["d", "b", "zz"]'))
    with pytest.raises(ArtifactError, match=r"names a sample the dataset lacks \('zz'\)"):
        load_or_create(layout, IDS, SETTINGS, never)


def test_newer_format(layout: Layout) -> None:
    layout.folds_split.write_text('{"format": 2}')
    with pytest.raises(ArtifactError, match="a newer version wrote this file"):
        load_or_create(layout, IDS, SETTINGS, never)


@pytest.mark.parametrize("text", ["!!python/tuple\n- - 1\n  - 2\n- - 0\n", "- !!python/tuple\n  - [1, 2]\n  - [0]\n"])
def test_file_of_the_former_framework(layout: Layout, text: str) -> None:
    layout.holdout_split.write_text(text)
    with pytest.raises(ArtifactError, match=r"the former framework wrote this file.*Delete it and its twin"):
        load_or_create(layout, IDS, SETTINGS, never)
    assert layout.holdout_split.read_text() == text


def test_unreadable_file(layout: Layout) -> None:
    layout.folds_split.mkdir()
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_or_create(layout, IDS, SETTINGS, never)
