"""On what jobs run: arguments that ``fit`` and ``task`` share, and the engine they choose."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from musket.cli.values import add_boolean, count, spellings
from musket.core.errors import MusketError

if TYPE_CHECKING:
    from musket.experiment.schedule import Schedule

WORKER = "musket.experiment.jobs:Worker"


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
        *spellings("--dry_run"), action="store_true", help="with --engine slurm: write the scripts, submit nothing"
    )


def units_at_once(arguments: argparse.Namespace) -> int:
    """How many folds are trained at a time, as far as one can tell beforehand."""
    if arguments.one_process:
        return 1
    return arguments.num_workers or max(1, (arguments.num_gpus or 1) // (arguments.gpus_per_net or 1))


def run(schedule: Schedule, arguments: argparse.Namespace, *, root: Path, single: bool) -> bool | None:
    """Run all jobs.

    Args:
        root: the project.
        single: there is only one experiment.

    Returns:
        whether it was stopped early; None when the jobs were handed over and run elsewhere.

    Raises:
        MusketError: there are no such devices, the cluster cannot be joined ... in words.
    """
    deadline = None if getattr(arguments, "time", -1) < 0 else time.time() + arguments.time
    quiet = arguments.quiet or arguments.json
    if arguments.engine == "slurm":
        return _slurm(schedule, arguments, root)
    if arguments.engine == "ray":
        return _ray(schedule, arguments, root, deadline, quiet=quiet)
    from musket.launch import inline, local

    slots, notices = local.slots(arguments.num_gpus, arguments.gpus_per_net or 1, arguments.num_workers)
    for notice in notices:
        print(f"note: {notice}", file=sys.stderr)
    if arguments.one_process or (single and len(slots) == 1):
        return inline.run(schedule, WORKER, quiet=quiet, deadline=deadline)
    from musket.launch.live import watcher

    return local.run(schedule, WORKER, watcher(quiet=quiet), slots=slots, deadline=deadline)
