"""A command ``sbatch`` that runs what it is given, for tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

SBATCH = """\
#!/usr/bin/env python3
# Runs what it is given at once, with the dependencies a cluster would hold to; nothing is queued.
import json, os, subprocess, sys
from pathlib import Path

state = Path(os.environ["FAKE_SLURM"])
arguments = sys.argv[1:]
known = json.loads(state.read_text()) if state.exists() else []
options = [one for one in arguments if one.startswith("--")]
script, place = arguments[len(options):]
named = dict(one[2:].partition("=")[::2] for one in options)
rank = len(known) + 100
ok = True
for one in filter(None, named.get("dependency", "").split(",")):
    kind, number = one.split(":")
    ok = ok and (kind == "afterany" or known[int(number) - 100]["ok"])
codes = []
if ok:
    first, last = named["array"].partition("%")[0].split("-")
    for task in range(int(first), int(last) + 1):
        code = subprocess.run(
            ["bash", script, place],
            env={**os.environ, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": "3"},
            stdout=open(f"logs/{named['job-name']}-{rank}_{task}.txt", "w"),
            stderr=subprocess.STDOUT,
        ).returncode
        codes.append(code)
known.append({"name": named["job-name"], "codes": codes, "ok": ok and not any(codes), "options": options})
state.write_text(json.dumps(known))
print(f"{rank};the cluster")
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put it on the path; it keeps its books in ``folder``."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "sbatch").write_text(SBATCH)
    (programs / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder / "state.json"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'support'}")


def submissions(folder: Path) -> list[dict[str, Any]]:
    """What was submitted: name, exit codes of its tasks, whether all went well, and options of sbatch."""
    return json.loads((folder / "state.json").read_text())
