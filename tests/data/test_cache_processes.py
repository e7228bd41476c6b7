"""One cache and several processes: started together, killed, forked, short of disk; and the loader on top of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import write_discs

from musket.data.array_store import ArrayStore
from musket.data.cache import DecodeCache, attach_cache, cache_size, fill
from musket.data.folders import SimplePNGMaskDataSet
from musket.data.loader import BatchLoader, Sample
from musket.data.queue_settings import QUEUE

ROOT = Path(__file__).parents[2]

READ_ALL = """
import sys, time
from pathlib import Path
from musket.data import images
from musket.data.cache import DecodeCache, attach_cache
from musket.data.folders import SimplePNGMaskDataSet

folder, begin, rounds = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
dataset = SimplePNGMaskDataSet(folder / "images", folder / "masks")
plain = SimplePNGMaskDataSet(folder / "images", folder / "masks")
attach_cache(dataset, DecodeCache(folder / "cache"))
while time.time() < begin:
    pass
for _ in range(rounds):
    for item, true in zip(dataset, plain):
        assert (item.x == true.x).all() and (item.y == true.y).all(), item.id
print("all equal")
"""

WRITE_FOREVER = """
import signal
import sys
from pathlib import Path
import numpy as np
from musket.data.array_store import ArrayStore

store = ArrayStore(Path(sys.argv[1]))
first = int(sys.argv[2])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
print("begun", flush=True)
for number in range(first, first + 100_000):
    store.put(number.to_bytes(16, "big")[::-1], np.random.default_rng(number).integers(0, 256, 100_000, dtype=np.uint8))
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()


def stored(count: int) -> int:
    """Bytes of so many discs with masks: arrays, headers, index."""
    return count * (40 * 48 * 4 + 2 * (56 + 16))


def test_two_processes_on_one_cold_cache(tmp_path: Path) -> None:
    write_discs(tmp_path, 30)
    begin = time.time() + 2
    both = [start(READ_ALL, tmp_path, begin, 2) for _ in range(2)]
    assert [outcome(process) for process in both] == ["all equal"] * 2
    assert stored(30) <= cache_size(tmp_path / "cache") <= stored(60)
    dataset = SimplePNGMaskDataSet(tmp_path / "images", tmp_path / "masks")
    attach_cache(dataset, DecodeCache(tmp_path / "cache"))
    before = cache_size(tmp_path / "cache")
    assert fill(dataset) == []
    assert cache_size(tmp_path / "cache") == before


def test_a_kill_at_any_moment_leaves_a_readable_cache(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    begun = []
    for number in range(6):
        process = start(WRITE_FOREVER, tmp_path, 1_000_000 * number)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(random.uniform(0.01, 0.08))
        process.kill()
        process.communicate(timeout=60)
        begun.append(1_000_000 * number)
    store = ArrayStore(tmp_path)
    found = 0
    for number in begun:
        while (array := store.get(number.to_bytes(16, "big")[::-1])) is not None:
            true = np.random.default_rng(number).integers(0, 256, 100_000, dtype=np.uint8)
            np.testing.assert_array_equal(array, true)
            number += 1
            found += 1
    named = sum(path.stat().st_size // 16 for path in tmp_path.glob("*.index"))
    assert found == named > 0


FULL_DISK = """
import resource, sys, warnings
from pathlib import Path
from musket.data.cache import DecodeCache, attach_cache
from musket.data.folders import SimplePNGMaskDataSet

folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
dataset = SimplePNGMaskDataSet(folder / "images", folder / "masks")
plain = SimplePNGMaskDataSet(folder / "images", folder / "masks")
attach_cache(dataset, DecodeCache(folder / "cache"))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for _ in range(2):
        for item, true in zip(dataset, plain):
            assert (item.x == true.x).all() and (item.y == true.y).all(), item.id
print(*[warning.message for warning in told], sep="\\n")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes to stand for a full disk")
def test_a_disk_that_gets_full_while_writing(tmp_path: Path) -> None:
    write_discs(tmp_path, 8)
    [told] = outcome(start(FULL_DISK, tmp_path)).splitlines()
    assert "not kept from here on: File too large" in told
    kept = [path.stat().st_size for path in (tmp_path / "cache").glob("*.arrays")]
    assert kept == [2 * 40 * 48 * 4 + 4 * 56]  # two discs; what was begun of the third is taken back


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_fork_writes_to_files_of_its_own(tmp_path: Path) -> None:
    """Parent and child keep writing with one cache object; in turns, so that a shared file would be torn."""
    code = """
import os, sys
from pathlib import Path
from musket.data.cache import DecodeCache, attach_cache
from musket.data.folders import SimplePNGMaskDataSet

folder = Path(sys.argv[1])
dataset = SimplePNGMaskDataSet(folder / "images", folder / "masks")
attach_cache(dataset, DecodeCache(folder / "cache"))
dataset[0]
child = os.fork()
for index in range(1, 20):
    dataset[index if child else 20 - index]
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    write_discs(tmp_path, 20)
    outcome(start(code, tmp_path))
    assert len(list((tmp_path / "cache").glob("*.arrays"))) == 2
    assert outcome(start(READ_ALL, tmp_path, 0, 1)) == "all equal"
    assert cache_size(tmp_path / "cache") <= stored(40)


@dataclass(frozen=True)
class Reading:
    """Reads samples for the loader; counts nothing, so that processes can receive it."""

    dataset: Any

    def __call__(self, position: int, epoch: int | None) -> Sample:
        item = self.dataset[position]
        return Sample(item.id, item.x, item.y.view(np.uint8))


def batches(loader: BatchLoader) -> list[tuple[tuple[str, ...], np.ndarray, np.ndarray]]:
    found = [(batch.ids, batch.images.numpy().copy(), batch.targets.numpy().copy()) for batch in loader.epoch(0)]
    loader.close()
    return found


@pytest.mark.parametrize("processes", [False, True])
def test_the_loader_gives_the_same_batches_with_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: bool
) -> None:
    monkeypatch.setattr(QUEUE, "USE_MULTIPROCESSING", processes)
    images, masks = write_discs(tmp_path, 9)
    dataset = SimplePNGMaskDataSet(images, masks)
    expected = batches(BatchLoader(Reading(dataset), lambda _: range(9), 4, workers=0))
    attach_cache(dataset, DecodeCache(tmp_path / "cache"))
    for _ in range(2):
        found = batches(BatchLoader(Reading(dataset), lambda _: range(9), 4, workers=2))
        for (ids, x, y), (true_ids, true_x, true_y) in zip(found, expected, strict=True):
            assert ids == true_ids
            np.testing.assert_array_equal(x, true_x)
            np.testing.assert_array_equal(y, true_y)
    assert cache_size(tmp_path / "cache") == stored(9)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_worker_processes_warn_once_together(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from musket.data.cache import DecodeCache, attach_cache
from musket.data.folders import SimplePNGMaskDataSet
from torch.utils.data import DataLoader

folder = Path(sys.argv[1])
dataset = SimplePNGMaskDataSet(folder / "images", folder / "masks")
attach_cache(dataset, DecodeCache(folder / "cache", limit_bytes=0))
for epoch in range(2):
    for batch in DataLoader(dataset, batch_size=None, num_workers=3, multiprocessing_context="fork", collate_fn=id):
        pass
"""
    write_discs(tmp_path, 12)
    (tmp_path / "tmp").mkdir()
    process = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stderr.count("not kept from here on") == 1


def test_an_interrupted_process_ends_at_once(tmp_path: Path) -> None:
    process = start(WRITE_FOREVER, tmp_path, 0)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    deadline = time.monotonic() + 60
    while ArrayStore(tmp_path).get((0).to_bytes(16, "big")[::-1]) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    store = ArrayStore(tmp_path)
    assert sum(store.get(n.to_bytes(16, "big")[::-1]) is not None for n in range(100)) > 0
