"""Where the files of an experiment lie. Path arithmetic: nothing is created or read here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONFIG = "config.yaml"
"""Config of an experiment of a project, and of a trial of a search."""
SEED_CONFIG = "config_concrete.yaml"
"""Config of one seed of an experiment, in a folder named by its number."""

# Longest name given to a file, in bytes; file systems take 255 or less.
_LONGEST = 120


def file_name(text: str) -> str:
    """Any text as a file name: what systems refuse becomes ``_``, too much of it is cut, and a digest tells both."""
    name = re.sub(r'[\x00-\x1f<>:"/\\|?*%]', "_", text).lstrip(".")
    if name == text and len(name.encode()) <= _LONGEST:
        return name
    kept = name.encode()[:_LONGEST].decode(errors="ignore")
    return f"{kept}~{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Layout:
    """Paths of one experiment. ``config`` is its YAML file; everything else lies beside it."""

    config: Path

    @property
    def folder(self) -> Path:
        return self.config.parent

    @property
    def base(self) -> Path:
        """The folder where relative paths of the config begin: of a seed or a trial that of its experiment."""
        of_seed = self.config.name == SEED_CONFIG and self.folder.name.isdecimal()
        return Layout(self.folder.parent / CONFIG).base if of_seed or self._is_trial else self.folder

    @property
    def _is_trial(self) -> bool:
        """Whether the folder is named as one of a trial, and lies in that of an experiment."""
        if self.config.name != CONFIG or not re.fullmatch(r"trial\d+", self.folder.name):
            return False
        owner = Layout(self.folder.parent / CONFIG)
        return owner.config.is_file() or owner.study.is_file()

    def seed(self, number: int) -> Layout:
        """The same experiment with one of several seeds."""
        return Layout(self.folder / str(number) / SEED_CONFIG)

    def trial(self, number: int) -> Layout:
        """The same experiment with the hyperparameters of one trial of a search."""
        return Layout(self.folder / f"trial{number}" / CONFIG)

    @property
    def study(self) -> Path:
        """All trials of a search (SQLite), by which it goes on."""
        return self.folder / "trials.db"

    @property
    def scores(self) -> Path:
        """All trials of a search, to be read."""
        return self.folder / "hyperopt.scores"

    @property
    def best_parameters(self) -> Path:
        return self.folder / "best.params.yaml"

    @property
    def earlier_search(self) -> Path:
        """Folder of what an earlier search left, until the first trial of a new one has seen that the data is good."""
        return self.folder / ".earlier_search"

    @property
    def moving_search(self) -> Path:
        """The same while files are moved there or back."""
        return self.folder / ".moving_search"

    def beside(self, suffix: str) -> Path:
        """A side file of the config: ``config.yaml`` + suffix."""
        return self.config.with_name(self.config.name + suffix)

    @property
    def holdout_split(self) -> Path:
        return self.beside(".holdout_split")

    @property
    def folds_split(self) -> Path:
        return self.beside(".folds_split")

    def weights(self, fold: int, stage: int) -> Path:
        """Best weights of a fold and stage (safetensors)."""
        return self.folder / "weights" / f"best-{fold}.{stage}.weights"

    def state(self, fold: int, stage: int) -> Path:
        """Everything needed to go on after the last finished epoch of a fold and stage."""
        return self.folder / "weights" / f"last-{fold}.{stage}.state"

    def metrics(self, fold: int, stage: int) -> Path:
        return self.folder / "metrics" / f"metrics-{fold}.{stage}.csv"

    def batch_metrics(self, fold: int, stage: int) -> Path:
        return self.folder / "metrics" / f"metrics-{fold}.{stage}.csvall.csv"

    def tensorboard(self, fold: int, stage: int) -> Path:
        return self.folder / "logs" / f"{fold}.{stage}"

    def example(self, fold: int, stage: int, epoch: int, batch: int) -> Path:
        return self.folder / "examples" / str(stage) / str(fold) / f"t_epoch_{epoch}.{batch}.jpg"

    def training_example(self, fold: int, stage: int, epoch: int, batch: int) -> Path:
        return self.example(fold, stage, epoch, batch).with_name(f"t_epoch_train{epoch}.{batch}.jpg")

    @property
    def predictions(self) -> Path:
        return self.folder / "predictions"

    def stored_predictions(self, name: str, stages: Sequence[int], folds: Sequence[int]) -> Path:
        """Folder of stored predictions of a part or dataset: ``validation[0]1.npy``, ``holdout[0][0, 1, 2].npy``."""
        members = str(folds[0]) if len(folds) == 1 else str(list(folds))
        return self.predictions / f"{file_name(name + str(list(stages)) + members)}.npy"

    def prediction_table(self, part: str, fold: int, stage: int, kind: str) -> Path:
        """Truth (``gt``) or predictions (``pt``) as CSV: ``validation0.1-gt.csv``, ``holdout-0.1-pt.csv``."""
        part = "holdout-" if part == "holdout" else part
        return self.predictions / f"{part}{fold}.{stage}-{kind}.csv"

    @property
    def evaluation(self) -> Path:
        """Folder of tables and pictures by class, of out-of-fold and holdout predictions."""
        return self.folder / "evaluation"

    @property
    def summary(self) -> Path:
        """Its presence means: finished."""
        return self.folder / "summary.yaml"

    @property
    def in_progress(self) -> Path:
        return self.folder / "inProgress.yaml"

    @property
    def error(self) -> Path:
        return self.folder / "error.yaml"

    @property
    def lock(self) -> Path:
        """Locked while the experiment is trained. It stays; only who holds it may remove it: ``musket clean`` does."""
        return self.folder / ".fit.lock"

    @property
    def lock_holder(self) -> Path:
        """Who holds the lock; there while it is held."""
        return self.folder / ".fit.holder.json"

    @property
    def run_record(self) -> Path:
        """The resolved config this experiment is being trained with, and with what."""
        return self.folder / "run.yaml"
