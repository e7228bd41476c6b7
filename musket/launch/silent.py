"""A watcher for runs that nobody watches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from musket.core.jobs import Failure, Job, Progress


class Silent:
    """Shows nothing but what the run itself has to say, on standard error."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to do."""

    def planned(self, jobs: Sequence[Job]) -> None: ...

    def added(self, jobs: Sequence[Job]) -> None: ...

    def started(self, job: Job, place: str) -> None: ...

    def progress(self, job: Job, progress: Progress) -> None: ...

    def line(self, job: Job | None, text: str) -> None:
        if job is None:
            os.write(2, f"{text}\n".encode())  # not through a buffer: it may be said while one is being written

    def done(self, job: Job, value: Any) -> None: ...

    def failed(self, job: Job, failure: Failure) -> None: ...

    def dropped(self, job: Job, because: Job) -> None: ...
