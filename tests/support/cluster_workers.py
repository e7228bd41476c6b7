"""Workers that do next to nothing, for what runs jobs on other machines."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musket.core.errors import ConfigError, DataError, Problem, Stopped
from musket.core.jobs import Failure, Job, Progress, Workplace


def write_note(folder: str, note: dict[str, Any]) -> None:
    """One line of JSON, in one write: several processes may do so at once."""
    with open(Path(folder) / "notes.txt", "a") as file:
        file.write(json.dumps(note) + "\n")


def notes(folder: Path) -> list[dict[str, Any]]:
    path = folder / "notes.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Noting:
    """Notes what it was asked for. ``arguments["do"]`` says what happens then."""

    def perform(self, job: Job, workplace: Workplace) -> Any:
        arguments = job.arguments
        write_note(
            arguments["notes"],
            {
                "key": job.key,
                "resume": (arguments.get("options") or {}).get("resume", False),
                "changed": arguments.get("changed"),
                "threads": os.environ.get("OMP_NUM_THREADS"),
                "sees": os.environ.get("CUDA_VISIBLE_DEVICES"),
            },
        )
        do = arguments.get("do")
        if do == "fail":
            raise DataError("no mask", sample="ship 7")
        if do == "refuse":
            raise ConfigError("config.yaml", [Problem(3, 1, "lr", "is no number")])
        if do == "die":
            os._exit(9)
        if do == "wait":
            deadline = time.monotonic() + 30
            while workplace.stopping() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            raise Stopped(workplace.stopping() or "nobody stopped it")
        if do == "sleep":
            time.sleep(600)
        workplace.line(f"{job.key} at work")
        workplace.progress(Progress(0, 0, 1, 0, 1, 1, 1, 0.5, "val_dice", 0.7, 0.7, 10.0, 0.0))
        if job.kind == "prepare":
            return {"folds": arguments.get("folds", [0, 1]), "changed": True}
        return {"fold": arguments.get("fold")}

    def refused(self, job: Job, failures: Sequence[tuple[Job, Failure]]) -> None:
        missing = [[one.key, failure.type] for one, failure in failures]
        write_note(job.arguments["notes"], {"key": job.key, "refused": missing})


class Epochs:
    """Counts epochs in a file of its experiment's folder, as a training keeps its state; goes on when it is resumed."""

    def perform(self, job: Job, workplace: Workplace) -> Any:
        import ray

        arguments = job.arguments
        home = Path(arguments["config"]).parent
        resume = (arguments.get("options") or {}).get("resume", False)
        state = home / "weights" / f"{arguments['fold']}.state"
        done = json.loads(state.read_text()) if resume and state.exists() else []
        node = ray.get_runtime_context().get_node_id()
        write_note(arguments["notes"], {"key": job.key, "resume": resume, "begins": len(done), "node": node})
        print(f"works in {home}")
        while len(done) < arguments["epochs"]:
            time.sleep(arguments["seconds"])
            done.append(node)
            state.parent.mkdir(exist_ok=True)
            state.write_text(json.dumps(done))
            epoch, epochs = len(done) - 1, arguments["epochs"]
            workplace.progress(Progress(arguments["fold"], 0, 1, epoch, epochs, 1, 1, 0.5, "dice", 0.7, 0.7, 9.0, 0.0))
            if reason := workplace.stopping():
                raise Stopped(reason)
        return {"fold": arguments["fold"], "epochs": len(done), "where": str(home)}
