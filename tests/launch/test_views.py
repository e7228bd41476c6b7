from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from recording import job
from rich.cells import cell_len
from rich.console import Console
from workers import progress

from musket.core.jobs import Failure, Watcher
from musket.launch.live import LiveView, view, watcher
from musket.launch.outcome import Outcome, final_table
from musket.launch.plain import PlainLines
from musket.launch.silent import Silent
from musket.launch.tally import Tally
from musket.launch.worker_process import Reports

OUT_OF_MEMORY = Failure("OutOfMemoryError", "CUDA out of memory\nTried to allocate 2.00 GiB", "a long trace")


class Clock:
    """Seconds that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def console_of(width: int = 80, height: int = 24) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)


def text_of(drawn: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(drawn)
    return console.file.getvalue()  # type: ignore[attr-defined]


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plain(clock: Clock) -> tuple[PlainLines, Callable[[], list[str]]]:
    console = Console(file=io.StringIO(), width=80)

    def lines() -> list[str]:
        text = console.file.getvalue()  # type: ignore[attr-defined]
        console.file = io.StringIO()
        return text.splitlines()

    return PlainLines(console, Tally(clock)), lines


def test_plain_lines_tell_beginnings_epochs_and_ends(plain, clock: Clock) -> None:
    shown, lines = plain
    fold, evaluate = job("unet/fold 0"), job("unet/evaluate", "nothing", "unet/fold 0")
    shown.added([fold, evaluate])
    shown.started(fold, "GPU 0")
    shown.progress(fold, progress(batch=1))
    shown.progress(fold, progress(batch=4, value=0.8, best=0.8))
    shown.progress(fold, progress(batch=4, epoch=1, value=0.7, best=0.8, left=0.0))
    clock.now = 83
    shown.done(fold, {})
    assert lines() == [
        "unet/fold 0  on GPU 0",
        "unet/fold 0  epoch 1/3  loss 0.5000  val_dice 0.8000 *  12.5 images/s  1:15 left",
        "unet/fold 0  epoch 2/3  loss 0.5000  val_dice 0.7000  12.5 images/s",
        "unet/fold 0  done in 1:23  (1/2, 1:23 left)",
    ]


def test_plain_lines_of_a_long_epoch_come_every_30_seconds(plain, clock: Clock) -> None:
    shown, lines = plain
    fold = job("unet/fold 0")
    shown.added([fold])
    shown.started(fold, "CPU")
    for second in range(70):
        clock.now = second
        shown.progress(fold, progress(batch=2, stages=2, loss=math.nan, value=math.nan, rate=0.0, left=math.nan))
    assert lines()[1:] == ["unet/fold 0  stage 1/2  epoch 1/3  batch 2/4"] * 2


def test_plain_lines_tell_failures_in_one_line_and_what_they_cost(plain) -> None:
    shown, lines = plain
    fold, evaluate, other = job("unet/fold 0"), job("unet/evaluate", "nothing", "unet/fold 0"), job("fpn/fold 0")
    shown.added([fold, evaluate, other])
    shown.started(fold, "GPU 0")
    shown.started(other, "GPU 1")
    shown.line(fold, "[bold] is no markup, and long lines are not broken " + "x" * 80)
    shown.line(None, "told to stop")
    shown.failed(fold, OUT_OF_MEMORY)
    shown.dropped(evaluate, fold)
    shown.failed(other, Failure("Stopped", "told to stop", interrupted=True, words=True))
    assert lines()[2:] == [
        "unet/fold 0 | [bold] is no markup, and long lines are not broken " + "x" * 80,
        "told to stop",
        "unet/fold 0  failed: OutOfMemoryError: CUDA out of memory  (1/3)",
        "unet/evaluate  dropped: unet/fold 0 failed  (2/3)",
        "fpn/fold 0  stopped: told to stop  (3/3)",
    ]


def test_plain_lines_say_nothing_of_what_was_not_wanted(plain) -> None:
    shown, lines = plain
    shown.added([job("unet/fold 0")])
    shown.done(job("unet/fold 0"), None)
    assert lines() == []


def many(count: int, clock: Clock, *, running: int = 3, name: str = "experiment {}") -> Tally:
    """Experiments of five folds: the first half done but for one that failed, the next one under way."""
    tally = Tally(clock)
    for number in range(count):
        tally.add([job(f"{name.format(number)}/fold {fold}") for fold in range(5)])
        tally.add([job(f"{name.format(number)}/evaluate")])
    units = list(tally.experiments().values())
    for number, own in enumerate(units[: count // 2]):
        for unit in own:
            clock.now += 10
            tally.start(unit.job, "GPU 0")
            tally.move(unit.job, progress(best=0.75))
            clock.now += 10
            tally.end(unit.job, "failed" if number == 0 and unit is own[0] else "done")
    for fold, unit in enumerate(units[count // 2][:running]):
        tally.start(unit.job, f"GPU {fold}")
        if fold:
            tally.move(unit.job, progress(epoch=fold, best=0.8))
    return tally


def test_the_view_shows_what_runs_line_by_line(clock: Clock) -> None:
    lines = squeezed(text_of(view(many(2, clock), 80, 24)))
    assert lines == [
        "running on epoch loss val_dice best img/s left",
        "experiment 1/fold 0 GPU 0",
        "experiment 1/fold 1 GPU 1 2/3 25% 0.5000 0.7000 0.8000 12 1:15",
        "experiment 1/fold 2 GPU 2 3/3 25% 0.5000 0.7000 0.8000 12 1:15",
        "failed experiment 0 6/6 1 failed",
        "under way experiment 1 0/6 best val_dice 0.8000, mean of 2",
        *lines[6:],
    ]
    # of 12 folds, one was there before, six are over, and two did a quarter of an epoch each, a twelfth of a fold:
    # 120 s * (11 - 6 - 2/12) / (6 + 2/12) = 94 s
    assert lines[6].endswith("6/12 3 running 3 waiting 1 failed 2:00 elapsed 1:34 left")
    assert len(lines) == 7


@pytest.mark.parametrize("name", ["unet {}", "folder/unet_with_a_very_long_name_that_tells_all_{}", "网络 {}"])
@pytest.mark.parametrize("running", [0, 3, 5])
@pytest.mark.parametrize("height", [10, 24, 60])
@pytest.mark.parametrize("width", [80, 120])
def test_the_view_of_two_hundred_jobs_fits_the_terminal(clock: Clock, width, height, running, name) -> None:
    lines = text_of(view(many(40, clock, running=running, name=name), width, height), width).splitlines()
    assert len(lines) < height
    assert all(cell_len(line) <= width for line in lines)
    assert "240" in lines[-1]
    assert any("experiments: " in line for line in lines)


def test_failed_experiments_stay_in_view_before_others(clock: Clock) -> None:
    text = text_of(view(many(40, clock), 80, 24))
    assert "failed     experiment 0" in text
    assert "more experiments: " in text
    assert text.index("experiment 0 ") < text.index("done       experiment 19 ") < text.index("under way")


def test_more_running_than_fit_are_counted(clock: Clock) -> None:
    tally = Tally(clock)
    jobs = [job(f"a/fold {fold}") for fold in range(64)]
    tally.add(jobs)
    for one in jobs:
        tally.start(one, "GPU 0")
    lines = text_of(view(tally, 80, 24)).splitlines()
    assert len(lines) < 24
    shown = [line for line in lines if line.startswith("a/fold")]
    assert f"  and {64 - len(shown)} more running" in [line.rstrip() for line in lines]


def test_the_view_of_nothing_is_drawn(clock: Clock) -> None:
    assert "0/0" in text_of(view(Tally(clock), 80, 24))


def test_a_live_view_shows_lines_of_jobs_above_it() -> None:
    console = console_of()
    with LiveView(console) as shown:
        fold = job("unet/fold 0")
        shown.added([fold, job("unet/evaluate")])
        shown.started(fold, "GPU 0")
        shown.progress(fold, progress())
        shown.line(fold, "[a] line, \x1b[31min red\x1b[0m")
        shown.line(None, "told to stop")
        shown.failed(fold, OUT_OF_MEMORY)
        shown.dropped(job("unet/evaluate"), fold)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "unet/fold 0 | [a] line, in red" in text
    assert "told to stop" in text
    assert "unet/fold 0  failed: OutOfMemoryError: CUDA out of memory\n" in text
    assert "Tried to allocate" not in text
    assert "failed     unet  2/2  1 failed  1 dropped" in text


def test_a_terminal_gets_a_view_and_all_else_gets_lines() -> None:
    assert isinstance(watcher(console=console_of()), LiveView)
    assert isinstance(watcher(console=Console(file=io.StringIO())), PlainLines)
    assert isinstance(watcher(console=console_of(), quiet=True), Silent)


def test_silence_is_broken_by_the_run_itself_only(capfd: pytest.CaptureFixture[str]) -> None:
    shown: Watcher
    with watcher(quiet=True) as shown:
        fold = job("unet/fold 0")
        shown.added([fold])
        shown.started(fold, "CPU")
        shown.progress(fold, progress())
        shown.line(fold, "printed")
        shown.line(None, "told to stop")
        shown.failed(fold, OUT_OF_MEMORY)
        shown.dropped(fold, fold)
        shown.done(fold, None)
    assert capfd.readouterr() == ("", "told to stop\n")


def test_time_left_is_what_the_share_done_by_this_run_says(clock: Clock) -> None:
    tally = Tally(clock)
    first, second = job("a/fold 0"), job("a/fold 1")
    tally.add([first, second])
    assert math.isnan(tally.left())
    tally.start(first, "CPU")
    tally.move(first, progress(epoch=2, epochs=4, batch=0))  # resumed: half of it was there
    assert math.isnan(tally.left())
    clock.now = 60
    tally.move(first, progress(epoch=3, epochs=4, batch=0))
    # a quarter of a fold in 60 s; a quarter and a whole one remain
    assert tally.left() == pytest.approx(300)
    tally.end(first, "done")
    assert tally.left() == pytest.approx(120)


def test_a_repeated_job_begins_anew(clock: Clock) -> None:
    tally = Tally(clock)
    tally.add([job("a/fold 0")])
    tally.start(job("a/fold 0"), "CPU")
    tally.end(job("a/fold 0"), "failed")
    tally.add([job("a/fold 0")])
    assert tally.counts() == {"waiting": 1}


def test_the_final_table_tells_what_failed_and_where_more_is_told() -> None:
    outcomes = [
        Outcome("unet", "done", "val_dice 0.8312"),
        Outcome("fpn", "failed", "", [(job("fpn/fold 1"), OUT_OF_MEMORY)], Path("experiments/fpn/error.yaml")),
        Outcome("psp", "stopped", "", [(job("psp/fold 0"), Failure("Stopped", "told to stop", interrupted=True))]),
    ]
    assert squeezed(text_of(final_table(outcomes))) == [
        "experiment state result",
        "unet done val_dice 0.8312",
        "fpn failed",
        "psp stopped",
        "fpn/fold 1 failed: OutOfMemoryError: CUDA out of memory",
        "more in experiments/fpn/error.yaml",
        "psp/fold 0 stopped: Stopped: told to stop",
    ]


def test_reports_are_for_people_but_ends_of_epochs_always_come(clock: Clock) -> None:
    sent: list[tuple[int, int]] = []
    report = Reports(lambda progress: sent.append((progress.epoch, progress.batch)), clock)
    for epoch in range(2):
        for batch in range(1, 101):
            clock.now += 0.01
            report(progress(epoch=epoch, batch=batch, batches=100))
    assert sent[0] == (0, 1)
    assert {(0, 100), (1, 1), (1, 100)} <= set(sent)
    assert len(sent) <= 2 * 7
