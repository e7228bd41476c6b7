from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from recording import job
from rich.cells import cell_len
from rich.console import Console
from workers import progress

from musket.core.jobs import Failure, Progress, Watcher
from musket.launch.figures import standing
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
    shown.started(evaluate, "GPU 0")
    assert lines() == [
        "unet/fold 0  on GPU 0",
        "unet/fold 0  epoch 1/3  loss 0.5000  val_dice 0.8000 *  12.5 images/s  1:15 left",
        "unet/fold 0  epoch 2/3  loss 0.5000  val_dice 0.7000  12.5 images/s",
        "unet/fold 0  done in 1:23",
        "unet: evaluating",
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
        "unet/fold 0  failed: OutOfMemoryError: CUDA out of memory  (0/2 folds)",
        "unet/evaluate  dropped: unet/fold 0 failed",
        "fpn/fold 0  stopped: told to stop  (0/2 folds)",
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
        "experiment 1/fold 0 GPU 0 ⠋ starting 0:00",
        "experiment 1/fold 1 GPU 1 2/3 25% 0.5000 0.7000 0.8000 12 1:15",
        "experiment 1/fold 2 GPU 2 3/3 25% 0.5000 0.7000 0.8000 12 1:15",
        "failed experiment 0 4/5 folds 1 failed",
        "under way experiment 1 0/5 folds best val_dice 0.8000 (fold 1)",
        *lines[6:],
    ]
    # of 9 folds that did not fail, four are done, and two did a quarter of an epoch each, a twelfth of a fold; one
    # was there before. Since the first began it is 110 s: 110 s * (9 - 1 - 4 - 2/12) / (4 + 2/12) = 101 s
    assert lines[6].endswith("4/10 folds 3 running 1 failed 2:00 elapsed 1:41 left")
    assert len(lines) == 7


@pytest.mark.parametrize("name", ["unet {}", "folder/unet_with_a_very_long_name_that_tells_all_{}", "网络 {}"])
@pytest.mark.parametrize("running", [0, 3, 5])
@pytest.mark.parametrize("height", [10, 24, 60])
@pytest.mark.parametrize("width", [80, 120])
def test_the_view_of_two_hundred_jobs_fits_the_terminal(clock: Clock, width, height, running, name) -> None:
    lines = text_of(view(many(40, clock, running=running, name=name), width, height), width).splitlines()
    assert len(lines) < height
    assert all(cell_len(line) <= width for line in lines)
    assert "200 folds" in lines[-1]
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
    assert text_of(view(Tally(clock), 80, 24)) == "0:00 elapsed\n"


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
    assert "failed     unet  0/1 folds  1 failed  1 dropped" in text


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


def test_time_left_is_what_the_share_done_by_this_run_says_once_two_folds_are_done(clock: Clock) -> None:
    tally = Tally(clock)
    prepare, folds = job("a/prepare"), [job(f"a/fold {fold}", "nothing", "a/prepare") for fold in range(5)]
    tally.plan([prepare, *folds])
    tally.add([prepare])
    tally.start(prepare, "CPU")
    clock.now = 1000
    tally.end(prepare, "done")
    tally.add(folds[:3])
    for number, fold in enumerate(folds[:3]):
        assert math.isnan(tally.left()) == (number < 2)
        tally.start(fold, "CPU")
        tally.move(fold, progress(epoch=2, epochs=4, batch=0))  # resumed: half of it was there
        clock.now += 60
        if number < 2:
            tally.end(fold, "done")
    # two halves of a fold in 180 s; another half remains, and what is no job any more is not waited for
    assert tally.left() == pytest.approx(90)


def test_folds_are_counted_from_the_beginning(clock: Clock) -> None:
    tally = Tally(clock)
    plan = []
    for trial in range(4):
        name = f"a/trial{trial}"
        plan += [job(f"{name}/prepare"), *(job(f"{name}/fold {fold}", "", f"{name}/prepare") for fold in range(3))]
    tally.plan([replace(one, experiment="a") for one in plan])
    units = {one.key: replace(one, experiment="a") for one in plan}
    assert tally.amount() == (0, 12, "folds")
    tally.add([units["a/trial1/prepare"]])  # trial 0 is of an earlier run
    assert tally.amount() == (0, 9, "folds")
    tally.start(units["a/trial1/prepare"], "CPU")
    tally.end(units["a/trial1/prepare"], "done")
    tally.add([units[f"a/trial1/fold {fold}"] for fold in range(3)])
    assert tally.amount() == (0, 9, "folds")
    tally.start(units["a/trial1/fold 0"], "CPU")
    tally.end(units["a/trial1/fold 0"], "done")
    tally.end(units["a/trial1/fold 1"], "done")  # pruned: it is not wanted any more
    tally.end(units["a/trial1/fold 2"], "dropped")
    assert tally.amount() == (1, 8, "folds")


def judged(value: float, mode: str | None = None) -> object:
    return {"result": {"name": "dice", "value": value}} | ({} if mode is None else {"mode": mode})


def told(*jobs: tuple[str, object]) -> str:
    """What is said of the experiment ``a`` when jobs are done, or under way with some progress."""
    tally = Tally()
    for caption, value in jobs:
        one = replace(job(f"a/{caption}"), experiment="a")
        tally.add([one])
        tally.start(one, "CPU")
        if isinstance(value, Progress):
            tally.move(one, value)
        else:
            tally.end(one, "done", value)
    return standing(list(tally.units.values()))


def trained(best: float) -> dict[str, object]:
    return {"fold": 0, "metric": "val_dice", "best": best}


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ([("prepare", {})], ""),
        ([("fold 0", trained(0.22)), ("fold 1", progress(best=0.8))], "best val_dice 0.2200 (fold 0)"),
        ([("fold 0", trained(0.2)), ("fold 1", trained(0.4))], "best val_dice 0.3000 (mean of 2 folds)"),
        ([("fold 0", progress(best=0.8)), ("fold 1", progress(best=0.4))], "best val_dice 0.8000 (fold 0)"),
        ([("fold 0", trained(0.2)), ("evaluate", judged(0.75))], "dice 0.7500"),
        ([("fold 0", trained(0.2)), ("evaluate", {"result": None})], "best val_dice 0.2000 (fold 0)"),
        (
            [
                ("trial0/evaluate", judged(0.5, "max")),
                ("trial1/evaluate", judged(0.7, "max")),
                ("trial2/evaluate", judged(0.6, "max")),
                ("trial3/fold 0", progress(best=0.22)),
            ],
            "trial3: best val_dice 0.2200 (fold 0), best so far dice 0.7000 (trial1)",
        ),
        (
            [("trial0/evaluate", judged(0.5, "min")), ("trial1/evaluate", judged(0.7, "min"))],
            "best dice 0.5000 (trial0)",
        ),
        ([("0/evaluate", judged(0.5)), ("1/evaluate", judged(0.7))], "dice 0.6000, mean of 2"),
    ],
)
def test_what_is_known_of_an_experiment_is_of_one_kind(jobs: list[tuple[str, object]], said: str) -> None:
    assert told(*jobs) == said


def test_names_are_aligned_whatever_their_characters_take(clock: Clock) -> None:
    tally = Tally(clock)
    for name in ("网络", "unet", "a_name_that_is_long"):
        tally.add([job(f"{name}/fold 0")])
        tally.start(job(f"{name}/fold 0"), "CPU")
    lines = text_of(view(tally, 80, 24)).splitlines()
    for word, number in (("CPU", 3), ("0/1 folds", 3)):
        columns = [cell_len(line[: line.index(word)]) for line in lines[:-1] if word in line]
        assert len(columns) == number
        assert len(set(columns)) == 1


def test_columns_go_before_names_and_figures_are_cut(clock: Clock) -> None:
    lines = text_of(view(many(2, clock), 60, 24), 60).splitlines()
    assert squeezed("\n".join(lines))[0] == "running on epoch val_dice best left"
    assert "…" not in "".join(lines[:4])
    assert max(map(cell_len, lines)) <= 60


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
