"""run.yaml: what an experiment was trained with, so that one can tell later whether its results still hold."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError, ConfigChanged, TrainingError
from musket.core.identity import fingerprint
from musket.core.version import VERSION
from musket.experiment.state.changes import config_changes, first_changed_stage, for_training
from musket.experiment.state.code_used import differences, read_code

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from musket.config.schema import ExperimentSpec, NetworkSpec
    from musket.experiment.prepare_data import PreparedData
    from musket.experiment.projects.project import Project
    from musket.experiment.unit import FitContext

_PACKAGES = ("torch", "timm", "segmentation-models-pytorch", "numpy", "opencv-python-headless", "lightning-fabric")
# Seconds git may take, in all.
_GIT_PATIENCE = 2.0


def run_record(context: FitContext, project: Project | None = None) -> dict[str, Any]:
    """What run.yaml holds: the resolved config, the data it was trained on, the code, and with what."""
    fabric = context.fabric
    return {
        **config_record(context.spec, project),
        "subsample": context.options.subsample,
        "folds": len(context.data.folds),
        "data": _data_record(context.spec, context.data),
        "device": str(fabric.device.type),
        "devices": _device_names(fabric, context.spec.gpus),
        "precision": str(fabric._precision.precision),
        "versions": _versions(),
        **git_record(context.layout.folder),
    }


def config_record(spec: ExperimentSpec, project: Project | None) -> dict[str, Any]:
    """What was asked for: config, overrides, digests of the files both come from and of the project's code in use."""
    config = spec.dump()
    record: dict[str, Any] = {"config": config}
    if spec.overrides:
        record["overrides"] = list(spec.overrides)
    record["files"] = file_digests(spec.source, None if project is None else project.common)
    if project is not None:
        record["code"] = read_code(project.root).used(config)
    return record


def file_digests(config: Path, common: Path | None) -> dict[str, str]:
    """Name -> digest of the files that a config is read from. As long as they stay the same, so does the config."""
    files = [path for path in (config, common) if path is not None and path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files}


def record_several(spec: ExperimentSpec, layout: Layout, project: Project | None) -> None:
    """Write what an experiment of several runs was asked for; its runs, in folders of their own, tell the rest."""
    records.write_yaml(layout.run_record, config_record(spec, project))


def stored_run(layout: Layout) -> dict[str, Any] | None:
    """The record of the run whose files lie here; None when there is none.

    Raises:
        ArtifactError: the file cannot be read, or is something else.
    """
    if not layout.run_record.exists():
        return None
    record = records.read_yaml(layout.run_record)
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        raise ArtifactError("this is no record of a run; delete it and start afresh", layout.run_record)
    return record


def refuse_other_run(spec: ExperimentSpec, layout: Layout, project: Project | None) -> None:
    """Refuse to go on with what has changed since the run began, in a process that has read config and code anew.

    Raises:
        ConfigChanged: the config asks for other weights than run.yaml.
        TrainingError: so does the project's code.
    """
    stored = stored_run(layout)
    if stored is None:
        return
    config = spec.dump()
    if changes := config_changes(stored["config"], config, may_grow=False):
        raise ConfigChanged(changes)
    if edited := edited_code(stored, config, project):
        raise TrainingError(
            f"{', '.join(edited)} changed since this run began: what is trained from now on would not match the rest. "
            "Undo the edit and go on with --allow_resume, or start afresh"
        )


def note_evaluation(spec: ExperimentSpec, layout: Layout, project: Project | None) -> None:
    """Let the record say that the summary is that of today's config; call it when the summary has been written anew.

    Nothing is changed where config or code have come to ask for other weights.
    """
    stored = stored_run(layout)
    if stored is None:
        return
    now = config_record(spec, project)
    if now["config"] == stored["config"]:  # read before, perhaps, and the file was edited since
        now["files"] = stored.get("files", now["files"])
    changes = config_changes(stored["config"], now["config"], may_grow=False)
    if changes and first_changed_stage(changes) < len(spec.stages):  # stages that are left out were trained, too
        return
    if edited_code(stored, now["config"], project):
        return
    records.write_yaml(layout.run_record, {key: value for key, value in stored.items() if key != "overrides"} | now)


def edited_code(stored: dict[str, Any], config: dict[str, Any], project: Project | None) -> list[str]:
    """Files of the project that decide what is trained, and are not what they were."""
    if project is None or "code" not in stored:
        return []
    training = read_code(project.root).used(for_training(config))
    return [name for name in differences(stored["code"], training) if name in training]


def _data_record(spec: NetworkSpec, data: PreparedData) -> dict[str, Any]:
    """How many samples, digests of their ids and labels, and what the labels stand for; nothing of masks."""
    from musket.data.identity import sample_ids
    from musket.experiment.label_meaning import label_meaning, labels_fingerprint

    found: dict[str, Any] = {"samples": len(data.ids), "fingerprint": data.fingerprint}
    same = spec.pretrain_transform is None  # else ids are not those of the source
    ids = list(data.ids[: len(data.ids) - data.extra]) if same else sample_ids(data.source)
    found["source"] = fingerprint(ids)
    if data.extra:
        found["extra"] = fingerprint(data.ids[len(data.ids) - data.extra :])
    if spec.gives_maps:
        return found
    digest = labels_fingerprint(data.source, ids) if same else None
    return found | label_meaning(data.dataset, spec) | ({"labels": digest} if digest else {})


def _device_names(fabric: Fabric, count: int) -> list[str]:
    """The ``count`` devices of one network, as their makers call them."""
    if fabric.device.type != "cuda":
        return [platform.processor() or platform.machine()]
    import torch

    first = fabric.device.index or 0
    return [torch.cuda.get_device_name(first + each) for each in range(count)]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "musket": VERSION}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def git_record(folder: Path) -> dict[str, Any]:
    """Commit of the repository a folder is in, and whether tracked files differ from it; {} where git cannot tell."""
    told = _git(folder, "rev-parse", "HEAD")
    if not told:
        return {}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"git": {"commit": told, **({} if changed is None else {"dirty": bool(changed)})}}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None when it is not there, takes long, or knows no repository here."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_PATIENCE / 2,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
