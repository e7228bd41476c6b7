"""Whether the data of experiments is what they were trained on. Datasets are made once per definition."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from musket.artifacts.layout import Layout
from musket.artifacts.splits import stored_ids
from musket.core.errors import DataError
from musket.core.identity import describe_difference, fingerprint
from musket.data.identity import sample_ids
from musket.experiment.assemble import DatasetSources
from musket.experiment.label_meaning import labels_fingerprint
from musket.experiment.state.changes import used_datasets

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.projects.project import Project


@dataclass(frozen=True)
class Found:
    """A dataset as it is now: the ids of its samples, digests of them, and of its labels where one can be told."""

    ids: list[str]
    fingerprint: str
    labels: str | None


@dataclass
class DataState:
    """What the datasets of a project hold, as far as somebody asked."""

    _known: dict[str, Found | Exception] = field(default_factory=dict)

    def changes(
        self,
        config: Mapping[str, Any],
        layout: Layout,
        stored: Mapping[str, Any],
        project: Callable[[], Project],
        spec: Callable[[], NetworkSpec],
    ) -> list[str]:
        """How the data differs from that of a run, in words.

        Contents of images are not compared: which samples there are is, and labels that are told without reading items.

        Args:
            config: the resolved config, as plain data.
            stored: the record of the run.
            project, spec: asked for when a dataset has to be made.

        Raises:
            MusketError: the dataset cannot be made now, or tells no ids without reading every item.
        """

        def found(key: str) -> Found:
            return self._found(key, config, layout, lambda: DatasetSources(spec(), layout, project()))

        then, said = stored["data"], []
        main = found("dataset")
        plain = not config.get("pretrain_transform") and not config.get("extra_train_data")
        before = then.get("source", then.get("fingerprint") if plain else None)
        if before is not None and before != main.fingerprint:
            old = stored_ids(layout) if plain else []
            said.append(f"data: {describe_difference(old, main.ids) if old else 'other samples'}")
        elif None not in (then.get("labels"), main.labels) and then["labels"] != main.labels:
            said.append("data: labels changed")
        if then.get("extra") is not None and found("extra_train_data").fingerprint != then["extra"]:
            said.append("data: other samples in extra_train_data")
        return said

    def _found(
        self, key: str, config: Mapping[str, Any], layout: Layout, sources: Callable[[], DatasetSources]
    ) -> Found:
        parts = [config.get(name) for name in (key, "preprocessing", "datasets_path")]
        parts.append(used_datasets(dict(config)))
        where = str(layout.folder) if config.get("datasets_path") or _has_files(parts) else ""
        definition = json.dumps([key, where, parts], default=str)
        if definition not in self._known:
            try:
                self._known[definition] = _look(key, sources())
            except Exception as error:  # noqa: BLE001 (told to every experiment that has this dataset)
                self._known[definition] = error
        known = self._known[definition]
        if isinstance(known, Exception):
            raise known
        return known


def _look(key: str, sources: DatasetSources) -> Found:
    dataset = sources.main() if key == "dataset" else sources.extra_train()
    if not hasattr(dataset, "sample_ids") and not hasattr(dataset, "get_id"):
        raise DataError(f"{type(dataset).__name__} has no method sample_ids(), so every item would have to be read")
    ids = sample_ids(dataset)
    return Found(ids, fingerprint(ids), None if sources.spec.gives_maps else labels_fingerprint(dataset, ids))


def _has_files(parts: Any) -> bool:
    """Whether a dataset is described by its files, whose paths start at the folder of the config."""
    if isinstance(parts, Mapping):
        return "inputs" in parts or "input_path" in parts or any(_has_files(part) for part in parts.values())
    return isinstance(parts, list) and any(_has_files(part) for part in parts)
