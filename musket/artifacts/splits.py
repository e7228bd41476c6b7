"""The splits of an experiment on disk: sample ids, what they were drawn from, and a refusal when that changed.

``<config>.folds_split`` is JSON, hence also YAML; ``<config>.holdout_split`` has ``train`` and ``holdout`` instead of
the last three keys::

    {
    "format": 1,
    "settings": {"folds_count": 5, "random_state": 33, "stratified": false, "testSplit": 0.0},
    "fingerprint": "...",
    "samples": ["a", "b", "c", ...],
    "holdout": false,
    "folds": [{"train": ["a", ...], "validation": ["b", ...]}, ...]
    }

Both are written once and read ever after, so that neither a crash nor a resume moves a sample to another part. They
hold nothing of the config but the settings that decide: two experiments on the same data have equal files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from musket.artifacts.files import in_words, write_atomic
from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError, Change
from musket.core.identity import describe_difference, fingerprint
from musket.core.types import Split, Splits

FORMAT = 1

_AFRESH = (
    "To draw new splits, delete the .holdout_split and .folds_split files of this config, and the results beside them: "
    "they belong to the old ones"
)


def load_or_create(
    layout: Layout,
    ids: Sequence[str],
    settings: Mapping[str, Any],
    make: Callable[[], Splits],
    *,
    store: bool = True,
) -> Splits:
    """The stored splits, or those ``make`` gives, which are then stored.

    Args:
        layout: folder of the experiment.
        ids: sample ids of the dataset, all different, in its order.
        settings: what the splits depend on, as plain data.
        make: draws the splits; called only when there are none yet, or one of the two files is missing.
        store: False writes nothing.

    Returns:
        positions in ``ids``.

    Raises:
        ArtifactError: the stored splits belong to other data or settings, are damaged or from the former framework, or
            cannot be written. Says what changed and what to do.
    """
    paths = {"folds": layout.folds_split, "holdout": layout.holdout_split}
    stored = {part: _read_for(path, ids, settings) for part, path in paths.items() if path.exists()}
    place = {name: position for position, name in enumerate(ids)}
    if "folds" in stored and ("holdout" in stored or not stored["folds"]["holdout"]):
        return Splits(
            _split(stored["holdout"], "holdout", place, paths["holdout"]) if stored["folds"]["holdout"] else None,
            tuple(_split(fold, "validation", place, paths["folds"]) for fold in stored["folds"]["folds"]),
        )
    splits = make()
    contents = {"folds": _folds_content(ids, settings, splits)}
    if splits.holdout is not None:
        contents["holdout"] = _head(ids, settings) | _names(splits.holdout, "holdout", ids)
    for part in ("holdout", "folds"):
        if part in stored and stored[part] != contents.get(part):
            raise ArtifactError(f"these splits differ from those drawn now. {_AFRESH}", paths[part])
        if store and part in contents and part not in stored:
            write_atomic(paths[part], _text(contents[part]))
    return splits


def stored_fold_count(layout: Layout) -> int | None:
    """How many folds the experiment has, or None before they were drawn.

    Raises:
        ArtifactError: the file cannot be read.
    """
    return len(_read(layout.folds_split)["folds"]) if layout.folds_split.exists() else None


def stored_ids(layout: Layout) -> list[str]:
    """The sample ids that the splits were drawn from; empty before they were drawn, or where they cannot be read."""
    try:
        return [str(name) for name in _read(layout.folds_split).get("samples", ())]
    except ArtifactError:
        return []


def _head(ids: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"format": FORMAT, "settings": json.loads(json.dumps(settings)), "fingerprint": fingerprint(ids)}


def _folds_content(ids: Sequence[str], settings: Mapping[str, Any], splits: Splits) -> dict[str, Any]:
    return _head(ids, settings) | {
        "samples": list(ids),
        "holdout": splits.holdout is not None,
        "folds": [_names(fold, "validation", ids) for fold in splits.folds],
    }


def _names(split: Split, kept: str, ids: Sequence[str]) -> dict[str, list[str]]:
    return {"train": [ids[i] for i in split.train], kept: [ids[i] for i in split.validation]}


def _text(content: Mapping[str, Any]) -> bytes:
    try:
        lines = [f'"{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in content.items()]
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    except UnicodeEncodeError:  # file names that are no valid text
        return json.dumps(content).encode()


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot be read: {in_words(error)}", path) from error
    if text.lstrip()[:2] in (b"- ", b"!!") or b"!!python" in text[:200]:
        raise ArtifactError(
            "the former framework wrote this file. It holds positions in an unsorted listing of files, which cannot be "
            "matched to samples with certainty. Delete it and its twin (.holdout_split, .folds_split): the splits are "
            "drawn anew",
            path,
        )
    try:
        content = json.loads(text)
        if content["format"] > FORMAT:
            raise ArtifactError("a newer version wrote this file; update musket", path)
        keys = {"settings", "fingerprint"} | ({"folds", "holdout"} if "folds" in content else {"train", "holdout"})
        if keys <= content.keys():
            return content
    except (ValueError, KeyError, TypeError):
        pass
    raise ArtifactError(
        "the file is damaged. Delete it: equal data and settings give equal splits, and what was trained stays valid",
        path,
    )


def _read_for(path: Path, ids: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Content of a file after checking that it belongs to these samples and settings."""
    content = _read(path)
    now, then = _head(ids, settings), content["settings"]
    keys = [*then, *(key for key in now["settings"] if key not in then)]
    changes = [Change(key, then.get(key), now["settings"].get(key)) for key in keys]
    changed = "; ".join(str(change) for change in changes if change.stored != change.current)
    if changed:
        raise ArtifactError(f"the splits were drawn with other settings: {changed}. Undo the edit. {_AFRESH}", path)
    if content["fingerprint"] != now["fingerprint"]:
        known = content["samples"] if "folds" in content else [*content["train"], *content["holdout"]]
        what = describe_difference(known, ids)
        raise ArtifactError(f"the splits were drawn from other data: {what}. Restore the data. {_AFRESH}", path)
    return content


def _split(names: Mapping[str, list[str]], kept: str, place: Mapping[str, int], path: Path) -> Split:
    try:
        return Split([place[name] for name in names["train"]], [place[name] for name in names[kept]])
    except KeyError as error:
        raise ArtifactError(f"is damaged, or names a sample the dataset lacks ({error}). {_AFRESH}", path) from None
