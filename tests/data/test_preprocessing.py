from __future__ import annotations

import copy
import pickle
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import preprocessors as own
import pytest
import toy

from musket.config.preprocessing import check_preprocessing, read_steps
from musket.config.values import Call
from musket.core.errors import DataError, MusketError
from musket.core.types import PredictionItem
from musket.data.catalogue import PREPROCESSORS
from musket.data.dataset import CompositeDataSet, DataSet, SubDataSet, is_positive, read_item
from musket.data.folders import SimplePNGMaskDataSet
from musket.data.identity import sample_ids
from musket.data.item_caches import folder_name, trains_differently
from musket.data.preprocessing import apply_preprocessing, dataset_preprocessor, name_of


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch):
    """The decorators ran at import; other tests may have forgotten the names since."""
    for step in own.ALL:
        supplied = {"scaled_by": ("inp",), "Shifted": (), "brighter": ("input",), "first": ("dataset",)}
        PREPROCESSORS.add(step.__name__, step, replace=True, custom=True, supplied=supplied.get(step.__name__, ("x",)))
    own.calls.clear()
    yield
    for step in own.ALL:
        PREPROCESSORS.remove(step.__name__)


class Numbered(DataSet):
    """Images that show their number."""

    def __init__(self, count: int = 4, start: int = 0, name: str = "numbers"):
        self.count, self.start, self.name = count, start, name
        self.folds, self.holdoutArr = [([0, 1], [2, 3])], [3]
        self.reads: Counter[int] = Counter()

    def __len__(self) -> int:
        return self.count

    def sample_ids(self) -> list[str]:
        return [f"n{self.start + index}" for index in range(self.count)]

    def isPositive(self, index: int) -> bool:
        return index % 2 == 1

    def __getitem__(self, index):
        if isinstance(index, slice):
            return SubDataSet(self, range(self.count)[index])
        self.reads[index] += 1
        x = np.full((4, 5, 3), self.start + index, np.uint8)
        return PredictionItem(f"n{self.start + index}", x, x[..., :1] % 2 == 1)


class Jittered(Numbered):
    """Training items differ from the others."""

    def get_train_item(self, index: int) -> PredictionItem:
        item = self[index]
        item.x = item.x + 100
        return item


def shown(dataset, index: int = 1) -> int:
    return int(dataset[index].x[0, 0, 0])


# ------------------------------------------------------------------------------------------------------- functions


def test_a_function_of_x_leaves_everything_else() -> None:
    child = Numbered()
    dataset = apply_preprocessing(child, [{"brighter": {"by": 20}}])
    assert shown(dataset) == 21
    assert dataset[1].id == "n1"
    assert dataset[1].y.all()
    assert len(dataset) == 4
    assert sample_ids(dataset) == ["n0", "n1", "n2", "n3"]
    assert (dataset.folds, dataset.holdoutArr) == (child.folds, child.holdoutArr)
    assert [is_positive(dataset, index) for index in range(4)] == [False, True, False, True]
    child.reads.clear()
    assert dataset.get_target(1).all()
    assert not own.calls[3:]


def test_a_function_of_items_gets_and_gives_items() -> None:
    dataset = apply_preprocessing(Numbered(), "only_first_channel")
    assert dataset[1].x.shape == (4, 5, 1)
    assert not dataset[1].y.any()
    assert dataset[1].note == "seen"
    assert not dataset.get_target(1).any()


def test_items_know_what_they_were() -> None:
    dataset = apply_preprocessing(Numbered(), ["brighter", "only_first_channel"])
    item = dataset[1]
    assert item.original().x.shape == (4, 5, 3)
    assert item.original().x.max() == 11
    assert item.original().y.all()
    assert item.rootItem().x.max() == 1
    assert item.rootItem().original() is item.rootItem()
    assert item.item_id() == "n1"


@pytest.mark.parametrize("arguments", [3, [3], {"factor": 3}])
def test_arguments_by_position_and_by_name(arguments: object) -> None:
    assert shown(apply_preprocessing(Numbered(), [{"scaled_by": arguments}])) == 3


def test_a_class_is_made_once_and_called_for_every_item() -> None:
    child = Numbered()
    dataset = apply_preprocessing(child, [{"Shifted": [1]}])
    np.testing.assert_array_equal(dataset[2].x, np.roll(child[2].x, 1, 0))


def test_functions_themselves_and_calls_in_python() -> None:
    assert shown(apply_preprocessing(Numbered(), [own.brighter, "pass"])) == 11
    assert shown(own.brighter(Numbered(), by=5)) == 6
    assert shown(own.scaled_by(Numbered(), 4)) == 4


def test_transformers_get_the_dataset() -> None:
    dataset = apply_preprocessing(Numbered(), [{"first": 2}, "brighter"])
    assert len(dataset) == 2
    assert sample_ids(dataset) == ["n0", "n1"]
    assert name_of(dataset) == "numbers first(count=2) brighter"


def test_names_come_from_parent_function_and_sorted_arguments() -> None:
    dataset = own.Shifted(own.brighter(Numbered(), by=2), axis=1, pixels=3)
    assert dataset.get_name() == "numbers brighter(by=2) Shifted(axis=1, pixels=3)"


def test_components_are_mapped_one_by_one() -> None:
    both = CompositeDataSet([Numbered(2), Numbered(2, start=50, name="more")])
    both.folds = [([0, 2], [1, 3])]
    both.holdoutArr = [1]
    dataset = apply_preprocessing(both, ["brighter", "cache"])
    assert [shown(dataset, index) for index in range(4)] == [10, 11, 60, 61]
    assert sample_ids(dataset) == ["n0", "n1", "n50", "n51"]
    assert (dataset.folds, dataset.holdoutArr) == (both.folds, both.holdoutArr)
    assert dataset[2].originalDataSet is dataset.components[1]
    assert dataset.components[1].get_name() == "more brighter"


def test_training_items_are_preprocessed_too() -> None:
    dataset = own.brighter(Jittered())
    assert read_item(dataset, 1, True).x.max() == 111
    assert read_item(dataset, 1, False).x.max() == 11


def test_what_goes_wrong_is_named() -> None:
    with pytest.raises(DataError, match=r"sample 'n2': preprocessor broken failed: ValueError: no light"):
        own.broken(Numbered())[2]
    with pytest.raises(DataError, match=r"sample 'n2': preprocessor forgetful returned NoneType"):
        own.forgetful(Numbered())[2]
    with pytest.raises(DataError, match="dataset_transformer gone returned NoneType"):
        own.gone(Numbered())
    with pytest.raises(MusketError, match=r"preprocessor brighter: got an unexpected keyword argument 'bye'"):
        own.brighter(Numbered(), bye=1)
    with pytest.raises(MusketError, match="no such preprocessor 'brigther'; nearest: brighter"):
        apply_preprocessing(Numbered(), ["brigther"])
    with pytest.raises(MusketError, match="takes no parameter"):
        dataset_preprocessor(lambda: 1)


def test_datasets_travel_to_worker_processes() -> None:
    dataset = pickle.loads(pickle.dumps(own.Shifted(apply_preprocessing(Numbered(), ["brighter", "cache"]), 1)))
    assert shown(dataset) == 11


# ---------------------------------------------------------------------------------------------------------- caches


def test_memory_cache_makes_every_item_once() -> None:
    child = Numbered()
    dataset = apply_preprocessing(child, ["brighter", "cache"])
    for _ in range(3):
        assert [shown(dataset, index) for index in range(4)] == [10, 11, 12, 13]
        assert read_item(dataset, 2, True).x.max() == 12
    assert child.reads == {0: 1, 1: 1, 2: 1, 3: 1}
    dataset[0].x[:] = 99
    assert shown(dataset, 0) == 10
    assert dataset[0].rootItem().x.max() == 0


def test_memory_cache_is_bounded_and_says_so_once() -> None:
    child = Numbered()
    dataset = apply_preprocessing(child, [{"cache": {"limit_mb": 2 * 80 / 2**20}}])  # 60 bytes image, 20 mask
    with pytest.warns(UserWarning, match="full with 2 of 4 items") as warned:
        assert [shown(dataset, index % 4) for index in range(8)] == [0, 1, 2, 3] * 2
    assert len(warned) == 1
    assert child.reads == {0: 1, 1: 1, 2: 2, 3: 2}
    with pytest.raises(MusketError, match="limit_mb must be above 0"):
        apply_preprocessing(child, [{"cache": 0}])


def test_caches_do_not_freeze_what_is_drawn_for_training(tmp_path: Path) -> None:
    for cache in ("cache", "disk-cache"):
        child = Jittered()
        dataset = apply_preprocessing(child, [cache], tmp_path)
        for _ in range(2):
            assert read_item(dataset, 1, True).x.max() == 101
            assert read_item(dataset, 1, False).x.max() == 1
        assert child.reads[1] == 3


def test_which_datasets_make_training_items_differently(tmp_path: Path) -> None:
    class Duck:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> PredictionItem:
            return Numbered()[0]

    class DrawingDuck(Duck):
        def item(self, index: int, is_train: bool) -> PredictionItem:
            return Numbered()[0]

    plain = [Numbered(), Duck(), SimplePNGMaskDataSet(*toy.write_discs(tmp_path, 1)), own.brighter(Numbered())]
    assert not any(map(trains_differently, [*plain, CompositeDataSet(plain[:2]), SubDataSet(Numbered(), [1])]))
    apart = [Jittered(), DrawingDuck(), own.brighter(Jittered()), apply_preprocessing(Jittered(), "cache")]
    assert all(map(trains_differently, [*apart, CompositeDataSet([*plain[:1], *apart[:1]]), SubDataSet(apart[0], [1])]))


def test_disk_cache_is_reused_by_the_next_run(tmp_path: Path) -> None:
    steps = [{"brighter": {"by": 3}}, "disk-cache"]
    first = apply_preprocessing(Numbered(), steps, tmp_path)
    assert [shown(first, index) for index in (0, 2)] == [3, 5]
    assert [path.name.rpartition("-")[0] for path in tmp_path.iterdir()] == ["numbers_brighter(by=3)"]
    child = Numbered()
    again = apply_preprocessing(child, steps, tmp_path)
    child.reads.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        items = [again[index] for index in range(4)]
    assert child.reads == {1: 1, 3: 1}
    assert [item.x.max() for item in items] == [3, 4, 5, 6]
    assert [item.id for item in items] == ["n0", "n1", "n2", "n3"]
    assert items[0].x.dtype == np.uint8
    assert items[0].y.dtype == bool
    assert items[0].original().rootItem().x.max() == 0


def test_disk_cache_of_another_class_is_another_one(tmp_path: Path) -> None:
    apply_preprocessing(Numbered(), "disk-cache", tmp_path)[0]

    class Reversed(Numbered):
        def sample_ids(self) -> list[str]:
            return super().sample_ids()[::-1]

        def __getitem__(self, index):
            return super().__getitem__(3 - index)

    assert shown(apply_preprocessing(Reversed(), "disk-cache", tmp_path), 3) == 0


@pytest.mark.parametrize("child", [Numbered(5), Numbered(4, start=1)])
def test_disk_cache_of_other_data_is_another_one(child: Numbered, tmp_path: Path) -> None:
    steps = [{"brighter": 3}, "disk-cache"]
    apply_preprocessing(Numbered(), steps, tmp_path)[1]
    assert shown(apply_preprocessing(child, steps, tmp_path)) == child.start + 4
    assert len(list(tmp_path.iterdir())) == 2


def test_disk_cache_of_another_code_is_filled_anew(tmp_path: Path) -> None:
    apply_preprocessing(Numbered(), ["brighter", "disk-cache"], tmp_path)[1]

    @dataset_preprocessor
    def brighter(inp, by: int = 10):
        return inp + 77

    with pytest.warns(UserWarning, match="filled with other steps"):
        assert shown(apply_preprocessing(Numbered(), ["brighter", "disk-cache"], tmp_path)) == 78


def test_disk_cache_mends_damaged_files(tmp_path: Path) -> None:
    dataset = apply_preprocessing(Numbered(), "disk-cache", tmp_path)
    dataset[1]
    [path] = tmp_path.glob("numbers-*/*.npz")
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"no archive"):
        path.write_bytes(damaged)
        assert shown(dataset) == 1
        assert path.read_bytes() == whole


def test_disk_cache_keeps_several_arrays_and_nothing(tmp_path: Path) -> None:
    class Several(Numbered):
        def __getitem__(self, index):
            return PredictionItem(f"n{index}", [np.zeros((2, index + 1)), np.ones(3)], None)

    dataset = apply_preprocessing(Several(), {"disk-cache": {"split": True}}, tmp_path)
    for _ in range(2):
        assert [array.shape for array in dataset[2].x] == [(2, 3), (3,)]
        assert dataset[2].y is None


def test_disk_cache_refuses_objects_and_needs_a_folder(tmp_path: Path) -> None:
    class Objects(Numbered):
        def __getitem__(self, index):
            return PredictionItem(f"n{index}", np.array([{}, {}]), None)

    with pytest.raises(DataError, match="x holds objects"):
        apply_preprocessing(Objects(), "disk-cache", tmp_path)[0]
    with pytest.raises(DataError, match="disk-cache needs a folder"):
        apply_preprocessing(Numbered(), "disk-cache")
    (tmp_path / "file").write_text("")
    with pytest.raises(MusketError, match="file"):
        apply_preprocessing(Numbered(), "disk-cache", tmp_path / "file")


def test_disk_cache_is_filled_by_many_threads(tmp_path: Path) -> None:
    dataset = apply_preprocessing(Numbered(40), "disk-cache", tmp_path)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: shown(dataset, index % 40), range(120)))
    assert found == [index % 40 for index in range(120)]
    assert not list(tmp_path.glob("numbers-*/.*"))


def test_folder_names() -> None:
    assert folder_name("a b{[/\\]}, ':c") == "a_b__________c"
    long = folder_name("x" * 300)
    assert len(long) < 101
    assert long != folder_name("x" * 301)
    assert folder_name("..") == "dataset"


# --------------------------------------------------------------------------------------------------- config's check


@pytest.mark.parametrize(
    ("form", "steps"),
    [
        (None, ()),
        ("cache", (Call("cache"),)),
        (["cache", {"a": 1}, {"b": [1, 2]}], (Call("cache"), Call("a", (1,)), Call("b", (1, 2)))),
        ({"a": {"k": 1}, "pass": None}, (Call("a", (), {"k": 1}), Call("pass"))),
    ],
)
def test_forms_of_the_key(form: object, steps: tuple) -> None:
    assert read_steps(form) == steps


@pytest.mark.parametrize("form", [3, [3], [{"a": 1, "b": 2}], [["cache"]]])
def test_other_forms_are_refused(form: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        read_steps(form)
    [finding] = check_preprocessing(form, PREPROCESSORS)
    assert finding.loc == ("preprocessing",)


@pytest.mark.parametrize(
    ("form", "loc", "said"),
    [
        (["cahce"], ("preprocessing", 0), "no such preprocessor 'cahce'; nearest: cache"),
        (["pass", {"cache": {"limit": 3}}], ("preprocessing", 1, "cache", "limit"), "takes no such option"),
        ({"cache": {"limit_mb": "much"}}, ("preprocessing", "cache", "limit_mb"), "must be a number"),
        ([{"disk-cache": {"cache_folder": "x"}}], ("preprocessing", 0, "disk-cache", "cache_folder"), "no such option"),
        ([{"brighter": {"by": "x"}}], ("preprocessing", 0, "brighter", "by"), "must be a whole number"),
        (["Shifted"], ("preprocessing", 0, "Shifted"), "Shifted needs pixels"),
        ([{"pass": 3}], ("preprocessing", 0, "pass"), "takes no options"),
    ],
)
def test_the_check_names_step_and_option(form: object, loc: tuple, said: str) -> None:
    [finding] = check_preprocessing(copy.deepcopy(form), PREPROCESSORS)
    assert finding.loc == loc
    assert said in finding.message


def test_a_good_chain_has_no_findings() -> None:
    chain = [{"brighter": {"by": 3}}, {"scaled_by": 2}, {"Shifted": [1, 0]}, {"first": 3}, "cache", {"disk-cache": {}}]
    assert not list(check_preprocessing(chain, PREPROCESSORS))


def test_declared_names_are_left_to_others() -> None:
    assert not list(check_preprocessing("mine", PREPROCESSORS, {"mine": []}))
    assert len(list(check_preprocessing("mine", PREPROCESSORS))) == 1
