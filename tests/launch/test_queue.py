from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musket.core.jobs import Job
from musket.launch.queue import Queue


def job(key: str, *after: str, devices: int = 1) -> Job:
    return Job(key, "train", key.partition("/")[0], after=after, devices=devices)


def queue_of(*jobs: Job) -> Queue:
    queue = Queue()
    assert queue.add(jobs) == []
    return queue


def take(queue: Queue, room: float = math.inf, opened: str | None = None) -> str | None:
    found = queue.next(room, opened)
    if found is None:
        return None
    queue.start(found)
    return found.key


def test_a_job_starts_when_all_it_needs_is_done() -> None:
    prepare, fold, evaluate = job("a/prepare"), job("a/fold 0", "a/prepare"), job("a/evaluate", "a/fold 0", "a/prepare")
    queue = queue_of(evaluate, fold, prepare)
    assert take(queue) == "a/prepare"
    assert take(queue) is None
    assert not queue.is_over()
    queue.done(prepare)
    assert take(queue) == "a/fold 0"
    assert take(queue) is None
    queue.done(fold)
    assert take(queue) == "a/evaluate"
    queue.done(evaluate)
    assert queue.is_over()


def test_a_free_place_takes_a_job_of_the_next_experiment_while_one_is_not_ready() -> None:
    queue = queue_of(job("a/prepare"), job("a/fold 0", "a/prepare"), job("b/prepare"))
    assert [take(queue), take(queue), take(queue)] == ["a/prepare", "b/prepare", None]


def test_what_follows_takes_the_place_of_its_cause_in_the_order() -> None:
    first = job("a/prepare")
    queue = queue_of(first, job("b/prepare"), job("c/prepare"))
    take(queue)
    queue.done(first, [job("a/fold 0"), job("a/fold 1")])
    assert [take(queue) for _ in range(4)] == ["a/fold 0", "a/fold 1", "b/prepare", "c/prepare"]


def test_the_experiment_that_is_open_is_preferred() -> None:
    queue = queue_of(job("a/fold 0"), job("b/fold 0"), job("b/fold 1"))
    assert take(queue, opened="b") == "b/fold 0"
    assert take(queue, opened="c") == "a/fold 0"
    assert take(queue, opened="a") == "b/fold 1"


def test_a_large_job_is_not_overtaken_for_ever() -> None:
    small = [job(f"a/fold {fold}") for fold in range(3)]
    queue = queue_of(small[0], job("b/fold 0", devices=2), *small[1:])
    assert take(queue, room=2) == "a/fold 0"
    assert take(queue, room=1) is None
    assert take(queue, room=1, opened="a") is None, "not even by jobs whose experiment is open"
    queue.done(small[0])
    assert take(queue, room=2, opened="a") == "b/fold 0"
    assert take(queue, room=1) == "a/fold 1"


def test_where_all_places_are_wide_the_open_experiment_is_preferred() -> None:
    queue = queue_of(job("a/fold 0", devices=2), job("b/fold 0", devices=2))
    found = queue.next(2, "b", width=2)
    assert found is not None
    assert found.key == "b/fold 0"


def test_a_large_job_that_is_not_ready_holds_up_nobody() -> None:
    queue = queue_of(job("a/prepare"), job("a/fold 0", "a/prepare", devices=4), job("b/fold 0"))
    assert [take(queue, room=1), take(queue, room=1)] == ["a/prepare", "b/fold 0"]


def test_what_needs_a_failed_job_is_dropped_and_the_failed_one_is_named() -> None:
    fold, evaluate, task, other = job("a/fold 0"), job("a/evaluate", "a/fold 0"), job("a/t", "a/evaluate"), job("b/f")
    queue = queue_of(task, fold, evaluate, other)
    take(queue)
    assert sorted(queue.failed(fold), key=lambda pair: pair[0].key) == [(evaluate, fold), (task, fold)]
    assert take(queue) == "b/f"
    assert queue.waiting == []
    assert queue.add([job("a/late", "a/t")]) == [(job("a/late", "a/t"), fold)]


def test_a_job_returned_under_its_key_is_repeated() -> None:
    fold, evaluate = job("a/fold 0"), job("a/evaluate", "a/fold 0")
    queue = queue_of(fold, evaluate)
    take(queue)
    assert queue.failed(fold, [fold]) == []
    assert take(queue) == "a/fold 0"
    queue.done(fold)
    assert take(queue) == "a/evaluate"


def test_what_runs_is_not_dropped() -> None:
    fold, loose = job("a/fold 0"), job("a/fold 1")
    queue = queue_of(fold, loose)
    take(queue), take(queue)
    assert queue.failed(fold) == []
    assert queue.running == [loose]


def test_nothing_starts_after_a_stop() -> None:
    fold = job("a/fold 0")
    queue = queue_of(fold, job("a/fold 1"))
    take(queue)
    queue.stop()
    assert take(queue) is None
    assert not queue.is_over()
    queue.failed(fold)
    assert queue.is_over()
    assert [one.key for one in queue.waiting] == ["a/fold 1"]


def test_jobs_of_one_name_are_refused() -> None:
    queue = queue_of(job("a/fold 0"))
    with pytest.raises(ValueError, match="two jobs of one name: a/fold 0"):
        queue.add([job("a/fold 0")])


def test_jobs_that_wait_for_ever_are_told() -> None:
    queue = queue_of(job("a/fold 0", "a/prepare"), job("b/fold 0"))
    take(queue)
    assert not queue.is_over()
    queue.done(job("b/fold 0"))
    with pytest.raises(ValueError, match="a/fold 0: wait for ever for a/prepare"):
        queue.is_over()


GRAPHS = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.integers(0, 30), max_size=3), st.integers(1, 4), st.booleans()),
    min_size=1,
    max_size=14,
)


@given(graph=GRAPHS, places=st.integers(4, 6), moves=st.randoms(use_true_random=False))
def test_every_job_is_done_or_failed_or_dropped_once_and_in_order(graph, places, moves) -> None:
    jobs, fails = [], set()
    for index, (experiment, after, devices, failing) in enumerate(graph):
        needs = sorted({jobs[number % index].key for number in after}) if index else []
        jobs.append(job(f"{experiment}/{index}", *needs, devices=devices))
        if failing:
            fails.add(jobs[-1].key)
    queue = queue_of(*jobs)
    ended: dict[str, str] = {}
    room = places
    while not queue.is_over():
        opened = moves.choice([None, "0", "1", "2", "3"])
        found = queue.next(room, opened)
        if found is not None:
            assert found.devices <= room
            assert all(ended.get(key) == "done" for key in found.after)
            queue.start(found)
            room -= found.devices
            continue
        assert queue.running, "something always goes on"
        one = moves.choice(queue.running)
        room += one.devices
        ended[one.key] = "failed" if one.key in fails else "done"
        for dropped, because in queue.failed(one) if one.key in fails else queue.done(one):
            assert dropped.key not in ended
            ended[dropped.key] = "dropped"
            assert ended[because.key] == "failed"
    assert ended.keys() == {one.key for one in jobs}
    for one in jobs:
        lost = any(ended[key] != "done" for key in one.after)
        assert ended[one.key] == ("dropped" if lost else "failed" if one.key in fails else "done")
