from __future__ import annotations

import io
import json

from musket.launch.worker_process import Here


def test_told_before_a_job_begins_it_does_not_begin() -> None:
    events = io.StringIO()
    here = Here(io.StringIO(), events)
    here.stop("time is up")
    here.stop("told to stop")
    assert here.stopping() == "time is up"
    here.tell("ready")
    assert json.loads(events.getvalue()) == {"event": "ready", "data": None}
