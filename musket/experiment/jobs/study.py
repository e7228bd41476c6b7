"""The study of a search: which values were tried, how they did, and which to try next. Optuna is used here only."""

from __future__ import annotations

import importlib.util
import itertools
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from musket.config.search_space import Choice, Parameter, Range, SearchSpace, combinations
from musket.core.errors import ArtifactError, MusketError
from musket.core.runtime import derive_seed, generator

if TYPE_CHECKING:
    import optuna

Ended = Literal["complete", "pruned", "failed"]
State = Literal["running"] | Ended

_NAME = "musket"
_PARAMETERS, _NOTE, _CONFIG = "parameters", "note", "config"


@dataclass(frozen=True)
class Trial:
    """Values that are tried.

    Attributes:
        parameters: value of every hyperparameter, by name.
        score: of a complete trial; None of others.
        note: why it failed, or whose result it repeats.
    """

    number: int
    parameters: dict[str, Any]
    state: State = "running"
    score: float | None = None
    note: str = ""


def require_optuna() -> None:
    """Raises MusketError where Optuna is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise MusketError('a search of hyperparameters needs Optuna: pip install "musket[search]"')


class Study:
    """Trials in an SQLite file: whatever is done here is in the file when it returns.

    Values come from a tree-structured Parzen estimator (TPE; Bergstra et al., NeurIPS 2011), ten random trials first;
    what it draws depends on the seed, the number of the trial, and the trials there are. Where there are no more than
    ``most`` combinations of values, all are tried, in random order.

    Args:
        path: the file; made when it is not there.
        space: the hyperparameters.
        mode: ``min`` or ``max``: whether low scores are good or high ones.
        seed: of what is drawn.
        most: trials at most.

    Raises:
        ArtifactError: the file is there, but holds no study, or one of scores that get better the other way.
    """

    def __init__(self, path: Path, space: SearchSpace, mode: str, seed: int, most: int):
        self.path = path
        self.space = space
        self._seed = seed
        self._most = most
        self._combinations = _combinations(space, most)
        self._study = _open(path, mode)

    @property
    def config(self) -> dict[str, Any]:
        """The config that is searched, as it was stored; empty in a new study."""
        return dict(self._study.user_attrs.get(_CONFIG) or {})

    @config.setter
    def config(self, config: Mapping[str, Any]) -> None:
        self._study.set_user_attr(_CONFIG, dict(config))

    @property
    def trials(self) -> list[Trial]:
        """All trials, by number; not one whose proposal was cut short, which :meth:`propose` completes."""
        return [_trial(frozen) for frozen in self._frozen if _PARAMETERS in frozen.user_attrs]

    @property
    def best(self) -> Trial | None:
        """The complete trial with the best score, the first of equals; None where there is none."""
        complete = [trial for trial in self.trials if trial.score is not None]
        sign = 1 if self._study.direction.name == "MINIMIZE" else -1
        return min(complete, key=lambda trial: sign * (trial.score or 0.0), default=None)

    def propose(self) -> Trial | None:
        """The next values to try, None when enough were; a trial that repeats an ended one has its result at once."""
        from optuna.samplers import TPESampler
        from optuna.trial import Trial as Live

        trials = self.trials
        number = len(trials)
        if number >= self._most:
            return None
        begun = self._frozen[number:]  # by a process that was killed then; there is one at most
        if self._combinations is not None and not begun:
            tried = [trial.parameters for trial in trials]
            left = [values for values in self._combinations if values not in tried]
            if not left:
                return None
            self._study.enqueue_trial(self._drawn(left, number))
        self._study.sampler = TPESampler(seed=derive_seed("trial", self._seed, number) % 2**32)
        asking = bool(begun) and begun[0].state.name == "RUNNING"
        asked = Live(self._study, begun[0]._trial_id) if asking else self._study.ask()
        parameters = {name: _suggested(asked, name, parameter) for name, parameter in self.space.items()}
        asked.set_user_attr(_PARAMETERS, parameters)
        for other in trials:
            if other.state != "running" and other.parameters == parameters:
                return self.close(asked.number, other.state, other.score, note=f"repeats trial {other.number}")
        return Trial(asked.number, parameters)

    def report(self, number: int, step: int, value: float) -> bool:
        """Note how a trial stands after a step, counted from 1.

        Returns:
            whether it is to be pruned: its best value so far is below the median of other trials at that step; never
            before five trials are complete.
        """
        from optuna.trial import Trial as Live

        frozen = self._frozen[number]
        live = Live(self._study, frozen._trial_id)
        if step not in frozen.intermediate_values:  # a trial that is resumed tells of folds again
            live.report(value, step)
        return live.should_prune()

    def close(self, number: int, state: Ended, score: float | None = None, note: str = "") -> Trial:
        """End a trial.

        Args:
            score: of a complete one.
        """
        from optuna.trial import TrialState

        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        frozen = self._frozen[number]
        if note:
            self._study._storage.set_trial_user_attr(frozen._trial_id, _NOTE, note)
        self._study.tell(number, score if state == "complete" else None, states[state])
        return _trial(self._frozen[number])

    @property
    def _frozen(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _drawn(self, combinations: list[dict[str, Any]], number: int) -> dict[str, Any]:
        """One of several combinations, as Optuna knows it."""
        values = combinations[int(generator("combination", self._seed, number).integers(len(combinations)))]
        return {name: _label(values[name]) if isinstance(self.space[name], Choice) else values[name] for name in values}


def _open(path: Path, mode: str) -> optuna.Study:
    import optuna
    from optuna.study import StudyDirection
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path.parent.mkdir(parents=True, exist_ok=True)
    direction = StudyDirection.MINIMIZE if mode == "min" else StudyDirection.MAXIMIZE
    try:
        storage = optuna.storages.RDBStorage(
            "sqlite://",  # a path in a URL cannot have every character
            engine_kwargs={"creator": lambda: sqlite3.connect(path), "poolclass": NullPool},
        )
        study = optuna.create_study(storage=storage, study_name=_NAME, direction=direction, load_if_exists=True)
    except (SQLAlchemyError, sqlite3.Error, RuntimeError) as error:
        raise ArtifactError(f"not readable as a study ({error}); move it away to start afresh", path) from error
    if study.direction != direction:
        raise ArtifactError(
            f"scores of this study were to {study.direction.name.lower()}, now they are to {direction.name.lower()}; "
            "undo the edit, or start afresh",
            path,
        )
    study.pruner = optuna.pruners.MedianPruner()
    return study


def _trial(frozen: optuna.trial.FrozenTrial) -> Trial:
    states: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    state = states.get(frozen.state.name, "running")
    score = frozen.value if state == "complete" else None
    attributes = frozen.user_attrs
    return Trial(frozen.number, dict(attributes.get(_PARAMETERS) or {}), state, score, attributes.get(_NOTE, ""))


def _suggested(trial: optuna.Trial, name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Choice):
        by_label = {_label(option): option for option in parameter.options}
        return by_label[str(trial.suggest_categorical(name, list(by_label)))]
    if parameter.is_whole:
        return trial.suggest_int(name, int(parameter.low), int(parameter.high), log=parameter.log)
    return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)


def _label(option: Any) -> str:
    """A value of any kind as Optuna stores it."""
    return json.dumps(option, ensure_ascii=False, sort_keys=True)


def _combinations(space: SearchSpace, most: int) -> list[dict[str, Any]] | None:
    """All combinations of values, None where there are more than ``most``."""
    if combinations(space) > most:
        return None
    return [
        dict(zip(space, values, strict=True))
        for values in itertools.product(*(list(_values(parameter)) for parameter in space.values()))
    ]


def _values(parameter: Parameter) -> Iterator[Any]:
    if isinstance(parameter, Range):
        yield from range(int(parameter.low), int(parameter.high) + 1)
    else:
        yield from parameter.options
