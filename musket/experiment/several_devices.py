"""Training of one unit on several devices: a process for each, and all do the same with their shares of batches."""

from __future__ import annotations

import importlib
import io
import pickle
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, cast

import torch

from musket.config.cross_checks import unfit_shares
from musket.core.errors import ConfigWarning, TrainingError
from musket.core.process_group import Link, run_together
from musket.core.runtime import accelerator_of, cores, join_ranks, meeting_point, silence_telemetry
from musket.data.queue_settings import QUEUE
from musket.experiment.state.run_record import refuse_other_run

if TYPE_CHECKING:
    from pathlib import Path

    from musket.artifacts.layout import Layout
    from musket.config.schema import NetworkSpec
    from musket.core.types import Unit
    from musket.experiment.unit import FitContext, FitOptions


@dataclass(frozen=True)
class _Task:
    """What a process must know to train a unit together with others.

    Attributes:
        dataset: given to ``fit``, pickled; None: the config's own, which each process opens.
        newest: the stage to go on with, None to begin.
        watched: somebody wants to know how far training is; else it draws on the console.
        console: how the console of the process that launched this one draws.
        port: where the processes meet.
        threads: of each of them.
        settings: of torch and of the batch loader, as they are there.
    """

    spec: NetworkSpec
    layout: Layout
    project: Path | None
    dataset: bytes
    holdout: Sequence[int] | None
    options: FitOptions
    changed: bool
    unit: Unit
    newest: int | None
    watched: bool
    console: dict[str, Any]
    port: int
    threads: int
    settings: dict[str, Any]


def check_devices(spec: NetworkSpec) -> None:
    """Refuse devices that are not there, and batches they cannot share. Warns where they are processes on a CPU.

    Raises:
        MusketError: says what would do.
    """
    count = spec.gpus
    if count == 1:
        return
    if unfit := unfit_shares(spec):
        raise TrainingError(unfit)
    if accelerator_of(count) == "cpu":
        warnings.warn(
            f"gpus: {count}, and no GPU here: {count} processes share the cores. That is for trying out only; "
            "gpus: 1 is faster",
            ConfigWarning,
            stacklevel=2,
        )


def train_on_several(context: FitContext, unit: Unit, newest: int | None) -> None:
    """Train a unit by one process per device. What they print and show comes out here.

    Raises:
        Stopped: asked to stop; all did after the same epoch.
        TrainingError: the project's code changed since this run began; the dataset cannot be handed to other
            processes; one of them was killed.
        Exception: what went wrong in one of them.
    """
    refuse_other_run(context.spec, context.layout, context.project)  # each process imports the modules anew
    meeting = meeting_point()
    count, console = context.spec.gpus, context.console
    task = _Task(
        spec=context.spec,
        layout=context.layout,
        project=None if context.project is None else context.project.root,
        dataset=_packed(context.given),
        holdout=context.holdout,
        options=context.options,
        changed=context.changed,
        unit=unit,
        newest=newest,
        watched=context.watch is not None,
        console={
            "force_terminal": console.is_terminal,
            "color_system": console.color_system,
            "width": console.width,
            "height": console.height,
            "soft_wrap": console.soft_wrap,
            "quiet": console.quiet,
        },
        port=meeting.port,
        threads=max(1, min(torch.get_num_threads(), cores() // count)),
        settings=_settings(),
    )

    def told(message: tuple[str, Any]) -> None:
        kind, content = message
        if kind == "text":
            console.file.write(content)
            console.file.flush()
        elif kind == "progress":
            assert context.watch is not None
            context.watch(content)
        else:
            warnings.warn_explicit(*content)

    payload = io.BytesIO()
    _Pickler(payload).dump(task)
    run_together(_train, payload.getvalue(), count, told=told, answer=lambda _: context.stopping())


def _packed(dataset: Any) -> bytes:
    try:
        return pickle.dumps(dataset)
    except Exception as error:  # whatever a class of the user's own raises
        raise TrainingError(
            f"a process for each device needs the dataset too, and {type(dataset).__name__} cannot be handed over "
            f"({type(error).__name__}: {error}). Define its class at the top level of a module, keep open files and "
            "locks out of it, or name the dataset in the config; or set gpus: 1"
        ) from error


def _unpacked(dataset: bytes) -> Any:
    try:
        return pickle.loads(dataset)
    except Exception as error:  # whatever a class of the user's own raises
        raise TrainingError(
            f"the dataset cannot be opened in a process of its own ({type(error).__name__}: {error}). Define its class "
            "at the top level of a module or script, or name the dataset in the config; or set gpus: 1"
        ) from error


class _Pickler(pickle.Pickler):
    """Knows the read-only maps of configs."""

    def reducer_override(self, value: Any) -> Any:
        return (_read_only, (dict(value),)) if isinstance(value, MappingProxyType) else NotImplemented


def _read_only(values: dict[str, Any]) -> MappingProxyType[str, Any]:
    return MappingProxyType(values)


def _train(rank: int, link: Link, payload: bytes) -> None:
    """The work of one of the processes."""
    from musket.experiment.unit import train_stages
    from musket.training.display import logged_to

    silence_telemetry()
    task: _Task = pickle.loads(payload)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said where this process was launched
        context = _context(task, rank, link)
    if rank > 0:
        warnings.simplefilter("ignore")
        train_stages(context, task.unit, task.newest)
    else:
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")  # a matter of speed
        warnings.showwarning = _sent(link)  # type: ignore[assignment]
        with logged_to(context.console):
            train_stages(context, task.unit, task.newest)
    torch.distributed.destroy_process_group()


def _context(task: _Task, rank: int, link: Link) -> FitContext:
    """What the process that launched this one trains in, built anew."""
    from rich.console import Console

    from musket.experiment.facade import Experiment
    from musket.experiment.pictures import drawer
    from musket.experiment.projects.project import open_project
    from musket.experiment.vocabulary import vocabulary

    torch.set_num_threads(task.threads)
    _apply(task.settings, task.spec.gpus)
    project = None if task.project is None else open_project(task.project)
    for module in task.spec.imports:
        importlib.import_module(module)
    vocabulary()  # lets losses be named as metrics
    experiment = Experiment.from_spec(task.spec, project)
    experiment.layout = task.layout
    experiment.setHoldout(task.holdout)
    data = experiment._prepare(_unpacked(task.dataset))
    fabric = join_ranks(rank, task.spec.gpus, task.port)
    text = cast("IO[str]", _Text(link))
    console = Console(file=text, **task.console) if rank == 0 else Console(quiet=True)
    context = experiment._context(data, task.options, fabric, console, drawer(task.spec, data.dataset))
    return replace(
        context,
        changed=task.changed,
        stopping=lambda: link.ask("stopping"),
        watch=(lambda progress: link.tell(("progress", progress))) if task.watched else None,
    )


class _Text(io.TextIOBase):
    """A text file that hands over what is written to it."""

    def __init__(self, link: Link):
        self._link = link

    def write(self, text: str) -> int:
        self._link.tell(("text", text))
        return len(text)


def _sent(link: Link) -> Callable[..., None]:
    """Warnings are given where this process was launched."""

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        known = category.__module__.partition(".")[0] in ("builtins", "musket")
        link.tell(("warning", (str(message), category if known else UserWarning, filename, lineno)))

    return show


def _settings() -> dict[str, Any]:
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "matmul": torch.get_float32_matmul_precision(),
        "queue": asdict(QUEUE),
    }


def _apply(settings: dict[str, Any], count: int) -> None:
    torch.use_deterministic_algorithms(settings["deterministic"], warn_only=settings["warn_only"])
    torch.backends.cudnn.benchmark = settings["benchmark"]
    torch.set_float32_matmul_precision(settings["matmul"])
    for name, value in settings["queue"].items():
        setattr(QUEUE, name, value)
    if QUEUE.NB_WORKERS == "auto":
        QUEUE.NB_WORKERS = max(1, min(8, cores() // count))
