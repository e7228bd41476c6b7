"""The datasets a config names: made by functions, described by their files, composed of others, given in parts."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.artifacts.layout import Layout
from musket.config.declared import Files
from musket.config.values import Call, DatasetForm, Portions
from musket.core.errors import ConfigError, DataError, MusketError, Problem
from musket.core.registry import RegistryError
from musket.data.cache import default_cache_folder
from musket.data.catalogue import DATASETS, dataset_augmenters, extra_train
from musket.data.dataset import CompositeDataSet
from musket.data.declared import FilesDataSet
from musket.data.derived import TrainingView
from musket.data.preprocessing import apply_preprocessing

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.projects.project import Project


_PARTS = "parts: train, validation, holdout (of predictions also oof, train0, validation0 ...)"


@dataclass(frozen=True)
class DatasetSources:
    """Makes the datasets of a spec; every call makes them anew.

    Functions run with ``data/`` of the project (or ``datasets_path``) as working directory; paths of datasets described
    by their files start at the folder of the experiment.

    Raises:
        ConfigError: the config names no such dataset or function.
        DataError: a function failed, or gave no dataset; its own error is named, never swallowed.
    """

    spec: NetworkSpec
    layout: Layout
    project: Project | None = None

    def main(self) -> Any:
        """The dataset of the key ``dataset``."""
        if self.spec.dataset is None:
            raise self._refusal("dataset", f"no dataset in the config and none given to fit(){self._known()}")
        return self._preprocessed(self._made(self.spec.dataset, "dataset"), self.spec.dataset)

    def entry(self, name: str) -> Any:
        """An entry of ``datasets``."""
        return self._preprocessed(self._entry(name), name)

    def _entry(self, name: str) -> Any:
        form = self.spec.datasets.get(name)
        if form is None:
            raise self._refusal(f"datasets.{name}", f"there is no such entry{self._known()}; {_PARTS}")
        return self._made(form, f"datasets.{name}", own=name)

    def extra_train(self) -> Any | None:
        """The dataset of the key ``extra_train_data``: registered in Python, an entry of ``datasets``, or inline."""
        form = self.spec.extra_train_data
        if isinstance(form, str) and form in extra_train:
            return extra_train[form]
        return None if form is None else self._preprocessed(self._made(form, "extra_train_data"), form)

    def _preprocessed(self, dataset: Any, form: DatasetForm | str) -> Any:
        """A dataset behind the chain of the key ``preprocessing``."""
        folder = default_cache_folder(None if self.project is None else self.project.root)
        return apply_preprocessing(dataset, self.spec.preprocessing, folder, self._told(form))

    def _told(self, form: DatasetForm | str) -> str:
        """What makes a dataset, and where: the same in experiments that share the project and the call."""
        owner = self.layout.base if self.project is None else self.project.root
        where = self._data_folder() or Path.cwd()
        return f"{owner.absolute()} {where.absolute()} {self._spelled(form)}"

    def _spelled(self, form: DatasetForm | str, above: tuple[str, ...] = ()) -> str:
        """A form with the entries of ``datasets`` it names written out."""
        names = [form] if isinstance(form, str) else getattr(form, "form", None)
        if not isinstance(names, list):
            return repr(form)
        below = {name: self.spec.datasets.get(name) for name in names if name not in above}
        return str({name: each and self._spelled(each, (*above, name)) for name, each in below.items()})

    def transformed(self, dataset: Any) -> Any:
        """A dataset passed through the function of the key ``pretrain_transform``."""
        name = self.spec.pretrain_transform
        return dataset if name is None else self._run(self.function(name, "pretrain_transform"), name, (dataset,))

    def augmented(self, dataset: Any, ids: Sequence[str] | None = None) -> Any:
        """The dataset, which has these ids, read in training as ``dataset_augmenter`` shows it."""
        if self.spec.dataset_augmenter is None:
            return dataset
        options = dict(self.spec.dataset_augmenter)
        name = str(options.pop("name", ""))
        factory = dataset_augmenters.get(name) or self.function(name, "dataset_augmenter.name")
        augment = self._run(factory, name, (), options, gives_dataset=False)
        if not callable(augment):
            raise DataError(
                f"dataset_augmenter {name} returned {type(augment).__name__}; it must return a function that takes the "
                "dataset and returns the one to train on"
            )
        return TrainingView(dataset, self._run(augment, name, (dataset,)), ids)

    def group_function(self) -> Callable[[Any], Any] | None:
        """The function of the key ``groupFunc``."""
        return None if self.spec.groupFunc is None else self.function(self.spec.groupFunc, "groupFunc")

    def function(self, name: str, key: str) -> Any:
        """A function or class by name: from the project's modules, ``imports``, then the built-in datasets."""
        if self.project is not None and (found := self.project.find(name)) is not None:
            return found
        for module in self.spec.imports:
            found = getattr(importlib.import_module(module), name, None)
            if found is not None:
                return found
        try:
            return DATASETS.load(name)
        except RegistryError as error:
            where = f"modules of {self.project.root}" if self.project is not None else "no project modules here"
            raise self._refusal(key, f"{error}; searched {where}") from None

    def _made(self, form: DatasetForm | str, key: str, own: str = "") -> Any:
        if isinstance(form, str):
            return self._entry(form)
        if isinstance(form, Portions):
            parts = (form.train, form.validation, form.holdout)
            return joined(*([self._called(call) for call in calls] for calls in parts))
        if isinstance(form, Call):
            return self._called(form)
        if isinstance(form.form, list):
            return CompositeDataSet([self._entry(name) for name in form.form if name != own])
        return FilesDataSet(Files.model_validate(form.form), self.layout.base, key)

    def _called(self, call: Call) -> Any:
        return self._run(self.function(call.name, "dataset"), call.name, call.args, call.kwargs)

    def _run(
        self,
        function: Callable[..., Any],
        name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        gives_dataset: bool = True,
    ) -> Any:
        """What a function of the user gives; its errors are told with its file."""
        folder = self._data_folder()
        with contextlib.ExitStack() as stack:
            if folder is not None and folder.is_dir():
                stack.enter_context(contextlib.chdir(folder))
            try:
                made = function(*args, **(kwargs or {}))
            except MusketError:
                raise
            except Exception as error:
                where = inspect.getsourcefile(function) if inspect.isroutine(function) else None
                raise DataError(
                    f"dataset function {name} failed: {type(error).__name__}: {error}", path=where
                ) from error
        if gives_dataset and not (hasattr(made, "__len__") and hasattr(made, "__getitem__")):
            raise DataError(f"dataset function {name} returned {type(made).__name__}, which is no dataset")
        return made

    def _data_folder(self) -> Path | None:
        if self.spec.datasets_path is not None:
            return self.layout.base / self.spec.datasets_path
        return self.project.data if self.project is not None else None

    def _known(self) -> str:
        return f"; entries of datasets: {', '.join(self.spec.datasets)}" if self.spec.datasets else ""

    def _refusal(self, key: str, message: str) -> ConfigError:
        place = self.spec.place(key)
        return ConfigError(self.spec.source, [Problem(place.line, place.column, key, message, place.origin)])


def joined(train: Sequence[Any], validation: Sequence[Any] = (), holdout: Sequence[Any] = ()) -> Any:
    """Training, validation and holdout data one after another, as one dataset that knows its parts.

    With validation data it has exactly one fold; without, the folds of the training data count, if it has any. With
    holdout data its holdout is fixed; without, that of the training data counts.
    """
    dataset: Any = CompositeDataSet([*train, *validation, *holdout])
    own = CompositeDataSet(train)
    ends = [len(own), len(own) + sum(map(len, validation)), len(dataset)]
    folds = [(list(range(ends[0])), list(range(ends[0], ends[1])))] if validation else getattr(own, "folds", None)
    held = list(range(ends[1], ends[2])) if holdout else getattr(own, "holdoutArr", None)
    for member, value in (("folds", folds), ("holdoutArr", held)):
        vars(dataset).pop(member, None)
        if value is not None:
            setattr(dataset, member, value)
    return dataset
