"""Configs made from that of an experiment: of its seeds, of the trials of a search."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musket.config.check import merged
from musket.config.read import Document, to_yaml
from musket.config.search_space import said, substituted
from musket.config.tree import Map, plain
from musket.core.errors import ConfigError
from musket.experiment.projects.project import read_documents


@dataclass(frozen=True)
class Template:
    """A config as it is before it is made concrete: the defaults of its project and the overrides are in it."""

    document: Document
    root: Map

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Template:
        """The config that the arguments of jobs mean; see :func:`musket.experiment.jobs.schedule.job_arguments`.

        Raises:
            ConfigError: it cannot be read.
        """
        root = arguments.get("project")
        document, common = read_documents(arguments["config"], None if root is None else Path(root))
        tree, problems = merged(document, common, arguments.get("overrides") or ())
        if problems:
            raise ConfigError(document.source, problems)
        return cls(document, tree)

    def without(self, *keys: str) -> dict[str, Any]:
        """The config less some keys, as plain data."""
        return plain(self.root.without(*keys))

    def concrete(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The config with hyperparameters in their places, as plain data.

        Raises:
            ConfigError: an expression has no value.
        """
        root, findings, _ = substituted(self.root, parameters)
        if findings:
            where = f" (where {said(parameters, parameters)})"
            problems = [finding.at(self.root) for finding in findings]
            raise ConfigError(f"{self.document.source}{where}", problems)
        return plain(root.without("hyperparameters", "max_evals"))

    def searched(self) -> list[str]:
        """Dotted keys whose values name a hyperparameter."""
        names = self.root.entries["hyperparameters"].value if "hyperparameters" in self.root.entries else None
        known = plain(names) if isinstance(names, Map) else {}
        _, _, uses = substituted(self.root, {name: name for name in known})
        return [".".join(map(str, loc)) for loc in uses]

    def text(self, data: Mapping[str, Any], remark: str) -> str:
        """A config as the content of a file: the first line of the original, a remark, then ``data``."""
        words = ("#%Musket", self.document.dialect, self.document.version)
        header = "" if self.document.dialect is None else f"{' '.join(word for word in words if word)}\n"
        return f"{header}# {remark}\n{to_yaml(dict(data))}"


def derived_arguments(arguments: Mapping[str, Any], config: Path, **options: Any) -> dict[str, Any]:
    """Arguments of the jobs of a derived config, which holds the overrides already."""
    given = arguments.get("options") or {}
    return {**arguments, "config": str(config), "overrides": [], "options": {**given, **options}}


def same_but(one: Mapping[str, Any], other: Mapping[str, Any], keys: Collection[str]) -> bool:
    """Whether two configs say the same, some keys aside."""
    return {k: v for k, v in one.items() if k not in keys} == {k: v for k, v in other.items() if k not in keys}
