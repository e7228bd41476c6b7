from __future__ import annotations

import pytest

from musket.core.errors import MusketError
from musket.launch.devices import Slot, divide, place, variables, visible_gpus


def test_each_worker_has_its_group_of_devices() -> None:
    slots, notices = divide(4, 2, None, visible=["0", "1", "2", "3"], cores=16)
    assert slots == [Slot(("0", "1"), 4), Slot(("2", "3"), 4)]
    assert notices == []


def test_workers_beyond_the_groups_share_devices() -> None:
    slots, _ = divide(2, 1, 5, visible=["0", "1", "2"], cores=10)
    assert [slot.devices for slot in slots] == [("0",), ("1",), ("0",), ("1",), ("0",)]
    assert {slot.threads for slot in slots} == {2}


@pytest.mark.parametrize(
    ("asked", "gpus"),
    [((None, 1, None), [("7",)]), ((None, 2, None), [("7", "GPU-abc")]), ((2, 1, None), [("7",), ("GPU-abc",)])],
)
def test_devices_keep_the_names_that_make_them_visible(asked, gpus) -> None:
    slots, notices = divide(*asked, visible=["7", "GPU-abc"], cores=4)
    assert [slot.devices for slot in slots] == gpus
    assert notices == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((3, 2, None), "1 of 3 GPUs stay unused: 1 at a time, 2 for each network"),
        ((4, 1, 2), "2 of 4 GPUs stay unused: 2 at a time, 1 for each network"),
    ],
)
def test_devices_left_over_are_told(asked, said) -> None:
    assert divide(*asked, visible=list("0123"), cores=4)[1] == [said]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((4, 1, None), "num_gpus: found 4; this machine has 2 GPUs: 0, 1"),
        ((None, 3, None), "gpus_per_net: found 3; this machine has 2 GPUs: 0, 1"),
        ((1, 2, None), "gpus_per_net: found 2, which is more than num_gpus, 1"),
        ((0, 1, None), "num_gpus: found 0; write a whole number of 1 or more"),
        ((1, 1, -1), "num_workers: found -1"),
    ],
)
def test_what_cannot_be_is_refused(asked, said) -> None:
    with pytest.raises(MusketError, match=said):
        divide(*asked, visible=["0", "1"], cores=4)


def test_without_gpus_one_at_a_time_unless_told_otherwise() -> None:
    assert divide(None, 1, None, visible=[], cores=8) == ([Slot((), 8)], [])
    assert divide(1, 1, 3, visible=[], cores=8) == ([Slot((), 2)] * 3, [])
    slots, [notice] = divide(4, 1, None, visible=[], cores=1)
    assert slots == [Slot((), 1)]
    assert notice == "no GPU here: trains on the CPU, 1 at a time (num_workers)"


def test_without_gpus_a_network_of_several_shares_the_cores() -> None:
    assert divide(None, 2, 2, visible=[], cores=8) == ([Slot((), 2)] * 2, [])


@pytest.mark.parametrize(
    ("devices", "said"), [((), "CPU"), (("0",), "GPU 0"), (("0", "1"), "GPUs 0, 1"), (("GPU-ab",), "GPU GPU-ab")]
)
def test_places_in_words(devices, said) -> None:
    assert place(devices) == said


def test_a_process_gets_its_devices_and_its_threads() -> None:
    given = variables(("1",), 3, {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "16", "NUMEXPR_NUM_THREADS": "many"})
    assert given["CUDA_VISIBLE_DEVICES"] == "1"
    assert given["OMP_NUM_THREADS"] == "2", "fewer stay"
    assert given["MKL_NUM_THREADS"] == "3"
    assert given["NUMEXPR_NUM_THREADS"] == "3"
    assert given["OPENCV_FOR_THREADS_NUM"] == "3"
    assert "CUDA_VISIBLE_DEVICES" not in variables((), 3, {})


@pytest.mark.parametrize("hidden", ["", " ", ","])
def test_hidden_devices_are_none(hidden) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": hidden}) == []


@pytest.mark.parametrize(
    ("named", "counted", "found"),
    [
        (None, "2\n", ["0", "1"]),
        ("3,1", "2\n", ["3", "1"]),
        ("GPU-ab, 1", "2\n", ["GPU-ab", "1"]),
        ("0,9,1", "1\n", ["0"]),
        ("-1", "0\n", []),
        (None, "", []),
    ],
)
def test_the_driver_says_how_many_of_the_named_devices_there_are(monkeypatch, named, counted, found) -> None:
    import subprocess

    def run(command, **named) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, counted, "")

    monkeypatch.setattr(subprocess, "run", run)
    assert visible_gpus({} if named is None else {"CUDA_VISIBLE_DEVICES": named}) == found


@pytest.mark.gpu
def test_the_devices_found_are_those_of_torch() -> None:
    import torch

    assert len(visible_gpus()) == torch.cuda.device_count()
