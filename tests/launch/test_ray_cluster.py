from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cluster_workers import notes
from ray_nodes import children, environment, nothing_is_left, two_nodes
from recording import Listed, Record

from musket.core.errors import MusketError
from musket.core.jobs import Job
from musket.launch import ray_cluster
from musket.launch.bundle import Bundle
from musket.launch.ray_cluster import Share, share

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")


def noting(folder: Path, key: str, kind: Any = "train", after: tuple[str, ...] = (), **arguments: Any) -> Job:
    return Job(f"unet/{key}", kind, "unet", {"notes": str(folder), **arguments}, after)


def counting(root: Path, fold: int, *, epochs: int = 5, seconds: float = 0.2) -> Job:
    arguments = {
        "config": str(root / "experiments" / "unet" / "config.yaml"),
        "notes": str(root.parent),
        "fold": fold,
        "epochs": epochs,
        "seconds": seconds,
    }
    return Job(f"unet/fold {fold}", "train", "unet", arguments)


def lines(record: Record) -> list[str]:
    return [text for _, text in record.of("line")]


@pytest.fixture(autouse=True, scope="module")
def surroundings() -> Iterator[None]:
    with environment():
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_nodes() as made:
        yield made


def run(jobs: Listed, worker: str, record: Record, cluster: Any, **options: Any) -> bool:
    return ray_cluster.run(jobs, f"cluster_workers:{worker}", record, address=cluster.address, **options)


@pytest.mark.slow
def test_jobs_run_after_those_they_need_and_failures_drop_what_needs_them(cluster: Any, tmp_path: Path) -> None:
    folds = [noting(tmp_path, f"fold {n}", after=("unet/prepare",), fold=n) for n in (0, 1)]
    failing = noting(tmp_path, "fold 2", after=("unet/prepare",), do="fail")
    jobs = Listed(
        noting(tmp_path, "prepare", "prepare"),
        *folds,
        failing,
        noting(tmp_path, "evaluate", "evaluate", after=tuple(job.key for job in folds)),
        noting(tmp_path, "task", "task", after=(failing.key,)),
    )
    record = Record()
    assert run(jobs, "Noting", record, cluster) is False
    assert jobs.values["unet/prepare"] == {"folds": [0, 1], "changed": True}
    order = [note["key"] for note in notes(tmp_path)]
    assert order[0] == "unet/prepare"
    assert order.index("unet/evaluate") > max(order.index(job.key) for job in folds)
    assert jobs.failures.keys() == {"unet/fold 2"}
    failure = jobs.failures["unet/fold 2"]
    assert (failure.type, failure.value, failure.words) == ("DataError", "sample 'ship 7': no mask", True)
    assert "in perform" in failure.trace
    assert record.of("dropped") == [("unet/task", failing.key)]
    assert "unet/fold 0 at work" in lines(record)
    assert "unet/fold 1" in [key for key, _ in record.of("progress")]
    assert {note["threads"] for note in notes(tmp_path)} == {"1"}
    assert all(place.endswith("CPU") for _, place in record.of("started"))


@pytest.mark.slow
def test_a_process_that_dies_is_noticed(cluster: Any, tmp_path: Path) -> None:
    jobs = Listed(noting(tmp_path, "fold 0", do="die"), noting(tmp_path, "fold 1"))
    record = Record()
    assert run(jobs, "Noting", record, cluster, retries=1) is False
    assert jobs.failures["unet/fold 0"].died
    assert "2 times in all" in jobs.failures["unet/fold 0"].value
    assert [note["resume"] for note in notes(tmp_path) if note["key"] == "unet/fold 0"] == [False, True]
    assert any("attempt 2 of 2" in line for line in lines(record))
    assert "unet/fold 1" in jobs.values


@pytest.mark.slow
def test_time_is_up(cluster: Any, tmp_path: Path) -> None:
    jobs = Listed(*[noting(tmp_path, f"fold {n}", do="wait") for n in range(3)])
    record = Record()
    assert run(jobs, "Noting", record, cluster, deadline=time.time() + 4) is True
    assert set(jobs.failures) < {"unet/fold 0", "unet/fold 1", "unet/fold 2"}
    assert all(failure.interrupted for failure in jobs.failures.values())
    assert any("time is up: finishing the epoch under way" in line for line in lines(record))


@pytest.mark.slow
def test_ctrl_c_once_finishes_the_epoch(cluster: Any, tmp_path: Path) -> None:
    root = tmp_path / "ships"
    (root / "experiments" / "unet").mkdir(parents=True)

    def interrupt(*said: Any) -> None:
        if said[0] == "progress" and said[2].epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)

    jobs = Listed(counting(root, 0, epochs=500))
    record = Record(interrupt)
    assert run(jobs, "Epochs", record, cluster) is True
    assert jobs.failures["unet/fold 0"].interrupted
    assert (root / "experiments" / "unet" / "weights" / "0.state").exists()
    assert any("Ctrl-C again stops at once" in line for line in lines(record))


@pytest.mark.slow
def test_ctrl_c_twice_stops_at_once(cluster: Any, tmp_path: Path) -> None:
    def interrupt() -> None:
        deadline = time.monotonic() + 30
        while not notes(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.1)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    jobs = Listed(noting(tmp_path, "fold 0", do="sleep"))
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        assert run(jobs, "Noting", Record(), cluster) is True
    finally:
        thread.join()
    assert jobs.failures["unet/fold 0"].value == "stopped at once"


def test_a_lost_machine_costs_an_epoch_at_most_and_files_come_back(cluster: Any, tmp_path: Path) -> None:
    """Two folds on two machines, neither of which sees the project; one machine is killed while it works."""
    root = tmp_path / "ships"
    home = root / "experiments" / "unet"
    home.mkdir(parents=True)
    (home / "config.yaml").write_text("epochs: 5")
    lost: list[str] = []

    [victim] = cluster.worker_nodes

    def kill(*said: Any) -> None:
        if said[0] != "progress" or said[2].epoch < 1 or lost:
            return
        [node, *_] = [note["node"] for note in notes(tmp_path) if note["key"] == said[1]]
        if node == victim.node_id:
            lost.extend((said[1], node))
            cluster.remove_node(victim, allow_graceful=False)

    jobs = Listed(*[counting(root, fold) for fold in (0, 1)])
    record = Record(kill)
    bundle = Bundle(root, ("experiments/**/config.yaml",), lambda job: Path(job.arguments["config"]).parent)
    try:
        assert run(jobs, "Epochs", record, cluster, bundle=bundle) is False
    finally:
        cluster.add_node(num_cpus=1)
    assert jobs.failures == {}
    assert all(value["epochs"] == 5 and value["where"] == str(home) for value in jobs.values.values())
    [first, again] = [note for note in notes(tmp_path) if note["key"] == lost[0]]
    assert (first["resume"], first["begins"]) == (False, 0)
    assert again["resume"]
    assert again["begins"] >= 1
    assert again["node"] != lost[1] == first["node"]
    assert {path.name for path in (home / "weights").iterdir()} == {"0.state", "1.state"}
    assert any("its machine is lost; goes on elsewhere" in line for line in lines(record))
    assert f"works in {home}" in lines(record)


def test_a_job_too_large_for_every_machine(cluster: Any, tmp_path: Path) -> None:
    jobs = Listed(replace(noting(tmp_path, "fold 0"), devices=3))
    assert run(jobs, "Noting", Record(), cluster) is False
    failure = jobs.failures["unet/fold 0"]
    assert failure.usage
    assert "needs 3 times 1 cores on one machine, and the largest has 1" in failure.value


def test_a_job_larger_than_what_is_to_be_used(cluster: Any, tmp_path: Path) -> None:
    jobs = Listed(noting(tmp_path, "fold 0"))
    assert run(jobs, "Noting", Record(), cluster, at_once=0) is False
    assert "needs 1 times 1 cores on one machine, and 0 are to be used" in jobs.failures["unet/fold 0"].value


@pytest.mark.slow
def test_a_job_sees_the_gpu_it_was_given_and_no_other(cluster: Any, tmp_path: Path) -> None:
    """The GPU is one that Ray is told of; no machine here needs to have it."""
    node = cluster.add_node(num_cpus=1, num_gpus=1)
    try:
        jobs = Listed(noting(tmp_path, "fold 0"), replace(noting(tmp_path, "fold 1"), devices=0))
        record = Record()
        assert run(jobs, "Noting", record, cluster) is False
    finally:
        cluster.remove_node(node)
    assert {note["key"]: note["sees"] for note in notes(tmp_path)} == {"unet/fold 0": "0", "unet/fold 1": ""}
    places = dict(record.of("started"))
    assert places["unet/fold 0"].endswith(" GPU 0")
    assert places["unet/fold 1"].endswith(" CPU")


@pytest.mark.slow
def test_machines_have_another_version(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "VERSION", "0.0.9")
    jobs = Listed(noting(tmp_path, "fold 0"))
    assert run(jobs, "Noting", Record(), cluster) is False
    assert "the run was started with 0.0.9" in jobs.failures["unet/fold 0"].value


def test_more_cores_than_any_machine_has(cluster: Any) -> None:
    with pytest.raises(MusketError, match=r"no machine of the Ray cluster has 5 cores; its machines: .*1 cores"):
        run(Listed(), "Noting", Record(), cluster, cpus=5)


def test_no_cluster_at_this_address(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(address: str, **options: Any) -> None:
        raise ConnectionError(f"nobody answers at {address}")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(MusketError, match=r"cluster at head:6379 cannot be joined: nobody answers at head:6379\. This"):
        ray_cluster.run(Listed(), "cluster_workers:Noting", Record(), address="head:6379")


@pytest.mark.slow
def test_a_ray_of_its_own_is_ended(tmp_path: Path) -> None:
    before, jobs = children(), Listed(noting(tmp_path, "fold 0", fold=0))
    assert ray_cluster.run(jobs, "cluster_workers:Noting", Record(), cpus=1) is False
    assert jobs.values == {"unet/fold 0": {"fold": 0}}
    assert nothing_is_left(before)


def test_ray_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MusketError, match=r'pip install "musket\[ray\]"'):
        ray_cluster.run(Listed(), "cluster_workers:Noting", Record())


@pytest.mark.parametrize(
    ("machines", "cpus", "expected", "slots"),
    [
        ([{"CPU": 8}, {"CPU": 4}], None, Share(4, False), [2, 1]),
        ([{"CPU": 8}, {"CPU": 4}], 3, Share(3, False), [2, 1]),
        ([{"CPU": 16, "GPU": 4}, {"CPU": 6, "GPU": 2}, {"CPU": 2}], None, Share(3, True), [4, 2, 0]),
        ([{"CPU": 16, "GPU": 4}, {}], 8, None, []),
        ([{}, {"CPU": 8}], None, Share(8, False), [0, 1]),
    ],
)
def test_what_a_job_gets(
    machines: list[dict[str, float]], cpus: int | None, expected: Share | None, slots: list[int]
) -> None:
    if expected is None:
        with pytest.raises(MusketError, match="8 cores for each GPU"):
            share(machines, cpus)
        return
    assert share(machines, cpus) == expected
    assert [expected.slots(one) for one in machines] == slots


def test_resources_of_a_job(tmp_path: Path) -> None:
    job = replace(noting(tmp_path, "fold 0"), devices=2)
    assert Share(3, True).of(job) == {"num_cpus": 6, "num_gpus": 2}
    assert Share(3, False).of(job) == {"num_cpus": 6}
    assert Share(3, True).of(replace(job, devices=0)) == {"num_cpus": 3}
