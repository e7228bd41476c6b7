"""Runs jobs in a process of its own, so that tests can send it signals: ``python engine_driver.py ENGINE PLACES JOBS``.

Prints what its watcher is told, line by line as JSON, and what came out of it.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from recording import Listed, Record

from musket.core.jobs import Job, Progress
from musket.launch import inline, local
from musket.launch.devices import Slot


def say(*said: Any) -> None:
    print(json.dumps([None if isinstance(one, Progress) else one for one in said]), flush=True)


def main(engine: str, places: str, jobs: str) -> None:
    listed = Listed(*(Job.from_data(one) for one in json.loads(jobs)))
    record = Record(say)
    if engine == "inline":
        stopped = inline.run(listed, "workers:Worker", record)
    else:
        stopped = local.run(listed, "workers:Worker", record, slots=[Slot()] * int(places))
    failures = {key: [failure.type, failure.value, failure.interrupted] for key, failure in listed.failures.items()}
    say("over", stopped, failures, sorted(listed.values))


if __name__ == "__main__":
    # Whoever started the tests may have them ignore these, as shells do with what runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    main(*sys.argv[1:])
