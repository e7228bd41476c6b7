from __future__ import annotations

import pytest

from musket.config.legacy import ALL, TABLE, known_keys, upgrade
from musket.config.read import parse
from musket.config.schema import DIALECTS
from musket.config.tree import plain

SEGMENTATION = "Segmentation"


@pytest.mark.parametrize(
    "key", ["needsSessionForPrediction", "saveLast", "add_to_train", "classifier", "classifier_lr", "flipPred"]
)
def test_keys_without_meaning_are_taken_out_with_one_notice(key: str) -> None:
    root, notices, problems = upgrade(parse(f"batch: 1\n{key}: true").root, SEGMENTATION)
    assert plain(root) == {"batch": 1}
    assert [(notice.line, notice.key) for notice in notices] == [(2, key)]
    assert "ignored" in notices[0].message
    assert problems == []


def test_empty_old_keys_go_without_a_word() -> None:
    assert upgrade(parse("batch: 1\nholdout:\nsaveLast: ~\nfit_with: null").root, SEGMENTATION)[1:] == ([], [])


def test_fit_with_is_the_old_name_of_dataset() -> None:
    root, notices, problems = upgrade(parse("fit_with: ds_1").root, SEGMENTATION)
    assert plain(root) == {"dataset": "ds_1"}
    assert [notice.message for notice in notices] == ["old name; read as dataset"]
    assert problems == []
    _, notices, problems = upgrade(parse("fit_with: ds_1\ndataset: ds_2").root, SEGMENTATION)
    assert (notices, [problem.message for problem in problems]) == ([], ["given beside dataset; keep dataset"])


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("groups", "groupFunc"),
        ("validationTTA", "testTimeAugmentation"),
        ("negatives", "belongs into a stage"),
        ("holdout", "testSplit"),
        ("epochs", "stages"),
        ("rate", "BackgroundReplacer"),
    ],
)
def test_what_never_was_a_key_is_refused_with_advice(key: str, advice: str) -> None:
    _, notices, problems = upgrade(parse(f"{key}: 3").root, SEGMENTATION)
    assert notices == []
    assert [(problem.line, problem.key) for problem in problems] == [(1, key)]
    assert advice in problems[0].message


def test_other_dialects_have_other_rows() -> None:
    text = "optimizer: Adam\nlr: 0.1\nclasses: 3\nstages:\n  - {epochs: 1, lr: 0.1, negatives: none}"
    assert upgrade(parse(text).root, SEGMENTATION)[1] == []
    root, notices, _ = upgrade(parse(text).root, "InstanceSegmentation")
    assert [notice.key for notice in notices] == ["optimizer", "lr", "stages[0].lr"]
    assert plain(root) == {"classes": 3, "stages": [{"epochs": 1, "negatives": "none"}]}
    assert [notice.key for notice in upgrade(parse(text).root, "Generic")[1]] == ["classes"]


def test_every_row_says_something_and_no_refused_key_is_a_current_one() -> None:
    assert set(ALL) == set(DIALECTS)
    assert all(row.words for row in TABLE)
    for row in TABLE:
        for dialect in row.dialects:
            assert row.action == "drop" or row.key not in DIALECTS[dialect].model_fields
    assert "holdout" not in {row.key for row in known_keys()}
