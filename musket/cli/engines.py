"""On what jobs run: arguments that ``fit`` and ``task`` share, and the engine they choose."""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from musket.cli.values import add_boolean, count, spellings
from musket.core.errors import MusketError

if TYPE_CHECKING:
    from musket.core.jobs import Job
    from musket.experiment.jobs.schedule import Schedule

# Trials of a search that are begun at once where only the cluster knows how many can be trained.
_ON_A_CLUSTER = 8
WORKER = "musket.experiment.jobs.worker:Worker"
_CODE = ("modules/**/*", "common.yaml", "*.py")


def configure(parser: argparse.ArgumentParser) -> None:
    """Devices, processes, and machines."""
    group = parser.add_argument_group("devices and machines")
    group.add_argument(
        *spellings("--num_gpus"), type=count, metavar="N", help="GPUs to use, shared by the workers; default: 1"
    )
    group.add_argument(
        *spellings("--gpus_per_net"),
        type=count,
        metavar="N",
        help="GPUs of one network, which shares every batch among them; default: the config's key gpus",
    )
    group.add_argument(
        *spellings("--num_workers"),
        type=count,
        metavar="N",
        help="folds, of this and the next experiments, at a time; default: as many as the GPUs allow, one on a CPU",
    )
    add_boolean(group, "--one_process", help="run everything in this process, one fold after the other")
    group.add_argument(
        "--engine", choices=("local", "ray", "slurm"), default="local", help="this machine, a Ray cluster, or SLURM"
    )
    group.add_argument("--address", metavar="HOST:PORT", help="of the Ray cluster to join; default: a new one, here")
    add_boolean(
        group,
        "--shared",
        default=True,
        help="machines of the cluster see the project under the same path; false: code and results travel",
    )
    group.add_argument(
        "--cpus",
        type=count,
        metavar="N",
        help="with --engine ray or slurm: cores for each device of a fold; default: Ray decides, 4 on SLURM",
    )
    group.add_argument(
        *spellings("--dry_run"), action="store_true", help="with --engine slurm: write the scripts, submit nothing"
    )
    group.add_argument(
        "--sbatch",
        metavar="OPTIONS",
        default="",
        help='with --engine slurm: further options of sbatch, "partition=gpu time=12:00:00"',
    )


# Options that mean something to some engines only; without them nothing is said.
_ONLY = {
    "address": ("ray",),
    "shared": ("ray",),
    "cpus": ("ray", "slurm"),
    "dry_run": ("slurm",),
    "sbatch": ("slurm",),
    "one_process": ("local",),
    "time": ("local", "ray"),
    "retries": ("local", "ray"),
}


def refuse_foreign_options(arguments: argparse.Namespace) -> None:
    """Refuse options that the chosen engine has no use for.

    Raises:
        MusketError: names the option, and the engines it belongs to.
    """
    unsaid = {"address": None, "shared": True, "cpus": None, "time": -1, "retries": 0, "sbatch": ""}
    for name, engines in _ONLY.items():
        if getattr(arguments, name, unsaid.get(name, False)) != unsaid.get(name, False) and (
            arguments.engine not in engines
        ):
            belongs = " or ".join(f"--engine {engine}" for engine in engines)
            raise MusketError(f"--{name} belongs to {belongs}; found it with --engine {arguments.engine}")


def units_at_once(arguments: argparse.Namespace, devices: int = 1) -> int:
    """How many folds are trained at a time, as far as one can tell beforehand.

    Args:
        devices: of one network.
    """
    if arguments.one_process:
        return 1
    if arguments.num_workers is None and arguments.num_gpus is None and arguments.engine == "ray":
        return _ON_A_CLUSTER
    return arguments.num_workers or max(1, (arguments.num_gpus or devices) // devices)


def run(
    schedule: Schedule, arguments: argparse.Namespace, *, root: Path, single: bool, devices: Sequence[int] = (1,)
) -> bool | None:
    """Run all jobs.

    Args:
        root: the project.
        devices: how many each experiment's network needs.
        single: there is only one experiment.

    Returns:
        whether it was stopped early; None when the jobs were handed over and run elsewhere.

    Raises:
        MusketError: there are no such devices, the cluster cannot be joined ... in words.
    """
    deadline = None if getattr(arguments, "time", -1) < 0 else time.time() + arguments.time
    quiet = arguments.quiet or arguments.json
    if arguments.engine == "slurm":
        _slurm(schedule, arguments, root)
        return None
    if arguments.engine == "ray":
        return _ray(schedule, arguments, root, devices, deadline, quiet=quiet)
    from musket.launch import inline, local

    fewest, most = min(devices), max(devices)
    num_gpus = arguments.num_gpus or (most if most > fewest else None)
    slots, notices = local.slots(num_gpus, fewest, arguments.num_workers)
    for notice in notices:
        print(f"note: {notice}", file=sys.stderr)
    if arguments.one_process or (single and len(slots) == 1):
        return inline.run(schedule, WORKER, quiet=quiet, deadline=deadline)
    from musket.launch.live import watcher

    with watcher(quiet=quiet) as shown:
        return local.run(schedule, WORKER, shown, slots=slots, deadline=deadline)


def _ray(
    schedule: Schedule,
    arguments: argparse.Namespace,
    root: Path,
    devices: Sequence[int],
    deadline: float | None,
    *,
    quiet: bool,
) -> bool:
    from musket.launch import ray_cluster
    from musket.launch.bundle import Bundle
    from musket.launch.live import watcher

    bundle = None if arguments.shared else Bundle(root, _CODE, _home, linked=("data", ".cache"), beside=_beside)
    most = None if arguments.num_workers is None else arguments.num_workers * max(devices)
    at_once = min((limit for limit in (arguments.num_gpus, most) if limit is not None), default=None)
    with watcher(quiet=quiet) as shown:
        return ray_cluster.run(
            schedule,
            WORKER,
            shown,
            address=arguments.address,
            cpus=arguments.cpus,
            at_once=at_once,
            bundle=bundle,
            deadline=deadline,
        )


def _home(job: Job) -> Path:
    """The folder whose files a job begins from, and changes: that of its experiment, seed or trial."""
    return Path(job.arguments["config"]).parent


def _beside(job: Job) -> list[Path]:
    """What the config of a seed or a trial may name: files of its experiment, less those of all seeds and trials."""
    from musket.artifacts.layout import CONFIG, SEED_CONFIG, Layout

    layout = Layout(Path(job.arguments["config"]))
    if layout.base == layout.folder:
        return []
    runs = [path.parent for name in (CONFIG, SEED_CONFIG) for path in layout.base.glob(f"*/{name}")]
    found = [path for path in layout.base.iterdir() if not (path in runs or path.name.startswith("."))]
    files = (file for path in found for file in (path.rglob("*") if path.is_dir() else [path]))
    return [file for file in files if file.is_file()]


def _new_folder(folder: Path) -> Path:
    """A name that nothing has yet: a second submission may come within the same second."""
    others = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([folder], others) if not path.exists())


def _slurm(schedule: Schedule, arguments: argparse.Namespace, root: Path) -> None:
    from musket.experiment.jobs.search import SearchRun
    from musket.experiment.jobs.seeds import SeededRun
    from musket.experiment.tasks.task_jobs import WithTasks
    from musket.launch import slurm

    if any(isinstance(one, WithTasks) for one in schedule.runs):
        raise MusketError(
            "--launch_tasks waits for experiments to be done, which SLURM's arrays do elsewhere. Leave it out, and run "
            "musket task when they are"
        )
    searching = [one.name for one in schedule.runs if isinstance(one, SearchRun)]
    if searching:
        raise MusketError(
            f"{searching[0]} searches for hyperparameters: which trials there are is decided as they get done, which "
            "SLURM's arrays cannot. Take --engine local or ray"
        )
    folder = _new_folder(root / ".slurm" / time.strftime("%Y%m%d-%H%M%S"))
    options = slurm.Options(
        cpus=arguments.cpus or slurm.Options.cpus,
        gpus=arguments.num_gpus is not None,
        parallel=arguments.num_workers,
        lines=slurm.option_lines(arguments.sbatch),
    )
    jobs = [
        job for one in schedule.runs for job in (one.handed_over() if isinstance(one, SeededRun) else one.planned())
    ]
    for path in slurm.scripts(jobs, folder, worker=WORKER, python=sys.executable, options=options):
        print(path)
    if arguments.dry_run:
        print(f"nothing submitted; bash {shlex.quote(str(folder / slurm.SUBMIT))} does")
    else:
        print(slurm.submit(folder))
