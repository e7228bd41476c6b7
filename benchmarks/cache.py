"""What the decode cache gives: images a second with and without, memory of workers, size of its index.

    python benchmarks/cache.py [--images 128] [--size 1024] [--shape 256]

The sources are JPEG files with PNG masks. An epoch is what a training loop sees of it: shuffled, resized, stacked into
batches by the loader, with one reader thread per core.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from musket.augment.compile import Chain
from musket.data.array_store import ArrayStore
from musket.data.cache import DecodeCache, attach_cache, cache_size
from musket.data.folders import SimplePNGMaskDataSet
from musket.data.loader import BatchLoader, Sample
from musket.data.queue_settings import QUEUE

BATCH = 16


def write_images(folder: Path, count: int, size: int) -> None:
    """Blobs with the noise of a camera, quality 95 (the default of OpenCV), and one mask each."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for index in range(count):
        draw = np.random.default_rng(index)
        blobs = cv2.resize(draw.random((size // 16, size // 16, 3), dtype=np.float32) * 200, (size, size))
        image = np.clip(blobs + draw.normal(25, 4, blobs.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{index:05}.jpg"), image)
        cv2.imwrite(str(folder / "masks" / f"{index:05}.png"), (blobs[..., 0] > 100).astype(np.uint8) * 255)


@dataclass(frozen=True)
class Reading:
    """One sample for the loader; a worker process leaves its memory, in KB, in the folder ``notes``."""

    dataset: SimplePNGMaskDataSet
    chain: Chain
    notes: Path | None = None

    def __call__(self, position: int, epoch: int | None) -> Sample:
        item = self.dataset[position]
        image, mask = self.chain(item.x, item.y, None)
        if self.notes is not None and position % 4 == 0:
            (self.notes / str(os.getpid())).write_text(str(memory("Pss")))
        return Sample(item.id, image, mask)


def memory(what: str) -> int:
    """Pss, Rss or Private_Dirty of this process, in KB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))


def shuffled(count: int) -> Callable[[int], list[int]]:
    return lambda epoch: random.Random(epoch).sample(range(count), count)


def reading(folder: Path, shape: int, cached: bool, notes: Path | None = None) -> Reading:
    dataset = SimplePNGMaskDataSet(folder / "images", folder / "masks")
    if cached:
        attach_cache(dataset, DecodeCache(folder / "cache", limit_bytes=None, keep_free=0))
    return Reading(dataset, Chain((), shape, shape), notes)


def rate(read: Reading, epoch: int) -> float:
    """Images a second of one epoch, the start of the readers included."""
    loader = BatchLoader(read, shuffled(len(read.dataset)), BATCH)
    began = time.perf_counter()
    images = sum(len(batch.ids) for batch in loader.epoch(epoch))
    seconds = time.perf_counter() - began
    loader.close()
    return images / seconds


def rates(folder: Path, shape: int) -> None:
    plain, cached = reading(folder, shape, False), reading(folder, shape, True)
    rate(plain, 0)  # the files come into memory, so that a disk is not what is measured
    print(f"first epoch, fills the cache {rate(cached, 0):8.0f} images/s")
    pairs = [(rate(plain, epoch), rate(cached, epoch)) for epoch in range(1, 6)]  # by turns: machines have moods
    without, with_cache = (sorted(side)[len(pairs) // 2] for side in zip(*pairs, strict=True))
    ratio = sorted(cache / no for no, cache in pairs)[len(pairs) // 2]
    print(f"later epochs without cache   {without:8.0f} images/s")
    print(f"later epochs with cache      {with_cache:8.0f} images/s: {ratio:.1f} times as many (wanted: 5)")
    print(f"cache on disk                {cache_size(folder / 'cache') / 1e6:8.0f} MB")


def worker_memory(folder: Path, shape: int, workers: int, cached: bool) -> None:
    """In a process of its own: two epochs in worker processes; prints the memory of all processes together, in MB."""
    QUEUE.USE_MULTIPROCESSING = True
    with tempfile.TemporaryDirectory() as notes:
        read = reading(folder, shape, cached, Path(notes))
        loader = BatchLoader(read, shuffled(len(read.dataset)), BATCH, workers=workers)
        for epoch in range(2):
            for path in Path(notes).iterdir():
                path.unlink()
            for _ in loader.epoch(epoch):
                pass
        print((memory("Pss") + sum(int(path.read_text()) for path in Path(notes).iterdir())) / 1024)


def thread_memory(folder: Path, shape: int, workers: int, cached: bool) -> None:
    """In a process of its own: three epochs in threads; prints its resident memory in MB."""
    read = reading(folder, shape, cached)
    loader = BatchLoader(read, shuffled(len(read.dataset)), BATCH, epochs=3, workers=workers)
    for epoch in range(3):
        for _ in loader.epoch(epoch):
            pass
    print(memory("Rss") / 1024)


def memories(folder: Path, shape: int) -> None:
    def measured(kind: str, workers: int, cached: bool) -> float:
        command = [sys.executable, __file__, "--memory", kind, str(folder), str(workers), str(int(cached))]
        command += ["--shape", str(shape)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])

    for kind, what in (("processes", "PSS of all processes"), ("threads", "RSS")):
        for cached in (False, True):
            one, four = measured(kind, 1, cached), measured(kind, 4, cached)
            name = f"{what}, {'with' if cached else 'without'} cache"
            print(f"{name:<40} 1 worker {one:6.0f} MB, 4 workers {four:6.0f} MB, growth {four - one:+.0f} MB")


def index_memory(count: int) -> None:
    """What a process holds for a cache of that many images with masks."""
    with tempfile.TemporaryDirectory() as folder:
        records = np.random.default_rng(0).integers(0, 2**40, 4 * count, dtype=np.uint64)
        Path(folder, "decoded-many.index").write_bytes(records.tobytes())
        store = ArrayStore(Path(folder))
        tracemalloc.start()
        began = time.perf_counter()
        store.get(bytes(16))
        seconds = time.perf_counter() - began
        print(f"index of {count} images with masks: {tracemalloc.get_traced_memory()[0] / 1e6:.1f} MB, {seconds:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--shape", type=int, default=256)
    parser.add_argument("--memory", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        kind, folder, workers, cached = arguments.memory
        measure = worker_memory if kind == "processes" else thread_memory
        measure(Path(folder), arguments.shape, int(workers), bool(int(cached)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), arguments.images, arguments.size)
        rates(Path(folder), arguments.shape)
        if sys.platform == "linux":
            memories(Path(folder), arguments.shape)
    index_memory(100_000)


if __name__ == "__main__":
    main()
