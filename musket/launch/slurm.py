"""SLURM: jobs as array scripts, and a script that submits them in the right order.

Only the jobs that are known beforehand can be submitted; what follows from a result cannot.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from musket.artifacts.files import write_atomic
from musket.core.errors import MusketError
from musket.core.jobs import Job

JOBS, SUBMIT, SUBMITTED, LOGS = "jobs.json", "submit.sh", "submitted.txt", "logs"


@dataclass(frozen=True)
class Options:
    """What jobs ask of a SLURM cluster.

    Attributes:
        cpus: cores of a job, for each of its devices.
        gpus: jobs ask for as many GPUs as they need devices. False on clusters without.
        parallel: jobs of one array at the same time; None: as many as the cluster gives.
        notice: seconds before the time limit at which training is told to finish its epoch. An epoch should be shorter.
        lines: further options of sbatch, as it takes them: ``--partition=gpu``, ``--time=12:00:00``, ``--mem=32G``.
        setup: shell lines before the job begins: ``module load cuda``.
    """

    cpus: int = 4
    gpus: bool = True
    parallel: int | None = None
    notice: int = 120
    lines: Sequence[str] = ()
    setup: Sequence[str] = ()


def option_lines(text: str) -> tuple[str, ...]:
    """Options of sbatch, one by one: ``--partition gpu --time=1:00:00``, or without dashes ``partition=gpu``.

    Raises:
        MusketError: something that is no option, or has a quote that is not closed.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise MusketError(f"options of sbatch: found {text!r}: {error}") from None
    lines: list[list[str]] = []
    for word in words:
        waits = bool(lines) and len(lines[-1]) == 1 and "=" not in lines[-1][0]  # for a value, perhaps
        if word.startswith("-"):
            lines.append([word])
        elif not waits and re.match(r"[a-z][a-z-]*=", word):
            lines.append([f"--{word}"])
        elif waits:
            lines[-1].append(word)
        else:
            raise MusketError(f"options of sbatch: found {word!r}; write NAME=VALUE, separated by blanks")
        if "\n" in word:
            raise MusketError(f"options of sbatch: found {word!r}; an option is one line")
    return tuple(" ".join(map(_quoted_for_sbatch, line)) for line in lines)


def scripts(
    jobs: Sequence[Job], folder: str | Path, *, worker: str, python: str, options: Options | None = None
) -> list[Path]:
    """Write everything a SLURM cluster needs to do jobs.

    Args:
        jobs: all of them; what one of them comes ``after`` must be among them.
        folder: new or empty, seen by every node under the same path.
        worker: ``module:attribute`` of the class that does them.
        python: the interpreter, as nodes know it.
        options: what jobs ask of the cluster.

    Returns:
        the files: ``jobs.json``, one array script for every kind of job, ``submit.sh``.

    Raises:
        MusketError: there is nothing to do, the folder is in use, or a job waits for one that is not there.
        ArtifactError: a file cannot be written.
    """
    folder, options = Path(folder).absolute(), options or Options()
    if not jobs:
        raise MusketError("there are no jobs to write scripts for")
    if folder.exists() and any(folder.iterdir()):
        raise MusketError(f"{folder} holds files already, perhaps of jobs under way; name a new folder")
    groups = _groups(jobs)
    ordered = [job for group in groups for job in group]
    names = _script_names(ordered)
    (folder / LOGS).mkdir(parents=True)
    written = {folder / JOBS: json.dumps({"worker": worker, "jobs": [job.as_data() for job in ordered]}, indent=1)}
    for (kind, devices), name in names.items():
        written[folder / name] = _array_script(kind, devices, folder / JOBS, python, options)
    written[folder / SUBMIT] = _submit_script(groups, names, options)
    for path, text in written.items():
        write_atomic(path, text)
        if path.suffix != ".json":
            path.chmod(0o755)
    return list(written)


def submit(folder: str | Path) -> str:
    """Submit what :func:`scripts` wrote.

    Returns:
        what was submitted: a line for each array, its number and its job.

    Raises:
        MusketError: there is no ``sbatch`` here, or it refused.
    """
    folder = Path(folder).absolute()
    if shutil.which("sbatch") is None:
        raise MusketError(
            "there is no sbatch here: submit from a login node of the SLURM cluster. "
            f"With --dry-run the scripts are only written; {folder / SUBMIT} submits them"
        )
    done = subprocess.run(["bash", str(folder / SUBMIT)], capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.strip() or done.stdout.strip() or f"it ended with code {done.returncode}"
        raise MusketError(f"{folder / SUBMIT}: {told}")
    return done.stdout


def requeue() -> bool:
    """Ask SLURM to put the job of this process back into the queue, and say whether it will."""
    number, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    if number is None or task is None or shutil.which("scontrol") is None:
        return False
    return subprocess.run(["scontrol", "requeue", f"{number}_{task}"], check=False).returncode == 0


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that make one array: of one run, alike, waiting for the same others. Each after those it needs."""
    groups: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault((_run(job), job.kind, job.devices, job.after), []).append(job)
    waiting, ordered, known = list(groups.values()), [], set[str]()
    while waiting:
        ready = [group for group in waiting if known.issuperset(group[0].after)]
        if not ready:
            missing = sorted(set(waiting[0][0].after) - known)
            raise MusketError(f"{waiting[0][0].key} comes after {', '.join(missing)}, which is not among the jobs")
        ordered += ready
        known.update(job.key for group in ready for job in group)
        waiting = [group for group in waiting if group not in ready]
    return ordered


def _run(job: Job) -> str:
    """The experiment, or the seed of it, that a job belongs to."""
    return job.key.rpartition("/")[0] or job.experiment


def _script_names(jobs: Sequence[Job]) -> dict[tuple[str, int], str]:
    """A script for every kind of job; kinds whose jobs need different numbers of devices have several."""
    wanted = list(dict.fromkeys((job.kind, job.devices) for job in jobs))
    kinds = [kind for kind, _ in wanted]
    return {
        (kind, devices): f"{kind}.sbatch" if kinds.count(kind) == 1 else f"{kind}-{devices}.sbatch"
        for kind, devices in wanted
    }


def _array_script(kind: str, devices: int, jobs: Path, python: str, options: Options) -> str:
    cpus = options.cpus * max(devices, 1)
    gpus = [f"--gpus-per-task={devices}"] if options.gpus and devices else []
    asked = [
        f"--job-name=musket-{kind}",
        f"--output={LOGS}/%x-%A_%a.txt",
        "--open-mode=append",
        "--ntasks=1",
        f"--cpus-per-task={cpus}",
        *gpus,
        "--requeue",
        f"--signal=B:USR1@{options.notice}",
        *options.lines,
    ]
    sbatch = "\n".join(f"#SBATCH {line}" for line in asked)
    setup = "".join(f"{line}\n" for line in options.setup)
    return f"""\
#!/bin/bash
{sbatch}

# Does one job of {jobs.name}: the one at the place given as argument, plus the number of this task of the array.
cd {shlex.quote(str(Path.cwd()))} || exit 2
{setup}export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-{cpus}}}"
place=$(("$1" + SLURM_ARRAY_TASK_ID))
again=()
if [ "${{SLURM_RESTART_COUNT:-0}}" -gt 0 ]; then again=(--resume); fi
exec {shlex.quote(python)} -m musket.launch.job {shlex.quote(str(jobs))} "$place" "${{again[@]}}"
"""


def _submit_script(groups: Sequence[Sequence[Job]], names: dict[tuple[str, int], str], options: Options) -> str:
    return f"""\
#!/bin/bash
# Submits the jobs of {JOBS}. Each waits for those it needs; {SUBMITTED} lists what was submitted.
set -eu
cd "$(dirname "${{BASH_SOURCE[0]}}")"
if [ -e {SUBMITTED} ]; then
    echo "submitted already, see {SUBMITTED}; write the scripts anew to submit again" >&2
    exit 1
fi
mkdir -p {LOGS}

submit() {{ # what it is, then arguments of sbatch
    local caption=$1 answer
    shift
    answer=$(sbatch --parsable "$@") || exit 1
    number=${{answer%%;*}} # the name of a cluster may follow
    echo "$number $caption" | tee -a {SUBMITTED}
}}

{"".join(_submissions(groups, names, options))}"""


def _submissions(groups: Sequence[Sequence[Job]], names: dict[tuple[str, int], str], options: Options) -> Iterator[str]:
    """One call for every array.

    What needs a preparation starts only when that is done; the others always do, to say what is missing.
    """
    place, owners = 0, {job.key: number for number, group in enumerate(groups) for job in group}
    kinds = [group[0].kind for group in groups]
    for number, group in enumerate(groups):
        job = group[0]
        limit = f"%{options.parallel}" if options.parallel else ""
        before = list(dict.fromkeys(owners[key] for key in job.after))
        waits = [f"{'afterok' if kinds[one] == 'prepare' else 'afterany'}:$array_{one}" for one in before]
        title = re.sub(r"[^\w.-]+", "_", f"{_run(job)}-{job.kind}")
        arguments = [
            shlex.quote(f"{_run(job)}: {job.kind}" + (f" ({len(group)} jobs)" if len(group) > 1 else "")),
            f"--job-name={shlex.quote(title)}",
            f"--array=0-{len(group) - 1}{limit}",
            *([f'--dependency="{",".join(waits)}"', "--kill-on-invalid-dep=yes"] if waits else []),
            names[job.kind, job.devices],
            str(place),
        ]
        yield f"submit {' '.join(arguments)}\narray_{number}=$number\n"
        place += len(group)


def _quoted_for_sbatch(word: str) -> str:
    """A word of an ``#SBATCH`` line, which knows quotes as a shell does but no variables."""
    if re.fullmatch(r"[\w@%+=:,./^-]+", word):
        return word
    return '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'
