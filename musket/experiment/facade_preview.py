"""The part of an experiment that looks before training: at the data, and at what augmentation makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.core.errors import MusketError

if TYPE_CHECKING:
    import numpy as np

    from musket.artifacts.layout import Layout
    from musket.config.schema import NetworkSpec
    from musket.experiment.checks.check_data import Progress
    from musket.experiment.projects.project import Project
    from musket.report.check_report import CheckReport


class Previewing:
    """Methods of :class:`musket.experiment.facade.Experiment`. Nothing here writes beside the config."""

    if TYPE_CHECKING:
        layout: Layout
        project: Project | None
        spec: NetworkSpec
        _holdout: list[int] | None

        def get_dataset(self, name: str | None = None) -> Any: ...

        def _build_dataset(self, name: str | None) -> Any: ...

        def _folders(self) -> list[Path]: ...

        def _refuse_unavailable(self) -> None: ...

    def check(
        self,
        dataset: Any = None,
        *,
        estimate: bool = True,
        fill_cache: bool = False,
        on_progress: Progress | None = None,
    ) -> CheckReport:
        """Open the data before training: read every sample once, fill the folds, try a step.

        Args:
            dataset: as in :meth:`fit`.
            estimate: also tell memory and time on this machine, from a trial step.
            fill_cache: keep what is decoded, as the key ``cache`` says.
            on_progress: called with the samples done, all of them, and how many of those done cannot be used.

        Returns:
            the report: ``ok``, ``problems``, ``warnings``, figures; as text what ``musket check`` prints. Nothing that
            is wrong with the data is raised. Without any dataset only the config was checked.
        """
        from musket.experiment.checks.check_data import check_data
        from musket.report.check_report import config_report

        self._refuse_unavailable()
        if dataset is None and self.spec.dataset is None:
            return config_report(self.spec)

        def opened() -> Any:
            return self._build_dataset(dataset) if dataset is None or isinstance(dataset, str) else dataset

        return check_data(
            self.spec,
            self.layout,
            self.project,
            opened,
            holdout=self._holdout,
            with_estimate=estimate,
            fill_cache=fill_cache,
            on_progress=on_progress,
        )

    def augmentation_sheet(
        self, dataset: Any = None, *, count: int = 6, columns: int = 4, seed: int | None = None
    ) -> np.ndarray:
        """A picture of training samples as they are stored and as augmentation makes them, with their masks or labels.

        Args:
            dataset: as in :meth:`fit`.
            count: how many samples.
            columns: how many draws of each.
            seed: of the draws; default: those of the first epochs of fold 0.

        Returns:
            RGB, uint8.
        """
        from musket.experiment.augmented import augmentation_sheet
        from musket.experiment.prepare_data import prepare, samples_of

        self._refuse_unavailable()
        if dataset is None or isinstance(dataset, str):
            dataset = self.get_dataset(dataset)
        data = prepare(self.spec, self.layout, dataset, self.project, store=False, holdout=self._holdout)
        samples, folders = samples_of(self.spec, data), self._folders()
        return augmentation_sheet(self.spec, samples, folders, count=count, columns=columns, seed=seed)

    @property
    def showDataExamples(self) -> bool:
        """Draw augmented training samples after every epoch too: the key of that name, to be set here as well."""
        return self.spec.showDataExamples

    @showDataExamples.setter
    def showDataExamples(self, value: bool) -> None:
        self.spec = self.spec.model_copy(update={"showDataExamples": bool(value)})

    @property
    def gpus(self) -> int:
        """Devices of one network: the key of that name, to be set here as well.

        Raises:
            MusketError: (when set) no whole number of 1 or more.
        """
        return self.spec.gpus

    @gpus.setter
    def gpus(self, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise MusketError(f"gpus: found {value!r}; it must be a whole number of 1 or more")
        self.spec = self.spec.model_copy(update={"gpus": value})
