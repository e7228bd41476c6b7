"""Old per-image tasks: functions called with every image of a dataset and its prediction (keys ``run_tasks``)."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.artifacts.layout import file_name
from musket.config.schema import SegmentationSpec
from musket.core.errors import ConfigError, DataError, MusketError, Problem
from musket.experiment.tasks.arguments import parameters_of

if TYPE_CHECKING:
    from musket.experiment.facade import Experiment

Function = Callable[..., Any]


@dataclass(frozen=True)
class ImageData:
    """What a per-image task is shown.

    Attributes:
        id: of the sample.
        x: the image, H x W x C.
        y: the true mask, H x W x classes; None for unlabelled data.
        p_x: the image that was predicted; the same as ``x``, for predictions are brought back to the image's size.
        p_y: the prediction, float32 H x W x classes, 0..1 as a rule; of classification a vector, or a list of them.
    """

    id: str
    x: Any
    y: Any
    p_x: Any
    p_y: Any


class ImageWriter:
    """Writes pictures of a per-image task as PNG files of one folder.

    Args:
        root: the folder, made when the first picture is written.
        parameters: of the task; without effect here.
    """

    def __init__(self, root: str | Path, parameters: Mapping[str, Any] | None = None):
        self.root = Path(root)

    def write(self, id: object, image: Any) -> None:  # noqa: A002 (its name of old)
        """Write a picture as ``ID.png``.

        Args:
            image: H x W, or H x W x 1, 3 or 4 (RGB, RGBA): whole numbers 0..255; bool; or floats, 0..1 where none of
                the picture is above 1, else 0..255.

        Raises:
            DataError: it is no such picture.
            ArtifactError: the file cannot be written.
        """
        import cv2

        from musket.artifacts.files import write_atomic

        picture = _as_bytes(np.asarray(image), str(id))
        if picture.ndim == 3 and picture.shape[2] >= 3:
            picture = picture[..., [2, 1, 0, *range(3, picture.shape[2])]]
        _, data = cv2.imencode(".png", np.ascontiguousarray(picture))
        write_atomic(self.root / f"{file_name(str(id))}.png", data.tobytes())


def _as_bytes(image: np.ndarray, sample: str) -> np.ndarray:
    """A picture as uint8."""
    whole = image.dtype.kind in "biuf" and np.isfinite(image).all()
    if not whole or image.ndim not in (2, 3) or not image.size or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise DataError(
            f"this is no picture: {image.dtype} of shape {image.shape}; write H x W, or H x W x 1, 3 or 4, bool, whole "
            "numbers 0..255 or floats",
            sample=sample,
        )
    scale = 255 if image.dtype == bool or (image.dtype.kind == "f" and image.max() <= 1) else 1
    return np.rint(np.clip(image * np.float64(scale), 0, 255)).astype(np.uint8)


class MetricsWriter:
    """Gathers figures of a per-image task and writes them as one table, ``ROOT.csv``.

    Args:
        root: path of the table, without its suffix.
        parameters: of the task; without effect here.
    """

    def __init__(self, root: str | Path, parameters: Mapping[str, Any] | None = None):
        self.path = Path(f"{root}.csv")
        self._rows: list[dict[str, Any]] = []

    def write(self, id: object, values: Any) -> None:  # noqa: A002 (its name of old)
        """Add a row.

        Args:
            values: figures by name, one for each column behind ``id``; or one number, whose column is ``value``.
        """
        figures = values if isinstance(values, Mapping) else {"value": values}
        self._rows.append({"id": str(id), **figures})

    def end(self) -> None:
        """Write the table, with the columns of all rows. Raises ArtifactError when it cannot be written."""
        from musket.predict.sinks import write_rows

        columns = dict.fromkeys(column for row in self._rows for column in row)
        write_rows(self.path, [{column: row.get(column, "") for column in columns} for row in self._rows])


def run_image_tasks(experiment: Experiment) -> None:
    """Run what the key ``run_tasks`` lists: every function with every sample of its dataset.

    Results lie beside the config: folders ``TASK_NUMBER`` of pictures, tables ``TASK_NUMBER.csv``; NUMBER is the place
    of the entry in the list, from 0.

    Raises:
        ConfigError: there is no such function.
        MusketError: a file of ``import_tasks`` fails; a function wants a parameter that is not known.
        DataError: a function fails; names the sample, and the line of the function.
    """
    spec = experiment.spec
    if not isinstance(spec, SegmentationSpec) or not spec.run_tasks:
        return
    functions = _functions(experiment, spec)
    for number, entry in enumerate(spec.run_tasks):
        names = [entry["tasks"]] if isinstance(entry["tasks"], str) else entry["tasks"]
        missing = [name for name in names if name not in functions]
        if missing:
            key = f"run_tasks[{number}].tasks"
            place = spec.place(key)
            words = f"no such function {missing[0]!r} in the files of import_tasks or in the project"
            raise ConfigError(spec.source, [Problem(place.line, place.column, key, words, place.origin)])
        runners = [
            _Runner(name, functions[name], experiment.layout.folder / f"{name}_{number}", entry.get("parameters") or {})
            for name in names
        ]
        predicted = experiment.predictions(entry.get("dataset"), entry.get("fold"), entry.get("stage"))
        for item in (predicted[position] for position in range(len(predicted))):
            data = ImageData(str(item.id), item.x, item.y, item.x, item.prediction)
            for runner in runners:
                runner.show(data)
        for runner in runners:
            runner.end()


def _functions(experiment: Experiment, spec: SegmentationSpec) -> dict[str, Function]:
    """Functions by name: of the files beside the config, then of the project."""
    from musket.experiment.projects.project import import_file, public_names

    files = [experiment.layout.base / f"{name.removesuffix('.py')}.py" for name in spec.import_tasks]
    for path in files:
        if not path.is_file():
            raise MusketError(f"{experiment.layout.config}: import_tasks: there is no file {path}")
    own = public_names([import_file(path) for path in files])
    return {**({} if experiment.project is None else experiment.project.names), **own}


class _Runner:
    """A function with the writers its annotations ask for."""

    def __init__(self, name: str, function: Function, root: Path, parameters: Mapping[str, Any]):
        self.name = name
        self.function = function
        self.handlers: dict[str, Any] = {}
        taken = [parameter for parameter, _ in parameters_of(function).values()]
        if not taken:
            raise MusketError(f"task {name} takes no sample; its first parameter is data ({_file(function)})")
        for parameter in taken[1:]:
            if parameter.name == "parameters":
                self.handlers[parameter.name] = dict(parameters)
            elif inspect.isclass(parameter.annotation) and parameter.annotation is not parameter.empty:
                writer: Function = parameter.annotation
                self.handlers[parameter.name] = writer(root, parameters)
            elif parameter.default is parameter.empty:
                raise MusketError(
                    f"task {name}: parameter {parameter.name} is not known; annotate it with tasks.ImageWriter or "
                    f"tasks.MetricsWriter, or call it parameters ({_file(function)})"
                )

    def show(self, data: ImageData) -> None:
        """Call the function with a sample."""
        try:
            self.function(data, **self.handlers)
        except MusketError:
            raise
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            raise DataError(
                f"task {self.name} failed: {type(error).__name__}: {error} ({frame.filename}, line {frame.lineno})",
                sample=data.id,
            ) from error

    def end(self) -> None:
        """Let the writers finish."""
        for handler in self.handlers.values():
            if callable(getattr(handler, "end", None)):
                handler.end()


def _file(function: Function) -> str | None:
    return inspect.getsourcefile(function) if inspect.isroutine(function) else None
