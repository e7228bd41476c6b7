"""What must not happen silently: samples of another dataset, changed originals, orders, depths, workers."""

from __future__ import annotations

import gc
import threading
import time
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import toy

from musket.config.declared import Files
from musket.core.errors import ConfigError, DataError, MusketError, Problem
from musket.core.types import PredictionItem, Sample
from musket.data.aspect import AspectRatioDataSet
from musket.data.backgrounds import Backgrounds, replace_background
from musket.data.blending import BlendedDataSet
from musket.data.cache import DecodeCache
from musket.data.catalogue import PREPROCESSORS, dataset_augmenters
from musket.data.crops import CropAndSplit
from musket.data.dataset import CompositeDataSet
from musket.data.declared import FilesDataSet
from musket.data.derived import TrainingView
from musket.data.folders import SimplePNGMaskDataSet
from musket.data.images import read_image
from musket.data.item_caches import MemoryCache, Room, memory_cache, trains_differently
from musket.data.loader import BatchLoader
from musket.data.preprocessing import apply_preprocessing, dataset_preprocessor, dataset_transformer, recipes
from musket.data.queue_settings import QUEUE
from musket.data.sources import code_digest, compiled_digest, source_of


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    queue, names = dict(vars(QUEUE)), set(PREPROCESSORS.names())
    yield
    vars(QUEUE).update(queue)
    for name in set(PREPROCESSORS.names()) - names:
        PREPROCESSORS.remove(name)


class InMemory:
    """A dataset of no base class, whose arrays lie in memory."""

    def __init__(self, *values: int, prefix: str = "s"):
        self.arrays = [np.full((4, 6, 3), value, np.uint8) for value in values]
        self.prefix = prefix
        self.reads = 0

    def __len__(self) -> int:
        return len(self.arrays)

    def sample_ids(self) -> list[str]:
        return [f"{self.prefix}{index}" for index in range(len(self))]

    def __getitem__(self, index: int) -> PredictionItem:
        self.reads += 1
        return PredictionItem(f"{self.prefix}{index}", self.arrays[index], self.arrays[index][..., :1] > 0)


def write(folder: Path, value: int, count: int = 3) -> SimplePNGMaskDataSet:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            cv2.imwrite(str(folder / name / f"{number}.png"), np.full((8, 8, 3), value, np.uint8))
    return SimplePNGMaskDataSet(folder / "images", folder / "masks", in_ext="png")


def first_value(dataset: object, index: int = 0) -> int:
    return int(dataset[index].x.flat[0])  # type: ignore[index]


# ------------------------------------------------------------------------------------------------------- disk-cache


def test_disk_cache_never_serves_another_folder(tmp_path: Path) -> None:
    one, two = (
        apply_preprocessing(write(tmp_path / name, value), "disk-cache", tmp_path / "kept")
        for name, value in (("a", 10), ("b", 200))
    )
    for _ in range(2):
        assert (first_value(one), first_value(two)) == (10, 200)
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_disk_cache_sees_overwritten_files(tmp_path: Path) -> None:
    assert first_value(apply_preprocessing(write(tmp_path, 10), "disk-cache", tmp_path / "kept")) == 10
    again = apply_preprocessing(write(tmp_path, 77), "disk-cache", tmp_path / "kept")
    with pytest.warns(UserWarning, match="was filled with other files; it is filled anew"):
        assert first_value(again) == 77
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_disk_cache_is_found_again_by_a_new_dataset_of_the_same_files(tmp_path: Path) -> None:
    first_value(apply_preprocessing(write(tmp_path, 10), "disk-cache", tmp_path / "kept"))
    again = SimplePNGMaskDataSet(tmp_path / "images", tmp_path / "masks", in_ext="png")
    kept = apply_preprocessing(again, "disk-cache", tmp_path / "kept")
    again._read = lambda index: pytest.fail("read again")  # type: ignore[method-assign]
    assert first_value(kept) == 10


def test_disk_cache_tells_datasets_in_memory_apart(tmp_path: Path) -> None:
    one, two = (apply_preprocessing(InMemory(*values), "disk-cache", tmp_path) for values in ((1, 2, 3), (4, 2, 3)))
    assert (first_value(one), first_value(two), first_value(one)) == (1, 4, 1)


def test_sources_tell_settings_calls_and_code(tmp_path: Path) -> None:
    files = write(tmp_path, 10)
    assert source_of(files) == source_of(SimplePNGMaskDataSet(files.path, files.mask, in_ext="png"))
    assert source_of(files) != source_of(SimplePNGMaskDataSet(files.path, files.mask, in_ext="png", list=["0", "1"]))
    assert source_of(AspectRatioDataSet(files, (4, 3))).place != source_of(AspectRatioDataSet(files, (3, 4))).place
    data = InMemory(1, 2)
    assert source_of(data, "f(1)").place != source_of(data, "f(2)").place
    assert source_of(data, "f(1)").place == source_of(InMemory(1, 9), "f(1)").place
    assert source_of(data, "f(1)").content != source_of(InMemory(1, 9), "f(1)").content
    assert source_of(InMemory(1, prefix="a"), "f").place != source_of(InMemory(1, prefix="b"), "f").place


def test_a_dataset_that_cannot_be_read_is_told_by_the_rest() -> None:
    class Broken(InMemory):
        def __getitem__(self, index: int) -> PredictionItem:
            raise ValueError("no")

    assert source_of(Broken(1)) == source_of(Broken(1))


def test_disk_cache_sees_steps_on_datasets_of_any_kind(tmp_path: Path) -> None:
    class Scaled:
        def __init__(self, below: object, factor: int):
            self.below, self.factor = below, factor

        def __len__(self) -> int:
            return len(self.below)  # type: ignore[arg-type]

        def sample_ids(self) -> list[str]:
            return self.below.sample_ids()  # type: ignore[attr-defined]

        def __getitem__(self, index: int) -> PredictionItem:
            item = self.below[index]  # type: ignore[index]
            return PredictionItem(item.id, item.x * self.factor, item.y)

    @dataset_transformer
    def hole_scaled(dataset, factor):
        return Scaled(dataset, factor)

    for factor in (1, 4, 1):
        steps = [{"hole_scaled": {"factor": factor}}, "disk-cache"]
        assert first_value(apply_preprocessing(write(tmp_path, 10), steps, tmp_path / "kept")) == 10 * factor
    [step] = recipes(apply_preprocessing(InMemory(1), [{"hole_scaled": 3}]))
    assert step.startswith("hole_scaled(factor=3) ")


def test_a_transformer_that_returns_what_it_got_is_noted_once() -> None:
    @dataset_transformer
    def hole_same(dataset):
        return dataset

    data = InMemory(1)
    for _ in range(2):
        assert len(recipes(hole_same(data))) == 1


def test_two_experiments_do_not_share_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shares = []
    for name in ("one", "two"):
        toy.write_discs(tmp_path / name / "a", 3)
        if name == "two":
            for mask in (tmp_path / name / "a" / "masks").iterdir():
                cv2.imwrite(str(mask), 255 - cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE))
        own = toy.experiment(tmp_path / name, **DECLARED)
        shares.append(float(own.get_dataset()[0].y.mean()))
    assert sum(shares) == pytest.approx(1)
    assert shares[0] < 0.5


DECLARED = {
    "dataset": "m",
    "datasets": {"m": {"input_path": "a/images", "output_path": "a/masks"}},
    "preprocessing": ["disk-cache"],
}


def test_a_check_keeps_items_only_when_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    toy.write_discs(tmp_path / "a", 8)
    own = toy.experiment(tmp_path, **DECLARED)
    assert own.check(estimate=False).ok
    assert not list((tmp_path / "cache").rglob("*"))
    own.check(estimate=False, fill_cache=True)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 8


def test_filling_the_cache_takes_extra_data_along(tmp_path: Path) -> None:
    toy.write_discs(tmp_path / "a", 8)
    toy.write_discs(tmp_path / "b", 3)
    for path in sorted((tmp_path / "b").rglob("disc-*")):
        path.rename(path.with_name(f"more-{path.name}"))
    extra = {"input_path": "b/images", "output_path": "b/masks"}
    sizes = []
    for more in ({}, {"extra_train_data": "e"}):
        datasets = {**DECLARED["datasets"], "e": extra}  # type: ignore[dict-item]
        folder = f"kept-{len(more)}"
        own = toy.experiment(tmp_path, dataset="m", datasets=datasets, cache=folder, **more)
        own.check(estimate=False, fill_cache=True)
        sizes.append(sum(file.stat().st_size for file in (tmp_path / folder).rglob("*.arrays")))
    assert sizes[1] > sizes[0] * 1.3


# ---------------------------------------------------------------------------------------------------- memory caches


def test_the_limit_holds_for_all_components_together() -> None:
    both = CompositeDataSet([InMemory(1, 2, prefix="a"), InMemory(3, 4, prefix="b")])
    size = 4 * 6 * 4  # bytes of an image and its mask
    cached = memory_cache(both, 3 * size / 2**20)
    with pytest.warns(UserWarning, match="full with 3 of 4 items") as warned:
        assert [first_value(cached, index) for index in (0, 1, 2, 3, 3)] == [1, 2, 3, 4, 4]
    assert len(warned) == 1
    assert cached.components[0].room is cached.components[1].room
    assert cached.components[0].room.bytes == 3 * size


def test_an_item_that_two_threads_miss_counts_once() -> None:
    cached = MemoryCache(InMemory(1), Room(2**20, 1))
    item = cached.child[0]
    threads = [threading.Thread(target=cached.keep, args=(0, item)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (cached.room.kept, cached.room.bytes) == (1, 4 * 6 * 4)


def test_caches_keep_training_items_that_do_not_differ() -> None:
    child = InMemory(1, 2)
    cached = apply_preprocessing(AspectRatioDataSet(CropAndSplit(child, 2)), "cache")
    for _ in range(3):
        cached.item(0, True)
    assert child.reads == 1
    assert trains_differently(AspectRatioDataSet(child, (1, 1), "random"))
    assert trains_differently(CropAndSplit(BlendedDataSet(child, [child.arrays[0]]), 2))


# -------------------------------------------------------------------------------------------------- what users write


def test_preprocessors_in_place_leave_the_dataset_alone() -> None:
    @dataset_preprocessor
    def hole_add(inp):
        inp += 20
        return inp

    @dataset_preprocessor
    def hole_both(item: PredictionItem):
        item.x += 5
        item.y[:] = False
        return item

    data = InMemory(100)
    changed = apply_preprocessing(data, ["hole_add", "hole_both"])
    assert [first_value(changed) for _ in range(3)] == [125] * 3
    assert changed[0].rootItem().x.max() == 100
    assert data[0].y.all()


def test_a_training_view_in_another_order_is_refused(tmp_path: Path) -> None:
    class Backwards(InMemory):
        def __getitem__(self, index: int) -> PredictionItem:
            return super().__getitem__(len(self) - 1 - index)

    with pytest.raises(DataError, match=r"item 0 of the training view is sample 's2', that of the dataset 's0'"):
        TrainingView(InMemory(1, 2, 3), Backwards(1, 2, 3)).item(0, True)
    assert TrainingView(InMemory(1, 2), InMemory(1, 2, prefix="drawn-")).item(0, True).id == "drawn-0"

    class Reversed:
        def __init__(self, dataset: toy.Drawn):
            self.dataset = dataset

        def __len__(self) -> int:
            return len(self.dataset)

        def __getitem__(self, index: int) -> PredictionItem:
            return self.dataset[len(self) - 1 - index]

    dataset_augmenters["hole_reversed"] = lambda: Reversed
    try:
        own = toy.experiment(tmp_path, dataset_augmenter={"name": "hole_reversed"})
        with pytest.raises(DataError, match="same samples in the same order"):
            next(own.kfold(toy.Drawn()).generator(0))
    finally:
        del dataset_augmenters["hole_reversed"]


def test_an_edited_reader_reads_anew(tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(b"x")

    def reader(expression: str) -> object:
        module = types.ModuleType("hole_module")
        exec(f"import numpy as np\ndef read(path): return np.full((2, 2), {expression}, np.uint8)", vars(module))
        return vars(module)["read"]

    for expression, value in (("1", 1), ("2", 2), ("len(path.name)", 8), ("1", 1)):
        assert DecodeCache(tmp_path / "kept").read(reader(expression), file).max() == value  # type: ignore[arg-type]
    assert compiled_digest(reader("3")) == compiled_digest(reader("3")) == code_digest(reader("3"))


def test_an_empty_part_has_no_batches(tmp_path: Path) -> None:
    data = toy.Drawn()
    data.folds = [(list(range(10)), [])]  # type: ignore[attr-defined]
    own = toy.experiment(tmp_path, testSplit=0.0)
    with pytest.raises(DataError, match="fold 0: there is no sample to validate on"):
        next(own.kfold(data).generator(0, False))


# ------------------------------------------------------------------------------------------------------------ tables


@pytest.mark.parametrize("second", ["a", "a.png"])
def test_a_table_that_names_a_sample_twice_is_refused(second: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "t.csv").write_text(f"id,v\na,1\n{second},2\nb,3\n")
    form = {
        "inputs": [{"bindings": [{"path": "images", "reader": "RGBA"}]}],
        "outputs": [{"bindings": [{"path": "t.csv", "reader": "CSV", "headers": ["v"]}], "data_type": "float32"}],
    }
    files = Files.model_validate(form)
    with pytest.raises(DataError, match=r"1 of the ids in column 'id' stand in more than one row \(a\)"):
        FilesDataSet(files, tmp_path)


# ------------------------------------------------------------------------------------------------------- backgrounds


def backgrounds(folder: Path) -> Backgrounds:
    cv2.imwrite(str(folder / "white.png"), np.full((4, 4, 3), 255, np.uint8))
    return Backgrounds(folder)


def test_floats_beyond_one_get_no_background(tmp_path: Path) -> None:
    mask = np.zeros((8, 8, 1), bool)
    with pytest.raises(DataError, match="floats from 200 to 200, backgrounds come as"):
        replace_background(np.full((8, 8, 3), 200, np.float32), mask, np.random.default_rng(0), backgrounds(tmp_path))


def test_masks_that_cover_everything_are_told_of(tmp_path: Path) -> None:
    image, disc = toy.draw_disc(1)
    mask = np.stack([disc, 1 - disc], axis=2).astype(bool)
    with pytest.warns(UserWarning, match="cover every pixel"):
        replace_background(image, mask, np.random.default_rng(0), backgrounds(tmp_path), rate=0)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("default")
        for _ in range(3):
            replace_background(image, mask, np.random.default_rng(0), backgrounds(tmp_path), rate=0)
    assert len(heard) == 1


# ----------------------------------------------------------------------------------------------------------- workers


def read_or_refuse(position: int, epoch: int | None) -> Sample:
    if position == 3:
        raise DataError("boom", sample="s3", path="file.png")
    if position == 4:
        raise ConfigError("config.yaml", [Problem(1, 1, "key", "words")])
    return toy.read_numbered(position, epoch)


@pytest.mark.parametrize(("last", "kind"), [(3, DataError), (4, MusketError)])
def test_errors_come_whole_out_of_processes(last: int, kind: type[MusketError]) -> None:
    QUEUE.USE_MULTIPROCESSING = True
    loader = BatchLoader(read_or_refuse, lambda _: [0, 1, 2, last], 2, workers=1)
    with pytest.raises(kind) as caught:
        list(loader.epoch(0))
    assert "Traceback" not in str(caught.value)
    if last == 3:
        assert (caught.value.sample, caught.value.path) == ("s3", "file.png")  # type: ignore[attr-defined]
        assert str(caught.value) == "sample 's3', file file.png: boom"


def test_processes_end_when_nobody_asks_for_more() -> None:
    QUEUE.USE_MULTIPROCESSING = True
    batches = BatchLoader(toy.read_numbered, lambda _: list(range(8)), 2, workers=1).epoch(0)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while torch.multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not torch.multiprocessing.active_children()


@pytest.mark.parametrize("count", [-1, "two", 2.5, True, None])
def test_numbers_of_readers_are_checked_in_words(count: object) -> None:
    QUEUE.NB_WORKERS = count  # type: ignore[assignment]
    with pytest.raises(MusketError, match=r"NB_WORKERS must be a whole number from 0, or auto .* found"):
        BatchLoader(toy.read_numbered, lambda _: [0], 1)


@pytest.mark.parametrize("count", [2, "3"])
def test_numbers_of_readers_are_taken(count: object) -> None:
    QUEUE.NB_WORKERS = count  # type: ignore[assignment]
    assert BatchLoader(toy.read_numbered, lambda _: [0], 1).workers == int(count)  # type: ignore[call-overload]


def test_the_note_that_a_cache_is_full_goes_with_it(tmp_path: Path) -> None:
    cache = DecodeCache(tmp_path / "kept", limit_bytes=0)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.warns(UserWarning, match="not kept from here on"):
        cache.read(read_image, tmp_path / "a.png")
    marker = cache._marker()
    assert marker.exists()
    del cache
    gc.collect()
    assert not marker.exists()
